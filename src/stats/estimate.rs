//! A mean with its standard error.
use super::means::{mean, mean_and_variance};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A mean with its standard error; `{:.3}` prints `0.981 ± 0.001`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

impl Estimate {
    /// `m = (1/N) Σ vₙ` with the error `√((1/N) Σ (vₙ − m)² / N)` over the examples `v [N]` of a
    /// test set. For a share `a` the error is `√(a (1 − a) / N)`.
    ///
    /// # Panics
    /// If there is no example.
    pub fn of(v: &[f64]) -> Self {
        assert!(!v.is_empty(), "Estimate::of: no example");
        let n = v.len() as f64;
        let value = mean(v);
        let variance = v.iter().map(|v| (v - value).powi(2)).sum::<f64>() / n;
        Self { value, error: (variance / n).sqrt() }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)?;
        f.write_str(" ± ")?;
        fmt::Display::fmt(&self.error, f)
    }
}

/// `m = (1/R) Σ vᵣ` with the error `√(Σ (vᵣ − m)² / (R − 1) / R)` over `R` runs with different
/// seeds. Runs are few, so the variance is the unbiased one; the error of a single run is NaN.
///
/// # Panics
/// If there is no run.
pub fn over_seeds(runs: &[f64]) -> Estimate {
    assert!(!runs.is_empty(), "over_seeds: no run");
    let (value, variance) = mean_and_variance(runs);
    Estimate { value, error: (variance / runs.len() as f64).sqrt() }
}
