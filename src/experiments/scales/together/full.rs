//! The paper's network, trained with `T = 0` and `T = 8`: with priors of directions and biases,
//! with directions from other digits, and with a smaller weight of the KL.
use super::hypernet;
use crate::data::{Dataset, Split, grey28};
use crate::error::{Error, Result};
use crate::experiments::digits::{digits, predictions, probabilities};
use crate::experiments::{Cell, Grid, Lab};
use crate::metrics::{accuracy, auroc, log_loss};
use crate::predict::evaluate::evaluate;
use crate::predict::score::Score;
use crate::primary::Layer;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How `V` and `b` are trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Setting {
    pub key: &'static str,
    pub name: &'static str,
    /// `κ` of the prior of directions. If it is not 0, biases have the prior `N(0, 1)`.
    pub kappa: f64,
    /// The weight of the KL.
    pub kl_weight: f64,
    /// Whether `V` and `b` come from one half of the digits, and `q` from the other.
    pub halves: bool,
}

impl Setting {
    const fn kappa(key: &'static str, name: &'static str, kappa: f64) -> Self {
        Self { key, name, kappa, kl_weight: 1., halves: false }
    }
}

/// All settings; the first is without priors.
pub(super) const SETTINGS: [Setting; 7] = [
    Setting::kappa("plain", "no priors", 0.),
    Setting::kappa("k10", "κ = 10", 10.),
    Setting::kappa("k100", "κ = 100", 100.),
    Setting::kappa("k1000", "κ = 1000", 1000.),
    Setting { halves: true, ..Setting::kappa("halves", "V, b and q from two halves", 0.) },
    Setting { kl_weight: 0.3, ..Setting::kappa("kl03", "KL weighted 0.3", 0.) },
    Setting { kl_weight: 0.1, ..Setting::kappa("kl01", "KL weighted 0.1", 0.) },
];

/// The numbers of couplings.
pub(super) const COUPLINGS: [usize; 2] = [0, 8];

/// Measurements of one network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    pub accuracy: f64,
    /// `−ln p̄(y|x)` of each test digit, nats.
    pub nll: Vec<f64>,
    /// NLL of the validation digits.
    pub validation: f64,
    /// ELBO and KL, nats.
    pub bound: [f64; 2],
    /// AUROC of entropy and of BALD against notMNIST; `None` without these images.
    pub auroc: Option<[f64; 2]>,
}

/// The size at a tier.
pub(super) struct Size {
    pub examples: usize,
    pub units: usize,
    pub epochs: usize,
    /// Digits per minibatch: as many as leave the posterior's widths enough steps to converge.
    pub batch: usize,
    pub samples: usize,
}

impl Size {
    pub fn new(lab: &Lab<'_>) -> Self {
        Self {
            examples: lab.tier.pick([100, 1000, 5000]),
            units: lab.tier.pick([8, 100, 800]),
            epochs: lab.tier.pick([2, 60, 100]),
            batch: lab.tier.pick([32, 32, 128]),
            samples: lab.tier.pick([10, 100, 100]),
        }
    }
}

/// The key of a row.
pub(super) fn key(setting: &Setting, couplings: usize) -> String {
    format!("{}-t{couplings}", setting.key)
}

/// A row for each setting and number of couplings, by seed.
pub(super) fn grid(lab: &Lab<'_>) -> Result<Grid<(Setting, usize), Found>> {
    let size = &Size::new(lab);
    let data = &digits(lab, Some(size.examples))?;
    let outside = &match grey28("notmnist", lab.data_dir.as_deref()) {
        Err(Error::Missing { .. }) => None,
        images => Some(images?),
    };
    let rows = SETTINGS.into_iter().flat_map(|setting| {
        COUPLINGS.map(|couplings| {
            let halves = if setting.halves { 2. } else { 1. };
            let cost = halves * (1. + 0.1 * couplings as f64);
            Cell { key: key(&setting, couplings), cost, input: (setting, couplings) }
        })
    });
    // Without notMNIST there are results too, which other cells than those with it keep.
    let suffix = if outside.is_some() { "-notmnist" } else { "" };
    let rows = rows.map(|row| (row, lab.seeds));
    lab.ragged_grid(rows, suffix, |(setting, couplings), seed, run| {
        found(lab, size, setting, *couplings, data, outside.as_ref(), (seed, run))
    })
}

fn found(
    lab: &Lab<'_>,
    size: &Size,
    setting: &Setting,
    couplings: usize,
    data: &Dataset,
    outside: Option<&Array2<f32>>,
    (seed, run): (u64, &str),
) -> Result<Found> {
    let mut config = hypernet(couplings, seed);
    config.subset = Some(size.examples);
    config.primary.layers = Some(Layer::mlp(&[size.units, size.units], 10));
    (config.train.epochs, config.train.batch) = (size.epochs, size.batch);
    config.train.kappa = setting.kappa;
    config.train.bias_precision = f64::from(u8::from(setting.kappa > 0.));
    config.train.kl_weight = setting.kl_weight;
    let (run, trained) = if setting.halves {
        let middle = data.train.len() / 2;
        let part = |rows: Range<usize>| {
            let (x, y) = data.train.batch(&rows.collect::<Vec<_>>());
            Dataset { train: Split { x, y }, ..data.clone() }
        };
        let directions = format!("{run}-directions");
        lab.run(&directions, &config, part(0..middle))?;
        config.warm_start = Some(lab.dir.join("runs").join(directions));
        config.train.freeze = vec!["primary.*".into()];
        lab.run(run, &config, part(middle..data.train.len()))?
    } else {
        lab.run(run, &config, data.clone())?
    };
    let found = evaluate(&trained.model, &run.data, size.samples, seed)?;
    let (inside, terms) = (found.predictive, found.elbo.terms);
    let (p, labels) = (probabilities(&inside), data.test.y.classes());
    let auroc = outside.map(|images| {
        let outside = predictions(&trained, size.samples, images.view());
        [Score::Entropy, Score::Bald].map(|s| auroc(&s.of(&outside), &s.of(&inside)).value)
    });
    Ok(Found {
        accuracy: accuracy(p, labels).value,
        nll: log_loss(p, labels),
        validation: run.best().map_or(f64::INFINITY, |(_, scores)| scores.nll),
        bound: [terms.total, terms.kl],
        auroc,
    })
}
