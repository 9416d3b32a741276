//! Padding and unfolding (im2col) of single images, their adjoints, and convolutions as one product
//! with an unfolded image.
use super::window::Sliding;
use crate::kernels::scalar::Scalar;
use crate::kernels::workspace::with_workspace;
use ndarray::{ArrayView2, ArrayViewMut2};
use std::ops::Range;

/// Calls `f` with the padded `x`.
pub fn pad<T: Scalar>(over: &Sliding, x: &[T], f: impl FnOnce(&[T])) {
    if over.window.padding == [0, 0] {
        return f(x);
    }
    with_workspace(over.padded().image_len(), |padded| {
        padded.fill(T::zero());
        for [inside, at] in rows(over) {
            padded[at].copy_from_slice(&x[inside]);
        }
        f(padded);
    });
}

/// Adjoint of [`pad`]: `f` accumulates the gradient of the padded image, whose interior is added to
/// `dx`.
pub fn pad_backward<T: Scalar>(over: &Sliding, dx: &mut [T], f: impl FnOnce(&mut [T])) {
    if over.window.padding == [0, 0] {
        return f(dx);
    }
    with_workspace(over.padded().image_len(), |padded| {
        padded.fill(T::zero());
        f(padded);
        for [inside, at] in rows(over) {
            dx[inside].iter_mut().zip(&padded[at]).for_each(|(dx, &d)| *dx += d);
        }
    });
}

/// The ranges that each row of the image occupies in the image and in the padded image.
fn rows(over: &Sliding) -> impl Iterator<Item = [Range<usize>; 2]> {
    let ([h, w, c], [y, x]) = (over.image, over.window.padding);
    let row = move |start: usize| start..start + w * c;
    (0..h).map(move |i| [row(i * w * c), row(((i + y) * (w + 2 * x) + x) * c)])
}

/// Calls `f` with the unfolded image `[H'·W', h·w·C]`: row `p` holds the elements that the window
/// covers at position `p`.
pub fn unfold<T: Scalar>(over: &Sliding, x: &[T], f: impl FnOnce(&[T])) {
    let (inner, n) = (over.padded(), over.row_len());
    pad(over, x, |x| {
        with_workspace(over.count() * over.covered(), |unfolded| {
            let mut start = 0;
            for at in inner.each() {
                for row in 0..over.window.size[0] {
                    copy(&x[inner.offset(at, row)..], &mut unfolded[start..], n);
                    start += n;
                }
            }
            f(unfolded);
        });
    });
}

/// Writes a range of columns of the unfolded image to `panel`, whose rows are `wide` elements
/// apart, for an `x` that includes its padding.
pub fn unfold_columns<T: Scalar>(
    over: &Sliding,
    x: &[T],
    columns: Range<usize>,
    wide: usize,
    panel: &mut [T],
) {
    let row_len = over.row_len();
    // Pieces within one row of the window: offset in the panel, row, offset in the row, length.
    let mut pieces = vec![];
    let mut k = columns.start;
    while k < columns.end {
        let len = (row_len - k % row_len).min(columns.end - k);
        pieces.push((k - columns.start, k / row_len, k % row_len, len));
        k += len;
    }
    for (position, at) in over.each().enumerate() {
        for &(offset, row, within, len) in &pieces {
            let to = &mut panel[position * wide + offset..];
            copy(&x[over.offset(at, row) + within..], to, len);
        }
    }
}

/// Copies the first `n` elements, and perhaps some beyond, which later copies overwrite. A copy of
/// constant length avoids a function call, which would cost more than the copy.
#[inline(always)]
fn copy<T: Scalar>(from: &[T], to: &mut [T], n: usize) {
    if n == 32 {
        to[..32].copy_from_slice(&from[..32]);
    } else if n <= 16 && from.len() >= 16 && to.len() >= 16 {
        to[..16].copy_from_slice(&from[..16]);
    } else {
        to[..n].copy_from_slice(&from[..n]);
    }
}

/// `y [H'·W', N] ← X wᵀ` for the unfolded image `X`, given `wᵀ [h·w·C, N]`.
pub fn forward<T: Scalar>(over: &Sliding, x: &[T], w: ArrayView2<'_, T>, y: &mut [T]) {
    unfold(over, x, |unfolded| {
        let y = matrix_mut(y, w.ncols());
        T::block(T::one(), matrix(unfolded, w.nrows()), w, T::zero(), y);
    });
}

/// Adds `dy w`, folded (col2im), to `dx`, for weights `w [N, h·w·C]`.
pub fn backward_input<T: Scalar>(over: &Sliding, dy: &[T], w: ArrayView2<'_, T>, dx: &mut [T]) {
    let ((n, k), inner) = (w.dim(), over.padded());
    pad_backward(over, dx, |dx| {
        with_workspace(over.count() * k, |unfolded| {
            T::block(T::one(), matrix(dy, n), w, T::zero(), matrix_mut(unfolded, k));
            for (at, from) in inner.each().zip(unfolded.chunks_exact(k)) {
                for (row, from) in from.chunks_exact(over.row_len()).enumerate() {
                    let to = &mut dx[inner.offset(at, row)..][..over.row_len()];
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
                }
            }
        });
    });
}

/// Adds `dyᵀ X` to `dw [N, h·w·C]` for the unfolded image `X`.
pub fn backward_weight<T: Scalar>(over: &Sliding, x: &[T], (dy, n): (&[T], usize), dw: &mut [T]) {
    let k = over.covered();
    unfold(over, x, |unfolded| {
        T::block(T::one(), matrix(dy, n).t(), matrix(unfolded, k), T::one(), matrix_mut(dw, k));
    });
}

fn matrix<T>(x: &[T], columns: usize) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((x.len() / columns, columns), x).expect("whole rows")
}

fn matrix_mut<T>(x: &mut [T], columns: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((x.len() / columns, columns), x).expect("whole rows")
}
