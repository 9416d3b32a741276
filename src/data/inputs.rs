//! New inputs for a trained model: pictures, arrays and tables.
use super::columns::{Column, Replaced};
use super::idx::{self, Idx};
use super::npy::Array;
use super::preprocess::{Pixels, Preprocess, Raw};
use super::table::{Encoded, Table};
use super::training_range::OutOfRange;
use super::{files, pictures};
use crate::error::{Error, Result};
use ndarray::Array2;
use std::io::{BufRead, Seek};
use std::path::Path;

/// A block of network inputs, with at least one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// Network inputs `[N, inputs]`, row-major.
    pub x: Array2<f32>,
    /// Names of the rows, `[N]`: the name of the file for a picture, otherwise `FILE#ROW`, where
    /// rows count from 0.
    pub names: Vec<String>,
    /// Rows far outside the training range, if there are any.
    pub outside: Option<OutOfRange>,
    /// Cells of a table without a value, if there are any.
    pub missing: Option<Replaced>,
    /// Words of a table that did not occur in training, if there are any.
    pub unseen: Option<Replaced>,
    /// The cells `[N]` of each column that is kept.
    pub kept: Vec<Vec<String>>,
}

/// Reads a picture (PNG or JPEG), an IDX (plain or gzip) or NPY file or a table as network inputs,
/// in blocks of at most `rows` rows. Only one block is in memory at a time. A file without rows is
/// an error.
///
/// A table is recognised by the file's extension (`csv`, `tsv`, `txt`, `csv.gz`, …, `parquet`), the
/// other formats by the first bytes of the file.
/// * A picture is converted to grey or RGB, as the model requires, and resampled bilinearly to
///   `H × W`; transparency is ignored. Values are in `[0, 1]`, with white 1.
/// * An IDX or NPY file for a model of images `[C, H, W]` is an array of shape `[N, C, H, W]`, or
///   `[N, H, W]` if `C = 1`; an NPY array may also have the shape `[N, inputs]`. Equal pixels give
///   equal inputs in every accepted type: bytes are divided by 255 if the unit of the training
///   images requires it, and a type whose unit is ambiguous is an error. For a model of table rows,
///   a row may have any shape with `inputs` elements, and numbers are taken as they are, whatever
///   their type.
/// * A table has the model's columns, in any order; other columns are ignored. They are encoded as
///   in training: a missing number becomes the training median, and a word that did not occur in
///   training has zeros for all levels. A Parquet file is read into memory first.
///
/// If the training rows were standardised, the inputs then are too, in double precision.
///
/// # Errors
/// If the file is missing, its format or shape is not accepted by the model, or its size differs
/// from the one that its header declares. An iteration fails if its block is damaged, has a value
/// that is not finite or has pixels in another unit than the training images, or if a picture
/// exceeds 2 GiB or 8192 × 8192 pixels.
///
/// # Panics
/// If `rows` is 0.
pub fn inputs<'a>(
    path: &Path,
    preprocess: &'a Preprocess,
    image: Option<[usize; 3]>,
    rows: usize,
) -> Result<impl Iterator<Item = Result<Inputs>> + use<'a>> {
    inputs_from(path, files::open(path)?, preprocess, image, rows)
}

/// What is done with a file beside reading it.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Columns of a table whose cells are kept as they are.
    pub keep: Vec<String>,
    /// Exchange dark and light in images: `x` becomes `low + high − x`, with the lowest and the
    /// highest pixel of training.
    pub invert: bool,
}

/// As [`inputs`], read as `reading` says.
///
/// # Errors
/// As [`inputs`], and if columns are kept and the file is not a table with these columns, or the
/// inputs are inverted and not images.
///
/// # Panics
/// If `rows` is 0.
pub fn inputs_with<'a>(
    path: &Path,
    preprocess: &'a Preprocess,
    image: Option<[usize; 3]>,
    rows: usize,
    reading: &Reading,
) -> Result<impl Iterator<Item = Result<Inputs>> + use<'a>> {
    blocks(path, files::open(path)?, preprocess, (image, rows), reading)
}

/// Reads network inputs from an open file, as [`inputs`] does from a path. `path` names the file in
/// messages, and its extension decides whether the file is read as a table.
///
/// # Errors
/// If the format, shape or size is not accepted, as for [`inputs`].
///
/// # Panics
/// If `rows` is 0.
pub fn inputs_from<'a, R: BufRead + Seek + 'static>(
    path: &Path,
    file: R,
    preprocess: &'a Preprocess,
    image: Option<[usize; 3]>,
    rows: usize,
) -> Result<impl Iterator<Item = Result<Inputs>> + use<'a, R>> {
    blocks(path, file, preprocess, (image, rows), &Reading::default())
}

fn blocks<'a, R: BufRead + Seek + 'static>(
    path: &Path,
    file: R,
    preprocess: &'a Preprocess,
    (image, rows): (Option<[usize; 3]>, usize),
    reading: &Reading,
) -> Result<impl Iterator<Item = Result<Inputs>> + use<'a, R>> {
    assert!(rows > 0, "inputs: blocks of 0 rows");
    preprocess.check(image)?;
    let what = path.display().to_string();
    let invert = reading.invert;
    if invert && image.is_none() {
        let advice = "Leave it out.";
        return Err(Error::invalid("--invert", "a model of tables", "one of images", advice));
    }
    let mut next = open(path, file, preprocess, image, &reading.keep)?;
    let (file_name, mut first) = (files::name(path, true), 0);
    Ok(std::iter::from_fn(move || {
        let read = next(rows, first).transpose()?;
        let is_picture = read.as_ref().is_ok_and(|read| matches!(read.raw, Raw::Fractions(_)));
        let x = read.and_then(|Rows { raw, replaced, kept }| {
            let unit = image.map(|_| Pixels { invert });
            let x = preprocess.transform((&what, first), raw, unit)?;
            Ok((x, replaced, kept))
        });
        Some(x.map(|((x, outside), [missing, unseen], kept)| {
            let name = |row| match is_picture {
                true => file_name.clone(),
                false => format!("{file_name}#{row}"),
            };
            let names = (first..first + x.nrows()).map(name).collect();
            first += x.nrows();
            Inputs { x, names, outside, missing, unseen, kept }
        }))
    }))
}

/// The next rows of a file.
struct Rows {
    raw: Raw,
    /// The cells that are missing and unseen.
    replaced: [Option<Replaced>; 2],
    /// The cells of the columns that are kept.
    kept: Vec<Vec<String>>,
}

impl From<Raw> for Rows {
    fn from(raw: Raw) -> Self {
        Self { raw, replaced: [None, None], kept: vec![] }
    }
}

/// Reads the next rows of a file; `None` at the end. The arguments are the maximum number of rows
/// to read and the index in the file of the first of them.
type NextRows = Box<dyn FnMut(usize, usize) -> Result<Option<Rows>>>;

/// Recognises the format of a file, compares its header with the model's inputs, and returns the
/// function that reads its rows.
fn open<R: BufRead + Seek + 'static>(
    path: &Path,
    mut file: R,
    preprocess: &Preprocess,
    image: Option<[usize; 3]>,
    keep: &[String],
) -> Result<NextRows> {
    let what = path.display().to_string();
    if files::is_table(path) {
        let columns = preprocess.input_columns().ok_or_else(|| {
            let expected = "images or an array, since the model was not trained on a CSV file";
            Error::invalid(&what, "a CSV file", expected, "Convert it to an NPY array.")
        })?;
        let mut table = Table::open(path, file, u64::MAX)?;
        let at = table.find(columns.iter().map(|column| &column.name))?;
        let keep = table.find(keep)?;
        return Ok(Box::new(move |limit, _| match table.next(limit)? {
            true => {
                let columns: Vec<&Column> = columns.iter().collect();
                let Encoded { x, missing, unseen } = table.encode(&at, &columns)?;
                let kept = keep.iter().map(|&i| table.cells(i)).collect();
                Ok(Some(Rows { raw: Raw::Numbers(x), replaced: [missing, unseen], kept }))
            }
            false => Ok(None),
        }));
    }
    if !keep.is_empty() {
        let found = format!("columns to keep, {}", keep.join(", "));
        let expected = "none: the file is not a table";
        return Err(Error::invalid(what, found, expected, "Leave out --keep."));
    }
    let start = file.fill_buf().map_err(|error| files::unreadable(&what, &error))?;
    let start = start[..start.len().min(8)].to_vec();
    if pictures::is_picture(&start) {
        let mut file = Some(file);
        return Ok(Box::new(move |_, _| {
            let rows =
                |file| pictures::input(&what, file, image).map(|raw| Raw::Fractions(raw).into());
            file.take().map(rows).transpose()
        }));
    }
    let (example, next): (_, NextRows) = if start.starts_with(b"\x93NUMPY") {
        let (mut npy, what) = (Array::open(&what, file)?, what.clone());
        let example = npy.example().to_vec();
        let next = move |limit, first| {
            let raw = npy.next(limit)?.map(|rows| rows.inputs(&what, image.is_some(), first));
            Ok(raw.transpose()?.map(Rows::from))
        };
        (example, Box::new(next))
    } else if start.starts_with(&idx::GZIP) || start.starts_with(&[0, 0, 8]) {
        let mut idx = Idx::open(&what, file)?;
        let example = idx.example().to_vec();
        let next = move |limit, _| Ok(idx.next(limit)?.map(|raw| Raw::Pixels(raw).into()));
        (example, Box::new(next))
    } else {
        let found = format!("the first bytes {start:?}");
        let expected = "a PNG or JPEG picture, IDX images, an NPY array or a table, FILE.csv";
        return Err(Error::invalid(what, found, expected, "Convert it to one of these."));
    };
    let fits = match (image, &*example) {
        (Some([1, h, w]), [..]) if example == [h, w] => true,
        (Some(image), [_, _, ..]) => example == image,
        _ => example.iter().product::<usize>() == preprocess.inputs,
    };
    if !fits {
        let advice = match image {
            Some([c, h, w]) if example == [h, w, c] => {
                "Its channels are last: save x.transpose(0, 3, 1, 2)."
            }
            _ => "Reshape the array, or use a model for this shape.",
        };
        let image = image.map_or(String::new(), |image| format!(", an image {image:?}"));
        return Err(Error::invalid(
            what,
            format!("examples of shape {example:?}"),
            format!("the model's {} inputs{image}", preprocess.inputs),
            advice,
        ));
    }
    Ok(next)
}
