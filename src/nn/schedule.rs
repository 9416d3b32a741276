//! Schedules of the learning rate and of the KL's weight.
use serde::{Deserialize, Serialize};

/// The learning rate at epochs `e = 0 … E − 1`, as a factor of the initial one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// `1`.
    #[default]
    Constant,
    /// `10^(−e/(E−1))`: decays to a tenth, as in the code of Krueger et al. (2017).
    Paper,
    /// `1 − e/E`.
    Linear,
    /// `min(1, (1 − e/E) / 0.9)`: constant for the first tenth of the epochs, then linear decay, as
    /// in the authors' toy experiments.
    LateLinear,
    /// `½ (1 + cos(π e/E))`.
    Cosine,
}

impl Schedule {
    /// The factor at epoch `e`, which may be fractional, out of `epochs`.
    pub fn factor(self, e: f64, epochs: f64) -> f64 {
        match self {
            Self::Constant => 1.,
            Self::Paper => 10_f64.powf(-e / (epochs - 1.).max(1.)),
            Self::Linear => (1. - e / epochs).max(0.),
            Self::LateLinear => ((1. - e / epochs) / 0.9).clamp(0., 1.),
            Self::Cosine => 0.5 * (1. + (std::f64::consts::PI * e / epochs).cos()),
        }
    }
}

/// `min(1, 0.001 + e / anneal)`: the weight of the KL at epoch `e`, annealed linearly over `anneal`
/// epochs. The authors use `anneal = E/2`. If `anneal` is 0, the weight is always 1.
pub fn kl_weight(e: f64, anneal: f64) -> f64 {
    if anneal > 0. { (0.001 + e / anneal).min(1.) } else { 1. }
}
