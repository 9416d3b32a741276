//! What a trained model is worth: test scores, and the bound on the training data.
use crate::autodiff::Tensor;
use crate::bayes::{Model, Targets, Terms};
use crate::data::{Dataset, Preprocess, Split};
use crate::error::{Error, Result};
use crate::metrics::{self, BINS, Estimate};
use crate::predict::{Predictive, bound, draw, log_prob, predict};
use crate::random::{Purpose, stream};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Posterior samples for the bound on the training data, at the most: it is a mean over `N`
/// examples already.
const BOUND_SAMPLES: usize = 10;

/// The scores of a validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// [`metrics::accuracy`]; `None` in regression.
    pub accuracy: Option<f64>,
    /// The mean of `−log p(y | x, D)`, nats per example.
    pub nll: f64,
    /// [`metrics::ece`]; `None` in regression.
    pub ece: Option<f64>,
    /// [`metrics::rmse`], in the units of the target; `None` in classification.
    pub rmse: Option<f64>,
}

/// The scores of a test, each with its standard error where a mean over examples has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestScores {
    /// Examples.
    pub examples: usize,
    /// Posterior samples averaged.
    pub samples: usize,
    /// The share of right answers; none in regression.
    pub accuracy: Option<f64>,
    /// Its standard error.
    pub accuracy_error: Option<f64>,
    /// Nats an example; in regression of the density in the target's units.
    pub nll: f64,
    /// Its standard error.
    pub nll_error: f64,
    /// Brier score; none in regression.
    pub brier: Option<f64>,
    /// Expected calibration error over 15 equal bins; none in regression.
    pub ece: Option<f64>,
    /// In the target's units; none in classification.
    pub rmse: Option<f64>,
    /// Seconds for the predictions.
    pub seconds: f64,
}

/// The bound on the training data in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundScores {
    /// The bound and its terms.
    #[serde(flatten)]
    pub terms: Terms,
    /// The bound's standard error over posterior samples; none of one sample.
    pub error: Option<f64>,
    /// Posterior samples.
    pub samples: usize,
}

/// A test, and the predictions it came from.
pub struct Evaluation {
    /// The scores.
    pub test: TestScores,
    /// The bound.
    pub elbo: BoundScores,
    /// The predictions, in the order of the test set; numbers in the target's units.
    pub predictive: Predictive,
}

/// Test `model` with `samples` posterior samples.
///
/// # Errors
/// If the network's outputs overflow on an example, or the density of a target underflows.
///
/// # Panics
/// If the data do not fit the model.
pub fn evaluate(model: &Model, data: &Dataset, samples: usize, seed: u64) -> Result<Evaluation> {
    let start = Instant::now();
    let (theta, log_q) = draw(model, samples, &mut stream(seed, Purpose::Evaluation, 0));
    let predictive = predict(model, &theta, data.test.x.view());
    predictive.check(|row| format!("test example {row} (from 0) of {}", data.name))?;
    let (scores, nll, accuracy, brier) =
        score(model, &theta, &predictive, &data.test, &data.preprocess);
    let seconds = start.elapsed().as_secs_f64();
    let few = samples.min(BOUND_SAMPLES);
    let first = |x: &Tensor<f32>| -> Tensor<f32> {
        x.slice_axis(ndarray::Axis(0), (..few).into()).to_shared().into()
    };
    let (terms, error) =
        bound(model, &first(&theta), log_q.map(|q| first(&q)).as_ref(), &data.train);
    if !(scores.nll + terms.total + error).is_finite() {
        let found = format!("NLL {} nats an example, bound {} ± {error}", scores.nll, terms.total);
        let advice = "Look for rows that are far from all others, and mend or remove them.";
        return Err(Error::invalid(format!("a test on {}", data.name), found, "numbers", advice));
    }
    Ok(Evaluation {
        test: TestScores {
            examples: data.test.len(),
            samples,
            accuracy: scores.accuracy,
            accuracy_error: accuracy.map(|a| a.error),
            nll: scores.nll,
            nll_error: nll.error,
            brier: brier.map(|b| b.value),
            ece: scores.ece,
            rmse: scores.rmse,
            seconds,
        },
        elbo: BoundScores { terms, error: (few > 1).then_some(error), samples: few },
        predictive: predictive.in_units(&data.preprocess),
    })
}

/// The scores of an epoch's validation, with samples of its own.
///
/// # Panics
/// If the data do not fit the model.
pub fn validate(
    model: &Model,
    validation: &Split,
    preprocess: &Preprocess,
    samples: usize,
    (seed, epoch): (u64, usize),
) -> Scores {
    let (theta, _) = draw(model, samples, &mut stream(seed, Purpose::Evaluation, epoch as u64));
    let predictive = predict(model, &theta, validation.x.view());
    score(model, &theta, &predictive, validation, preprocess).0
}

type Means = (Scores, Estimate, Option<Estimate>, Option<Estimate>);

fn score(
    model: &Model,
    theta: &Tensor<f32>,
    predictive: &Predictive,
    split: &Split,
    preprocess: &Preprocess,
) -> Means {
    match (predictive, &split.y) {
        (Predictive::Classes { p, .. }, Targets::Classes(y)) => {
            let (nll, accuracy) = (metrics::nll(p.view(), y), metrics::accuracy(p.view(), y));
            let ece = metrics::ece(p.view(), y, BINS);
            let scores = Scores {
                accuracy: Some(accuracy.value),
                nll: nll.value,
                ece: Some(ece),
                rmse: None,
            };
            (scores, nll, Some(accuracy), Some(metrics::brier(p.view(), y)))
        }
        (Predictive::Values { mean, .. }, Targets::Values(y)) => {
            let unit = preprocess.y.map_or(1., |(_, std)| std);
            let log_prob = log_prob(model, theta, split).mapv(f64::from);
            let found = metrics::log_predictive(log_prob.view());
            let nll = Estimate { value: unit.ln() - found.value, error: found.error };
            let y: Vec<f64> = y.iter().map(|&y| y.into()).collect();
            let rmse = Some(unit * metrics::rmse(mean, &y));
            (Scores { accuracy: None, nll: nll.value, ece: None, rmse }, nll, None, None)
        }
        _ => unreachable!("a model predicts the kind of target it was built for"),
    }
}
