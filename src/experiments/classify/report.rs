//! The description, tables and figures that all classification experiments share.
use super::claims::{ACCURACY, NLL, is_hypernet};
use super::protocol::{Found, Variant, samples};
use crate::experiments::{Grid, Lab, Row, source};
use crate::primary;
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::Mean;
use crate::run::config::Config;
use std::collections::BTreeSet;

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

/// Validation accuracy by epoch: a panel of hypernets, and one of the other methods beside `T = 8`.
fn curves(rows: &[Row<Variant, Found>]) -> Figure {
    // Rows that evaluate the runs of another row have its curve.
    let trained = rows.iter().filter(|row| source(&row.key) == row.key);
    let (hypernets, others): (Vec<_>, Vec<_>) = trained.partition(|row| is_hypernet(row));
    let hypernets: Vec<_> = (0..).map(Ink::Series).zip(hypernets).collect();
    let reference = hypernets.iter().find(|(_, row)| row.key == "bhn-8").copied();
    let others: Vec<_> = (0..).map(Ink::Series).zip(others).collect();
    let others = match others.is_empty() {
        true => vec![],
        false => others.into_iter().chain(reference).collect(),
    };
    let panels = [("hypernets", hypernets), ("other methods, and T = 8", others)];
    let panels = panels.into_iter().filter(|(_, rows)| !rows.is_empty());
    let panels: Vec<_> = panels.map(|(title, rows)| of_rows(title, &rows)).collect();
    let caption = "Validation accuracy during training. Means over seeds with bands of one \
                   standard error. The axes start at the lowest value after a fifth of the epochs.";
    let chart = Chart { columns: panels.len(), size: (480., 400.), panels };
    Figure::new("validation", caption, chart)
}

/// The curves of `rows`, each with its color.
fn of_rows(title: &str, rows: &[(Ink, &Row<Variant, Found>)]) -> Panel {
    let mut panel = Panel { title: title.into(), x: Axis::new("epoch"), ..Panel::default() };
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (ink, row) in rows {
        let all = row.results.iter().flat_map(|found| &found.validation);
        let epochs: BTreeSet<usize> = all.map(|(epoch, _)| *epoch).collect();
        let points: Vec<_> =
            epochs.iter().filter_map(|&epoch| Some((epoch, at(row, epoch)?))).collect();
        let settled = points.iter().filter(|(epoch, _)| 5 * epoch >= row.input.config.train.epochs);
        for (_, mean) in settled {
            (low, high) = (low.min(mean.value), high.max(mean.value));
        }
        let band = points.iter().filter(|(_, mean)| mean.error.is_finite());
        let band = band.map(|(x, m)| (*x as f64, m.value - m.error, m.value + m.error)).collect();
        let line = points.iter().map(|(x, mean)| (*x as f64, mean.value)).collect();
        let line = if is_hypernet(row) { Mark::Line(line) } else { Mark::Dashed(line) };
        panel.layers.push(Layer::new("", *ink, Mark::Band(band, 0.25)));
        panel.layers.push(Layer::new(row.input.name, *ink, line));
    }
    panel.y = Axis::new("validation accuracy, %").range(low - 0.1, high + 0.1);
    panel
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
pub(super) fn of_digits(lab: &Lab<'_>, base: &Config) -> String {
    let rates = "from 10⁻³ to 10⁻⁴";
    let shared = description(base, rates, ["10,000", "10,000"], samples(lab.tier));
    format!(
        "{shared} Pixels are not standardised. Dropout acts on hidden units, at rate 0.5 if not \
         tuned."
    )
}
