//! Other images than digits: which score gives them away, and of which network?
use super::digits::{
    Measure, Net, bars, digits, look, mean_of, minus, percent, positive, probabilities,
};
use super::{Cell, Experiment, Lab, Tier};
use crate::data::{Dataset, GREY, grey28};
use crate::error::{Error, Result};
use crate::metrics::{Detection, accuracy};
use crate::predict::score::Score;
use crate::random::{Purpose, stream};
use crate::report::chart::{Axis, Chart, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::Config;
use ndarray::{Array2, Axis as Dim};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// `bhn reproduce anomaly`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "anomaly",
    place: "Section 5.4, first table",
    claim: "Max confidence is the best score of anomalies; MC dropout is at or above a Bayesian \
            hypernet, and both are above the non-Bayesian net.",
    version: 2,
    seeds: [1, 3, 5],
    seconds: [2., 245., 4000.],
    run,
};

const NETS: [Net; 7] =
    [Net::MLE, Net::BHN_4, Net::MC_DROPOUT, Net::DROPOUT, Net::BHN_0, Net::BBB, Net::ENSEMBLE];
/// The claim about scores is about these.
const BAYESIAN: [Net; 2] = [Net::BHN_4, Net::MC_DROPOUT];

/// How large it all is.
struct Size {
    /// Of the training set; all if none.
    subset: Option<usize>,
    epochs: usize,
    /// Images at the most, in the distribution and out.
    images: usize,
    samples: usize,
}

impl Size {
    fn of(tier: Tier) -> Self {
        let [smoke, quick, paper] = [
            Self { subset: Some(600), epochs: 1, images: 60, samples: 5 },
            Self { subset: None, epochs: 10, images: 2000, samples: 100 },
            Self { subset: None, epochs: 100, images: 10_000, samples: 100 },
        ];
        tier.pick([smoke, quick, paper])
    }
}

/// What a trained network makes of all sets at hand.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Found {
    /// On the digits of the test.
    accuracy: f64,
    /// A row a set at hand, a column a score of the net.
    sets: Vec<Vec<Detection>>,
}

/// Images that are no digits.
struct Set {
    name: &'static str,
    images: Array2<f32>,
}

/// All that was found: `found[net][seed]`, with the names of the sets.
struct Results {
    sets: Vec<&'static str>,
    found: Vec<Vec<Found>>,
}

fn run(lab: &Lab<'_>) -> Result<Report> {
    let size = Size::of(lab.tier);
    let (sets, missing) = sets(lab)?;
    // A set that is fetched later makes other cells, of the same networks.
    let initials: String = sets.iter().map(|set| &set.name[..1]).collect();
    let data = digits(lab, size.subset)?;
    let mut cells = vec![];
    for net in NETS {
        for seed in 0..lab.seeds {
            let key = format!("{}-{seed}-{initials}", net.key);
            let cost = net.cost(size.epochs, (1 + sets.len()) * size.images, size.samples);
            cells.push(Cell { key, cost, input: (net, seed) });
        }
    }
    let found = lab.cells(&cells, |(net, seed)| measure(lab, &size, net, *seed, &data, &sets))?;
    let found = found.chunks(lab.seeds as usize).map(<[Found]>::to_vec).collect();
    let results = Results { sets: sets.iter().map(|set| set.name).collect(), found };
    Ok(report(lab, &size, &results, &missing))
}

/// The sets at hand, and the names of the others.
fn sets(lab: &Lab<'_>) -> Result<(Vec<Set>, Vec<&'static str>)> {
    let (mut sets, mut missing) = (vec![], vec![]);
    for name in GREY {
        match grey28(name, lab.data_dir.as_deref()) {
            Ok(images) => sets.push(Set { name, images }),
            Err(Error::Missing { .. }) => missing.push(name),
            Err(error) => return Err(error),
        }
    }
    Ok((sets, missing))
}

fn measure(
    lab: &Lab<'_>,
    size: &Size,
    net: &Net,
    seed: u64,
    data: &Dataset,
    sets: &[Set],
) -> Result<Found> {
    let config = net.config(lab.tier, 10, size.epochs, seed);
    let config = Config { subset: size.subset, ..config };
    let (_, trained) = lab.run_on(&format!("{}-{seed}", net.key), &config, data.clone())?;
    let rows = |n: usize, index| {
        let mut rows: Vec<_> = (0..n).collect();
        rows.shuffle(&mut stream(seed, Purpose::Evaluation, index));
        rows.truncate(size.images);
        rows
    };
    let inside = rows(data.test.len(), 1);
    let (x, y) = data.test.batch(&inside);
    let y = y.classes();
    let seen = look(&trained, size.samples, x.view());
    let compare = |(set, index): (&Set, u64)| {
        let rows = rows(set.images.nrows(), index);
        let others = look(&trained, size.samples, set.images.select(Dim(0), &rows).view());
        let detect = |score: &Score| {
            // As many of either: precision depends on it.
            let (mut inside, mut outside) = (score.of(&seen), score.of(&others));
            let n = inside.len().min(outside.len());
            inside.truncate(n);
            outside.truncate(n);
            Detection::of(&inside, &outside)
        };
        net.scores().iter().map(detect).collect()
    };
    let accuracy = accuracy(probabilities(&seen), y).value;
    Ok(Found { accuracy, sets: sets.iter().zip(2..).map(compare).collect() })
}

impl Results {
    fn of(&self, net: &Net) -> &[Found] {
        &self.found[NETS.iter().position(|other| other == net).expect("one of them")]
    }

    /// One value a seed, for one set.
    fn on(&self, net: &Net, set: usize, score: Score, of: Measure) -> Vec<f64> {
        let column = net.scores().iter().position(|other| *other == score).expect("one it has");
        self.of(net).iter().map(|found| of(&found.sets[set][column])).collect()
    }

    /// The same, the mean over all sets.
    fn mean(&self, net: &Net, score: Score, of: Measure) -> Vec<f64> {
        let sets = 0..self.sets.len();
        mean_of(&sets.map(|set| self.on(net, set, score, of)).collect::<Vec<_>>())
    }
}

/// By how much the AUROC of max confidence is above that of the best other score; `auroc` gives one
/// value a seed.
fn lead(auroc: impl Fn(Score) -> Vec<f64>) -> Vec<f64> {
    let others = Score::ALL[1..].iter().map(|&score| auroc(score));
    let best = others.reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a.max(*b)).collect());
    minus(&auroc(Score::MaxConfidence), &best.expect("other scores"))
}

fn auroc(detection: &Detection) -> f64 {
    detection.auroc.value
}

fn report(lab: &Lab<'_>, size: &Size, results: &Results, missing: &[&'static str]) -> Report {
    Report {
        title: "Anomaly detection: other images than digits".into(),
        paper: PAPER.into(),
        ours: ours(lab, size),
        verdicts: verdicts(results),
        tables: vec![sets_table(results, missing), best_table(results), scores_table(results)],
        figures: figures(results),
        data: vec![data_table(results)],
        ..Report::default()
    }
}

const PAPER: &str = "The paper follows Hendrycks and Gimpel (2017): a network trained on MNIST scores \
    digits of the test set and images of other kinds by how uncertain it is, and a good score tells \
    them apart. It claims that the maximum confidence of the softmax is the best score, that MC dropout \
    does at least as well as a Bayesian hypernet, and that both do better than the non-Bayesian net.";

fn ours(lab: &Lab<'_>, size: &Size) -> Vec<String> {
    let Size { epochs, images, samples, .. } = size;
    let width = lab.tier.pick([16, 256, 256]);
    vec![
        format!(
            "784-{width}-{width}-{width}-10 in ReLUs on the training digits, {epochs} epochs (the paper's \
             protocol: 100), batch 128, Adam at 10⁻³ without decay, gradients clipped to norm 100 and \
             elements of 100; the epoch with the best validation accuracy is tested. The hypernet has \
             T couplings × {width} and reversals between. {samples} posterior samples."
        ),
        "The elementwise layer starts at a standard deviation of 0.08 around 1, our default; the authors' at \
         0.002 around 0."
            .into(),
        format!(
            "In the distribution: {images} of the 10,000 test digits. Out of it: as many images of each \
             set, or all there are with as many digits; drawn anew for each seed. Every set is grey, \
             28×28, light on dark. Noise is U[0, 1) and N(0, 1) a pixel. Fashion-MNIST and KMNIST are \
             ours to add."
        ),
        "Every score is higher for what is less certain. AUROC is the chance that an image out of the \
         distribution has the higher score, ties half. AUPR+ has the digits as positives, AUPR− the \
         other images; both would be 0.5 by chance. FPR95 is the share of other images taken for \
         digits where 95 % of the digits are. A network without samples has neither BALD, nor mean \
         STD, nor variation ratio."
            .into(),
        "DeLong's standard error of each AUROC over images is in detections.csv, with all numbers of all \
         seeds; ± is one standard error over seeds."
            .into(),
    ]
}

fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = vec![];
    let ahead = "AUROC of max confidence minus that of the best other score";
    for net in BAYESIAN {
        verdicts.push(positive(
            format!("Max confidence is the best score of {} (mean over sets)", net.words),
            format!("{ahead}, mean over {} sets", results.sets.len()),
            &lead(|score| results.mean(&net, score, auroc)),
        ));
    }
    for (set, name) in results.sets.iter().enumerate() {
        let each = BAYESIAN.map(|net| lead(|score| results.on(&net, set, score, auroc)));
        verdicts.push(positive(
            format!("Max confidence is the best score of {name}"),
            format!("{ahead}, mean of BHN (T = 4) and MC dropout"),
            &mean_of(&each),
        ));
    }
    let by_confidence = |net: &Net| results.mean(net, Score::MaxConfidence, auroc);
    for (claim, [above, below]) in [
        ("MC dropout is at or above BHN (T = 4)", [Net::MC_DROPOUT, Net::BHN_4]),
        ("BHN (T = 4) is above the non-Bayesian net", [Net::BHN_4, Net::MLE]),
        ("MC dropout is above the non-Bayesian net", [Net::MC_DROPOUT, Net::MLE]),
    ] {
        verdicts.push(positive(
            claim,
            "difference of AUROC by max confidence, mean over sets",
            &minus(&by_confidence(&above), &by_confidence(&below)),
        ));
    }
    verdicts
}

fn header(first: &[&'static str]) -> Vec<&'static str> {
    first.iter().copied().chain(NETS.map(|net| net.words)).collect()
}

fn sets_table(results: &Results, missing: &[&'static str]) -> Table {
    let caption = "AUROC in % by max confidence. The same whichever class is called positive.";
    let mut table = Table::new("sets", caption, &header(&["set"]));
    let row = |name: &str, of: &dyn Fn(&Net) -> Vec<f64>| {
        let entries = NETS.iter().map(|net| percent(&of(net)));
        [name.to_string()].into_iter().chain(entries).collect()
    };
    let score = Score::MaxConfidence;
    for (set, name) in results.sets.iter().enumerate() {
        table.row(row(name, &|net| results.on(net, set, score, auroc)));
    }
    missing.iter().for_each(|name| table.skip(name, name));
    table.row(row("mean", &|net| results.mean(net, score, auroc)));
    let accuracy = |net: &Net| results.of(net).iter().map(|found| found.accuracy).collect();
    table.row(row("(accuracy on digits)", &accuracy));
    table
}

fn best_table(results: &Results) -> Table {
    let caption = "The score with the highest AUROC (in %, mean over seeds), of the nets that have \
                   all five; in brackets by how much max confidence is behind, in points.";
    let nets: Vec<_> = NETS.into_iter().filter(|net| net.scores().len() == 5).collect();
    let words = nets.iter().map(|net| net.words);
    let header: Vec<_> = ["set"].into_iter().chain(words).collect();
    let mut table = Table::new("best", caption, &header);
    let row = |name: &str, of: &dyn Fn(&Net, Score) -> Vec<f64>| {
        let entry = |net: &Net| {
            let value = |score: Score| 100. * Mean::of(&of(net, score)).value;
            let above = |a: Score, b: Score| if value(b) > value(a) { b } else { a };
            let best = Score::ALL.into_iter().reduce(above).expect("five");
            let behind = value(best) - value(Score::MaxConfidence);
            format!("{} {:.1} ({behind:.1})", best.name(), value(best))
        };
        [name.to_string()].into_iter().chain(nets.iter().map(entry)).collect()
    };
    for (set, name) in results.sets.iter().enumerate() {
        table.row(row(name, &|net, score| results.on(net, set, score, auroc)));
    }
    table.row(row("mean", &|net, score| results.mean(net, score, auroc)));
    table
}

const COLUMNS: [(&str, Measure); 4] = [
    ("AUROC", auroc),
    ("AUPR+ (positive: in-distribution)", |d| d.aupr_in),
    ("AUPR− (positive: out-of-distribution)", |d| d.aupr_out),
    ("FPR95 (positive: in-distribution)", |d| d.fpr95),
];

fn scores_table(results: &Results) -> Table {
    let caption = "Every score, in %, mean over the sets. Higher is better but for FPR95.";
    let header: Vec<_> = ["net", "score"].into_iter().chain(COLUMNS.map(|c| c.0)).collect();
    let mut table = Table::new("scores", caption, &header);
    for net in NETS {
        for &score in net.scores() {
            let entries = COLUMNS.map(|(_, of)| percent(&results.mean(&net, score, of)));
            let names = [net.words, score.name()].map(String::from);
            table.row(names.into_iter().chain(entries).collect());
        }
    }
    table
}

fn data_table(results: &Results) -> Table {
    let header = ["net", "set", "score", "seed"].into_iter().chain(COLUMNS.map(|c| c.0));
    let header: Vec<_> = header.chain(["standard error of AUROC over images"]).collect();
    let mut table = Table::new("detections", "Every number.", &header);
    for net in NETS {
        for (seed, found) in results.of(&net).iter().enumerate() {
            for (set, detections) in results.sets.iter().zip(&found.sets) {
                for (score, detection) in net.scores().iter().zip(detections) {
                    let names =
                        [net.words.into(), set.to_string(), score.name().into(), seed.to_string()];
                    let numbers = COLUMNS.map(|(_, of)| of(detection).to_string());
                    let error = detection.auroc.error.to_string();
                    table.row(names.into_iter().chain(numbers).chain([error]).collect());
                }
            }
        }
    }
    table
}

fn figures(results: &Results) -> Vec<Figure> {
    let mean = bars("mean over sets", &NETS, |net, score| results.mean(net, score, auroc));
    let sets = results
        .sets
        .iter()
        .enumerate()
        .map(|(set, name)| bars(name, &NETS, |net, score| results.on(net, set, score, auroc)));
    let scores =
        Chart { columns: 2, size: (620., 300.), panels: [mean].into_iter().chain(sets).collect() };
    let layer = |net: &Net| {
        let bar = |(set, name): (usize, &&str)| {
            let mean = Mean::of(&results.on(net, set, Score::MaxConfidence, auroc));
            (name.to_string(), mean.value, mean.error)
        };
        let bars = results.sets.iter().enumerate().map(bar).collect();
        Layer { name: net.words.into(), ink: net.ink, mark: Mark::Bars(bars) }
    };
    let by_set = Panel {
        title: String::new(),
        x: Axis::new(""),
        y: Axis::new("AUROC").range(0., 1.),
        layers: NETS.iter().map(layer).collect(),
    };
    let figure = |name: &str, caption: &str, chart| Figure {
        name: name.into(),
        caption: caption.into(),
        chart,
    };
    vec![
        figure(
            "confidence",
            "AUROC by max confidence. The paper's score of choice on each set; bars are one standard \
             error over seeds.",
            Chart { size: (900., 400.), ..Chart::one(by_set) },
        ),
        figure(
            "scores",
            "AUROC by score and method. A net without samples has but two scores; 0.5 is chance.",
            scores,
        ),
    ]
}
