//! The loops around a micro-kernel: `B` is packed once, `A` is read where it lies.
#![allow(unsafe_code)]
use super::micro::{Blend, Micro};
use crate::scalar::Scalar;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

/// Steps of the inner dimension at a time: a panel of `B` as long as this stays near.
const DEPTH: usize = 512;
/// Rows that a thread takes at a time, in tiles.
const TILES: usize = 8;

/// `C ← α A B + β C` for any strides and no empty side.
///
/// Wide products are cut into panels of `B`, each packed by the task that uses it; tall ones into
/// strips of rows, which share a packed `B`.
pub fn gemm<T: Scalar>(
    micro: Micro<T>,
    blend: Blend<T>,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    mut c: ArrayViewMut2<'_, T>,
) {
    let (m, k, n) = (a.nrows(), a.ncols(), b.ncols());
    if m <= n {
        let strips = c.axis_chunks_iter_mut(Axis(1), micro.cols).into_par_iter();
        strips.zip(b.axis_chunks_iter(Axis(1), micro.cols)).for_each(|(c, b)| {
            let mut panel = vec![T::zero(); k * micro.cols];
            pack(b, micro.cols, &mut panel);
            strip(micro, blend, a, &panel, c);
        });
    } else {
        let mut packed = vec![T::zero(); k * n.next_multiple_of(micro.cols)];
        let panels = packed.par_chunks_mut(k * micro.cols);
        let columns = b.axis_chunks_iter(Axis(1), micro.cols).into_par_iter();
        panels.zip(columns).for_each(|(panel, b)| pack(b, micro.cols, panel));
        let rows = TILES * micro.rows;
        let strips = c.axis_chunks_iter_mut(Axis(0), rows).into_par_iter();
        strips.zip(a.axis_chunks_iter(Axis(0), rows)).for_each(|(c, a)| {
            strip(micro, blend, a, &packed, c);
        });
    }
}

/// One thread's part: rows of `A` by the panels `packed`.
fn strip<T: Scalar>(
    micro: Micro<T>,
    Blend { alpha, beta }: Blend<T>,
    a: ArrayView2<'_, T>,
    packed: &[T],
    mut c: ArrayViewMut2<'_, T>,
) {
    let ((m, k), n) = (a.dim(), c.ncols());
    let (sa, sc) = ([a.strides()[0], a.strides()[1]], [c.strides()[0], c.strides()[1]]);
    let mut aside = vec![T::zero(); if sc[1] == 1 { 0 } else { micro.rows * micro.cols }];
    for p in (0..k).step_by(DEPTH) {
        let blend = Blend { alpha, beta: if p == 0 { beta } else { T::one() } };
        for j in (0..n).step_by(micro.cols) {
            let panel = &packed[j * k + p * micro.cols..];
            for i in (0..m).step_by(micro.rows) {
                let size = [micro.rows.min(m - i), micro.cols.min(n - j)];
                // SAFETY: the instruction set was detected; entries `(i, p)` of `a` and `(i, j)` of `c`
                // and `size` from there on are within live views, `c` exclusively; the panel holds
                // `k` rows, of which those from `p` are used.
                unsafe {
                    let a = a.as_ptr().offset(i as isize * sa[0] + p as isize * sa[1]);
                    let at = c.as_mut_ptr().offset(i as isize * sc[0] + j as isize * sc[1]);
                    let depth = DEPTH.min(k - p);
                    let run = |c, blend| {
                        (micro.tile)(depth, (a, sa), panel.as_ptr(), c, size, blend);
                    };
                    if sc[1] == 1 {
                        run((at, sc[0]), blend);
                    } else {
                        run(
                            (aside.as_mut_ptr(), micro.cols as isize),
                            Blend { beta: T::zero(), ..blend },
                        );
                        let c = c.slice_mut(s![i..i + size[0], j..j + size[1]]);
                        scatter(&aside, micro.cols, blend.beta, c);
                    }
                }
            }
        }
    }
}

/// A tile that was made aside, its rows `cols` apart, onto `β C`.
fn scatter<T: Scalar>(tile: &[T], cols: usize, beta: T, mut c: ArrayViewMut2<'_, T>) {
    for (j, mut column) in c.columns_mut().into_iter().enumerate() {
        let tile = tile[j..].iter().step_by(cols);
        if beta == T::zero() {
            column.iter_mut().zip(tile).for_each(|(c, &x)| *c = x);
        } else {
            column.iter_mut().zip(tile).for_each(|(c, &x)| *c = beta * *c + x);
        }
    }
}

/// At most `cols` columns of `B` row by row; the rest of the panel stays as it is, zero.
fn pack<T: Scalar>(b: ArrayView2<'_, T>, cols: usize, panel: &mut [T]) {
    if b.strides()[1] == 1 {
        for (row, b) in panel.chunks_exact_mut(cols).zip(b.rows()) {
            row[..b.len()].copy_from_slice(b.to_slice().expect("adjacent"));
        }
    } else if b.strides()[0] == 1 {
        // Eight columns at a time: each row of the panel is then written in a few runs, not entry by entry.
        let columns: Vec<_> =
            b.columns().into_iter().map(|c| c.to_slice().expect("adjacent")).collect();
        for (j, columns) in columns.chunks(8).enumerate() {
            match columns.try_into() {
                Ok(columns) => transpose::<T, 8>(columns, cols, &mut panel[8 * j..]),
                Err(_) => columns.iter().enumerate().for_each(|(i, &column)| {
                    transpose::<T, 1>(&[column], cols, &mut panel[8 * j + i..]);
                }),
            }
        }
    } else {
        for (row, b) in panel.chunks_exact_mut(cols).zip(b.rows()) {
            row.iter_mut().zip(b).for_each(|(to, &x)| *to = x);
        }
    }
}

/// `N` columns side by side in rows `cols` apart.
fn transpose<T: Scalar, const N: usize>(columns: &[&[T]; N], cols: usize, panel: &mut [T]) {
    for (p, row) in panel.chunks_mut(cols).enumerate().take(columns[0].len()) {
        for (to, column) in row[..N].iter_mut().zip(columns) {
            *to = column[p];
        }
    }
}
