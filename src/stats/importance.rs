//! Importance weights: bounds on the evidence (Burda, Grosse and Salakhutdinov, "Importance
//! weighted autoencoders", ICLR 2016), effective sample size, and the shape of the tail of the
//! weights (Vehtari, Simpson, Gelman, Yao and Gabry, "Pareto smoothed importance sampling", JMLR
//! 2024).
use super::estimate::{Estimate, log_mean_exp, mean, over_seeds};
use super::order::sorted;

/// Importance-weighted bound `L_K = E[ln((1/K) Σ_k w_k)]` in nats, from the logarithms `[S]` of
/// weights `wₛ = p(D, θₛ)/q(θₛ)` with data `D` and `θₛ ~ q`. The estimate is the mean over disjoint
/// groups of `K` weights. Its standard error is over groups, and NaN for a single group. Weights
/// that do not fill a group are left out.
///
/// `L₁` is the ELBO. `L_K` increases with `K`, and tends to `ln p(D)` if the weights have a mean.
///
/// # Panics
/// If there are fewer than `k` weights, or `k` is 0.
// ANCHOR: bound
pub fn importance_bound(log_weights: &[f64], k: usize) -> Estimate {
    over_seeds(&log_weights.chunks_exact(k).map(log_mean_exp).collect::<Vec<_>>())
}
// ANCHOR_END: bound

/// Effective sample size `(Σ w)² / Σ w²` of importance weights `w`, from their logarithms `[S]`:
/// Kong, "A note on importance sampling using standardized weights", 1992. The result is from 1 to
/// `S`.
///
/// # Panics
/// If there is no weight.
pub fn effective_sample_size(log_weights: &[f64]) -> f64 {
    let squares: Vec<_> = log_weights.iter().map(|w| 2. * w).collect();
    let ratio = 2. * log_mean_exp(log_weights) - log_mean_exp(&squares);
    log_weights.len() as f64 * ratio.exp()
}

/// Estimated tail shape `k̂` of importance weights, from their logarithms `[S]`: the shape of a
/// generalised Pareto distribution fitted to the `min(S/5, 3√S)` largest weights. If the tail has
/// the shape `k > 0`, the moments of order below `1/k` are finite. Weighted means are reliable if
/// `k̂` is at most [`k_limit`]. Above 0.7 no affordable number of draws makes them reliable, and
/// above 1 the weights have no mean.
///
/// The result is `−∞` if all weights are equal. Otherwise it is `∞` if the tail has fewer than five
/// weights. This is so if `S` is at most 20, and may be so if weights are tied, or underflow
/// relative to the largest.
///
/// # Panics
/// If there is no weight, or a logarithm is NaN.
pub fn k_hat(log_weights: &[f64]) -> f64 {
    let w = sorted("k_hat: log_weights", log_weights);
    let s = w.len();
    let max = w[s - 1];
    if w[0] == max {
        return f64::NEG_INFINITY;
    }
    let tail = (s as f64 / 5.).min(3. * (s as f64).sqrt()).ceil() as usize;
    let cutoff = (w[s.saturating_sub(tail + 1)] - max).max(f64::MIN_POSITIVE.ln());
    let above: Vec<_> = w.iter().map(|w| w - max).filter(|&w| w > cutoff).collect();
    if above.len() < 5 {
        return f64::INFINITY;
    }
    shape(&above.iter().map(|w| w.exp() - cutoff.exp()).collect::<Vec<_>>())
}

/// Largest `k̂` at which weighted means over `S` draws are reliable: `min(1 − 1/log₁₀ S, 0.7)`.
pub fn k_limit(samples: usize) -> f64 {
    (1. - 1. / (samples as f64).log10()).min(0.7)
}

/// Shape of a generalised Pareto distribution fitted to positive values `x` in ascending order
/// (Zhang and Stephens, "A new and efficient estimation method for the generalized Pareto
/// distribution", Technometrics 2009), and shrunk towards ½ with the weight of ten observations.
fn shape(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let k = |b: f64| mean(&x.iter().map(|x| (-b * x).ln_1p()).collect::<Vec<_>>());
    let quartile = x[(n / 4. + 0.5) as usize - 1];
    let grid = 30 + n.sqrt() as usize;
    let candidate = |i| {
        let b =
            1. / x[x.len() - 1] + (1. - (grid as f64 / (i as f64 - 0.5)).sqrt()) / (3. * quartile);
        let k = k(b);
        (b, n * ((-b / k).ln() - k - 1.))
    };
    let candidates: Vec<_> = (1..=grid).map(candidate).collect();
    let max = candidates.iter().map(|c| c.1).fold(f64::NEG_INFINITY, f64::max);
    let (sum, weighted) =
        candidates.iter().fold((0., 0.), |(sum, weighted), (b, log_likelihood)| {
            let weight = (log_likelihood - max).exp();
            (sum + weight, weighted + weight * b)
        });
    (n * k(weighted / sum) + 5.) / (n + 10.)
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

    /// `∫ f(z) N(z; 0, 1) dz` on a grid over `[−9, 9]`.
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
    fn bounds_of_one_and_two_weights_equal_quadrature() {
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
    fn bound_increases_to_the_evidence() {
        let weights = weights(100_000);
        let bounds = [1, 2, 5, 10, 100, 1000].map(|k| importance_bound(&weights, k));
        let rises = bounds.windows(2).all(|b| b[1].value > b[0].value - 4. * b[1].error);
        assert!(rises && bounds[5].value > bounds[0].value + 0.1, "{bounds:?}");
        assert!((bounds[5].value - LOG_Z).abs() < 0.01, "{bounds:?}");
        assert!(importance_bound(&weights, 60_000).error.is_nan(), "the error of a single group");
    }

    #[test]
    fn effective_sample_size_of_equal_and_of_dominant_weights() {
        assert!((effective_sample_size(&[-1e4; 7]) - 7.).abs() < 1e-9);
        assert!((effective_sample_size(&[-1e4, -2e4, -3e4]) - 1.).abs() < 1e-9);
        let two = effective_sample_size(&[0., 3_f64.ln()]);
        assert!((two - 16. / 10.).abs() < 1e-12, "{two}");
        let far = importance_bound(&[-1e6, -1e6, -1e9, -1e6], 2);
        assert!((far.value + 1e6 + 0.5 * 2_f64.ln()).abs() < 1e-6, "{far}");
    }
}
