//! PNG and JPEG pictures as inputs.
use super::files;
use crate::error::{Error, Result};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageBuffer, Pixel};
use ndarray::Array2;
use std::io::{BufRead, Seek};

/// Largest width and height of a picture.
const SIDE: u32 = 8_192;

/// The extensions of pictures.
pub(super) const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Whether a file with these first bytes is a picture.
pub(super) fn is_picture(start: &[u8]) -> bool {
    start.starts_with(b"\x89PNG") || start.starts_with(b"\xff\xd8\xff")
}

/// Decodes a picture.
///
/// # Errors
/// If it is damaged, or larger than 2 GiB or 8192 × 8192 pixels.
pub(super) fn decode(what: &str, mut file: impl BufRead + Seek) -> Result<DynamicImage> {
    files::within(what, files::left(&mut file).unwrap_or(0), files::LIMIT)?;
    files::picture(files::bounded(what, file, files::LIMIT)?, SIDE).map_err(|error| {
        let expected = format!("a PNG or JPEG picture of at most {SIDE}×{SIDE}");
        Error::invalid(what, error.to_string().trim(), expected, "Export it again.")
    })
}

/// Reads a picture as `[1, C·H·W]` for a model of images `image`.
pub(super) fn input(
    what: &str,
    file: impl BufRead + Seek,
    image: Option<[usize; 3]>,
) -> Result<Array2<f32>> {
    let Some(shape @ [1 | 3, ..]) = image else {
        let shape = image.map_or("no image".into(), |image| format!("{image:?}"));
        let expected = format!("the model's kind of input, {shape}");
        return Err(Error::invalid(what, "a picture", expected, "Use an NPY or CSV file."));
    };
    let pixels = pixels(&decode(what, file)?, shape);
    Ok(Array2::from_shape_vec((1, pixels.len()), pixels).expect("one row"))
}

/// The pixels of a picture, from 0 (black) to 1 (white), in the order of the shape `[C, H, W]` with
/// 1 or 3 channels, resampled bilinearly to this height and width.
pub(super) fn pixels(picture: &DynamicImage, [channels, height, width]: [usize; 3]) -> Vec<f32> {
    let size = (width as u32, height as u32);
    match channels {
        1 => planes(picture.to_luma32f(), size),
        _ => planes(picture.to_rgb32f(), size),
    }
}

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
