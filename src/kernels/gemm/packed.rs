//! The loops around a micro-kernel. `B` is packed into panels once, or read in place if `A` has few
//! rows. `A` is read in place, or copied if its rows would compete for the same cache sets.
//! Operands that have to be rounded are rounded as they are packed or copied.
use super::micro::Micro;
use super::operand::{Operand, transpose, with_operands};
use super::simd::{SIDE, prefetch};
use crate::kernels::parallel;
use crate::kernels::scalar::Scalar;
use crate::kernels::workspace::{elements, with_workspace};
use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};

/// The maximum depth, in operands, of a block of the inner dimension: a panel of `B` this deep
/// stays in a core's cache.
pub const DEPTH: usize = 1024;
/// The maximum number of tiles, along the rows of `C`, in one task.
const TILES: usize = 16;
/// If at most this many tiles read a packed or copied operand, making the copy costs more than it
/// gains.
const FEW: usize = 3;

/// Elements to prefetch from each row of the next tile of `A`; the hardware prefetches the rest.
const NEXT: usize = 64;
/// Up to this many elements, `A` stays in a core's cache.
const NEAR: usize = 1 << 17;
/// Rows of `A` map to the same cache sets if they are a multiple of this many bytes apart.
const ALIAS: usize = 4096;

/// `C ← α A B + β C` with any strides, for dimensions that are not 0.
///
/// If `A` is small and `B` is wide, each task packs one panel of `B`, or reads it in place, and
/// multiplies `A` by it. Otherwise `B` is packed once, and each task computes a strip of rows of
/// `C`.
pub fn gemm<T: Scalar, X: Operand<T>>(
    micro: Micro<T, X>,
    alpha_beta: [T; 2],
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    mut c: ArrayViewMut2<'_, T>,
) {
    if a.nrows() > b.ncols() || a.len() > NEAR {
        let n = b.ncols().next_multiple_of(micro.cols);
        return with_workspace(elements("gemm", [X::count(b.nrows()), n]), |panels| {
            pack(micro, b, panels);
            multiply(micro, alpha_beta, a, panels, c);
        });
    }
    let in_place = a.nrows() <= FEW * micro.rows && b.strides()[1] == 1;
    let columns = b.axis_chunks_iter(Axis(1), micro.cols);
    let strips = c.axis_chunks_iter_mut(Axis(1), micro.cols);
    with_operands(a, false, |a| {
        parallel::for_each(strips.zip(columns), |(c, b)| match X::as_they_are(b) {
            Some(b) if in_place && b.ncols() == micro.cols => {
                macro_kernel(micro, alpha_beta, a, Panels::InPlace(b), c);
            }
            _ => with_workspace(elements("gemm", [X::count(b.nrows()), micro.cols]), |panel| {
                X::pack_panel(micro, b, panel);
                macro_kernel(micro, alpha_beta, a, Panels::Packed(panel), c);
            }),
        });
    });
}

/// `C ← α A B + β C` in parallel over strips of rows, for a packed `B`.
pub fn multiply<T: Scalar, X: Operand<T>>(
    micro: Micro<T, X>,
    alpha_beta: [T; 2],
    a: ArrayView2<'_, T>,
    panels: &[X],
    mut c: ArrayViewMut2<'_, T>,
) {
    let tiles = a.nrows().div_ceil(micro.rows);
    let strips = tiles.div_ceil(TILES).next_multiple_of(2);
    let rows = tiles.div_ceil(strips) * micro.rows;
    let strips = c.axis_chunks_iter_mut(Axis(0), rows);
    parallel::for_each(strips.zip(a.axis_chunks_iter(Axis(0), rows)), |(c, a)| {
        let stride = a.strides()[0].unsigned_abs().wrapping_mul(size_of::<T>());
        let is_aliased = a.strides()[1] == 1 && stride.is_multiple_of(ALIAS);
        with_operands(a, is_aliased && c.ncols() > FEW * micro.cols, |a| {
            macro_kernel(micro, alpha_beta, a, Panels::Packed(panels), c);
        });
    });
}

/// Columns of `B`, in panels.
enum Panels<'a, X> {
    /// Packed panels, one after another.
    Packed(&'a [X]),
    /// One full panel: columns of `B` itself, whose rows are contiguous.
    InPlace(ArrayView2<'a, X>),
}

/// `C ← α A B + β C` on one thread.
#[allow(unsafe_code)]
fn macro_kernel<T: Scalar, X: Operand<T>>(
    micro: Micro<T, X>,
    [alpha, beta]: [T; 2],
    a: ArrayView2<'_, X>,
    panels: Panels<'_, X>,
    mut c: ArrayViewMut2<'_, T>,
) {
    let ((m, k), n) = (a.dim(), c.ncols());
    let (sa, sc) = ([a.strides()[0], a.strides()[1]], [c.strides()[0], c.strides()[1]]);
    let (rows, depth) = (balanced(m, micro.rows), balanced(k, DEPTH));
    let wide = micro.cols;
    // A tile and its transpose, for a `C` whose rows are not contiguous.
    let mut scratch = vec![T::zero(); if sc[1] == 1 { 0 } else { 4 * wide * wide }];
    for p in (0..k).step_by(depth) {
        let beta = if p == 0 { beta } else { T::one() };
        let depth = depth.min(k - p);
        for j in (0..n).step_by(micro.cols) {
            let panel = match &panels {
                Panels::Packed(panels) => (panels[j * k + p * wide..].as_ptr(), wide as isize),
                // The pointer of the view may reach all of it, one of an entry only that entry.
                Panels::InPlace(b) => {
                    let [down, right] = [b.strides()[0], b.strides()[1]];
                    let at = p as isize * down + j as isize * right;
                    (b.as_ptr().wrapping_offset(at), down)
                }
            };
            for i in (0..m).step_by(rows) {
                let size = [rows.min(m - i), micro.cols.min(n - j)];
                if j == 0 {
                    for i in i + rows..i + 2 * rows {
                        let [down, right] =
                            sa.map(|stride| move |n| stride.wrapping_mul(n as isize));
                        let row = a.as_ptr().wrapping_offset(down(i)).wrapping_offset(right(p));
                        let lines = (0..NEXT).step_by(64 / size_of::<X>());
                        lines.for_each(|l| prefetch(row.wrapping_offset(right(l))));
                    }
                }
                // SAFETY: `size[0] × depth` elements of `a` from `(i, p)` on and `size` elements of
                // `c` from `(i, j)` on are within live views, that of `c` exclusive; the panel has
                // `k` rows of a full tile's width, of which `depth` are used from `p` on.
                unsafe {
                    let a = (a.as_ptr().offset(i as isize * sa[0] + p as isize * sa[1]), sa);
                    if sc[1] == 1 {
                        let at = c.as_mut_ptr().offset(i as isize * sc[0] + j as isize);
                        (micro.tile)(depth, a, panel, (at, sc[0]), size, [alpha, beta]);
                    } else {
                        let (tile, transposed) = scratch.split_at_mut(2 * wide * wide);
                        let at = (tile.as_mut_ptr(), wide as isize);
                        (micro.tile)(depth, a, panel, at, size, [alpha, T::zero()]);
                        let to = (transposed.as_mut_ptr(), wide as isize);
                        let blocks = size.map(|n| n.next_multiple_of(SIDE));
                        transpose(micro.transpose, (at.0.cast_const(), at.1), to, blocks);
                        let c = c.slice_mut(s![i..i + size[0], j..j + size[1]]);
                        store_columns(transposed, wide, beta, c);
                    }
                }
            }
        }
    }
}

/// `C ← X + β C`, given `Xᵀ`, whose rows are `wide` elements apart.
fn store_columns<T: Scalar>(x: &[T], wide: usize, beta: T, mut c: ArrayViewMut2<'_, T>) {
    let set = |(c, &x): (&mut T, &T)| *c = x;
    let add = |(c, &x): (&mut T, &T)| *c = beta * *c + x;
    for (mut column, x) in c.columns_mut().into_iter().zip(x.chunks_exact(wide)) {
        match (column.as_slice_mut(), beta == T::zero()) {
            (Some(column), true) => column.copy_from_slice(&x[..column.len()]),
            (Some(column), false) => column.iter_mut().zip(x).for_each(add),
            (None, true) => column.iter_mut().zip(x).for_each(set),
            (None, false) => column.iter_mut().zip(x).for_each(add),
        }
    }
}

/// Packs `B` into panels, one after another; the last is padded with arbitrary values.
pub fn pack<T: Scalar, X: Operand<T>>(micro: Micro<T, X>, b: ArrayView2<'_, T>, panels: &mut [X]) {
    let columns = b.axis_chunks_iter(Axis(1), micro.cols);
    let panel = elements("pack", [X::count(b.nrows()), micro.cols]);
    let tasks = panels.chunks_mut(panel).zip(columns);
    parallel::for_each(tasks, |(panel, b)| X::pack_panel(micro, b, panel));
}

/// `C ← A B + β C` for slices, on one thread. `A [m, k]` has strides `[a_row, a_column]`; the rows
/// of the panel of `B` are `b_row` elements apart, and those of `C` are `c_row` elements apart.
/// Only the first `min(n, micro.cols)` columns of `C` are computed: those of one panel.
///
/// # Panics
/// If a slice is too short, or `m`, `k` or `n` is 0.
#[allow(unsafe_code)]
pub fn panel_product<T: Scalar, X: Operand<T>>(
    micro: Micro<T, X>,
    (a, [a_row, a_column]): (&[X], [usize; 2]),
    (panel, b_row): (&[X], usize),
    beta: T,
    (c, c_row): (&mut [T], usize),
    [m, k, n]: [usize; 3],
) {
    let n = n.min(micro.cols);
    let last = |sizes| elements("panel_product", sizes);
    assert!(
        m > 0
            && k > 0
            && n > 0
            && c.len() >= last([m - 1, c_row]) + n
            && panel.len() >= last([k - 1, b_row]) + micro.cols
            && a.len() > last([m - 1, a_row]) + last([k - 1, a_column]),
        "panel_product: [{m}, {k}] × [{k}, {n}] of slices that are too short"
    );
    let rows = balanced(m, micro.rows);
    for i in (0..m).step_by(rows) {
        // SAFETY: all elements are within the lengths asserted above.
        unsafe {
            (micro.tile)(
                k,
                (a.as_ptr().add(i * a_row), [a_row as isize, a_column as isize]),
                (panel.as_ptr(), b_row as isize),
                (c.as_mut_ptr().add(i * c_row), c_row as isize),
                [rows.min(m - i), n],
                [T::one(), beta],
            );
        }
    }
}

/// The length of the parts into which `n > 0` is split: as few parts as lengths of at most `max`
/// allow, and the shortest length for that number, `⌈n/⌈n/max⌉⌉`. The last part may be shorter.
pub fn balanced(n: usize, max: usize) -> usize {
    n.div_ceil(n.div_ceil(max))
}
