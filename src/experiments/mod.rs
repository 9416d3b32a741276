//! The paper's experiments. Each is a protocol in code, from configurations to a report that says
//! whether the claims hold.
//!
//! An [`Experiment`] turns a [`Lab`] into a [`Report`](crate::report::experiment::Report). The lab
//! is a folder that caches every result, so an interrupted experiment can be continued. The
//! experiment defines what to compute and which claims to test. `bhn reproduce` runs an experiment.
pub mod active;
pub mod adversarial;
pub mod annealing;
pub mod anomaly;
pub mod ascent;
pub mod classify;
pub mod dependence;
mod detections;
mod digits;
pub mod evidence;
pub mod fit;
pub mod gaussian;
mod grid;
mod identity;
mod lab;
pub mod modes;
pub mod networks;
pub mod nuts;
pub mod oracles;
pub mod quadrature;
pub mod regression;
pub mod scales;
pub mod shift;
pub mod table_1;
mod tier;
mod trials;
pub mod uci;
pub mod unseen;
mod workers;

pub use grid::{Grid, Row, source};
pub use lab::{Cell, Experiment, Lab, Progress};
pub use tier::Tier;

/// All experiments, in the order of `bhn reproduce all`.
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
    shift::EXPERIMENT,
    uci::EXPERIMENT,
    oracles::EXPERIMENT,
    scales::EXPERIMENT,
    scales::TOGETHER,
];
