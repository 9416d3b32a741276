//! 17. Write the check that notices a bound with the wrong scale.

/// What is said to be the loss in nats per example: `−(1/|B|) Σ_B ln p + KL/N`, from the
/// log-likelihoods of a minibatch, the KL and the number `N` of training examples.
pub type Loss = dyn Fn(&[f64], f64, usize) -> f64;

/// The formula, on batches of different sizes.
pub fn accepts(loss: &Loss) -> bool {
    [(1, 0., 10), (3, 7., 10), (4, 7., 1000), (128, 3000., 50_000)].into_iter().all(|(n, kl, data)| {
        let log_likelihoods: Vec<f64> = (0..n).map(|i| -0.1 - f64::from(i).sin().abs()).collect();
        let mean = log_likelihoods.iter().sum::<f64>() / f64::from(n);
        let expected = kl / data as f64 - mean;
        (loss(&log_likelihoods, kl, data) - expected).abs() < 1e-12 * (1. + expected.abs())
    })
}
