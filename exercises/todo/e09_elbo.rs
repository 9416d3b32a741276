//! 9. The loss of a minibatch, with the right scale of the KL.

/// The loss in nats per example: the ELBO of all `data` training examples, estimated from a
/// minibatch, divided by `−data`.
///
/// `log_likelihoods` are `ln p(yₙ | xₙ, θ)` for the examples of the minibatch, and `kl` is
/// `KL(q ‖ p)`, the divergence between the posterior and the prior.
pub fn loss(log_likelihoods: &[f64], kl: f64, data: usize) -> f64 {
    todo!("the KL counts once for all training examples, not once for each minibatch")
}
