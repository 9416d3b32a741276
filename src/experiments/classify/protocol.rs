//! The protocol shared by all classification experiments: train, choose the epoch by validation
//! accuracy, test.
use crate::error::Result;
use crate::experiments::{Cell, Grid, Lab, Row, Tier};
use crate::predict::Compact;
use crate::predict::evaluate::{Scores, evaluate};
use crate::primary;
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::{Config, Method, MethodKind};
use crate::run::load_data;
use crate::run::record::Epoch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::RangeBounds;

/// A row of a table.
pub(super) struct Variant {
    /// Name in tables and figures.
    pub name: &'static str,
    /// The paper's number and its source; empty if unknown.
    pub published: &'static str,
    /// Configuration of the run, with any seed: `compute` sets the seed.
    pub config: Config,
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
    let couplings = match Method::from(&config) {
        Method::Hypernet(_, flow) => flow.couplings as f64,
        _ => 0.,
    };
    let cost = config.train.epochs as f64 * (2. + couplings / 4.);
    Cell { key: key.into(), cost, input: Variant { name, published, config, most: None } }
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

/// Train and test every variant with every seed, with `samples` posterior samples per test.
pub(super) fn compute(
    lab: &Lab<'_>,
    variants: Vec<Cell<Variant>>,
    samples: usize,
) -> Result<Grid<Variant, Found>> {
    let data = load_data(&variants[0].input.config, lab.data_dir.as_deref())?;
    let rows = variants.into_iter().map(|cell| {
        let seeds = cell.input.most.map_or(lab.seeds, |most| most.min(lab.seeds));
        (cell, seeds)
    });
    lab.ragged_grid(rows, "", |variant, seed, name| {
        let config = Config { seed, ..variant.config.clone() };
        let (run, trained) = lab.run(name, &config, data.clone())?;
        let samples = config.samples(samples);
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
    })
}

/// A description of the network, optimiser and test of `base`. `rates` are the first and the last
/// learning rate, `images` the numbers of validation and test images.
pub(super) fn description(base: &Config, rates: &str, images: [&str; 2], samples: usize) -> String {
    let layers: Vec<_> =
        base.primary.layers.iter().flatten().map(primary::Layer::to_string).collect();
    let ([validation, test], drawn) = (images, base.train.validation_samples);
    let epochs = match base.train.validate_every {
        1 => "every epoch".into(),
        n => format!("every {n} epochs"),
    };
    format!(
        "Network: {}. Adam, learning rate decayed {rates}; prior N(0, 1). Validated \
         {epochs} on {validation} images with {drawn} posterior samples; the epoch with the best \
         accuracy is tested on {test} images with {samples} samples.",
        layers.join(", "),
    )
}

/// [`description`] of the experiments on digits.
pub(super) fn on_digits(lab: &Lab<'_>, base: &Config) -> String {
    let rates = "from 10⁻³ to 10⁻⁴";
    let shared = description(base, rates, ["10,000", "10,000"], samples(lab.tier));
    format!("{shared} Pixels are not standardised. Dropout rate 0.5 on hidden units.")
}

/// A mean over test images: its value for a run, and the number of each image.
struct Measure {
    exact: fn(&Found) -> f64,
    per_image: fn(&Compact) -> Vec<f64>,
}

/// Test accuracy in per cent.
const ACCURACY: Measure = Measure {
    exact: |found| 100. * found.accuracy,
    per_image: |predictions| predictions.right().iter().map(|right| 100. * right).collect(),
};

/// NLL in nats per example.
const NLL: Measure = Measure { exact: |found| found.nll, per_image: Compact::log_loss };

impl Measure {
    /// The mean over seeds of `Σ w m(found)` for the terms `(w, found)` of each seed, such as the
    /// difference of two methods. Its error is over seeds and test images, or over seeds alone if a
    /// cell keeps no predictions.
    fn of(&self, seeds: &[Vec<(f64, &Found)>]) -> Mean {
        let exact = |terms: &Vec<(f64, &Found)>| -> f64 {
            terms.iter().map(|(weight, found)| weight * (self.exact)(found)).sum()
        };
        let mean = Mean::of(&seeds.iter().map(exact).collect::<Vec<_>>());
        let images = |terms: &Vec<(f64, &Found)>| {
            let each = terms.iter().map(|(weight, found)| {
                let numbers = (self.per_image)(found.predictions.as_ref()?);
                Some(numbers.iter().map(|x| weight * x).collect::<Vec<_>>())
            });
            each.reduce(|a, b| Some(a?.iter().zip(b?).map(|(a, b)| a + b).collect()))?
        };
        match seeds.iter().map(images).collect::<Option<Vec<_>>>() {
            Some(images) => Mean::over_seeds_and_items(&images).at(mean.value),
            None => mean,
        }
    }

    /// The mean of a row.
    fn of_row(&self, row: &Row<Variant, Found>) -> Mean {
        self.of(&row.results.iter().map(|found| vec![(1., found)]).collect::<Vec<_>>())
    }
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
    let pairs = grid[a].results.iter().zip(&grid[b].results);
    let pairs: Vec<_> = pairs.map(|(a, b)| vec![(1., a), (-1., b)]).collect();
    Verdict::new(claim, quantity, ACCURACY.of(&pairs), range)
}

/// The claim that row `a` has a higher test accuracy than row `b`.
pub(super) fn better(grid: &Grid<Variant, Found>, a: &str, b: &str, claim: &str) -> Verdict {
    difference(grid, a, b, claim, 0. ..)
}

/// The claim that a Bayesian hypernet, chosen by validation accuracy for each seed among those with
/// that seed, reaches a test accuracy of `goal` per cent in the mean over seeds.
pub(super) fn chosen(grid: &Grid<Variant, Found>, goal: f64) -> Verdict {
    let is_hypernet = |row: &&Row<Variant, Found>| row.input.config.method == MethodKind::Bhn;
    let hypernets: Vec<_> = grid.iter().filter(is_hypernet).collect();
    let seeds = hypernets.iter().map(|row| row.results.len()).min().expect("a hypernet");
    let best = (0..seeds).map(|seed| {
        let found = hypernets.iter().map(|row| &row.results[seed]);
        let best = found.max_by(|a, b| a.best().total_cmp(&b.best()));
        vec![(1., best.expect("a hypernet"))]
    });
    Verdict::new(
        format!("A BHN chosen on validation reaches a test accuracy of {goal} %"),
        "test accuracy of the BHN with the best validation accuracy, %",
        ACCURACY.of(&best.collect::<Vec<_>>()),
        goal..=100.,
    )
}

/// The tables and figures that all classification experiments share.
pub(super) fn report(grid: &Grid<Variant, Found>) -> Report {
    Report {
        tables: vec![scores(grid)],
        figures: vec![curves(grid)],
        data: vec![by_seed(grid), by_epoch(grid)],
        ..Report::default()
    }
}

/// The report if the data set `set` is missing.
pub(super) fn skipped(set: &str) -> Report {
    let mut table = scores(&[]);
    table.skip("all", set);
    Report { tables: vec![table], ..Report::default() }
}

/// Mean validation accuracy at an epoch in per cent, over the seeds that have a record of it.
fn at(row: &Row<Variant, Found>, epoch: usize) -> Option<Mean> {
    let found = row.results.iter().filter_map(|found| Some(100. * found.at(epoch)?));
    Mean::if_any(&found.collect::<Vec<_>>())
}

fn scores(rows: &[Row<Variant, Found>]) -> Table {
    let lost: usize = rows.iter().flat_map(|row| &row.results).map(|f| f.unrecorded).sum();
    let lost = match lost {
        0 => String::new(),
        n => format!(
            " The records of {n} epochs are lost: the curves lack them, and their times are taken \
             as those of the other epochs of their runs."
        ),
    };
    let elbo = |row: &Row<Variant, Found>| {
        let elbos: Vec<_> = row.results.iter().filter_map(|found| found.elbo).collect();
        Mean::if_any(&elbos).map_or(String::new(), |mean| mean.to_string())
    };
    let cells = || rows.iter().flat_map(|row| &row.results);
    let without = cells().filter(|found| found.predictions.is_none()).count();
    let without = match without {
        0 => String::new(),
        n => format!(
            " {n} of {} cells, being of an earlier version, keep no predictions: errors of their \
             rows are over seeds alone.",
            cells().count(),
        ),
    };
    let caption = format!("{SCORES}{lost}{without}");
    Table::of("accuracy", caption, rows).columns(&[
        ("method", &|row| row.input.name.into()),
        ("paper", &|row| row.input.published.into()),
        ("seeds", &|row| row.results.len().to_string()),
        ("test accuracy", &|row| ACCURACY.of_row(row).to_string()),
        ("NLL", &|row| NLL.of_row(row).to_string()),
        ("ECE", &|row| row.mean(|f| f.ece).to_string()),
        ("best validation", &|row| row.mean(|f| 100. * f.best()).to_string()),
        ("at epoch", &|row| format!("{:.0}", row.mean(|f| f.best_epoch as f64).value)),
        ("ELBO", &|row| elbo(row)),
        ("seconds", &|row| format!("{:.0}", row.mean(|f| f.seconds).value)),
    ])
}

const SCORES: &str = "Scores by method, at the epoch with the best validation accuracy. Means over \
    seeds with one standard error: of test accuracy and NLL over seeds and test images, of other \
    numbers over seeds. Accuracies in per cent; NLL in nats per example; ELBO in nats \
    over the training set (posteriors over scales and over all weights have different ELBOs, not \
    to be compared); training time per run on one thread.";

/// Validation accuracy at the epochs for which values were read off the paper's figure.
pub(super) fn milestones(rows: &[Row<Variant, Found>], epochs: usize) -> Table {
    let header = ["method", "epoch 20", "epoch 100", "epoch 200", "best"];
    let mut table = Table::new("milestones", MILESTONES, header);
    for row in rows {
        // The schedules of learning rate and annealing are stretched to the length of a run, so
        // shorter runs are not comparable.
        let is_own = |(key, _): &&(&str, _)| epochs >= 200 && *key == row.key;
        let published = PUBLISHED.iter().find(is_own).map(|(_, numbers)| numbers);
        let entry = |(i, epoch): (usize, usize)| {
            let ours = match epoch {
                usize::MAX => row.mean(|f| 100. * f.best()).to_string(),
                _ if epoch > epochs => "—".into(),
                _ => at(row, epoch).map_or("—".into(), |mean| mean.to_string()),
            };
            published.map_or(ours.clone(), |numbers| format!("{ours} ({})", numbers[i]))
        };
        let entries = [20, 100, 200, usize::MAX].into_iter().enumerate().map(entry);
        table.wide_row(&[&row.input.name], entries);
    }
    table
}

const MILESTONES: &str = "Validation accuracy during training, in per cent. For runs as long as \
    the paper's, in brackets the values of its single runs, read off its figure.";
const PUBLISHED: [(&str, [&str; 4]); 3] = [
    ("bhn-0", ["90.05", "93.06", "94.68", "95.65"]),
    ("bhn-8", ["94.52", "95.03", "95.98", "96.35"]),
    ("dropout", ["95.48", "95.68", "96.01", "96.42"]),
];

fn curves(rows: &[Row<Variant, Found>]) -> Figure {
    let layer = |(i, row): (usize, &Row<Variant, Found>)| {
        let all = row.results.iter().flat_map(|found| &found.validation);
        let epochs: BTreeSet<usize> = all.map(|(epoch, _)| *epoch).collect();
        let point = |epoch: usize| Some((epoch as f64, at(row, epoch)?.value));
        let points = epochs.into_iter().filter_map(point).collect();
        // There are six colors: later rows are dashed.
        let mark = if i < 6 { Mark::Line(points) } else { Mark::Dashed(points) };
        Layer::new(row.input.name, Ink::Series(i), mark)
    };
    let panel = Panel {
        x: Axis::new("epoch"),
        y: Axis::new("validation accuracy, %"),
        layers: rows.iter().enumerate().map(layer).collect(),
        ..Panel::default()
    };
    let caption = "Validation accuracy during training. Means over seeds.";
    Figure::new("validation", caption, Chart::one(panel))
}

fn by_seed(grid: &Grid<Variant, Found>) -> Table {
    Table::of("seeds", "Scores of every run.", grid.results()).columns(&[
        ("method", &|(row, ..)| row.key.clone()),
        ("seed", &|(_, seed, _)| seed.to_string()),
        ("test accuracy", &|(.., found)| format!("{:.4}", found.accuracy)),
        ("NLL", &|(.., found)| format!("{:.6}", found.nll)),
        ("ECE", &|(.., found)| format!("{:.6}", found.ece)),
        ("ELBO", &|(.., found)| found.elbo.map_or(String::new(), |elbo| format!("{elbo:.2}"))),
        ("best epoch", &|(.., found)| found.best_epoch.to_string()),
        ("seconds", &|(.., found)| format!("{:.0}", found.seconds)),
    ])
}

fn by_epoch(grid: &Grid<Variant, Found>) -> Table {
    let header = ["method", "seed", "epoch", "validation accuracy"];
    let mut table = Table::new("epochs", "Validation accuracy by epoch.", header);
    for (row, seed, found) in grid.results() {
        for (epoch, accuracy) in &found.validation {
            table.row(&[&row.key, &seed, epoch, &format_args!("{accuracy:.4}")]);
        }
    }
    table
}
