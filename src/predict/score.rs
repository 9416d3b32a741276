//! Scores that rank inputs by the uncertainty of their predictions, for the detection of anomalies
//! and for active learning.
use crate::predict::Predictive;
use ndarray::{Array2, ArrayView1};
use std::f64::consts::{E, TAU};

/// A measure of uncertainty. For every score, **higher is more uncertain**. `p_s` are the class
/// probabilities under posterior sample `s`, and `p̄` is their mean over samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
// ANCHOR: score
pub enum Score {
    /// `1 − max_c p̄_c`, which the authors' code calls the variation ratio.
    MaxConfidence,
    /// `H[p̄]`, nats: the total uncertainty.
    Entropy,
    /// `H[p̄] − mean_s H[p_s]`, nats: the mutual information `I[y; θ]`, epistemic uncertainty.
    Bald,
    /// `mean_c std_s p_{s,c}`.
    MeanStd,
    /// `1 − (count of the most frequent argmax_c p_{s,c})/S`: the variation ratio of the samples'
    /// votes, that of Gal, Islam & Ghahramani 2017. It has at most `S` values, hence many ties.
    VariationRatio,
}
// ANCHOR_END: score

impl Score {
    /// All scores, in the order of the paper's tables.
    pub const ALL: [Self; 5] =
        [Self::MaxConfidence, Self::Entropy, Self::Bald, Self::MeanStd, Self::VariationRatio];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxConfidence => "max confidence",
            Self::Entropy => "entropy",
            Self::Bald => "BALD",
            Self::MeanStd => "mean STD",
            Self::VariationRatio => "variation ratio (votes)",
        }
    }

    /// The score `[N]` of each input.
    ///
    /// In regression, the predictive distribution is taken to be normal with variance `std²`, of
    /// which `spread²` is epistemic. Its entropy is `½ ln(2πe std²)`, its BALD is
    /// `½ ln(std² / (std² − spread²))`, and its mean standard deviation is `spread`.
    ///
    /// # Panics
    /// If the predictions are of real numbers and the score is defined for classes only.
    pub fn of(self, predictive: &Predictive) -> Vec<f64> {
        let wide = |v: &[f32]| v.iter().map(|&x| x.into()).collect();
        match predictive {
            Predictive::Classes { p, entropy, bald, mean_std, variation_ratio } => match self {
                Self::MaxConfidence => doubt(p),
                Self::Entropy => wide(entropy),
                Self::Bald => wide(bald),
                Self::MeanStd => wide(mean_std),
                Self::VariationRatio => wide(variation_ratio),
            },
            Predictive::Values { std, spread, .. } => match self {
                Self::Entropy => std.iter().map(|s| s.ln() + 0.5 * (TAU * E).ln()).collect(),
                Self::Bald => {
                    let share = |(spread, std): (&f64, &f64)| (spread / std).powi(2);
                    // Rounding can make `spread` equal to `std`.
                    let rest = |pair| (1. - share(pair)).max(f64::EPSILON);
                    // 0 rather than −0 if samples agree.
                    spread.iter().zip(std).map(|pair| 0. - 0.5 * rest(pair).ln()).collect()
                }
                Self::MeanStd => spread.clone(),
                Self::MaxConfidence | Self::VariationRatio => {
                    panic!("Score::of: {self:?} is defined for classes only")
                }
            },
        }
    }
}

/// `1 − max_c p̄_c` as `Σ_{c ≠ argmax p̄} p̄_c`, which distinguishes confidences that round to 1.
fn doubt(p: &Array2<f32>) -> Vec<f64> {
    let row = |p: ArrayView1<'_, f32>| {
        let mut p: Vec<f64> = p.iter().map(|&p| p.into()).collect();
        p.sort_by(f64::total_cmp);
        // The sum of an empty iterator is −0.
        0. + p[..p.len() - 1].iter().sum::<f64>()
    };
    p.outer_iter().map(row).collect()
}
