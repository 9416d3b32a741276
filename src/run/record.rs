//! What a run writes down of each epoch: one line of `metrics.jsonl`, one point of every curve.
use crate::predict::evaluate::Scores;
use serde::{Deserialize, Serialize};

/// One epoch of training. Every number is finite: JSON has no NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Steps of the optimiser since the run began.
    pub steps: u64,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// The weight β of the KL in the loss; at 1 the loss is the bound itself.
    pub beta: f64,
    /// `(β KL − E_q[log p(D | θ)]) / N`, nats an example, mean over the epoch.
    pub loss: f64,
    /// `E_q[log p(D | θ)] − KL`, whatever β is; nats over the data set, mean over the epoch.
    pub elbo: f64,
    /// `E_q[log p(D | θ)]`, nats over the data set, mean over the epoch.
    pub log_likelihood: f64,
    /// `KL(q ‖ p) = E_q[log q(θ) − log p(θ)]`, nats, mean over the epoch.
    pub kl: f64,
    /// The share of training examples classified rightly during the epoch; none in regression.
    pub train_accuracy: Option<f64>,
    /// The validation set after the epoch, where it was scored.
    pub validation: Option<Scores>,
    /// Seconds spent in this epoch, validation included.
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_comes_back_the_same() {
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
