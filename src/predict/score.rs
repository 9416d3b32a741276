//! Numbers that rank inputs by how uncertain their predictions are, as the paper's tables on anomalies
//! and its active learning do.
use crate::predict::Predictive;
use ndarray::{Array2, ArrayView1};
use std::f64::consts::{E, TAU};

/// An uncertainty of a predicted class. Every score points the same way: **higher is more uncertain**,
/// and so more likely out of the distribution, or worth a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Score {
    /// `1 − max_c p̄_c`: confidence, turned round.
    MaxConfidence,
    /// `H[p̄]`, nats.
    Entropy,
    /// `H[p̄] − mean_s H[p_s]`, nats: what `θ` would tell about the class.
    Bald,
    /// `mean_c std_s p_{s,c}`.
    MeanStd,
    /// `1 − (count of the most frequent argmax_c p_{s,c})/S`. It has few values, and so many ties.
    VariationRatio,
}

impl Score {
    /// Every score, in the order of the paper's tables.
    pub const ALL: [Self; 5] =
        [Self::MaxConfidence, Self::Entropy, Self::Bald, Self::MeanStd, Self::VariationRatio];

    /// What tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxConfidence => "max confidence",
            Self::Entropy => "entropy",
            Self::Bald => "BALD",
            Self::MeanStd => "mean STD",
            Self::VariationRatio => "variation ratio",
        }
    }

    /// The score of each of `N` predicted inputs, higher if more uncertain; `[N]`.
    ///
    /// Of a number, predicted with `std` and, of that, `spread`: the entropy is `½ ln 2πe std²`, BALD
    /// `½ ln std²/(std² − spread²)`, both those of a normal with that mean and variance; the mean standard deviation
    /// is `spread`.
    ///
    /// # Panics
    /// If numbers were predicted and the score is of classes alone.
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
                    let share = |(of, std): (&f64, &f64)| (of / std).powi(2);
                    // Closer to 1 than that, rounding has made the two equal.
                    let rest = |pair| (1. - share(pair)).max(f64::EPSILON);
                    // Without disagreement 0 and not −0.
                    spread.iter().zip(std).map(|pair| 0. - 0.5 * rest(pair).ln()).collect()
                }
                Self::MeanStd => spread.clone(),
                Self::MaxConfidence | Self::VariationRatio => {
                    panic!("Score::of: {self:?} of classes, and numbers were predicted")
                }
            },
        }
    }
}

/// `Σ_{c ≠ argmax p̄} p̄_c`. Many a confidence is 1 in `f32`; what is left for other classes still
/// differs.
fn doubt(p: &Array2<f32>) -> Vec<f64> {
    let row = |p: ArrayView1<'_, f32>| {
        let mut p: Vec<f64> = p.iter().map(|&p| p.into()).collect();
        p.sort_by(f64::total_cmp);
        // The sum of nothing is −0.
        0. + p[..p.len() - 1].iter().sum::<f64>()
    };
    p.outer_iter().map(row).collect()
}
