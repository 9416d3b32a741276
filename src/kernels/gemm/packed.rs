//! The loops around a micro-kernel. `B` is packed into panels once, or read in place if `A` has few
//! rows. `A` is read in place, or copied if its rows would compete for the same cache sets.
use super::micro::Micro;
use super::simd::{SIDE, prefetch};
use crate::kernels::parallel;
use crate::kernels::scalar::Scalar;
use crate::kernels::workspace::{elements, with_workspace};
use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};

/// The maximum depth of a block of the inner dimension: a panel of `B` this deep stays in a core's
/// cache.
const DEPTH: usize = 1024;
/// The maximum number of tiles, along the rows of `C`, in one task.
const TILES: usize = 16;
/// If at most this many tiles read a packed or copied operand, making the copy costs more than it
/// gains.
const FEW: usize = 3;

/// Rows of `B` to prefetch ahead of packing.
const AHEAD: isize = 16;
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
pub fn gemm<T: Scalar>(
    micro: Micro<T>,
    alpha_beta: [T; 2],
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    mut c: ArrayViewMut2<'_, T>,
) {
    if a.nrows() > b.ncols() || a.len() > NEAR {
        let n = b.ncols().next_multiple_of(micro.cols);
        return with_workspace(elements("gemm", [b.nrows(), n]), |panels| {
            pack(micro, b, panels);
            multiply(micro, alpha_beta, a, panels, c);
        });
    }
    let in_place = a.nrows() <= FEW * micro.rows && b.strides()[1] == 1;
    let columns = b.axis_chunks_iter(Axis(1), micro.cols);
    let strips = c.axis_chunks_iter_mut(Axis(1), micro.cols);
    parallel::for_each(strips.zip(columns), |(c, b)| {
        if in_place && b.ncols() == micro.cols {
            macro_kernel(micro, alpha_beta, a, Panels::InPlace(b), c);
        } else {
            with_workspace(elements("gemm", [b.nrows(), micro.cols]), |panel| {
                pack_panel(micro, b, panel);
                macro_kernel(micro, alpha_beta, a, Panels::Packed(panel), c);
            });
        }
    });
}

/// `C ← α A B + β C` in parallel over strips of rows, for a packed `B`.
pub fn multiply<T: Scalar>(
    micro: Micro<T>,
    alpha_beta: [T; 2],
    a: ArrayView2<'_, T>,
    panels: &[T],
    mut c: ArrayViewMut2<'_, T>,
) {
    let tiles = a.nrows().div_ceil(micro.rows);
    let strips = tiles.div_ceil(TILES).next_multiple_of(2);
    let rows = tiles.div_ceil(strips) * micro.rows;
    let strips = c.axis_chunks_iter_mut(Axis(0), rows);
    parallel::for_each(strips.zip(a.axis_chunks_iter(Axis(0), rows)), |(c, a)| {
        let stride = a.strides()[0].unsigned_abs().wrapping_mul(size_of::<T>());
        if a.strides()[1] == 1 && stride.is_multiple_of(ALIAS) && c.ncols() > FEW * micro.cols {
            let width = a.ncols() + micro.cols;
            with_workspace(elements("gemm", [a.nrows(), width]), |copy| {
                let copy = ArrayViewMut2::from_shape((a.nrows(), width), copy).expect("its length");
                let mut copy = copy.slice_move(s![.., ..a.ncols()]);
                copy.assign(&a);
                macro_kernel(micro, alpha_beta, copy.view(), Panels::Packed(panels), c);
            });
        } else {
            macro_kernel(micro, alpha_beta, a, Panels::Packed(panels), c);
        }
    });
}

/// Columns of `B`, in panels.
enum Panels<'a, T> {
    /// Packed panels, one after another.
    Packed(&'a [T]),
    /// One full panel: columns of `B` itself, whose rows are contiguous.
    InPlace(ArrayView2<'a, T>),
}

/// `C ← α A B + β C` on one thread.
#[allow(unsafe_code)]
fn macro_kernel<T: Scalar>(
    micro: Micro<T>,
    [alpha, beta]: [T; 2],
    a: ArrayView2<'_, T>,
    panels: Panels<'_, T>,
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
                        let lines = (0..NEXT).step_by(64 / size_of::<T>());
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
                        transpose(micro, (at.0.cast_const(), at.1), to, blocks);
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
pub fn pack<T: Scalar>(micro: Micro<T>, b: ArrayView2<'_, T>, panels: &mut [T]) {
    let columns = b.axis_chunks_iter(Axis(1), micro.cols);
    let tasks = panels.chunks_mut(elements("pack", [b.nrows(), micro.cols])).zip(columns);
    parallel::for_each(tasks, |(panel, b)| pack_panel(micro, b, panel));
}

/// Packs a `B` of at most `micro.cols` columns, row by row.
#[allow(unsafe_code)]
fn pack_panel<T: Scalar>(micro: Micro<T>, b: ArrayView2<'_, T>, panel: &mut [T]) {
    let (k, n) = b.dim();
    let len = elements("pack", [k, micro.cols]);
    assert!(panel.len() >= len && n <= micro.cols, "pack: {k} rows of {n}");
    if b.strides()[0] == 1 && b.strides()[1] != 1 {
        // SAFETY: `n × k` elements of a live view, and `k` rows of the panel, `n ≤ micro.cols`
        // wide.
        unsafe {
            let from = (b.as_ptr(), b.strides()[1]);
            transpose(micro, from, (panel.as_mut_ptr(), micro.cols as isize), [n, k]);
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

/// `to[j, i] ← from[i, j]` for `i < m`, `j < n`, given pointers and the strides of rows.
///
/// # Safety
/// All elements are valid.
#[allow(unsafe_code)]
unsafe fn transpose<T: Scalar>(
    micro: Micro<T>,
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
                (micro.transpose)(from, (to.offset(j * to_row + i), to_row));
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

/// `C ← A B + β C` for slices, on one thread. `A [m, k]` has strides `[a_row, a_column]`; the rows
/// of the panel of `B` are `b_row` elements apart, and those of `C` are `c_row` elements apart.
/// Only the first `min(n, micro.cols)` columns of `C` are computed: those of one panel.
///
/// # Panics
/// If a slice is too short, or `m`, `k` or `n` is 0.
#[allow(unsafe_code)]
pub fn panel_product<T: Scalar>(
    micro: Micro<T>,
    (a, [a_row, a_column]): (&[T], [usize; 2]),
    (panel, b_row): (&[T], usize),
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
