//! `summary.json`: the results of a run, and how to repeat it.
use crate::data::files;
use crate::error::{Error, Result};
use crate::predict::evaluate::{BoundScores, TestScores};
use crate::run::Run;
use crate::run::machine::Machine;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// `summary.json`. Its keys are stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The scores on the test set.
    pub test: TestScores,
    /// The ELBO on the training data, with its terms, in nats. For a posterior without a density it
    /// is the log-likelihood alone.
    pub elbo: BoundScores,
    /// The number of epochs.
    pub epochs: usize,
    /// The number of steps.
    pub steps: u64,
    /// The best epoch by validation, whose model was tested.
    pub best_epoch: usize,
    /// The validation accuracy of the best epoch; `None` in regression.
    pub validation_accuracy: Option<f64>,
    /// The validation NLL of the best epoch in nats per example.
    pub validation_nll: f64,
    /// The number of trained parameters.
    pub parameters: usize,
    /// The number of epochs whose records are lost, because `metrics.jsonl` was damaged.
    #[serde(default)]
    pub unrecorded_epochs: usize,
    /// The duration of training in seconds, as [`Run::seconds`].
    pub seconds: f64,
    /// The seed.
    pub seed: u64,
    /// The number of threads.
    pub threads: usize,
    /// The command line.
    pub command: String,
    /// The version of the program.
    pub version: String,
    /// The commit that the program was built from.
    pub commit: String,
    /// The processor.
    pub cpu: String,
    /// The kernels and mathematical functions of the machine that wrote this summary.
    pub machine: Machine,
    /// The peak memory of the process in bytes, if the system reports it.
    pub peak_memory_bytes: Option<u64>,
}

/// The maximum size of a `summary.json` in bytes.
const BYTES: u64 = 1 << 20;

impl Summary {
    /// Read the summary of the run in `dir`.
    ///
    /// # Errors
    /// If the file cannot be read or is not a summary.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("summary.json");
        let text = files::regular_text(&path, BYTES)?;
        serde_json::from_str(&text).map_err(|error| {
            let advice = "Choose the folder of a run that is finished.";
            Error::invalid(path.display(), error, "the summary of a run", advice)
        })
    }

    /// The summary of a finished run.
    ///
    /// # Panics
    /// If no epoch is finished.
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

/// The value in the line `key: value` of `file`, a file in Linux's `/proc`.
fn proc(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// The name of the processor; its architecture if the system does not report the name.
pub fn cpu() -> String {
    proc("/proc/cpuinfo", "model name").unwrap_or(std::env::consts::ARCH.into())
}

/// The peak memory of this process in bytes, if the system reports it.
pub fn peak_memory() -> Option<u64> {
    let kilobytes = proc("/proc/self/status", "VmHWM")?;
    Some(kilobytes.trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}
