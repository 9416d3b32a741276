//! The data, and the configurations that are compared.
use super::curves::{Places, data};
use crate::bayes::FlowKind;
use crate::data::{Dataset, Preprocess, Task};
use crate::experiments::nuts::Nuts;
use crate::experiments::{Cell, Tier};
use crate::nn::optim::Schedule;
use crate::primary::Layer;
use crate::run::config::{Config, MethodKind};
use std::ops::Range;

/// The size of the experiment at a tier.
pub(super) struct Settings {
    /// Training examples.
    pub examples: usize,
    pub epochs: usize,
    /// Posterior samples of each method.
    pub samples: usize,
    /// Chains of NUTS.
    pub chains: u64,
    pub nuts: Nuts,
}

impl Settings {
    pub fn new(tier: Tier) -> Self {
        let nuts = |warmup, draws, thin, depth| Nuts { warmup, draws, thin, depth, accept: 0.8 };
        Self {
            examples: tier.pick([60, 200, 1000]),
            epochs: tier.pick([20, 4000, 1000]),
            samples: tier.pick([100, 1000, 1000]),
            chains: 4,
            nuts: tier.pick([nuts(50, 50, 1, 6), nuts(1200, 2500, 1, 10), nuts(2000, 4000, 4, 10)]),
        }
    }
}

/// Inputs with training data.
pub(super) const INSIDE: Range<f64> = 0.0..0.5;
/// Inputs at which functions are evaluated.
pub(super) const SEEN: Range<f64> = -0.5..1.5;
/// Points of the grid over [`SEEN`].
pub(super) const GRID: usize = 81;
/// Test examples over [`SEEN`].
const TEST: usize = 2000;

/// The inputs and test examples of all methods.
pub(super) fn places() -> Places {
    Places::new(GRID, TEST, INSIDE, SEEN)
}

/// `x` at grid point `g`.
pub(super) fn x(g: usize) -> f64 {
    SEEN.start + (SEEN.end - SEEN.start) * g as f64 / (GRID - 1) as f64
}

/// Training examples, and the test examples of `places`.
pub(super) fn dataset(examples: usize, places: &Places) -> Dataset {
    Dataset {
        name: "waves".into(),
        task: Task::Regression,
        image: None,
        preprocess: Preprocess { inputs: 1, ..Preprocess::default() },
        notes: vec![],
        train: data(examples, INSIDE, 0),
        validation: places.inside.clone(),
        test: places.outside.clone(),
    }
}

/// A row of the tables.
pub(super) struct Variant {
    pub name: &'static str,
    pub config: Config,
}

/// All rows but NUTS, with a fixed noise precision, or a learned one if `None`.
pub(super) fn variants(settings: &Settings, precision: Option<f64>) -> [Cell<Variant>; 7] {
    let mut base = Config::default();
    base.primary.layers = Some(Layer::mlp(&[50], 1));
    base.likelihood.precision = precision;
    base.train.epochs = settings.epochs;
    base.train.batch = 32;
    base.train.learning_rate = 5e-4;
    base.train.schedule = Schedule::LateLinear;
    base.flow.hidden = 100;
    base.dropout.rate = 0.1;
    // Costs are per step, relative to the non-Bayesian network.
    let variant = |key: &str, name, method, kind, cost| {
        let mut config = Config { method, ..base.clone() };
        config.flow.kind = kind;
        Cell { key: key.into(), cost, input: Variant { name, config } }
    };
    let (linear, realnvp) = (FlowKind::Linear, FlowKind::Realnvp);
    [
        variant("mle", "non-Bayesian", MethodKind::Mle, realnvp, 1.),
        variant("bhn", "BHN on the scales", MethodKind::Bhn, realnvp, 3.),
        variant("full-bhn", "BHN over all weights", MethodKind::FullBhn, linear, 5.),
        variant("full-realnvp", "RealNVP over all weights", MethodKind::FullBhn, realnvp, 5.),
        variant("bbb", "Bayes by Backprop", MethodKind::Bbb, realnvp, 2.),
        variant("mc-dropout", "MC dropout", MethodKind::McDropout, realnvp, 2.),
        variant("ensemble", "ensemble of 5", MethodKind::Ensemble, realnvp, 3.),
    ]
}
