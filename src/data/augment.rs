//! Data augmentation: random shifts and horizontal flips of images.
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayViewMut3, s};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Random changes of each image of a minibatch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Largest shift in pixels, vertically and horizontally. Each shift is drawn uniformly from
    /// `−shift..=shift`; vacated pixels become 0.
    pub shift: usize,
    /// Whether to flip an image horizontally with probability ½.
    pub flip: bool,
}

impl Augment {
    /// Checks that the inputs are images `[C, H, W]`, and that the shift is less than their height
    /// and width.
    ///
    /// # Errors
    /// If `image` is `None`, or the shift is too large.
    pub fn check(self, image: Option<[usize; 3]>) -> Result<()> {
        let what = "train.augment";
        let Some([_, height, width]) = image else {
            return Err(Error::invalid(what, "rows of a table", "images", "Leave it out."));
        };
        let limit = height.min(width) - 1;
        if self.shift > limit {
            let expected = format!("at most {limit}, on images of {height} × {width}");
            let found = format!("a shift of {}", self.shift);
            return Err(Error::invalid(what, found, expected, "Make it smaller."));
        }
        Ok(())
    }

    /// Shifts and flips each of the images `x [B, C·H·W]` at random, in place.
    ///
    /// # Panics
    /// If the images do not have the shape `image = [C, H, W]`.
    pub fn apply(self, x: &mut Array2<f32>, image: [usize; 3], rng: &mut dyn Rng) {
        for mut row in x.rows_mut() {
            let pixels = row.as_slice_mut().expect("row-major");
            let mut image = ArrayViewMut3::from_shape(image, pixels).expect("B images");
            let range = 2 * self.shift;
            let [down, right] = [(); 2].map(|()| rng.random_range(0..=range) as isize);
            let by = [down, right].map(|by| by - self.shift as isize);
            if rng.random::<bool>() && self.flip {
                let copy = image.to_owned();
                image.assign(&copy.slice(s![.., .., ..;-1]));
            }
            if by != [0, 0] {
                shift(image, by);
            }
        }
    }
}

fn shift(mut image: ArrayViewMut3<'_, f32>, [down, right]: [isize; 2]) {
    let copy = image.to_owned();
    let (_, height, width) = image.dim();
    // Along one axis, the range of old positions that remains in the image, and the range to which
    // it moves.
    let part = |by: isize, length: usize| {
        let kept = length - by.unsigned_abs();
        let (from, to) = ((-by).max(0) as usize, by.max(0) as usize);
        (from..from + kept, to..to + kept)
    };
    let ((from_y, to_y), (from_x, to_x)) = (part(down, height), part(right, width));
    image.fill(0.);
    image.slice_mut(s![.., to_y, to_x]).assign(&copy.slice(s![.., from_y, from_x]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use ndarray::Array;
    use std::collections::HashMap;

    #[test]
    fn shifts_and_flips_are_equally_likely() {
        let image = Array::from_iter((1..13).map(|x| x as f32));
        let (shape, augment) = ([2, 2, 3], Augment { shift: 1, flip: true });
        let mut found: HashMap<Vec<u32>, i32> = HashMap::new();
        let rng = &mut stream(0, Purpose::Augment, 0);
        let mut x = Array2::from_shape_fn((3600, 12), |(_, i)| image[i]);
        augment.apply(&mut x, shape, rng);
        for row in x.rows() {
            *found.entry(row.iter().map(|x| *x as u32).collect()).or_default() += 1;
        }
        // 3 × 3 shifts, flipped or not: 200 each, with a standard deviation of 13.7.
        assert_eq!(found.len(), 18);
        assert!(found.values().all(|count| (count - 200).abs() < 60), "{found:?}");
        // Planes 1 2 3 / 4 5 6 and 7 8 9 / 10 11 12.
        assert!(found.contains_key(&[3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10][..]), "flipped");
        assert!(found.contains_key(&[0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7, 8][..]), "down and right");
        assert!(found.contains_key(&[5, 6, 0, 0, 0, 0, 11, 12, 0, 0, 0, 0][..]), "up and left");
    }

    #[test]
    fn default_augmentation_changes_nothing() {
        let x = Array2::from_shape_fn((5, 12), |(i, j)| (12 * i + j) as f32);
        let mut changed = x.clone();
        Augment::default().apply(&mut changed, [2, 2, 3], &mut stream(0, Purpose::Augment, 0));
        assert_eq!(changed, x);
    }

    #[test]
    fn invalid_shifts_are_refused() {
        let error = |augment: Augment, image| augment.check(image).unwrap_err().to_string();
        let shift = Augment { shift: 3, flip: false };
        assert!(error(shift, Some([1, 3, 9])).contains("at most 2, on images of 3 × 9"));
        assert!(error(shift, None).contains("expected images"));
        assert!(shift.check(Some([1, 4, 4])).is_ok());
    }
}
