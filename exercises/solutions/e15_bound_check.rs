//! 15. Write the check that notices a loss with the wrong scale.
//!
//! From here on you write checks. Your function is called with implementations that are right,
//! which it must accept, and with implementations that have a fault, which it must refuse.

/// An implementation of exercise 9, `loss(log_likelihoods, kl, data)`, which should be
/// `−(1/|B|) Σ_B ln p + KL/N`, up to rounding.
pub type Loss = dyn Fn(&[f64], f64, usize) -> f64;

/// The formula, for batches of several sizes.
pub fn accepts(loss: &Loss) -> bool {
    let cases = [(1, 0., 10), (3, 7., 10), (4, 7., 1000), (128, 3000., 50_000)];
    cases.into_iter().all(|(n, kl, data)| {
        let log_likelihoods: Vec<f64> = (0..n).map(|i| -0.1 - f64::from(i).sin().abs()).collect();
        let mean = log_likelihoods.iter().sum::<f64>() / f64::from(n);
        let expected = kl / data as f64 - mean;
        (loss(&log_likelihoods, kl, data) - expected).abs() < 1e-9
    })
}
