//! Means and variances of slices.

/// `ln (1/S) Σ_s exp x_s` of `x [S]`, with the largest term factored out to avoid under- and
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
