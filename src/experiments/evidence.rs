//! Estimates of the evidence by averaging over the prior and by bridge sampling.
use super::fit::{Joint, evaluate, log_joint};
use super::gaussian::Gaussian;
use crate::bayes::Prior;
use crate::stats::{Estimate, ess_bulk, log_mean_exp, mean, mean_and_variance, over_seeds};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use rand::Rng;
use std::ops::Range;

/// Number of samples per part.
pub(super) const PART: usize = 5_000;

/// `ln p(D)` by averaging the likelihood over the prior. This converges slowly, but misses no mode.
///
/// In `ln p(D) = ln E_{p(θ)}[p(D|θ)]` the expectation is replaced by a mean over `S` samples,
/// `parts` parts of 5,000. The standard error is `std(w)/(√S mean(w))` with `w = p(D|θ)`.
///
/// # Panics
/// Unless the prior is Gaussian.
pub fn by_averaging(joint: &dyn Joint, parts: usize, rng: &mut impl Rng) -> Estimate {
    let Prior::Gaussian { precision } = joint.prior() else {
        panic!("averaging: {:?} is not Gaussian", joint.prior())
    };
    let (d, std) = (joint.dim(), precision.powf(-0.5));
    let prior = Gaussian { mean: Array1::zeros(d), factor: Array2::eye(d) * std };
    let mut log_likelihood = vec![];
    for _ in 0..parts {
        let theta = prior.sample(PART, rng);
        log_likelihood.extend(evaluate(theta, |theta| joint.log_likelihood(theta).sum_axis(1)));
    }
    log_mean(&log_likelihood)
}

/// `ln[(1/S) Σ_s w_s]` for `ln w [S]`. Its standard error is the relative standard error of the
/// mean of `w`.
pub(super) fn log_mean(log_weight: &[f64]) -> Estimate {
    let value = log_mean_exp(log_weight);
    let weights: Vec<_> = log_weight.iter().map(|w| (w - value).exp()).collect();
    Estimate { value, error: over_seeds(&weights).error }
}

/// `ln p(D)` and its standard error by bridge sampling from the Gaussian with the moments of the
/// first halves of `chains`, draws from `p(θ|D)` of shape `[draws, dim θ]`. The second halves are
/// combined with as many draws of the Gaussian, see [`bridge`].
///
/// # Panics
/// If there is no chain, or one has fewer than eight draws.
pub fn by_bridge_sampling(
    chains: &[ArrayView2<'_, f64>],
    joint: &dyn Joint,
    rng: &mut impl Rng,
) -> Estimate {
    let half = chains[0].nrows() / 2;
    let part = |range: Range<usize>| {
        let views: Vec<_> = chains.iter().map(|chain| chain.slice(s![range.clone(), ..])).collect();
        concatenate(Axis(0), &views).expect("chains of one width")
    };
    let guess = Gaussian::of(part(0..half).view());
    let of_p = log_ratios(&guess, joint, part(half..2 * half));
    let of_g = log_ratios(&guess, joint, guess.sample(of_p.len(), rng));
    bridge(ArrayView2::from_shape((chains.len(), half), &of_p).expect("a half of each"), &of_g)
}

/// `ln p(D)` and its standard error by bridge sampling (Meng & Wong, Statistica Sinica 1996), from
/// `ln p(θ, D) − ln g(θ)` at `N₁` draws of `p(θ|D)`, `of_p [chains, draws]`, and at `N₂` draws of a
/// normalised density `g`, `of_g [N₂]`.
///
/// For any function `h` of `θ`, `p(D) = E_g[h p(θ, D)] / E_p[h g(θ)]`, where `E_p` is over the
/// posterior. For the optimal `h = 1/(N₁ p(θ|D) + N₂ g(θ))` the evidence is the fixed point `z` of
///
/// ```text
/// z ← Σ_g l/(s₁ l + s₂ z) / N₂  ÷  Σ_p 1/(s₁ l + s₂ z) / N₁,  l = p(θ, D)/g(θ), sᵢ = Nᵢ/(N₁ + N₂)
/// ```
///
/// The squared standard error is `Var(f₁)/(N₂ E(f₁)²) + Var(f₂)/(N_eff E(f₂)²)`, where `f₁` and
/// `f₂` are the terms of the first and the second sum (Frühwirth-Schnatter, Econometrics Journal
/// 2004) and `N_eff` is the effective sample size of `f₂` over the chains. The result is NaN if `g`
/// and the posterior are so far apart that no ratio is a positive number.
///
/// # Panics
/// If there are fewer than four draws per chain, or no draw of `g`.
pub fn bridge(of_p: ArrayView2<'_, f64>, of_g: &[f64]) -> Estimate {
    let [n1, n2] = [of_p.len(), of_g.len()].map(|n| n as f64);
    let (s1, s2) = (n1 / (n1 + n2), n2 / (n1 + n2));
    let shape = of_p.raw_dim();
    let of_p: Vec<_> = of_p.iter().copied().collect();
    // Ratios relative to a typical one do not overflow, unless `g` is far from the posterior.
    let middle = mean(&of_p);
    let relative = |log: &[f64]| log.iter().map(|l| (l - middle).exp()).collect::<Vec<_>>();
    let (of_p, of_g) = (relative(&of_p), relative(of_g));
    let terms = |z: f64| -> [Vec<f64>; 2] {
        let weight = |l: &f64| 1. / (s1 * l + s2 * z);
        let above = |l: &f64| if l.is_finite() { l * weight(l) } else { 1. / s1 };
        [of_g.iter().map(above).collect(), of_p.iter().map(weight).collect()]
    };
    let mut z = 1.;
    // Each step is a contraction; tens of steps suffice for double precision.
    for _ in 0..200 {
        let [above, below] = terms(z);
        z = mean(&above) / mean(&below);
    }
    if !(z > 0. && z.is_finite()) {
        return Estimate { value: f64::NAN, error: f64::NAN };
    }
    let [above, below] = terms(z);
    let by_chain = ArrayView2::from_shape(shape, &below).expect("its own shape");
    let square = square_of_error(&above, n2) + square_of_error(&below, ess_bulk(by_chain));
    Estimate { value: z.ln() + middle, error: square.sqrt() }
}

/// `Var(f)/(N E(f)²)`.
fn square_of_error(f: &[f64], n: f64) -> f64 {
    let (mean, variance) = mean_and_variance(f);
    variance / (mean * mean) / n
}

/// `ln p(θₛ, D) − ln g(θₛ) [S]` for `θ [S, D]`.
fn log_ratios(guess: &Gaussian, joint: &dyn Joint, theta: Array2<f64>) -> Vec<f64> {
    let log_g = guess.log_density(theta.view());
    let log_p = log_joint(joint, theta.view());
    log_p.iter().zip(log_g).map(|(p, g)| p - g).collect()
}
