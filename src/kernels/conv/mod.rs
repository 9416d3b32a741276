//! Convolutions of images `[H, W, C]`, channels last, and both gradients.
//!
//! `window.rs` holds the shapes. There are three routes:
//!
//! * `winograd.rs` handles windows of 3 × 3 over enough channels, with fewer multiplications.
//! * `direct.rs` handles any other window, by micro-kernels that read images in place or unfolded.
//! * `unfold.rs` computes one product with the unfolded image (im2col), on processors without
//!   micro-kernels.
//!
//! In the formulas, `x[b, p + k]` is the entry of image `b` that lies under entry `k` of the window
//! when the window is at position `p`.
mod direct;
mod unfold;
mod window;
mod winograd;

pub use window::{Sliding, Window};

use super::gemm::micro::Micro;
use super::gemm::operand::Operand;
use super::gemm::packed::pack;
use super::gemm::{Form, Packed, Precision};
use super::parallel;
use super::scalar::Scalar;
use super::vector::{CHUNK, axpy};
use super::workspace::{elements, with_workspace};
use ndarray::{ArrayView2, ArrayViewMut2, s};

/// The maximum number of tasks of [`backward_weight`]; each sums over a part of the batch.
const PARTS: usize = 8;

/// If the window covers fewer entries than this, products take less time than the windows' copies,
/// which would have to be rounded.
const FEW: usize = 64;

/// The precision in which a convolution with `n` output channels is computed, if `precision` is
/// asked for: small windows, and those of Winograd's algorithm, are faster in `f32` than in
/// bfloat16.
pub fn precision(precision: Precision, over: &Sliding, n: usize) -> Precision {
    let is_faster = over.covered() >= FEW && !winograd::suits(over, n);
    if is_faster { precision } else { Precision::F32 }
}

/// `y[b, p, n] = Σₖ w[n, k] x[b, p + k]` for images `x [B, H, W, C]` and weights `w [N, h·w·C]`,
/// packed as `wᵀ` in the [`precision()`] wanted, giving `y [B, H', W', N]`. Padding counts as
/// zeros.
///
/// # Panics
/// Unless the lengths agree.
pub fn forward<T: Scalar>(over: &Sliding, x: &[T], w: &Packed<T>, y: &mut [T]) {
    let [k, n] = w.shape();
    if batch(over, x, [n, k], y) * n == 0 {
        return;
    }
    if let (true, &Form::Panels { micro, ref panels, .. }) = (winograd::suits(over, n), &w.0) {
        return winograd::forward(micro, over, x, (panels, n), y);
    }
    let tasks = y.chunks_mut(over.count() * n).zip(x.chunks(over.image_len()));
    parallel::for_each(tasks, |(y, x)| match &w.0 {
        Form::Panels { micro, panels, .. } => direct::forward(*micro, over, x, (panels, n), y),
        Form::Pairs { micro, panels, .. } => direct::forward(*micro, over, x, (panels, n), y),
        Form::Plain(w) => unfold::forward(over, x, w.view(), y),
    });
}

/// `dx[b, q, c] ← β dx + Σ w[n, k] dy[b, p, n]` over all `n` and over the positions `p` at which
/// entry `k` of the window covers entry `q, c` of the image, for `β` 0 or 1.
///
/// # Panics
/// Unless the lengths agree.
pub fn backward_input<T: Scalar>(
    precision: Precision,
    over: &Sliding,
    dy: &[T],
    w: ArrayView2<'_, T>,
    beta: T,
    dx: &mut [T],
) {
    let (n, k) = w.dim();
    let images = batch(over, dx, [n, k], dy);
    let (micro, suits) = (T::micro(), winograd::suits(over, n));
    if let (true, Some(micro), 1..) = (suits, micro, images) {
        return with_panels(micro, over, w, |panels| {
            winograd::backward_input(micro, over, dy, (panels, n), beta, dx);
        });
    }
    if beta == T::zero() {
        dx.fill(beta);
    }
    if images * n == 0 {
        return;
    }
    let tasks = dx.chunks_mut(over.image_len()).zip(dy.chunks(over.count() * n));
    match (self::precision(precision, over, n).pairs(), micro) {
        (Some(micro), _) => with_panels(micro, over, w, |panels| {
            let run = |(dx, dy)| direct::backward_input(micro, over, dy, (panels, n), dx);
            parallel::for_each(tasks, run);
        }),
        (None, Some(micro)) => with_panels(micro, over, w, |panels| {
            let run = |(dx, dy)| direct::backward_input(micro, over, dy, (panels, n), dx);
            parallel::for_each(tasks, run);
        }),
        (None, None) => {
            parallel::for_each(tasks, |(dx, dy)| unfold::backward_input(over, dy, w, dx));
        }
    }
}

/// Calls `f` with panels of the weights `[N, C]` at each place of the window.
fn with_panels<T: Scalar, X: Operand<T>>(
    micro: Micro<T, X>,
    over: &Sliding,
    w: ArrayView2<'_, T>,
    f: impl FnOnce(&[X]),
) {
    let (c, places) = (over.channels(), over.window.size.iter().product::<usize>());
    let panel = elements("conv", [X::count(w.nrows()), c.next_multiple_of(micro.cols)]);
    with_workspace(elements("conv", [places, panel]), |panels| {
        for (place, panels) in panels.chunks_exact_mut(panel).enumerate() {
            pack(micro, w.slice(s![.., place * c..(place + 1) * c]), panels);
        }
        f(panels);
    });
}

/// `dw[n, k] ← β dw + Σ dy[b, p, n] x[b, p + k]` over images and positions, for `β` 0 or 1.
///
/// # Panics
/// Unless the lengths agree, and `dw` is row-major.
pub fn backward_weight<T: Scalar>(
    precision: Precision,
    over: &Sliding,
    x: &[T],
    dy: &[T],
    beta: T,
    mut dw: ArrayViewMut2<'_, T>,
) {
    let (n, k) = dw.dim();
    let images = batch(over, x, [n, k], dy);
    let (micro, pairs) = (T::micro(), self::precision(precision, over, n).pairs());
    let dw = dw.as_slice_mut().expect("row-major");
    if beta == T::zero() {
        dw.fill(beta);
    }
    if images * n == 0 {
        return;
    }
    let part = images.div_ceil(PARTS);
    let (image, out) = (over.image_len(), over.count() * n);
    let all = elements("conv", [images.div_ceil(part), elements("conv", [n, k])]);
    with_workspace(all, |sums| {
        let tasks = x.chunks(part * image).zip(dy.chunks(part * out));
        parallel::for_each(tasks.zip(sums.chunks_mut(n * k)), |((x, dy), sum)| {
            if let (true, Some(micro)) = (winograd::suits(over, n), micro) {
                return winograd::backward_weight(micro, over, x, (dy, n), sum);
            }
            sum.fill(T::zero());
            for (x, dy) in x.chunks_exact(image).zip(dy.chunks_exact(out)) {
                match (pairs, micro) {
                    (Some(micro), _) => direct::backward_weight(micro, over, x, (dy, n), sum),
                    (_, Some(micro)) => direct::backward_weight(micro, over, x, (dy, n), sum),
                    _ => unfold::backward_weight(over, x, (dy, n), sum),
                }
            }
        });
        parallel::for_each(dw.chunks_mut(CHUNK).enumerate(), |(i, dw)| {
            for sum in sums.chunks_exact(n * k) {
                axpy(T::one(), &sum[i * CHUNK..][..dw.len()], dw);
            }
        });
    });
}

/// The number of images; checks the lengths.
fn batch<T>(over: &Sliding, x: &[T], [n, k]: [usize; 2], y: &[T]) -> usize {
    let image = over.image_len();
    let images = x.len().checked_div(image).unwrap_or(0);
    let outputs = over.count().checked_mul(n).and_then(|out| out.checked_mul(images));
    assert!(
        k == over.covered() && x.len() == images * image && outputs == Some(y.len()),
        "conv: {} entries of {over:?} with weights [{n}, {k}] and {} outputs",
        x.len(),
        y.len()
    );
    images
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::path::Path;
    use crate::kernels::plain;
    use ndarray::Array2;
    use rand::{SeedableRng, rngs::ChaCha8Rng};
    use rand_distr::{Distribution, StandardNormal};

    /// Small integers, whose sums are exact.
    fn integers<T: Scalar>(n: usize, seed: usize) -> Vec<T> {
        (0..n).map(|i| T::of(((i * 31 + i / 7 * 17 + seed) % 13) as f64 - 6.)).collect()
    }

    /// Every route, whether or not this processor would take it, with and without `β`.
    fn routes<T: Scalar>(precision: Precision) {
        Path::each(|path| {
            let weights_of =
                |n, k| Array2::from_shape_vec((n, k), integers::<T>(n * k, 5)).unwrap();
            for (images, image, window, n) in [
                (2, [5, 6, 3], Window::of([2, 3], [1, 1], [0, 0]), 4),
                (1, [1, 1, 1], Window::of([1, 1], [1, 1], [0, 0]), 1),
                (9, [4, 4, 2], Window::of([3, 3], [1, 1], [0, 0]), 70),
                (2, [3, 19, 11], Window::of([1, 3], [1, 1], [0, 0]), 33),
                (3, [7, 33, 8], Window::of([3, 4], [1, 2], [0, 0]), 17),
                (2, [9, 8, 40], Window::of([3, 2], [4, 3], [0, 0]), 5),
                (2, [4, 5, 33], Window::of([3, 3], [1, 1], [1, 1]), 16),
                (2, [3, 2, 5], Window::of([5, 4], [2, 1], [2, 3]), 3),
                (2, [4, 5, 33], Window::of([3, 3], [1, 1], [1, 2]), 16),
                (9, [8, 7, 16], Window::of([3, 3], [1, 1], [0, 0]), 35),
                (3, [6, 11, 50], Window::of([3, 3], [1, 1], [0, 0]), 17),
                (40, [6, 6, 17], Window::of([3, 3], [1, 1], [2, 2]), 16),
                (3, [4, 42, 50], Window::of([3, 3], [1, 1], [0, 0]), 17),
                (2, [38, 37, 16], Window::of([3, 3], [1, 1], [0, 0]), 16),
                (2, [2, 2, 3], Window::of([1, 1], [3, 2], [0, 0]), 0),
                (0, [2, 2, 3], Window::of([1, 1], [1, 1], [0, 0]), 3),
            ] {
                let over = window.over(image).unwrap();
                let (k, len) = (over.covered(), images * over.image_len());
                let (x, w) = (integers::<T>(len, 1), weights_of(n, k));
                let dy = integers::<T>(images * over.count() * n, 3);
                // Winograd's sums round, by far less than the 1 by which integers differ; others
                // do not.
                let rounds = path != Path::Portable && winograd::suits(&over, n);
                let most = T::of(if rounds { 1e5 } else { 0. }) * T::epsilon();
                let check = |found: &[T], expected: &[T], beta: T| {
                    let is_near = |(&y, &e): (&T, &T)| (y - e).abs() <= most;
                    assert!(found.iter().zip(expected).all(is_near), "{over:?}, β = {beta}");
                };
                let [mut found, mut expected] = [(); 2].map(|()| vec![T::nan(); dy.len()]);
                let packed = super::precision(precision, &over, n).pack(w.t());
                forward(&over, &x, &packed, &mut found);
                plain::conv2d(&over, &x, w.view(), &mut expected);
                check(&found, &expected, T::zero());
                for (beta, start) in [(T::zero(), T::nan()), (T::one(), T::one())] {
                    let [mut found, mut expected] = [(); 2].map(|()| vec![start; len]);
                    backward_input(precision, &over, &dy, w.view(), beta, &mut found);
                    plain::conv2d_backward_input(&over, &dy, w.view(), beta, &mut expected);
                    check(&found, &expected, beta);
                    let [mut found, mut expected] =
                        [(); 2].map(|()| Array2::from_elem((n, k), start));
                    backward_weight(precision, &over, &x, &dy, beta, found.view_mut());
                    plain::conv2d_backward_weight(&over, &x, &dy, beta, expected.view_mut());
                    check(found.as_slice().unwrap(), expected.as_slice().unwrap(), beta);
                }
            }
        });
    }

    #[test]
    fn every_route_matches_reference_in_f32() {
        routes::<f32>(Precision::F32);
    }

    /// The integers are bfloat16 numbers.
    #[test]
    fn every_route_matches_reference_in_bf16() {
        routes::<f32>(Precision::Bf16);
    }

    #[test]
    fn every_route_matches_reference_in_f64() {
        routes::<f64>(Precision::F32);
    }

    /// The claim of `winograd.rs` about its points: here the errors are at most 2.2 times those of
    /// a running sum; with the points 1 and 2 they would be 4 times as large.
    #[test]
    fn winograd_error_is_within_three_times_a_plain_sum() {
        let (images, n) = (4, 16);
        let over = Window::new([3, 3]).over([10, 10, 64]).unwrap();
        assert!(winograd::suits(&over, n));
        let (k, count) = (over.covered(), images * over.count() * n);
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let mut normal =
            |len| StandardNormal.sample_iter(&mut *rng).take(len).collect::<Vec<f32>>();
        let [x, w, dy] = [images * over.image_len(), n * k, count].map(&mut normal);
        let mut plain = [count, x.len(), w.len()].map(|len| vec![0_f32; len]);
        let mut exact = [count, x.len(), w.len()].map(|len| vec![0_f64; len]);
        plain::conv2d_terms(&over, n, images, |i, [unit, place], q| {
            let j = unit * k + place;
            for (to, at, a, b) in [(0, i, w[j], x[q]), (1, q, w[j], dy[i]), (2, j, dy[i], x[q])] {
                plain[to][at] = a.mul_add(b, plain[to][at]);
                exact[to][at] = f64::from(a).mul_add(f64::from(b), exact[to][at]);
            }
        });
        let weights = Array2::from_shape_vec((n, k), w.clone()).unwrap();
        Path::each(|_| {
            let (mut y, mut dx) = (vec![0.; count], vec![0.; x.len()]);
            let mut dw = Array2::zeros((n, k));
            forward(&over, &x, &Packed::new(weights.t()), &mut y);
            backward_input(Precision::F32, &over, &dy, weights.view(), 0., &mut dx);
            backward_weight(Precision::F32, &over, &x, &dy, 0., dw.view_mut());
            for (i, found) in [&y[..], &dx, dw.as_slice().unwrap()].into_iter().enumerate() {
                let error = |found: &[f32]| {
                    let errors = found.iter().zip(&exact[i]).map(|(&y, e)| f64::from(y) - e);
                    errors.map(|error| error.powi(2)).sum::<f64>().sqrt()
                };
                let ratio = error(found) / error(&plain[i]);
                assert!(ratio < 3., "{ratio} times as much in {i}");
            }
        });
    }
}
