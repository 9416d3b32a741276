//! Means over seeds and test images, and the claims about them. A claim about rows that are not
//! computed yet is `None`.
use super::protocol::{Found, Variant};
use crate::experiments::{Grid, Row};
use crate::predict::Compact;
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::MethodKind;
use std::ops::RangeBounds;

/// A mean over test images: its value for a run, and the number of each image.
pub(super) struct Measure {
    exact: fn(&Found) -> f64,
    per_image: fn(&Compact) -> Vec<f64>,
}

/// Test accuracy in per cent.
pub(super) const ACCURACY: Measure = Measure {
    exact: |found| 100. * found.accuracy,
    per_image: |predictions| predictions.right().iter().map(|right| 100. * right).collect(),
};

/// NLL in nats per example.
pub(super) const NLL: Measure = Measure { exact: |found| found.nll, per_image: Compact::log_loss };

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
    pub fn of_row(&self, row: &Row<Variant, Found>) -> Mean {
        self.of(&row.results.iter().map(|found| vec![(1., found)]).collect::<Vec<_>>())
    }
}

/// The claim that the difference of test accuracies `a − b`, in percentage points, lies in `range`.
/// `None` if one of the rows is not computed yet.
pub(super) fn difference(
    grid: &Grid<Variant, Found>,
    a: &str,
    b: &str,
    claim: &str,
    range: impl RangeBounds<f64>,
) -> Option<Verdict> {
    let (a, b) = (grid.get(a)?, grid.get(b)?);
    let quantity = format!("test accuracy, {} minus {}, %", a.input.name, b.input.name);
    let pairs = a.results.iter().zip(&b.results);
    let pairs: Vec<_> = pairs.map(|(a, b)| vec![(1., a), (-1., b)]).collect();
    Some(Verdict::new(claim, quantity, ACCURACY.of(&pairs), range))
}

/// The claim that row `a` has a higher test accuracy than row `b`.
pub(super) fn better(
    grid: &Grid<Variant, Found>,
    a: &str,
    b: &str,
    claim: &str,
) -> Option<Verdict> {
    difference(grid, a, b, claim, 0. ..)
}

pub(super) fn is_hypernet(row: &Row<Variant, Found>) -> bool {
    row.input.config.method == MethodKind::Bhn
}

/// The claim that a Bayesian hypernet, chosen by validation accuracy for each seed among those with
/// that seed, reaches a test accuracy of `goal` per cent in the mean over seeds. `None` if there is
/// no hypernet yet.
pub(super) fn chosen(grid: &Grid<Variant, Found>, goal: f64) -> Option<Verdict> {
    let hypernets: Vec<_> = grid.iter().filter(|row| is_hypernet(row)).collect();
    let seeds = hypernets.iter().map(|row| row.results.len()).min()?;
    let best = (0..seeds).map(|seed| {
        let found = hypernets.iter().map(|row| &row.results[seed]);
        let best = found.max_by(|a, b| a.best().total_cmp(&b.best()));
        vec![(1., best.expect("a hypernet"))]
    });
    Some(Verdict::new(
        format!("A BHN chosen on validation reaches a test accuracy of {goal} %"),
        "test accuracy of the BHN with the best validation accuracy, %",
        ACCURACY.of(&best.collect::<Vec<_>>()),
        goal..=100.,
    ))
}
