//! The sections on a classified test set: calibration, confusions, and examples, each with its
//! image, its classes and its uncertainty.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use maud::{Markup, html};
use ndarray::{ArrayView1, ArrayView2};

use super::figures;
use super::page::{figure, formulas, svg_figure};
use super::sheet::{data_uri, png};
use super::table::Table;
use super::text::{grouped, percent};
use crate::error::Result;
use crate::metrics::{self, BINS};

/// Number of the most uncertain examples that are shown.
const MOST_UNCERTAIN: usize = 30;

/// Number of the least uncertain examples that are shown.
const LEAST_UNCERTAIN: usize = 10;

/// Largest number of classes whose confusion matrix and probabilities are drawn in full: the matrix
/// takes some 100 bytes for each of its cells.
const MOST_CLASSES: usize = 100;

/// Number of the most frequent confusions that are listed in place of a larger matrix.
const MOST_CONFUSIONS: usize = 50;

/// Number of the largest probabilities that are drawn for an example, if there are more classes
/// than [`MOST_CLASSES`].
const MOST_BARS: usize = 20;

/// Largest number of characters of a class name that are shown.
const MOST_CHARACTERS: usize = 60;

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
    /// Two sentences: the accuracy, and by how much the mean confidence differs from it.
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

    /// Calibration, confusions, the examples of highest entropy and, for contrast, those of lowest
    /// entropy.
    ///
    /// # Errors
    /// If the inputs are images with neither one nor three channels.
    ///
    /// # Panics
    /// If the parts differ in length.
    pub(super) fn sections(&self) -> Result<Markup> {
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
        let counts = metrics::confusions(self.p, self.labels);
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| self.entropy[b].total_cmp(&self.entropy[a]).then(a.cmp(&b)));
        let most = n.min(MOST_UNCERTAIN);
        let least = (n - most).min(LEAST_UNCERTAIN);
        Ok(html! {
            h2 { "Calibration" }
            div.pair {
                (figure("reliability", &figures::reliability(&bins), &ece))
                (figure("bins", &figures::bin_counts(&bins), COUNTS))
            }
            h2 { "Confusions" }
            @if k > MOST_CLASSES {
                (self.largest_confusions(&counts))
            } @else {
                @let names: Vec<_> = (0..k).map(|class| self.name(class)).collect();
                (svg_figure(figures::confusion("confusion", &counts, &names), CONFUSION))
                (self.mistakes(&counts))
            }
            h2 { "The most uncertain test examples" }
            p { (formulas(UNCERTAIN)) @if k > MOST_CLASSES { (few_bars()) } }
            (self.cards(order[..most].iter().copied())?)
            @if least > 0 {
                h2 { "The least uncertain" }
                p { "For contrast: the lower the entropy, the more probability lies on one class." }
                div.least { (self.cards(order[n - least..].iter().rev().copied())?) }
            }
        })
    }

    /// The name of a class, shortened if it is long.
    fn name(&self, class: usize) -> Cow<'_, str> {
        let name = &self.classes[class];
        match name.char_indices().nth(MOST_CHARACTERS) {
            Some((end, _)) => format!("{}…", &name[..end]).into(),
            None => name.into(),
        }
    }

    /// The five most frequent confusions, for matrices too large to read.
    fn mistakes(&self, counts: &Counts) -> Markup {
        let one = |([truth, class], n): ([usize; 2], usize)| {
            format!("{} taken for {} ({n})", self.name(truth), self.name(class))
        };
        let most = most_frequent(counts).into_iter().take(5).map(one).collect::<Vec<_>>();
        let most = most.join(", ");
        html! { @if !most.is_empty() { p { "The most frequent mistakes: " (most) "." } } }
    }

    /// Table of the most frequent confusions, with a count of the omitted ones.
    fn largest_confusions(&self, counts: &Counts) -> Markup {
        let wrong = most_frequent(counts);
        let (listed, others) = wrong.split_at(wrong.len().min(MOST_CONFUSIONS));
        let left: usize = others.iter().map(|(_, n)| n).sum();
        let caption = format!(
            "Confusions. The {} most frequent pairs of a true and another, predicted class. \
             {} pairs with {} test examples are left out. A matrix of {} classes would be too \
             large to read.",
            listed.len(),
            grouped(others.len() as f64),
            grouped(left as f64),
            grouped(self.classes.len() as f64),
        );
        let rows = Table::of("confusions", caption, listed.iter().copied());
        rows.columns(&[
            ("true class", &|([truth, _], _)| self.name(*truth).into()),
            ("predicted class", &|([_, class], _)| self.name(*class).into()),
            ("examples", &|(_, n)| n.to_string()),
        ])
        .html()
    }

    /// The chosen examples as cards.
    fn cards(&self, chosen: impl Iterator<Item = usize>) -> Result<Markup> {
        let predicted = metrics::predictions(self.p);
        let cards = chosen.map(|n| self.card(n, predicted[n])).collect::<Result<Vec<_>>>()?;
        Ok(html! { ul.cards { @for card in cards { (card) } } })
    }

    /// Example `n`: its image, the true and the predicted `class`, and its uncertainty.
    fn card(&self, n: usize, class: usize) -> Result<Markup> {
        let (truth, confidence) = (self.labels[n], 100.0 * self.p[[n, class]]);
        let image = self.images.map(|(x, shape)| png(x.row(n), shape)).transpose()?;
        Ok(html! {
            li.card {
                @if let Some(png) = image { img src=(data_uri(&png)) alt={ "test example " (n) }; }
                div { "no. " (n) ", truth " b { (self.name(truth)) } }
                div.wrong[class != truth] {
                    @if class != truth { "✗ " } @else { "✓ " }
                    "predicted " b { (self.name(class)) } (format!(", {confidence:.0}\u{a0}%"))
                }
                div { (format!("entropy {:.3} nats", self.entropy[n])) }
                div { (format!("BALD {:.3} nats", self.bald[n])) }
                (bars(self.p.row(n), truth))
            }
        })
    }
}

/// The number of test examples by true and predicted class.
type Counts = BTreeMap<[usize; 2], usize>;

/// The confusions, the most frequent first.
fn most_frequent(counts: &Counts) -> Vec<([usize; 2], usize)> {
    let wrong = counts.iter().filter(|([truth, class], _)| truth != class);
    let mut wrong: Vec<_> = wrong.map(|(at, n)| (*at, *n)).collect();
    wrong.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
    wrong
}

/// The probabilities `p [K]` as bars in an SVG, each one unit wide. The bar of the true class has
/// its own colour. Of many classes, those of the largest probabilities and the true one are drawn.
fn bars(p: ArrayView1<'_, f32>, truth: usize) -> Markup {
    let (mut others, mut true_bar) = (String::new(), String::new());
    let mut drawn: Vec<usize> = (0..p.len()).collect();
    if p.len() > MOST_CLASSES {
        drawn.sort_by(|&a, &b| p[b].total_cmp(&p[a]).then(a.cmp(&b)));
        let is_among = drawn[..MOST_BARS].contains(&truth);
        drawn.truncate(MOST_BARS);
        drawn.extend((!is_among).then_some(truth));
        drawn.sort_unstable();
    }
    for (x, &c) in drawn.iter().enumerate() {
        let path = if c == truth { &mut true_bar } else { &mut others };
        write!(path, "M{x}.1 1v-{:.3}h.8V1z", p[c]).expect("writing to a String cannot fail");
    }
    html! {
        svg viewBox={ "0 0 " (drawn.len()) " 1" } preserveAspectRatio="none" aria-hidden="true" {
            path.others d=(others) {}
            path.truth d=(true_bar) {}
        }
    }
}

/// What the bars leave out.
fn few_bars() -> String {
    format!(" Of the many classes, the {MOST_BARS} most probable ones and the true one are drawn.")
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
const UNCERTAIN: &str = "Those of the highest entropy H[p̄] = −Σ_c p̄_c log p̄_c, which is 0 \
    if all probability lies on one class and log K if it is uniform over the K classes. \
    BALD = H[p̄] − mean_s H[p_s] is the epistemic part, the disagreement between posterior \
    samples: high BALD means that more data of this kind would help, high entropy with low BALD \
    that the example itself is ambiguous. The small bars are the class probabilities p̄, from 0 \
    to 1; the true class is orange.";
