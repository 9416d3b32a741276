//! Of what is said with probability `p`, is the share `p` true?
use super::classification::{check, top};
use crate::stats::mean;
use ndarray::{ArrayView2, Axis};

/// The number of bins of [`ece`] and [`reliability`] in every report of this crate.
pub const BINS: usize = 15;

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

/// `Σ_b (N_b / N) |accuracy_b − confidence_b|` over equal bins of `max_c p_c`; `p [N, K]`,
/// labels `[N]`. The expected calibration error (Guo et al. 2017), [`BINS`] bins by custom.
///
/// # Panics
/// If there is no example, no bin, or not one label below `K` a row.
pub fn ece(p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) -> f64 {
    error(&reliability(p, labels, bins))
}

/// [`ece`] over the bins of [`reliability_equal_mass`]: none rests on a handful of examples, and where
/// almost all are sure, those are told apart (Nguyen and O'Connor 2015).
///
/// # Panics
/// If there is no example, no bin, or not one label below `K` a row.
pub fn ece_equal_mass(p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) -> f64 {
    error(&reliability_equal_mass(p, labels, bins))
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
    let edges = (0..bins).map(|b| (edge(b), edge(b + 1)));
    fill(edges, p, labels, |confidence| equal_width(confidence, bins))
}

/// Bin `b` of `B` holds the examples with `b ≤ B below/N < b + 1`, where `below` counts the examples
/// of a lower `max_c p_c`; `p [N, K]`, labels `[N]`, to at most `[B]`. Without ties the bins are equal
/// but for one example; ties stay together, and bins that they leave empty are left out.
///
/// # Panics
/// If there is no example, no bin, or not one label below `K` a row.
pub fn reliability_equal_mass(p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) -> Vec<Bin> {
    check("reliability_equal_mass", p, labels);
    assert!(bins > 0, "reliability_equal_mass: no bin");
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

/// The parts of the Brier score: `brier = reliability − resolution + uncertainty + within`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BrierParts {
    /// `Σ_c Σ_b (N_b/N) (p_b − y_b)²`, with `p_b` the mean forecast in a bin and `y_b` how often the
    /// class came: the cost of forecasts that do not say how often. 0 at best.
    pub reliability: f64,
    /// `Σ_c Σ_b (N_b/N) (y_b − y)²`, with `y` how often the class came at all: what is gained by
    /// forecasts that tell examples apart.
    pub resolution: f64,
    /// `Σ_c y (1 − y)`: the score of a forecast that always says `y`. A property of the labels.
    pub uncertainty: f64,
    /// `(1/N) Σ_c Σ_n (pₙ − p_b)² − 2 (pₙ − p_b)(yₙ − y_b)`: what bins hide, exactly 0 if all
    /// forecasts in a bin are equal (Stephenson, Coelho and Jolliffe 2008).
    pub within: f64,
}

/// The [`BrierParts`] of `p [N, K]`, labels `[N]` (Murphy 1973), class by class over so many equal bins
/// of `p_c`. Over any bins the four parts add up to [`brier`](super::brier); the classical three alone
/// do so over bins of equal forecasts.
///
/// # Panics
/// If there is no example, no bin, or not one label below `K` a row.
pub fn brier_parts(p: ArrayView2<'_, f32>, labels: &[usize], bins: usize) -> BrierParts {
    check("brier_parts", p, labels);
    assert!(bins > 0, "brier_parts: no bin");
    let n = labels.len() as f64;
    let mut parts = BrierParts { reliability: 0.0, resolution: 0.0, uncertainty: 0.0, within: 0.0 };
    for (class, forecasts) in p.axis_iter(Axis(1)).enumerate() {
        let mut groups = vec![(vec![], vec![]); bins];
        for (&p, &label) in forecasts.iter().zip(labels) {
            let (ps, ys) = &mut groups[equal_width(p.into(), bins)];
            ps.push(f64::from(p));
            ys.push(f64::from(label == class));
        }
        let often = labels.iter().filter(|&&label| label == class).count() as f64 / n;
        parts.uncertainty += often * (1.0 - often);
        for (ps, ys) in groups.iter().filter(|(ps, _)| !ps.is_empty()) {
            let (share, p_bin, y_bin) = (ps.len() as f64 / n, mean(ps), mean(ys));
            parts.reliability += share * (p_bin - y_bin).powi(2);
            parts.resolution += share * (y_bin - often).powi(2);
            let hidden = |(p, y): (&f64, &f64)| (p - p_bin) * (p - p_bin - 2.0 * (y - y_bin));
            parts.within += ps.iter().zip(ys).map(hidden).sum::<f64>() / n;
        }
    }
    parts
}

/// The bin of `p` among so many equal ones of `[0, 1]`, the last closed.
fn equal_width(p: f64, bins: usize) -> usize {
    ((p * bins as f64) as usize).min(bins - 1)
}

/// The means over bins with these edges.
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
