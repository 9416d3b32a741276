//! Validation and test scores, and the ELBO on the training data.
use crate::autodiff::Tensor;
use crate::bayes::{Model, Targets, Terms};
use crate::data::{Dataset, Preprocess, Split};
use crate::error::{Error, Result};
use crate::metrics::{self, BINS};
use crate::predict::score::Score;
use crate::predict::{Predictive, bound, draw, log_prob, predict, terms};
use crate::random::{Purpose, stream};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// The maximum number of posterior samples for the ELBO. It is small because each sample is
/// evaluated on all training examples.
const BOUND_SAMPLES: usize = 10;

/// The scores of a validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// [`metrics::accuracy`]; `None` in regression.
    pub accuracy: Option<f64>,
    /// The mean of `−log p(y | x, D)`, in nats per example.
    pub nll: f64,
    /// [`metrics::ece`]; `None` in regression.
    pub ece: Option<f64>,
    /// [`metrics::rmse`], in the units of the target; `None` in classification.
    pub rmse: Option<f64>,
}

/// The scores of a test, with standard errors of the accuracy and of the NLL.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestScores {
    /// The number of test examples.
    pub examples: usize,
    /// The number of posterior samples that predictions average over.
    pub samples: usize,
    /// The accuracy; `None` in regression.
    pub accuracy: Option<f64>,
    /// The standard error of the accuracy.
    pub accuracy_error: Option<f64>,
    /// The mean of `−log p(y | x, D)` in nats per example. In regression, `p` is a density in the
    /// target's units.
    pub nll: f64,
    /// The standard error of the NLL.
    pub nll_error: f64,
    /// The Brier score; `None` in regression.
    pub brier: Option<f64>,
    /// The expected calibration error over 15 bins of equal width; `None` in regression.
    pub ece: Option<f64>,
    /// The expected calibration error over 15 bins with equally many examples; `None` in
    /// regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ece_equal_mass: Option<f64>,
    /// How well `1 − max p̄` ranks wrong predictions above right ones; `None` in regression, and if
    /// there are none of either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorDetection>,
    /// The root-mean-square error in the target's units; `None` in classification.
    pub rmse: Option<f64>,
    /// The scores of the predictive distributions of a regression; `None` in classification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// The duration of drawing the samples, predicting and scoring, in seconds.
    pub seconds: f64,
}

/// How well an uncertainty ranks wrong predictions above right ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorDetection {
    /// [`metrics::auroc`] of wrong predictions.
    pub auroc: f64,
    /// [`metrics::aupr`] of wrong predictions.
    pub aupr: f64,
    /// [`metrics::aurc`] of the error rate.
    pub aurc: f64,
}

/// The scores of predictive distributions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// The mean [continuous ranked probability score](crate::predict::Mixture::crps) in the
    /// target's unit.
    pub crps: f64,
    /// The share of targets within the central intervals of [`INTERVALS`].
    pub coverage: [f64; 3],
    /// The share of targets below the quantile of each level of [`LEVELS`].
    pub below: [f64; 9],
}

/// The probabilities of the central intervals whose coverage is tested.
pub const INTERVALS: [f64; 3] = [0.5, 0.9, 0.95];
/// The levels of the calibration curve of a regression.
pub const LEVELS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// The ELBO on the training data in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundScores {
    /// The ELBO and its terms.
    #[serde(flatten)]
    pub terms: Terms,
    /// The standard error of the ELBO over posterior samples; `None` for one sample.
    pub error: Option<f64>,
    /// The number of posterior samples.
    pub samples: usize,
}

/// A test and its predictions, which are not serialised.
#[derive(Serialize)]
pub struct Evaluation {
    /// The test scores.
    pub test: TestScores,
    /// The ELBO on the training data.
    pub elbo: BoundScores,
    /// The predictions in the order of the test set, in the target's units.
    #[serde(skip)]
    pub predictive: Predictive,
}

/// Evaluate `model` on the test data with `samples` posterior samples, and its ELBO on the training
/// data with at most the first 10 of them.
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
    let test = score(model, &theta, &predictive, &data.test, &data.preprocess);
    let test = with_details(test, &predictive, &data.test.y, &data.preprocess);
    let seconds = start.elapsed().as_secs_f64();
    let few = samples.min(BOUND_SAMPLES);
    let first = |x: &Tensor<f32>| -> Tensor<f32> {
        x.slice_axis(ndarray::Axis(0), (..few).into()).to_shared().into()
    };
    let log_q = log_q.map(|q| first(&q));
    let (terms, error) = bound(&terms(model, &first(&theta), log_q.as_ref(), &data.train));
    if !(test.nll + terms.total + error).is_finite() {
        let found = format!("NLL {} nats per example, ELBO {} ± {error}", test.nll, terms.total);
        let advice = "Look for rows that are far from all others, and correct or remove them.";
        return Err(Error::invalid(format!("a test on {}", data.name), found, "numbers", advice));
    }
    Ok(Evaluation {
        test: TestScores { samples, seconds, ..test },
        elbo: BoundScores { terms, error: (few > 1).then_some(error), samples: few },
        predictive: predictive.in_units(&data.preprocess),
    })
}

/// `test` with the scores that need more time than a validation has.
fn with_details(
    test: TestScores,
    predictive: &Predictive,
    y: &Targets,
    preprocess: &Preprocess,
) -> TestScores {
    match (predictive, y) {
        (Predictive::Classes { p, .. }, Targets::Classes(y)) => TestScores {
            ece_equal_mass: Some(metrics::ece_equal_mass(p.view(), y, BINS)),
            errors: detection(
                &Score::MaxConfidence.of(predictive),
                &metrics::predictions(p.view()),
                y,
            ),
            ..test
        },
        (Predictive::Values { mixture, .. }, Targets::Values(y)) => {
            let y: Vec<f64> = y.iter().map(|&y| y.into()).collect();
            let unit = preprocess.y.map_or(1., |(_, std)| std);
            let (pit, crps) = (mixture.cdf(&y), mixture.crps(&y));
            let share = |is_in: &dyn Fn(f64) -> bool| {
                pit.iter().filter(|u| is_in(**u)).count() as f64 / pit.len() as f64
            };
            let distribution = Distribution {
                crps: unit * crps.iter().sum::<f64>() / crps.len() as f64,
                coverage: INTERVALS.map(|level| share(&|u| (u - 0.5).abs() <= 0.5 * level)),
                below: LEVELS.map(|level| share(&|u| u <= level)),
            };
            TestScores { distribution: Some(distribution), ..test }
        }
        _ => unreachable!("a model predicts the kind of target it was built for"),
    }
}

fn detection(doubt: &[f64], predictions: &[usize], y: &[usize]) -> Option<ErrorDetection> {
    let is_wrong = |i: &usize| predictions[*i] != y[*i];
    let (wrong, right): (Vec<_>, Vec<_>) = (0..y.len()).partition(is_wrong);
    if wrong.is_empty() || right.is_empty() {
        return None;
    }
    let loss: Vec<_> = (0..y.len()).map(|i| f64::from(u8::from(is_wrong(&i)))).collect();
    let [wrong, right] =
        [wrong, right].map(|rows| rows.iter().map(|&i| doubt[i]).collect::<Vec<_>>());
    Some(ErrorDetection {
        auroc: metrics::auroc(&wrong, &right).value,
        aupr: metrics::aupr(&wrong, &right),
        aurc: metrics::aurc(doubt, &loss),
    })
}

/// The validation scores after epoch `epoch`. The posterior samples depend on the seed and the
/// epoch, so each epoch has its own.
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
    let TestScores { accuracy, nll, ece, rmse, .. } =
        score(model, &theta, &predictive, validation, preprocess);
    Scores { accuracy, nll, ece, rmse }
}

/// The scores of predictions for `split`; the number of samples and the duration are left at 0.
fn score(
    model: &Model,
    theta: &Tensor<f32>,
    predictive: &Predictive,
    split: &Split,
    preprocess: &Preprocess,
) -> TestScores {
    let empty = TestScores { examples: split.len(), ..TestScores::default() };
    match (predictive, &split.y) {
        (Predictive::Classes { p, .. }, Targets::Classes(y)) => {
            let (nll, accuracy) = (metrics::nll(p.view(), y), metrics::accuracy(p.view(), y));
            TestScores {
                accuracy: Some(accuracy.value),
                accuracy_error: Some(accuracy.error),
                nll: nll.value,
                nll_error: nll.error,
                brier: Some(metrics::brier(p.view(), y).value),
                ece: Some(metrics::ece(p.view(), y, BINS)),
                ..empty
            }
        }
        (Predictive::Values { mean, .. }, Targets::Values(y)) => {
            let unit = preprocess.y.map_or(1., |(_, std)| std);
            let log_prob = log_prob(model, theta, split).mapv(f64::from);
            let found = metrics::log_predictive(log_prob.view());
            let y: Vec<f64> = y.iter().map(|&y| y.into()).collect();
            let rmse = Some(unit * metrics::rmse(mean, &y));
            TestScores { nll: unit.ln() - found.value, nll_error: found.error, rmse, ..empty }
        }
        _ => unreachable!("a model predicts the kind of target it was built for"),
    }
}
