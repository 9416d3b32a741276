//! The protocol shared by all classification experiments: train, choose the epoch by validation
//! accuracy, test.
use crate::error::Result;
use crate::experiments::{Cell, Grid, Lab, Row, Tier};
use crate::predict::evaluate::{Scores, evaluate};
use crate::primary::Layer;
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::{Config, Method, MethodKind};
use crate::run::load_data;
use crate::run::record::Epoch;
use serde::{Deserialize, Serialize};
use std::ops::RangeBounds;

/// A row of a table.
pub(super) struct Variant {
    /// Name in tables and figures.
    pub name: &'static str,
    /// The paper's number and where it is known from; empty if unknown.
    pub published: &'static str,
    /// Configuration of the run; its seed is replaced.
    pub config: Config,
}

/// Scores of one run. Accuracies are fractions, `nll` is in nats per example.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// Test accuracy.
    pub accuracy: f64,
    pub nll: f64,
    pub ece: f64,
    /// Nats over the training set; `None` without a density.
    pub elbo: Option<f64>,
    /// Validated epochs and their accuracies.
    pub validation: Vec<(usize, f64)>,
    pub best_epoch: usize,
    /// Training time.
    pub seconds: f64,
    /// Epochs whose record is lost: absent from `validation`, and assigned the mean time of the
    /// others in `seconds`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unrecorded: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "required by serde")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Found {
    /// Validation accuracy at an epoch.
    pub fn at(&self, epoch: usize) -> Option<f64> {
        let found = self.validation.iter().find(|(e, _)| *e == epoch);
        found.map(|(_, accuracy)| *accuracy)
    }

    /// Best validation accuracy.
    pub fn best(&self) -> f64 {
        self.validation.iter().map(|(_, accuracy)| *accuracy).fold(0., f64::max)
    }
}

/// The digits' configuration: 784-800-800-10, Adam from 10⁻³ to 10⁻⁴, prior precision `λ = 1`.
pub(super) fn base(tier: Tier, subset: Option<usize>, epochs: usize, batch: usize) -> Config {
    let hidden = tier.pick([[16, 16], [800, 800], [800, 800]]);
    let mut config = Config { subset, ..Config::default() };
    config.primary.layers = Some(Layer::mlp(&hidden, 10));
    config.flow.hidden = tier.pick([10, 200, 200]);
    config.train.epochs = epochs;
    config.train.batch = batch;
    config.train.validation_samples = tier.pick([2, 10, 20]);
    config
}

/// Posterior samples of a test on digits.
pub(super) fn samples(tier: Tier) -> usize {
    tier.pick([5, 50, 200])
}

/// `base` with a Bayesian hypernet of `couplings` couplings.
pub(super) fn hypernet(base: &Config, couplings: usize) -> Config {
    let mut config = base.clone();
    config.flow.couplings = couplings;
    config
}

/// `base` with another method.
pub(super) fn with(base: &Config, method: MethodKind) -> Config {
    Config { method, ..base.clone() }
}

/// The row `key` of a grid.
pub(super) fn variant(
    key: &str,
    name: &'static str,
    published: &'static str,
    config: Config,
) -> Cell<Variant> {
    let couplings = match Method::from(&config) {
        Method::Hypernet(_, flow) => flow.couplings as f64,
        _ => 0.,
    };
    let cost = config.train.epochs as f64 * (2. + couplings / 4.);
    Cell { key: key.into(), cost, input: Variant { name, published, config } }
}

/// Train and test every variant with every seed, with `samples` posterior samples per test.
pub(super) fn compute(
    lab: &Lab<'_>,
    variants: Vec<Cell<Variant>>,
    samples: usize,
) -> Result<Grid<Variant, Found>> {
    let data = load_data(&variants[0].input.config, lab.data_dir.as_deref())?;
    lab.grid(variants, |variant, seed, name| {
        let config = Config { seed, ..variant.config.clone() };
        let (run, trained) = lab.run(name, &config, data.clone())?;
        let found = evaluate(&trained.model, &run.data, config.samples(samples), seed)?;
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
        })
    })
}

/// The network, optimiser and test of `base`; `images` counts validation and test images.
pub(super) fn description(base: &Config, images: [&str; 2], samples: usize) -> String {
    let layers: Vec<_> = base.primary.layers.iter().flatten().map(Layer::to_string).collect();
    let ([validation, test], drawn) = (images, base.train.validation_samples);
    let epochs = match base.train.validate_every {
        1 => "every epoch".into(),
        n => format!("every {n} epochs"),
    };
    format!(
        "Network: {}. Adam, learning rate decayed from 10⁻³ to 10⁻⁴; prior N(0, 1). Validated \
         {epochs} on {validation} images with {drawn} posterior samples; the epoch with the best \
         accuracy is tested on {test} images with {samples} samples.",
        layers.join(", "),
    )
}

/// [`description`] of the experiments on digits.
pub(super) fn on_digits(lab: &Lab<'_>, base: &Config) -> String {
    let shared = description(base, ["10,000", "10,000"], samples(lab.tier));
    format!("{shared} Pixels are not standardised. Dropout rate 0.5 on hidden units.")
}

/// The claim that the difference of test accuracies `a − b`, in percentage points, lies in `range`.
pub(super) fn difference(
    grid: &Grid<Variant, Found>,
    a: &str,
    b: &str,
    claim: &str,
    range: impl RangeBounds<f64>,
) -> Verdict {
    let names = [a, b].map(|key| grid[key].input.name);
    let quantity = format!("test accuracy, {} minus {}, %", names[0], names[1]);
    let mean = grid.paired(a, b, |a, b| 100. * (a.accuracy - b.accuracy));
    Verdict::new(claim, quantity, mean, range)
}

/// The claim that row `a` has a higher test accuracy than row `b`.
pub(super) fn better(grid: &Grid<Variant, Found>, a: &str, b: &str, claim: &str) -> Verdict {
    difference(grid, a, b, claim, 0. ..)
}

/// The claim that, seed by seed, the hypernet with the best validation accuracy reaches a test
/// accuracy of `goal` per cent.
pub(super) fn chosen(grid: &Grid<Variant, Found>, goal: f64) -> Verdict {
    let is_hypernet = |row: &&Row<Variant, Found>| row.input.config.method == MethodKind::Bhn;
    let hypernets: Vec<_> = grid.iter().filter(is_hypernet).collect();
    let best = (0..hypernets[0].results.len()).map(|seed| {
        let found = hypernets.iter().map(|row| &row.results[seed]);
        let best = found.max_by(|a, b| a.best().total_cmp(&b.best()));
        100. * best.expect("a hypernet").accuracy
    });
    Verdict::new(
        format!("A BHN chosen on validation reaches a test accuracy of {goal} %"),
        "test accuracy of the BHN with the best validation accuracy, %",
        Mean::of(&best.collect::<Vec<_>>()),
        goal..=100.,
    )
}
