//! `y = act(s ⊙ p + b)` row by row, and its three gradients in one pass.
use super::vector::CHUNK;
use crate::scalar::Scalar;
use multiversion::multiversion;
use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Columns a thread takes at a time in [`backward`]: no sum crosses them.
const COLUMNS: usize = 208;

/// What is between `p` and `y`: row `i` of `y [S·B, n]` has scale `⌊i/B⌋` of `s [S, n]`, and comes from
/// row `i` of `p`, or from row `i mod B` if `p [B, n]` is shared by all scales.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a, T> {
    /// `p`.
    pub p: &'a [T],
    /// `s`.
    pub scale: &'a [T],
    /// `n`.
    pub n: usize,
    /// `B`.
    pub batch: usize,
    /// Whether `act` is `max(·, 0)`, or nothing.
    pub relu: bool,
}

impl<T: Scalar> Affine<'_, T> {
    fn shared(&self) -> bool {
        self.p.len() == self.batch * self.n
    }

    /// The row of `p` that row `i` of `y` comes from.
    fn from(&self, i: usize) -> usize {
        if self.shared() { i % self.batch } else { i }
    }
}

/// `y ← act(s ⊙ p + b)`.
pub fn forward<T: Scalar>(map: Affine<'_, T>, shift: &[T], y: &mut [T]) {
    let Affine { p, scale, n, batch, relu } = map;
    let rows = (CHUNK / n).max(1);
    y.par_chunks_mut(rows * n).enumerate().for_each(|(chunk, y)| {
        for (i, y) in y.chunks_exact_mut(n).enumerate() {
            let i = chunk * rows + i;
            forward_row(&p[map.from(i) * n..][..n], &scale[i / batch * n..][..n], shift, relu, y);
        }
    });
}

#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn forward_row<T: Scalar>(p: &[T], scale: &[T], shift: &[T], relu: bool, y: &mut [T]) {
    let entries = y.iter_mut().zip(p).zip(scale).zip(shift);
    if relu {
        entries.for_each(|(((y, &p), &s), &b)| {
            let x = s * p + b;
            *y = if x < T::zero() { T::zero() } else { x };
        });
    } else {
        entries.for_each(|(((y, &p), &s), &b)| *y = s * p + b);
    }
}

/// `dp ← β dp + Σ s ⊙ δ` for `β` 0 or 1 (over the scales that share a row of `p`), `ds ← Σ_B δ ⊙ p` and `db ← Σ δ`, with
/// `δ = dy` where `act` lets it through.
pub fn backward<T: Scalar>(
    map: Affine<'_, T>,
    (dy, y): (&[T], &[T]),
    (beta, mut dp): (T, ArrayViewMut2<'_, T>),
    mut scale: ArrayViewMut2<'_, T>,
    mut shift: ArrayViewMut2<'_, T>,
) {
    let width = if dy.len() <= CHUNK { map.n } else { COLUMNS };
    scale.fill(T::zero());
    shift.fill(T::zero());
    let parts = dp.axis_chunks_iter_mut(Axis(1), width).into_par_iter().enumerate();
    let sums = scale.axis_chunks_iter_mut(Axis(1), width).into_par_iter();
    let sums = sums.zip(shift.axis_chunks_iter_mut(Axis(1), width));
    parts.zip(sums).for_each(|((part, dp), (scale, shift))| {
        backward_columns(map, part * width, (dy, y), (beta, dp), scale, shift);
    });
}

fn backward_columns<T: Scalar>(
    map: Affine<'_, T>,
    from: usize,
    (dy, y): (&[T], &[T]),
    (mut beta, mut dp): (T, ArrayViewMut2<'_, T>),
    mut ds: ArrayViewMut2<'_, T>,
    mut db: ArrayViewMut2<'_, T>,
) {
    let Affine { p, scale, n, batch, relu } = map;
    let width = dp.ncols();
    let db = db.as_slice_mut().expect("one row");
    for (s, mut ds) in ds.rows_mut().into_iter().enumerate() {
        let ds = ds.as_slice_mut().expect("adjacent");
        let scale = &scale[s * n + from..][..width];
        for i in s * batch..(s + 1) * batch {
            let (row, at) = (map.from(i), i * n + from);
            let mut dp = dp.row_mut(row);
            let dp = dp.as_slice_mut().expect("adjacent");
            if beta == T::zero() {
                dp.fill(beta);
            }
            let inputs = [&dy[at..], &y[at..], &p[row * n + from..], scale].map(|x| &x[..width]);
            backward_row(relu, inputs, dp, ds, db);
        }
        if map.shared() {
            beta = T::one();
        }
    }
}

/// One row's share. By itself, so that the compiler knows its outputs to be apart.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn backward_row<T: Scalar>(
    relu: bool,
    [dy, y, p, scale]: [&[T]; 4],
    dp: &mut [T],
    ds: &mut [T],
    db: &mut [T],
) {
    let inputs = dy.iter().zip(y).zip(p).zip(scale);
    let outputs = dp.iter_mut().zip(ds).zip(db);
    for ((((&dy, &y), &p), &s), ((dp, ds), db)) in inputs.zip(outputs) {
        let d = if !relu || y > T::zero() { dy } else { T::zero() };
        *dp += s * d;
        *ds += d * p;
        *db += d;
    }
}
