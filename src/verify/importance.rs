//! Importance weights `w = p(D, θ)/q(θ)`, `θ ~ q`: how far a trained posterior is from the exact
//! one.
//!
//! Each weight uses the likelihood of the whole training set: the likelihood of a subsample, scaled
//! up, would add noise to `ln w` that looks like a bad fit. The number of draws is limited instead.
use super::suite::largest;
use crate::autodiff::Tape;
use crate::bayes::{Model, Terms};
use crate::data::Split;
use crate::flows::Bijector;
use crate::kernels::scalar::Scalar;
use crate::predict::{bound, draw, terms};
use crate::random::{Purpose, stream};
use crate::stats::{effective_sample_size, importance_bound, k_hat, k_limit};
use serde::Serialize;

/// Diagnostics of the importance weights of some draws. Bounds are in nats over the training set.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostics {
    /// The number of draws of `θ`.
    pub draws: usize,
    /// The number of training examples.
    pub examples: usize,
    /// The number of entries of `θ`.
    pub dim: usize,
    /// The ELBO and its terms.
    pub elbo: Terms,
    /// The ELBO's standard error.
    pub elbo_error: f64,
    /// The bounds `L_K` ([`importance_bound`]) for `K = 1, 2, 5, 10, …, 1000`, up to the number of
    /// draws.
    pub bounds: Vec<ImportanceBound>,
    /// `k̂`, the shape of the weights' tail ([`k_hat`]). It is infinite, and null in JSON, if all
    /// but a few weights underflow relative to the largest.
    pub k_hat: f64,
    /// The largest `k̂` at which this number of draws suffices.
    pub k_limit: f64,
    /// `(Σ w)²/Σ w²`, at most `draws`.
    pub effective_sample_size: f64,
    /// `max |h⁻¹(h(ε)) − ε|` over separate draws, in `f32` and in `f64`; `None` if there is no
    /// flow.
    pub inversion_error: Option<[f64; 2]>,
}

/// `L_K`, from groups of `K` draws.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ImportanceBound {
    /// `K`.
    pub k: usize,
    /// The mean over groups.
    pub value: f64,
    /// The standard error of the mean; `None` if there is only one group.
    pub error: Option<f64>,
    /// The number of groups.
    pub groups: usize,
    /// `ΔL_K / Δ ln K`, the slope from the previous `K` to this `K`; `None` for the first.
    pub slope: Option<f64>,
}

/// The default number of draws makes this number of predictions (draws times examples), but is at
/// least [`LEAST`] and at most [`MOST`].
const PREDICTIONS: usize = 3_000_000;
const LEAST: usize = 60;
const MOST: usize = 10_000;
/// The largest number of entries of `θ`, or of log-likelihoods, that a block of draws keeps in
/// memory.
const NUMBERS: usize = 1 << 24;
/// The number of draws that are mapped through the flow and back.
const INVERTED: usize = 8;

/// The default number of draws for a training set of this size.
pub fn draws(examples: usize) -> usize {
    (PREDICTIONS / examples.max(1)).clamp(LEAST, MOST)
}

/// The diagnostics of `draws` draws from a model with a density; `precise` is the same model in
/// `f64`. The noise of the draws is generated from `seed`. Calls `progress` with the number of
/// draws done.
///
/// `None` if the posterior has no density.
///
/// # Panics
/// If the data do not fit the model, or there are no draws.
pub fn diagnose(
    (model, precise): (&Model, &Model<f64>),
    train: &Split,
    draws: usize,
    seed: u64,
    mut progress: impl FnMut(usize),
) -> Option<Diagnostics> {
    let dim = model.primary.dim();
    let block = (NUMBERS / dim.max(train.len())).clamp(1, 25);
    let mut each = vec![];
    for start in (0..draws).step_by(block) {
        let rng = &mut stream(seed, Purpose::Sample, 1 + start as u64);
        let (theta, log_q) = draw(model, block.min(draws - start), rng);
        each.extend(terms(model, &theta, Some(&log_q?), train));
        progress(each.len());
    }
    let log_weights: Vec<_> = each.iter().map(|terms| terms.total).collect();
    let (elbo, elbo_error) = bound(&each);
    // An overflow of the network's outputs can make a weight NaN, and k̂ is then undefined.
    let defined = log_weights.iter().all(|w| !w.is_nan());
    let inversion_error = inversion_error(model, seed).zip(inversion_error(precise, seed));
    Some(Diagnostics {
        draws,
        examples: train.len(),
        dim,
        elbo,
        elbo_error,
        bounds: bounds(&log_weights),
        k_hat: if defined { k_hat(&log_weights) } else { f64::NAN },
        k_limit: k_limit(draws),
        effective_sample_size: effective_sample_size(&log_weights),
        inversion_error: inversion_error.map(<[f64; 2]>::from),
    })
}

fn bounds(log_weights: &[f64]) -> Vec<ImportanceBound> {
    let mut found: Vec<ImportanceBound> = vec![];
    let counts = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
    for k in counts.into_iter().filter(|&k| k <= log_weights.len()) {
        let estimate = importance_bound(log_weights, k);
        let slope = found.last().map(|b| (estimate.value - b.value) / (k as f64 / b.k as f64).ln());
        let error = Some(estimate.error).filter(|error| error.is_finite());
        let (value, groups) = (estimate.value, log_weights.len() / k);
        found.push(ImportanceBound { k, value, error, groups, slope });
    }
    found
}

fn inversion_error<T: Scalar>(model: &Model<T>, seed: u64) -> Option<f64> {
    let (flow, tape) = (model.posterior.flow()?, Tape::default());
    let p = model.params.freeze(&tape);
    let rng = &mut stream(seed, Purpose::Sample, 0);
    let theta = model.posterior.draw(&p, INVERTED, rng).theta;
    let eps = flow.inverse(&p, theta).0;
    let back = flow.inverse(&p, flow.forward(&p, eps).0).0;
    Some(largest((back - eps).value().iter().map(|e| e.f64().abs())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Targets, Task};
    use crate::primary::Layer;
    use crate::run::config::{Config, MethodKind};
    use ndarray::Array2;

    /// `y ~ N(w x + b, 1/τ)` with `Σ x = 0`: under a normal prior `w` and `b` are independent given
    /// the data, so that `q` can equal the posterior. Then every weight equals the evidence.
    #[test]
    fn weights_of_exact_posterior_equal_evidence() {
        let (tau, x, y) = (4_f64, [-1.5, -0.5, 0.5, 1.5], [-0.8, 0.1, 0.4, 1.9]);
        let mut config = Config { method: MethodKind::Bbb, ..Config::default() };
        config.primary.layers = Some(vec![Layer::Dense(1)]);
        config.likelihood.precision = Some(tau);
        let mut model: Model = config.build(1, &Task::Regression);

        let n = x.len() as f64;
        let [xx, yy] = [x, y].map(|v| v.iter().map(|v| v * v).sum::<f64>());
        let xy: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
        let precisions = [1. + tau * xx, 1. + tau * n];
        let means = [tau * xy / precisions[0], tau * y.iter().sum::<f64>() / precisions[1]];
        // ln N(y; 0, I/τ + X Xᵀ).
        let determinant: f64 = precisions.iter().map(|p| p.ln()).sum();
        let fitted: f64 = means.iter().zip(precisions).map(|(m, p)| m * m * p).sum();
        let evidence =
            0.5 * (n * (tau / std::f64::consts::TAU).ln() - determinant - tau * yy + fitted);
        for (name, w) in model.params.iter_mut() {
            let of = |i: usize| match name {
                "posterior.mean" => means[i] as f32,
                _ => (-0.5 * precisions[i].ln()) as f32,
            };
            w.view_mut().iter_mut().enumerate().for_each(|(i, w)| *w = of(i));
        }

        let data = Split {
            x: Array2::from_shape_fn((4, 1), |(i, _)| x[i] as f32),
            y: Targets::Values(y.map(|y| y as f32).into()),
        };
        let precise = config.build(1, &Task::Regression);
        let found = diagnose((&model, &precise), &data, 200, 0, |_| {}).unwrap();
        let counts: Vec<_> = found.bounds.iter().map(|b| b.k).collect();
        assert_eq!(counts, [1, 2, 5, 10, 20, 50, 100, 200]);
        for bound in &found.bounds {
            assert!((bound.value - evidence).abs() < 1e-5, "{bound:?}, {evidence}");
        }
        assert!(found.effective_sample_size > 199.99 && found.elbo_error < 1e-5, "{found:?}");
        assert!(found.bounds[7].error.is_none() && found.inversion_error.is_none());
    }
}
