//! Numbers that rank inputs by how uncertain their predictions are, as the paper's tables on anomalies
//! and its active learning do.
use crate::predict::Predictive;
use ndarray::{Array2, ArrayView1};

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
    /// # Panics
    /// If what is predicted are numbers and not classes.
    pub fn of(self, predictive: &Predictive) -> Vec<f64> {
        let Predictive::Classes { p, entropy, bald, mean_std, variation_ratio } = predictive else {
            panic!("Score::of: {self:?} of classes, and numbers were predicted");
        };
        let wide = |v: &[f32]| v.iter().map(|&x| x.into()).collect();
        match self {
            Self::MaxConfidence => doubt(p),
            Self::Entropy => wide(entropy),
            Self::Bald => wide(bald),
            Self::MeanStd => wide(mean_std),
            Self::VariationRatio => wide(variation_ratio),
        }
    }
}

/// `Σ_{c ≠ argmax p̄} p̄_c`. Many a confidence is 1 in `f32`; what is left for other classes still
/// differs.
fn doubt(p: &Array2<f32>) -> Vec<f64> {
    let row = |p: ArrayView1<'_, f32>| {
        let mut p: Vec<f64> = p.iter().map(|&p| p.into()).collect();
        p.sort_by(f64::total_cmp);
        p[..p.len() - 1].iter().sum()
    };
    p.outer_iter().map(row).collect()
}
