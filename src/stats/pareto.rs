//! How heavy is the tail of importance weights? Vehtari, Simpson, Gelman, Yao and Gabry, "Pareto smoothed importance
//! sampling", JMLR 2024.
use super::{mean, sorted};

/// `k̂`, the shape of a generalised Pareto distribution fitted to the largest of `S` weights, `min(S/5, 3√S)` of them, given
/// their logarithms `[S]`. Weights have `1/k` finite moments: up to [`k_limit`] means under them can be relied on, beyond it
/// no number of draws that one can afford helps, and beyond 1 they have no mean.
///
/// `∞` if there are less than five in that tail, or not lost beside the largest, as there are of up to 20 weights; `−∞` if all are equal.
///
/// # Panics
/// If there is no weight, or one is NaN.
pub fn k_hat(log_weights: &[f64]) -> f64 {
    let w = sorted("k_hat: log_weights", log_weights);
    let s = w.len();
    let most = w[s - 1];
    if w[0] == most {
        return f64::NEG_INFINITY;
    }
    let tail = (s as f64 / 5.).min(3. * (s as f64).sqrt()).ceil() as usize;
    let cutoff = (w[s.saturating_sub(tail + 1)] - most).max(f64::MIN_POSITIVE.ln());
    let above: Vec<_> = w.iter().map(|w| w - most).filter(|&w| w > cutoff).collect();
    if above.len() < 5 {
        return f64::INFINITY;
    }
    shape(&above.iter().map(|w| w.exp() - cutoff.exp()).collect::<Vec<_>>())
}

/// The largest `k̂` that `S` draws are enough for: `min(1 − 1/log₁₀ S, 0.7)`.
pub fn k_limit(samples: usize) -> f64 {
    (1. - 1. / (samples as f64).log10()).min(0.7)
}

/// The shape of a generalised Pareto distribution of `x`, positive and in ascending order: Zhang and Stephens, "A new and
/// efficient estimation method for the generalized Pareto distribution", Technometrics 2009, with as much prior weight at ½ as
/// ten numbers have.
fn shape(x: &[f64]) -> f64 {
    let n = x.len() as f64;
    let k = |b: f64| mean(&x.iter().map(|x| (-b * x).ln_1p()).collect::<Vec<_>>());
    let quartile = x[(n / 4. + 0.5) as usize - 1];
    let grid = 30 + n.sqrt() as usize;
    let candidates = (1..=grid).map(|i| {
        let b =
            1. / x[x.len() - 1] + (1. - (grid as f64 / (i as f64 - 0.5)).sqrt()) / (3. * quartile);
        let k = k(b);
        (b, n * ((-b / k).ln() - k - 1.))
    });
    let candidates: Vec<_> = candidates.collect();
    let most = candidates.iter().map(|c| c.1).fold(f64::NEG_INFINITY, f64::max);
    let (sum, weighted) =
        candidates.iter().fold((0., 0.), |(sum, weighted), (b, log_likelihood)| {
            let weight = (log_likelihood - most).exp();
            (sum + weight, weighted + weight * b)
        });
    (n * k(weighted / sum) + 5.) / (n + 10.)
}
