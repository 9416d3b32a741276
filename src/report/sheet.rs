//! Sheets of images, and PNG encoding.
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use maud::{Markup, html};
use ndarray::{Array2, Array3, ArrayView1, ArrayView2, s};

use crate::error::{Error, Result};

/// A grid of images of equal size; an experiment writes its sheets to its folder as `NAME.png`.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// File name without its extension.
    pub name: String,
    /// Caption; the first sentence is the title.
    pub caption: String,
    /// Number of images in a row.
    pub columns: usize,
    /// Shape of an image `[C, H, W]` with `C` 1 or 3.
    pub shape: [usize; 3],
    /// Images `[N, C·H·W]`; values are clamped to `[0, 1]`.
    pub images: Array2<f32>,
}

/// Background: a light grey, which differs from black and from the grey of a zero weight.
const BACKGROUND: f32 = 0.75;

/// Pixels between images.
const GAP: usize = 2;

impl Sheet {
    /// The sheet as PNG.
    ///
    /// # Errors
    /// If the images have neither one nor three channels.
    ///
    /// # Panics
    /// If a row of `images` does not have `C·H·W` entries.
    pub fn png(&self) -> Result<Vec<u8>> {
        let [channels, height, width] = self.shape;
        let columns = self.columns.min(self.images.nrows()).max(1);
        let rows = self.images.nrows().div_ceil(columns);
        let (tall, wide) = (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP);
        let mut all = Array3::from_elem([channels, tall, wide], BACKGROUND);
        for (i, image) in self.images.rows().into_iter().enumerate() {
            let image = image.to_shape(self.shape).expect("images of this shape");
            let (top, left) =
                (GAP + i / columns * (height + GAP), GAP + i % columns * (width + GAP));
            all.slice_mut(s![.., top..top + height, left..left + width]).assign(&image);
        }
        let all = all.flatten();
        png(all.view(), [channels, tall, wide])
    }

    /// The sheet in HTML with its caption.
    ///
    /// # Errors
    /// If the images have neither one nor three channels.
    pub(super) fn html(&self) -> Result<Markup> {
        Ok(html! {
            figure {
                img.sheet src=(data_uri(&self.png()?)) alt=(self.caption);
                figcaption { (self.caption) }
            }
        })
    }
}

/// Weights of units or channels `[N, C·H·W]` as images: `½ + ½ w / max |w|` for each row, so that
/// zero is grey, and the weight of largest magnitude is black or white.
pub fn contrast(weights: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut images = weights.to_owned();
    for mut image in images.rows_mut() {
        let most = image.iter().fold(0_f32, |most, w| most.max(w.abs())).max(f32::MIN_POSITIVE);
        image.mapv_inplace(|w| 0.5 + 0.5 * w / most);
    }
    images
}

/// A PNG as a data URI.
pub(super) fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

/// An image `x [C·H·W]`, clamped to `[0, 1]`, as PNG.
///
/// # Errors
/// If it has neither one nor three channels.
pub(super) fn png(
    x: ArrayView1<'_, f32>,
    [channels, height, width]: [usize; 3],
) -> Result<Vec<u8>> {
    let color = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => {
            let advice = "Omit the images from the report.";
            return Err(Error::invalid("report: channels of an image", channels, "1 or 3", advice));
        }
    };
    let plane = height * width;
    let byte =
        |i: usize| (255.0 * x[i % channels * plane + i / channels].clamp(0.0, 1.0)).round() as u8;
    let bytes: Vec<u8> = (0..channels * plane).map(byte).collect();
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&bytes, width as u32, height as u32, color)
        .expect("a buffer of the size of the image");
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn channels_are_interleaved() {
        // Planes of red, green and blue with two pixels; values are clamped to [0, 1].
        let x = array![1.0, 0.0, 0.2, 2.0, -1.0, 0.6];
        let pixels = image::load_from_memory(&png(x.view(), [3, 1, 2]).unwrap()).unwrap();
        let pixels = pixels.into_rgb8();
        assert_eq!(pixels.dimensions(), (2, 1));
        assert_eq!(pixels.into_raw(), [255, 51, 0, 0, 255, 153]);
    }

    #[test]
    fn a_sheet_is_filled_row_by_row() {
        let sheet = Sheet {
            name: "sheet".into(),
            caption: "A sheet.".into(),
            columns: 2,
            shape: [1, 1, 2],
            images: array![[0., 1.], [1., 0.], [1., 1.]],
        };
        let pixels = image::load_from_memory(&sheet.png().unwrap()).unwrap().into_luma8();
        assert_eq!(pixels.dimensions(), (2 + 4 + 4, 2 + 3 + 3));
        let at = |x, y| pixels.get_pixel(x, y).0[0];
        assert_eq!([at(2, 2), at(3, 2), at(6, 2), at(7, 2)], [0, 255, 255, 0], "the first row");
        assert_eq!(
            [at(2, 5), at(3, 5), at(6, 5)],
            [255, 255, 191],
            "the second row, and background"
        );
    }

    #[test]
    fn zero_weights_are_grey() {
        let images = contrast(array![[0., 2., -1.], [0., 0., 0.]].view());
        assert_eq!(images, array![[0.5, 1., 0.25], [0.5, 0.5, 0.5]]);
    }
}
