//! 17. Write the check that notices a bound with the wrong scale.

/// What is said to be the loss in nats per example: `−(1/|B|) Σ_B ln p + KL/N`, from the
/// log-likelihoods of a minibatch, the KL and the number `N` of training examples.
pub type Loss = dyn Fn(&[f64], f64, usize) -> f64;

/// Whether it is.
pub fn accepts(loss: &Loss) -> bool {
    let _ = loss;
    todo!("vary the size of the batch, the KL and N, one at a time and together")
}
