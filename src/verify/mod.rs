//! `bhn verify`: properties that the engine must have, measured on the engine and on broken twins of it.
//!
//! A [`Suite`](suite::Suite) measures each of its properties on each of its subjects, and first on faults that were seeded in
//! copies of them (`faults.rs`): what cannot be seen to fail proves nothing by passing. [`trained`] does so with a run's
//! model in the engine's place, and [`weights`] says how far its posterior is from the exact one.
pub mod bound;
pub mod densities;
mod faults;
pub mod flows;
pub mod gradients;
pub mod kernels;
pub mod loss;
pub mod machine;
pub mod scores;
pub mod suite;
pub mod trained;
pub mod weights;

use suite::Verify;

/// A suite to be made, by its name.
pub type Named = (&'static str, fn() -> Box<dyn Verify>);

/// Every suite, in the order in which one rests on another.
pub const SUITES: [Named; 14] = [
    ("products", || Box::new(kernels::products())),
    ("convolutions", || Box::new(kernels::convolutions())),
    ("gradients", || Box::new(gradients::suite())),
    ("flows", || Box::new(flows::suite())),
    ("hypernets", || Box::new(densities::hypernets())),
    ("densities", || Box::new(densities::lines())),
    ("bound", || Box::new(bound::suite())),
    ("dropout", || Box::new(machine::dropouts())),
    ("optimisers", || Box::new(machine::descents())),
    ("uncertainties", || Box::new(scores::uncertainties())),
    ("classification", || Box::new(scores::judges())),
    ("rankings", || Box::new(scores::rankings())),
    ("threads", || Box::new(machine::threads())),
    ("checkpoints", || Box::new(machine::checkpoints())),
];
