//! Tables, figures and verdicts.
use super::measure::{Found, KINDS, Kind, LEVELS, NETS, Scores, shifted};
use crate::data::Dataset;
use crate::experiments::digits::{Net, Settings, minus, percent, positive};
use crate::experiments::{Grid, Tier, table_1};
use crate::report::chart::{Axis, Chart, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::sheet::Sheet;
use crate::report::verdict::{Mean, Verdict};
use ndarray::{Array2, Axis as Along, concatenate};

pub(super) fn report(
    tier: Tier,
    (settings, images): (&Settings, usize),
    grid: &Grid<Net, Found>,
    sheet: Sheet,
) -> Report {
    let results = Results(grid);
    Report {
        title: "Predictions for shifted digits".into(),
        paper: PAPER.into(),
        ours: ours(tier, settings, images),
        verdicts: results.verdicts(),
        tables: vec![results.summary(), results.by_kind()],
        figures: METRICS.iter().map(|metric| results.figure(metric)).collect(),
        sheets: vec![sheet],
        data: vec![results.all()],
    }
}

/// One of the scores.
struct Metric {
    name: &'static str,
    /// File name of its figure.
    key: &'static str,
    caption: &'static str,
    of: fn(&Scores) -> f64,
    /// The axis of all panels, given the lowest and the highest value.
    axis: fn(f64, f64) -> Axis,
    /// The mean of one value per seed in a table.
    text: fn(&[f64]) -> String,
}

const METRICS: [Metric; 3] = [ACCURACY, NLL, ECE];
const ACCURACY: Metric = Metric {
    name: "accuracy, %",
    key: "accuracy",
    caption: "Accuracy under shift.",
    of: |scores| scores.accuracy,
    axis: |_, _| Axis::new("accuracy").range(0., 1.02),
    text: percent,
};
const NLL: Metric = Metric {
    name: "NLL, nats",
    key: "nll",
    caption: "NLL under shift. In nats per image, on a logarithmic axis; ln 10 = 2.3 is chance.",
    of: |scores| scores.nll,
    axis: |low, high| Axis::new("NLL, nats").range(0.8 * low, 1.25 * high).log(),
    text: |values| Mean::of(values).to_string(),
};
const ECE: Metric = Metric {
    name: "ECE",
    key: "ece",
    caption: "Calibration under shift. Expected calibration error over 15 bins; 0 is best.",
    of: |scores| scores.ece,
    axis: |_, high| Axis::new("ECE").range(0., 1.1 * high),
    text: |values| Mean::of(values).to_string(),
};

/// The images that a score is averaged over.
#[derive(Clone, Copy)]
enum Over {
    Clean,
    /// One level (from 0) of one kind.
    One(usize, usize),
    /// All levels of one kind.
    Kind(usize),
    /// One level, all kinds.
    Level(usize),
    /// All levels of all kinds.
    Shifted,
}

struct Results<'a>(&'a Grid<Net, Found>);

impl Results<'_> {
    /// One value per seed.
    fn of(&self, net: &Net, over: Over, metric: &Metric) -> Vec<f64> {
        let all = |kinds: std::ops::Range<usize>, levels: std::ops::Range<usize>, found: &Found| {
            let rows = &found.shifted[kinds];
            let scores = rows.iter().flat_map(|row| &row[levels.clone()]).map(metric.of);
            let (sum, n) = scores.fold((0., 0.), |(sum, n), score| (sum + score, n + 1.));
            sum / n
        };
        self.0[net.key].values(|found| match over {
            Over::Clean => (metric.of)(&found.clean),
            Over::One(kind, level) => (metric.of)(&found.shifted[kind][level]),
            Over::Kind(kind) => all(kind..kind + 1, 0..LEVELS, found),
            Over::Level(level) => all(0..KINDS.len(), level..level + 1, found),
            Over::Shifted => all(0..KINDS.len(), 0..LEVELS, found),
        })
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let lower = |metric: &Metric, claim: &str, [low, high]: [&Net; 2]| {
            let [low_values, high_values] =
                [low, high].map(|net| self.of(net, Over::Shifted, metric));
            let (metric, sets) = (metric.name, KINDS.len() * LEVELS);
            let quantity =
                format!("{metric}, {} minus {}, mean over {sets} shifts", high.name, low.name);
            positive(claim, quantity, Mean::of(&minus(&high_values, &low_values)))
        };
        let (bhn, mle) = (&Net::BHN_8, &Net::MLE);
        let rises =
            minus(&self.of(bhn, Over::Level(LEVELS - 1), &ECE), &self.of(bhn, Over::Clean, &ECE));
        vec![
            lower(&NLL, "T = 8 has a lower NLL under shift than T = 0", [bhn, &Net::BHN_0]),
            lower(&NLL, "T = 8 has a lower NLL under shift than maximum likelihood", [bhn, mle]),
            lower(
                &NLL,
                "T = 8 has a lower NLL under shift than MC dropout",
                [bhn, &Net::MC_DROPOUT],
            ),
            lower(&ECE, "T = 8 has a lower ECE under shift than maximum likelihood", [bhn, mle]),
            lower(
                &NLL,
                "An ensemble has a lower NLL under shift than T = 8 (Ovadia et al.)",
                [&Net::ENSEMBLE, bhn],
            ),
            positive(
                "The ECE of T = 8 rises under shift (Ovadia et al.: of every method)",
                "ECE at level 5, mean over kinds, minus ECE on clean images",
                Mean::of(&rises),
            ),
        ]
    }

    fn summary(&self) -> Table {
        let header =
            ["net".to_string()].into_iter().chain(["clean", "shifted"].iter().flat_map(|images| {
                METRICS.iter().map(move |metric| format!("{images}: {}", metric.name))
            }));
        let mut table = Table::new("shift", SUMMARY, header);
        for net in &NETS {
            let entries = [Over::Clean, Over::Shifted].into_iter().flat_map(|over| {
                METRICS.iter().map(move |metric| (metric.text)(&self.of(net, over, metric)))
            });
            table.wide_row(&[&net.name], entries);
        }
        table
    }

    fn by_kind(&self) -> Table {
        let header = ["score", "shift"].into_iter().chain(NETS.map(|net| net.name));
        let mut table = Table::new("kinds", BY_KIND, header);
        for metric in &METRICS {
            for (kind, Kind { name, .. }) in KINDS.iter().enumerate() {
                let entry = |net: &Net| (metric.text)(&self.of(net, Over::Kind(kind), metric));
                table.wide_row(&[&metric.name, name], NETS.iter().map(entry));
            }
        }
        table
    }

    /// A panel per kind and one for their mean. Points of different nets are side by side.
    fn figure(&self, metric: &Metric) -> Figure {
        let kinds = |found: &Found| found.shifted.concat().into_iter().chain([found.clean]);
        let values = self.0.results().flat_map(|(.., found)| kinds(found));
        let values: Vec<_> = values.map(|scores| (metric.of)(&scores)).collect();
        let [low, high] = [f64::min, f64::max].map(|f| values.iter().copied().reduce(f));
        let (low, high) = low.zip(high).expect("a result");
        let panel = |title: &str, over: &dyn Fn(usize) -> Over| {
            let layer = |(i, net): (usize, &Net)| {
                let aside = 0.08 * (i as f64 - (NETS.len() - 1) as f64 / 2.);
                let point = |level: usize| {
                    let over = level.checked_sub(1).map_or(Over::Clean, over);
                    let mean = Mean::of(&self.of(net, over, metric));
                    (level as f64 + aside, mean.value, mean.error)
                };
                Layer::new(net.name, net.ink, Mark::Curve((0..=LEVELS).map(point).collect()))
            };
            Panel {
                title: title.into(),
                x: Axis::new("level").range(-0.4, LEVELS as f64 + 0.4).integer(),
                y: (metric.axis)(low, high),
                layers: NETS.iter().enumerate().map(layer).collect(),
            }
        };
        let kinds = KINDS.iter().enumerate();
        let kinds = kinds.map(|(kind, of)| panel(of.name, &|level| Over::One(kind, level)));
        let panels = kinds.chain([panel("mean", &Over::Level)]).collect();
        let caption = format!("{} {FIGURE}", metric.caption);
        Figure::new(metric.key, &caption, Chart { columns: 3, size: (330., 300.), panels })
    }

    fn all(&self) -> Table {
        let sets = self.0.results().flat_map(|(row, seed, found)| {
            let kinds = KINDS.iter().zip(&found.shifted).flat_map(|(kind, scores)| {
                let levels = kind.strengths.iter().zip(scores).enumerate();
                levels.map(|(i, (strength, scores))| {
                    (kind.name, i + 1, strength.to_string(), *scores)
                })
            });
            let clean = [("none", 0, String::new(), found.clean)];
            clean.into_iter().chain(kinds).map(move |set| (row.input, seed, set))
        });
        Table::of("scores", "All results.", sets).columns(&[
            ("net", &|(net, ..)| net.name.into()),
            ("seed", &|(_, seed, _)| seed.to_string()),
            ("shift", &|(.., (kind, ..))| kind.to_string()),
            ("level", &|(.., (_, level, ..))| level.to_string()),
            ("strength", &|(.., (_, _, strength, _))| strength.clone()),
            ("accuracy", &|(.., (.., scores))| scores.accuracy.to_string()),
            ("NLL", &|(.., (.., scores))| scores.nll.to_string()),
            ("ECE", &|(.., (.., scores))| scores.ece.to_string()),
        ])
    }
}

/// Width and height of a pixel of [`sheet`].
const ZOOM: usize = 3;

/// The first test image: a row per kind, a column per level from none to the strongest.
pub(super) fn sheet(data: &Dataset) -> Sheet {
    let [_, height, width] = data.image.expect("digits are images");
    let (tall, wide) = (ZOOM * height, ZOOM * width);
    let larger = |image: Array2<f32>| {
        Array2::from_shape_fn((1, tall * wide), |(_, i)| {
            image[[0, i / wide / ZOOM * width + i % wide / ZOOM]]
        })
    };
    let first = data.test.subset(1);
    let images = (0..KINDS.len()).flat_map(|kind| {
        let levels = (0..LEVELS).map(move |level| (kind, level));
        let shifts = levels.map(|(kind, level)| shifted(data, &first, kind, level));
        [first.x.clone()].into_iter().chain(shifts).collect::<Vec<_>>()
    });
    let images: Vec<_> = images.map(larger).collect();
    let views: Vec<_> = images.iter().map(|image| image.view()).collect();
    let kinds: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    Sheet {
        name: "shifts".into(),
        caption: format!(
            "The first test image under each shift. Rows: {}; columns: levels 0 (the image itself) \
             to 5.",
            kinds.join(", "),
        ),
        columns: 1 + LEVELS,
        shape: [1, tall, wide],
        images: concatenate(Along(0), &views).expect("images of one size"),
    }
}

const PAPER: &str = "Not in the paper. Ovadia et al., \"Can you trust your model's uncertainty?\" \
    (2019), ask whether predictive uncertainty can be trusted on inputs that differ from the \
    training data, for instance on rotated and translated MNIST. They find that accuracy and \
    calibration of every method degrade as the shift grows, that calibration on clean data does \
    not imply calibration under shift, and that ensembles degrade least. Hypernets were not among \
    their methods.";
const SUMMARY: &str = "Scores on clean and on shifted test images. Shifted: mean over five kinds \
    with five levels each. Means over seeds with one standard error; NLL in nats per image.";
const BY_KIND: &str = "Scores by kind of shift, mean over its five levels. Means over seeds with \
    one standard error.";
const FIGURE: &str = "Level 0 is the clean test set. Means over seeds with error bars of one \
    standard error; points of a level are drawn side by side.";

fn ours(tier: Tier, settings: &Settings, images: usize) -> String {
    let protocol = table_1::protocol(tier, settings);
    let kinds = KINDS.iter().map(|Kind { name, unit, strengths, .. }| {
        let strengths = strengths.map(|strength| strength.to_string()).join(", ");
        format!("{name} {strengths} ({unit})")
    });
    format!(
        "{protocol}\n\
         The first {images} test images, the same for every network and seed; {} posterior \
         samples.\n\
         Strengths of levels 1 to 5: {}. Rotation and translation are interpolated bilinearly; \
         pixels from outside a rotated or blurred image are 0. Networks are trained on clean \
         images only.\n\
         ± and error bars are one standard error over seeds; the error over test images is not \
         included. ECE has 15 bins of equal width.",
        settings.samples,
        kinds.collect::<Vec<_>>().join("; "),
    )
}
