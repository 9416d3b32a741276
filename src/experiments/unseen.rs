//! Table 3: a digit that training left out, told from the others by how uncertain it makes the network.
use super::digits::{
    Measure, Net, bars, digits, look, mean_of, minus, percent, positive, probabilities,
};
use super::{Cell, Experiment, Lab, Tier};
use crate::data::{Dataset, Split, Targets, Task};
use crate::error::Result;
use crate::metrics::{Detection, accuracy};
use crate::predict::score::Score;
use crate::random::{Purpose, stream};
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::Config;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// `bhn reproduce unseen`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "unseen",
    place: "Table 3",
    claim: "Scores of dispersion (mean STD, BALD) help the Bayesian nets to find a class that \
            training left out.",
    version: 2,
    seeds: [1, 3, 3],
    seconds: [1., 250., 7000.],
    run,
};

const NETS: [Net; 4] = [Net::MLE, Net::BHN_4, Net::MC_DROPOUT, Net::DROPOUT];
/// The claim is about these.
const BAYESIAN: [Net; 2] = [Net::BHN_4, Net::MC_DROPOUT];
const DIGITS: usize = 10;

/// How large it all is.
struct Size {
    /// Of the training set; all if none.
    subset: Option<usize>,
    epochs: usize,
    samples: usize,
}

impl Size {
    fn of(tier: Tier) -> Self {
        let [smoke, quick, paper] = [
            Self { subset: Some(300), epochs: 1, samples: 5 },
            Self { subset: None, epochs: 3, samples: 100 },
            Self { subset: None, epochs: 100, samples: 100 },
        ];
        tier.pick([smoke, quick, paper])
    }
}

/// What a network makes of a digit that it was not trained on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Found {
    /// On the nine digits.
    accuracy: f64,
    /// One a score of the net.
    scores: Vec<Detection>,
}

/// `found[net][digit][seed]`.
struct Results(Vec<Vec<Vec<Found>>>);

fn run(lab: &Lab<'_>) -> Result<Report> {
    let size = Size::of(lab.tier);
    let data = digits(lab, size.subset)?;
    let mut cells = vec![];
    for net in NETS {
        for digit in 0..DIGITS {
            for seed in 0..lab.seeds {
                let key = format!("{}-without-{digit}-{seed}", net.key);
                let cost = net.cost(size.epochs, 2000, size.samples);
                cells.push(Cell { key, cost, input: (net, digit, seed) });
            }
        }
    }
    let measured =
        |(net, digit, seed): &(Net, usize, u64)| measure(lab, &size, net, &data, (*digit, *seed));
    let mut found = lab.cells(&cells, measured)?.into_iter();
    let seeds = lab.seeds as usize;
    let mut by_digit = || (0..DIGITS).map(|_| found.by_ref().take(seeds).collect()).collect();
    Ok(report(lab, &size, &Results(NETS.iter().map(|_| by_digit()).collect())))
}

/// `data` of nine digits, labels 0 to 8 in their order, and the test examples of the tenth.
fn without(data: &Dataset, digit: usize) -> (Dataset, Split) {
    let part = |split: &Split, keep: bool| {
        let y = split.y.classes();
        let rows: Vec<_> = (0..split.len()).filter(|&n| (y[n] != digit) == keep).collect();
        let (x, _) = split.batch(&rows);
        let label = |&n: &usize| if y[n] > digit { y[n] - 1 } else { y[n] };
        Split { x, y: Targets::Classes(rows.iter().map(label).collect()) }
    };
    let names = (0..DIGITS).filter(|&d| d != digit).map(|d| d.to_string()).collect();
    let nine = Dataset {
        name: format!("{} without {digit}", data.name),
        task: Task::Classification { classes: names },
        image: data.image,
        preprocess: data.preprocess.clone(),
        notes: vec![],
        train: part(&data.train, true),
        validation: part(&data.validation, true),
        test: part(&data.test, true),
    };
    (nine, part(&data.test, false))
}

fn measure(
    lab: &Lab<'_>,
    size: &Size,
    net: &Net,
    data: &Dataset,
    (digit, seed): (usize, u64),
) -> Result<Found> {
    let (data, unseen) = without(data, digit);
    let config = net.config(lab.tier, DIGITS - 1, size.epochs, seed);
    let config = Config { subset: size.subset, ..config };
    let key = format!("{}-without-{digit}-{seed}", net.key);
    let (run, trained) = lab.run_on(&key, &config, data)?;
    let data = run.data;
    let mut rows: Vec<_> = (0..data.test.len()).collect();
    rows.shuffle(&mut stream(seed, Purpose::Evaluation, 1));
    rows.truncate(unseen.len());
    let (x, y) = data.test.batch(&rows);
    let y = y.classes();
    let inside = look(&trained, size.samples, x.view());
    let outside = look(&trained, size.samples, unseen.x.view());
    let detect = |score: &Score| Detection::of(&score.of(&inside), &score.of(&outside));
    Ok(Found {
        accuracy: accuracy(probabilities(&inside), y).value,
        scores: net.scores().iter().map(detect).collect(),
    })
}

impl Results {
    fn of(&self, net: &Net) -> &[Vec<Found>] {
        &self.0[NETS.iter().position(|other| other == net).expect("one of them")]
    }

    /// One value a seed, for one digit.
    fn on(&self, net: &Net, digit: usize, score: Score, of: Measure) -> Vec<f64> {
        let column = net.scores().iter().position(|other| *other == score).expect("one it has");
        self.of(net)[digit].iter().map(|found| of(&found.scores[column])).collect()
    }

    /// The same, the mean over all digits.
    fn mean(&self, net: &Net, score: Score, of: Measure) -> Vec<f64> {
        mean_of(&(0..DIGITS).map(|digit| self.on(net, digit, score, of)).collect::<Vec<_>>())
    }
}

fn auroc(detection: &Detection) -> f64 {
    detection.auroc.value
}

/// The blocks of Table 3.
const BLOCKS: [(&str, &str, Measure); 3] = [
    ("auroc", "AUROC in %; chance is 50.", auroc),
    ("aupr-in", "AUPR+ in %: the nine digits are positive. Chance is 50.", |d| d.aupr_in),
    ("aupr-out", "AUPR− in %: the unseen digit is positive. Chance is 50.", |d| d.aupr_out),
];

fn report(lab: &Lab<'_>, size: &Size, results: &Results) -> Report {
    Report {
        title: "Table 3: a digit that training left out".into(),
        paper: PAPER.into(),
        ours: ours(lab, size),
        verdicts: verdicts(results),
        tables: BLOCKS.map(|block| block_table(results, block)).into(),
        figures: figures(results),
        data: vec![data_table(results)],
        ..Report::default()
    }
}

const PAPER: &str = "The paper leaves one digit out of training at a time and takes it for the anomaly: a \
    good score tells the unseen digit from the nine that were trained on. It reports ten rows, one a \
    digit, in three blocks (AUROC, AUPR+, AUPR−), and claims that this shows the benefit of scores that \
    reflect the dispersion of posterior samples, mean STD and BALD, for the Bayesian nets.";

fn ours(lab: &Lab<'_>, size: &Size) -> Vec<String> {
    let width = lab.tier.pick([16, 256, 256]);
    let Size { epochs, samples, .. } = size;
    vec![
        format!(
            "784-{width}-{width}-{width}-9 in ReLUs on the training digits but one, labels renumbered; \
             {epochs} epochs (our paper tier: 100), batch 128, Adam at 10⁻³ without decay, gradients \
             clipped to norm 100 and elements of 100; the epoch with the best validation accuracy on \
             the nine digits is tested. The hypernet has 4 couplings × {width}. {samples} posterior \
             samples."
        ),
        "Positive and negative examples are as many: all test images of the unseen digit (about 1000), \
         and as many of the other nine, drawn anew for each seed. The paper does not say what its \
         proportions were, and AUPR depends on them."
            .into(),
        "Every score is higher for what is less certain. A network without samples has neither BALD, \
         nor mean STD, nor variation ratio."
            .into(),
        "± is one standard error over seeds; a verdict's value for one seed is the mean over the ten \
         digits. All numbers are in detections.csv, with DeLong's standard errors over images."
            .into(),
    ]
}

fn verdicts(results: &Results) -> Vec<Verdict> {
    let confidence = |net: &Net| results.mean(net, Score::MaxConfidence, auroc);
    let mut verdicts = vec![];
    for net in BAYESIAN {
        for score in [Score::MeanStd, Score::Bald] {
            let dispersion = results.mean(&net, score, auroc);
            verdicts.push(positive(
                format!("{} helps {}: it is above max confidence", score.name(), net.words),
                "difference of AUROC, mean over ten digits",
                &minus(&dispersion, &confidence(&net)),
            ));
            verdicts.push(positive(
                format!("{} of {} is above max confidence of MLE", score.name(), net.words),
                "difference of AUROC, mean over ten digits",
                &minus(&dispersion, &confidence(&Net::MLE)),
            ));
        }
    }
    verdicts
}

/// Ten digits and their mean, a column a score of a net.
fn block_table(results: &Results, (name, caption, of): (&str, &str, Measure)) -> Table {
    let pairs = || NETS.iter().flat_map(|net| net.scores().iter().map(move |&score| (net, score)));
    let words: Vec<_> =
        pairs().map(|(net, score)| format!("{}: {}", net.words, score.name())).collect();
    let header: Vec<_> = ["unseen"].into_iter().chain(words.iter().map(String::as_str)).collect();
    let mut table = Table::new(name, caption, &header);
    for digit in 0..DIGITS {
        let entry = |(net, score): (&Net, Score)| {
            format!("{:.1}", 100. * Mean::of(&results.on(net, digit, score, of)).value)
        };
        table.row([digit.to_string()].into_iter().chain(pairs().map(entry)).collect());
    }
    let mean = pairs().map(|(net, score)| percent(&results.mean(net, score, of)));
    table.row(["mean".to_string()].into_iter().chain(mean).collect());
    table
}

fn data_table(results: &Results) -> Table {
    let header = [
        "net",
        "unseen digit",
        "seed",
        "accuracy on the others",
        "score",
        "AUROC",
        "standard error over images",
        "AUPR+ (positive: nine digits)",
        "AUPR− (positive: unseen digit)",
        "FPR95 (positive: nine digits)",
    ];
    let mut table = Table::new("detections", "Every number.", &header);
    for net in NETS {
        for (digit, seeds) in results.of(&net).iter().enumerate() {
            for (seed, found) in seeds.iter().enumerate() {
                for (score, d) in net.scores().iter().zip(&found.scores) {
                    let name = [net.words.to_string(), digit.to_string(), seed.to_string()];
                    let numbers = [d.auroc.value, d.auroc.error, d.aupr_in, d.aupr_out, d.fpr95];
                    let accuracy = found.accuracy.to_string();
                    let middle = [accuracy, score.name().to_string()];
                    let numbers = numbers.map(|number| number.to_string());
                    table.row(name.into_iter().chain(middle).chain(numbers).collect());
                }
            }
        }
    }
    table
}

/// AUROC of every score of a net, digit by digit.
fn by_digit(results: &Results, net: &Net) -> Panel {
    let layer = |(color, &score): (usize, &Score)| {
        let bar = |digit: usize| {
            let mean = Mean::of(&results.on(net, digit, score, auroc));
            (digit.to_string(), mean.value, mean.error)
        };
        let bars = Mark::Bars((0..DIGITS).map(bar).collect());
        Layer { name: score.name().into(), ink: Ink::Series(color), mark: bars }
    };
    Panel {
        title: net.words.into(),
        x: Axis::new("unseen digit"),
        y: Axis::new("AUROC").range(0., 1.),
        layers: net.scores().iter().enumerate().map(layer).collect(),
    }
}

fn figures(results: &Results) -> Vec<Figure> {
    let mean = bars("", &NETS, |net, score| results.mean(net, score, auroc));
    let panels = BAYESIAN.iter().map(|net| by_digit(results, net)).collect();
    vec![
        Figure {
            name: "scores".into(),
            caption:
                "AUROC by score and method, mean over the ten digits. Bars are one standard error \
                      over seeds; a net without samples has but two scores; 0.5 is chance."
                    .into(),
            chart: Chart::one(mean),
        },
        Figure {
            name: "digits".into(),
            caption: "AUROC by unseen digit. For each score of the Bayesian nets.".into(),
            chart: Chart { columns: 1, size: (900., 320.), panels },
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Options, load};

    /// Every image is where it belongs, with the label of its digit's name.
    #[test]
    fn nine_digits_and_the_tenth() {
        let options = Options { train_subset: Some(500), ..Options::default() };
        let data = load("mnist", &options, None).unwrap();
        for digit in [0, 4, 9] {
            let (nine, unseen) = without(&data, digit);
            let Task::Classification { classes } = &nine.task else { panic!("classes") };
            assert_eq!(classes.len(), 9);
            for (part, whole) in [(&nine.train, &data.train), (&nine.test, &data.test)] {
                let (Targets::Classes(y), Targets::Classes(all)) = (&part.y, &whole.y) else {
                    panic!("classes")
                };
                let kept: Vec<_> = (0..whole.len()).filter(|&n| all[n] != digit).collect();
                assert_eq!(part.x, whole.batch(&kept).0);
                let names: Vec<_> = y.iter().map(|&label| classes[label].clone()).collect();
                let expected: Vec<_> = kept.iter().map(|&n| all[n].to_string()).collect();
                assert_eq!(names, expected);
            }
            assert_eq!(unseen.len() + nine.test.len(), data.test.len());
        }
    }
}
