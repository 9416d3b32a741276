//! What a trained model is asked about: the user's pictures, arrays and tables.
use super::table::Table;
use super::{Preprocess, files, idx, npy};
use crate::error::{Error, Result};
use image::imageops::{self, FilterType};
use image::{ImageBuffer, ImageFormat, ImageReader, Limits, Pixel};
use ndarray::Array2;
use std::io::Cursor;
use std::path::Path;

/// The widest and highest picture that is read.
const SIDE: u32 = 16_384;

/// Rows for a network, and what to call them.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// `[N, inputs]`, row major.
    pub x: Array2<f32>,
    /// `[N]`: the file's name for a picture, `file#row` (from 0) for all else.
    pub names: Vec<String>,
}

/// Reads one file as a model's input: PNG, IDX (plain or gzip), NPY, or CSV.
///
/// The format is told by the file's first bytes, CSV by its name.
/// * A PNG picture is made grey or coloured as the model wants it (transparency is ignored), and
///   resized bilinearly if it is not `H × W` already. Values are in `[0, 1]`, white is 1.
/// * IDX and NPY hold `[N, H, W]` if `C = 1`, or `[N, C, H, W]`; NPY also `[N, inputs]`. Bytes are
///   divided by 255; floats are left as they are.
/// * A CSV file has the model's feature columns by name, in any order; others are ignored.
///
/// All are then standardised if the training rows were.
///
/// # Errors
/// If the file is missing, damaged, larger than 2 GiB, of another format or shape than the model
/// takes, or has a value that is not finite.
pub fn inputs(path: &Path, preprocess: &Preprocess, image: Option<[usize; 3]>) -> Result<Inputs> {
    preprocess.check(image)?;
    let (what, file) = (path.display().to_string(), files::name(path, true));
    if files::extension(path) == "csv" {
        return numbered(&file, preprocess.apply(&what, table(path, preprocess)?)?);
    }
    let bytes = files::read(path)?;
    if bytes.starts_with(b"\x89PNG") {
        return Ok(Inputs { x: picture(&what, &bytes, image)?, names: vec![file] });
    }
    let (example, x) = if bytes.starts_with(b"\x93NUMPY") {
        npy::read(&what, &bytes)?.inputs(&what)?
    } else if bytes.starts_with(&idx::GZIP) || bytes.starts_with(&[0, 0, 8]) {
        idx::read(&what, bytes)?
    } else {
        return Err(Error::invalid(
            what,
            format!("the first bytes {:?}", &bytes[..bytes.len().min(8)]),
            "a PNG picture, IDX images, an NPY array or FILE.csv",
            "Convert the file to one of these.",
        ));
    };
    let fits = match (image, &*example) {
        (Some([1, h, w]), [..]) if example == [h, w] => true,
        (Some(image), [_, _, ..]) => example == image,
        _ => x.ncols() == preprocess.inputs,
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
    let scaled = preprocess.x.is_some();
    numbered(&file, if scaled { preprocess.apply(&what, x.mapv(f64::from))? } else { x })
}

fn numbered(file: &str, x: Array2<f32>) -> Result<Inputs> {
    Ok(Inputs { names: (0..x.nrows()).map(|row| format!("{file}#{row}")).collect(), x })
}

fn table(path: &Path, preprocess: &Preprocess) -> Result<Array2<f64>> {
    let columns = preprocess.columns.as_ref().ok_or_else(|| {
        Error::invalid(
            path.display(),
            "a CSV file",
            "images or an array, since the model was not trained on a CSV file",
            "Convert it to an NPY array.",
        )
    })?;
    let table = Table::read(path)?;
    table.numbers(&table.find(columns)?, "Mend or remove the line.")
}

/// `[1, C·H·W]`.
fn picture(what: &str, bytes: &[u8], image: Option<[usize; 3]>) -> Result<Array2<f32>> {
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
