//! What the page says of an exact posterior.
use super::exact::{Exact, convergence};
use super::source::Tested;
use crate::stats::Estimate;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// What the page says of the exact posterior at one net.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Truth {
    /// Number of scales.
    pub dim: usize,
    /// What the network predicts as it was trained.
    pub trained: Tested,
    /// `ln p(D)` by bridge sampling from a Gaussian.
    pub bridge: Estimate,
    /// `ln p(D)` by annealed importance sampling.
    pub annealed: Estimate,
    /// Mean acceptance rate of the annealed trajectories.
    pub acceptance: f64,
    /// Number of chains of NUTS.
    pub chains: usize,
    /// Largest `R̂` and smallest bulk-ESS over the scales and `ln p(g, D)`.
    pub convergence: (f64, f64),
    /// Draws with a divergence, and draws cut off at the largest tree.
    pub divergences: u64,
    pub cut_off: u64,
    /// KL of test predictions between halves of the draws, nats per digit.
    pub halves: f64,
    /// Whether the curvature at the mode is positive definite.
    pub is_peaked: bool,
    /// Largest magnitude of an entry of the gradient at the mode.
    pub slope: f64,
    /// Hidden units.
    pub units: usize,
    /// Those whose flipped sign leads back to the main mode.
    pub same: usize,
    /// The modes with a flipped sign.
    pub flipped: Vec<Flipped>,
    pub pair: Pair,
}

/// A mode with the flipped sign of one unit's scale.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Flipped {
    /// `ln p(θ, D)` relative to the main mode.
    pub height: f64,
    /// Laplace's approximation of its mass relative to that of the main mode, in nats; `None` if
    /// the curvature is not positive definite.
    pub mass: Option<f64>,
    /// The fraction of the draws of NUTS with this sign.
    pub crossings: f64,
}

/// The two scales with the strongest correlation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pair {
    /// Their indices, means and standard deviations.
    pub index: [usize; 2],
    pub mean: [f64; 2],
    pub std: [f64; 2],
    /// Some draws of NUTS.
    pub draws: Vec<[f64; 2]>,
}

/// Samples kept for the scatter plots.
pub(super) const KEPT: usize = 300;

impl Truth {
    pub fn new(exact: &Exact) -> Self {
        let Exact { net, peak, chains, covariance, .. } = exact;
        let sum = |of: fn(&_) -> u64| chains.iter().map(of).sum();
        let index = exact.strongest();
        let every = exact.draws.nrows().div_ceil(KEPT);
        let draws = exact.draws.outer_iter().step_by(every).map(|g| index.map(|i| g[i]));
        let kept = exact.turned.iter().filter(|t| !t.same && t.kept).map(|t| Flipped {
            height: t.height,
            mass: t.mass,
            crossings: exact.crossings(t.unit),
        });
        let [a, b] = &exact.halves;
        Self {
            dim: exact.mean.len(),
            trained: net.trained,
            bridge: exact.bridge,
            annealed: exact.annealed,
            acceptance: exact.acceptance,
            chains: chains.len(),
            convergence: convergence(chains),
            divergences: sum(|chain| chain.divergences),
            cut_off: sum(|chain| chain.cut_off),
            halves: divergence(a, b),
            is_peaked: peak.is_peaked(),
            slope: peak.slope,
            units: exact.turned.len(),
            same: exact.turned.iter().filter(|t| t.same).count(),
            flipped: kept.collect(),
            pair: Pair {
                index,
                mean: index.map(|i| exact.mean[i]),
                std: index.map(|i| covariance[[i, i]].sqrt()),
                draws: draws.collect(),
            },
        }
    }
}

/// `(1/N) Σₙ Σ_c p ln(p/q)` in nats per input, for class probabilities `p` and `q` of shape
/// `[N, K]`. Probabilities of `q` below the smallest positive number of `f32` count as that number.
pub(super) fn divergence(p: &Array2<f32>, q: &Array2<f32>) -> f64 {
    let term = |(&p, &q): (&f32, &f32)| {
        let (p, q) = (f64::from(p), f64::from(q.max(f32::MIN_POSITIVE)));
        if p > 0. { p * (p / q).ln() } else { 0. }
    };
    p.iter().zip(q).map(term).sum::<f64>() / p.nrows() as f64
}
