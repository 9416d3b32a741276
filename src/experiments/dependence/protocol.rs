//! Which posteriors are sampled, and what is measured of one.
use super::pairs::{Scatter, Tests, random_pairs};
use crate::bayes::Model;
use crate::data::Dataset;
use crate::error::Result;
use crate::experiments::Tier;
use crate::predict::draw;
use crate::predict::evaluate::evaluate;
use crate::primary::Layer;
use crate::random::{Purpose, stream};
use crate::run::config::{Config, MethodKind};
use crate::run::train::fit;
use ndarray::{Array2, s};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The size of the experiment at a tier.
#[derive(Clone, Copy)]
pub(super) struct Settings {
    /// `T` of the hypernets with couplings.
    pub couplings: usize,
    /// Hidden units of a coupling.
    pub hidden: usize,
    /// Hidden units of the primary network.
    pub units: usize,
    /// Training images; `None` for all 50,000.
    pub subset: Option<usize>,
    pub epochs: usize,
    /// Posterior samples `N`.
    pub samples: usize,
    /// Random pairs of parameters.
    pub pairs: usize,
}

impl Settings {
    pub fn new(tier: Tier) -> Self {
        let paper = Self {
            couplings: 8,
            hidden: 200,
            units: 10,
            subset: None,
            epochs: 20,
            samples: 10_000,
            pairs: 10_000,
        };
        let smoke = Self {
            couplings: 2,
            hidden: 10,
            units: 2,
            subset: Some(1000),
            epochs: 2,
            samples: 1000,
            pairs: 1000,
        };
        tier.pick([smoke, Self { epochs: 5, ..paper }, paper])
    }

    /// Number of weights and biases of the primary network 784-`units`-10.
    pub fn parameters(&self) -> usize {
        (784 + 1) * self.units + (self.units + 1) * 10
    }

    /// Expected `|r|` of independent parameters, `√(2/πN)`.
    pub fn chance(&self) -> f64 {
        (2. / PI / self.samples as f64).sqrt()
    }

    /// The configuration of a hypernet with `couplings` couplings.
    pub fn config(&self, couplings: usize, weight_norm: bool) -> Config {
        let mut config = Config { method: MethodKind::FullBhn, ..Config::default() };
        config.subset = self.subset;
        config.primary.layers = Some(Layer::mlp(&[self.units], 10));
        config.flow.couplings = couplings;
        config.flow.weight_norm = weight_norm;
        config.flow.hidden = self.hidden;
        config.train.epochs = self.epochs;
        config
    }
}

/// A row of the table.
pub(super) struct Variant {
    pub name: String,
    pub config: Config,
}

/// Correlations under one posterior.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// Test accuracy.
    pub accuracy: f64,
    /// Statistics of the posterior's samples.
    pub drawn: Tests,
    /// Statistics after shuffling the samples of each parameter: equal marginals, no dependence.
    pub shuffled: Tests,
    /// The most correlated pairs.
    pub top: Vec<Scatter>,
}

/// Number of most correlated pairs that are kept.
const TOP: usize = 2;
/// Samples drawn at a time: the flow keeps `S · D` numbers per layer.
const BLOCK: usize = 100;

/// Train a hypernet and test its samples for correlation.
pub(super) fn measure(
    settings: &Settings,
    config: &Config,
    seed: u64,
    data: &Dataset,
) -> Result<Found> {
    let model = fit(Config { seed, ..config.clone() }, data)?;
    let accuracy = evaluate(&model, data, 100, seed)?.test.accuracy.expect("classes");
    let mut theta = samples(&model, settings.samples, seed);
    let rng = &mut stream(seed, Purpose::Toy, 0);
    let pairs = random_pairs(theta.nrows(), settings.pairs, rng);
    let outputs = 10 * settings.units + 10;
    let (drawn, correlations) = Tests::new(&theta, &pairs, outputs, rng);
    let mut order: Vec<_> = (0..pairs.len()).collect();
    order.sort_by(|&a, &b| correlations[b].r.abs().total_cmp(&correlations[a].r.abs()));
    let scatter = |&n: &usize| Scatter::new(&theta, pairs[n], correlations[n].r);
    let top = order.iter().take(TOP).map(scatter).collect();
    for mut parameter in theta.rows_mut() {
        parameter.as_slice_mut().expect("row-major").shuffle(rng);
    }
    let (shuffled, _) = Tests::new(&theta, &pairs, outputs, rng);
    Ok(Found { accuracy, drawn, shuffled, top })
}

/// `n` samples of `θ`, one parameter per row: `[D, n]`.
fn samples(model: &Model, n: usize, seed: u64) -> Array2<f32> {
    let mut all = Array2::zeros((model.primary.dim(), n));
    for (block, start) in (0..n).step_by(BLOCK).enumerate() {
        let end = n.min(start + BLOCK);
        let rng = &mut stream(seed, Purpose::Sample, block as u64);
        let theta = draw(model, end - start, rng).0;
        all.slice_mut(s![.., start..end]).assign(&theta.as_matrix().t());
    }
    all
}
