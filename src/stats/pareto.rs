//! The tail of importance weights: Vehtari, Simpson, Gelman, Yao and Gabry, "Pareto smoothed
//! importance sampling", JMLR 2024.
use super::means::mean;
use super::order::sorted;

/// Estimated tail shape `k̂` of importance weights, from their logarithms `[S]`: the shape of a
/// generalised Pareto distribution fitted to the `min(S/5, 3√S)` largest weights. Weights have
/// `1/k` finite moments. Up to [`k_limit`] weighted means are reliable; beyond it no affordable
/// number of draws helps, and beyond 1 the weights have no mean.
///
/// `∞` if the tail has fewer than five weights, as for up to 20 weights, or fewer than five that do
/// not underflow relative to the largest; `−∞` if all weights are equal.
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

/// Largest `k̂` at which means over `S` draws are reliable: `min(1 − 1/log₁₀ S, 0.7)`.
pub fn k_limit(samples: usize) -> f64 {
    (1. - 1. / (samples as f64).log10()).min(0.7)
}

/// Shape of a generalised Pareto distribution fitted to positive, ascending `x`: Zhang and
/// Stephens, "A new and efficient estimation method for the generalized Pareto distribution",
/// Technometrics 2009, shrunk towards ½ with the weight of ten observations.
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
