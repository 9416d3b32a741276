//! How well scores of uncertainty detect unusual inputs.
use super::digits::{Net, dots, mean_of};
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
    /// Predictions of the first inputs inside.
    pub inside: &'a Compact,
    /// Predictions of the first inputs outside.
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
    /// `found(net, task)` gives one result per seed. The experiment has `images` images, which
    /// tasks may share.
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
    /// If only the first predictions of a task are kept, the influence of their images is enlarged
    /// so that its sum of squares is that of all.
    fn add(&self, weight: f64, task: &Task, found: &Detected<'_>, score: Score, onto: &mut [f64]) {
        let n = task.inside.len().min(task.outside.len());
        let kept = found.inside.len().min(found.outside.len()).min(n);
        let [inside, outside] = [found.inside, found.outside].map(|all| all.score(score));
        let (of_outside, of_inside) = auroc_influence(&outside[..kept], &inside[..kept]);
        let factor = weight * self.images as f64 / (n as f64 * kept as f64).sqrt();
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
        dots([title, ""], layers, &scores, |net, i| {
            let score = Score::ALL[i];
            net.scores().contains(&score).then(|| self.of(net, task, score, auroc))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::gradcheck::randn;
    use ndarray::Array2;

    /// Images inside, outside, and those that no task uses.
    const N: usize = 400;
    const NETS: [Net; 2] = [Net::BHN_4, Net::MC_DROPOUT];

    /// Predictions of two classes for `N` inputs; inputs with a larger `shift` are less certain.
    fn predictions(shift: f64, seed: u64) -> Predictive {
        let (shared, own) = (randn(&[N], 7), randn(&[N], seed));
        let p = Array2::from_shape_fn([N, 2], |(n, k)| {
            let doubt = 1. / (1. + (2. - shift + shared[n] + 0.5 * own[n]).exp());
            if k == 0 { (1. - doubt) as f32 } else { doubt as f32 }
        });
        let zeros = || vec![0.; N];
        let [entropy, bald, mean_std, variation_ratio] = [(); 4].map(|()| zeros());
        Predictive::Classes { p, entropy, bald, mean_std, variation_ratio }
    }

    /// Results of a net on a task.
    struct One(Vec<Detection>, Compact, Compact);

    fn one(seed: u64) -> One {
        let [inside, outside] =
            [(0., seed), (0.7, seed + 50)].map(|(s, seed)| predictions(s, seed));
        let scores = detect(&Net::BHN_4, &inside, &outside);
        let [inside, outside] = [inside, outside].map(|of| Compact::of(&of, None, 9));
        One(scores, inside, outside)
    }

    /// Both tasks have the same images; three equal seeds.
    fn detections<'a>(nets: &'a [Net], ones: &'a [One; 2]) -> Detections<'a> {
        let task = |name: &str| Task {
            name: name.into(),
            inside: (0..N).collect(),
            outside: (N..2 * N).collect(),
        };
        Detections::new(nets, vec![task("a"), task("b")], 3 * N, |net, _| {
            let One(scores, inside, outside) = &ones[usize::from(*net == Net::MC_DROPOUT)];
            vec![Detected { scores, inside, outside }; 3]
        })
    }

    /// With equal seeds the error is over images alone: DeLong's, and that of the difference of
    /// correlated AUROCs. A task that occurs twice adds no information.
    #[test]
    fn errors_over_images_are_delongs() {
        let ones = [one(1), one(2)];
        let found = detections(&NETS, &ones);
        let influence = |One(_, inside, outside): &One| {
            let [inside, outside] = [inside, outside].map(|of| of.score(Score::MaxConfidence));
            auroc_influence(&outside, &inside)
        };
        let error = |out: &[f64], inside: &[f64]| {
            let square = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>() / (N * (N - 1)) as f64;
            (square(out) + square(inside)).sqrt()
        };
        let [(a_out, a_in), (b_out, b_in)] = ones.each_ref().map(influence);
        let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
        let alone = error(&a_out, &a_in);
        let paired = error(&minus(&a_out, &b_out), &minus(&a_in, &b_in));
        let term = |weight, net, task| (weight, net, task, Score::MaxConfidence);
        let [a, b] = &NETS;
        let value = ones[0].0[0].auroc;
        assert!((value.error / alone - 1.).abs() < 0.03, "{value:?} {alone}");
        assert!(paired < 0.8 * alone, "{paired} {alone}");
        // Sums over 3 N images have a factor √(1 − 1/N) in place of √(1 − 1/(3 N)).
        let is = |found: f64, expected: f64| (found / expected - 1.).abs() < 1. / N as f64;
        for task in [Some(0), Some(1), None] {
            let mean = found.by_confidence(a, task);
            assert!(
                (mean.value - value.value).abs() < 1e-12 && is(mean.error, alone),
                "{mean:?} {alone}"
            );
            let difference = found.sum(&[term(1., a, task), term(-1., b, task)]);
            assert!(is(difference.error, paired), "{difference:?} {paired}");
        }
        let none = found.sum(&[term(1., a, None), term(-0.5, a, Some(0)), term(-0.5, a, Some(1))]);
        assert!(none.value.abs() < 1e-12 && none.error < 1e-12, "{none:?}");
    }
}
