//! Simulation-based calibration (Talts et al., arXiv 1804.06788).
//!
//! With `θ ~ p(θ)`, `D ~ p(D|θ)` and `θ₁ … θ_L ~ p(θ|D)`, the rank of `f(θ)` among the `f(θ_l)` is
//! uniform on `0 … L` for every `f`. A posterior that is too narrow yields a U-shaped histogram.
use crate::stats::{ChiSquared, chi_squared_uniform};
use statrs::distribution::{Binomial, DiscreteCDF};
use std::ops::RangeInclusive;

/// `L`; there are `L + 1 = 100` ranks.
pub const DRAWS: usize = 99;
/// Bins of five ranks each.
pub const BINS: usize = 20;

/// Number of `draws` below the truth.
pub fn rank(truth: f64, draws: impl IntoIterator<Item = f64>) -> usize {
    draws.into_iter().filter(|&draw| draw < truth).count()
}

/// Number of ranks in each bin.
pub fn histogram(ranks: impl IntoIterator<Item = usize>) -> [usize; BINS] {
    let mut counts = [0; BINS];
    ranks.into_iter().for_each(|rank| counts[rank * BINS / (DRAWS + 1)] += 1);
    counts
}

/// Pearson's χ² test of uniform ranks.
pub fn uniform(counts: &[usize; BINS]) -> ChiSquared {
    chi_squared_uniform(counts)
}

/// The central 99 % interval of a bin's count if the ranks of `n` simulations are uniform.
#[expect(clippy::missing_panics_doc, reason = "a bin's share is a probability")]
pub fn band(n: usize) -> RangeInclusive<u64> {
    let counts = Binomial::new(1. / BINS as f64, n as u64).expect("a probability");
    counts.inverse_cdf(0.005)..=counts.inverse_cdf(0.995)
}
