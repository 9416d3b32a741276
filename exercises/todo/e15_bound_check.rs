//! 15. Write the check that notices a loss with the wrong scale.
//!
//! From here on you write checks. Your function is called with implementations that are right,
//! which it must accept, and with implementations that have a fault, which it must refuse.

/// An implementation of exercise 9, `loss(log_likelihoods, kl, data)`, which should be
/// `−(1/|B|) Σ_B ln p + KL/N`, up to rounding.
pub type Loss = dyn Fn(&[f64], f64, usize) -> f64;

/// Whether `loss` is right. Call it, for instance as `loss(&[-1., -1.], 1., 2)`.
pub fn accepts(loss: &Loss) -> bool {
    todo!("compare with values you know; if |B| = N, or KL = 0, some faults cannot be seen")
}
