//! Table 3: detection of a digit that was left out of training, by the network's uncertainty.
use super::detections::{Detected, Detections, Measure, Task as Separated, auroc, detect};
use super::digits::{
    ABOUT_SCORES, Net, Settings, digits, dots, percent, positive, predictions, probabilities,
    protocol, random_rows,
};
use super::trials::{SHARE, choose, on_digits};
use super::{Cell, Experiment, Grid, Lab, Tier};
use crate::data::{Dataset, Split, Targets, Task};
use crate::error::Result;
use crate::metrics::{Detection, accuracy};
use crate::predict::Compact;
use crate::predict::score::Score;
use crate::report::chart::{Chart, Ink};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::Config;
use serde::{Deserialize, Serialize};

/// `bhn reproduce unseen`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "unseen",
    place: "Table 3",
    claim: "Scores of dispersion (mean STD, BALD) help the Bayesian nets to detect a class that \
            was left out of training.",
    version: 5,
    readable: 5,
    seeds: [1, 3, 3],
    seconds: [1., 250., 7000.],
    run,
};

const NETS: [Net; 6] =
    [Net::MLE, Net::BHN_4, Net::BHN_4_RECIPE, Net::MC_DROPOUT, Net::DROPOUT, Net::ENSEMBLE];
/// The nets that the claim concerns.
const BAYESIAN: [Net; 2] = [Net::BHN_4, Net::MC_DROPOUT];
const DIGITS: usize = 10;

/// A network, and the digit it is not trained on.
type Variant = (Net, usize);

/// Results of one trained network.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Found {
    /// Accuracy on the nine digits.
    accuracy: f64,
    /// One detection per score of the net.
    scores: Vec<Detection>,
    /// Predictions of test images of the nine digits.
    inside: Compact,
    /// Predictions of those of the unseen digit.
    outside: Compact,
}

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = lab.tier.pick([
        Settings { subset: Some(300), epochs: 1, samples: 5 },
        Settings { subset: None, epochs: 3, samples: 100 },
        Settings { subset: None, epochs: 100, samples: 100 },
    ]);
    let data = digits(lab, settings.subset)?;
    let rows = NETS.map(|net| net.row(lab.tier, &settings));
    let (chosen, trials) = choose(lab, &data, rows, on_digits, lab.tier.pick(SHARE))?;
    let key = |net: &Net, digit: usize| format!("{}-without-{digit}", net.key);
    let row = |(net, digit): Variant| Cell {
        key: key(&net, digit),
        cost: net.cost(&settings, 2000),
        input: (net, digit),
    };
    let rows = NETS.into_iter().flat_map(|net| (0..DIGITS).map(move |digit| (net, digit)));
    // Separate the unseen digit of each network from equally many test images of the other digits.
    let grid = lab.grid(rows.map(row), |(net, digit), seed, name| {
        let (data, unseen) = without(&data, *digit);
        let config = net.config(lab.tier, DIGITS - 1, settings.epochs, seed);
        let mut config = Config { subset: settings.subset, ..config };
        chosen.set(net.key, &mut config);
        let (run, trained) = net.run(lab, name, config, data)?;
        let test = &run.data.test;
        let (x, y) = test.batch(&random_rows(test.len(), unseen.len(), 1));
        let inside = predictions(&trained, settings.samples, x.view());
        let outside = predictions(&trained, settings.samples, unseen.x.view());
        let accuracy = accuracy(probabilities(&inside), y.classes()).value;
        let scores = detect(net, &inside, &outside);
        let drawn = trained.header.config.samples(settings.samples);
        let inside = Compact::of(&inside, Some(y.classes()), drawn);
        Ok(Found { accuracy, scores, inside, outside: Compact::of(&outside, None, drawn) })
    })?;
    let labels = data.test.y.classes();
    let tasks = (0..DIGITS).map(|digit| {
        let of = |is: bool| (0..labels.len()).filter(move |&n| (labels[n] == digit) == is);
        let (nine, outside): (Vec<_>, Vec<_>) = (of(false).collect(), of(true).collect());
        let inside = random_rows(nine.len(), outside.len(), 1).iter().map(|&n| nine[n]).collect();
        Separated { name: digit.to_string(), inside, outside }
    });
    let found = Detections::new(&NETS, tasks.collect(), labels.len(), |net, digit| {
        let each = grid[&*key(net, digit)].results.iter().map(|found| {
            let Found { scores, inside, outside, .. } = found;
            Detected { scores, inside, outside }
        });
        each.collect()
    });
    Ok(Report {
        title: "Table 3: a digit that was left out of training".into(),
        paper: PAPER.into(),
        ours: ours(lab.tier, &settings),
        verdicts: verdicts(&found),
        tables: BLOCKS.map(|block| by_digit(&found, block)).into_iter().chain(trials).collect(),
        figures: figures(&found),
        data: vec![detections(&grid)],
        ..Report::default()
    })
}

/// `data` without `digit`, with the other digits relabelled 0 to 8 in order; and the test examples
/// of `digit`.
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

/// The blocks of Table 3.
const BLOCKS: [(&str, &str, Measure); 3] = [
    ("auroc", "AUROC in %; chance is 50.", auroc),
    ("aupr-in", "AUPR+ in %, the nine digits as positives; chance is 50.", |d| d.aupr_in),
    ("aupr-out", "AUPR− in %, the unseen digit as positive; chance is 50.", |d| d.aupr_out),
];

fn verdicts(found: &Detections<'_>) -> Vec<Verdict> {
    let mut verdicts = vec![];
    for net in &BAYESIAN {
        for score in [Score::MeanStd, Score::Bald] {
            for (other, whose) in
                [(net, "its max confidence"), (&Net::MLE, "max confidence of MLE")]
            {
                let claim = format!("{} of {} detects better than {whose}", score.name(), net.name);
                let confidence = (-1., other, None, Score::MaxConfidence);
                let quantity = "difference of AUROC, mean over ten digits";
                let difference = found.sum(&[(1., net, None, score), confidence]);
                verdicts.push(positive(claim, quantity, difference));
            }
        }
    }
    verdicts
}

/// A row per digit and one for their mean; a column per net and score.
fn by_digit(found: &Detections<'_>, (name, caption, of): (&str, &str, Measure)) -> Table {
    let pairs = || NETS.iter().flat_map(|net| net.scores().iter().map(move |&score| (net, score)));
    let columns = pairs().map(|(net, score)| format!("{}: {}", net.name, score.name()));
    let mut table = Table::new(name, caption, ["unseen".into()].into_iter().chain(columns));
    for (name, digit) in found.tasks_and_mean() {
        let entry = |(net, score): (&Net, Score)| {
            let values = found.of(net, digit, score, of);
            match digit {
                Some(_) => format!("{:.1}", 100. * Mean::of(&values).value),
                None => percent(&values),
            }
        };
        table.wide_row(&[&name], pairs().map(entry));
    }
    table
}

fn detections(grid: &Grid<Variant, Found>) -> Table {
    let scores = grid.results().flat_map(|(row, seed, found)| {
        let of_score = row.input.0.scores().iter().zip(&found.scores);
        of_score.map(move |(score, detection)| (row.input, seed, found, score, detection))
    });
    Table::of("detections", "All results.", scores).columns(&[
        ("net", &|((net, _), ..)| net.name.into()),
        ("unseen digit", &|((_, digit), ..)| digit.to_string()),
        ("seed", &|(_, seed, ..)| seed.to_string()),
        ("accuracy on the others", &|(_, _, found, ..)| found.accuracy.to_string()),
        ("score", &|(.., score, _)| score.name().into()),
        ("AUROC", &|(.., d)| d.auroc.value.to_string()),
        ("standard error over images", &|(.., d)| d.auroc.error.to_string()),
        ("AUPR+ (positive: nine digits)", &|(.., d)| d.aupr_in.to_string()),
        ("AUPR− (positive: unseen digit)", &|(.., d)| d.aupr_out.to_string()),
        ("FPR95 (positive: nine digits)", &|(.., d)| d.fpr95.to_string()),
    ])
}

fn figures(found: &Detections<'_>) -> Vec<Figure> {
    let by_digit = |net: &Net| {
        let scores = net.scores().iter().enumerate();
        let layers = scores.map(|(color, &score)| (score, score.name(), Ink::Series(color)));
        dots([net.name, "unseen digit"], layers, &found.names(), |&score, digit| {
            Some(found.of(net, Some(digit), score, auroc))
        })
    };
    let panels = BAYESIAN.iter().map(by_digit).collect();
    vec![
        Figure::new("scores", SCORES, Chart::one(found.by_score("", None))),
        Figure::new("digits", BY_DIGIT, Chart { columns: 1, size: (900., 320.), panels }),
    ]
}

const SCORES: &str = "AUROC by score and method, mean over the ten digits. Error bars are one \
    standard error over seeds; a net without samples has only two scores; 0.5 is chance.";
const BY_DIGIT: &str = "AUROC by unseen digit. Each score of the Bayesian nets.";
const PAPER: &str = "The paper leaves one digit at a time out of training and treats it as the \
    anomaly: a good score separates the unseen digit from the nine that were trained on. It \
    reports ten rows, one per digit, in three blocks (AUROC, AUPR+, AUPR−), and claims a benefit \
    of scores that measure the dispersion of posterior samples, mean STD and BALD, for the \
    Bayesian nets.";

fn ours(tier: Tier, settings: &Settings) -> String {
    let Settings { epochs, samples, .. } = settings;
    let protocol = protocol(tier, DIGITS - 1, *epochs);
    format!(
        "{protocol} Training and validation use nine digits, relabelled 0 to 8; T = 4; {samples} \
         posterior samples. Trials use all ten digits.\n\
         Equally many positive and negative examples: all test images of the unseen digit (about \
         1000) and as many of the other nine, the same for all seeds. The paper does not state \
         its ratio, on which AUPR depends.\n\
         {ABOUT_SCORES} The value of a verdict for one seed is the mean over the ten digits. \
         detections.csv has all results, with DeLong's standard errors over images. Errors in the \
         verdicts are over seeds and test images, paired by both; an image that occurs with \
         several digits counts once."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Options, load};

    /// Every image is in its part, with the label of its digit.
    #[test]
    fn held_out_digit_is_split_from_the_others() {
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
