//! 9. The loss of a minibatch, with the right scale of the KL.

/// `−(1/|B|) Σ_B ln p + KL/N`.
pub fn loss(log_likelihoods: &[f64], kl: f64, data: usize) -> f64 {
    let sum: f64 = log_likelihoods.iter().sum();
    kl / data as f64 - sum / log_likelihoods.len() as f64
}
