//! Figure 4: which labels to buy. A pool-based loop over method, acquisition and start.
mod rounds;

pub use rounds::{Learner, Protocol, Round, learn};

use super::digits::{digits, minus, positive};
use super::networks::{ACTIVE, network};
use super::{Cell, Experiment, Lab, Tier};
use crate::data::Dataset;
use crate::error::Result;
use crate::nn::optim::Schedule;
use crate::predict::acquire::Acquisition;
use crate::primary::Layer;
use crate::report::chart::{Axis, Chart, Ink, Layer as Drawn, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::sheet::Sheet;
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::{Config, MethodKind};
use ndarray::{Array2, Axis as Along};

/// `bhn reproduce active`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "active",
    place: "Figure 4",
    claim: "A Bayesian hypernet that is trained on from round to round starts behind MC dropout and ends \
        ahead of it.",
    version: 4,
    seeds: [1, 3, 3],
    seconds: [2., 3000., 60_000.],
    run,
};

/// A row of the table.
#[derive(Clone)]
struct Way {
    method: MethodKind,
    warm: bool,
    acquisition: Acquisition,
}

impl Way {
    fn key(&self) -> String {
        let start = if self.warm { "-warm" } else { "" };
        format!("{}{start}-{}", self.method, self.acquisition)
    }

    /// Who learns, in a table.
    fn net(&self) -> String {
        let name = match self.method {
            MethodKind::Bhn => "BHN, T = 4",
            MethodKind::McDropout => "MC dropout",
            MethodKind::Dropout => "dropout",
            _ => "MLE",
        };
        if self.warm { format!("{name}, warm") } else { name.into() }
    }

    fn ink(&self) -> Ink {
        match (self.method, self.warm) {
            (MethodKind::Bhn, true) => Ink::Series(0),
            (MethodKind::McDropout, false) => Ink::Series(1),
            (MethodKind::Dropout, _) => Ink::Series(2),
            (MethodKind::Bhn, false) => Ink::Series(3),
            (MethodKind::McDropout, true) => Ink::Series(4),
            _ => Ink::Gray,
        }
    }

    fn learner(&self, tier: Tier, seed: u64) -> Result<Learner> {
        let mut config = Config { method: self.method, seed, ..Config::default() };
        let layers = network(tier, ACTIVE)?;
        config.primary.layers = Some(match self.method {
            MethodKind::Dropout | MethodKind::McDropout => dropped(&layers),
            _ => layers,
        });
        config.flow.couplings = 4;
        config.flow.hidden = tier.pick([10, 200, 200]);
        config.train.epochs = epochs(tier);
        config.train.batch = 128;
        config.train.learning_rate = 1e-3;
        config.train.schedule = Schedule::Constant;
        Ok(Learner { config, warm: self.warm, acquisition: self.acquisition })
    }

    /// Seconds, roughly, at the quick tier: most of it goes into forward passes.
    fn cost(&self, protocol: &Protocol) -> f64 {
        let config = Config { method: self.method, ..Config::default() };
        let samples = config.samples(protocol.samples);
        let looked_at = if self.acquisition == Acquisition::Random { 0 } else { 2000 };
        let tested = 2000 / protocol.test_every;
        50. + 0.1 * samples as f64 * (looked_at + tested) as f64 / 2000. * 28.
    }
}

/// Passes over what is labelled, in every round.
fn epochs(tier: Tier) -> usize {
    tier.pick([2, 50, 50])
}

/// Gal, Islam & Ghahramani's rates: a quarter after the pool, half after the dense layer.
fn dropped(layers: &[Layer]) -> Vec<Layer> {
    let last = layers.iter().rposition(|layer| *layer == Layer::Relu);
    let after = |(i, &layer): (usize, &Layer)| match layer {
        Layer::Pool(_) => vec![layer, Layer::Dropout(0.25)],
        Layer::Relu if Some(i) == last => vec![layer, Layer::Dropout(0.5)],
        _ => vec![layer],
    };
    layers.iter().enumerate().flat_map(after).collect()
}

fn ways(tier: Tier) -> Vec<Way> {
    use Acquisition::{Bald, MaxEntropy, Random};
    let [bhn, mc, dropout, mle] =
        [MethodKind::Bhn, MethodKind::McDropout, MethodKind::Dropout, MethodKind::Mle];
    let quick = vec![(bhn, true), (mc, false), (dropout, false), (mle, false)];
    let paper =
        vec![(bhn, true), (bhn, false), (mc, true), (mc, false), (dropout, false), (mle, false)];
    let nets = tier.pick([vec![(bhn, true), (mc, false), (mle, false)], quick, paper]);
    let how: &[Acquisition] =
        tier.pick([&Acquisition::ALL, &[Random, Bald, MaxEntropy], &[Random, Bald]]);
    let way = |&acquisition: &Acquisition| {
        nets.iter().map(move |&(method, warm)| Way { method, warm, acquisition })
    };
    how.iter().flat_map(way).collect()
}

/// A row, seed by seed.
struct Row {
    way: Way,
    found: Vec<Vec<Round>>,
}

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
    let rows = compute(lab, &protocol, &data)?;
    let labels = rows[0].found[0].last().expect("a round").labels;
    let counts = [labels / 3, 2 * labels / 3, labels].map(|n| tested_near(&rows[0], n));
    Ok(Report {
        title: "Figure 4: active learning on MNIST".into(),
        paper: "The paper repeats Gal, Islam & Ghahramani's experiment: 20 labels, a pool of 40,000 images, and in \
            each of 98 rounds the 10 best of 2000 candidates are labelled and the network is trained for 50 epochs. \
            Warm-started, its Bayesian hypernet starts behind and ends ahead of MC dropout, with random choice and \
            with BALD; a warm start hurts the other methods. BALD of its networks without uncertainty, zero but for rounding, \
            was still better than chance; maximum likelihood was competitive with MC dropout and better than dropout."
            .into(),
        ours: what_was_done(lab, &protocol, &data),
        verdicts: verdicts(lab.tier, &rows),
        tables: vec![table(&rows, &counts)],
        figures: vec![figure(&rows)],
        sheets: rows.iter().map(|row| sheet(row, &data, &protocol)).collect(),
        data: vec![curves(&rows), bought(&rows, &data)],
    })
}

fn what_was_done(lab: &Lab<'_>, protocol: &Protocol, data: &Dataset) -> Vec<String> {
    let Protocol { candidates, bought, rounds, samples, test_every, .. } = protocol;
    let (labels, test) = (20 + rounds * bought, data.test.len());
    let tests =
        if *test_every == 1 { "each round".into() } else { format!("every {test_every} rounds") };
    vec![
        format!(
            "The paper's second network (two convolutions of 32 channels 3 × 3, pool 5 × 5, 256 units); 20 \
             to {labels} labels, {bought} of {candidates} candidates a round. A training: {} epochs, batch 128, Adam at 10⁻³, anew each \
             round; in a warm start from the last round's weights, otherwise from new ones. The last epoch is \
             what is tested: with so few labels there are none to validate with.",
            epochs(lab.tier)
        ),
        format!(
            "Tested on the first {test} test images {tests}; {samples} posterior samples to test and to choose \
             with, and one for maximum likelihood and dropout. Equal scores are taken in the candidates' random order. \
             Of the paper's five ways to choose and two to start, those that the table has."
        ),
        "BALD of one network is 0. Here, as in the authors' code, such a network chooses by what the rounding of \
         exponentials in single precision leaves of it: 10⁻⁷ nats at the most. \
         With 130 and 260 labels an epoch's last minibatch has two or four images, and \
         Adam's step on them is as long as any: hence the dips."
            .into(),
        "Dropout has Gal, Islam & Ghahramani's rates, 0.25 after the pool and 0.5 after the dense layer. Images \
         that were chosen leave the pool (in the authors' code they did not). The prior is N(0, 1) on the scales, \
         and the KL is weighed against as many examples as are labelled."
            .into(),
    ]
}

fn compute(lab: &Lab<'_>, protocol: &Protocol, data: &Dataset) -> Result<Vec<Row>> {
    let ways = ways(lab.tier);
    let mut cells = vec![];
    for way in &ways {
        for seed in 0..lab.seeds {
            let key = format!("{}-{seed}", way.key());
            cells.push(Cell {
                key: key.clone(),
                cost: way.cost(protocol),
                input: (key, way, seed),
            });
        }
    }
    let mut found = lab
        .cells(&cells, |(key, way, seed)| {
            let learner = way.learner(lab.tier, *seed)?;
            let rounds = protocol.rounds + 1;
            let dir = lab.dir.join("runs").join(key);
            learn(&dir, &learner, protocol, data, |round| lab.round(key, round + 1, rounds))
        })?
        .into_iter();
    let row = |way| Row { way, found: found.by_ref().take(lab.seeds as usize).collect() };
    Ok(ways.into_iter().map(row).collect())
}

/// `(labels, accuracy in per cent)` of the rounds that were tested.
fn tested(rounds: &[Round]) -> Vec<(usize, f64)> {
    let point = |round: &Round| Some((round.labels, 100. * round.accuracy?));
    rounds.iter().filter_map(point).collect()
}

/// The number of labels, among those tested with, that is nearest to `labels`.
fn tested_near(row: &Row, labels: usize) -> usize {
    let all = tested(&row.found[0]);
    all.iter().map(|(n, _)| *n).min_by_key(|n| n.abs_diff(labels)).expect("a test")
}

/// `∫ accuracy d(labels)` over their range, by trapezoids: a mean accuracy, in per cent.
pub fn area(curve: &[(usize, f64)]) -> f64 {
    let piece =
        |pair: &[(usize, f64)]| (pair[1].0 - pair[0].0) as f64 * (pair[0].1 + pair[1].1) / 2.;
    let width = curve[curve.len() - 1].0 - curve[0].0;
    curve.windows(2).map(piece).sum::<f64>() / width as f64
}

/// The least number of labels with which a test came to so many per cent.
pub fn labels_to(curve: &[(usize, f64)], accuracy: f64) -> Option<usize> {
    curve.iter().find(|(_, found)| *found >= accuracy).map(|(labels, _)| *labels)
}

impl Row {
    /// One value a seed.
    fn each(&self, of: impl Fn(&[(usize, f64)]) -> f64) -> Vec<f64> {
        self.found.iter().map(|rounds| of(&tested(rounds))).collect()
    }

    fn areas(&self) -> Vec<f64> {
        self.each(area)
    }

    fn at(&self, labels: usize) -> Vec<f64> {
        let at = |curve: &[(usize, f64)]| {
            curve.iter().find(|(n, _)| *n == labels).expect("a test with so many labels").1
        };
        self.each(at)
    }

    /// Mean accuracy over the first third of tests, or the last.
    fn third(&self, last: bool) -> Vec<f64> {
        self.each(|curve| {
            let n = curve.len().div_ceil(3);
            let part = if last { &curve[curve.len() - n..] } else { &curve[..n] };
            part.iter().map(|(_, accuracy)| accuracy).sum::<f64>() / n as f64
        })
    }
}

fn verdicts(tier: Tier, rows: &[Row]) -> Vec<Verdict> {
    use Acquisition::{Bald, Random};
    use MethodKind::{Bhn, Dropout, McDropout, Mle};
    let find = |method, warm, acquisition| {
        rows.iter().find(|Row { way, .. }| {
            (way.method, way.warm, way.acquisition) == (method, warm, acquisition)
        })
    };
    let mut verdicts = vec![];
    for acquisition in [Random, Bald] {
        let by = acquisition.name();
        let (Some(bhn), Some(mc)) =
            (find(Bhn, true, acquisition), find(McDropout, false, acquisition))
        else {
            continue;
        };
        let quantity = |part| {
            format!(
                "accuracy of the warm BHN less that of MC dropout, mean of the {part} third of tests, %"
            )
        };
        verdicts.push(Verdict {
            claim: format!("With {by} acquisition, a warm BHN starts behind MC dropout"),
            quantity: quantity("first"),
            mean: Mean::of(&minus(&bhn.third(false), &mc.third(false))),
            range: f64::NEG_INFINITY..=0.,
        });
        let claim = format!("With {by} acquisition, a warm BHN ends ahead of MC dropout");
        let values = minus(&bhn.third(true), &mc.third(true));
        verdicts.push(positive(claim, quantity("last"), &values));
    }
    let area = "difference of the mean accuracies over the curve, %";
    for (method, warm, words) in [(Bhn, true, "a warm BHN"), (McDropout, false, "MC dropout")] {
        if let (Some(a), Some(b)) = (find(method, warm, Bald), find(method, warm, Random)) {
            let claim = format!("BALD chooses better than chance for {words}");
            verdicts.push(positive(claim, area, &minus(&a.areas(), &b.areas())));
        }
    }
    if let (Some(bald), Some(random)) = (find(Mle, false, Bald), find(Mle, false, Random)) {
        let claim = "BALD of a network without uncertainty, rounding alone, still chooses better than chance";
        verdicts.push(positive(claim, area, &minus(&bald.areas(), &random.areas())));
    }
    if let [Some(mle), Some(mc), Some(dropout)] =
        [Mle, McDropout, Dropout].map(|method| find(method, false, Random))
    {
        verdicts.push(Verdict {
            claim: "With random acquisition, maximum likelihood is at most a point worse than MC dropout"
                .into(),
            quantity: area.into(),
            mean: Mean::of(&minus(&mle.areas(), &mc.areas())),
            range: -1. ..=f64::INFINITY,
        });
        let claim = "With random acquisition, maximum likelihood is better than dropout";
        verdicts.push(positive(claim, area, &minus(&mle.areas(), &dropout.areas())));
    }
    if tier == Tier::Paper {
        for acquisition in [Random, Bald] {
            let by = acquisition.name();
            for (method, words, helps) in
                [(Bhn, "helps a BHN", true), (McDropout, "hurts MC dropout", false)]
            {
                let pair = (find(method, true, acquisition), find(method, false, acquisition));
                let (Some(warm), Some(cold)) = pair else { continue };
                let range = if helps { 0. ..=f64::INFINITY } else { f64::NEG_INFINITY..=0. };
                verdicts.push(Verdict {
                    claim: format!("With {by} acquisition, a warm start {words}"),
                    quantity: area.into(),
                    mean: Mean::of(&minus(&warm.areas(), &cold.areas())),
                    range,
                });
            }
        }
    }
    verdicts
}

fn table(rows: &[Row], counts: &[usize; 3]) -> Table {
    let caption = "Accuracy along the curves, means over seeds with one standard error, in per cent. The mean is over \
        labels, from the first to the last; labels to 95 % are those of the first test at 95 % or more.";
    let at = counts.map(|n| format!("with {n} labels"));
    let header = ["network", "acquisition", "mean", &at[0], &at[1], &at[2], "labels to 95 %"];
    let mut table = Table::new("areas", caption, &header);
    for row in rows {
        let reached: Vec<_> =
            row.found.iter().filter_map(|rounds| labels_to(&tested(rounds), 95.)).collect();
        let seeds = row.found.len();
        let mean = || Mean::of(&reached.iter().map(|&n| n as f64).collect::<Vec<_>>());
        let reached = match reached.len() {
            0 => "never".to_string(),
            n if n < seeds => format!("{:.0}, {n} of {seeds} seeds", mean().value),
            _ => mean().to_string(),
        };
        let mut entries = vec![row.way.net(), row.way.acquisition.name().into()];
        entries.push(Mean::of(&row.areas()).to_string());
        entries.extend(counts.iter().map(|&n| Mean::of(&row.at(n)).to_string()));
        entries.push(reached);
        table.row(entries);
    }
    table
}

fn figure(rows: &[Row]) -> Figure {
    let mut choices: Vec<_> = rows.iter().map(|row| row.way.acquisition).collect();
    choices.dedup();
    let layer = |row: &Row| {
        let point = |&(labels, _): &(usize, f64)| {
            let mean = Mean::of(&row.at(labels));
            (labels as f64, mean.value, if mean.error.is_finite() { mean.error } else { 0. })
        };
        let points = tested(&row.found[0]).iter().map(point).collect();
        Drawn { name: row.way.net(), ink: row.way.ink(), mark: Mark::Curve(points) }
    };
    let panel = |&choice: &Acquisition| Panel {
        title: choice.name().into(),
        x: Axis::new("labels"),
        y: Axis::new("test accuracy, %"),
        layers: rows.iter().filter(|row| row.way.acquisition == choice).map(layer).collect(),
    };
    let chart =
        Chart { columns: 3, size: (330., 300.), panels: choices.iter().map(panel).collect() };
    let caption = "Test accuracy by labels. A panel a way to choose, a line a network: means over seeds, bars of one \
        standard error.";
    Figure { name: "active".into(), caption: caption.into(), chart }
}

/// What the first seed bought: a column a round, the most wanted at the top.
fn sheet(row: &Row, data: &Dataset, protocol: &Protocol) -> Sheet {
    let rounds = &row.found[0][..protocol.rounds];
    let bought = (0..protocol.bought).flat_map(|i| rounds.iter().map(move |round| round.bought[i]));
    let bought: Vec<_> = bought.collect();
    let images: Array2<f32> = data.train.x.select(Along(0), &bought);
    let (net, choice) = (row.way.net(), row.way.acquisition.name());
    Sheet {
        name: format!("bought-{}", row.way.key()),
        caption: format!(
            "What {net} bought with {choice} acquisition, seed 0. A column a round, the most wanted at the top."
        ),
        columns: rounds.len(),
        shape: data.image.expect("digits are images"),
        images,
    }
}

fn curves(rows: &[Row]) -> Table {
    let header = ["network", "acquisition", "seed", "labels", "accuracy"];
    let mut table = Table::new("curves", "Test accuracy by labels.", &header);
    for row in rows {
        for (seed, rounds) in row.found.iter().enumerate() {
            for (labels, accuracy) in tested(rounds) {
                let way = [row.way.net(), row.way.acquisition.name().into(), seed.to_string()];
                let numbers = [labels.to_string(), format!("{accuracy:.2}")];
                table.row(way.into_iter().chain(numbers).collect());
            }
        }
    }
    table
}

fn bought(rows: &[Row], data: &Dataset) -> Table {
    let header = ["network", "acquisition", "seed", "round", "row", "label"];
    let caption =
        "What was bought: rows of the training set from 0, in the order they were wanted.";
    let mut table = Table::new("bought", caption, &header);
    let labels = data.train.y.classes();
    for row in rows {
        for (seed, rounds) in row.found.iter().enumerate() {
            for (number, round) in rounds.iter().enumerate() {
                for &image in &round.bought {
                    let way = [row.way.net(), row.way.acquisition.name().into(), seed.to_string()];
                    let numbers = [number, image, labels[image]].map(|n| n.to_string());
                    table.row(way.into_iter().chain(numbers).collect());
                }
            }
        }
    }
    table
}
