//! What a trained model is asked about: the user's pictures, arrays and tables.
use super::idx::{self, Idx};
use super::npy::Array;
use super::preprocess::Raw;
use super::table::Table;
use super::{Outside, Preprocess, files};
use crate::error::{Error, Result};
use image::imageops::{self, FilterType};
use image::{ImageBuffer, ImageFormat, ImageReader, Limits, Pixel};
use ndarray::Array2;
use std::io::{BufRead, Cursor, Seek};
use std::path::Path;

/// The widest and highest picture that is read.
const SIDE: u32 = 8_192;

/// Rows for a network, `N` at least 1, and what to call them.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// `[N, inputs]`, row major.
    pub x: Array2<f32>,
    /// `[N]`: the file's name for a picture, `file#row` (from 0) for all else.
    pub names: Vec<String>,
    /// Rows that are far outside the range of training, if there are any.
    pub outside: Option<Outside>,
}

/// Reads one file as a model's input, `rows` rows at a time: PNG, IDX (plain or gzip), NPY, or CSV.
/// Only one such block is in memory, and there is at least one.
///
/// The format is told by the file's first bytes, CSV by its name.
/// * A PNG picture is made grey or coloured as the model wants it (transparency is ignored), and
///   resized bilinearly if it is not `H × W` already. Values are in `[0, 1]`, white is 1.
/// * IDX and NPY hold `[N, H, W]` if `C = 1`, or `[N, C, H, W]`; NPY also `[N, inputs]`. Pixels of
///   one value are the same input in any type that is accepted: bytes are divided by 255 if
///   those of training were, and what cannot be told is refused. A table's numbers are numbers in
///   any type.
/// * A CSV file has the model's feature columns by name, in any order; others are ignored.
///
/// All are then standardised, in double precision, if the training rows were.
///
/// # Errors
/// If the file is missing, of another format or shape than the model takes, or of another size
/// than its header says. An iteration fails if the block is damaged or has a value that is not
/// finite, or if a picture is larger than 2 GiB.
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

/// The same of what is in `file`, called `path`.
///
/// # Errors
/// As [`inputs`].
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
    let mut source = Source::open(path, file, preprocess, image)?;
    let file = files::name(path, true);
    let mut first = 0;
    Ok(std::iter::from_fn(move || {
        let raw = source.next(&what, first, rows, image.is_some()).transpose()?;
        let x = raw.and_then(|raw| preprocess.prepare(&what, raw, image.is_some(), first));
        Some(x.map(|(x, outside)| {
            let name = |row| match source {
                Source::Picture(..) => file.clone(),
                _ => format!("{file}#{row}"),
            };
            let names = (first..first + x.nrows()).map(name).collect();
            first += x.nrows();
            Inputs { x, names, outside }
        }))
    }))
}

/// An open file that fits the model as far as its header tells.
enum Source<R> {
    /// Until it is read, and the shape that the model wants.
    Picture(Option<R>, Option<[usize; 3]>),
    Idx(Idx),
    Npy(Box<Array<R>>),
    /// With the places of the features.
    Table(Box<Table<R>>, Vec<usize>),
}

impl<R: BufRead + Seek + 'static> Source<R> {
    fn open(
        path: &Path,
        mut file: R,
        preprocess: &Preprocess,
        image: Option<[usize; 3]>,
    ) -> Result<Self> {
        let what = &*path.display().to_string();
        if files::extension(path) == "csv" {
            let columns = preprocess.columns.as_ref().ok_or_else(|| {
                let expected = "images or an array, since the model was not trained on a CSV file";
                Error::invalid(what, "a CSV file", expected, "Convert it to an NPY array.")
            })?;
            let table = Table::open(path, file)?;
            let places = table.find(columns)?;
            return Ok(Self::Table(Box::new(table), places));
        }
        let start = file.fill_buf().map_err(|error| files::unreadable(what, &error))?;
        let start = start[..start.len().min(8)].to_vec();
        let (source, example) = if start.starts_with(b"\x89PNG") {
            return Ok(Self::Picture(Some(file), image));
        } else if start.starts_with(b"\x93NUMPY") {
            let array = Array::open(what, file)?;
            let example = array.example().to_vec();
            (Self::Npy(Box::new(array)), example)
        } else if start.starts_with(&idx::GZIP) || start.starts_with(&[0, 0, 8]) {
            let idx = Idx::open(what, file)?;
            let example = idx.example().to_vec();
            (Self::Idx(idx), example)
        } else {
            return Err(Error::invalid(
                what,
                format!("the first bytes {start:?}"),
                "a PNG picture, IDX images, an NPY array or FILE.csv",
                "Convert the file to one of these.",
            ));
        };
        let fits = match (image, &*example) {
            (Some([1, h, w]), [..]) if example == [h, w] => true,
            (Some(image), [_, _, ..]) => example == image,
            _ => example.iter().product::<usize>() == preprocess.inputs,
        };
        if !fits {
            let image = image.map_or(String::new(), |image| format!(", an image {image:?}"));
            return Err(Error::invalid(
                what,
                format!("examples of shape {example:?}"),
                format!("the model's {} inputs{image}", preprocess.inputs),
                "Reshape the array, or use the model that it was made for.",
            ));
        }
        Ok(source)
    }

    /// The next rows, `rows` or as many as are left, of which the `first` came before; none at the
    /// end.
    fn next(
        &mut self,
        what: &str,
        first: usize,
        rows: usize,
        is_image: bool,
    ) -> Result<Option<Raw>> {
        match self {
            Self::Picture(file, image) => {
                let read = |file| picture(what, file, *image).map(Raw::Fractions);
                file.take().map(read).transpose()
            }
            Self::Table(table, places) => match table.next(rows)? {
                true => table.numbers(places).map(Raw::Numbers).map(Some),
                false => Ok(None),
            },
            Self::Idx(idx) => Ok(idx.next(rows)?.map(Raw::Pixels)),
            Self::Npy(npy) => {
                npy.next(rows)?.map(|npy| npy.inputs(what, is_image, first)).transpose()
            }
        }
    }
}

/// `[1, C·H·W]`.
fn picture(
    what: &str,
    mut file: impl BufRead + Seek,
    image: Option<[usize; 3]>,
) -> Result<Array2<f32>> {
    let Some([channels @ (1 | 3), height, width]) = image else {
        return Err(Error::invalid(
            what,
            "a picture",
            format!(
                "what the model takes, {}",
                image.map_or("no image".into(), |i| format!("{i:?}"))
            ),
            "Give it an NPY or CSV file.",
        ));
    };
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE), Some(SIDE));
    files::within(what, files::left(&mut file).unwrap_or(0), files::LIMIT)?;
    let bytes = files::bounded(what, file, files::LIMIT)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    reader.limits(limits);
    let decoded = reader.decode().map_err(|error| {
        let expected = format!("a PNG picture of at most {SIDE}×{SIDE}");
        Error::invalid(what, error, expected, "Export it again.")
    })?;
    let size = (width as u32, height as u32);
    let planes = match channels {
        1 => planes(decoded.to_luma32f(), size),
        _ => planes(decoded.to_rgb32f(), size),
    };
    Ok(Array2::from_shape_vec((1, planes.len()), planes).expect("one row"))
}

/// Resized, and from channels last to channels first.
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
