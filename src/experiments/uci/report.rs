//! Tables and verdicts.
use super::protocol::{BATCH, FEW, Found, Known, SHORT, Search, Way};
use crate::experiments::{Grid, Row};
use crate::report::experiment::{Report, Table};
use crate::report::verdict::{Corrected, Mean, Outcome, Verdict, corrected};
use std::ops::RangeInclusive;

/// Results by set and method, one per split.
type Results<'a> = Grid<(&'a Known, Way), Found>;

/// Name of the row of a set and a method.
pub(super) fn key(set: &Known, way: Way) -> String {
    format!("{}-{}", set.name, way.names()[0])
}

/// The report on the results in `grid`, which has no row for a missing set.
pub(super) fn report(search: &Search, sets: &[Known], grid: &Results<'_>) -> Report {
    let mut scores = [0, 1].map(|i| {
        let [name, caption] = [["rmse", RMSE], ["log-likelihood", LOG_LIKELIHOOD]][i];
        let header = ["set", "splits", "T = 4", "T = 0", "MC dropout", "published (longer)"];
        Table::new(name, format!("{caption} {SCORES}"), header)
    });
    let (mut verdicts, mut pairs) = (vec![], vec![]);
    // For RMSE and for log-likelihood, the number of sets on which the mean is no worse than
    // published; on which it is not shown to be worse; and on which it is no worse than after
    // longer training.
    let mut counts = [[0; 3]; 2];
    let mut found = 0;
    for set in sets {
        let rows = Way::ALL.map(|way| grid.get(&key(set, way)));
        let [Some(ours), Some(none), Some(dropout)] = rows else {
            scores[0].skip(set.name, "uci");
            continue;
        };
        found += 1;
        for (i, table) in scores.iter_mut().enumerate() {
            let [mean, of_none, of_dropout] =
                [ours, none, dropout].map(|row| over_splits(row, |f| score(f, i)));
            let known = format!("{:.2} ({:.2})", set.published[i], set.longer[i]);
            let splits = ours.results.len();
            table.row(&[&set.name, &splits, &mean, &of_none, &of_dropout, &known]);
            let (published, (name, quantity)) = (set.published[i], QUANTITIES[i]);
            let claim = format!("{}: {name} no worse than {published:.2}", set.name);
            let verdict = Verdict::new(claim, quantity, mean, no_worse(i, published));
            counts[i][0] += usize::from(verdict.range.contains(&mean.value));
            counts[i][1] += usize::from(verdict.outcome() != Outcome::Fails);
            counts[i][2] += usize::from(no_worse(i, set.longer[i]).contains(&mean.value));
            verdicts.push(verdict);
            for other in [none, dropout] {
                pairs.push(paired(set, ours, other, i));
            }
        }
    }
    let [rmse, log_likelihood] = counts;
    let summary = format!(
        "By the mean no worse than MC dropout as published in RMSE on {} of {found} sets, in \
         log-likelihood on {}; not shown to be worse on {} and {}. The published runs have fewer \
         epochs than ours; compared with MC dropout after ten times as many, ours is by the mean \
         no worse on {} and {}.\n",
        rmse[0], log_likelihood[0], rmse[1], log_likelihood[1], rmse[2], log_likelihood[2],
    );
    let summary = if verdicts.is_empty() { String::new() } else { summary };
    let [rmse, log_likelihood] = scores;
    Report {
        title: "UCI regression".into(),
        paper: PAPER.into(),
        ours: summary + &description(search),
        verdicts,
        tables: vec![rmse, log_likelihood, differences(&pairs)],
        data: vec![chosen(grid)],
        ..Report::default()
    }
}

/// Test RMSE (`i = 0`) or log-likelihood (`i = 1`).
fn score(found: &Found, i: usize) -> f64 {
    [found.rmse, found.log_likelihood][i]
}

/// The mean over overlapping splits.
fn over_splits(row: &Row<(&Known, Way), Found>, of: impl Fn(&Found) -> f64) -> Mean {
    Mean::over_splits(&row.values(of), row.results[0].test_per_train)
}

/// The claim that T = 4 is better than `other` on the same splits, by a positive difference of
/// score `i`.
fn paired<'a>(
    set: &Known,
    ours: &Row<(&'a Known, Way), Found>,
    other: &Row<(&'a Known, Way), Found>,
    i: usize,
) -> Verdict {
    let sign = [-1., 1.][i];
    let pairs = ours.results.iter().zip(&other.results);
    let better: Vec<_> = pairs.map(|(a, b)| sign * (score(a, i) - score(b, i))).collect();
    let mean = Mean::over_splits(&better, ours.results[0].test_per_train);
    let claim = format!("{}|{}|{}", set.name, QUANTITIES[i].0, other.input.1.names()[1]);
    Verdict::new(claim, "", mean, 0. ..)
}

/// The table of the [`paired`] comparisons, with Holm's correction over all of them.
fn differences(pairs: &[Verdict]) -> Table {
    let words = |outcome| match outcome {
        Outcome::Holds => "better",
        Outcome::Fails => "worse",
        Outcome::Undecided => "not decided",
    };
    let p = |p: Option<f64>| p.map_or(String::new(), |p| format!("{p:.3}"));
    let rows = pairs.iter().zip(corrected(pairs));
    let part = |verdict: &Verdict, i: usize| {
        verdict.claim.split('|').nth(i).unwrap_or_default().to_string()
    };
    let of = |corrected: &Option<Corrected>| corrected.expect("every pair is tested");
    Table::of("paired", PAIRED, rows).columns(&[
        ("set", &|(verdict, _)| part(verdict, 0)),
        ("score", &|(verdict, _)| part(verdict, 1)),
        ("T = 4 minus", &|(verdict, _)| part(verdict, 2)),
        ("improvement", &|(verdict, _)| verdict.mean.to_string()),
        ("p", &|(verdict, _)| p(verdict.p_value())),
        ("T = 4 is", &|(verdict, _)| words(verdict.outcome()).into()),
        ("p, Holm", &|(_, corrected)| p(Some(of(corrected).p_value))),
        ("corrected", &|(_, corrected)| words(of(corrected).outcome).into()),
    ])
}

/// Names, and quantities with units, of RMSE and log-likelihood.
const QUANTITIES: [(&str, &str); 2] =
    [("RMSE", "test RMSE"), ("log-likelihood", "test log-likelihood, nats")];

/// Maximum rounding error of the published numbers, which have two decimals.
const HALF_A_DIGIT: f64 = 0.005;

/// The range of values that, up to rounding, are no worse than a published RMSE (`i = 0`) or
/// log-likelihood (`i = 1`).
fn no_worse(i: usize, published: f64) -> RangeInclusive<f64> {
    match i {
        0 => 0. ..=published + HALF_A_DIGIT,
        _ => published - HALF_A_DIGIT..=f64::INFINITY,
    }
}

/// The chosen settings of each split.
fn chosen(grid: &Results<'_>) -> Table {
    let caption = "Settings chosen on the validation rows of each split. The strength is the prior \
                   precision, or the rate of dropout.";
    Table::of("splits", caption, grid.results()).columns(&[
        ("set", &|(row, ..)| row.input.0.name.into()),
        ("method", &|(row, ..)| row.input.1.names()[1].into()),
        ("split", &|(_, split, _)| split.to_string()),
        ("RMSE", &|(.., found)| (found.rmse as f32).to_string()),
        ("log-likelihood", &|(.., found)| (found.log_likelihood as f32).to_string()),
        ("learning rate", &|(.., found)| found.setting.learning_rate.to_string()),
        ("strength", &|(.., found)| found.setting.strength.to_string()),
        ("epochs", &|(.., found)| found.setting.epochs.to_string()),
        ("noise", &|(.., found)| {
            found.setting.noise.map_or(String::new(), |tau| format!("{tau:.3}"))
        }),
    ])
}

const PAPER: &str = "Not in the paper: the authors' code trains hypernets of inverse \
    autoregressive flows on nine regression sets with the 20 splits (protein: 5) of Gal & \
    Ghahramani (2016).";
const RMSE: &str = "Test RMSE in the target's units.";
const LOG_LIKELIHOOD: &str = "Mean test log-likelihood in nats.";
const SCORES: &str = "Means over splits with one standard error, corrected for the overlap of the \
    splits (Nadeau and Bengio 2003). Our methods share splits, network, batches and number of \
    trials. Published: MC dropout (Gal & Ghahramani 2016) and, in brackets, after ten times as \
    many epochs (readme of its authors' code), both to two decimals: half a unit of the second \
    decimal counts as equal. Their results by split are unknown, so comparisons with them are not \
    paired, and their errors are not counted.";
const PAIRED: &str = "T = 4 against our other methods, split by split. Positive improvements favour \
    T = 4: lower RMSE, higher log-likelihood. Errors and p-values by the corrected resampled \
    t-test (Nadeau and Bengio 2003); the last two columns after Holm's correction over this table.";

fn description(search: &Search) -> String {
    format!(
        "One hidden layer of 50 ReLUs (protein: 100) whose scales come from an IAF (T = 4, 200 \
         hidden units) or from independent Gaussians (T = 0), or with MC dropout after the hidden \
         layer and no weight decay; batch {BATCH}, Adam with a tenfold decay. For each split and \
         method, the learning rate ({:?}), prior precision ({:?}; the authors: 10⁻⁶, 10⁻⁴, 10⁻², \
         1, 100) or rate of dropout ({:?}), fraction ({:?}; 1 for runs of over {SHORT} steps) of \
         up to {} epochs, and noise precision are chosen by log-likelihood on the last fifth of \
         the training rows; the network is then trained anew on all training rows. (During the \
         search the noise precision is learned; learned on the rows that the weights are fitted \
         to, it is overconfident.) {} posterior samples. Of the large sets kin8nm, naval and \
         protein the first {FEW} splits are used; power-plant has all, since its first {FEW} were \
         inconclusive.",
        search.rates,
        search.precisions,
        search.dropout,
        search.shares,
        search.epochs,
        search.samples
    )
}
