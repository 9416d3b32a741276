//! The fast gradient sign: how long does accuracy last, and does uncertainty see the attack?
pub mod attack;

use super::digits::{Net, digits, look, mean_of, minus, percent, positive, probabilities};
use super::{Cell, Experiment, Lab, Tier};
use crate::autodiff::Tape;
use crate::data::Dataset;
use crate::error::Result;
use crate::metrics::{auroc, predictions};
use crate::predict::score::Score;
use crate::random::{Purpose, stream};
use crate::report::chart::{Axis, Chart, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::run::Trained;
use crate::run::config::Config;
use crate::stats::welch;
use ndarray::{Array2, ArrayView2};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// `bhn reproduce adversarial`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "adversarial",
    place: "the second version's section on adversarial examples",
    claim: "A Bayesian hypernet defends better than dropout against the fast gradient sign.",
    version: 2,
    seeds: [1, 3, 3],
    seconds: [1., 145., 1500.],
    run,
};

const NETS: [Net; 5] = [Net::MLE, Net::BHN_8, Net::MC_DROPOUT, Net::DROPOUT, Net::BHN_0];
/// Seeds of the networks that an attack is transferred from are so many higher.
const SOURCE: u64 = 1000;

/// How large it all is.
struct Size {
    /// Of the training set; all if none.
    subset: Option<usize>,
    epochs: usize,
    images: usize,
    samples: usize,
    /// Sizes of a step.
    steps: usize,
}

impl Size {
    fn of(tier: Tier) -> Self {
        let [smoke, quick, paper] = [
            Self { subset: Some(600), epochs: 1, images: 60, samples: 5, steps: 4 },
            Self { subset: None, epochs: 10, images: 1000, samples: 50, steps: 20 },
            Self { subset: None, epochs: 100, images: 10_000, samples: 100, steps: 20 },
        ];
        tier.pick([smoke, quick, paper])
    }

    /// From 0.001 to 0.5, evenly.
    fn epsilons(&self) -> Vec<f64> {
        let last = self.steps as f64 - 1.;
        (0..self.steps).map(|i| 0.001 + 0.499 * i as f64 / last).collect()
    }
}

/// Where the gradient comes from, in the order of [`Found::attacks`].
const ATTACKS: [&str; 2] = ["white box", "transfer from MLE"];

/// What became of one network.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Found {
    /// On the images before an attack.
    accuracy: f64,
    /// Rows as [`ATTACKS`], columns as the sizes of a step.
    attacks: [Vec<Attacked>; 2],
}

/// What one step did.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attacked {
    accuracy: f64,
    /// AUROC of attacked (positive) against clean images, one a score of the net.
    attacked: Vec<f64>,
    /// AUROC of attacked images answered wrongly (positive) against those answered rightly; none if
    /// there is but one kind.
    wrong: Vec<Option<f64>>,
}

/// `found[net][seed]`.
struct Results {
    epsilons: Vec<f64>,
    found: Vec<Vec<Found>>,
}

fn run(lab: &Lab<'_>) -> Result<Report> {
    let size = Size::of(lab.tier);
    let data = digits(lab, size.subset)?;
    // Attacks are transferred from networks of other seeds, lest one be its own source.
    let cell =
        |seed| Cell { key: source(seed), cost: Net::MLE.cost(size.epochs, 0, 1), input: seed };
    let sources: Vec<_> = (0..lab.seeds).map(cell).collect();
    lab.cells(&sources, |seed| train_source(lab, &size, *seed, &data))?;
    let mut cells = vec![];
    for net in NETS {
        for seed in 0..lab.seeds {
            let key = format!("{}-{seed}", net.key);
            let images = size.images * (2 * size.steps + 10);
            let cost = net.cost(size.epochs, images, size.samples);
            cells.push(Cell { key, cost, input: (net, seed) });
        }
    }
    let found = lab.cells(&cells, |(net, seed)| measure(lab, &size, net, *seed, &data))?;
    let found = found.chunks(lab.seeds as usize).map(<[Found]>::to_vec).collect();
    Ok(report(lab, &size, &Results { epsilons: size.epsilons(), found }))
}

/// Where the network is whose gradients others are attacked with.
fn source(seed: u64) -> String {
    format!("source-{seed}")
}

fn train_source(lab: &Lab<'_>, size: &Size, seed: u64, data: &Dataset) -> Result<()> {
    let config = Net::MLE.config(lab.tier, 10, size.epochs, SOURCE + seed);
    let config = Config { subset: size.subset, ..config };
    lab.run_on(&source(seed), &config, data.clone()).map(drop)
}

fn measure(lab: &Lab<'_>, size: &Size, net: &Net, seed: u64, data: &Dataset) -> Result<Found> {
    let config = net.config(lab.tier, 10, size.epochs, seed);
    let config = Config { subset: size.subset, ..config };
    let (_, trained) = lab.run_on(&format!("{}-{seed}", net.key), &config, data.clone())?;
    let source = Trained::load(&lab.dir.join("runs").join(source(seed)))?;
    let mut rows: Vec<_> = (0..data.test.len()).collect();
    rows.shuffle(&mut stream(seed, Purpose::Evaluation, 1));
    rows.truncate(size.images);
    let (x, y) = data.test.batch(&rows);
    let y = y.classes();
    let clean = look(&trained, size.samples, x.view());
    let clean_scores: Vec<_> = net.scores().iter().map(|score| score.of(&clean)).collect();
    let attack = |from: &Trained| {
        let gradient = gradient(from, size.samples, x.view(), y);
        let step = |epsilon: f64| {
            let moved = attack::moved(x.view(), &gradient, epsilon);
            let seen = look(&trained, size.samples, moved.view());
            let right = rights(probabilities(&seen), y);
            let scores: Vec<_> = net.scores().iter().map(|score| score.of(&seen)).collect();
            let pairs = scores.iter().zip(&clean_scores);
            Attacked {
                accuracy: share(&right),
                attacked: pairs.map(|(seen, clean)| auroc(seen, clean).value).collect(),
                wrong: scores.iter().map(|scores| wrong_above_right(scores, &right)).collect(),
            }
        };
        size.epsilons().into_iter().map(step).collect()
    };
    let accuracy = share(&rights(probabilities(&clean), y));
    Ok(Found { accuracy, attacks: [attack(&trained), attack(&source)] })
}

/// Of the averaged loss by the images, in `f64`, with samples of the attacker's own.
fn gradient(from: &Trained, samples: usize, x: ArrayView2<'_, f32>, y: &[usize]) -> Array2<f64> {
    let config = &from.header.config;
    let (params, task) = (&from.model.params, &from.header.task);
    let mut model = config.build_with::<f64>(x.ncols(), task, params.buffers().clone());
    model.params = params.cast();
    let tape = Tape::default();
    let rng = &mut stream(config.seed, Purpose::Evaluation, 2);
    let p = model.params.freeze(&tape);
    let theta = model.posterior.predictive(&p, &tape, config.samples(samples), rng).theta;
    attack::gradient(&model, &theta.value(), x.mapv(f64::from).view(), y)
}

fn rights(p: ArrayView2<'_, f32>, y: &[usize]) -> Vec<bool> {
    predictions(p).iter().zip(y).map(|(found, label)| found == label).collect()
}

fn share(right: &[bool]) -> f64 {
    right.iter().filter(|right| **right).count() as f64 / right.len() as f64
}

fn wrong_above_right(scores: &[f64], right: &[bool]) -> Option<f64> {
    let of = |kind: bool| -> Vec<f64> {
        scores.iter().zip(right).filter(|(_, right)| **right == kind).map(|(s, _)| *s).collect()
    };
    let (wrong, right) = (of(false), of(true));
    (!wrong.is_empty() && !right.is_empty()).then(|| auroc(&wrong, &right).value)
}

impl Results {
    fn of(&self, net: &Net) -> &[Found] {
        &self.found[NETS.iter().position(|other| other == net).expect("one of them")]
    }

    /// One value a seed, after a step of one size.
    fn at(&self, net: &Net, attack: usize, step: usize, of: impl Fn(&Attacked) -> f64) -> Vec<f64> {
        self.of(net).iter().map(|found| of(&found.attacks[attack][step])).collect()
    }

    /// The same, the mean over all sizes.
    fn mean(&self, net: &Net, attack: usize, of: impl Fn(&Attacked) -> f64) -> Vec<f64> {
        let steps = 0..self.epsilons.len();
        mean_of(&steps.map(|step| self.at(net, attack, step, &of)).collect::<Vec<_>>())
    }

    /// Over ε, with one standard error; where a seed has no value there is no point.
    fn curve(&self, net: &Net, attack: usize, of: impl Fn(&Attacked) -> f64) -> Mark {
        let point = |(step, &epsilon): (usize, &f64)| {
            let mean = Mean::of(&self.at(net, attack, step, &of));
            (epsilon, mean.value, mean.error)
        };
        Mark::Curve(self.epsilons.iter().enumerate().map(point).collect())
    }
}

/// The column of a score in what was kept of a net.
fn column(net: &Net, score: Score) -> Option<usize> {
    net.scores().iter().position(|other| *other == score)
}

fn report(lab: &Lab<'_>, size: &Size, results: &Results) -> Report {
    Report {
        title: "Adversarial examples: the fast gradient sign".into(),
        paper: PAPER.into(),
        ours: ours(lab, size),
        verdicts: verdicts(results),
        tables: vec![defence_table(results), accuracy_table(results)],
        figures: figures(results),
        data: vec![data_table(results)],
        ..Report::default()
    }
}

const PAPER: &str = "The paper's second version attacks networks by the fast gradient sign, \
    x + ε sign(∇ₓ CE) with the cross-entropy of the averaged prediction, and asks how accuracy falls \
    with ε, whether scores of uncertainty tell attacked from clean images, and whether they tell \
    errors from right answers. It claims that a Bayesian hypernet defends better than dropout.";

fn ours(lab: &Lab<'_>, size: &Size) -> Vec<String> {
    let width = lab.tier.pick([16, 256, 256]);
    let Size { epochs, samples, images, steps, .. } = size;
    vec![
        format!(
            "784-{width}-{width}-{width}-10 in ReLUs (ours: the network of the anomaly runs), {epochs} \
             epochs (our paper tier: 100), batch 128, Adam at 10⁻³ without decay, gradients clipped to \
             norm 100 and elements of 100; the epoch with the best validation accuracy is tested. The \
             hypernet has T couplings × {width}."
        ),
        format!(
            "{images} test digits, drawn anew for each seed; {steps} ε from 0.001 to 0.5, evenly; \
             nothing is clipped to [0, 1]. One gradient an image, of −ln (1/S) Σ p_s(y|x) with \
             S = {samples} samples of the attacker's own; the network then answers with {samples} others. \
             Dropout is attacked as it predicts, without masks."
        ),
        "Gradients are taken in f64: in single precision 1 − p of a sure answer is rounded away, and a \
         network would seem to defend where there is only no gradient left."
            .into(),
        "Transfer: the gradient is that of an MLE net of another seed, the same for all networks of one \
         seed."
            .into(),
        "Every score is higher for what is less certain. A network without samples has neither BALD, \
         nor mean STD, nor variation ratio. ± and bars are one standard error over seeds."
            .into(),
    ]
}

fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = vec![];
    let mut compare = |claim: String, of: &dyn Fn(&Net) -> Vec<f64>, other: &Net, what: &str| {
        let (ours, theirs) = (of(&Net::BHN_8), of(other));
        let p = match ours.len() {
            1 => String::new(),
            _ => match welch(&ours, &theirs).p_value {
                ..0.01 => "; Welch's p < 0.01".into(),
                p => format!("; Welch's p = {p:.2}"),
            },
        };
        verdicts.push(positive(claim, format!("{what}{p}"), &minus(&ours, &theirs)));
    };
    for (attack, words) in ATTACKS.iter().enumerate() {
        for other in [Net::MC_DROPOUT, Net::DROPOUT] {
            compare(
                format!("BHN (T = 8) defends better than {} ({words})", other.words),
                &|net| results.mean(net, attack, |a| a.accuracy),
                &other,
                "difference of accuracy, mean over ε",
            );
        }
    }
    compare(
        format!("BHN (T = 8) sees attacks better than MC dropout ({})", ATTACKS[0]),
        &|net| results.mean(net, 0, |a| a.attacked[0]),
        &Net::MC_DROPOUT,
        "difference of AUROC clean against attacked by max confidence, mean over ε",
    );
    verdicts
}

fn defence_table(results: &Results) -> Table {
    let header = [
        "net",
        "clean accuracy",
        "accuracy, white box",
        "accuracy, transfer",
        "AUROC attacked (positive) against clean, white box",
        "the same, transfer",
        "best score for it, white box",
    ];
    let caption = "Means over all ε, in %. AUROC by max confidence; in the last column by the score \
                   that sees white-box attacks best.";
    let mut table = Table::new("defence", caption, &header);
    for net in NETS {
        let clean: Vec<_> = results.of(&net).iter().map(|found| found.accuracy).collect();
        let by = |column: usize| results.mean(&net, 0, |a| a.attacked[column]);
        let value = |column: usize| Mean::of(&by(column)).value;
        let above = |a: usize, b: usize| if value(b) > value(a) { b } else { a };
        let best = (0..net.scores().len()).reduce(above).expect("a score");
        table.row(vec![
            net.words.into(),
            percent(&clean),
            percent(&results.mean(&net, 0, |a| a.accuracy)),
            percent(&results.mean(&net, 1, |a| a.accuracy)),
            percent(&by(0)),
            percent(&results.mean(&net, 1, |a| a.attacked[0])),
            format!("{} {}", net.scores()[best].name(), percent(&by(best))),
        ]);
    }
    table
}

fn accuracy_table(results: &Results) -> Table {
    let header: Vec<_> = ["attack", "ε"].into_iter().chain(NETS.map(|net| net.words)).collect();
    let mut table = Table::new("accuracy", "Accuracy in %.", &header);
    for (attack, words) in ATTACKS.iter().enumerate() {
        for (step, epsilon) in results.epsilons.iter().enumerate() {
            let entry = |net: &Net| percent(&results.at(net, attack, step, |a| a.accuracy));
            let names = [words.to_string(), format!("{epsilon:.3}")];
            table.row(names.into_iter().chain(NETS.iter().map(entry)).collect());
        }
    }
    table
}

fn data_table(results: &Results) -> Table {
    let header = [
        "net",
        "seed",
        "attack",
        "ε",
        "accuracy",
        "score",
        "AUROC (positive: attacked; negative: clean)",
        "AUROC (positive: wrong; negative: right)",
    ];
    let mut table = Table::new("steps", "Every number.", &header);
    for net in NETS {
        for (seed, found) in results.of(&net).iter().enumerate() {
            for (attack, steps) in ATTACKS.iter().zip(&found.attacks) {
                for (epsilon, step) in results.epsilons.iter().zip(steps) {
                    for (column, score) in net.scores().iter().enumerate() {
                        let wrong = step.wrong[column].map_or(String::new(), |w| w.to_string());
                        table.row(vec![
                            net.words.into(),
                            seed.to_string(),
                            attack.to_string(),
                            epsilon.to_string(),
                            step.accuracy.to_string(),
                            score.name().into(),
                            step.attacked[column].to_string(),
                            wrong,
                        ]);
                    }
                }
            }
        }
    }
    table
}

/// One panel, a curve a net; a net without such a value has none.
fn panel(title: &str, y: &str, of: impl Fn(&Net) -> Option<Mark>) -> Panel {
    let layer = |net: &Net| Some(Layer { name: net.words.into(), ink: net.ink, mark: of(net)? });
    Panel {
        title: title.into(),
        x: Axis::new("ε").range(0., 0.5),
        y: Axis::new(y).range(0., 1.),
        layers: NETS.iter().filter_map(layer).collect(),
    }
}

fn figures(results: &Results) -> Vec<Figure> {
    let accuracy = ATTACKS.iter().enumerate().map(|(attack, words)| {
        panel(words, "accuracy", |net| Some(results.curve(net, attack, |a| a.accuracy)))
    });
    let by_score = |attack: usize, of: fn(&Attacked, usize) -> f64| {
        let panels = Score::ALL.iter().map(|&score| {
            panel(score.name(), "AUROC", |net| {
                let column = column(net, score)?;
                Some(results.curve(net, attack, |a| of(a, column)))
            })
        });
        Chart { columns: 2, size: (480., 300.), panels: panels.collect() }
    };
    let attacked: fn(&Attacked, usize) -> f64 = |a, column| a.attacked[column];
    let wrong: fn(&Attacked, usize) -> f64 = |a, column| a.wrong[column].unwrap_or(f64::NAN);
    let figure = |name: &str, caption: &str, chart| Figure {
        name: name.into(),
        caption: caption.into(),
        chart,
    };
    vec![
        figure(
            "accuracy",
            "Accuracy under attack. Left with the network's own gradient, right with that of another \
             net; 0.1 is chance.",
            Chart { columns: 2, size: (480., 340.), panels: accuracy.collect() },
        ),
        figure(
            "attacked-white-box",
            "Are attacks seen? AUROC of attacked against clean images by score, white box; 0.5 is \
             chance, and below it attacked images look more certain than clean ones.",
            by_score(0, attacked),
        ),
        figure(
            "attacked-transfer",
            "Are transferred attacks seen? AUROC of attacked against clean images by score.",
            by_score(1, attacked),
        ),
        figure(
            "wrong-white-box",
            "Are errors seen? AUROC of wrong against right answers to attacked images by score, white \
             box; no point where all answers are of one kind.",
            by_score(0, wrong),
        ),
        figure(
            "wrong-transfer",
            "Are errors seen under transferred attacks? AUROC of wrong against right answers by score.",
            by_score(1, wrong),
        ),
    ]
}
