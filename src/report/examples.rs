//! Test examples as cards: the image, the true and the predicted class, and the uncertainty.
use std::fmt::Write;

use maud::{Markup, html};
use ndarray::ArrayView1;

use super::classification::Classification;
use super::page::formulas;
use super::sheet::{data_uri, png};
use crate::error::Result;
use crate::metrics;

const MOST_UNCERTAIN: usize = 30;
const LEAST_UNCERTAIN: usize = 10;

/// The examples of highest entropy and, for contrast, of lowest.
///
/// # Errors
/// If the inputs are images with neither one nor three channels.
pub(super) fn sections(test: &Classification<'_>) -> Result<Markup> {
    let n = test.labels.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| test.entropy[b].total_cmp(&test.entropy[a]).then(a.cmp(&b)));
    let most = n.min(MOST_UNCERTAIN);
    let least = (n - most).min(LEAST_UNCERTAIN);
    Ok(html! {
        h2 { "The most uncertain test examples" }
        p { (formulas(UNCERTAIN)) }
        (cards(test, order[..most].iter().copied())?)
        @if least > 0 {
            h2 { "The least uncertain" }
            p { "For contrast: the lower the entropy, the more probability lies on one class." }
            div.least { (cards(test, order[n - least..].iter().rev().copied())?) }
        }
    })
}

const UNCERTAIN: &str = "Those of the highest entropy H[p̄] = −Σ_c p̄_c log p̄_c, which is 0 \
    if all probability lies on one class and log K if it is uniform over the K classes. \
    BALD = H[p̄] − mean_s H[p_s] is the epistemic part, the disagreement between posterior \
    samples: high BALD means that more data of this kind would help, high entropy with low BALD \
    that the example itself is ambiguous. The small bars are the class probabilities p̄, from 0 \
    to 1; the true class is orange.";

fn cards(test: &Classification<'_>, chosen: impl Iterator<Item = usize>) -> Result<Markup> {
    let predicted = metrics::predictions(test.p);
    let cards = chosen.map(|n| {
        let (truth, class) = (test.labels[n], predicted[n]);
        let percent = 100.0 * test.p[[n, class]];
        let image = test.images.map(|(x, shape)| png(x.row(n), shape)).transpose()?;
        Ok(html! {
            li.card {
                @if let Some(png) = image { img src=(data_uri(&png)) alt={ "test example " (n) }; }
                div { "no. " (n) ", truth " b { (test.classes[truth]) } }
                div.wrong[class != truth] {
                    @if class != truth { "✗ " } @else { "✓ " }
                    "predicted " b { (test.classes[class]) } (format!(", {percent:.0}\u{a0}%"))
                }
                div { (format!("entropy {:.3} nats", test.entropy[n])) }
                div { (format!("BALD {:.3} nats", test.bald[n])) }
                (bars(test.p.row(n), truth))
            }
        })
    });
    let cards = cards.collect::<Result<Vec<Markup>>>()?;
    Ok(html! { ul.cards { @for card in cards { (card) } } })
}

/// Bars of the probabilities `p [K]` in a box of `K` × 1.
fn bars(p: ArrayView1<'_, f32>, truth: usize) -> Markup {
    let (mut others, mut true_bar) = (String::new(), String::new());
    for (c, &p) in p.iter().enumerate() {
        let path = if c == truth { &mut true_bar } else { &mut others };
        write!(path, "M{c}.1 1v-{p:.3}h.8V1z").expect("writing to a String cannot fail");
    }
    html! {
        svg viewBox={ "0 0 " (p.len()) " 1" } preserveAspectRatio="none" aria-hidden="true" {
            path.others d=(others) {}
            path.truth d=(true_bar) {}
        }
    }
}
