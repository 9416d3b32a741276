//! Shifts of the distribution of images: rotation, translation, blur, noise and contrast.
use ndarray::{Array2, ArrayView2};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// A change of an image `[H, W]` with values in `[0, 1]`. The changed image has the same size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shift {
    /// Counter-clockwise rotation about the centre by an angle in degrees, with bilinear
    /// interpolation; 0 outside the image.
    Rotation(f64),
    /// Cyclic translation to the right by a number of pixels, with bilinear interpolation: pixels
    /// that leave the image on the right enter it on the left.
    Translation(f64),
    /// Convolution with a Gaussian of a standard deviation in pixels, cut off at four standard
    /// deviations; 0 outside the image.
    Blur(f64),
    /// `x + σ ε` with `ε ~ N(0, 1)` per pixel, clipped to `[0, 1]`.
    Noise(f64),
    /// `m + c (x − m)` with the image's mean `m` and a factor `c` in `[0, 1]`.
    Contrast(f64),
}

impl Shift {
    /// The changed image `[H, W]`. `rng` is used by [`Shift::Noise`] only.
    ///
    /// ```
    /// use bhn::{data::Shift, random::{Purpose, stream}};
    /// use ndarray::arr2;
    /// let (image, rng) = (arr2(&[[0.0_f32, 1.], [0., 0.]]), &mut stream(0, Purpose::Images, 2));
    /// let turned = Shift::Rotation(90.).apply(image.view(), rng);
    /// assert!((turned - arr2(&[[1., 0.], [0., 0.]])).iter().all(|d| d.abs() < 1e-6));
    /// ```
    ///
    /// # Panics
    /// If the standard deviation of a blur is not positive.
    pub fn apply(self, image: ArrayView2<'_, f32>, rng: &mut dyn Rng) -> Array2<f32> {
        match self {
            Self::Rotation(degrees) => rotated(image, degrees),
            Self::Translation(pixels) => translated(image, pixels),
            Self::Blur(sigma) => blurred(image, sigma),
            Self::Noise(sigma) => image.mapv(|x| {
                let noise: f64 = rng.sample(StandardNormal);
                (f64::from(x) + sigma * noise).clamp(0., 1.) as f32
            }),
            Self::Contrast(factor) => {
                let mean = image.iter().map(|&x| f64::from(x)).sum::<f64>() / image.len() as f64;
                image.mapv(|x| (mean + factor * (f64::from(x) - mean)) as f32)
            }
        }
    }

    /// The changed images `[N, H·W]` of `x [N, H·W]`, each a row.
    ///
    /// # Panics
    /// If the rows do not have `H·W` entries.
    pub fn apply_to_rows(
        self,
        x: ArrayView2<'_, f32>,
        [height, width]: [usize; 2],
        rng: &mut dyn Rng,
    ) -> Array2<f32> {
        let mut changed = Array2::zeros(x.raw_dim());
        for (from, mut to) in x.rows().into_iter().zip(changed.rows_mut()) {
            let image = from.to_shape((height, width)).expect("images of this size");
            let image = self.apply(image.view(), rng);
            to.assign(&image.to_shape(height * width).expect("the same size"));
        }
        changed
    }
}

/// The value at `(row, column)` by bilinear interpolation of the four nearest pixels;
/// `pixel(i, j)` is the value of pixel `(i, j)`, which may lie outside the image.
fn interpolated(row: f64, column: f64, pixel: impl Fn(isize, isize) -> f32) -> f32 {
    let (top, left) = (row.floor(), column.floor());
    let (down, right) = (row - top, column - left);
    let (i, j) = (top as isize, left as isize);
    let at = |i, j, weight: f64| if weight == 0. { 0. } else { weight * f64::from(pixel(i, j)) };
    let above = at(i, j, (1. - down) * (1. - right)) + at(i, j + 1, (1. - down) * right);
    (above + at(i + 1, j, down * (1. - right)) + at(i + 1, j + 1, down * right)) as f32
}

fn rotated(image: ArrayView2<'_, f32>, degrees: f64) -> Array2<f32> {
    let (height, width) = image.dim();
    let (sin, cos) = sin_cos(degrees);
    let centre = |length: usize| (length as f64 - 1.) / 2.;
    let (middle, centre) = (centre(height), centre(width));
    let pixel = |i: isize, j: isize| {
        let place = usize::try_from(i).ok().zip(usize::try_from(j).ok());
        place.and_then(|place| image.get(place)).copied().unwrap_or(0.)
    };
    // A pixel takes the value of the place that is rotated to it. Rows count downwards.
    Array2::from_shape_fn((height, width), |(i, j)| {
        let (down, right) = (i as f64 - middle, j as f64 - centre);
        interpolated(middle + cos * down + sin * right, centre + cos * right - sin * down, pixel)
    })
}

/// Sine and cosine of an angle in degrees, exact for multiples of 90.
fn sin_cos(degrees: f64) -> (f64, f64) {
    match degrees.rem_euclid(360.) {
        0. => (0., 1.),
        90. => (1., 0.),
        180. => (0., -1.),
        270. => (-1., 0.),
        angle => angle.to_radians().sin_cos(),
    }
}

fn translated(image: ArrayView2<'_, f32>, pixels: f64) -> Array2<f32> {
    let width = image.ncols() as isize;
    let pixel = |i: isize, j: isize| image[[i as usize, j.rem_euclid(width) as usize]];
    let value = |(i, j): (usize, usize)| interpolated(i as f64, j as f64 - pixels, pixel);
    Array2::from_shape_fn(image.dim(), value)
}

fn blurred(image: ArrayView2<'_, f32>, sigma: f64) -> Array2<f32> {
    assert!(sigma > 0., "Shift::Blur: standard deviation {sigma}");
    let reach = (4. * sigma).ceil() as usize;
    let weight = |d: usize| (-0.5 * (d as f64 / sigma).powi(2)).exp();
    let sum = weight(0) + 2. * (1..=reach).map(weight).sum::<f64>();
    let weights: Vec<_> = (0..=reach).map(|d| weight(d) / sum).collect();
    // The Gaussian is a product, so that rows and columns are blurred one after the other.
    let along = |image: Array2<f64>| {
        Array2::from_shape_fn(image.dim(), |(i, j)| {
            let (first, last) = (j.saturating_sub(reach), (j + reach).min(image.ncols() - 1));
            (first..=last).map(|k| weights[j.abs_diff(k)] * image[[i, k]]).sum::<f64>()
        })
    };
    let rows = along(image.mapv(f64::from));
    let both = along(rows.reversed_axes());
    both.reversed_axes().mapv(|x| x as f32).as_standard_layout().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use ndarray::{Array, arr2};

    fn apply(shift: Shift, image: &Array2<f32>) -> Array2<f32> {
        shift.apply(image.view(), &mut stream(0, Purpose::Images, 2))
    }

    fn near(found: &Array2<f32>, expected: &Array2<f32>) -> bool {
        found.dim() == expected.dim() && (found - expected).iter().all(|d| d.abs() < 1e-6)
    }

    /// `[3, 4]`, all entries different.
    fn image() -> Array2<f32> {
        Array::from_shape_fn((3, 4), |(i, j)| (4 * i + j) as f32 / 16.)
    }

    #[test]
    fn rotations_by_right_angles_permute_pixels() {
        let square = arr2(&[[1., 2., 3.], [4., 5., 6.], [7., 8., 9.]]);
        let counter_clockwise = arr2(&[[3., 6., 9.], [2., 5., 8.], [1., 4., 7.]]);
        assert_eq!(apply(Shift::Rotation(90.), &square), counter_clockwise);
        assert_eq!(apply(Shift::Rotation(0.), &image()), image());
        let mut half = image().flatten().to_vec();
        half.reverse();
        assert_eq!(apply(Shift::Rotation(180.), &image()).flatten().to_vec(), half);
        assert_eq!(apply(Shift::Rotation(-90.), &counter_clockwise), square);
    }

    /// A rotated blob lies where the rotation takes its centre, and keeps its mass.
    #[test]
    fn rotation_moves_a_blob_about_the_centre() {
        let at = |row: f64, column: f64| {
            Array2::from_shape_fn((41, 41), |(i, j)| {
                let (down, right) = (i as f64 - row, j as f64 - column);
                (-(down * down + right * right) / 18.).exp() as f32
            })
        };
        // 30° from the right of the centre (20, 20) towards the top.
        let turned = apply(Shift::Rotation(30.), &at(20., 28.));
        let (sin, cos) = 30_f64.to_radians().sin_cos();
        let expected = at(20. - 8. * sin, 20. + 8. * cos);
        // Bilinear interpolation errs by at most h²/8 (|f_xx| + |f_yy|) = 2/(8 · 9) for a Gaussian
        // of variance 9.
        let error = (&turned - &expected).iter().fold(0_f32, |most, d| most.max(d.abs()));
        assert!(error < 2. / 72., "{error}");
        // The mass beyond 12 pixels is e⁻⁸.
        assert!((turned.sum() / expected.sum() - 1.).abs() < 1e-3);
    }

    #[test]
    fn translation_is_cyclic_and_interpolates() {
        let row = |row: [f32; 4]| Array2::from_shape_vec((1, 4), row.to_vec()).unwrap();
        let image = row([1., 2., 4., 8.]);
        assert_eq!(apply(Shift::Translation(1.), &image), row([8., 1., 2., 4.]));
        assert_eq!(apply(Shift::Translation(-1.), &image), row([2., 4., 8., 1.]));
        assert_eq!(apply(Shift::Translation(4.), &image), image);
        assert_eq!(apply(Shift::Translation(0.5), &image), row([4.5, 1.5, 3., 6.]));
    }

    /// A point becomes a Gaussian; far from the border the mass is kept.
    #[test]
    fn blur_of_a_point_is_a_gaussian() {
        let mut point = Array2::zeros((21, 31));
        point[[9, 16]] = 1.;
        let found = apply(Shift::Blur(1.5), &point);
        let weight = |d: f64| (-d * d / 4.5).exp();
        let sum: f64 = (-6..=6).map(|d| weight(f64::from(d))).sum();
        let expected = Array2::from_shape_fn((21, 31), |(i, j)| {
            let (down, right) = ((i as f64 - 9.).abs(), (j as f64 - 16.).abs());
            let inside = down <= 6. && right <= 6.;
            if inside { (weight(down) * weight(right) / (sum * sum)) as f32 } else { 0. }
        });
        assert!(near(&found, &expected));
        assert!((found.sum() - 1.).abs() < 1e-5);
        // At the border of an image of ones, half of the kernel and half of its centre remain.
        let edge = apply(Shift::Blur(1.5), &Array2::ones((21, 31)))[[10, 0]];
        assert!((f64::from(edge) - 0.5 * (1. + 1. / sum)).abs() < 1e-6, "{edge}");
    }

    /// Away from the limits the noise has the given deviation; all values stay in `[0, 1]`.
    #[test]
    fn noise_has_its_deviation_and_is_clipped() {
        let n = 100 * 100;
        let found = apply(Shift::Noise(0.1), &Array2::from_elem((100, 100), 0.5));
        let mean = found.iter().map(|&x| f64::from(x)).sum::<f64>() / f64::from(n);
        let square = found.iter().map(|&x| (f64::from(x) - 0.5).powi(2)).sum::<f64>();
        // Standard errors: σ/√n of the mean, and a fraction √(2/n) of the variance.
        assert!((mean - 0.5).abs() < 4. * 0.1 / f64::from(n).sqrt(), "{mean}");
        let variance = square / f64::from(n) / 0.01;
        assert!((variance - 1.).abs() < 4. * (2. / f64::from(n)).sqrt(), "{variance}");
        let found = apply(Shift::Noise(1.), &Array2::from_elem((100, 100), 0.5));
        assert!(found.iter().all(|x| (0. ..=1.).contains(x)));
        // Φ(−½) = 0.3085 of the pixels are at each limit; four standard errors are 0.0185.
        let black = found.iter().filter(|x| **x == 0.).count() as f64 / f64::from(n);
        assert!((black - 0.3085).abs() < 0.0185, "{black}");
    }

    #[test]
    fn contrast_scales_deviations_from_the_mean() {
        let image = arr2(&[[0., 1.], [0., 0.]]);
        let found = apply(Shift::Contrast(0.4), &image);
        assert!(near(&found, &arr2(&[[0.15, 0.55], [0.15, 0.15]])));
        assert!(near(&apply(Shift::Contrast(1.), &image), &image));
        assert!(near(&apply(Shift::Contrast(0.), &image), &arr2(&[[0.25; 2]; 2])));
    }

    /// Each row is an image of its own, and noise differs between images.
    #[test]
    fn rows_are_changed_one_by_one() {
        let one = image();
        let flat = one.to_shape(12).unwrap();
        let two = ndarray::stack![ndarray::Axis(0), flat, flat];
        let rng = &mut stream(0, Purpose::Images, 2);
        let found = Shift::Rotation(20.).apply_to_rows(two.view(), [3, 4], rng);
        let expected = apply(Shift::Rotation(20.), &one);
        assert_eq!(found.row(0), expected.to_shape(12).unwrap());
        assert_eq!(found.row(0), found.row(1));
        let found = Shift::Noise(0.3).apply_to_rows(two.view(), [3, 4], rng);
        assert_ne!(found.row(0), found.row(1));
    }
}
