//! What a report says of a test set with real targets.
use maud::{Markup, html};

use super::{figure, figures, grouped, number, percent};
use crate::metrics;

/// Predictions for `N` targets, all in the unit of the target.
pub struct Regression<'a> {
    /// Predictive means `[N]`.
    pub mean: &'a [f64],
    /// Predictive standard deviations `[N]`: of the weights and of the noise together.
    pub std: &'a [f64],
    /// The targets `[N]`.
    pub y: &'a [f64],
}

/// A central Gaussian interval: its probability, and its half-width in standard deviations.
const INTERVALS: [(f64, f64); 3] = [(0.50, 0.674490), (0.80, 1.281552), (0.95, 1.959964)];

impl Regression<'_> {
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
        let svg = figures::predicted_against_true("predicted", self.mean, self.std, self.y);
        let width = self.std.iter().sum::<f64>() / self.std.len() as f64;
        html! {
            h2 { "Predictions" }
            (figure(svg, PREDICTED))
            h2 { "Coverage" }
            figure {
                table {
                    thead { tr { th { "interval" } th { "targets inside" } th { "mean width" } } }
                    tbody {
                        @for (level, z) in INTERVALS {
                            @let share = metrics::coverage(self.mean, self.std, self.y, z);
                            @let (share, error) = (percent(share.value), percent(share.error));
                            tr {
                                th scope="row" { (format!("{:.0} %", percent(level))) }
                                td { (format!("{share:.1} ± {error:.1} %")) }
                                td { (number(2.0 * z * width)) }
                            }
                        }
                    }
                }
                figcaption { (COVERAGE) }
            }
        }
    }
}

const PREDICTED: &str = "Predicted against true values. A perfect prediction lies on the dashed \
    diagonal; a bar is the 95 % interval, mean ± 1.96 σ, where σ² is the variance over samples \
    of the weights plus that of the noise. About one bar in twenty should miss the diagonal.";
const COVERAGE: &str = "The share of targets with |y − mean| ≤ z σ, where z makes the interval \
    hold the stated probability if errors are Gaussian. Less inside than stated: the model is \
    too sure of itself. More: it is too careful. Of two models with the right share, the \
    narrower tells more.";
