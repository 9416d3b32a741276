//! Images side by side.
use base64::{Engine, engine::general_purpose::STANDARD};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use maud::{Markup, html};
use ndarray::{Array2, ArrayView1, ArrayView2};

use crate::error::{Error, Result};

/// Images of one size in rows, `NAME.png`.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The name of its file, without the ending.
    pub name: String,
    /// What it shows; the first sentence is its title.
    pub caption: String,
    /// Images in a row.
    pub columns: usize,
    /// `[C, H, W]` of each, `C` 1 or 3.
    pub shape: [usize; 3],
    /// `[N, C·H·W]`, in `[0, 1]`; beyond, values are clamped.
    pub images: Array2<f32>,
}

/// What is around images: a light grey, which is neither a black nor a zero weight.
const AROUND: f32 = 0.75;

/// Pixels between images.
const GAP: usize = 2;

impl Sheet {
    /// As PNG, the images with a gap around each.
    ///
    /// # Errors
    /// If an image is neither grey nor of three colours.
    pub fn png(&self) -> Result<Vec<u8>> {
        let [channels, height, width] = self.shape;
        let columns = self.columns.min(self.images.nrows()).max(1);
        let rows = self.images.nrows().div_ceil(columns);
        let (tall, wide) = (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP);
        let mut all = Array2::from_elem([channels, tall * wide], AROUND);
        for (i, image) in self.images.rows().into_iter().enumerate() {
            let (top, left) =
                (GAP + i / columns * (height + GAP), GAP + i % columns * (width + GAP));
            for (j, &value) in image.iter().enumerate() {
                let (channel, pixel) = (j / (height * width), j % (height * width));
                let at = (top + pixel / width) * wide + left + pixel % width;
                all[[channel, at]] = value;
            }
        }
        let all = all.flatten();
        png(all.view(), [channels, tall, wide])
    }

    /// For a page.
    ///
    /// # Errors
    /// As [`Sheet::png`].
    pub fn html(&self) -> Result<Markup> {
        Ok(html! {
            figure {
                img.sheet src=(uri(&self.png()?)) alt=(self.caption);
                figcaption { (self.caption) }
            }
        })
    }
}

/// Directions of units or channels `[N, C·H·W]` as images: zero is grey, the largest weight of each is black or white.
pub fn contrast(weights: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut images = weights.to_owned();
    for mut image in images.rows_mut() {
        let most = image.iter().fold(0_f32, |most, w| most.max(w.abs())).max(f32::MIN_POSITIVE);
        image.mapv_inplace(|w| 0.5 + 0.5 * w / most);
    }
    images
}

/// A PNG within a page.
pub(super) fn uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

/// An image `x [C·H·W]` in `[0, 1]` (beyond, it is clamped) as PNG.
pub(super) fn png(
    x: ArrayView1<'_, f32>,
    [channels, height, width]: [usize; 3],
) -> Result<Vec<u8>> {
    let color = match channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => {
            let advice = "Give the report no images.";
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
        .expect("the buffer has the size of the image and memory takes all");
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn an_image_comes_back_with_its_channels_together() {
        // Planes red, green, blue of two pixels; beyond [0, 1] is clamped.
        let x = array![1.0, 0.0, 0.2, 2.0, -1.0, 0.6];
        let pixels = image::load_from_memory(&png(x.view(), [3, 1, 2]).unwrap()).unwrap();
        let pixels = pixels.into_rgb8();
        assert_eq!(pixels.dimensions(), (2, 1));
        assert_eq!(pixels.into_raw(), [255, 51, 0, 0, 255, 153]);
    }

    #[test]
    fn a_sheet_fills_its_rows_first() {
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
        assert_eq!([at(2, 5), at(3, 5), at(6, 5)], [255, 255, 191], "the second, and nothing");
    }

    #[test]
    fn a_filter_is_grey_where_it_is_zero() {
        let images = contrast(array![[0., 2., -1.], [0., 0., 0.]].view());
        assert_eq!(images, array![[0.5, 1., 0.25], [0.5, 0.5, 0.5]]);
    }
}
