//! Pooling: the maximum or the mean of the pixels that a window covers, for each channel of images
//! of shape `[H, W, C]`, without padding.
//!
//! In the formulas, `x[p + k, c]` is channel `c` of the pixel at place `k` of the window when the
//! window is at position `p`.
use super::conv::Sliding;
use super::parallel;
use super::path::multiversion;
use super::scalar::Scalar;

/// `y[p, c] = maxₖ x[p + k, c]`; NaN if any of these entries is NaN.
///
/// # Panics
/// Unless the lengths agree and there is no padding.
pub fn max<T: Scalar>(over: &Sliding, x: &[T], y: &mut [T]) {
    let [image, out] = lengths(over, x.len(), y.len());
    let tasks = y.chunks_mut(out).zip(x.chunks(image));
    parallel::for_each(tasks, |(y, x)| max_image(over, x, y));
}

/// `dx[p + k, c] += dy[p, c]` for the first `k` at which `x` is the maximum or is NaN.
///
/// # Panics
/// Unless the lengths agree and there is no padding.
pub fn max_backward<T: Scalar>(over: &Sliding, x: &[T], y: &[T], dy: &[T], dx: &mut [T]) {
    let [image, out] = lengths(over, dx.len(), dy.len());
    assert!(x.len() == dx.len() && y.len() == dy.len(), "pool: lengths differ");
    let tasks = dx.chunks_mut(image).zip(x.chunks(image));
    let tasks = tasks.zip(y.chunks(out).zip(dy.chunks(out)));
    parallel::for_each(tasks, |((dx, x), (y, dy))| max_backward_image(over, [x, y, dy], dx));
}

/// `y[p, c] = meanₖ x[p + k, c]`, summed in `f64`.
///
/// # Panics
/// Unless the lengths agree and there is no padding.
pub fn mean<T: Scalar>(over: &Sliding, x: &[T], y: &mut [T]) {
    let [image, out] = lengths(over, x.len(), y.len());
    let tasks = y.chunks_mut(out).zip(x.chunks(image));
    parallel::for_each(tasks, |(y, x)| mean_image(over, x, y));
}

/// `dx[p + k, c] += dy[p, c] / (h·w)`.
///
/// # Panics
/// Unless the lengths agree and there is no padding.
pub fn mean_backward<T: Scalar>(over: &Sliding, dy: &[T], dx: &mut [T]) {
    let [image, out] = lengths(over, dx.len(), dy.len());
    let tasks = dx.chunks_mut(image).zip(dy.chunks(out));
    parallel::for_each(tasks, |(dx, dy)| mean_backward_image(over, dy, dx));
}

/// The lengths of an image and of its pooled output; checks the lengths of a batch, and that there
/// is no padding.
fn lengths(over: &Sliding, x: usize, y: usize) -> [usize; 2] {
    let [image, out] = [over.image_len(), over.count() * over.channels()];
    let fits = over.window.padding == [0, 0] && x.is_multiple_of(image) && x / image * out == y;
    assert!(fits, "pool: {x} entries of {over:?} and {y} outputs");
    [image, out]
}

/// Offsets of the pixels that the window covers at its `i`-th position.
#[inline(always)]
fn pixels(over: &Sliding, i: usize) -> impl Iterator<Item = usize> {
    let (over, [_, width], [h, w]) = (*over, over.positions, over.window.size);
    (0..h * w).map(move |k| over.offset([i / width, i % width], k / w) + k % w * over.channels())
}

multiversion! {
    fn max_image[T: Scalar](over: &Sliding, x: &[T], y: &mut [T]) {
        let c = over.channels();
        for (i, y) in y.chunks_exact_mut(c).enumerate() {
            for (k, at) in pixels(over, i).enumerate() {
                let x = &x[at..at + c];
                if k == 0 {
                    y.copy_from_slice(x);
                }
                let larger = |x: T, y: T| if x > y || x.is_nan() { x } else { y };
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = larger(x, *y));
            }
        }
    }

    fn max_backward_image[T: Scalar](over: &Sliding, inputs: [&[T]; 3], dx: &mut [T]) {
        let ([x, y, dy], c) = (inputs, over.channels());
        let mut left = vec![T::zero(); c];
        for (i, (y, dy)) in y.chunks_exact(c).zip(dy.chunks_exact(c)).enumerate() {
            left.copy_from_slice(dy);
            for at in pixels(over, i) {
                let (x, dx) = (&x[at..at + c], &mut dx[at..at + c]);
                for (((&x, &y), left), dx) in x.iter().zip(y).zip(&mut left).zip(dx) {
                    let is_max = x == y || x.is_nan();
                    *dx += if is_max { *left } else { T::zero() };
                    *left = if is_max { T::zero() } else { *left };
                }
            }
        }
    }

    fn mean_image[T: Scalar](over: &Sliding, x: &[T], y: &mut [T]) {
        let (c, n) = (over.channels(), covered(over));
        let mut sums = vec![0.; c];
        for (i, y) in y.chunks_exact_mut(c).enumerate() {
            sums.fill(0.);
            for at in pixels(over, i) {
                sums.iter_mut().zip(&x[at..at + c]).for_each(|(sum, x)| *sum += x.f64());
            }
            y.iter_mut().zip(&sums).for_each(|(y, sum)| *y = T::of(sum / n));
        }
    }

    fn mean_backward_image[T: Scalar](over: &Sliding, dy: &[T], dx: &mut [T]) {
        let (c, n) = (over.channels(), T::of(covered(over)));
        let mut shares = vec![T::zero(); c];
        for (i, dy) in dy.chunks_exact(c).enumerate() {
            shares.iter_mut().zip(dy).for_each(|(share, &dy)| *share = dy / n);
            for at in pixels(over, i) {
                dx[at..at + c].iter_mut().zip(&shares).for_each(|(dx, &share)| *dx += share);
            }
        }
    }
}

/// `h·w`.
fn covered(over: &Sliding) -> f64 {
    over.window.size.iter().product::<usize>() as f64
}
