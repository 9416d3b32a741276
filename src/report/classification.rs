//! The sections on a classified test set: calibration and confusions.
use maud::{Markup, html};
use ndarray::{Array2, ArrayView2};

use super::figures;
use super::page::{figure, svg_figure};
use super::text::{grouped, percent};
use crate::metrics::{self, BINS};

/// Predictions for `N` examples of `K` classes.
pub struct Classification<'a> {
    /// Class probabilities averaged over posterior samples, `p̄ [N, K]`.
    pub p: ArrayView2<'a, f32>,
    /// True classes `[N]`.
    pub labels: &'a [usize],
    /// Names of the classes `[K]`.
    pub classes: &'a [String],
    /// Predictive entropy `H[p̄] [N]`, nats.
    pub entropy: &'a [f32],
    /// Mutual information `H[p̄] − mean_s H[p_s] [N]`, nats.
    pub bald: &'a [f32],
    /// Inputs `[N, C·H·W]` in `[0, 1]` and their shape `[C, H, W]`, if they are images.
    pub images: Option<(ArrayView2<'a, f32>, [usize; 3])>,
}

impl Classification<'_> {
    /// Accuracy and mean confidence in two sentences.
    pub(super) fn outcome(&self) -> String {
        let right = metrics::accuracy(self.p, self.labels);
        let bins = metrics::reliability(self.p, self.labels, BINS);
        let confidence = bins.iter().map(|b| b.count as f64 * b.confidence).sum::<f64>()
            / self.labels.len() as f64;
        let gap = percent(confidence - right.value);
        let verdict = if gap > 0.0 { "overconfident" } else { "underconfident" };
        format!(
            "Of the {} test examples {:.2} ± {:.2} % are classified correctly. On average the \
             model is {verdict} by {:.2} percentage points.",
            grouped(self.labels.len() as f64),
            percent(right.value),
            percent(right.error),
            gap.abs(),
        )
    }

    /// # Panics
    /// If the parts differ in length.
    pub(super) fn sections(&self) -> Markup {
        let (n, k) = self.p.dim();
        let images = self.images.map(|(x, shape)| (x.dim(), shape));
        let found = [self.entropy.len(), self.bald.len(), self.classes.len()];
        let fits = images.is_none_or(|(dim, shape)| dim == (n, shape.iter().product()));
        assert!(
            fits && found == [n, n, k],
            "report: p [{n}, {k}], entropy, bald, classes {found:?}, images {images:?}"
        );
        let bins = metrics::reliability(self.p, self.labels, BINS);
        let ece = format!(
            "{RELIABILITY} ECE = Σ_b (N_b/N) |accuracy_b − confidence_b| over {BINS} bins: here \
             {:.2} %.",
            percent(metrics::ece(self.p, self.labels, BINS))
        );
        let counts = metrics::confusion(self.p, self.labels);
        html! {
            h2 { "Calibration" }
            div.pair {
                (figure("reliability", &figures::reliability(&bins), &ece))
                (figure("bins", &figures::bin_counts(&bins), COUNTS))
            }
            h2 { "Confusions" }
            (svg_figure(figures::confusion("confusion", &counts, self.classes), CONFUSION))
            (self.mistakes(&counts))
        }
    }

    /// The five most frequent confusions, for matrices too large to read.
    fn mistakes(&self, counts: &Array2<usize>) -> Markup {
        let wrong = counts.indexed_iter().filter(|((truth, class), n)| truth != class && **n > 0);
        let mut wrong: Vec<_> = wrong.collect();
        wrong.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
        let one = |&((truth, class), n): &((usize, usize), &usize)| {
            format!("{} taken for {} ({n})", self.classes[truth], self.classes[class])
        };
        let most = wrong.iter().take(5).map(one).collect::<Vec<_>>().join(", ");
        html! { @if !most.is_empty() { p { "The most frequent mistakes: " (most) "." } } }
    }
}

const RELIABILITY: &str = "Reliability diagram. Examples are binned by confidence, the probability \
    of the predicted class; each point is a bin, its bar one standard error. On the dashed \
    diagonal confidence equals accuracy: of all predictions made with 80 % confidence, 80 % are \
    correct. Below it the model is overconfident, above it underconfident.";
const COUNTS: &str = "Examples in each bin. Points of the reliability diagram that rest on few \
    examples are uncertain.";
const CONFUSION: &str = "Confusion matrix. The number of test examples of each true class (row) \
    that were given each predicted class (column); empty cells are 0. The diagonal is correct. The \
    colour deepens with the square root of the share of the row, so that rare mistakes show.";
