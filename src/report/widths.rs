//! The section on the widths of the posterior, and its table and facts for the command line.
use maud::{Markup, html};

use super::figures;
use super::page::{facts, figure};
use super::table::Table;
use super::text::{grouped, number, percent};
use crate::predict::{ACTIVE, Removal, Removed, Width, Widths};
use crate::stats::Estimate;

/// A row for each part of `θ`: active entries, KL from the prior, mean and deviations.
pub fn widths_table(widths: &Widths) -> Table {
    Table::of("widths", TABLE, widths.summary()).columns(&[
        ("part of θ", &|w: &Width| w.part.clone()),
        ("entries", &|w| count(w.entries)),
        ("active", &|w| count(w.active)),
        ("Σ KLⱼ, nats", &|w| format!("{:.1}", w.kl)),
        ("mean mⱼ", &|w| number(w.mean)),
        ("sⱼ/σ smallest", &|w| number(w.smallest)),
        ("median", &|w| number(w.median)),
        ("largest", &|w| number(w.largest)),
        ("geometric mean", &|w| number(w.geometric_mean)),
    ])
}

/// The KL of all of `θ` and its bound, the number of active entries, and what the hidden units with
/// inactive scales do.
pub fn widths_facts(widths: &Widths, removal: Option<&Removal>) -> Vec<(String, String)> {
    let samples = widths.samples;
    let total = match &widths.total {
        Some(total) => format!("{:.1} nats, mean of ln q − ln p over {samples} samples", total.kl),
        None => "unknown: q has no density".into(),
    };
    let active = (0..widths.kl.len()).filter(|&j| widths.is_active(j)).count();
    let mut rows = vec![];
    let mut row = |name: &str, value: String| rows.push((name.to_string(), value));
    row("KL(q‖p)", total);
    row("its lower bound Σ KLⱼ", format!("{:.1} nats", widths.bound()));
    let active = of(active, widths.kl.len());
    row("active entries", format!("{active}: KLⱼ above {ACTIVE} nats"));
    let Some(Removal { hidden, inactive, outgoing_inactive, outgoing_active, removed }) = removal
    else {
        return rows;
    };
    row(
        "hidden units with an inactive scale",
        match inactive {
            0 => format!("none of {}: there is nothing to remove", count(*hidden)),
            _ => of(*inactive, *hidden),
        },
    );
    if let Some(inactive) = outgoing_inactive {
        let active = outgoing_active.map_or("there are none".into(), number);
        let norms = format!("{}, of active units {active}", number(*inactive));
        row("their median outgoing norm", norms);
    }
    if let Some(Removed { samples, examples, accuracy, accuracy_without, changed }) = removed {
        let accuracy_of =
            |a: &Estimate| format!("{:.2} ± {:.2} %", percent(a.value), percent(a.error));
        row(
            "test accuracy without them",
            format!(
                "{} against {}; {} predictions change ({samples} samples)",
                accuracy_of(accuracy_without),
                accuracy_of(accuracy),
                of(*changed, *examples),
            ),
        );
    }
    rows
}

fn count(n: usize) -> String {
    grouped(n as f64)
}

fn of(part: usize, all: usize) -> String {
    format!("{} of {}", count(part), count(all))
}

/// The section of a run's page.
pub(super) fn section(widths: &Widths, removal: Option<&Removal>) -> Markup {
    let chart = figures::sorted_kl(widths);
    html! {
        h2 { "Widths of the posterior" }
        p { (ABOUT) }
        (widths_table(widths).html())
        (figure("widths", &chart, FIGURE))
        (facts(&widths_facts(widths, removal)))
    }
}

const ABOUT: &str = "How far have the data moved each entry of θ from its prior N(0, σ²)? If mⱼ \
    and sⱼ are its mean and standard deviation over posterior samples, the KL divergence of a \
    Gaussian with these moments from the prior is KLⱼ = ½ ((mⱼ² + sⱼ²)/σ² − 1 − ln(sⱼ²/σ²)). If \
    it is near 0 nats, the entry is still distributed as in the prior: the data have not moved \
    it, and its samples are noise. If a hidden unit has such a scale, the weights out of it are \
    near 0, and no prediction changes without it, then the network does not use the unit: it is \
    pruned.";
const TABLE: &str = "The parts of θ, named by their layer's position in primary.layers, from 0. \
    σ is the prior's standard deviation: an entry with sⱼ/σ = 1 is as wide as its prior. Σ KLⱼ \
    is a lower bound of KL(q‖p), and equals it if the entries are independent and Gaussian.";
const FIGURE: &str = "KL from the prior, sorted. For each part of θ, the share of its entries \
    whose KLⱼ is at least the value on the vertical axis. A curve crosses the dashed line at the \
    share of active entries. Values below the error of sampling are drawn at that error.";
