//! `bhn verify`: properties of the engine, measured on the engine and on broken copies of it.
//!
//! A [`Suite`](suite::Suite) measures each of its properties on every instance and on seeded
//! faults: broken copies with one mistake each. A check that has never failed verifies nothing.
//! Each suite has its own file, with the properties first and the faults below. [`trained`]
//! measures the same properties on the model of a run, and [`importance`] estimates how far its
//! posterior is from the exact one.
pub mod bound;
pub mod checkpoints;
pub mod classification;
pub mod convolutions;
pub mod densities;
pub mod dropout;
pub mod estimators;
pub mod flows;
pub mod gradients;
pub mod hypernets;
pub mod importance;
pub mod loss;
pub mod optimisers;
pub mod products;
pub mod rankings;
pub mod suite;
pub mod threads;
pub mod trained;
pub mod uncertainties;
pub mod widths;

use suite::Verify;

/// Makes a suite.
pub type MakeSuite = fn() -> Box<dyn Verify>;

/// Every suite of the engine by its name, each after the suites that it depends on.
pub const SUITES: [(&str, MakeSuite); 16] = [
    ("products", || Box::new(products::suite())),
    ("convolutions", || Box::new(convolutions::suite())),
    ("gradients", || Box::new(gradients::suite())),
    ("flows", || Box::new(flows::suite())),
    ("hypernets", || Box::new(hypernets::suite())),
    ("densities", || Box::new(densities::suite())),
    ("bound", || Box::new(bound::suite())),
    ("widths", || Box::new(widths::suite())),
    ("estimators", || Box::new(estimators::suite())),
    ("dropout", || Box::new(dropout::suite())),
    ("optimisers", || Box::new(optimisers::suite())),
    ("uncertainties", || Box::new(uncertainties::suite())),
    ("classification", || Box::new(classification::suite())),
    ("rankings", || Box::new(rankings::suite())),
    ("threads", || Box::new(threads::suite())),
    ("checkpoints", || Box::new(checkpoints::suite())),
];
