//! Tables and figures of a classification experiment.
use super::protocol::{Found, Variant};
use crate::experiments::{Grid, Row};
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::Mean;
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

/// The report without the data set `set`.
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
    let caption = format!("{SCORES}{lost}");
    Table::of("accuracy", caption, rows).columns(&[
        ("method", &|row| row.input.name.into()),
        ("paper", &|row| row.input.published.into()),
        ("test accuracy", &|row| row.mean(|f| 100. * f.accuracy).to_string()),
        ("NLL", &|row| row.mean(|f| f.nll).to_string()),
        ("ECE", &|row| row.mean(|f| f.ece).to_string()),
        ("best validation", &|row| row.mean(|f| 100. * f.best()).to_string()),
        ("at epoch", &|row| format!("{:.0}", row.mean(|f| f.best_epoch as f64).value)),
        ("ELBO", &|row| elbo(row)),
        ("seconds", &|row| format!("{:.0}", row.mean(|f| f.seconds).value)),
    ])
}

const SCORES: &str = "Scores by method, at the epoch with the best validation accuracy. Means over \
    seeds with one standard error. Accuracies in per cent; NLL in nats per example; ELBO in nats \
    over the training set (posteriors over scales and over all weights have different ELBOs, not \
    to be compared); training time per run on one thread.";

/// Validation accuracy at the epochs that were read off the paper's figure.
pub(super) fn milestones(rows: &[Row<Variant, Found>], epochs: usize) -> Table {
    let header = ["method", "epoch 20", "epoch 100", "epoch 200", "best"];
    let mut table = Table::new("milestones", MILESTONES, header);
    for row in rows {
        // Learning rate and annealing scale with the length of a run, so shorter runs do not
        // compare.
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
        // There are six colors.
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
