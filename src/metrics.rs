//! Scores of predictions: f32 in, f64 inside and out. `N` examples, `K` classes, `S` samples.
use std::f64::consts::TAU;
use std::fmt;

use ndarray::{Array2, ArrayView1, ArrayView2};

/// The number of bins of [`ece`] and [`reliability`] in every report of this crate.
pub const BINS: usize = 15;

/// A mean over examples with its standard error; `{:.3}` prints `0.981 ± 0.001`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// `m = (1/N) Σ vₙ`.
    pub value: f64,
    /// `√((1/N) Σ (vₙ − m)² / N)`; for a share `a` this is `√(a (1 − a) / N)`.
    pub error: f64,
}

impl Estimate {
    /// The mean of `v [N]`. Callers have checked that there is an example.
    fn of(v: &[f64]) -> Self {
        let n = v.len() as f64;
        let value = v.iter().sum::<f64>() / n;
        let variance = v.iter().map(|v| (v - value).powi(2)).sum::<f64>() / n;
        Self { value, error: (variance / n).sqrt() }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)?;
        f.write_str(" ± ")?;
        fmt::Display::fmt(&self.error, f)
    }
}

/// One bar of the reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// The lowest confidence in the bin.
    pub lower: f64,
    /// The confidence at which the next bin begins; the last bin contains its own, 1.
    pub upper: f64,
    /// How many examples fall into the bin.
    pub count: usize,
    /// The mean of `max_c p_c` over them; 0 if there are none.
    pub confidence: f64,
    /// The share of them classified rightly; 0 if there are none.
    pub accuracy: f64,
}

/// `argmax_c p_c`, the lowest class of a tie; `p [N, K]` to `[N]`.
pub fn predictions(p: ArrayView2<'_, f32>) -> Vec<usize> {
    top(p).map(|(class, _)| class).collect()
}

/// `(1/N) Σ 1[argmax_c pₙc = yₙ]` for `p [N, K]`, labels `y [N]`.
///
/// # Panics
/// If there is no example, or not one label below `K` a row.
pub fn accuracy(p: ArrayView2<'_, f32>, labels: &[usize]) -> Estimate {
    check("accuracy", p, labels);
    let right = |((class, _), &label): ((usize, f64), &usize)| f64::from(class == label);
    Estimate::of(&top(p).zip(labels).map(right).collect::<Vec<_>>())
}

/// `−(1/N) Σ log pₙ,yₙ`, nats an example, for `p [N, K]`, labels `y [N]`.
///
/// A probability counts for no less than `f32::MIN_POSITIVE`, so that one certain mistake costs
/// 87.3 nats rather than infinitely many. One that is not a number makes the mean none either.
///
/// # Panics
/// If there is no example, or not one label below `K` a row.
pub fn nll(p: ArrayView2<'_, f32>, labels: &[usize]) -> Estimate {
    check("nll", p, labels);
    let cost = |(n, &y): (usize, &usize)| {
        -f64::from(p[[n, y]].clamp(f32::MIN_POSITIVE, f32::INFINITY)).ln()
    };
    Estimate::of(&labels.iter().enumerate().map(cost).collect::<Vec<_>>())
}

/// `(1/N) Σₙ Σ_c (pₙc − 1[c = yₙ])²`, between 0 and 2, for `p [N, K]`, labels `y [N]`.
///
/// # Panics
/// If there is no example, or not one label below `K` a row.
pub fn brier(p: ArrayView2<'_, f32>, labels: &[usize]) -> Estimate {
    check("brier", p, labels);
    let square = |p: f32, hit: bool| (f64::from(p) - f64::from(hit)).powi(2);
    let rows = p.outer_iter().zip(labels);
    let cost = rows.map(|(row, &y)| row.iter().enumerate().map(|(c, &p)| square(p, c == y)).sum());
    Estimate::of(&cost.collect::<Vec<f64>>())
}

/// `Σ_b (N_b / N) |accuracy_b − confidence_b|` over equal bins of `max_c p_c`; `p [N, K]`,
/// labels `[N]`. The expected calibration error (Guo et al. 2017), [`BINS`] bins by custom.
///
/// # Panics
/// If there is no example, no bin, or not one label below `K` a row.
pub fn ece(p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) -> f64 {
    let gap = |b: &Bin| b.count as f64 * (b.accuracy - b.confidence).abs();
    reliability(p, labels, bins).iter().map(gap).sum::<f64>() / labels.len() as f64
}

/// Bin `b` of `B` holds the examples with `b ≤ B max_c p_c < b + 1`; `p [N, K]`, labels `[N]`,
/// to `[B]`.
///
/// # Panics
/// If there is no example, no bin, or not one label below `K` a row.
pub fn reliability(p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) -> Vec<Bin> {
    check("reliability", p, labels);
    assert!(bins > 0, "reliability: no bin");
    let edge = |b: usize| b as f64 / bins as f64;
    let empty =
        |b| Bin { lower: edge(b), upper: edge(b + 1), count: 0, confidence: 0.0, accuracy: 0.0 };
    let mut out: Vec<Bin> = (0..bins).map(empty).collect();
    for ((class, confidence), &label) in top(p).zip(labels) {
        let bin = &mut out[((confidence * bins as f64) as usize).min(bins - 1)];
        bin.count += 1;
        bin.confidence += confidence;
        bin.accuracy += f64::from(class == label);
    }
    for bin in out.iter_mut().filter(|b| b.count > 0) {
        bin.confidence /= bin.count as f64;
        bin.accuracy /= bin.count as f64;
    }
    out
}

/// Counts `[K truth, K predicted]` for `p [N, K]`, labels `[N]`.
///
/// # Panics
/// If there is no example, or not one label below `K` a row.
pub fn confusion(p: ArrayView2<'_, f32>, labels: &[usize]) -> Array2<usize> {
    check("confusion", p, labels);
    let mut counts = Array2::zeros([p.ncols(), p.ncols()]);
    for ((class, _), &label) in top(p).zip(labels) {
        counts[[label, class]] += 1;
    }
    counts
}

/// `√((1/N) Σ (mₙ − yₙ)²)` for predictions `m [N]`, targets `y [N]`, in their unit.
///
/// # Panics
/// If there is no example or the lengths differ.
pub fn rmse(mean: &[f32], y: &[f32]) -> f64 {
    check_targets("rmse: mean", mean.len(), y);
    let square = |(&m, &y): (&f32, &f32)| (f64::from(m) - f64::from(y)).powi(2);
    (mean.iter().zip(y).map(square).sum::<f64>() / y.len() as f64).sqrt()
}

/// The share of `|yₙ − mₙ| ≤ z σₙ` for `m [N]`, `σ [N]`, `y [N]`.
///
/// # Panics
/// If there is no example or the lengths differ.
pub fn coverage(mean: &[f32], std: &[f32], y: &[f32], z: f64) -> Estimate {
    check_targets("coverage: mean", mean.len(), y);
    check_targets("coverage: std", std.len(), y);
    let inside =
        |n| f64::from((f64::from(y[n]) - f64::from(mean[n])).abs() <= z * f64::from(std[n]));
    Estimate::of(&(0..y.len()).map(inside).collect::<Vec<f64>>())
}

/// `(1/N) Σₙ log (1/S) Σ_s N(yₙ; m_sn, 1/τ_s)`, nats an example, for means `m [S, N]`, precisions
/// `τ [S]`, targets `y [N]`. The largest term is taken out of the sum, so that nothing underflows.
///
/// # Panics
/// If there is no example or no sample, or the shapes differ.
pub fn gaussian_mixture_log_likelihood(
    means: ArrayView2<'_, f32>,
    precisions: &[f32],
    y: &[f32],
) -> Estimate {
    let name = "gaussian_mixture_log_likelihood: means";
    check_targets(name, means.ncols(), y);
    let (found, expected) = (precisions.len(), means.nrows());
    assert!(found == expected && found > 0, "{name} {:?}, precisions [{found}]", means.shape());
    let log_prob = Array2::from_shape_fn(means.dim(), |(s, n)| {
        let (tau, d) = (f64::from(precisions[s]), f64::from(y[n]) - f64::from(means[[s, n]]));
        0.5 * ((tau / TAU).ln() - tau * d * d)
    });
    log_predictive(log_prob.view())
}

/// `(1/N) Σₙ ln (1/S) Σ_s p(yₙ|θ_s)` for `ln p(yₙ|θ_s)` `[S, N]`.
///
/// # Panics
/// If there is no sample or no example.
pub fn log_predictive(log_prob: ArrayView2<'_, f64>) -> Estimate {
    assert!(!log_prob.is_empty(), "log_predictive: {:?}", log_prob.shape());
    let log_mean_exp = |terms: ArrayView1<'_, f64>| {
        let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most.is_infinite() {
            return most;
        }
        most + (terms.iter().map(|t| (t - most).exp()).sum::<f64>() / terms.len() as f64).ln()
    };
    let each: Vec<_> = log_prob.columns().into_iter().map(log_mean_exp).collect();
    Estimate::of(&each)
}

/// Each row's predicted class and its probability.
fn top<'a>(p: ArrayView2<'a, f32>) -> impl Iterator<Item = (usize, f64)> + 'a {
    (0..p.nrows()).map(move |n| {
        let class =
            (1..p.ncols()).fold(0, |best, c| if p[[n, c]] > p[[n, best]] { c } else { best });
        (class, f64::from(p[[n, class]]))
    })
}

fn check(name: &str, p: ArrayView2<'_, f32>, labels: &[usize]) {
    let (shape, n) = (p.shape(), labels.len());
    assert!(p.nrows() == n, "{name}: p {shape:?}, labels [{n}]: one label a row expected");
    assert!(n > 0, "{name}: p {shape:?}: no example");
    if let Some(y) = labels.iter().find(|&&y| y >= p.ncols()) {
        panic!("{name}: p {shape:?}: label {y} is not a column");
    }
}

fn check_targets(name: &str, n: usize, y: &[f32]) {
    assert!(n == y.len(), "{name} [{n}], y [{}]: one prediction a target expected", y.len());
    assert!(n > 0, "{name} [0]: no example");
}
