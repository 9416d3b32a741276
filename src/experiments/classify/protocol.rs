//! The protocol shared by all classification experiments: train, choose the epoch by validation
//! accuracy, test.
use crate::error::Result;
use crate::experiments::digits::ensemble_epochs;
use crate::experiments::trials::{self, Settings, choose};
use crate::experiments::{Cell, Grid, Lab, Tier, source};
use crate::predict::Compact;
use crate::predict::evaluate::{Scores, evaluate};
use crate::primary;
use crate::report::experiment::Table;
use crate::run::config::{Config, Method, MethodKind};
use crate::run::load_data;
use crate::run::record::Epoch;
use serde::{Deserialize, Serialize};

/// A row of a table.
pub(super) struct Variant {
    /// Name in tables and figures.
    pub name: &'static str,
    /// The paper's number and its source; empty if unknown.
    pub published: &'static str,
    /// Configuration of the run, with any seed: `compute` sets the seed.
    pub config: Config,
    /// Whether predictions of a network trained with dropout average over masks.
    pub averages: bool,
    /// Maximum number of seeds; as many as the experiment has if `None`.
    pub most: Option<u64>,
}

/// Scores of one run. Accuracies are fractions, `nll` is in nats per example.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// Test accuracy.
    pub accuracy: f64,
    pub nll: f64,
    pub ece: f64,
    /// The ELBO in nats over the training set; `None` if the method has no density.
    pub elbo: Option<f64>,
    /// Validated epochs and their accuracies.
    pub validation: Vec<(usize, f64)>,
    pub best_epoch: usize,
    /// Training time in seconds, validation included.
    pub seconds: f64,
    /// Number of epochs whose record is lost. `validation` lacks these epochs, except the best one;
    /// `seconds` counts each with the mean time of the other epochs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unrecorded: usize,
    /// The predictions of the test images; `None` in cells of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<Compact>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "required by serde")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Found {
    /// Validation accuracy at an epoch; `None` if it was not validated or its record is lost.
    pub fn at(&self, epoch: usize) -> Option<f64> {
        let found = self.validation.iter().find(|(e, _)| *e == epoch);
        found.map(|(_, accuracy)| *accuracy)
    }

    /// Best validation accuracy.
    pub fn best(&self) -> f64 {
        self.validation.iter().map(|(_, accuracy)| *accuracy).fold(0., f64::max)
    }
}

/// The configuration of the experiments on digits: 784-800-800-10, Adam from 10⁻³ to 10⁻⁴, prior
/// precision `λ = 1`. Smaller at the smoke tier.
pub(in crate::experiments) fn base(
    tier: Tier,
    subset: Option<usize>,
    epochs: usize,
    batch: usize,
) -> Config {
    let hidden = tier.pick([[16, 16], [800, 800], [800, 800]]);
    let mut config = Config { subset, ..Config::default() };
    config.primary.layers = Some(primary::Layer::mlp(&hidden, 10));
    config.flow.hidden = tier.pick([10, 200, 200]);
    config.train.epochs = epochs;
    config.train.batch = batch;
    config.train.validation_samples = tier.pick([2, 10, 20]);
    config
}

/// Posterior samples per test on digits.
pub(super) fn samples(tier: Tier) -> usize {
    tier.pick([5, 50, 200])
}

/// `base` with a Bayesian hypernet of `couplings` couplings.
pub(super) fn hypernet(base: &Config, couplings: usize) -> Config {
    let mut config = base.clone();
    config.flow.couplings = couplings;
    config
}

/// [`hypernet`] with better settings than the authors' ([`Config::recommend`]).
pub(super) fn better_recipe(base: &Config, couplings: usize) -> Config {
    let mut config = hypernet(base, couplings);
    config.improve(|_| false);
    config
}

/// `base` with another method.
pub(super) fn with(base: &Config, method: MethodKind) -> Config {
    Config { method, ..base.clone() }
}

/// A row of the grid, named `key`.
pub(super) fn variant(
    key: &str,
    name: &'static str,
    published: &'static str,
    config: Config,
) -> Cell<Variant> {
    let epoch = match Method::from(&config) {
        Method::Hypernet(_, flow) => 2. + flow.couplings as f64 / 4.,
        Method::Ensemble(ensemble) => 2. * ensemble.members as f64,
        Method::MeanField(_) => 4.,
        _ => 2.,
    };
    let cost = config.train.epochs as f64 * epoch;
    let input = Variant { name, published, config, averages: false, most: None };
    Cell { key: key.into(), cost, input }
}

/// A row `key` of MC dropout: `config` is that of dropout. If `key` is that of a row of dropout
/// after `mc-`, the two rows share their runs.
pub(super) fn averaged(key: &str, name: &'static str, config: Config) -> Cell<Variant> {
    let mut row = variant(key, name, "", config);
    row.input.averages = true;
    // Most of the time is that of training, for which this cell waits.
    row.cost = if source(key) == key { row.cost } else { 0. };
    row
}

/// The rows of methods other than hypernets on digits, with the paper's numbers for dropout.
pub(super) fn rivals(base: &Config, dropout: &'static str) -> Vec<Cell<Variant>> {
    let mut ensemble = with(base, MethodKind::Ensemble);
    ensemble.train.epochs = ensemble_epochs(base.train.epochs, ensemble.ensemble.members);
    let of_dropout = with(base, MethodKind::Dropout);
    vec![
        variant("mle", "maximum likelihood", "", with(base, MethodKind::Mle)),
        variant("bbb", "Bayes by Backprop", "", with(base, MethodKind::Bbb)),
        variant("ensemble", "ensemble", "", ensemble),
        variant("dropout", "dropout", dropout, of_dropout.clone()),
        averaged("mc-dropout", "MC dropout", of_dropout),
    ]
}

/// `variants` with the settings that are [chosen](choose) by trials of `share` of the epochs, and
/// the table of the trials.
///
/// # Errors
/// As [`choose`], or if the data cannot be loaded.
pub(super) fn tuned(
    lab: &Lab<'_>,
    mut variants: Vec<Cell<Variant>>,
    settings: fn(&Config) -> Settings,
    share: Option<f64>,
) -> Result<(Vec<Cell<Variant>>, Option<Table>)> {
    let data = load_data(&variants[0].input.config, lab.data_dir.as_deref())?;
    let row = |Cell { key, cost, input }: &Cell<Variant>| {
        let Variant { name, config, .. } = input;
        trials::Row { key: key.clone(), name: (*name).into(), cost: *cost, config: config.clone() }
    };
    let (chosen, table) = choose(lab, &data, variants.iter().map(row), settings, share)?;
    for row in &mut variants {
        chosen.set(&row.key, &mut row.input.config);
    }
    Ok((variants, table))
}

/// Seeds of rows that no headline claim compares.
const OTHERS: u64 = 3;

/// `variants` with all seeds for the rows of `headline` claims, and at most three for others.
pub(super) fn with_headline(variants: Vec<Cell<Variant>>, headline: &[&str]) -> Vec<Cell<Variant>> {
    let limited = |mut cell: Cell<Variant>| {
        cell.input.most = (!headline.contains(&&*cell.key)).then_some(OTHERS);
        cell
    };
    variants.into_iter().map(limited).collect()
}

/// Train and test every variant with every seed, with `samples` posterior samples per test. Also
/// returns a sentence that names the cells that the lab lacks, if it computes none.
pub(super) fn compute(
    lab: &Lab<'_>,
    variants: Vec<Cell<Variant>>,
    samples: usize,
) -> Result<(Grid<Variant, Found>, String)> {
    let data = load_data(&variants[0].input.config, lab.data_dir.as_deref())?;
    let rows = variants.into_iter().map(|cell| {
        let seeds = cell.input.most.map_or(lab.seeds, |most| most.min(lab.seeds));
        (cell, seeds)
    });
    let (grid, lacking) = lab.available_grid(rows, |variant, seed, name| {
        let config = Config { seed, ..variant.config.clone() };
        let (run, trained) = match variant.averages {
            true => {
                let (run, trained) = lab.run(source(name), &config, data.clone())?;
                (run, trained.averaged())
            }
            false => lab.run(name, &config, data.clone())?,
        };
        let samples = trained.header.config.samples(samples);
        let found = evaluate(&trained.model, &run.data, samples, seed)?;
        let labels = run.data.test.y.classes();
        let validated = |e: &Epoch| Some((e.epoch, e.validation.as_ref()?.accuracy?));
        let mut validation: Vec<_> = run.history.iter().filter_map(validated).collect();
        // The best epoch is known even if its record is lost.
        if let Some((epoch, Scores { accuracy: Some(accuracy), .. })) = run.best()
            && let Err(place) = validation.binary_search_by_key(epoch, |(epoch, _)| *epoch)
        {
            validation.insert(place, (*epoch, *accuracy));
        }
        Ok(Found {
            accuracy: found.test.accuracy.expect("a classification"),
            nll: found.test.nll,
            ece: found.test.ece.expect("a classification"),
            elbo: Method::from(&config).has_density().then_some(found.elbo.terms.total),
            validation,
            best_epoch: run.best().map_or(0, |(epoch, _)| *epoch),
            seconds: run.seconds(),
            unrecorded: run.unrecorded(),
            predictions: Some(Compact::of(&found.predictive, Some(labels), samples)),
        })
    })?;
    let lacking = match lacking.is_empty() {
        true => String::new(),
        false => format!(" Not computed yet: {}.", lacking.join(", ")),
    };
    Ok((grid, lacking))
}
