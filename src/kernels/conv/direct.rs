//! Convolutions of single images, read in place. The elements that one row of the window covers are
//! contiguous, and at the next position they begin `stride·C` elements later. So the elements at
//! consecutive positions form a matrix whose rows overlap in memory. The micro-kernel reads this
//! matrix without unfolding the image.
use super::unfold::{pad, pad_backward, unfold, unfold_columns};
use super::window::{Sliding, Window};
use crate::kernels::gemm::micro::Micro;
use crate::kernels::gemm::packed::panel_product;
use crate::kernels::scalar::Scalar;
use crate::kernels::workspace::with_workspace;

/// If a row of the window has fewer bytes than this, images are unfolded, because the inner
/// dimension of the products would be too short. The limit is the same for every processor, because
/// it decides the order of sums.
const SHORT: usize = 128;

/// `y [H'·W', N]` for `x [H, W, C]` and panels of `wᵀ`: the sum of products, one for each row of
/// the window.
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

/// Adds the gradient with respect to the input to `dx`, given panels of the weights `[N, C]` at
/// each place in the window. The product for a place is added directly to the pixels that the place
/// covers, which are distinct at different positions.
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

/// Adds the gradient with respect to the weights to `dw [N, h·w·C]`: the product of `dyᵀ` with the
/// unfolded image, of which one panel of columns is unfolded at a time.
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
