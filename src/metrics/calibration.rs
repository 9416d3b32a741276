//! Calibration: whether predictions made with probability `p` are right with frequency `p`.
use super::classification::{check, top};
use crate::stats::mean;
use ndarray::{ArrayView2, Axis};

/// The number of bins of [`ece`] and [`reliability`] in every report of this crate, as in Guo et
/// al. 2017.
pub const BINS: usize = 15;

/// A bin of the reliability diagram. The confidence of an example is `max_c p_c`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Lower edge of the bin, inclusive.
    pub lower: f64,
    /// Upper edge of the bin, exclusive; the last bin includes its upper edge, 1.
    pub upper: f64,
    /// Number of examples in the bin.
    pub count: usize,
    /// Mean confidence of the examples in the bin; 0 for an empty bin.
    pub confidence: f64,
    /// Accuracy on the examples in the bin; 0 for an empty bin.
    pub accuracy: f64,
}

/// Expected calibration error `Σ_b (N_b/N) |accuracy_b − confidence_b|` over the bins of
/// [`reliability`], for `p [N, K]` and labels `[N]`, in `[0, 1]`: Guo, Pleiss, Sun and Weinberger,
/// "On calibration of modern neural networks", ICML 2017.
///
/// # Panics
/// If there is no example or no bin, the numbers of rows and labels differ, or a label is not below
/// `K`.
pub fn ece(p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) -> f64 {
    error(&reliability(p, labels, bins))
}

/// [`ece`] from the confidences `[N]` of predictions and whether each is right, 1 or 0, `[N]`.
///
/// # Panics
/// If there is no example or no bin, or the lengths differ.
pub fn ece_of_confidence(confidence: &[f64], right: &[f64], bins: usize) -> f64 {
    let n = confidence.len();
    let fits = n == right.len() && n > 0 && bins > 0;
    assert!(fits, "ece: confidence [{n}], right [{}], {bins} bins", right.len());
    // The sums of `right − confidence` of each bin.
    let mut sums = vec![0.0; bins];
    for (confidence, right) in confidence.iter().zip(right) {
        sums[equal_width(*confidence, bins)] += right - confidence;
    }
    sums.iter().map(|sum| f64::abs(*sum)).sum::<f64>() / n as f64
}

/// Expected calibration error over the bins of [`reliability_equal_mass`], in `[0, 1]`: Nguyen and
/// O'Connor, "Posterior calibration and exploratory analysis for natural language processing
/// models", EMNLP 2015. If there are no ties, all bins have about the same number of examples. Bins
/// of equal width often have only a handful, while a single bin has all examples of high
/// confidence.
///
/// # Panics
/// If there is no example or no bin, the numbers of rows and labels differ, or a label is not below
/// `K`.
pub fn ece_equal_mass(p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) -> f64 {
    error(&reliability_equal_mass(p, labels, bins))
}

/// Reliability diagram with `B` bins of equal width: bin `b` has the examples with
/// `b ≤ B max_c p_c < b + 1`, and the last bin also those with `max_c p_c = 1`. For `p [N, K]` and
/// labels `[N]`, the result has shape `[B]`.
///
/// # Panics
/// If there is no example or no bin, the numbers of rows and labels differ, or a label is not below
/// `K`.
pub fn reliability(p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) -> Vec<Bin> {
    check_bins("reliability", p, labels, bins);
    let edge = |b: usize| b as f64 / bins as f64;
    let edges = (0..bins).map(|b| (edge(b), edge(b + 1)));
    fill(edges, p, labels, |confidence| equal_width(confidence, bins))
}

/// Reliability diagram with `B` bins of equal mass: bin `b` has the examples with
/// `b ≤ B below/N < b + 1`, where `below` counts the examples of lower confidence. For `p [N, K]`
/// and labels `[N]`, the result has at most `B` bins. If there are no ties, the sizes of bins
/// differ by at most 1. Tied examples share a bin, and empty bins are left out.
///
/// # Panics
/// If there is no example or no bin, the numbers of rows and labels differ, or a label is not below
/// `K`.
pub fn reliability_equal_mass(p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) -> Vec<Bin> {
    check_bins("reliability_equal_mass", p, labels, bins);
    let mut ascending: Vec<f64> = top(p).map(|(_, confidence)| confidence).collect();
    ascending.sort_by(f64::total_cmp);
    let which = |confidence| bins * ascending.partition_point(|&c| c < confidence) / labels.len();
    let mut out = fill((0..bins).map(|_| (0.0, 1.0)), p, labels, which);
    for &confidence in ascending.iter().rev() {
        out[which(confidence)].lower = confidence;
    }
    out.retain(|bin| bin.count > 0);
    for b in 1..out.len() {
        out[b - 1].upper = out[b].lower;
    }
    out
}

/// Decomposition of the Brier score: `brier = reliability − resolution + uncertainty + within`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrierParts {
    /// `Σ_c Σ_b (N_b/N) (p_b − y_b)²`, where `p_b` is the mean forecast and `y_b` the frequency of
    /// class `c` in bin `b`: the cost of miscalibration, 0 at best.
    pub reliability: f64,
    /// `Σ_c Σ_b (N_b/N) (y_b − y)²`, where `y` is the overall frequency of class `c`: the gain from
    /// forecasts that distinguish examples.
    pub resolution: f64,
    /// `Σ_c y (1 − y)`: the score of the constant forecast `y`. It is a property of the labels
    /// alone.
    pub uncertainty: f64,
    /// `(1/N) Σ_c Σₙ [(pₙ − p_b)² − 2 (pₙ − p_b)(yₙ − y_b)]`, where `b` is the bin of example `n`,
    /// `pₙ` its forecast of class `c`, and `yₙ` 1 if its label is `c`, otherwise 0: the variation
    /// within bins, which is 0 if all forecasts in a bin are equal.
    pub within: f64,
}

/// Decomposition of the Brier score of `p [N, K]` for labels `[N]`: the sum over classes `c`, with
/// the forecasts `p_c` in bins of equal width (Murphy, "A new vector partition of the probability
/// score", 1973). Murphy's three parts give [`brier`](super::brier) if the forecasts in each bin
/// are equal; with `within`, the sum of the two components of Stephenson, Coelho and Jolliffe ("Two
/// extra components in the Brier score decomposition", 2008), they give it for any bins.
///
/// # Panics
/// If there is no example or no bin, the numbers of rows and labels differ, or a label is not below
/// `K`.
pub fn brier_parts(p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) -> BrierParts {
    check_bins("brier_parts", p, labels, bins);
    let n = labels.len() as f64;
    let mut parts = BrierParts { reliability: 0.0, resolution: 0.0, uncertainty: 0.0, within: 0.0 };
    for (class, forecasts) in p.axis_iter(Axis(1)).enumerate() {
        let mut groups = vec![(vec![], vec![]); bins];
        for (&p, &label) in forecasts.iter().zip(labels) {
            let (ps, ys) = &mut groups[equal_width(p.into(), bins)];
            ps.push(f64::from(p));
            ys.push(f64::from(label == class));
        }
        let frequency = labels.iter().filter(|&&label| label == class).count() as f64 / n;
        parts.uncertainty += frequency * (1.0 - frequency);
        for (ps, ys) in groups.iter().filter(|(ps, _)| !ps.is_empty()) {
            let (share, p_bin, y_bin) = (ps.len() as f64 / n, mean(ps), mean(ys));
            parts.reliability += share * (p_bin - y_bin).powi(2);
            parts.resolution += share * (y_bin - frequency).powi(2);
            let within = |(p, y): (&f64, &f64)| (p - p_bin) * (p - p_bin - 2.0 * (y - y_bin));
            parts.within += ps.iter().zip(ys).map(within).sum::<f64>() / n;
        }
    }
    parts
}

fn check_bins(name: &str, p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) {
    check(name, p, labels);
    assert!(bins > 0, "{name}: no bin");
}

/// Index of the bin that contains `p`, for `bins` bins of equal width over `[0, 1]`; the last
/// includes 1.
fn equal_width(p: f64, bins: usize) -> usize {
    ((p * bins as f64) as usize).min(bins - 1)
}

/// Bins with these edges; `which` maps a confidence to the index of its bin.
fn fill(
    edges: impl Iterator<Item = (f64, f64)>,
    p: ArrayView2<'_, f32>,
    labels: &[usize],
    which: impl Fn(f64) -> usize,
) -> Vec<Bin> {
    let empty = |(lower, upper)| Bin { lower, upper, count: 0, confidence: 0.0, accuracy: 0.0 };
    let mut out: Vec<Bin> = edges.map(empty).collect();
    for ((class, confidence), &label) in top(p).zip(labels) {
        let bin = &mut out[which(confidence)];
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

fn error(bins: &[Bin]) -> f64 {
    let gap = |b: &Bin| b.count as f64 * (b.accuracy - b.confidence).abs();
    bins.iter().map(gap).sum::<f64>() / bins.iter().map(|b| b.count as f64).sum::<f64>()
}
