//! 14. The evidence from importance weights.

/// `ln((1/S) Σₛ wₛ)`, an estimate of `ln p(D)`, from the logarithms `ln wₛ` of `S` importance
/// weights `wₛ = p(D, θₛ)/q(θₛ)`. They may be −5000 or lower, where `exp` is 0.
pub fn log_evidence(log_weights: &[f64]) -> f64 {
    todo!("this is a log-sum-exp with one more term")
}
