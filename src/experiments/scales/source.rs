//! The networks whose directions and biases are held fixed, and the protocol's sizes.
use super::target::FixedDirections;
use crate::autodiff::Tensor;
use crate::bayes::{Estimator, Model};
use crate::data::Dataset;
use crate::error::Result;
use crate::experiments::annealing::Annealing;
use crate::experiments::digits::{digits, probabilities};
use crate::experiments::fit::Training;
use crate::experiments::nuts::Nuts;
use crate::experiments::{Cell, Lab, Tier};
use crate::metrics::{accuracy, nll};
use crate::predict::{draw, predict};
use crate::primary::Layer;
use crate::random::{Purpose, stream};
use crate::run::config::{Config, MethodKind};
use crate::run::{Header, Trained};
use crate::stats::Estimate;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// The size of the experiment at a tier.
pub(super) struct Settings {
    /// Training digits.
    pub examples: usize,
    /// The primary network.
    pub layers: Vec<Layer>,
    /// Hidden units of a coupling.
    pub hidden: usize,
    pub nuts: Nuts,
    pub chains: u64,
    pub annealing: Annealing,
    /// Training of the posteriors, at each of these rates; the best is kept. A recipe changes the
    /// decay, the gradient and the ratio of samples to steps.
    pub training: Training,
    pub rates: &'static [f64],
    /// Number of parts, and samples per part, that a bound is measured with.
    pub measured: (u64, usize),
    /// Posterior samples of a prediction.
    pub predicted: usize,
}

impl Settings {
    pub fn new(tier: Tier) -> Self {
        let units = tier.pick([4, 20, 50]);
        let nuts = |warmup, draws| Nuts { warmup, draws, thin: 1, depth: 8, accept: 0.8 };
        Self {
            examples: tier.pick([100, 1000, 5000]),
            layers: Layer::mlp(&[units, units], 10),
            hidden: tier.pick([8, 64, 200]),
            nuts: tier.pick([nuts(50, 50), nuts(1000, 1000), nuts(1000, 1000)]),
            chains: 4,
            annealing: Annealing {
                temperatures: tier.pick([20, 1000, 4000]),
                particles: tier.pick([4, 16, 32]),
                leapfrogs: tier.pick([2, 5, 5]),
            },
            training: Training {
                steps: tier.pick([30, 2000, 6000]),
                samples: tier.pick([4, 16, 32]),
                rate: 5e-3,
                decay: 1.,
                anneal: 0.,
                gradient: Estimator::Path,
            },
            rates: tier.pick([&[5e-3], &[5e-3], &[2e-3, 5e-3, 1e-2]]),
            measured: tier.pick([(1, 100), (20, 200), (100, 100)]),
            predicted: tier.pick([10, 200, 400]),
        }
    }
}

/// A network whose `V` and `b` are used.
pub(super) struct Source {
    pub key: &'static str,
    pub name: &'static str,
    method: MethodKind,
    couplings: usize,
}

/// The networks, in the order of the tables.
pub(super) const SOURCES: [Source; 3] = [
    Source { key: "mle", name: "maximum likelihood", method: MethodKind::Mle, couplings: 0 },
    Source { key: "t0", name: "T = 0", method: MethodKind::Bhn, couplings: 0 },
    Source { key: "t8", name: "T = 8", method: MethodKind::Bhn, couplings: 8 },
];

/// A trained network, and the posterior over its scales.
pub(super) struct Net {
    pub source: &'static Source,
    pub data: Dataset,
    pub model: Model,
    /// The scales of the trained network: for a hypernet, one sample of them.
    pub scales: Vec<f64>,
    pub joint: FixedDirections,
    /// What the network predicts as it was trained.
    pub trained: Tested,
}

/// Predictions for the test digits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Tested {
    /// Fraction classified correctly, with its standard error over digits.
    pub accuracy: Estimate,
    /// `−ln p̄(y|x)` in nats per digit, with its standard error over digits.
    pub nll: Estimate,
}

impl Source {
    fn config(&self, settings: &Settings, tier: Tier) -> Config {
        let mut config = Config { method: self.method, ..Config::default() };
        config.subset = Some(settings.examples);
        config.primary.layers = Some(settings.layers.clone());
        config.flow.couplings = self.couplings;
        config.flow.hidden = settings.hidden;
        config.train.epochs = tier.pick([2, 60, 60]);
        config.train.batch = 32;
        config
    }

    fn load(&self, lab: &Lab<'_>, settings: &Settings) -> Result<(Dataset, Trained)> {
        let data = digits(lab, Some(settings.examples))?;
        let config = self.config(settings, lab.tier);
        let (_, trained) = lab.run(&format!("net-{}", self.key), &config, data.clone())?;
        Ok((data, trained))
    }
}

/// The trained networks. Only this function trains.
pub(super) fn nets(lab: &Lab<'_>, settings: &Settings) -> Result<Vec<Net>> {
    let cell = |source: &'static Source| {
        let cost = 1. + source.couplings as f64;
        Cell { key: format!("net-{}", source.key), cost, input: source }
    };
    let cells: Vec<_> = SOURCES.iter().map(cell).collect();
    let tested = lab.cells(&cells, |source| {
        let (data, trained) = source.load(lab, settings)?;
        let theta = sample(&trained, settings.predicted);
        Ok(Tested::new(mean_prediction(&trained.model, &theta, &data).view(), &data))
    })?;
    let each = SOURCES.iter().zip(tested).map(|(source, tested)| {
        let (data, trained) = source.load(lab, settings)?;
        let scales = sample(&trained, 1).iter().map(|&g| g.into()).collect();
        let Header { config, task, .. } = &trained.header;
        let model = config.precise(&trained.model, data.shape(), task);
        let joint = FixedDirections::new(model, &data.train);
        Ok(Net { source, data, model: trained.model, scales, joint, trained: tested })
    });
    each.collect()
}

/// Scales of a trained network: posterior samples `[S, D]`, or the only value of a point estimate.
fn sample(trained: &Trained, samples: usize) -> Tensor<f32> {
    let config = &trained.header.config;
    let rng = &mut stream(config.seed, Purpose::Evaluation, 0);
    draw(&trained.model, config.samples(samples), rng).0
}

/// The class probabilities `p̄ [N, K]` of the test digits, averaged over `theta [S, D]`.
pub(super) fn mean_prediction(model: &Model, theta: &Tensor<f32>, data: &Dataset) -> Array2<f32> {
    probabilities(&predict(model, theta, data.test.x.view())).to_owned()
}

impl Tested {
    /// Scores of the class probabilities `p [N, K]` of the test digits.
    pub fn new(p: ArrayView2<'_, f32>, data: &Dataset) -> Self {
        let labels = data.test.y.classes();
        Self { accuracy: accuracy(p, labels), nll: nll(p, labels) }
    }
}
