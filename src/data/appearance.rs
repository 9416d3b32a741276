//! How bright images are and how much contrast they have, to notice those unlike the training
//! images, such as a dark drawing on white for a model of light digits on black.
use super::training_range::OutOfRange;
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

/// An image is unlike those of training if its brightness or contrast is further from their mean
/// than this many of their standard deviations.
const FAR: f64 = 6.;

/// The mean and the standard deviation, over the training images, of the mean and of the standard
/// deviation of an image's entries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Appearance {
    brightness: (f64, f64),
    contrast: (f64, f64),
}

impl Appearance {
    /// That of the images `x [N, C·H·W]`.
    pub(super) fn of(x: &Array2<f32>) -> Self {
        let (brightness, contrast): (Vec<_>, Vec<_>) = x.outer_iter().map(moments).unzip();
        let over = |values: Vec<f64>| super::scaler::moments(values.into_iter());
        Self { brightness: over(brightness), contrast: over(contrast) }
    }

    /// The images of `x` that are unlike those of training. `what` names the file, and `first` is
    /// the index in it of row 0.
    pub(super) fn unlike(
        &self,
        x: &Array2<f32>,
        (what, first): (&str, usize),
    ) -> Option<OutOfRange> {
        let far = |value: f64, (mean, std): (f64, f64)| {
            let z = (value - mean) / std;
            (z.abs() > FAR).then_some(z)
        };
        let odd = |image: ArrayView1<'_, f32>| {
            let (brightness, contrast) = moments(image);
            let words = ["brighter", "darker"];
            far(brightness, self.brightness).map(|z| words[usize::from(z < 0.)]).or_else(|| {
                far(contrast, self.contrast)
                    .map(|z| ["richer in contrast", "poorer in contrast"][usize::from(z < 0.)])
            })
        };
        let found: Vec<_> = x.outer_iter().map(odd).collect();
        let (row, word) = found.iter().enumerate().find_map(|(i, odd)| Some((i, (*odd)?)))?;
        let each: Vec<_> = found.iter().map(Option::is_some).collect();
        let row = first + row;
        let first = format!(
            "{what}, row {row}, is far {word} than the training images; --invert if dark and light \
             are exchanged"
        );
        Some(OutOfRange { rows: each.iter().filter(|odd| **odd).count(), each, first })
    }
}

/// The mean and the standard deviation of the entries of an image.
fn moments(image: ArrayView1<'_, f32>) -> (f64, f64) {
    super::scaler::moments(image.iter().map(|&x| x.into()))
}
