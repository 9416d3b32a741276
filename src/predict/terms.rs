//! The ELBO on a data set, estimated from posterior samples.
use crate::autodiff::{Tape, Tensor};
use crate::bayes::{Likelihood, Model, Terms};
use crate::data::Split;
use crate::predict::forward::chunks;
use ndarray::{Array2, Axis};

/// `ln p(yₙ | xₙ, θₛ)` `[S, N]`, without the clipping of the training loss.
///
/// # Panics
/// If there are no examples, or they do not fit the model.
pub fn log_prob(model: &Model, theta: &Tensor<f32>, data: &Split) -> Array2<f32> {
    let likelihood = match model.likelihood {
        Likelihood::Categorical { .. } => Likelihood::Categorical { clip: None },
        other => other,
    };
    let parts = chunks(model, &model.params, theta, data.x.view(), None, |start, outputs| {
        let (tape, rows) = (Tape::default(), start..start + outputs.shape()[1]);
        let y = data.y.select(&rows.collect::<Vec<_>>());
        likelihood.log_prob(&model.params.freeze(&tape), tape.constant(outputs), &y).value()
    });
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    let all = ndarray::concatenate(Axis(1), &views).expect("one shape but for the rows");
    all.into_dimensionality().expect("[S, N]")
}

/// The terms of the ELBO on `data` for each of the samples `theta [S, D]` with log-densities
/// `log_q [S]`. If the posterior has no density (`None`), the other terms than the log-likelihood
/// are 0.
///
/// # Panics
/// As [`log_prob`].
pub fn terms(
    model: &Model,
    theta: &Tensor<f32>,
    log_q: Option<&Tensor<f32>>,
    data: &Split,
) -> Vec<Terms> {
    let likelihoods = log_prob(model, theta, data).mapv(f64::from).sum_axis(Axis(1));
    let tape = Tape::default();
    let priors = model.prior.log_prob(tape.constant(theta.mapv(f64::from)));
    let terms = |s: usize| match log_q {
        None => Terms::new(likelihoods[s], 0., 0.),
        Some(q) => Terms::new(likelihoods[s], priors.value()[s], q[s].into()),
    };
    (0..likelihoods.len()).map(terms).collect()
}

/// The mean of `terms` over posterior samples, and the standard error of the ELBO, which is 0 for a
/// single sample.
pub fn bound(terms: &[Terms]) -> (Terms, f64) {
    let n = terms.len() as f64;
    let mean = |f: fn(&Terms) -> f64| terms.iter().map(f).sum::<f64>() / n;
    let mean = Terms::new(mean(|t| t.log_likelihood), mean(|t| t.log_prior), mean(|t| t.log_q));
    let squares: f64 = terms.iter().map(|t| (t.total - mean.total).powi(2)).sum();
    (mean, (squares / (n - 1.).max(1.) / n).sqrt())
}
