//! Statistics of samples: means over runs, tests of hypotheses, distances, convergence of chains.
mod chains;
mod counts;
mod distance;
mod importance;
mod kolmogorov;
mod pareto;
mod student;

pub use chains::{ess_bulk, rhat};
pub use counts::{ChiSquared, chi_squared_uniform};
pub use distance::{KolmogorovSmirnov, ks_two_sample, ks_uniform, wasserstein_1};
pub use importance::{effective_sample_size, importance_bound};
pub use pareto::{k_hat, k_limit};
pub use student::{Correlation, Welch, pearson, welch};

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
    /// `m = (1/N) Σ vₙ ± √((1/N) Σ (vₙ − m)² / N)` over the examples `v [N]` of a test; for a share
    /// `a` the error is `√(a (1 − a) / N)`.
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

/// `m = (1/R) Σ vᵣ ± √(Σ (vᵣ − m)² / (R − 1) / R)` over `R` runs that differ in their seed alone.
/// Runs are few, so their variance is the unbiased one; the error of a single run is NaN.
///
/// # Panics
/// If there is no run.
pub fn over_seeds(runs: &[f64]) -> Estimate {
    assert!(!runs.is_empty(), "over_seeds: no run");
    let (value, variance) = mean_and_variance(runs);
    Estimate { value, error: (variance / runs.len() as f64).sqrt() }
}

/// `ln (1/S) Σ_s exp x_s` for `x [S]`. The largest term is taken out of the sum, so that nothing
/// under- or overflows.
///
/// # Panics
/// If there is no term.
pub fn log_mean_exp(x: &[f64]) -> f64 {
    assert!(!x.is_empty(), "log_mean_exp: no term");
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // ±∞ less itself is not a number.
    let most = if most.is_finite() { most } else { 0.0 };
    most + (x.iter().map(|x| (x - most).exp()).sum::<f64>() / x.len() as f64).ln()
}

pub(crate) fn mean(v: &[f64]) -> f64 {
    v.iter().sum::<f64>() / v.len() as f64
}

/// `m` and `Σ (vₙ − m)² / (N − 1)`, which is NaN for one number.
pub(crate) fn mean_and_variance(v: &[f64]) -> (f64, f64) {
    let m = mean(v);
    (m, v.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (v.len() as f64 - 1.0))
}

/// Panics if there is no number, or one is NaN and so has no place in an order.
pub(crate) fn check_order(name: &str, v: &[f64]) {
    assert!(!v.is_empty(), "{name} [0]: no example");
    if let Some(n) = v.iter().position(|v| v.is_nan()) {
        panic!("{name} [{}]: number {n} is NaN", v.len());
    }
}

/// In ascending order; panics as [`check_order`].
pub(crate) fn sorted(name: &str, v: &[f64]) -> Vec<f64> {
    check_order(name, v);
    let mut v = v.to_vec();
    v.sort_by(f64::total_cmp);
    v
}

/// How many of `v`, in ascending order, are less than `x`, and how many are no more.
pub(crate) fn below_and_upto(v: &[f64], x: f64) -> (usize, usize) {
    (v.partition_point(|&v| v < x), v.partition_point(|&v| v <= x))
}
