//! What a micro-kernel multiplies: numbers as they are, or pairs of them rounded to bfloat16.
use super::micro::Micro;
use super::simd::{SIDE, WIDEST, prefetch};
use crate::kernels::bf16::{self, Pair};
use crate::kernels::scalar::Scalar;
use crate::kernels::workspace::{Buffered, elements, with_workspace};
use ndarray::{ArrayView2, ArrayViewMut2, s};
use std::any::type_name;
use std::borrow::Cow;

/// Rows of `B` to prefetch ahead of packing.
const AHEAD: isize = 16;

/// The operands of a micro-kernel that are made of numbers `T`. A matrix `A [m, k]` becomes one of
/// `[m, ⌈k / INNER⌉]` operands, a matrix `B [k, n]` one of `[⌈k / INNER⌉, n]`. If `INNER` does not
/// divide `k`, zeros follow.
pub trait Operand<T: Scalar>: Buffered + Send + Sync {
    /// The number of elements along the inner dimension in one operand.
    const INNER: usize;

    /// The numbers themselves, if they are the operands.
    fn as_they_are(x: ArrayView2<'_, T>) -> Option<ArrayView2<'_, Self>>;

    /// The operands of a row of `A`.
    fn along(x: &[T], to: &mut [Self]);

    /// A row of operands of `B`, given the `INNER` rows of `B` or, at its end, fewer.
    fn across(rows: ArrayView2<'_, T>, to: &mut [Self]);

    /// Packs a `B` of at most `micro.cols` columns, row by row.
    fn pack_panel(micro: Micro<T, Self>, b: ArrayView2<'_, T>, panel: &mut [Self]);

    /// The number of operands of `k` elements along the inner dimension.
    fn count(k: usize) -> usize {
        k.div_ceil(Self::INNER)
    }
}

impl<T: Scalar> Operand<T> for T {
    const INNER: usize = 1;

    fn as_they_are(x: ArrayView2<'_, T>) -> Option<ArrayView2<'_, T>> {
        Some(x)
    }

    fn along(x: &[T], to: &mut [T]) {
        to.copy_from_slice(x);
    }

    fn across(rows: ArrayView2<'_, T>, to: &mut [T]) {
        to.iter_mut().zip(rows.row(0)).for_each(|(to, &x)| *to = x);
    }

    fn pack_panel(micro: Micro<T>, b: ArrayView2<'_, T>, panel: &mut [T]) {
        pack_numbers(micro, b, panel);
    }
}

impl<T: Scalar> Operand<T> for Pair {
    const INNER: usize = 2;

    fn as_they_are(_: ArrayView2<'_, T>) -> Option<ArrayView2<'_, Self>> {
        None
    }

    fn along(x: &[T], to: &mut [Self]) {
        bf16::along(T::singles(x), to);
    }

    fn across(rows: ArrayView2<'_, T>, to: &mut [Self]) {
        let [x, y] = [0, 1].map(|row| match (row < rows.nrows()).then(|| rows.row(row)) {
            Some(row) => row.to_slice().map_or_else(|| row.to_vec().into(), Cow::from),
            None => vec![T::zero(); to.len()].into(),
        });
        bf16::across(T::singles(&x), T::singles(&y), to);
    }

    #[allow(unsafe_code)]
    fn pack_panel(micro: Micro<T, Self>, b: ArrayView2<'_, T>, panel: &mut [Self]) {
        let (k, n) = (<Self as Operand<T>>::count(b.nrows()), b.ncols());
        let len = elements("pack", [k, micro.cols]);
        assert!(panel.len() >= len && n <= micro.cols, "pack: {k} rows of {n}");
        if b.strides()[0] != 1 || b.strides()[1] == 1 {
            let down = b.strides()[0];
            for (p, to) in panel[..len].chunks_exact_mut(micro.cols).enumerate() {
                let rows = b.slice(s![2 * p..b.nrows().min(2 * p + 2), ..]);
                for row in [AHEAD, AHEAD + 1] {
                    let next = rows.as_ptr().wrapping_offset(down.wrapping_mul(row));
                    (0..n).step_by(16).for_each(|j| prefetch(next.wrapping_add(j)));
                }
                Self::across(rows, &mut to[..n]);
            }
            return;
        }
        with_workspace(elements("pack", [n, k]), |columns: &mut [Self]| {
            for (column, b) in columns.chunks_exact_mut(k).zip(b.columns()) {
                Self::along(b.to_slice().expect("contiguous"), column);
            }
            assert!(size_of::<T>() == size_of::<Self>(), "pack: pairs of {}", type_name::<T>());
            // SAFETY: `n × k` pairs, and `k` rows of the panel, `n ≤ micro.cols` wide. A pair has
            // the size and alignment of a `T`.
            unsafe {
                let from = (columns.as_ptr().cast::<T>(), k as isize);
                let to = (panel.as_mut_ptr().cast::<T>(), micro.cols as isize);
                transpose(micro.transpose, from, to, [n, k]);
            }
        });
    }
}

/// Calls `f` with the operands of `A`: `A` itself, or a copy if `A` has to be rounded or `copied`.
/// Rows of the copy do not compete for the same cache sets. It is stored in the order of `A`.
pub fn with_operands<T: Scalar, X: Operand<T>, R>(
    a: ArrayView2<'_, T>,
    copied: bool,
    f: impl FnOnce(ArrayView2<'_, X>) -> R,
) -> R {
    if let Some(a) = X::as_they_are(a).filter(|_| !copied) {
        return f(a);
    }
    let (m, k) = (a.nrows(), X::count(a.ncols()));
    let by_columns = a.strides()[0] == 1 && a.strides()[1] != 1;
    let [rows, columns] = if by_columns { [k, m] } else { [m, k] };
    let width = columns + WIDEST;
    with_workspace(elements("gemm", [rows, width]), |copy| {
        let copy = ArrayViewMut2::from_shape((rows, width), copy).expect("its length");
        let mut copy = copy.slice_move(s![.., ..columns]);
        for (i, mut to) in copy.rows_mut().into_iter().enumerate() {
            let to = to.as_slice_mut().expect("contiguous");
            if by_columns {
                let end = a.ncols().min((i + 1) * X::INNER);
                X::across(a.slice(s![.., i * X::INNER..end]).reversed_axes(), to);
            } else if let Some(a) = a.row(i).to_slice() {
                X::along(a, to);
            } else {
                X::along(&a.row(i).to_vec(), to);
            }
        }
        f(if by_columns { copy.view().reversed_axes() } else { copy.view() })
    })
}

/// The numbers themselves, if they are the operands.
pub fn numbers<T: Scalar, X: Operand<T>>(x: &[T]) -> Option<&[X]> {
    X::as_they_are(ArrayView2::from_shape((1, x.len()), x).ok()?)?.to_slice()
}

/// Calls `f` with the rows of a row-major `A [m, k]` as rows of operands.
pub fn with_rows<T: Scalar, X: Operand<T>>(x: &[T], k: usize, f: impl FnOnce(&[X])) {
    if let Some(x) = numbers(x) {
        return f(x);
    }
    let width = X::count(k);
    with_workspace(x.len() / k * width, |rows| {
        x.chunks_exact(k).zip(rows.chunks_exact_mut(width)).for_each(|(x, row)| X::along(x, row));
        f(rows);
    });
}

/// Calls `f` with a row-major `B [k, n]` as `[⌈k / INNER⌉, n]` operands.
pub fn with_columns<T: Scalar, X: Operand<T>>(x: &[T], n: usize, f: impl FnOnce(&[X])) {
    if let Some(x) = numbers(x) {
        return f(x);
    }
    with_workspace(X::count(x.len() / n) * n, |rows| {
        for (x, row) in x.chunks(X::INNER * n).zip(rows.chunks_exact_mut(n)) {
            X::across(ArrayView2::from_shape((x.len() / n, n), x).expect("whole rows"), row);
        }
        f(rows);
    });
}

/// Packs a `B` of at most `micro.cols` columns, row by row, as it is.
#[allow(unsafe_code)]
fn pack_numbers<T: Scalar>(micro: Micro<T>, b: ArrayView2<'_, T>, panel: &mut [T]) {
    let (k, n) = b.dim();
    let len = elements("pack", [k, micro.cols]);
    assert!(panel.len() >= len && n <= micro.cols, "pack: {k} rows of {n}");
    if b.strides()[0] == 1 && b.strides()[1] != 1 {
        // SAFETY: `n × k` elements of a live view, and `k` rows of the panel, `n ≤ micro.cols`
        // wide.
        unsafe {
            let from = (b.as_ptr(), b.strides()[1]);
            let to = (panel.as_mut_ptr(), micro.cols as isize);
            transpose(micro.transpose, from, to, [n, k]);
        }
        return;
    }
    let (stride, line) = (b.strides()[0], 64 / size_of::<T>());
    for (row, b) in panel.chunks_exact_mut(micro.cols).zip(b.rows()) {
        for j in (0..n).step_by(line) {
            prefetch(b.as_ptr().wrapping_offset(stride.wrapping_mul(AHEAD)).wrapping_add(j));
        }
        match b.to_slice() {
            // Pieces of constant length are copied without a function call.
            Some(b) if n == micro.cols => {
                let pieces = row.as_chunks_mut::<SIDE>().0.iter_mut();
                pieces.zip(b.as_chunks::<SIDE>().0).for_each(|(to, b)| *to = *b);
            }
            _ => row.iter_mut().zip(b).for_each(|(to, &x)| *to = x),
        }
    }
}

/// `to[j, i] ← from[i, j]` for `i < m`, `j < n`, given [`Micro::transpose`], pointers and the
/// strides of rows.
///
/// # Safety
/// All elements are valid.
#[allow(unsafe_code)]
pub unsafe fn transpose<T: Scalar>(
    block: unsafe fn((*const T, isize), (*mut T, isize)),
    (from, from_row): (*const T, isize),
    (to, to_row): (*mut T, isize),
    [m, n]: [usize; 2],
) {
    let [whole_m, whole_n] = [m, n].map(|n| n - n % SIDE);
    for i in (0..whole_m).step_by(SIDE) {
        for j in (0..whole_n).step_by(SIDE) {
            let (i, j) = (i as isize, j as isize);
            // SAFETY: the caller's contract.
            unsafe {
                let from = (from.offset(i * from_row + j), from_row);
                block(from, (to.offset(j * to_row + i), to_row));
            }
        }
    }
    for i in 0..m {
        for j in if i < whole_m { whole_n } else { 0 }..n {
            let (i, j) = (i as isize, j as isize);
            // SAFETY: the caller's contract.
            unsafe { *to.offset(j * to_row + i) = *from.offset(i * from_row + j) };
        }
    }
}
