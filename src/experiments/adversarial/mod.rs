//! The fast gradient sign method: how accuracy falls under attack, and whether uncertainty detects
//! the attack.
pub mod attack;

use super::digits::{
    ABOUT_SCORES, Net, Settings, digits, mean_of, minus, percent, percent_of, positive, protocol,
    random_rows,
};
use super::{Cell, Experiment, Grid, Lab, Tier};
use crate::error::Result;
use crate::predict::score::Score;
use crate::report::chart::{Axis, Chart, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::run::Trained;
use attack::{Attacked, Found, measure};

/// `bhn reproduce adversarial`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "adversarial",
    place: "the second version's section on adversarial examples",
    claim: "A Bayesian hypernet defends better than dropout against the fast gradient sign.",
    version: 3,
    readable: 3,
    seeds: [1, 3, 3],
    seconds: [1., 145., 1500.],
    run,
};

/// Added to the seed of the MLE network whose gradient is used in transferred attacks. With an
/// equal seed the MLE network would attack itself.
const SOURCE: u64 = 1000;

fn run(lab: &Lab<'_>) -> Result<Report> {
    // Settings, number of test images, and number of step sizes ε, which are evenly spaced from
    // 0.001 to 0.5.
    let (settings, images, steps) = lab.tier.pick([
        (Settings { subset: Some(600), epochs: 1, samples: 5 }, 60, 4),
        (Settings { subset: None, epochs: 10, samples: 50 }, 1000, 20),
        (Settings { subset: None, epochs: 100, samples: 100 }, 10_000, 20),
    ]);
    let epsilon = |i| 0.001 + 0.499 * f64::from(i) / f64::from(steps - 1);
    let epsilons: Vec<_> = (0..steps).map(epsilon).collect();
    let data = digits(lab, settings.subset)?;
    let train = |net: &Net, seed, name: &str| {
        net.train(lab, &settings, 10, (seed, name), data.clone()).map(|(_, trained)| trained)
    };
    lab.repeat("source", lab.seeds, |seed| {
        train(&Net::MLE, SOURCE + seed, &format!("source-{seed}")).map(drop)
    })?;
    let rows = NETS.map(|net| {
        let cost = net.cost(&settings, images * (2 * epsilons.len() + 10));
        Cell { key: net.key.into(), cost, input: net }
    });
    let grid = lab.grid(rows, |net, seed, name| {
        let source = Trained::load(&lab.dir.join("runs").join(format!("source-{seed}")))?;
        let (x, y) = data.test.batch(&random_rows(data.test.len(), images, 1));
        let networks = [&train(net, seed, name)?, &source];
        Ok(measure(net, settings.samples, networks, &epsilons, x.view(), y.classes()))
    })?;
    let results = Results { grid, epsilons };
    Ok(Report {
        title: "Adversarial examples: the fast gradient sign".into(),
        paper: PAPER.into(),
        ours: ours(lab.tier, &settings, images, steps),
        verdicts: verdicts(&results),
        tables: vec![defence(&results), accuracy(&results)],
        figures: figures(&results),
        data: vec![by_step(&results)],
        ..Report::default()
    })
}

const NETS: [Net; 5] = [Net::MLE, Net::BHN_8, Net::MC_DROPOUT, Net::DROPOUT, Net::BHN_0];

/// Names of the attacks, by the origin of the gradient, in the order of [`Found::attacks`].
const ATTACKS: [&str; 2] = ["white box", "transfer from MLE"];

/// Results by net and seed, and the step sizes.
struct Results {
    grid: Grid<Net, Found>,
    epsilons: Vec<f64>,
}

impl Results {
    /// One value per seed, at the `ε` with index `step`.
    fn at(&self, net: &Net, attack: usize, step: usize, of: impl Fn(&Attacked) -> f64) -> Vec<f64> {
        self.grid[net.key].values(|found| of(&found.attacks[attack][step]))
    }

    /// One value per seed, averaged over all `ε`.
    fn mean(&self, net: &Net, attack: usize, of: impl Fn(&Attacked) -> f64) -> Vec<f64> {
        let steps = 0..self.epsilons.len();
        mean_of(&steps.map(|step| self.at(net, attack, step, &of)).collect::<Vec<_>>())
    }

    /// Means over seeds as a curve over `ε`. An `ε` at which a seed has no value has no point.
    fn curve(&self, net: &Net, attack: usize, of: impl Fn(&Attacked) -> f64) -> Mark {
        let point = |(step, &epsilon): (usize, &f64)| {
            let mean = Mean::of(&self.at(net, attack, step, &of));
            (epsilon, mean.value, mean.error)
        };
        Mark::Curve(self.epsilons.iter().enumerate().map(point).collect())
    }
}

fn verdicts(results: &Results) -> Vec<Verdict> {
    let accuracy = "difference of accuracy, mean over ε";
    let mut verdicts = vec![];
    for (attack, name) in ATTACKS.iter().enumerate() {
        for other in [Net::MC_DROPOUT, Net::DROPOUT] {
            let claim = format!("BHN (T = 8) defends better than {} ({name})", other.name);
            let of_images = |net: &Net| {
                let right = results.grid[net.key].results.iter().map(|found| &found.right[attack]);
                right.map(|right| right.shares(results.epsilons.len())).collect::<Vec<_>>()
            };
            let (ours, theirs) = (of_images(&Net::BHN_8), of_images(&other));
            let pairs = ours.iter().zip(&theirs).map(|(a, b)| minus(a, b));
            let mean = Mean::over_seeds_and_items(&pairs.collect::<Vec<_>>());
            verdicts.push(positive(claim, accuracy, mean));
        }
    }
    let claim = format!("BHN (T = 8) detects attacks better than MC dropout ({})", ATTACKS[0]);
    let detection = "difference of AUROC, clean against attacked by max confidence, mean over ε";
    let [ours, theirs] =
        [Net::BHN_8, Net::MC_DROPOUT].map(|net| results.mean(&net, 0, |a| a.attacked[0]));
    verdicts.push(positive(claim, detection, Mean::of(&minus(&ours, &theirs))));
    verdicts
}

fn defence(results: &Results) -> Table {
    let attacked = |net: &Net, column: usize| results.mean(net, 0, |a| a.attacked[column]);
    let accuracy = |net: &Net, attack| percent(&results.mean(net, attack, |a| a.accuracy));
    let best = |net: &Net| {
        let value = |column: usize| Mean::of(&attacked(net, column)).value;
        let above = |a: usize, b: usize| if value(b) > value(a) { b } else { a };
        let best = (0..net.scores().len()).reduce(above).expect("a score");
        format!("{} {}", net.scores()[best].name(), percent(&attacked(net, best)))
    };
    Table::of("defence", DEFENCE, NETS).columns(&[
        ("net", &|net| net.name.into()),
        ("clean accuracy", &|net| {
            let right = results.grid[net.key].results.iter().map(|found| found.clean.right());
            percent_of(Mean::over_seeds_and_items(&right.collect::<Vec<_>>()))
        }),
        ("accuracy, white box", &|net| accuracy(net, 0)),
        ("accuracy, transfer", &|net| accuracy(net, 1)),
        ("AUROC, white box", &|net| percent(&attacked(net, 0))),
        ("AUROC, transfer", &|net| percent(&results.mean(net, 1, |a| a.attacked[0]))),
        ("best score, white box", &best),
    ])
}

const DEFENCE: &str = "Means over all ε, in %. AUROC of attacked (positive) against clean images \
    by max confidence; in the last column by the score that detects white-box attacks best.";

fn accuracy(results: &Results) -> Table {
    let header = ["attack", "ε"].into_iter().chain(NETS.map(|net| net.name));
    let mut table = Table::new("accuracy", "Accuracy in %.", header);
    for (attack, name) in ATTACKS.iter().enumerate() {
        for (step, epsilon) in results.epsilons.iter().enumerate() {
            let entry = |net: &Net| percent(&results.at(net, attack, step, |a| a.accuracy));
            table.wide_row(&[name, &format_args!("{epsilon:.3}")], NETS.iter().map(entry));
        }
    }
    table
}

fn by_step(results: &Results) -> Table {
    let steps = results.grid.results().flat_map(|(row, seed, found)| {
        let attacks = ATTACKS.iter().zip(&found.attacks);
        let steps = attacks.flat_map(|(attack, steps)| {
            results.epsilons.iter().zip(steps).map(move |(epsilon, step)| (attack, epsilon, step))
        });
        let scores = row.input.scores().iter().enumerate();
        steps.flat_map(move |step| scores.clone().map(move |score| (row, seed, step, score)))
    });
    Table::of("steps", "All results.", steps).columns(&[
        ("net", &|(row, ..)| row.input.name.into()),
        ("seed", &|(_, seed, ..)| seed.to_string()),
        ("attack", &|(_, _, (attack, ..), _)| attack.to_string()),
        ("ε", &|(_, _, (_, epsilon, _), _)| epsilon.to_string()),
        ("accuracy", &|(_, _, (.., step), _)| step.accuracy.to_string()),
        ("score", &|(.., (_, score))| score.name().into()),
        ("AUROC (positive: attacked; negative: clean)", &|(_, _, (.., step), (column, _))| {
            step.attacked[*column].to_string()
        }),
        ("AUROC (positive: wrong; negative: right)", &|(_, _, (.., step), (column, _))| {
            step.wrong[*column].map_or(String::new(), |wrong| wrong.to_string())
        }),
    ])
}

/// A panel over `ε` with the curve `of(net)` of each net; `None` if the net has no curve.
fn panel(title: &str, y: &str, of: impl Fn(&Net) -> Option<Mark>) -> Panel {
    let layer = |net: &Net| Some(Layer::new(net.name, net.ink, of(net)?));
    Panel {
        title: title.into(),
        x: Axis::new("ε").range(0., 0.5),
        y: Axis::new(y).range(0., 1.),
        layers: NETS.iter().filter_map(layer).collect(),
    }
}

fn figures(results: &Results) -> Vec<Figure> {
    let accuracy = ATTACKS.iter().enumerate().map(|(attack, name)| {
        panel(name, "accuracy", |net| Some(results.curve(net, attack, |a| a.accuracy)))
    });
    let accuracy = Chart { columns: 2, size: (480., 340.), panels: accuracy.collect() };
    let by_score = |attack: usize, of: fn(&Attacked, usize) -> f64| {
        let panels = Score::ALL.iter().map(|score| {
            panel(score.name(), "AUROC", |net| {
                let column = net.scores().iter().position(|other| other == score)?;
                Some(results.curve(net, attack, |a| of(a, column)))
            })
        });
        Chart { columns: 2, size: (480., 300.), panels: panels.collect() }
    };
    let attacked: fn(&Attacked, usize) -> f64 = |a, column| a.attacked[column];
    let wrong: fn(&Attacked, usize) -> f64 = |a, column| a.wrong[column].unwrap_or(f64::NAN);
    vec![
        Figure::new("accuracy", ACCURACY, accuracy),
        Figure::new("attacked-white-box", ATTACKED, by_score(0, attacked)),
        Figure::new("attacked-transfer", ATTACKED_TRANSFER, by_score(1, attacked)),
        Figure::new("wrong-white-box", WRONG, by_score(0, wrong)),
        Figure::new("wrong-transfer", WRONG_TRANSFER, by_score(1, wrong)),
    ]
}

const ACCURACY: &str = "Accuracy under attack. Left with the network's own gradient, right with \
    that of another net; 0.1 is chance.";
const ATTACKED: &str = "Detection of attacks. AUROC of attacked against clean images by score, \
    white box; 0.5 is chance; below it attacked images look more certain than clean ones.";
const ATTACKED_TRANSFER: &str =
    "Detection of transferred attacks. AUROC of attacked against clean images by score.";
const WRONG: &str = "Detection of errors. AUROC of wrong against right answers to attacked images \
    by score, white box; no point where all answers are right or all are wrong.";
const WRONG_TRANSFER: &str = "Detection of errors under transferred attacks. AUROC of wrong \
    against right answers by score.";
const PAPER: &str = "The paper's second version attacks networks by the fast gradient sign, x + ε \
    sign(∇ₓ CE) with the cross-entropy of the averaged prediction, and asks how accuracy falls \
    with ε, whether uncertainty scores separate attacked from clean images, and whether they \
    separate errors from right answers. It claims that a Bayesian hypernet defends better than \
    dropout.";

fn ours(tier: Tier, settings: &Settings, images: usize, steps: i32) -> String {
    let Settings { epochs, samples, .. } = settings;
    let protocol = protocol(tier, 10, *epochs);
    format!(
        "{protocol} This is the network of the anomaly experiment; the choice is ours.\n\
         {images} test digits, the same for all seeds; {steps} values of ε evenly from 0.001 to \
         0.5; images are not clipped to [0, 1]. One gradient per image, of −ln (1/S) Σ p_s(y|x) \
         with S = {samples} samples of the attacker; the network answers with {samples} others. \
         Dropout is attacked as it predicts, without masks.\n\
         Gradients are computed in double precision: in single precision 1 − p of a confident \
         answer is rounded to 0, and a vanished gradient would look like a defence.\n\
         Transfer: the gradient of an MLE net with another seed, the same for all networks of one \
         seed.\n\
         {ABOUT_SCORES} Errors of differences of accuracy in the verdicts, and of the clean \
         accuracy, are over seeds and images, paired by both; those of AUROCs are over seeds."
    )
}
