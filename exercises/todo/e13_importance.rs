//! 13. The evidence from importance weights.

/// `ln((1/S) Σ wₛ)` from the logarithms of the weights, which may be far below −1000.
pub fn log_evidence(log_weights: &[f64]) -> f64 {
    let _ = log_weights;
    todo!("as in exercise 4, and divide by S")
}
