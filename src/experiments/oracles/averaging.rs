//! The evidence by averaging the likelihood over the prior: slow to converge, but it misses no
//! mode.
use super::gaussian::Gaussian;
use crate::autodiff::{Tape, Tensor};
use crate::bayes::Prior;
use crate::experiments::fit::Joint;
use crate::stats::{Estimate, log_mean_exp, over_seeds};
use ndarray::{Array1, Array2};
use rand::Rng;

/// Samples per part.
pub(super) const PART: usize = 5_000;

/// `ln p(D) = ln E_{p(θ)}[p(D|θ)]` over `parts` parts of 5,000 samples, with its standard error
/// `std(w)/(√S mean(w))`, `w = p(D|θ)`.
///
/// # Panics
/// Unless the prior is Gaussian.
pub fn log_evidence(joint: &dyn Joint, parts: usize, rng: &mut impl Rng) -> Estimate {
    let Prior::Gaussian { precision } = joint.prior() else {
        panic!("averaging: {:?} is not Gaussian", joint.prior())
    };
    let (d, std) = (joint.dim(), precision.powf(-0.5));
    let prior = Gaussian { mean: Array1::zeros(d), factor: Array2::eye(d) * std };
    let mut log_likelihood = vec![];
    for _ in 0..parts {
        let tape = Tape::default();
        let theta = Tensor::from(prior.sample(PART, rng));
        let each = joint.log_likelihood(tape.constant(theta));
        log_likelihood.extend(each.sum_axis(1).value().iter().copied());
    }
    relative(&log_likelihood)
}

/// `ln (1/S) Σ w_s` of `ln w [S]`; its error is the relative error of the mean of `w`.
pub(super) fn relative(log_weight: &[f64]) -> Estimate {
    let value = log_mean_exp(log_weight);
    let weights: Vec<_> = log_weight.iter().map(|w| (w - value).exp()).collect();
    Estimate { value, error: over_seeds(&weights).error }
}
