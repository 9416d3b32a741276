//! Calibration of a classifier on held-out examples: a temperature, and prediction sets.
use ndarray::{Array2, ArrayView2, Axis};

/// `ln T` lies between `−RANGE` and `RANGE`.
const RANGE: f64 = 3.;
/// Bisections of `ln T`.
const BISECTIONS: usize = 50;

/// The temperature `T` at which `p_c^(1/T) / Σ_k p_k^(1/T)` has the lowest NLL on the `labels [N]`
/// of `p [N, K]`, between `e⁻³` and `e³`: Guo, Pleiss, Sun and Weinberger, "On calibration of
/// modern neural networks", ICML 2017. If `p` is a mean over posterior samples, `log p` takes the
/// place of the logits.
///
/// # Panics
/// If there is no example, or the numbers of rows and labels differ.
pub fn temperature(p: ArrayView2<'_, f32>, labels: &[usize]) -> f64 {
    assert!(!labels.is_empty(), "temperature: no example");
    assert_eq!(p.nrows(), labels.len(), "temperature: probabilities for the labels");
    let log = logs(p);
    // The NLL is convex in β = 1/T, and this is its derivative: E_w[ln p] − ln p_y with w ∝ p^β.
    let slope = |beta: f64| -> f64 {
        let rows = log.outer_iter().zip(labels);
        rows.map(|(log, &y)| {
            let w = softmax(log.iter().map(|log| beta * log));
            w.iter().zip(log).map(|(w, log)| w * log).sum::<f64>() - log[y]
        })
        .sum()
    };
    let (mut low, mut high) = (-RANGE, RANGE);
    for _ in 0..BISECTIONS {
        let middle = 0.5 * (low + high);
        if slope(f64::exp(middle)) < 0. { low = middle } else { high = middle }
    }
    f64::exp(-0.5 * (low + high))
}

/// `p_c^(1/T) / Σ_k p_k^(1/T)` for `p [N, K]`.
pub fn tempered(p: ArrayView2<'_, f32>, temperature: f64) -> Array2<f32> {
    let mut log = logs(p);
    for mut row in log.axis_iter_mut(Axis(0)) {
        let w = softmax(row.iter().map(|log| log / temperature));
        row.iter_mut().zip(w).for_each(|(x, w)| *x = w);
    }
    log.mapv(|x| x as f32)
}

/// `ln p`, where 0 is taken to be the smallest positive number of single precision.
fn logs(p: ArrayView2<'_, f32>) -> Array2<f64> {
    p.mapv(|p| f64::from(p.max(f32::MIN_POSITIVE)).ln())
}

fn softmax(x: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let max = x.clone().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<_> = x.map(|x| (x - max).exp()).collect();
    let z: f64 = e.iter().sum();
    e.into_iter().map(|e| e / z).collect()
}

/// Prediction sets that contain the class of an input with a given probability, whatever the
/// network, if the input and the calibration examples are exchangeable.
///
/// The score of a class is `1 − p_c`, and `s_i` are the scores of the true classes of `n`
/// calibration examples. A class of score `s` is in the set if `#{i: s_i < s} < level (n + 1)`.
///
/// * Split conformal prediction: one network, which the calibration examples neither trained nor
///   selected. The sets contain the class with a probability of at least `level`: Vovk, Gammerman
///   and Shafer, "Algorithmic learning in a random world", 2005. If `⌈level (n + 1)⌉ > n`, they are
///   all classes.
/// * CV+: a network for each fold, trained without it; `s_i` is the score under the network of the
///   fold of `i`, and so is the score `s` it is compared with. The probability is at least
///   `2 level − 1` in general, and about `level` in practice: Romano, Sesia and Candès,
///   "Classification with valid and adaptive coverage", NeurIPS 2020.
pub struct Sets {
    level: f64,
    /// The scores of each fold, ascending; one fold for split conformal prediction.
    scores: Vec<Vec<f64>>,
}

impl Sets {
    /// Sets with the probability `level`, calibrated by the `scores` of each fold.
    ///
    /// # Panics
    /// If the level is not between 0 and 1, or a score is NaN.
    pub fn new(level: f64, mut scores: Vec<Vec<f64>>) -> Self {
        assert!(level > 0. && level < 1., "Sets::new: the level {level}");
        assert!(scores.iter().flatten().all(|s| !s.is_nan()), "Sets::new: a score is NaN");
        scores.iter_mut().for_each(|fold| fold.sort_by(f64::total_cmp));
        Self { level, scores }
    }

    /// The scores `1 − p_y` `[N]` of the `labels [N]` of `p [N, K]`.
    pub fn scores(p: ArrayView2<'_, f32>, labels: &[usize]) -> Vec<f64> {
        p.outer_iter().zip(labels).map(|(p, &y)| 1. - f64::from(p[y])).collect()
    }

    /// The number of calibration examples `n`.
    pub fn examples(&self) -> usize {
        self.scores.iter().map(Vec::len).sum()
    }

    /// The set of each input, its classes in descending order of the probabilities `p [N, K]`,
    /// given the probabilities of every fold's network. The most probable class is in every set: a
    /// set without it could be empty.
    ///
    /// # Panics
    /// If the number of arrays is not that of the folds.
    pub fn of(&self, p: ArrayView2<'_, f32>, folds: &[ArrayView2<'_, f32>]) -> Vec<Vec<usize>> {
        assert_eq!(folds.len(), self.scores.len(), "Sets::of: probabilities for the folds");
        let most = self.level * (self.examples() + 1) as f64;
        let below = |n: usize, class: usize| -> usize {
            let each = self.scores.iter().zip(folds).map(|(scores, p)| {
                let s = 1. - f64::from(p[[n, class]]);
                scores.partition_point(|&score| score < s)
            });
            each.sum()
        };
        let set = |n: usize| {
            let mut order: Vec<usize> = (0..p.ncols()).collect();
            order.sort_by(|&a, &b| p[[n, b]].total_cmp(&p[[n, a]]));
            let first = order[0];
            order.retain(|&class| class == first || (below(n, class) as f64) < most);
            order
        };
        (0..p.nrows()).map(set).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use ndarray::arr2;
    use rand::RngExt;

    /// Labels drawn from `p^(1/3)`, of which `p` is too certain.
    #[test]
    fn temperature_of_labels_is_recovered() {
        let rng = &mut stream(1, Purpose::Init, 0);
        let n = 20_000;
        let p = Array2::from_shape_fn((n, 3), |_| rng.random::<f32>().powi(6) + 1e-4);
        let p = &p / &p.sum_axis(Axis(1)).insert_axis(Axis(1));
        let q = tempered(p.view(), 3.);
        let draw = |q: ndarray::ArrayView1<'_, f32>, u: f32| {
            let mut sum = 0.;
            q.iter()
                .position(|q| {
                    sum += q;
                    u < sum
                })
                .unwrap_or(2)
        };
        let labels: Vec<_> = q.outer_iter().map(|q| draw(q, rng.random())).collect();
        let found = temperature(p.view(), &labels);
        // The standard error over 20 seeds is 0.03.
        assert!((found - 3.).abs() < 0.12, "{found}");
        let one = tempered(p.view(), 1.);
        assert!((&one - &p).iter().all(|d| d.abs() < 1e-6));
    }

    #[test]
    fn probabilities_of_zero_have_a_temperature() {
        let found = temperature(arr2(&[[1., 0.], [0., 1.]]).view(), &[0, 0]);
        assert!((found - RANGE.exp()).abs() < 1e-6, "{found}");
    }

    /// The class is in the set if its score is at most the ⌈level (n + 1)⌉-th smallest: of 9 scores
    /// and level 0.8 the eighth.
    #[test]
    fn split_sets_are_those_of_the_quantile() {
        let sets = Sets::new(0.8, vec![(1..=9).map(|i| f64::from(i) / 10.).collect()]);
        let p = arr2(&[[0.75_f32, 0.2, 0.05], [0.19, 0.21, 0.6]]);
        assert_eq!(sets.of(p.view(), &[p.view()]), [vec![0, 1], vec![2, 1]]);
        // ⌈0.95 · 10⌉ > 9.
        let all = Sets::new(0.95, vec![vec![0.1; 9]]);
        assert_eq!(all.of(p.view(), &[p.view()])[0], [0, 1, 2]);
    }

    /// The mean coverage over calibration sets is the level to within four standard errors, and
    /// not below: exactly ⌈level (n + 1)⌉/(n + 1).
    #[test]
    fn mean_coverage_is_the_level() {
        let rng = &mut stream(2, Purpose::Init, 0);
        let (n, level, repetitions) = (25, 0.9, 4000);
        let mut covered = 0.;
        for _ in 0..repetitions {
            let scores: Vec<f64> = (0..n).map(|_| rng.random()).collect();
            let p = 1. - rng.random::<f32>();
            // A second class that is always more probable, so that the first may be left out.
            let p = arr2(&[[p, 2.]]);
            let found = Sets::new(level, vec![scores]).of(p.view(), &[p.view()]);
            covered += f64::from(u8::from(found[0].contains(&0)));
        }
        let (found, expected) = (covered / f64::from(repetitions), 24. / 26.);
        let error = (expected * (1. - expected) / f64::from(repetitions)).sqrt();
        assert!((found - expected).abs() < 4. * error, "{found} for {expected} ± {error}");
    }
}
