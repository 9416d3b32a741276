//! `y = act(s ⊙ p + b)` row by row, and its three gradients in one pass.
use super::path::versions;
use super::vector::CHUNK;
use crate::scalar::Scalar;
use ndarray::{Array2, ArrayViewMut2, ArrayViewMut3, Axis};
use rayon::prelude::*;

/// Columns a thread takes at a time in [`backward`].
const COLUMNS: usize = 208;
/// More rows than these are cut, however many columns they have.
const MANY: usize = 2048;

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

versions! {
    fn forward_row[T: Scalar](p: &[T], scale: &[T], shift: &[T], relu: bool, y: &mut [T]) {
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
}

/// `dp ← β dp + Σ s ⊙ δ` for `β` 0 or 1 (over the scales that share a row of `p`), `ds ← Σ_B δ ⊙ p` and `db ← Σ δ`, with
/// `δ = dy` where `act` lets it through.
///
/// Few rows are cut into columns, which no sum crosses; many rows of few columns, as images have them, into
/// rows, whose sums are added up in order.
///
/// # Panics
/// Unless `dp` is as long as `p`.
pub fn backward<T: Scalar>(
    map: Affine<'_, T>,
    (dy, y): (&[T], &[T]),
    (beta, dp): (T, &mut [T]),
    mut scale: ArrayViewMut2<'_, T>,
    mut shift: ArrayViewMut2<'_, T>,
) {
    let Affine { n, batch, .. } = map;
    assert_eq!(dp.len(), map.p.len(), "affine: lengths differ");
    let (scales, copies) = (scale.nrows(), dp.len() / (batch * n));
    let mut dp = ArrayViewMut3::from_shape((copies, batch, n), dp).expect("as many entries");
    let rows = if n > COLUMNS && batch <= MANY { batch } else { (CHUNK / n).max(1) };
    if batch <= rows {
        scale.fill(T::zero());
        shift.fill(T::zero());
        let width = if dy.len() <= CHUNK { n } else { COLUMNS };
        let parts = dp.axis_chunks_iter_mut(Axis(2), width).into_par_iter().enumerate();
        let sums = scale.axis_chunks_iter_mut(Axis(1), width).into_par_iter();
        let sums = sums.zip(shift.axis_chunks_iter_mut(Axis(1), width));
        return parts.zip(sums).for_each(|((part, dp), (scale, shift))| {
            backward_part(map, [0, part * width], (dy, y), (beta, dp), scale, shift);
        });
    }
    let parts = dp.axis_chunks_iter_mut(Axis(1), rows).into_par_iter().enumerate();
    let sums = parts.map(|(part, dp)| {
        let (mut ds, mut db) = (Array2::zeros((scales, n)), Array2::zeros((1, n)));
        let (scale, shift) = (ds.view_mut(), db.view_mut());
        backward_part(map, [part * rows, 0], (dy, y), (beta, dp), scale, shift);
        [ds, db]
    });
    let sums = sums.collect::<Vec<_>>().into_iter();
    let sums = sums.reduce(|[ds, db], [s, b]| [ds + s, db + b]).expect("a row");
    scale.assign(&sums[0]);
    shift.assign(&sums[1]);
}

/// The part of `dp [S or 1, B, n]` that begins at this row and column.
fn backward_part<T: Scalar>(
    map: Affine<'_, T>,
    [top, from]: [usize; 2],
    (dy, y): (&[T], &[T]),
    (mut beta, mut dp): (T, ArrayViewMut3<'_, T>),
    mut ds: ArrayViewMut2<'_, T>,
    mut db: ArrayViewMut2<'_, T>,
) {
    let Affine { p, scale, n, batch, relu } = map;
    let (copies, _, width) = dp.dim();
    let db = db.as_slice_mut().expect("one row");
    for (s, mut ds) in ds.rows_mut().into_iter().enumerate() {
        let ds = ds.as_slice_mut().expect("adjacent");
        let scale = &scale[s * n + from..][..width];
        let mut dp = dp.index_axis_mut(Axis(0), s.min(copies - 1));
        for (i, mut dp) in (s * batch + top..).zip(dp.rows_mut()) {
            let at = i * n + from;
            let dp = dp.as_slice_mut().expect("adjacent");
            if beta == T::zero() {
                dp.fill(beta);
            }
            let p = &p[map.from(i) * n + from..];
            let inputs = [&dy[at..], &y[at..], p, scale].map(|x| &x[..width]);
            backward_row(relu, inputs, dp, ds, db);
        }
        if map.shared() {
            beta = T::one();
        }
    }
}

versions! {
    /// One row's share. By itself, so that the compiler knows its outputs to be apart.
    fn backward_row[T: Scalar](
        relu: bool,
        inputs: [&[T]; 4],
        dp: &mut [T],
        ds: &mut [T],
        db: &mut [T],
    ) {
        let [dy, y, p, scale] = inputs;
        let inputs = dy.iter().zip(y).zip(p).zip(scale);
        let outputs = dp.iter_mut().zip(ds).zip(db);
        for ((((&dy, &y), &p), &s), ((dp, ds), db)) in inputs.zip(outputs) {
            let d = if !relu || y > T::zero() { dy } else { T::zero() };
            *dp += s * d;
            *ds += d * p;
            *db += d;
        }
    }
}
