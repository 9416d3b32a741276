//! `y = act(s ⊙ p + b)`, and its three gradients in one pass.
use super::gemm::prefetch;
use super::parallel;
use super::path::multiversion;
use super::scalar::Scalar;
use super::vector::{self, CHUNK};
use ndarray::{Array2, ArrayViewMut2, ArrayViewMut3, Axis};

/// The number of columns in one task of [`backward`].
const COLUMNS: usize = 208;
/// A batch of more rows than this is split into blocks of rows, whatever the number of columns.
const MAX_ROWS: usize = 2048;
/// The number of rows that are summed in the precision of `T` before their sum is added in `f64`.
const GROUP: usize = 16;

/// The map from `p` to `y`, except for its shift. Row `i` of `y [S·B, n]` is computed from row
/// `⌊i/B⌋` of the scales `s [S, n]` and from row `i` of `p [S·B, n]`, or row `i mod B` of
/// `p [B, n]` if the samples share it.
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
    /// If true, `act` is `max(·, 0)`; otherwise it is the identity.
    pub relu: bool,
}

impl<T: Scalar> Affine<'_, T> {
    fn shared(&self) -> bool {
        self.p.len() == self.batch * self.n
    }

    /// `S`; checks the lengths.
    fn samples(&self, y: usize, shift: usize) -> usize {
        let Self { p, scale, n, batch, .. } = *self;
        let samples = scale.len().checked_div(n).unwrap_or(0);
        let len = batch * n;
        assert!(
            n > 0
                && [scale.len(), y, shift] == [samples * n, samples * len, n]
                && (p.len() == len || p.len() == y),
            "affine: {} entries, {} scales, {shift} shifts and {y} outputs of n = {n}, B = {batch}",
            p.len(),
            scale.len()
        );
        samples
    }

    /// The row of `p` that row `i` of `y` comes from.
    fn source(&self, i: usize) -> usize {
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
    parallel::for_each(y.chunks_mut(rows * n).enumerate(), move |(chunk, y)| {
        for (i, y) in y.chunks_exact_mut(n).enumerate() {
            let i = chunk * rows + i;
            forward_row(&p[map.source(i) * n..][..n], &scale[i / batch * n..][..n], shift, relu, y);
        }
    });
}

multiversion! {
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

/// `dp ← β dp + Σ s ⊙ δ`, `ds ← Σ_B δ ⊙ p` and `db ← Σ δ`, where `δ = dy act'` and `β` is 0 or 1.
/// The sum for `dp` is over the samples that share a row of `p`, that for `db` over all rows.
///
/// If there are few rows, each task computes a block of columns, and no sum is split over tasks. If
/// there are many rows, as for images, each task computes a block of rows, and the partial sums are
/// added in order. Groups of 16 rows are summed in the precision of `T`, and the sums of groups in
/// `f64`.
///
/// # Panics
/// Unless the lengths agree, `ds` is `[S, n]`, `db` is `[1, n]`, and none of these sizes is 0.
pub fn backward<T: Scalar>(
    map: Affine<'_, T>,
    (dy, y): (&[T], &[T]),
    (beta, dp): (T, &mut [T]),
    mut ds: ArrayViewMut2<'_, T>,
    mut db: ArrayViewMut2<'_, T>,
) {
    let Affine { n, batch, .. } = map;
    let scales = map.samples(dy.len(), n);
    let fits = ds.dim() == (scales, n) && db.dim() == (1, n);
    assert!(
        fits && [dp.len(), y.len()] == [map.p.len(), dy.len()] && !dy.is_empty(),
        "affine: gradients {:?} and {:?} of {scales} scales of {n}, {} of {} inputs",
        ds.dim(),
        db.dim(),
        dp.len(),
        map.p.len()
    );
    let copies = dp.len() / (batch * n);
    let mut dp = ArrayViewMut3::from_shape((copies, batch, n), dp).expect("checked above");
    let rows = if n > COLUMNS && batch <= MAX_ROWS { batch } else { (CHUNK / n).max(1) };
    if batch <= rows {
        let width = if dy.len() <= CHUNK { n } else { COLUMNS };
        let blocks = dp.axis_chunks_iter_mut(Axis(2), width).enumerate();
        let ds = ds.axis_chunks_iter_mut(Axis(1), width);
        let outputs = ds.zip(db.axis_chunks_iter_mut(Axis(1), width));
        return parallel::for_each(blocks.zip(outputs), |((block, dp), outputs)| {
            round(backward_block(map, [0, block * width], (dy, y), (beta, dp), scales), outputs);
        });
    }
    let blocks = dp.axis_chunks_iter_mut(Axis(1), rows).enumerate();
    let sums = parallel::map(blocks, |(block, dp)| {
        backward_block(map, [block * rows, 0], (dy, y), (beta, dp), scales)
    });
    let sums = sums.into_iter().reduce(|[ds, db], [s, b]| [ds + s, db + b]).expect("a row");
    round(sums, (ds, db));
}

/// Writes the sums to `ds` and `db`, rounded once.
fn round<T: Scalar>(
    [sum_s, sum_b]: [Array2<f64>; 2],
    (mut ds, mut db): (ArrayViewMut2<'_, T>, ArrayViewMut2<'_, T>),
) {
    ds.zip_mut_with(&sum_s, |to, &sum| *to = T::of(sum));
    db.zip_mut_with(&sum_b, |to, &sum| *to = T::of(sum));
}

/// Computes the block of `dp [S or 1, B, n]` whose first row and column are `top` and `left`.
/// Returns its contributions to `ds` and `db`.
fn backward_block<T: Scalar>(
    map: Affine<'_, T>,
    [top, left]: [usize; 2],
    (dy, y): (&[T], &[T]),
    (mut beta, mut dp): (T, ArrayViewMut3<'_, T>),
    scales: usize,
) -> [Array2<f64>; 2] {
    let Affine { p, scale, n, batch, relu } = map;
    let (copies, rows, width) = dp.dim();
    let mut sums = [scales, 1].map(|rows| Array2::zeros((rows, width)));
    let mut group = [vec![T::zero(); width], vec![T::zero(); width]];
    let [ds, db] = &mut sums;
    let db = db.as_slice_mut().expect("one row");
    for (s, mut ds) in ds.rows_mut().into_iter().enumerate() {
        let ds = ds.as_slice_mut().expect("contiguous");
        let scale = &scale[s * n + left..][..width];
        let mut dp = dp.index_axis_mut(Axis(0), s.min(copies - 1));
        for (i, mut dp) in dp.rows_mut().into_iter().enumerate() {
            let row = s * batch + top + i;
            let at = row * n + left;
            let dp = dp.as_slice_mut().expect("contiguous");
            if beta == T::zero() {
                dp.fill(beta);
            }
            let p = &p[map.source(row) * n + left..];
            let inputs = [&dy[at..], &y[at..], p, scale].map(|x| &x[..width]);
            // The hardware prefetcher loses track at the end of a row's part.
            for x in [dy, y, map.p] {
                let next = at + n..x.len().min(at + n + width);
                next.step_by(64 / size_of::<T>()).for_each(|j| prefetch(&x[j]));
            }
            let [group_s, group_b] = &mut group;
            backward_row(relu, inputs, dp, group_s, group_b);
            if (i + 1).is_multiple_of(GROUP) || i + 1 == rows {
                for (group, sum) in [(group_s, &mut *ds), (group_b, &mut *db)] {
                    vector::add_f64(group, sum);
                    group.fill(T::zero());
                }
            }
        }
        if map.shared() {
            beta = T::one();
        }
    }
    sums
}

multiversion! {
    /// The contribution of one row. It is a separate function so that the compiler knows that the
    /// outputs do not alias.
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
