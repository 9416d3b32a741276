//! Convolutions of single images in place: what one row of the window covers is contiguous, and its
//! neighbours are `stride·C` elements apart. These are the rows of a matrix, overlapping in memory,
//! that the micro-kernel reads without unfolding them.
use super::unfold::{pad, pad_backward, unfold, unfold_columns};
use super::window::{Sliding, Window};
use crate::kernels::gemm::micro::Micro;
use crate::kernels::gemm::packed::panel_product;
use crate::kernels::scalar::Scalar;
use crate::kernels::workspace::with_workspace;

/// Images are unfolded if a row of the window has fewer bytes, as products would be too short. The
/// same for every processor, as it decides the order of sums.
const SHORT: usize = 128;

/// `y [H'·W', N]` of `x [H, W, C]` and panels of `wᵀ`: a product for each row of the window, added
/// up.
pub fn forward<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    x: &[T],
    (panels, n): (&[T], usize),
    y: &mut [T],
) {
    let mut rows = |over: &Sliding, x: &[T]| {
        let ([height, width], k) = (over.positions, over.row_len());
        let step = over.window.stride[1] * over.channels();
        let panels = panels.chunks_exact(over.covered() * micro.cols);
        for (j, panel) in (0..n).step_by(micro.cols).zip(panels) {
            for down in 0..height {
                let y = &mut y[down * width * n + j..];
                for (row, panel) in panel.chunks_exact(k * micro.cols).enumerate() {
                    let beta = if row == 0 { T::zero() } else { T::one() };
                    let a = (&x[over.offset([down, 0], row)..], [step, 1]);
                    panel_product(micro, a, (panel, micro.cols), beta, (y, n), [width, k, n - j]);
                }
            }
        }
    };
    if over.row_len() < SHORT / size_of::<T>() {
        let image = [1, over.count(), over.covered()];
        let pixels = Window::new([1, 1]).over(image).expect("one by one");
        unfold(over, x, |unfolded| rows(&pixels, unfolded));
    } else {
        pad(over, x, |x| rows(&over.padded(), x));
    }
}

/// Adds the gradient by the input to `dx`: a product for each place in the window, given panels of
/// the weights `[N, C]` of each. The pixels that one place covers at different positions are
/// distinct.
pub fn backward_input<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    dy: &[T],
    (panels, n): (&[T], usize),
    dx: &mut [T],
) {
    let ([height, width], c, inner) = (over.positions, over.channels(), over.padded());
    let (size, step) = (over.window.size, over.window.stride[1] * c);
    let places = (0..size[0]).flat_map(|y| (0..size[1]).map(move |x| (y, x)));
    let products = places.flat_map(|place| (0..c).step_by(micro.cols).map(move |j| (place, j)));
    pad_backward(over, dx, |dx| {
        for (((row, column), j), panel) in products.zip(panels.chunks_exact(n * micro.cols)) {
            for down in 0..height {
                let a = (&dy[down * width * n..], [n, 1]);
                let dx = &mut dx[inner.offset([down, 0], row) + column * c + j..];
                let size = [width, n, c - j];
                panel_product(micro, a, (panel, micro.cols), T::one(), (dx, step), size);
            }
        }
    });
}

/// Adds the gradient by the weights to `dw [N, h·w·C]`: a product of `dyᵀ` with each panel of
/// columns of the unfolded image, unfolded one at a time.
pub fn backward_weight<T: Scalar>(
    micro: Micro<T>,
    over: &Sliding,
    x: &[T],
    (dy, n): (&[T], usize),
    dw: &mut [T],
) {
    let (k, count, inner) = (over.covered(), over.count(), over.padded());
    pad(over, x, |x| {
        with_workspace(count * micro.cols, |panel| {
            for j in (0..k).step_by(micro.cols) {
                unfold_columns(&inner, x, j..k.min(j + micro.cols), micro.cols, panel);
                let (a, dw) = ((dy, [1, n]), &mut dw[j..]);
                let size = [n, count, k - j];
                panel_product(micro, a, (&*panel, micro.cols), T::one(), (dw, k), size);
            }
        });
    });
}
