//! 19. Write the check that notices a density that does not belong to its samples.

/// What is claimed to be `ln q(θ)` of a distribution over one number. Its density is continuous,
/// and all but 10⁻⁶ of the probability lies between −20 and 20.
pub type LogDensity = dyn Fn(f64) -> f64;

/// What are claimed to be `n` independent samples of this distribution, from `n` and a seed.
pub type Sampler = dyn Fn(usize, u64) -> Vec<f64>;

/// `∫ q = 1` by the trapezoidal rule, and for several points the share of samples below, which has
/// the standard error `√(P (1 − P)/n)` for the integral `P` of `q` below the point.
pub fn accepts(log_q: &LogDensity, sample: &Sampler) -> bool {
    let step = 1e-3;
    let below = |x: f64| {
        let nodes = ((x + 20.) / step).round() as usize;
        let q = |i: usize| log_q(step * i as f64 - 20.).exp();
        step * ((1..nodes).map(q).sum::<f64>() + 0.5 * (q(0) + q(nodes)))
    };
    let n = 40_000;
    let samples = sample(n, 1);
    let fits = |x: f64| {
        let p = below(x);
        let found = samples.iter().filter(|s| **s < x).count() as f64 / n as f64;
        (found - p).abs() <= 4. * (p * (1. - p) / n as f64).sqrt() + 1e-5
    };
    samples.len() == n
        && (below(20.) - 1.).abs() < 1e-5
        && (-12..=12).all(|i| fits(0.25 * f64::from(i)))
}
