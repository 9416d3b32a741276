//! Images other than digits: which score of which network detects them?
use super::detections::{Detected, Detections, Measure, Task, Term, auroc, detect};
use super::digits::{
    ABOUT_SCORES, Net, Settings, digits, dots, percent, percent_of, positive, predictions,
    probabilities, protocol, random_rows,
};
use super::trials::{SHARE, choose, on_digits};
use super::{Cell, Experiment, Grid, Lab, Tier};
use crate::data::{GREY, grey28};
use crate::error::{Error, Result};
use crate::metrics::{Detection, accuracy};
use crate::predict::Compact;
use crate::predict::score::Score;
use crate::report::chart::Chart;
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::Config;
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

/// `bhn reproduce anomaly`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "anomaly",
    place: "Section 5.4, first table",
    claim: "Max confidence is the best anomaly score; MC dropout is at or above a Bayesian \
            hypernet, and both are above the non-Bayesian net.",
    version: 5,
    readable: 5,
    seeds: [1, 3, 5],
    seconds: [2., 245., 4000.],
    run,
};

const NETS: [Net; 8] = [
    Net::MLE,
    Net::BHN_4,
    Net::BHN_4_RECIPE,
    Net::MC_DROPOUT,
    Net::DROPOUT,
    Net::BHN_0,
    Net::BBB,
    Net::ENSEMBLE,
];
/// The nets that the claim about scores concerns.
const BAYESIAN: [Net; 2] = [Net::BHN_4, Net::MC_DROPOUT];

/// The number of images of each set whose predictions are kept, for errors over images.
const KEPT: usize = 2000;

/// Results of one trained network.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Found {
    /// Accuracy on the test digits.
    accuracy: f64,
    /// Predictions of the first test digits.
    digits: Compact,
    /// Results on each available set.
    sets: Vec<OfSet>,
}

/// Results of one trained network on a set.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct OfSet {
    /// One detection per score of the net.
    scores: Vec<Detection>,
    predictions: Compact,
}

/// The name of a set of images other than digits, and its images `[N, 784]`.
type Set = (&'static str, Array2<f32>);

fn run(lab: &Lab<'_>) -> Result<Report> {
    // Settings, and the maximum number of images: of test digits, and of each other set.
    let (settings, images) = lab.tier.pick([
        (Settings { subset: Some(600), epochs: 1, samples: 5 }, 60),
        (Settings { subset: None, epochs: 10, samples: 100 }, 2000),
        (Settings { subset: None, epochs: 100, samples: 100 }, 10_000),
    ]);
    let data = digits(lab, settings.subset)?;
    let (sets, missing) = sets(lab)?;
    // The names of cells contain the initials of the sets. If another set is fetched, new cells are
    // computed, but no network is trained again.
    let initials: String = sets.iter().map(|(name, _)| &name[..1]).collect();
    let rows = NETS.map(|net| net.row(lab.tier, &settings));
    let (chosen, trials) = choose(lab, &data, rows, on_digits, lab.tier.pick(SHARE))?;
    let samples = settings.samples;
    let rows = NETS.map(|net| {
        let cost = net.cost(&settings, (1 + sets.len()) * images);
        (Cell { key: net.key.into(), cost, input: net }, lab.seeds)
    });
    // Separate the images of each set from equally many test digits.
    let grid = lab.ragged_grid(rows, &format!("-{initials}"), |net, seed, name| {
        let mut config = net.row(lab.tier, &settings).config;
        chosen.set(net.key, &mut config);
        let (_, trained) = net.run(lab, name, Config { seed, ..config }, data.clone())?;
        let (x, y) = data.test.batch(&random_rows(data.test.len(), images, 1));
        let digits = predictions(&trained, samples, x.view());
        let drawn = trained.header.config.samples(samples);
        let compare = |((_, set), index): (&Set, u64)| {
            let others = set.select(Axis(0), &random_rows(set.nrows(), images, index));
            let others = predictions(&trained, samples, others.view());
            let scores = detect(net, &digits, &others);
            OfSet { scores, predictions: Compact::of(&others, None, drawn).first(KEPT) }
        };
        let sets = sets.iter().zip(2..).map(compare).collect();
        let accuracy = accuracy(probabilities(&digits), y.classes()).value;
        let digits = Compact::of(&digits, Some(y.classes()), drawn).first(KEPT);
        Ok(Found { accuracy, digits, sets })
    })?;
    // The images of all sets, numbered one after another.
    let mut count = data.test.len();
    let task = |((name, set), index): (&Set, u64)| {
        let outside = random_rows(set.nrows(), images, index).iter().map(|n| count + n).collect();
        count += set.nrows();
        Task { name: (*name).into(), inside: random_rows(data.test.len(), images, 1), outside }
    };
    let tasks = sets.iter().zip(2..).map(task).collect();
    let found = Detections::new(&NETS, tasks, count, |net, set| {
        let each = grid[net.key].results.iter().map(|found| {
            let OfSet { scores, predictions: outside } = &found.sets[set];
            Detected { scores, inside: &found.digits, outside }
        });
        each.collect()
    });
    Ok(Report {
        title: "Anomaly detection: images other than digits".into(),
        paper: PAPER.into(),
        ours: ours(lab.tier, &settings, images),
        verdicts: verdicts(&found),
        tables: [by_set(&grid, &found, &missing), best_score(&found), by_score(&found)]
            .into_iter()
            .chain(trials)
            .collect(),
        figures: figures(&found),
        data: vec![detections(&grid, &found)],
        ..Report::default()
    })
}

/// The available sets, and the names of the missing ones.
fn sets(lab: &Lab<'_>) -> Result<(Vec<Set>, Vec<&'static str>)> {
    let (mut sets, mut missing) = (vec![], vec![]);
    for name in GREY {
        match grey28(name, lab.data_dir.as_deref()) {
            Ok(images) => sets.push((name, images)),
            Err(Error::Missing { .. }) => missing.push(name),
            Err(error) => return Err(error),
        }
    }
    Ok((sets, missing))
}

/// `weight` times the AUROC of max confidence minus that of the best other score: the one with the
/// highest mean over seeds. The best score of each seed would be an average of maxima, which is
/// higher than that of any score.
fn lead<'n>(
    found: &Detections<'_>,
    weight: f64,
    net: &'n Net,
    set: Option<usize>,
) -> [Term<'n>; 2] {
    let mean = |score| Mean::of(&found.of(net, set, score, auroc)).value;
    let others = Score::ALL[1..].iter().copied();
    let best = others.max_by(|a, b| mean(*a).total_cmp(&mean(*b))).expect("other scores");
    [(weight, net, set, Score::MaxConfidence), (-weight, net, set, best)]
}

fn verdicts(found: &Detections<'_>) -> Vec<Verdict> {
    let ahead = "AUROC, max confidence minus the best other score";
    let of_nets = BAYESIAN.iter().map(|net| {
        let claim = format!("Max confidence is the best score of {} (mean over sets)", net.name);
        let quantity = format!("{ahead}, mean over {} sets", found.tasks.len());
        positive(claim, quantity, found.sum(&lead(found, 1., net, None)))
    });
    let of_sets = found.tasks.iter().enumerate().map(|(set, task)| {
        let each = BAYESIAN.each_ref().map(|net| lead(found, 0.5, net, Some(set)));
        let claim = format!("Max confidence is the best score of {}", task.name);
        let quantity = format!("{ahead}, mean of BHN (T = 4) and MC dropout");
        positive(claim, quantity, found.sum(&each.concat())).own()
    });
    let by_confidence = |weight, net| (weight, net, None, Score::MaxConfidence);
    let pairs = [
        ("MC dropout is at or above BHN (T = 4)", Net::MC_DROPOUT, Net::BHN_4),
        ("BHN (T = 4) is above the non-Bayesian net", Net::BHN_4, Net::MLE),
        ("MC dropout is above the non-Bayesian net", Net::MC_DROPOUT, Net::MLE),
    ];
    let of_pairs = pairs.iter().map(|(claim, above, below)| {
        let difference = found.sum(&[by_confidence(1., above), by_confidence(-1., below)]);
        positive(*claim, "difference of AUROC by max confidence, mean over sets", difference)
    });
    of_nets.chain(of_sets).chain(of_pairs).collect()
}

fn by_set(grid: &Grid<Net, Found>, found: &Detections<'_>, missing: &[&'static str]) -> Table {
    let caption = "AUROC in % by max confidence. Independent of which class is called positive. ± \
                   is one standard error over seeds and images, of the accuracy over seeds.";
    let header = ["set"].into_iter().chain(NETS.map(|net| net.name));
    let mut table = Table::new("sets", caption, header);
    let row = |set| NETS.map(|net| percent_of(found.by_confidence(&net, set)));
    for (set, task) in found.tasks.iter().enumerate() {
        table.wide_row(&[&task.name], row(Some(set)));
    }
    missing.iter().for_each(|name| table.skip(name, name));
    table.wide_row(&[&"mean"], row(None));
    let accuracy = NETS.map(|net| percent(&grid[net.key].values(|found| found.accuracy)));
    table.wide_row(&[&"(accuracy on digits)"], accuracy);
    table
}

fn best_score(found: &Detections<'_>) -> Table {
    let caption = "The score with the highest AUROC. Mean over seeds in %, for the nets that have \
                   all five scores; in brackets the lead over max confidence, in points.";
    let nets: Vec<_> = NETS.into_iter().filter(|net| net.scores().len() == 5).collect();
    let header = ["set"].into_iter().chain(nets.iter().map(|net| net.name));
    let mut table = Table::new("best", caption, header);
    for (name, set) in found.tasks_and_mean() {
        let entry = |net: &Net| {
            let value = |score| 100. * Mean::of(&found.of(net, set, score, auroc)).value;
            let above = |a: Score, b: Score| if value(b) > value(a) { b } else { a };
            let best = Score::ALL.into_iter().reduce(above).expect("five");
            let lead = value(best) - value(Score::MaxConfidence);
            format!("{} {:.1} ({lead:.1})", best.name(), value(best))
        };
        table.wide_row(&[&name], nets.iter().map(entry));
    }
    table
}

const COLUMNS: [(&str, Measure); 4] = [
    ("AUROC", auroc),
    ("AUPR+ (positive: in-distribution)", |d| d.aupr_in),
    ("AUPR− (positive: out-of-distribution)", |d| d.aupr_out),
    ("FPR95 (positive: in-distribution)", |d| d.fpr95),
];

fn by_score(found: &Detections<'_>) -> Table {
    let caption = "Every score, in %, mean over the sets. Higher is better except for FPR95.";
    let header = ["net", "score"].into_iter().chain(COLUMNS.map(|c| c.0));
    let mut table = Table::new("scores", caption, header);
    for net in NETS {
        for &score in net.scores() {
            let entries = COLUMNS.map(|(_, of)| percent(&found.of(&net, None, score, of)));
            table.wide_row(&[&net.name, &score.name()], entries);
        }
    }
    table
}

fn detections(grid: &Grid<Net, Found>, found: &Detections<'_>) -> Table {
    let header = ["net", "set", "score", "seed"].into_iter().chain(COLUMNS.map(|c| c.0));
    let header = header.chain(["standard error of AUROC over images"]);
    let mut table = Table::new("detections", "All results.", header);
    for (row, seed, Found { sets, .. }) in grid.results() {
        let net = &row.input;
        for (Task { name: set, .. }, found) in found.tasks.iter().zip(sets) {
            for (score, detection) in net.scores().iter().zip(&found.scores) {
                let numbers = COLUMNS.iter().map(|(_, of)| of(detection));
                let numbers = numbers.chain([detection.auroc.error]).map(|v| v.to_string());
                table.wide_row(&[&net.name, set, &score.name(), &seed], numbers);
            }
        }
    }
    table
}

fn figures(found: &Detections<'_>) -> Vec<Figure> {
    let sets = found.tasks.iter().enumerate();
    let sets = sets.map(|(set, task)| found.by_score(&task.name, Some(set)));
    let panels = [found.by_score("mean over sets", None)].into_iter().chain(sets).collect();
    let nets = NETS.iter().map(|net| (net, net.name, net.ink));
    let by_confidence = dots(["", ""], nets, &found.names(), |net, set| {
        Some(found.of(net, Some(set), Score::MaxConfidence, auroc))
    });
    let by_confidence = Chart { size: (900., 400.), ..Chart::one(by_confidence) };
    let by_score = Chart { columns: 2, size: (620., 300.), panels };
    vec![
        Figure::new("confidence", CONFIDENCE, by_confidence),
        Figure::new("scores", SCORES, by_score),
    ]
}

const CONFIDENCE: &str = "AUROC by max confidence. The score that the paper recommends, on each \
    set; error bars are one standard error over seeds.";
const SCORES: &str = "AUROC by score and method. A net without samples has only two scores; 0.5 is \
    chance.";
const PAPER: &str = "The paper follows Hendrycks and Gimpel (2017): a network trained on MNIST \
    scores test digits and images of other kinds by its uncertainty; a good score separates them. \
    It claims that the maximum confidence of the softmax is the best score, that MC dropout does \
    at least as well as a Bayesian hypernet, and that both do better than the non-Bayesian net.";

fn ours(tier: Tier, settings: &Settings, images: usize) -> String {
    let Settings { epochs, samples, .. } = settings;
    let protocol = protocol(tier, 10, *epochs);
    format!(
        "{protocol} {samples} posterior samples.\n\
         The elementwise layer is initialised with standard deviation 0.08 around 1, our default; \
         the authors use 0.002 around 0.\n\
         In distribution: {images} of the 10,000 test digits. Out of distribution: equally many \
         images of each set, or all of a smaller set with equally many digits; the same for all \
         seeds. All sets are grey, 28×28, light on dark. Noise is U[0, 1) and N(0, 1) per pixel. \
         Fashion-MNIST and KMNIST are our additions.\n\
         {ABOUT_SCORES} AUROC is the probability that an out-of-distribution image has the higher \
         score, ties counted half. AUPR+ takes digits as positives, AUPR− the other images; both \
         are 0.5 by chance. FPR95 is the fraction of other images taken for digits at a true \
         positive rate of 95 % on digits. detections.csv has the results of all seeds, with \
         DeLong's standard error of each AUROC over images. Errors in the verdicts are over seeds \
         and images, paired by both, from the predictions of the first {KEPT} images of each set; \
         the best other score is the one with the highest mean over seeds."
    )
}
