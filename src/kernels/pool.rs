//! Pools: the largest entry or the mean of what a window covers, channel by channel, for images
//! `[H, W, C]` without padding.
use super::conv::Sliding;
use super::path::versions;
use crate::kernels::scalar::Scalar;
use rayon::prelude::*;

/// `y[p, c] = max x[p + k, c]`; NaN if one is.
///
/// # Panics
/// Unless the lengths agree and there is no padding.
pub fn max<T: Scalar>(over: &Sliding, x: &[T], y: &mut [T]) {
    let [image, out] = lengths(over, x.len(), y.len());
    y.par_chunks_mut(out).zip(x.par_chunks(image)).for_each(|(y, x)| max_image(over, x, y));
}

/// Adds `dy` to `dx` where `x` was the largest, or NaN, to the first of several.
///
/// # Panics
/// As [`max`].
pub fn max_backward<T: Scalar>(over: &Sliding, x: &[T], y: &[T], dy: &[T], dx: &mut [T]) {
    let [image, out] = lengths(over, dx.len(), dy.len());
    assert!(x.len() == dx.len() && y.len() == dy.len(), "pool: lengths differ");
    let tasks = dx.par_chunks_mut(image).zip(x.par_chunks(image));
    let tasks = tasks.zip(y.par_chunks(out).zip(dy.par_chunks(out)));
    tasks.for_each(|((dx, x), (y, dy))| max_backward_image(over, [x, y, dy], dx));
}

/// `y[p, c] = mean x[p + k, c]`, summed in `f64`.
///
/// # Panics
/// As [`max`].
pub fn mean<T: Scalar>(over: &Sliding, x: &[T], y: &mut [T]) {
    let [image, out] = lengths(over, x.len(), y.len());
    y.par_chunks_mut(out).zip(x.par_chunks(image)).for_each(|(y, x)| mean_image(over, x, y));
}

/// Adds each place's share of `dy` to `dx`.
///
/// # Panics
/// As [`max`].
pub fn mean_backward<T: Scalar>(over: &Sliding, dy: &[T], dx: &mut [T]) {
    let [image, out] = lengths(over, dx.len(), dy.len());
    let tasks = dx.par_chunks_mut(image).zip(dy.par_chunks(out));
    tasks.for_each(|(dx, dy)| mean_backward_image(over, dy, dx));
}

/// Entries of an image, and of what a pool makes of it, where there are so many of all.
fn lengths(over: &Sliding, x: usize, y: usize) -> [usize; 2] {
    let [image, out] = [over.entries(), over.count() * over.channels()];
    let fits = over.window().padding == [0, 0] && x.is_multiple_of(image) && x / image * out == y;
    assert!(fits, "pool: {x} entries of {over:?} and {y} outputs");
    [image, out]
}

/// Where everything is that the window covers at its position number `i`.
#[inline(always)]
fn places(over: &Sliding, i: usize) -> impl Iterator<Item = usize> {
    let (over, [_, width], [h, w]) = (*over, over.positions(), over.window().size);
    (0..h * w).map(move |k| over.start([i / width, i % width], k / w) + k % w * over.channels())
}

versions! {
    fn max_image[T: Scalar](over: &Sliding, x: &[T], y: &mut [T]) {
        let c = over.channels();
        for (i, y) in y.chunks_exact_mut(c).enumerate() {
            for (k, at) in places(over, i).enumerate() {
                let x = &x[at..at + c];
                if k == 0 {
                    y.copy_from_slice(x);
                }
                let larger = |x: T, y: T| if x > y || x.is_nan() { x } else { y };
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = larger(x, *y));
            }
        }
    }
}

versions! {
    fn max_backward_image[T: Scalar](over: &Sliding, inputs: [&[T]; 3], dx: &mut [T]) {
        let ([x, y, dy], c) = (inputs, over.channels());
        let mut left = vec![T::zero(); c];
        for (i, (y, dy)) in y.chunks_exact(c).zip(dy.chunks_exact(c)).enumerate() {
            left.copy_from_slice(dy);
            for at in places(over, i) {
                let (x, dx) = (&x[at..at + c], &mut dx[at..at + c]);
                for (((&x, &y), left), dx) in x.iter().zip(y).zip(&mut left).zip(dx) {
                    let here = x == y || x.is_nan();
                    *dx += if here { *left } else { T::zero() };
                    *left = if here { T::zero() } else { *left };
                }
            }
        }
    }
}

versions! {
    fn mean_image[T: Scalar](over: &Sliding, x: &[T], y: &mut [T]) {
        let (c, n) = (over.channels(), covered(over));
        let mut sums = vec![0.; c];
        for (i, y) in y.chunks_exact_mut(c).enumerate() {
            sums.fill(0.);
            for at in places(over, i) {
                sums.iter_mut().zip(&x[at..at + c]).for_each(|(sum, x)| *sum += x.f64());
            }
            y.iter_mut().zip(&sums).for_each(|(y, sum)| *y = T::of(sum / n));
        }
    }
}

versions! {
    fn mean_backward_image[T: Scalar](over: &Sliding, dy: &[T], dx: &mut [T]) {
        let (c, n) = (over.channels(), T::of(covered(over)));
        let mut shares = vec![T::zero(); c];
        for (i, dy) in dy.chunks_exact(c).enumerate() {
            shares.iter_mut().zip(dy).for_each(|(share, &dy)| *share = dy / n);
            for at in places(over, i) {
                dx[at..at + c].iter_mut().zip(&shares).for_each(|(dx, &share)| *dx += share);
            }
        }
    }
}

/// `h·w`.
fn covered(over: &Sliding) -> f64 {
    over.window().size.iter().product::<usize>() as f64
}
