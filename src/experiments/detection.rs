//! Detection of unusual inputs by scores of uncertainty: results, differences and figures.
use super::digits::Net;
use crate::metrics::Detection;
use crate::predict::Predictive;
use crate::predict::score::Score;
use crate::report::chart::{Axis, Ink, Layer, Mark, Panel};
use crate::report::verdict::{Mean, Verdict};

/// Description of the scores.
pub const ABOUT_SCORES: &str = "Every score is higher for less certain predictions. A network \
    without samples has no BALD, mean STD or variation ratio. ± and error bars are one standard \
    error over seeds.";

/// One number of a detection.
pub type Measure = fn(&Detection) -> f64;

/// AUROC.
pub fn auroc(detection: &Detection) -> f64 {
    detection.auroc.value
}

/// Detection by each score of `net` of the inputs with predictions `outside` among as many of those
/// with predictions `inside`: precision depends on the ratio of both.
pub fn detect(net: &Net, inside: &Predictive, outside: &Predictive) -> Vec<Detection> {
    let detect = |score: &Score| {
        let (inside, outside) = (score.of(inside), score.of(outside));
        let n = inside.len().min(outside.len());
        Detection::of(&inside[..n], &outside[..n])
    };
    net.scores().iter().map(detect).collect()
}

/// Detections by net, by task (what is unusual), by seed and by score.
pub struct Detections<'a> {
    nets: &'a [Net],
    /// Names of the tasks.
    pub tasks: Vec<String>,
    /// `[net][task][seed]`, each with one detection per score of the net.
    found: Vec<Vec<Vec<&'a [Detection]>>>,
}

impl<'a> Detections<'a> {
    /// `found(net, task)` gives, per seed, one detection per score of the net.
    pub fn new(
        nets: &'a [Net],
        tasks: Vec<String>,
        found: impl Fn(&Net, usize) -> Vec<&'a [Detection]>,
    ) -> Self {
        let of = |net| (0..tasks.len()).map(|task| found(net, task)).collect();
        Self { nets, found: nets.iter().map(of).collect(), tasks }
    }

    /// Names and indices of the tasks and, last, `mean` and `None`.
    pub fn tasks_and_mean(&self) -> impl Iterator<Item = (&str, Option<usize>)> {
        let tasks = self.tasks.iter().enumerate().map(|(task, name)| (&**name, Some(task)));
        tasks.chain([("mean", None)])
    }

    /// `measure` of a score on `task`, or averaged over all tasks if `None`: one value per seed.
    ///
    /// # Panics
    /// If the net is not among those of the experiment, or does not have the score.
    pub fn of(&self, net: &Net, task: Option<usize>, score: Score, measure: Measure) -> Vec<f64> {
        let Some(task) = task else {
            let each = (0..self.tasks.len()).map(|task| self.of(net, Some(task), score, measure));
            return mean_of(&each.collect::<Vec<_>>());
        };
        let row = self.nets.iter().position(|other| other == net).expect("a net of the experiment");
        let column = net.scores().iter().position(|other| *other == score).expect("a score");
        self.found[row][task].iter().map(|found| measure(&found[column])).collect()
    }

    /// Mean AUROC on `task`, or on all if `None`, by score: one color per net.
    pub fn by_score(&self, title: &str, task: Option<usize>) -> Panel {
        let scores = Score::ALL.map(|score| score.name().to_string());
        let layers = self.nets.iter().map(|net| (net, net.name, net.ink));
        bars([title, ""], layers, &scores, |net, i| {
            let score = Score::ALL[i];
            net.scores().contains(&score).then(|| self.of(net, task, score, auroc))
        })
    }
}

/// Bars of AUROC by category, one color per layer, with one standard error; `auroc` gives one value
/// per seed. A layer without a value has a gap.
pub fn bars<L>(
    [title, x]: [&str; 2],
    layers: impl Iterator<Item = (L, &'static str, Ink)>,
    categories: &[String],
    auroc: impl Fn(&L, usize) -> Option<Vec<f64>>,
) -> Panel {
    let layer = |(of, name, ink)| {
        let bar = |(i, category): (usize, &String)| {
            let mean = auroc(&of, i).map(|values| Mean::of(&values));
            let (value, error) = mean.map_or((f64::NAN, f64::NAN), |mean| (mean.value, mean.error));
            (category.clone(), value, error)
        };
        Layer::new(name, ink, Mark::Bars(categories.iter().enumerate().map(bar).collect()))
    };
    let y = Axis::new("AUROC").range(0., 1.);
    Panel { title: title.into(), x: Axis::new(x), y, layers: layers.map(layer).collect() }
}

/// `a − b`, seed by seed.
pub fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// The element-wise mean of several rows.
///
/// # Panics
/// If there is no row.
pub fn mean_of(rows: &[Vec<f64>]) -> Vec<f64> {
    let mean = |i: usize| rows.iter().map(|row| row[i]).sum::<f64>() / rows.len() as f64;
    (0..rows[0].len()).map(mean).collect()
}

/// The claim that the mean of `values`, one per seed, is positive.
pub fn positive(claim: impl Into<String>, quantity: impl Into<String>, values: &[f64]) -> Verdict {
    Verdict::new(claim, quantity, Mean::of(values), 0. ..)
}

/// The mean of `values`, one per seed, in per cent: `98.4 ± 0.1`.
pub fn percent(values: &[f64]) -> String {
    let mean = Mean::of(values);
    let value = 100. * mean.value;
    match mean.error.is_finite() {
        true => format!("{value:.1} ± {:.1}", 100. * mean.error),
        false => format!("{value:.1}"),
    }
}
