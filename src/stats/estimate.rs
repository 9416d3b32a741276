//! Means and variances of slices, and means with their standard errors.
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
    /// test set. If every `vₙ` is 0 or 1, then `m` is a fraction, and its error is
    /// `√(m (1 − m) / N)`.
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
        write_number(f, self.value)?;
        f.write_str(" ± ")?;
        write_number(f, self.error)
    }
}

/// From this magnitude on, numbers are printed in scientific notation.
pub(crate) const LARGE: f64 = 1e7;

/// Writes `x` with the precision of `f`, in scientific notation from [`LARGE`] on.
fn write_number(f: &mut fmt::Formatter<'_>, x: f64) -> fmt::Result {
    match x.is_finite() && x.abs() >= LARGE {
        true => fmt::LowerExp::fmt(&x, f),
        false => fmt::Display::fmt(&x, f),
    }
}

/// `m = (1/R) Σ vᵣ` with the error `√(Σ (vᵣ − m)² / (R − 1) / R)` over `R` runs with different
/// seeds. The variance is the unbiased one, as runs are few. The error of a single run is NaN.
///
/// # Panics
/// If there is no run.
pub fn over_seeds(runs: &[f64]) -> Estimate {
    assert!(!runs.is_empty(), "over_seeds: no run");
    let (value, variance) = mean_and_variance(runs);
    Estimate { value, error: (variance / runs.len() as f64).sqrt() }
}

/// `ln((1/S) Σ_s exp x_s)` for `x [S]`. The largest term is factored out, to avoid underflow and
/// overflow.
///
/// # Panics
/// If there is no term.
pub fn log_mean_exp(x: &[f64]) -> f64 {
    assert!(!x.is_empty(), "log_mean_exp: no term");
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // ∞ − ∞ would be NaN.
    let max = if max.is_finite() { max } else { 0.0 };
    max + (x.iter().map(|x| (x - max).exp()).sum::<f64>() / x.len() as f64).ln()
}

/// `(1/N) Σ vₙ`.
pub(crate) fn mean(v: &[f64]) -> f64 {
    v.iter().sum::<f64>() / v.len() as f64
}

/// The mean `m` and the unbiased variance `Σ (vₙ − m)² / (N − 1)`, which is NaN for a single value.
pub(crate) fn mean_and_variance(v: &[f64]) -> (f64, f64) {
    let m = mean(v);
    (m, v.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (v.len() as f64 - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_written_in_scientific_notation() {
        let text = |value, error| format!("{:.2}", Estimate { value, error });
        assert_eq!(text(-9_999_999., 0.5), "-9999999.00 ± 0.50");
        assert_eq!(text(2.4693e48, 1e9), "2.47e48 ± 1.00e9");
        assert_eq!(text(f64::INFINITY, f64::NAN), "inf ± NaN");
    }
}
