//! New inputs for a trained model: pictures, arrays and tables.
use super::files;
use super::idx::{self, Idx};
use super::npy::Array;
use super::preprocess::{Preprocess, Raw};
use super::table::Table;
use super::training_range::OutOfRange;
use crate::error::{Error, Result};
use image::imageops::{self, FilterType};
use image::{ImageBuffer, Pixel};
use ndarray::Array2;
use std::io::{BufRead, Seek};
use std::path::Path;

/// The first bytes of a PNG picture.
const PNG: &[u8] = b"\x89PNG";

/// Largest width and height of a picture.
const SIDE: u32 = 8_192;

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
}

/// Reads a PNG, IDX (plain or gzip), NPY or CSV file as network inputs, in blocks of at most `rows`
/// rows. Only one block is in memory at a time. A file without rows is an error.
///
/// CSV is recognised by the file's extension, the other formats by the first bytes of the file.
/// * A PNG picture is converted to grey or RGB, as the model requires, and resampled bilinearly to
///   `H × W`; transparency is ignored. Values are in `[0, 1]`, with white 1.
/// * An IDX or NPY file for a model of images `[C, H, W]` is an array of shape `[N, C, H, W]`, or
///   `[N, H, W]` if `C = 1`; an NPY array may also have the shape `[N, inputs]`. Equal pixels give
///   equal inputs in every accepted type: bytes are divided by 255 if the unit of the training
///   images requires it, and a type whose unit is ambiguous is an error. For a model of table rows,
///   a row may have any shape with `inputs` elements, and numbers are taken as they are, whatever
///   their type.
/// * A CSV file has the model's feature columns, in any order; other columns are ignored.
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

/// Reads network inputs from an open file, as [`inputs`] does from a path. `path` names the file in
/// messages, and its extension decides whether the file is read as CSV.
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
    assert!(rows > 0, "inputs: blocks of 0 rows");
    preprocess.check(image)?;
    let what = path.display().to_string();
    let (file_name, mut next) = (files::name(path, true), open(path, file, preprocess, image)?);
    let mut first = 0;
    Ok(std::iter::from_fn(move || {
        let raw = next(rows, first).transpose()?;
        let is_picture = matches!(raw, Ok(Raw::Fractions(_)));
        let x = raw.and_then(|raw| preprocess.transform((&what, first), raw, image.is_some()));
        Some(x.map(|(x, outside)| {
            let name = |row| match is_picture {
                true => file_name.clone(),
                false => format!("{file_name}#{row}"),
            };
            let names = (first..first + x.nrows()).map(name).collect();
            first += x.nrows();
            Inputs { x, names, outside }
        }))
    }))
}

/// Reads the next rows of a file; `None` at the end. The arguments are the maximum number of rows
/// to read and the index in the file of the first of them.
type NextRows = Box<dyn FnMut(usize, usize) -> Result<Option<Raw>>>;

/// Recognises the format of a file, compares its header with the model's inputs, and returns the
/// function that reads its rows.
fn open<R: BufRead + Seek + 'static>(
    path: &Path,
    mut file: R,
    preprocess: &Preprocess,
    image: Option<[usize; 3]>,
) -> Result<NextRows> {
    let what = path.display().to_string();
    if files::extension(path) == "csv" {
        let columns = preprocess.columns.as_ref().ok_or_else(|| {
            let expected = "images or an array, since the model was not trained on a CSV file";
            Error::invalid(&what, "a CSV file", expected, "Convert it to an NPY array.")
        })?;
        let mut table = Table::open(path, file)?;
        let features = table.find(columns)?;
        return Ok(Box::new(move |limit, _| match table.next(limit)? {
            true => table.numbers(&features).map(Raw::Numbers).map(Some),
            false => Ok(None),
        }));
    }
    let start = file.fill_buf().map_err(|error| files::unreadable(&what, &error))?;
    let start = start[..start.len().min(8)].to_vec();
    if start.starts_with(PNG) {
        let mut file = Some(file);
        return Ok(Box::new(move |_, _| {
            file.take().map(|file| picture(&what, file, image).map(Raw::Fractions)).transpose()
        }));
    }
    let (example, next): (_, NextRows) = if start.starts_with(b"\x93NUMPY") {
        let (mut npy, what) = (Array::open(&what, file)?, what.clone());
        let example = npy.example().to_vec();
        let next = move |limit, first| {
            npy.next(limit)?.map(|rows| rows.inputs(&what, image.is_some(), first)).transpose()
        };
        (example, Box::new(next))
    } else if start.starts_with(&idx::GZIP) || start.starts_with(&[0, 0, 8]) {
        let mut idx = Idx::open(&what, file)?;
        (idx.example().to_vec(), Box::new(move |limit, _| Ok(idx.next(limit)?.map(Raw::Pixels))))
    } else {
        let found = format!("the first bytes {start:?}");
        let expected = "a PNG picture, IDX images, an NPY array or FILE.csv";
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

/// Reads a picture as `[1, C·H·W]`.
fn picture(
    what: &str,
    mut file: impl BufRead + Seek,
    image: Option<[usize; 3]>,
) -> Result<Array2<f32>> {
    let Some([channels @ (1 | 3), height, width]) = image else {
        let shape = image.map_or("no image".into(), |image| format!("{image:?}"));
        let expected = format!("the model's kind of input, {shape}");
        return Err(Error::invalid(what, "a picture", expected, "Use an NPY or CSV file."));
    };
    files::within(what, files::left(&mut file).unwrap_or(0), files::LIMIT)?;
    let picture = files::png(files::bounded(what, file, files::LIMIT)?, SIDE).map_err(|error| {
        let expected = format!("a PNG picture of at most {SIDE}×{SIDE}");
        Error::invalid(what, error, expected, "Export it again.")
    })?;
    let size = (width as u32, height as u32);
    let planes = match channels {
        1 => planes(picture.to_luma32f(), size),
        _ => planes(picture.to_rgb32f(), size),
    };
    Ok(Array2::from_shape_vec((1, planes.len()), planes).expect("one row"))
}

/// The pixels of a picture in the order `[C, H, W]`, resampled to this width and height.
fn planes<P: Pixel<Subpixel = f32> + 'static>(
    picture: ImageBuffer<P, Vec<f32>>,
    (width, height): (u32, u32),
) -> Vec<f32> {
    let picture = match picture.dimensions() == (width, height) {
        true => picture,
        false => imageops::resize(&picture, width, height, FilterType::Triangle),
    };
    let channels = usize::from(P::CHANNEL_COUNT);
    let plane = |channel| picture.iter().skip(channel).step_by(channels).copied();
    (0..channels).flat_map(plane).collect()
}
