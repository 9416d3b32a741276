//! How well scores of uncertainty detect unusual inputs.
use super::digits::{Net, bars, mean_of};
use crate::metrics::{Detection, auroc_influence};
use crate::predict::score::Score;
use crate::predict::{Compact, Predictive};
use crate::report::chart::Panel;
use crate::report::verdict::Mean;
use crate::stats::two_way_linear;

/// Selects one number of a detection.
pub type Measure = fn(&Detection) -> f64;

/// AUROC.
pub fn auroc(detection: &Detection) -> f64 {
    detection.auroc.value
}

/// How well each score of `net` separates inputs with predictions `outside` from inputs with
/// predictions `inside`. If one set is larger, only its first inputs are used: the precision
/// depends on the ratio of the two numbers.
pub fn detect(net: &Net, inside: &Predictive, outside: &Predictive) -> Vec<Detection> {
    let detect = |score: &Score| {
        let (inside, outside) = (score.of(inside), score.of(outside));
        let n = inside.len().min(outside.len());
        Detection::of(&inside[..n], &outside[..n])
    };
    net.scores().iter().map(detect).collect()
}

/// Inputs to separate.
pub struct Task {
    /// What is unusual.
    pub name: String,
    /// Which images of the experiment are the inputs inside the distribution, in the order of their
    /// predictions.
    pub inside: Vec<usize>,
    /// Those outside; only the first are used if one list is longer.
    pub outside: Vec<usize>,
}

/// Results of a network on a task.
#[derive(Clone, Copy)]
pub struct Detected<'a> {
    /// One result per score of the net, in the order of its scores.
    pub scores: &'a [Detection],
    /// Predictions of the inputs inside.
    pub inside: &'a Compact,
    /// Predictions of the inputs outside.
    pub outside: &'a Compact,
}

/// Detections by net, by task, by seed and by score.
pub struct Detections<'a> {
    nets: &'a [Net],
    /// The tasks.
    pub tasks: Vec<Task>,
    /// Number of images of the experiment.
    images: usize,
    /// Indexed `[net][task][seed]`.
    found: Vec<Vec<Vec<Detected<'a>>>>,
}

/// A weight and the AUROC that it multiplies: of a net, on a task or averaged over all tasks if
/// `None`, by a score.
pub type Term<'n> = (f64, &'n Net, Option<usize>, Score);

impl<'a> Detections<'a> {
    /// `found(net, task)` gives one result per seed. The experiment has `images` images, which tasks
    /// may share.
    pub fn new(
        nets: &'a [Net],
        tasks: Vec<Task>,
        images: usize,
        found: impl Fn(&Net, usize) -> Vec<Detected<'a>>,
    ) -> Self {
        let of = |net| (0..tasks.len()).map(|task| found(net, task)).collect();
        Self { nets, found: nets.iter().map(of).collect(), tasks, images }
    }

    /// Names of the tasks.
    pub fn names(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.name.clone()).collect()
    }

    /// Names and indices of the tasks, followed by `mean` and `None`.
    pub fn tasks_and_mean(&self) -> impl Iterator<Item = (&str, Option<usize>)> {
        let tasks = self.tasks.iter().enumerate().map(|(i, task)| (&*task.name, Some(i)));
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
        let column = net.scores().iter().position(|other| *other == score).expect("a score");
        self.row(net)[task].iter().map(|found| measure(&found.scores[column])).collect()
    }

    fn row(&self, net: &Net) -> &[Vec<Detected<'a>>] {
        let row = self.nets.iter().position(|other| other == net);
        &self.found[row.expect("a net of the experiment")]
    }

    /// `Σ w AUROC` over the terms, such as the difference of two nets or of two scores: the mean
    /// over seeds, with its error over seeds and images. The influence of an image is the sum over
    /// all terms and tasks in which it occurs, so that differences are paired by image, and the
    /// correlation of tasks with shared images counts.
    ///
    /// # Panics
    /// As [`Detections::of`].
    pub fn sum(&self, terms: &[Term<'_>]) -> Mean {
        let seeds = self.found[0][0].len();
        let mut values = vec![0.; seeds];
        let mut influence = vec![vec![0.; self.images]; seeds];
        for &(weight, net, task, score) in terms {
            let each = self.of(net, task, score, auroc);
            values.iter_mut().zip(each).for_each(|(value, found)| *value += weight * found);
            let tasks = task.map_or(0..self.tasks.len(), |task| task..task + 1);
            let weight = weight / tasks.len() as f64;
            for task in tasks {
                for (found, onto) in self.row(net)[task].iter().zip(&mut influence) {
                    self.add(weight, &self.tasks[task], found, score, onto);
                }
            }
        }
        two_way_linear(&values, &influence).into()
    }

    /// AUROC of `net` on `task`, or averaged over all tasks if `None`, by max confidence.
    pub fn by_confidence(&self, net: &Net, task: Option<usize>) -> Mean {
        self.sum(&[(1., net, task, Score::MaxConfidence)])
    }

    /// Adds `weight` times the influence of each image on an AUROC to its entry of `onto [images]`.
    fn add(&self, weight: f64, task: &Task, found: &Detected<'_>, score: Score, onto: &mut [f64]) {
        let n = task.inside.len().min(task.outside.len());
        let [inside, outside] = [found.inside, found.outside].map(|all| all.score(score));
        let (of_outside, of_inside) = auroc_influence(&outside[..n], &inside[..n]);
        let factor = weight * self.images as f64 / n as f64;
        for (images, influence) in [(&task.outside, of_outside), (&task.inside, of_inside)] {
            for (image, influence) in images.iter().zip(influence) {
                onto[*image] += factor * influence;
            }
        }
    }

    /// Mean AUROC on `task`, or over all tasks if `None`, as bars: a group per score, a color per
    /// net.
    pub fn by_score(&self, title: &str, task: Option<usize>) -> Panel {
        let scores = Score::ALL.map(|score| score.name().to_string());
        let layers = self.nets.iter().map(|net| (net, net.name, net.ink));
        bars([title, ""], layers, &scores, |net, i| {
            let score = Score::ALL[i];
            net.scores().contains(&score).then(|| self.of(net, task, score, auroc))
        })
    }
}
