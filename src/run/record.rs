//! The record of an epoch: a line of `metrics.jsonl`, and a point of every training curve.
use crate::data::files;
use crate::error::Result;
use crate::predict::evaluate::Scores;
use crate::run::seal::{self, BLANK};
use crate::run::train::Step;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// The maximum size of a `metrics.jsonl` in bytes; the line of an epoch takes a few hundred bytes.
const METRICS: u64 = 1 << 28;

/// One epoch of training. Every number is finite: JSON has no NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// The number of the epoch, from 1.
    pub epoch: usize,
    /// Steps of the optimiser since the run began.
    pub steps: u64,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// The weight β of the KL in the loss.
    pub beta: f64,
    /// `(β KL − E_q[log p(D | θ)]) / N`, nats per example, mean over the epoch; with a prior of
    /// directions or biases, plus `−log p(V, b) / N`.
    pub loss: f64,
    /// `E_q[log p(D | θ)] − KL`, nats over the data set, mean over the epoch.
    pub elbo: f64,
    /// `E_q[log p(D | θ)]`, nats over the data set, mean over the epoch.
    pub log_likelihood: f64,
    /// `KL(q ‖ p) = E_q[log q(θ) − log p(θ)]`, nats, mean over the epoch; `−log p(θ)` of the point
    /// that `laplace` and `swag` train.
    pub kl: f64,
    /// The accuracy on training examples during the epoch; `None` in regression.
    pub train_accuracy: Option<f64>,
    /// The validation scores after the epoch; `None` if no validation was due.
    pub validation: Option<Scores>,
    /// The duration in seconds, validation included.
    pub seconds: f64,
}

/// A line of `metrics.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: &'a Epoch,
    sha256: &'a str,
}

impl Epoch {
    /// The record of an epoch, given the size `|B|` and the values of each of its steps in
    /// `batches`; validation scores and duration are left empty. `steps` counts all steps of the
    /// run.
    ///
    /// The terms are means over steps with weights `|B|/N`: the mean of the steps' estimates
    /// `(N/|B|) Σ_B ln p(y|x,θ)` is then the sum over the data set.
    ///
    /// # Panics
    /// If the epoch has no steps.
    pub(super) fn new(
        epoch: usize,
        steps: u64,
        batches: &[(usize, Step)],
        is_classification: bool,
    ) -> Self {
        let examples = batches.iter().map(|(n, _)| n).sum::<usize>() as f64;
        let mean = |term: fn(&Step) -> f64| {
            batches.iter().fold(0., |sum, (n, step)| sum + *n as f64 * term(step)) / examples
        };
        let correct: usize = batches.iter().map(|(_, step)| step.correct).sum();
        let (_, last) = batches.last().expect("an epoch has a step");
        Self {
            epoch,
            steps,
            learning_rate: last.learning_rate,
            beta: last.beta,
            loss: mean(|step| step.loss),
            elbo: mean(|step| step.terms.total),
            log_likelihood: mean(|step| step.terms.log_likelihood),
            kl: mean(|step| step.terms.kl),
            train_accuracy: is_classification.then_some(correct as f64 / examples),
            validation: None,
            seconds: 0.,
        }
    }

    /// The line of `metrics.jsonl`, with its checksum.
    pub(super) fn line(&self) -> Vec<u8> {
        let line = Line { record: self, sha256: BLANK };
        let mut line = seal::seal(serde_json::to_vec(&line).expect("finite numbers"));
        line.push(b'\n');
        line
    }

    /// The record of a line, or `None` if the line is damaged. Lines of older versions have no
    /// checksum.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut keys: Map<String, Value> = serde_json::from_slice(line).ok()?;
        if let Some(sha256) = keys.remove("sha256")
            && !seal::is_intact(line, sha256.as_str()?)
        {
            return None;
        }
        serde_json::from_value(keys.into()).ok()
    }
}

/// Read the intact records of `metrics.jsonl` in a run folder; none if the file does not exist.
///
/// # Errors
/// If the file cannot be read.
pub fn read_metrics(dir: &Path) -> Result<Vec<Epoch>> {
    let path = dir.join("metrics.jsonl");
    if !path.exists() {
        return Ok(vec![]);
    }
    let bytes = files::bytes(&path, METRICS)?;
    let lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
    Ok(lines.filter_map(Epoch::parse).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_round_trips_through_json() {
        let scores = Scores { accuracy: Some(0.1), nll: 2.0, ece: None, rmse: None };
        let epoch = Epoch {
            epoch: 1,
            steps: 469,
            learning_rate: 1e-3,
            beta: 0.5,
            loss: 0.3,
            elbo: -18_000.5,
            log_likelihood: -12_000.25,
            kl: 6_000.25,
            train_accuracy: None,
            validation: Some(scores),
            seconds: 12.5,
        };
        let line = serde_json::to_string(&epoch).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Epoch>(&line).unwrap(), epoch);
    }
}
