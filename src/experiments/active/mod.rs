//! Figure 4: pool-based active learning by method, acquisition function, and warm or cold start.
mod rounds;
mod variants;

pub use rounds::{Learner, Protocol, Round, learn};

use super::digits::digits;
use super::{Experiment, Grid, Lab, Row, Tier};
use crate::data::Dataset;
use crate::error::Result;
use crate::predict::acquire::Acquisition;
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::sheet::Sheet;
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::MethodKind;
use ndarray::{Array2, Axis as Along};
use std::ops::RangeInclusive;
use variants::{Variant, epochs, key, variants};

/// `bhn reproduce active`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "active",
    place: "Figure 4",
    claim: "A warm-started Bayesian hypernet starts behind MC dropout and ends ahead of it.",
    version: 5,
    readable: 5,
    seeds: [1, 3, 3],
    seconds: [3., 3000., 120_000.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let protocol = Protocol {
        per_class: 2,
        set_aside: 10_000,
        candidates: lab.tier.pick([100, 2000, 2000]),
        bought: 10,
        rounds: lab.tier.pick([3, 28, 98]),
        samples: lab.tier.pick([3, 20, 100]),
        test_every: lab.tier.pick([1, 1, 10]),
    };
    let mut data = digits(lab, None)?;
    if lab.tier != Tier::Paper {
        data.test = data.test.subset(lab.tier.pick([200, 2000, 10_000]));
    }
    let rows = variants(lab.tier, lab.seeds, &protocol);
    let grid = lab.ragged_grid(rows, "", |variant, seed, name| {
        let learner = variant.learner(lab.tier, seed);
        let done = |round| lab.round(name, round + 1, protocol.rounds + 1);
        learn(&lab.dir.join("runs").join(name), &learner, &protocol, &data, done)
    })?;
    let first = grid.first().expect("a row");
    let labels = first.results[0].last().expect("a round").labels;
    let counts = [labels / 3, 2 * labels / 3, labels].map(|n| tested_near(first, n));
    Ok(Report {
        title: "Figure 4: active learning on MNIST".into(),
        paper: PAPER.into(),
        ours: ours(lab.tier, &protocol, &data),
        verdicts: verdicts(&grid),
        tables: vec![accuracies(&grid, &counts)],
        figures: figures(&grid),
        sheets: grid.iter().map(|row| sheet(row, &data, &protocol)).collect(),
        data: vec![curves(&grid), bought(&grid, &data)],
    })
}

/// `(labels, accuracy in per cent)` of each test.
type Curve = [(usize, f64)];

/// The curve of the rounds that were tested.
fn curve(rounds: &[Round]) -> Vec<(usize, f64)> {
    let point = |round: &Round| Some((round.labels, 100. * round.accuracy?));
    rounds.iter().filter_map(point).collect()
}

/// The number of labels, among those with a test of the first seed, that is nearest to `labels`.
fn tested_near(row: &Row<Variant, Vec<Round>>, labels: usize) -> usize {
    let all = curve(&row.results[0]);
    all.iter().map(|(n, _)| *n).min_by_key(|n| n.abs_diff(labels)).expect("a test")
}

/// Mean accuracy over labels in per cent: `∫ accuracy d(labels)` by the trapezoidal rule, divided
/// by the range of labels.
pub fn area(curve: &[(usize, f64)]) -> f64 {
    let piece =
        |pair: &[(usize, f64)]| (pair[1].0 - pair[0].0) as f64 * (pair[0].1 + pair[1].1) / 2.;
    let width = curve[curve.len() - 1].0 - curve[0].0;
    curve.windows(2).map(piece).sum::<f64>() / width as f64
}

/// The smallest number of labels with which a test reached `accuracy` per cent; `None` if no test
/// did.
pub fn labels_to(curve: &[(usize, f64)], accuracy: f64) -> Option<usize> {
    curve.iter().find(|(_, found)| *found >= accuracy).map(|(labels, _)| *labels)
}

/// Accuracy of the test with `labels` labels.
fn at(curve: &Curve, labels: usize) -> f64 {
    curve.iter().find(|(n, _)| *n == labels).expect("a test with these labels").1
}

/// Mean accuracy over the first third of tests.
fn first_third(curve: &Curve) -> f64 {
    mean(&curve[..curve.len().div_ceil(3)])
}

/// Mean accuracy over the last third of tests.
fn last_third(curve: &Curve) -> f64 {
    mean(&curve[curve.len() - curve.len().div_ceil(3)..])
}

fn mean(curve: &Curve) -> f64 {
    curve.iter().map(|(_, accuracy)| accuracy).sum::<f64>() / curve.len() as f64
}

impl Row<Variant, Vec<Round>> {
    /// Mean over seeds of `f` of the learning curve.
    fn of_curve(&self, f: impl Fn(&Curve) -> f64) -> Mean {
        self.mean(|rounds| f(&curve(rounds)))
    }
}

const ABOVE: RangeInclusive<f64> = 0. ..=f64::INFINITY;
const BELOW: RangeInclusive<f64> = f64::NEG_INFINITY..=0.;
const AREA: &str = "difference of mean accuracies over labels, %";

fn verdicts(grid: &Grid<Variant, Vec<Round>>) -> Vec<Verdict> {
    use Acquisition::{Bald, Random};
    use MethodKind::{Bhn, Dropout, McDropout, Mle};
    let mut verdicts = vec![];
    // Adds the claim that `of(a) − of(b)`, for the learning curves of rows `a` and `b`, lies in
    // `range`. Adds nothing if a row is missing.
    let mut claim = |claim: String,
                     quantity: &str,
                     of: fn(&Curve) -> f64,
                     [a, b]: [String; 2],
                     range: RangeInclusive<f64>| {
        if grid.get(&a).is_some() && grid.get(&b).is_some() {
            let mean = grid.paired(&a, &b, |a, b| of(&curve(a)) - of(&curve(b)));
            verdicts.push(Verdict::new(claim, quantity, mean, range));
        }
    };
    let third = |part: &str| {
        format!("accuracy, warm BHN minus MC dropout, mean of the {part} third of tests, %")
    };
    for by in [Random, Bald] {
        let rows = [key(Bhn, true, by), key(McDropout, false, by)];
        let words = |what: &str| format!("With {} acquisition, a warm BHN {what}", by.name());
        let (behind, ahead) =
            (words("starts behind MC dropout"), words("ends ahead of MC dropout"));
        claim(behind, &third("first"), first_third, rows.clone(), BELOW);
        claim(ahead, &third("last"), last_third, rows, ABOVE);
    }
    for (method, warm, name) in [
        (Bhn, true, "a warm BHN"),
        (McDropout, false, "MC dropout"),
        (Mle, false, "maximum likelihood, where BALD is rounding error alone"),
    ] {
        let words = format!("BALD acquisition beats random acquisition for {name}");
        claim(words, AREA, area, [Bald, Random].map(|by| key(method, warm, by)), ABOVE);
    }
    let random = |method| key(method, false, Random);
    if grid.get(&random(Dropout)).is_some() {
        let words = |what: &str| format!("With random acquisition, maximum likelihood is {what}");
        let near = words("at most one percentage point worse than MC dropout");
        claim(near, AREA, area, [Mle, McDropout].map(random), -1. ..=f64::INFINITY);
        claim(words("better than dropout"), AREA, area, [Mle, Dropout].map(random), ABOVE);
    }
    for by in [Random, Bald] {
        let rows = |method| [true, false].map(|warm| key(method, warm, by));
        let words = |what: &str| format!("With {} acquisition, a warm start {what}", by.name());
        claim(words("helps a BHN"), AREA, area, rows(Bhn), ABOVE);
        let others = [(McDropout, "MC dropout"), (Dropout, "dropout"), (Mle, "maximum likelihood")];
        for (method, name) in others {
            claim(words(&format!("hurts {name}")), AREA, area, rows(method), BELOW);
        }
    }
    verdicts
}

fn accuracies(rows: &[Row<Variant, Vec<Round>>], counts: &[usize; 3]) -> Table {
    let [a, b, c] = counts.map(|n| format!("with {n} labels"));
    let header = ["network", "acquisition", "mean", &a, &b, &c, "labels to 95 %"];
    let mut table = Table::new("areas", ACCURACIES, header);
    for row in rows {
        let reached = row.results.iter().filter_map(|rounds| labels_to(&curve(rounds), 95.));
        let reached: Vec<_> = reached.map(|n| n as f64).collect();
        let seeds = row.results.len();
        let reached = match reached.len() {
            0 => "never".to_string(),
            n if n < seeds => format!("{:.0}, {n} of {seeds} seeds", Mean::of(&reached).value),
            _ => Mean::of(&reached).to_string(),
        };
        let (name, by) = (row.input.name, row.input.acquisition.name());
        let [a, b, c] = counts.map(|n| row.of_curve(|curve| at(curve, n)));
        table.row(&[&name, &by, &row.of_curve(area), &a, &b, &c, &reached]);
    }
    table
}

/// Learning curves of the networks that the paper compares: the warm BHN and all cold networks. If
/// a method has both starts, a second figure compares them.
fn figures(rows: &[Row<Variant, Vec<Round>>]) -> Vec<Figure> {
    let mut acquisitions: Vec<_> = rows.iter().map(|row| row.input.acquisition).collect();
    acquisitions.dedup();
    let mark = |row: &Row<Variant, Vec<Round>>| {
        let point = |&(labels, _): &(usize, f64)| {
            let mean = row.of_curve(|curve| at(curve, labels));
            (labels as f64, mean.value, mean.error)
        };
        Mark::Curve(curve(&row.results[0]).iter().map(point).collect())
    };
    let panel = |title: String, layers| Panel {
        title,
        x: Axis::new("labels"),
        y: Axis::new("test accuracy, %"),
        layers,
    };
    let compared =
        |row: &&Row<Variant, Vec<Round>>| row.input.method == MethodKind::Bhn || !row.input.warm;
    let by_acquisition = |&by: &Acquisition| {
        let rows = rows.iter().filter(compared).filter(|row| row.input.acquisition == by);
        let layer =
            |row: &Row<Variant, Vec<Round>>| Layer::new(row.input.name, row.input.ink, mark(row));
        panel(by.name().into(), rows.map(layer).collect())
    };
    let panels = acquisitions.iter().map(by_acquisition).collect();
    let chart = Chart { columns: 3, size: (330., 300.), panels };
    let mut figures = vec![Figure::new("active", FIGURE, chart)];
    let of = |method, warm, by| {
        let is = |row: &&Row<Variant, Vec<Round>>| {
            let Variant { method: found, warm: start, acquisition, .. } = row.input;
            (found, start, acquisition) == (method, warm, by)
        };
        rows.iter().find(is)
    };
    let warm = rows.iter().filter(|row| row.input.warm);
    let starts = warm.filter_map(|row| {
        let Variant { method, acquisition, .. } = row.input;
        let cold = of(method, false, acquisition)?;
        let layers = [("warm", 0, row), ("cold", 1, cold)];
        let layers =
            layers.map(|(name, color, row)| Layer::new(name, Ink::Series(color), mark(row)));
        Some(panel(format!("{}, {}", cold.input.name, acquisition.name()), layers.into()))
    });
    let panels: Vec<_> = starts.collect();
    if !panels.is_empty() {
        figures.push(Figure::new(
            "starts",
            STARTS,
            Chart { columns: 4, size: (260., 240.), panels },
        ));
    }
    figures
}

/// The images acquired with the first seed: a column per round, with the highest score at the top.
fn sheet(row: &Row<Variant, Vec<Round>>, data: &Dataset, protocol: &Protocol) -> Sheet {
    let rounds = &row.results[0][..protocol.rounds];
    let bought = (0..protocol.bought).flat_map(|i| rounds.iter().map(move |round| round.bought[i]));
    let bought: Vec<_> = bought.collect();
    let images: Array2<f32> = data.train.x.select(Along(0), &bought);
    let (name, by) = (row.input.name, row.input.acquisition.name());
    Sheet {
        name: format!("bought-{}", row.key),
        caption: format!(
            "Images acquired by {name} with {by} acquisition, seed 0. A column per round, the \
             highest score at the top."
        ),
        columns: rounds.len(),
        shape: data.image.expect("digits are images"),
        images,
    }
}

fn curves(grid: &Grid<Variant, Vec<Round>>) -> Table {
    let header = ["network", "acquisition", "seed", "labels", "accuracy"];
    let mut table = Table::new("curves", "Test accuracy by number of labels.", header);
    for (row, seed, rounds) in grid.results() {
        let (name, by) = (row.input.name, row.input.acquisition.name());
        for (labels, accuracy) in curve(rounds) {
            table.row(&[&name, &by, &seed, &labels, &format_args!("{accuracy:.2}")]);
        }
    }
    table
}

fn bought(grid: &Grid<Variant, Vec<Round>>, data: &Dataset) -> Table {
    let header = ["network", "acquisition", "seed", "round", "row", "label"];
    let mut table = Table::new("bought", BOUGHT, header);
    let labels = data.train.y.classes();
    for (row, seed, rounds) in grid.results() {
        let (name, by) = (row.input.name, row.input.acquisition.name());
        for (number, round) in rounds.iter().enumerate() {
            for image in &round.bought {
                table.row(&[&name, &by, &seed, &number, image, &labels[*image]]);
            }
        }
    }
    table
}

const PAPER: &str = "The paper repeats the experiment of Gal, Islam & Ghahramani (2017): 20 \
    labels, a pool of 40,000 images, and 98 rounds, in each of which the 10 highest-scoring of \
    2000 candidates are labelled and the network is trained for 50 epochs. Warm-started, its \
    Bayesian hypernet starts behind MC dropout and ends ahead of it, with random and with BALD \
    acquisition; a warm start hurts the other methods. BALD of networks without uncertainty, zero \
    up to rounding, still beat random acquisition; maximum likelihood was competitive with MC \
    dropout and better than dropout.";
const ACCURACIES: &str = "Accuracy along the learning curves. Means over seeds with one standard \
    error, in per cent. The mean is over the number of labels, from the first test to the last; \
    labels to 95 % are those of the first test with at least 95 %.";
const FIGURE: &str = "Test accuracy by number of labels. A panel per acquisition function, a line \
    per network: means over seeds, error bars of one standard error. Of warm starts only that of \
    the BHN.";
const STARTS: &str = "Warm and cold starts. A panel per network and acquisition function; warm: each \
    round continues from the last round's weights. Means over seeds, error bars of one standard \
    error.";
const BOUGHT: &str =
    "Acquired images. Rows of the training set, counted from 0, by descending score.";

fn ours(tier: Tier, protocol: &Protocol, data: &Dataset) -> String {
    let Protocol { candidates, bought, rounds, samples, test_every, .. } = protocol;
    let (labels, test, epochs) = (20 + rounds * bought, data.test.len(), epochs(tier));
    let seeds = match tier {
        Tier::Paper => {
            "\nAll seeds for BHN and MC dropout with random and BALD acquisition; a third of them, \
             rounded up, for the other rows."
        }
        _ => "",
    };
    let tests =
        if *test_every == 1 { "each round".into() } else { format!("every {test_every} rounds") };
    format!(
        "The paper's second network (two 3×3 convolutions with 32 channels, 5×5 pooling, 256 \
         units); 20 to {labels} labels, {bought} of {candidates} candidates per round. Each \
         training: {epochs} epochs in minibatches of equal size, at most 128, and a new Adam \
         optimiser at 10⁻³; from the last round's weights in a warm start, otherwise from a new \
         initialisation. The last epoch is tested: with so few labels none are left for \
         validation.\n\
         Tested on the first {test} test images {tests}; {samples} posterior samples for tests and \
         scores, one for maximum likelihood and dropout. Ties are broken by the candidates' random \
         order. The table lists which of the paper's acquisition functions and starts are \
         included. The variation ratio (votes) is the share of posterior samples that do not vote \
         for the most frequent class, as in Gal, Islam & Ghahramani; the authors' code uses \
         1 − max p̄ under that name, here the least confidence. A network without samples has \
         equal scores by votes and by mean STD, which would be a random choice: these rows are \
         left out.\n\
         BALD of a single network is 0. Here, as in the authors' code, such a network ranks by the \
         rounding error of exponentials in single precision, at most 10⁻⁷ nats.\n\
         Dropout rates are those of Gal, Islam & Ghahramani: 0.25 after the pooling and 0.5 after \
         the dense layer. Each of the ensemble's five networks has all {epochs} epochs: in a fifth \
         of them it would take ten steps with 20 labels. Acquired images leave the pool (in the \
         authors' code they do not). The prior is N(0, 1) on the scales, and the KL is weighted \
         for the number of labelled examples.{seeds}"
    )
}
