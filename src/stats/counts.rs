//! Do counts come from equal chances?
use statrs::distribution::{ChiSquared as Distribution, ContinuousCDF};

/// What [`chi_squared_uniform`] finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquared {
    /// `χ² = Σ (nᵢ − n/K)² / (n/K)`.
    pub statistic: f64,
    /// The chance of a `χ²` at least as large from equal chances.
    pub p_value: f64,
}

/// Pearson's `χ²` of counts `[K]` against equal chances, with `K − 1` degrees of freedom. The p-value is that of many
/// counts; five a bin are enough.
///
/// # Panics
/// If there are fewer than two bins, or nothing is counted.
pub fn chi_squared_uniform(counts: &[usize]) -> ChiSquared {
    let (total, bins) = (counts.iter().sum::<usize>(), counts.len());
    assert!(bins > 1 && total > 0, "chi_squared_uniform: {total} counted in {bins} bins");
    let expected = total as f64 / bins as f64;
    let statistic = counts.iter().map(|&n| (n as f64 - expected).powi(2) / expected).sum();
    let distribution = Distribution::new((bins - 1) as f64).expect("some degrees of freedom");
    ChiSquared { statistic, p_value: distribution.sf(statistic) }
}
