//! What importance weights say of the evidence. Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR
//! 2016.
use super::{log_mean_exp, over_seeds};

/// `L_K = E[ln (1/K) Σ_k w_k]` from the logarithms of weights `wₘ = p(D, θₘ)/q(θₘ)`, `θₘ ~ q`: the mean over groups of
/// `K` that share no weight, so that they are independent, and its standard error over them; NaN with a single group.
/// `L₁` is the ELBO; `L_K` grows with `K` and goes to `ln p(D)` if the weights have a mean. What does not fill a group is left
/// out.
///
/// # Panics
/// If there are fewer than `k` weights, or `k` is 0.
pub fn importance_bound(log_weights: &[f64], k: usize) -> super::Estimate {
    over_seeds(&log_weights.chunks_exact(k).map(log_mean_exp).collect::<Vec<_>>())
}

/// `(Σ w)² / Σ w²`, from `ln w [S]`: how many equal weights would leave a mean as uncertain; between 1 and `S`.
///
/// # Panics
/// If there is no weight.
pub fn effective_sample_size(log_weights: &[f64]) -> f64 {
    let twice: Vec<_> = log_weights.iter().map(|w| 2. * w).collect();
    let ratio = 2. * log_mean_exp(log_weights) - log_mean_exp(&twice);
    log_weights.len() as f64 * ratio.exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
    use rand_distr::StandardNormal;
    use std::f64::consts::TAU;

    /// `p(D, θ) = Z N(θ; 0, 1)`, `q = N(m, s²)`.
    const M: f64 = 0.6;
    const S: f64 = 0.8;
    const LOG_Z: f64 = -3.;

    fn log_weight(z: f64) -> f64 {
        let theta = M + S * z;
        LOG_Z - 0.5 * theta * theta + 0.5 * z * z + S.ln()
    }

    /// `∫ f(z) N(z; 0, 1) dz` over a grid of nine widths to either side.
    fn mean(f: impl Fn(f64) -> f64) -> f64 {
        let (steps, step) = (720, 1. / 40.);
        let at = |i: i32| f64::from(i) * step;
        (-steps / 2..=steps / 2)
            .map(|i| f(at(i)) * (-0.5 * at(i) * at(i)).exp() * step / TAU.sqrt())
            .sum()
    }

    fn weights(count: usize) -> Vec<f64> {
        let rng = &mut ChaCha8Rng::seed_from_u64(4);
        (0..count).map(|_| log_weight(rng.sample(StandardNormal))).collect()
    }

    #[test]
    fn the_first_is_the_elbo_and_the_second_is_that_of_quadrature() {
        let weights = weights(100_000);
        // KL(q ‖ p) = ½ (s² + m² − 1) − ln s.
        let elbo = LOG_Z - 0.5 * (S * S + M * M - 1.) + S.ln();
        assert!((mean(log_weight) - elbo).abs() < 1e-9);
        let two = mean(|a| mean(|b| log_mean_exp(&[log_weight(a), log_weight(b)])));
        for (k, known) in [(1, elbo), (2, two)] {
            let found = importance_bound(&weights, k);
            let off = (found.value - known).abs();
            assert!(off < 4. * found.error && found.error < 0.005, "L_{k}: {found:.5}, {known:.5}");
        }
        assert!(elbo < two && two < LOG_Z, "{elbo} {two}");
    }

    #[test]
    fn more_weights_are_a_better_bound_that_goes_to_the_evidence() {
        let weights = weights(100_000);
        let bounds = [1, 2, 5, 10, 100, 1000].map(|k| importance_bound(&weights, k));
        let rises = bounds.windows(2).all(|b| b[1].value > b[0].value - 4. * b[1].error);
        assert!(rises && bounds[5].value > bounds[0].value + 0.1, "{bounds:?}");
        assert!((bounds[5].value - LOG_Z).abs() < 0.01, "{bounds:?}");
        assert!(importance_bound(&weights, 60_000).error.is_nan(), "one group has no error");
    }

    #[test]
    fn one_of_far_larger_weights_counts_alone_and_equal_ones_all() {
        assert!((effective_sample_size(&[-1e4; 7]) - 7.).abs() < 1e-9);
        assert!((effective_sample_size(&[-1e4, -2e4, -3e4]) - 1.).abs() < 1e-9);
        let two = effective_sample_size(&[0., 3_f64.ln()]);
        assert!((two - 16. / 10.).abs() < 1e-12, "{two}");
        let far = importance_bound(&[-1e6, -1e6, -1e9, -1e6], 2);
        assert!((far.value + 1e6 + 0.5 * 2_f64.ln()).abs() < 1e-6, "{far}");
    }
}
