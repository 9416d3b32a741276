//! `summary.json`: what a run came to, and all that is needed to run it again.
use crate::predict::evaluate::{BoundScores, TestScores};
use crate::run::Run;
use crate::run::machine::Machine;
use serde::{Deserialize, Serialize};
use std::fs;

/// `summary.json`. Its keys are stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The scores on the test set.
    pub test: TestScores,
    /// The bound on the training data and its terms, in nats; the log-likelihood alone for a point.
    pub elbo: BoundScores,
    /// Epochs trained.
    pub epochs: usize,
    /// Steps taken.
    pub steps: u64,
    /// The epoch with the best validation, which was tested.
    pub best_epoch: usize,
    /// Its validation accuracy; none in regression.
    pub validation_accuracy: Option<f64>,
    /// Its validation NLL in nats an example.
    pub validation_nll: f64,
    /// Numbers learned, every entry counted.
    pub parameters: usize,
    /// Epochs of which no record is left, since `metrics.jsonl` was damaged.
    #[serde(default)]
    pub unrecorded_epochs: usize,
    /// Seconds of training, validation included, over all sittings; an unrecorded epoch counts as
    /// the mean of the others.
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
    /// What was typed.
    pub command: String,
    /// The program's version.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// The processor.
    pub cpu: String,
    /// The kernels and the mathematical functions of the last sitting.
    pub machine: Machine,
    /// The most memory held at once, if the system tells.
    pub peak_memory_bytes: Option<u64>,
}

impl Summary {
    /// Of a finished run.
    ///
    /// # Panics
    /// If no epoch was finished.
    pub fn new(run: &Run, test: TestScores, elbo: BoundScores, command: String) -> Self {
        let (best_epoch, best) = run.best().expect("a finished run has a best epoch");
        Self {
            test,
            elbo,
            epochs: run.epoch(),
            unrecorded_epochs: run.unrecorded(),
            steps: run.trainer.steps(),
            best_epoch: *best_epoch,
            validation_accuracy: best.accuracy,
            validation_nll: best.nll,
            parameters: run.trainer.model.params.count(),
            seconds: run.seconds(),
            seed: run.config.seed,
            threads: rayon::current_num_threads(),
            command,
            version: env!("CARGO_PKG_VERSION").into(),
            commit: env!("BHN_COMMIT").into(),
            cpu: cpu(),
            machine: Machine::here(),
            peak_memory_bytes: peak_memory(),
        }
    }
}

/// The value of a `key : value` line of one of Linux's files about itself.
fn proc(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// The processor's name.
pub fn cpu() -> String {
    proc("/proc/cpuinfo", "model name").unwrap_or(std::env::consts::ARCH.into())
}

/// The most bytes this process has held at once, if the system tells.
pub fn peak_memory() -> Option<u64> {
    let kilobytes = proc("/proc/self/status", "VmHWM")?;
    Some(kilobytes.trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}
