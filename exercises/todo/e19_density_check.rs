//! 19. Write the check that notices a density that does not belong to its samples.

/// What is claimed to be `ln q(θ)` of a distribution over one number. Its density is continuous,
/// and all but 10⁻⁶ of the probability lies between −20 and 20.
pub type LogDensity = dyn Fn(f64) -> f64;

/// What are claimed to be `n` independent samples of this distribution, from `n` and a seed.
pub type Sampler = dyn Fn(usize, u64) -> Vec<f64>;

/// Whether `exp(log_q)` integrates to 1, and is the density of the samples.
pub fn accepts(log_q: &LogDensity, sample: &Sampler) -> bool {
    todo!("a sum over a fine grid gives integrals: of q over everything, and of q below a point")
}
