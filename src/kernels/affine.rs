//! `y = act(s ⊙ p + b)` row by row, and its three gradients in one pass.
use super::path::versions;
use super::vector::{self, CHUNK};
use crate::kernels::scalar::Scalar;
use ndarray::{Array2, ArrayViewMut2, ArrayViewMut3, Axis};
use rayon::prelude::*;

/// Columns a thread takes at a time in [`backward`].
const COLUMNS: usize = 208;
/// More rows than these are cut, however many columns they have.
const MANY: usize = 2048;
/// Rows that are added up before they go into a sum in `f64`.
const FEW: usize = 16;

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

    /// `S`, if these lengths fit.
    fn samples(&self, y: usize, shift: usize) -> usize {
        let Self { p, scale, n, batch, .. } = *self;
        let samples = scale.len().checked_div(n).unwrap_or(0);
        let each = batch * n;
        assert!(
            n > 0
                && [scale.len(), y, shift] == [samples * n, samples * each, n]
                && (p.len() == each || p.len() == y),
            "affine: {} entries, {} scales, {shift} shifts and {y} outputs of n = {n}, B = {batch}",
            p.len(),
            scale.len()
        );
        samples
    }

    /// The row of `p` that row `i` of `y` comes from.
    fn from(&self, i: usize) -> usize {
        if self.shared() { i % self.batch } else { i }
    }
}

/// `y ← act(s ⊙ p + b)`.
///
/// # Panics
/// Unless the lengths agree, and `n > 0`.
pub fn forward<T: Scalar>(map: Affine<'_, T>, shift: &[T], y: &mut [T]) {
    let Affine { p, scale, n, batch, relu } = map;
    map.samples(y.len(), shift.len());
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
/// Few rows are cut into columns, which no sum crosses; many rows of few columns, as images have them,
/// into rows, whose sums are added up in order. Sums of more than 16 rows are in `f64`.
///
/// # Panics
/// Unless the lengths agree, `ds` is `[S, n]`, `db` is `[1, n]`, and none of these is 0.
pub fn backward<T: Scalar>(
    map: Affine<'_, T>,
    (dy, y): (&[T], &[T]),
    (beta, dp): (T, &mut [T]),
    mut scale: ArrayViewMut2<'_, T>,
    mut shift: ArrayViewMut2<'_, T>,
) {
    let Affine { n, batch, .. } = map;
    let scales = map.samples(dy.len(), n);
    let fits = scale.dim() == (scales, n) && shift.dim() == (1, n);
    assert!(
        fits && [dp.len(), y.len()] == [map.p.len(), dy.len()] && !dy.is_empty(),
        "affine: gradients {:?} and {:?} of {scales} scales of {n}, {} of {} inputs",
        scale.dim(),
        shift.dim(),
        dp.len(),
        map.p.len()
    );
    let copies = dp.len() / (batch * n);
    let mut dp = ArrayViewMut3::from_shape((copies, batch, n), dp).expect("as many entries");
    let rows = if n > COLUMNS && batch <= MANY { batch } else { (CHUNK / n).max(1) };
    if batch <= rows {
        let width = if dy.len() <= CHUNK { n } else { COLUMNS };
        let parts = dp.axis_chunks_iter_mut(Axis(2), width).into_par_iter().enumerate();
        let sums = scale.axis_chunks_iter_mut(Axis(1), width).into_par_iter();
        let sums = sums.zip(shift.axis_chunks_iter_mut(Axis(1), width));
        return parts.zip(sums).for_each(|((part, dp), (mut scale, mut shift))| {
            let [ds, db] = backward_part(map, [0, part * width], (dy, y), (beta, dp), scales);
            scale.zip_mut_with(&ds, |to, &ds| *to = T::of(ds));
            shift.zip_mut_with(&db, |to, &db| *to = T::of(db));
        });
    }
    let parts = dp.axis_chunks_iter_mut(Axis(1), rows).into_par_iter().enumerate();
    let sums = parts
        .map(|(part, dp)| backward_part(map, [part * rows, 0], (dy, y), (beta, dp), scales))
        .collect::<Vec<_>>();
    let sums = sums.into_iter().reduce(|[ds, db], [s, b]| [ds + s, db + b]).expect("a row");
    scale.zip_mut_with(&sums[0], |to, &ds| *to = T::of(ds));
    shift.zip_mut_with(&sums[1], |to, &db| *to = T::of(db));
}

/// The part of `dp [S or 1, B, n]` that begins at this row and column, and its share of `ds` and `db`.
fn backward_part<T: Scalar>(
    map: Affine<'_, T>,
    [top, from]: [usize; 2],
    (dy, y): (&[T], &[T]),
    (mut beta, mut dp): (T, ArrayViewMut3<'_, T>),
    scales: usize,
) -> [Array2<f64>; 2] {
    let Affine { p, scale, n, batch, relu } = map;
    let (copies, rows, width) = dp.dim();
    let mut sums = [scales, 1].map(|rows| Array2::zeros((rows, width)));
    let mut few = [vec![T::zero(); width], vec![T::zero(); width]];
    let [ds, db] = &mut sums;
    let db = db.as_slice_mut().expect("one row");
    for (s, mut ds) in ds.rows_mut().into_iter().enumerate() {
        let ds = ds.as_slice_mut().expect("adjacent");
        let scale = &scale[s * n + from..][..width];
        let mut dp = dp.index_axis_mut(Axis(0), s.min(copies - 1));
        for (i, mut dp) in dp.rows_mut().into_iter().enumerate() {
            let row = s * batch + top + i;
            let at = row * n + from;
            let dp = dp.as_slice_mut().expect("adjacent");
            if beta == T::zero() {
                dp.fill(beta);
            }
            let p = &p[map.from(row) * n + from..];
            let inputs = [&dy[at..], &y[at..], p, scale].map(|x| &x[..width]);
            let [few_s, few_b] = &mut few;
            backward_row(relu, inputs, dp, few_s, few_b);
            if (i + 1).is_multiple_of(FEW) || i + 1 == rows {
                for (few, sum) in [(few_s, &mut *ds), (few_b, &mut *db)] {
                    vector::add_f64(few, sum);
                    few.fill(T::zero());
                }
            }
        }
        if map.shared() {
            beta = T::one();
        }
    }
    sums
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
            let d = if relu && y <= T::zero() { T::zero() } else { dy };
            *dp += s * d;
            *ds += d * p;
            *db += d;
        }
    }
}
