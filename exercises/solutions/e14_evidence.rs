//! 14. The evidence from importance weights.

/// `m + ln((1/S) Σₛ exp(ln wₛ − m))` with the maximum `m`.
pub fn log_evidence(log_weights: &[f64]) -> f64 {
    let max = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = log_weights.iter().map(|w| (w - max).exp()).sum();
    max + (sum / log_weights.len() as f64).ln()
}
