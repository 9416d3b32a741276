//! The evidence from posterior draws by bridge sampling (Meng & Wong, Statistica Sinica 1996).
use super::gaussian::Gaussian;
use crate::autodiff::{Tape, Tensor};
use crate::experiments::fit::Joint;
use crate::stats::{Estimate, ess_bulk, mean, mean_and_variance};
use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use rand::Rng;
use std::ops::Range;

/// `ln p(D)` from `chains`, each `θ [S, D]` from `p(θ|D)`, with its standard error.
///
/// The first halves of the chains determine a Gaussian `g`; the second halves, `N₁` draws, are
/// combined with as many of `g`: `p(D) = E_g[h p(θ, D)] / E_p[h g(θ)]` for any `h`, and for the
/// optimal `h = 1/(N₁ p(θ|D) + N₂ g(θ))` it is the fixed point of
///
/// ```text
/// z ← Σ_g l/(s₁ l + s₂ z) / N₂  ÷  Σ_p 1/(s₁ l + s₂ z) / N₁,    l = p(θ, D)/g(θ), s = N/(N₁ + N₂)
/// ```
///
/// The squared error is `Var(f₁)/N₂E(f₁)² + Var(f₂)/N_eff E(f₂)²` with the terms `f₁` and `f₂` of
/// the two sums (Frühwirth-Schnatter, Econometrics Journal 2004) and the effective sample size
/// `N_eff` of the chains.
///
/// # Panics
/// If there is no chain, or one has fewer than eight draws.
pub fn log_evidence(
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
    // Ratios relative to a typical one do not overflow.
    let middle = mean(&of_p);
    let relative = |log: Vec<f64>| -> Vec<f64> { log.iter().map(|l| (l - middle).exp()).collect() };
    let (of_p, of_g) = (relative(of_p), relative(of_g));
    let terms = |z: f64| -> [Vec<f64>; 2] {
        let weight = |l: &f64| 2. / (l + z);
        [of_g.iter().map(|l| l * weight(l)).collect(), of_p.iter().map(weight).collect()]
    };
    let mut z = 1.;
    // Each step is a contraction; tens of steps suffice for double precision.
    for _ in 0..200 {
        let [above, below] = terms(z);
        z = mean(&above) / mean(&below);
    }
    let [above, below] = terms(z);
    let by_chain = ArrayView2::from_shape((chains.len(), half), &below).expect("a half of each");
    let square =
        square_of_error(&above, above.len() as f64) + square_of_error(&below, ess_bulk(by_chain));
    Estimate { value: z.ln() + middle, error: square.sqrt() }
}

/// `Var(f)/N E(f)²`.
fn square_of_error(f: &[f64], n: f64) -> f64 {
    let (mean, variance) = mean_and_variance(f);
    variance / (mean * mean) / n
}

/// `ln p(θₛ, D) − ln g(θₛ) [S]` for `θ [S, D]`.
fn log_ratios(guess: &Gaussian, joint: &dyn Joint, theta: Array2<f64>) -> Vec<f64> {
    let (tape, log_g) = (Tape::default(), guess.log_density(theta.view()));
    let theta = Tensor::from(theta);
    let log_p = joint.log_joint(tape.constant(theta)).value();
    log_p.iter().zip(log_g).map(|(p, g)| p - g).collect()
}
