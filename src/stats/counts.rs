//! Pearson's test of counts.
use statrs::distribution::{ChiSquared as Distribution, ContinuousCDF};

/// The result of [`chi_squared_uniform`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquared {
    /// The statistic `χ² = Σᵢ (nᵢ − n/K)² / (n/K)`.
    pub statistic: f64,
    /// Probability of a statistic at least as large under equal probabilities.
    pub p_value: f64,
}

/// Pearson's `χ²` test of counts `[K]` against equal probabilities, with `K − 1` degrees of
/// freedom: SciPy's `chisquare`. The p-value is asymptotic; expected counts of five are enough.
///
/// # Panics
/// If there are fewer than two bins, or all counts are 0.
pub fn chi_squared_uniform(counts: &[usize]) -> ChiSquared {
    let (total, bins) = (counts.iter().sum::<usize>(), counts.len());
    assert!(bins > 1 && total > 0, "chi_squared_uniform: {total} counts in {bins} bins");
    let expected = total as f64 / bins as f64;
    let statistic = counts.iter().map(|&n| (n as f64 - expected).powi(2) / expected).sum();
    let distribution = Distribution::new((bins - 1) as f64).expect("positive degrees of freedom");
    ChiSquared { statistic, p_value: distribution.sf(statistic) }
}
