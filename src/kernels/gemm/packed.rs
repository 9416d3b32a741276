//! The loops around a micro-kernel: `B` is packed once, or read where it lies if few rows use it; `A`
//! is read where it lies.
#![allow(unsafe_code)]
use super::micro::{Blend, Micro, SIDE, prefetch};
use crate::kernels::scalar::Scalar;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

/// Steps of the inner dimension at a time: a panel of `B` as long as this stays near.
const DEPTH: usize = 1024;
/// Rows that a thread takes at a time, in tiles.
const TILES: usize = 16;
/// Up to this many tiles of rows, packing `B` costs more than it gains.
const FEW: usize = 3;

/// Rows of `B` that are asked for before they are packed.
const AHEAD: isize = 16;
/// Entries of each row of the next tile of `A` that are asked for; the processor finds the rest.
const NEXT: usize = 64;
/// `A` up to this many entries stays in a core's cache.
const NEAR: usize = 1 << 17;
/// Rows so many bytes apart push each other out of the cache.
const ALIAS: usize = 4096;

/// `C ← α A B + β C` for any strides and no empty side, `C` adjacent in rows or not.
///
/// Wide products with a small `A` are cut into panels of `B`, each packed by the task that uses it;
/// others into strips of rows, which share a packed `B`.
pub fn gemm<T: Scalar>(
    micro: Micro<T>,
    blend: Blend<T>,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    mut c: ArrayViewMut2<'_, T>,
) {
    if a.nrows() > b.ncols() || a.len() > NEAR {
        let n = b.ncols().next_multiple_of(micro.cols);
        return with_space(b.nrows() * n, |panels| {
            pack_all(micro, b, panels);
            multiply(micro, blend, a, panels, c);
        });
    }
    let few = a.nrows() <= FEW * micro.rows && b.strides()[1] == 1;
    let columns = b.axis_chunks_iter(Axis(1), micro.cols).into_par_iter();
    let strips = c.axis_chunks_iter_mut(Axis(1), micro.cols).into_par_iter();
    strips.zip(columns).for_each(|(c, b)| {
        if few && b.ncols() == micro.cols {
            strip(micro, blend, a, Panels::Lying(b), c);
        } else {
            with_space(b.nrows() * micro.cols, |panel| {
                pack(micro, b, panel);
                strip(micro, blend, a, Panels::Packed(panel), c);
            });
        }
    });
}

/// All panels of `B`, one after another.
pub fn pack_all<T: Scalar>(micro: Micro<T>, b: ArrayView2<'_, T>, panels: &mut [T]) {
    let columns = b.axis_chunks_iter(Axis(1), micro.cols).into_par_iter();
    let tasks = panels.par_chunks_mut(b.nrows() * micro.cols).zip(columns);
    tasks.for_each(|(panel, b)| pack(micro, b, panel));
}

/// `C ← α A B + β C` by strips of rows, given all panels of `B`.
pub fn multiply<T: Scalar>(
    micro: Micro<T>,
    blend: Blend<T>,
    a: ArrayView2<'_, T>,
    panels: &[T],
    mut c: ArrayViewMut2<'_, T>,
) {
    let tiles = a.nrows().div_ceil(micro.rows);
    let strips = tiles.div_ceil(TILES).next_multiple_of(2);
    let rows = tiles.div_ceil(strips) * micro.rows;
    let strips = c.axis_chunks_iter_mut(Axis(0), rows).into_par_iter();
    strips.zip(a.axis_chunks_iter(Axis(0), rows)).for_each(|(c, a)| {
        let stride = a.strides()[0].unsigned_abs() * size_of::<T>();
        if a.strides()[1] == 1 && stride.is_multiple_of(ALIAS) && c.ncols() > FEW * micro.cols {
            let width = a.ncols() + micro.cols;
            with_space(a.nrows() * width, |copy| {
                let copy = ArrayViewMut2::from_shape((a.nrows(), width), copy).expect("as many");
                let mut copy = copy.slice_move(s![.., ..a.ncols()]);
                copy.assign(&a);
                strip(micro, blend, copy.view(), Panels::Packed(panels), c);
            });
        } else {
            strip(micro, blend, a, Panels::Packed(panels), c);
        }
    });
}

/// What a strip is multiplied by.
enum Panels<'a, T> {
    /// Full panels, one after another.
    Packed(&'a [T]),
    /// `B` itself, as wide as a full tile, its rows adjacent.
    Lying(ArrayView2<'a, T>),
}

/// One thread's part: rows of `A` by some panels.
fn strip<T: Scalar>(
    micro: Micro<T>,
    Blend { alpha, beta }: Blend<T>,
    a: ArrayView2<'_, T>,
    panels: Panels<'_, T>,
    mut c: ArrayViewMut2<'_, T>,
) {
    let ((m, k), n) = (a.dim(), c.ncols());
    let (sa, sc) = ([a.strides()[0], a.strides()[1]], [c.strides()[0], c.strides()[1]]);
    let (rows, depth) = (even(m, micro.rows), even(k, DEPTH));
    let mut aside = vec![T::zero(); if sc[1] == 1 { 0 } else { 4 * micro.cols * micro.cols }];
    for p in (0..k).step_by(depth) {
        let blend = Blend { alpha, beta: if p == 0 { beta } else { T::one() } };
        let depth = depth.min(k - p);
        for j in (0..n).step_by(micro.cols) {
            let panel = match &panels {
                Panels::Packed(panels) => {
                    (panels[j * k + p * micro.cols..].as_ptr(), micro.cols as isize)
                }
                Panels::Lying(b) => (&raw const b[[p, j]], b.strides()[0]),
            };
            for i in (0..m).step_by(rows) {
                let size = [rows.min(m - i), micro.cols.min(n - j)];
                if j == 0 {
                    for i in i + rows..i + 2 * rows {
                        let row =
                            a.as_ptr().wrapping_offset(i as isize * sa[0] + p as isize * sa[1]);
                        let lines = (0..NEXT).step_by(64 / size_of::<T>());
                        lines.for_each(|l| prefetch(row.wrapping_offset(l as isize * sa[1])));
                    }
                }
                // SAFETY: the instruction set was detected; entries `(i, p)` of `a` and `(i, j)` of `c`
                // and `size` from there on are within live views, `c` exclusively; the panel holds
                // `k` rows as wide as a tile, of which `depth` from `p` on are used.
                unsafe {
                    let a = a.as_ptr().offset(i as isize * sa[0] + p as isize * sa[1]);
                    if sc[1] == 1 {
                        let at = c.as_mut_ptr().offset(i as isize * sc[0] + j as isize);
                        (micro.tile)(depth, (a, sa), panel, (at, sc[0]), size, blend);
                    } else {
                        let wide = micro.cols;
                        let blank = Blend { beta: T::zero(), ..blend };
                        let (tile, turned) = aside.split_at_mut(2 * wide * wide);
                        let at = (tile.as_mut_ptr(), wide as isize);
                        (micro.tile)(depth, (a, sa), panel, at, size, blank);
                        let to = (turned.as_mut_ptr(), wide as isize);
                        let squares = size.map(|n| n.next_multiple_of(SIDE));
                        turn(micro, (at.0.cast_const(), at.1), to, squares);
                        lay(
                            turned,
                            wide,
                            blend.beta,
                            c.slice_mut(s![i..i + size[0], j..j + size[1]]),
                        );
                    }
                }
            }
        }
    }
}

/// A turned tile, its columns `wide` apart, onto `β C`.
fn lay<T: Scalar>(turned: &[T], wide: usize, beta: T, mut c: ArrayViewMut2<'_, T>) {
    let set = |(c, &x): (&mut T, &T)| *c = x;
    let add = |(c, &x): (&mut T, &T)| *c = beta * *c + x;
    for (mut column, tile) in c.columns_mut().into_iter().zip(turned.chunks_exact(wide)) {
        match (column.as_slice_mut(), beta == T::zero()) {
            (Some(column), true) => column.copy_from_slice(&tile[..column.len()]),
            (Some(column), false) => column.iter_mut().zip(tile).for_each(add),
            (None, true) => column.iter_mut().zip(tile).for_each(set),
            (None, false) => column.iter_mut().zip(tile).for_each(add),
        }
    }
}

/// At most a tile's columns of `B`, row by row; what is beside them in the panel means nothing.
fn pack<T: Scalar>(micro: Micro<T>, b: ArrayView2<'_, T>, panel: &mut [T]) {
    let (k, n) = b.dim();
    assert!(panel.len() >= k * micro.cols && n <= micro.cols, "pack: {k} rows of {n}");
    if b.strides()[0] == 1 && b.strides()[1] != 1 {
        // SAFETY: entries of a live view, to as many in the panel.
        unsafe {
            let from = (b.as_ptr(), b.strides()[1]);
            turn(micro, from, (panel.as_mut_ptr(), micro.cols as isize), [n, k]);
        }
        return;
    }
    let (stride, line) = (b.strides()[0], 64 / size_of::<T>());
    for (row, b) in panel.chunks_exact_mut(micro.cols).zip(b.rows()) {
        for j in (0..n).step_by(line) {
            prefetch(b.as_ptr().wrapping_offset(AHEAD * stride).wrapping_add(j));
        }
        match b.to_slice() {
            // In pieces of a length the compiler knows: no call for 128 bytes.
            Some(b) if n == micro.cols => {
                let pieces = row.as_chunks_mut::<SIDE>().0.iter_mut();
                pieces.zip(b.as_chunks::<SIDE>().0).for_each(|(to, b)| *to = *b);
            }
            _ => row.iter_mut().zip(b).for_each(|(to, &x)| *to = x),
        }
    }
}

/// `to[j, i] ← from[i, j]` for `i < m`, `j < n`, given where each begins and how far apart its rows are.
///
/// # Safety
/// The instruction set must be there, and all entries valid.
unsafe fn turn<T: Scalar>(
    micro: Micro<T>,
    (from, down): (*const T, isize),
    (to, across): (*mut T, isize),
    [m, n]: [usize; 2],
) {
    let [whole_m, whole_n] = [m, n].map(|n| n - n % SIDE);
    for i in (0..whole_m).step_by(SIDE) {
        for j in (0..whole_n).step_by(SIDE) {
            let (i, j) = (i as isize, j as isize);
            // SAFETY: the caller's promise.
            unsafe {
                (micro.turn)(
                    (from.offset(i * down + j), down),
                    (to.offset(j * across + i), across),
                );
            }
        }
    }
    for i in 0..m {
        for j in if i < whole_m { whole_n } else { 0 }..n {
            let (i, j) = (i as isize, j as isize);
            // SAFETY: the caller's promise.
            unsafe { *to.offset(j * across + i) = *from.offset(i * down + j) };
        }
    }
}

/// `f` with `n` entries of this thread's memory, which hold anything. Within it there are others.
pub(in crate::kernels) fn with_space<T: Scalar, R>(n: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    let mut kept = T::space().take();
    let mut space = kept.pop().unwrap_or_default();
    T::space().set(kept);
    space.resize(n.max(space.len()), T::zero());
    let result = f(&mut space[..n]);
    let mut kept = T::space().take();
    kept.push(space);
    T::space().set(kept);
    result
}

/// Equal parts of `n`, of at most `most`.
pub(in crate::kernels) fn even(n: usize, most: usize) -> usize {
    n.div_ceil(n.div_ceil(most))
}
