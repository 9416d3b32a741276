//! The paper's experiments: each a protocol in code, from configurations to a report with verdicts.
//!
//! An [`Experiment`] turns a [`Lab`] into a [`Report`]. The lab is a folder that keeps every partial
//! result, so that what was interrupted continues; the experiment says what to compute and what
//! the paper claims. `bhn reproduce` runs them.
pub mod active;
pub mod adversarial;
pub mod anomaly;
pub mod classify;
pub mod dependence;
pub mod digits;
pub mod fit;
mod lab;
pub mod modes;
pub mod networks;
pub mod nuts;
pub mod oracles;
pub mod quadrature;
pub mod regression;
pub mod uci;
pub mod unseen;

pub use lab::{Cell, Lab, Progress};

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::error::Result;
use crate::report::experiment::Report;

/// How much of an experiment is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// All code runs; numbers mean nothing. Seconds.
    Smoke,
    /// The paper's ordering shows. At most ten minutes on two cores, active learning an hour.
    Quick,
    /// The paper's protocol.
    Paper,
}

impl Tier {
    /// All, the shortest first.
    pub const ALL: [Self; 3] = [Self::Smoke, Self::Quick, Self::Paper];

    /// The one of three that is this tier's.
    pub fn pick<T>(self, [smoke, quick, paper]: [T; 3]) -> T {
        match self {
            Self::Smoke => smoke,
            Self::Quick => quick,
            Self::Paper => paper,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pick(["smoke", "quick", "paper"]))
    }
}

/// One of the paper's experiments.
pub struct Experiment {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Where in the paper it is.
    pub place: &'static str,
    /// What the paper claims.
    pub claim: &'static str,
    /// Changed whenever cells would come out otherwise in a digit that is shown: those of another version are not used.
    pub version: u32,
    /// Seeds by tier, unless the user says otherwise.
    pub seeds: [u64; 3],
    /// Seconds by tier with these seeds, measured on two cores of an AMD EPYC (Zen 5).
    pub seconds: [f64; 3],
    /// All of it.
    pub run: fn(&Lab<'_>) -> Result<Report>,
}

/// Every experiment there is.
pub const ALL: &[Experiment] = &[
    regression::EXPERIMENT,
    dependence::EXPERIMENT,
    modes::EXPERIMENT,
    classify::MNIST,
    classify::MNIST_5K,
    classify::CIFAR_10,
    classify::CIFAR_5,
    active::EXPERIMENT,
    classify::SWITCHES,
    anomaly::EXPERIMENT,
    unseen::EXPERIMENT,
    adversarial::EXPERIMENT,
    uci::EXPERIMENT,
    oracles::EXPERIMENT,
];
