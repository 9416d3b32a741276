//! Convolutions of single images, read in place. The elements that one row of the window covers are
//! contiguous, and at the next position they begin `stride·C` elements later. So the elements at
//! consecutive positions form a matrix whose rows overlap in memory. The micro-kernel reads this
//! matrix without unfolding the image. Pairs of bfloat16 numbers are made of an unfolded image, as
//! it is rounded.
use super::unfold::{pad, pad_backward, unfold, unfold_columns};
use super::window::{Sliding, Window};
use crate::kernels::gemm::micro::Micro;
use crate::kernels::gemm::operand::{Operand, numbers, with_columns, with_rows};
use crate::kernels::gemm::packed::panel_product;
use crate::kernels::scalar::Scalar;
use crate::kernels::workspace::with_workspace;

/// If a row of the window has fewer bytes than this, images are unfolded, because the inner
/// dimension of the products would be too short. The limit is the same for every processor, because
/// it decides the order of sums.
const SHORT: usize = 128;

/// `y [H'·W', N]` for `x [H, W, C]` and panels of `wᵀ`: the sum of products, one for each row of
/// the window.
pub fn forward<T: Scalar, X: Operand<T>>(
    micro: Micro<T, X>,
    over: &Sliding,
    x: &[T],
    (panels, n): (&[X], usize),
    y: &mut [T],
) {
    // The sizes of `over` count operands here.
    let mut rows = |over: &Sliding, x: &[X]| {
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
    if over.row_len() >= SHORT / size_of::<T>() && X::INNER == 1 {
        return pad(over, x, |x| rows(&over.padded(), numbers(x).expect("INNER is 1")));
    }
    let image = [1, over.count(), X::count(over.covered())];
    let pixels = Window::new([1, 1]).over(image).expect("one by one");
    unfold(over, x, |x| with_rows(x, over.covered(), |x| rows(&pixels, x)));
}

/// Adds the gradient with respect to the input to `dx`, given panels of the weights `[N, C]` at
/// each place in the window. The product for a place is added directly to the pixels that the place
/// covers, which are distinct at different positions.
pub fn backward_input<T: Scalar, X: Operand<T>>(
    micro: Micro<T, X>,
    over: &Sliding,
    dy: &[T],
    (panels, n): (&[X], usize),
    dx: &mut [T],
) {
    let ([height, width], c, inner) = (over.positions, over.channels(), over.padded());
    let (size, step) = (over.window.size, over.window.stride[1] * c);
    let places = (0..size[0]).flat_map(|y| (0..size[1]).map(move |x| (y, x)));
    let products = places.flat_map(|place| (0..c).step_by(micro.cols).map(move |j| (place, j)));
    let terms = |dy: &[X], n: usize, dx: &mut [T]| {
        for (((row, column), j), panel) in products.zip(panels.chunks_exact(n * micro.cols)) {
            for down in 0..height {
                let a = (&dy[down * width * n..], [n, 1]);
                let dx = &mut dx[inner.offset([down, 0], row) + column * c + j..];
                let size = [width, n, c - j];
                panel_product(micro, a, (panel, micro.cols), T::one(), (dx, step), size);
            }
        }
    };
    pad_backward(over, dx, |dx| with_rows(dy, n, |dy| terms(dy, X::count(n), dx)));
}

/// Adds the gradient with respect to the weights to `dw [N, h·w·C]`: the product of `dyᵀ` with the
/// unfolded image, of which one panel of columns is unfolded at a time.
pub fn backward_weight<T: Scalar, X: Operand<T>>(
    micro: Micro<T, X>,
    over: &Sliding,
    x: &[T],
    (dy, n): (&[T], usize),
    dw: &mut [T],
) {
    let (k, count, inner) = (over.covered(), over.count(), over.padded());
    let mut columns = |x: &[T], dy: &[X]| {
        with_workspace(count * micro.cols, |panel| {
            for j in (0..k).step_by(micro.cols) {
                unfold_columns(&inner, x, j..k.min(j + micro.cols), micro.cols, panel);
                let (a, dw) = ((dy, [1, n]), &mut dw[j..]);
                let size = [n, X::count(count), k - j];
                with_columns(panel, micro.cols, |panel| {
                    panel_product(micro, a, (panel, micro.cols), T::one(), (dw, k), size);
                });
            }
        });
    };
    pad(over, x, |x| with_columns(dy, n, |dy| columns(x, dy)));
}
