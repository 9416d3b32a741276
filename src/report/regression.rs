//! The sections on a test set with real targets: predictions and coverage.
use maud::{Markup, html};

use super::figures;
use super::page::figure;
use super::table::Table;
use super::text::{grouped, number, percent};
use crate::metrics;

/// Predictions for `N` targets, all in the unit of the target.
pub struct Regression<'a> {
    /// Predictive means `[N]`.
    pub mean: &'a [f64],
    /// Predictive standard deviations `[N]`: epistemic and aleatoric uncertainty together.
    pub std: &'a [f64],
    /// Targets `[N]`.
    pub y: &'a [f64],
}

/// Central Gaussian intervals: probability, and half-width in standard deviations.
const INTERVALS: [(f64, f64); 3] = [(0.50, 0.674490), (0.80, 1.281552), (0.95, 1.959964)];

impl Regression<'_> {
    /// RMSE and coverage in a sentence.
    pub(super) fn outcome(&self) -> String {
        let [_, _, (level, z)] = INTERVALS;
        format!(
            "On the {} test examples the mean prediction is off by {} (root mean square), and \
             {:.1} % of the targets lie in their {:.0} % interval.",
            grouped(self.y.len() as f64),
            number(metrics::rmse(self.mean, self.y)),
            percent(metrics::coverage(self.mean, self.std, self.y, z).value),
            percent(level),
        )
    }

    pub(super) fn sections(&self) -> Markup {
        let width = self.std.iter().sum::<f64>() / self.std.len() as f64;
        let inside = |z| {
            let share = metrics::coverage(self.mean, self.std, self.y, z);
            format!("{:.1} ± {:.1} %", percent(share.value), percent(share.error))
        };
        let table = Table::of("coverage", COVERAGE, INTERVALS).columns(&[
            ("interval", &|(level, _)| format!("{:.0} %", percent(*level))),
            ("targets inside", &|(_, z)| inside(*z)),
            ("mean width", &|(_, z)| number(2.0 * z * width)),
        ]);
        let chart = figures::predicted_against_true(self.mean, self.std, self.y);
        html! {
            h2 { "Predictions" }
            (figure("predicted", &chart, PREDICTED))
            h2 { "Coverage" }
            (table.html())
        }
    }
}

const PREDICTED: &str = "Predicted against true values. A perfect prediction lies on the dashed \
    diagonal; a bar is the 95 % interval, mean ± 1.96 σ, where σ² is the variance over posterior \
    samples plus that of the noise. About one bar in twenty should miss the diagonal.";
const COVERAGE: &str = "The share of targets with |y − mean| ≤ z σ, where z gives the interval the \
    stated probability under Gaussian errors. A smaller share means that the model is \
    overconfident, a larger one that it is underconfident. Of two models with the stated share, \
    the one with narrower intervals is more informative.";
