//! The widths of a posterior: how far the data have moved each entry of `θ` from its prior, and
//! whether the network uses the units whose scales they have not moved.
use crate::autodiff::{Tape, Tensor};
use crate::bayes::{Model, Prior};
use crate::data::{Split, Targets};
use crate::metrics::{accuracy, predictions};
use crate::nn::Params;
use crate::predict::forward::{draw, predict_with};
use crate::predict::predictive::Predictive;
use crate::random::{Purpose, stream};
use crate::stats::Estimate;
use serde::Serialize;
use std::ops::Range;

/// An entry of `θ` is active if its KL from the prior is above this number of nats. A Gaussian of
/// the prior's width has this KL if its mean is a third of the prior's standard deviation from 0.
pub const ACTIVE: f64 = 0.05;

/// The number of posterior samples. It is smaller, but not below the least number, if the samples
/// would have more than `ENTRIES` entries.
const SAMPLES: usize = 1000;
const LEAST_SAMPLES: usize = 100;
const ENTRIES: usize = 100_000_000;
/// The largest number of samples that are drawn at once, and of their entries.
const BATCH: usize = 100;
const BATCH_ENTRIES: usize = 1 << 22;
/// The index of the stream of samples. Validations use their epochs as indices, which are lower.
const STREAM: u64 = 1 << 48;
/// The number of posterior samples for the accuracy without the inactive units.
const REMOVAL_SAMPLES: usize = 20;

/// Means, standard deviations and KLs from the prior of the marginals `q(θⱼ)`, estimated from
/// samples.
///
/// `KLⱼ = KL(N(mⱼ, sⱼ²) ‖ N(0, 1/λ)) = ½ (λ (mⱼ² + sⱼ²) − 1 − ln(λ sⱼ²))`, where `mⱼ` and `sⱼ`
/// are mean and standard deviation of `q(θⱼ)`.
///
/// `Σ KLⱼ ≤ KL(q ‖ p)`: under a prior with independent entries, `KL(q ‖ p)` is
/// `Σ KL(q(θⱼ) ‖ p(θⱼ))` plus the total correlation of `q`, which is not negative; and of all
/// distributions with mean `mⱼ` and variance `sⱼ²` the Gaussian has the largest entropy, so that
/// `KL(q(θⱼ) ‖ p(θⱼ)) ≥ KLⱼ`. The two are equal if `q` is a Gaussian with independent entries.
#[derive(Clone, Debug)]
pub struct Widths {
    /// The number of samples `S`.
    pub samples: usize,
    /// The precision `λ` of the prior.
    pub precision: f64,
    /// The slices of `θ` by name, see [`parts`](crate::primary::PrimaryNet::parts).
    pub parts: Vec<(String, Range<usize>)>,
    /// `mⱼ` `[D]`.
    pub mean: Vec<f64>,
    /// `sⱼ` `[D]`.
    pub std: Vec<f64>,
    /// `KLⱼ` `[D]` in nats. Estimates of a KL near 0 scatter around it by about `1/S`.
    pub kl: Vec<f64>,
    /// The Monte Carlo estimates over the same samples; `None` if `q` has no density.
    pub total: Option<Total>,
}

/// `KL(q ‖ p)` by Monte Carlo.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Total {
    /// The mean of `ln q(θ) − ln p(θ)` in nats, and its standard error.
    #[serde(flatten)]
    pub kl: Estimate,
    /// The standard error of the mean of `ln q(θ)`.
    pub entropy_error: f64,
}

/// A summary of a slice of `θ`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Width {
    /// The name of the slice, or `all`.
    pub part: String,
    /// The number of entries.
    pub entries: usize,
    /// The number of [active](ACTIVE) entries.
    pub active: usize,
    /// `Σ KLⱼ` in nats.
    pub kl: f64,
    /// The mean of `mⱼ`.
    pub mean: f64,
    /// The smallest `sⱼ √λ`: a deviation relative to the prior's.
    pub smallest: f64,
    /// The median of `sⱼ √λ`.
    pub median: f64,
    /// The largest `sⱼ √λ`.
    pub largest: f64,
    /// The geometric mean of `sⱼ √λ`.
    pub geometric_mean: f64,
}

impl Widths {
    /// The widths of the posterior of `model`; the samples are determined by `seed`. `None` if the
    /// prior is not Gaussian. They describe methods for which `θ` has a continuous distribution:
    /// the `KLⱼ` of a point is infinite.
    pub fn of(model: &Model, seed: u64) -> Option<Self> {
        let Prior::Gaussian { precision } = model.prior else { return None };
        let d = model.primary.dim();
        let samples = (ENTRIES / d).clamp(LEAST_SAMPLES, SAMPLES);
        let batch = (BATCH_ENTRIES / d).clamp(1, BATCH);
        let rng = &mut stream(seed, Purpose::Evaluation, STREAM);
        // Sums of deviations from the first sample, and of their squares: the squares of θ would
        // cancel where sⱼ is much smaller than mⱼ.
        let mut first = vec![];
        let [mut sums, mut squares] = [vec![0.; d], vec![0.; d]];
        let [mut log_q, mut log_ratio] = [vec![], vec![]];
        for start in (0..samples).step_by(batch) {
            let (theta, q) = draw(model, batch.min(samples - start), rng);
            let tape = Tape::default();
            let theta = tape.constant(theta.mapv(f64::from));
            let log_p = model.prior.log_prob(theta).value();
            for q in q.iter().flat_map(|q| q.iter().zip(&log_p)) {
                log_q.push(f64::from(*q.0));
                log_ratio.push(f64::from(*q.0) - q.1);
            }
            for sample in theta.value().as_matrix().rows() {
                if first.is_empty() {
                    first = sample.to_vec();
                }
                for (j, (x, first)) in sample.iter().zip(&first).enumerate() {
                    sums[j] += x - first;
                    squares[j] += (x - first).powi(2);
                }
            }
        }
        let n = samples as f64;
        let variance = |j: usize| (squares[j] - sums[j].powi(2) / n).max(0.) / (n - 1.);
        let mean: Vec<_> = first.iter().zip(&sums).map(|(first, sum)| first + sum / n).collect();
        let std: Vec<_> = (0..d).map(|j| variance(j).sqrt()).collect();
        let kl = mean.iter().zip(&std).map(|(m, s)| kl_of_sample(*m, *s, precision, n)).collect();
        let total = (!log_q.is_empty()).then(|| Total {
            kl: Estimate::of(&log_ratio),
            entropy_error: Estimate::of(&log_q).error,
        });
        let mut end = 0;
        let range = |(name, n)| {
            end += n;
            (name, end - n..end)
        };
        let parts = model.primary.parts().into_iter().map(range).collect();
        Some(Self { samples, precision, parts, mean, std, kl, total })
    }

    /// `Σ KLⱼ`, a lower bound of `KL(q ‖ p)`, in nats.
    pub fn bound(&self) -> f64 {
        self.kl.iter().sum()
    }

    /// Whether entry `j` is [active](ACTIVE).
    pub fn is_active(&self, j: usize) -> bool {
        self.kl[j] > ACTIVE
    }

    /// A summary of each part and, if there are several, of all of `θ`.
    pub fn summary(&self) -> Vec<Width> {
        let whole = ("all".to_string(), 0..self.kl.len());
        let is_one = self.parts.len() == 1;
        let ranges = self.parts.iter().chain((!is_one).then_some(&whole));
        ranges.map(|(name, range)| self.width(name, range.clone())).collect()
    }

    fn width(&self, part: &str, range: Range<usize>) -> Width {
        let n = range.len() as f64;
        let mut relative: Vec<_> =
            self.std[range.clone()].iter().map(|s| s * self.precision.sqrt()).collect();
        Width {
            part: part.into(),
            entries: range.len(),
            active: range.clone().filter(|&j| self.is_active(j)).count(),
            kl: self.kl[range.clone()].iter().sum(),
            mean: self.mean[range].iter().sum::<f64>() / n,
            geometric_mean: (relative.iter().map(|s| s.ln()).sum::<f64>() / n).exp(),
            median: median(&mut relative),
            smallest: relative[0],
            largest: relative[relative.len() - 1],
        }
    }
}

/// `KL(N(m, s²) ‖ N(0, 1/λ))` for the mean and the unbiased standard deviation of a sample of `n`,
/// without its bias: `m² + s² (n − 1)/n` is an unbiased estimate of the second moment, and the
/// expectation of `ln s²` is below the logarithm of the variance by `1/(n − 1) + O(n⁻²)` if the
/// distribution is normal.
fn kl_of_sample(m: f64, s: f64, precision: f64, n: f64) -> f64 {
    let second_moment = m * m + s * s * (n - 1.) / n;
    let log_variance = 2. * s.ln() + 1. / (n - 1.);
    0.5 * (precision * second_moment - 1. - precision.ln() - log_variance)
}

/// Sorts `v` and returns its median.
fn median(v: &mut [f64]) -> f64 {
    v.sort_by(f64::total_cmp);
    (v[(v.len() - 1) / 2] + v[v.len() / 2]) / 2.
}

/// Whether the network uses its hidden units with inactive scales. Such a scale is noise, which
/// reaches the predictions unless the weights out of the unit are near 0: the unit is then pruned.
/// Variational posteriors may prune more units than is good for the predictions ("over-pruning",
/// Trippe & Turner 2018).
#[derive(Clone, Debug, Serialize)]
pub struct Removal {
    /// The number of hidden units and channels.
    pub hidden: usize,
    /// The number of those whose scale is inactive.
    pub inactive: usize,
    /// The median norm of the weights out of an inactive unit,
    /// see [`outgoing`](crate::primary::PrimaryNet::outgoing).
    pub outgoing_inactive: Option<f64>,
    /// The median norm of the weights out of an active unit.
    pub outgoing_active: Option<f64>,
    /// The effect on the test set of setting the outputs of inactive units to 0; `None` if there
    /// are none, and in regression.
    pub removed: Option<Removed>,
}

/// Predictions for the test set with and without some units, under the same posterior samples.
#[derive(Clone, Debug, Serialize)]
pub struct Removed {
    /// The number of posterior samples.
    pub samples: usize,
    /// The number of test examples.
    pub examples: usize,
    /// The accuracy of the network.
    pub accuracy: Estimate,
    /// The accuracy without the units.
    pub accuracy_without: Estimate,
    /// The number of examples whose predicted class differs.
    pub changed: usize,
}

impl Removal {
    /// The effect of removing the hidden units of `model` whose scales are inactive. `None` if
    /// there are no hidden units with scales.
    ///
    /// # Panics
    /// If `test` does not fit the model.
    pub fn of(model: &Model, widths: &Widths, test: &Split, seed: u64) -> Option<Self> {
        let units = model.primary.outgoing(&model.params);
        if units.is_empty() {
            return None;
        }
        let (active, inactive): (Vec<_>, Vec<_>) =
            units.into_iter().partition(|unit| widths.is_active(unit.0));
        let norm = |units: &[(usize, f64)]| {
            let mut norms: Vec<_> = units.iter().map(|unit| unit.1).collect();
            (!norms.is_empty()).then(|| median(&mut norms))
        };
        let scales: Vec<_> = inactive.iter().map(|unit| unit.0).collect();
        Some(Self {
            hidden: active.len() + inactive.len(),
            inactive: inactive.len(),
            outgoing_inactive: norm(&inactive),
            outgoing_active: norm(&active),
            removed: removed(model, &scales, test, seed),
        })
    }
}

/// The effect of setting the outputs of `units` to 0; `None` if there are none, and in regression.
fn removed(model: &Model, units: &[usize], test: &Split, seed: u64) -> Option<Removed> {
    let Targets::Classes(labels) = &test.y else { return None };
    if units.is_empty() {
        return None;
    }
    let samples = REMOVAL_SAMPLES;
    let (theta, _) = draw(model, samples, &mut stream(seed, Purpose::Evaluation, STREAM));
    let (mut params, mut silenced) = (model.params.clone(), theta.clone());
    model.primary.silence(&mut params, &mut silenced, units);
    let predict = |params: &Params, theta: &Tensor<f32>| match predict_with(
        model,
        params,
        theta,
        test.x.view(),
        None,
    ) {
        Predictive::Classes { p, .. } => p,
        Predictive::Values { .. } => unreachable!("a model predicts the kind of target"),
    };
    let (p, without) = (predict(&model.params, &theta), predict(&params, &silenced));
    let pairs = predictions(p.view()).into_iter().zip(predictions(without.view()));
    Some(Removed {
        samples,
        examples: test.len(),
        accuracy: accuracy(p.view(), labels),
        accuracy_without: accuracy(without.view(), labels),
        changed: pairs.filter(|(a, b)| a != b).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::Precision;
    use crate::autodiff::gradcheck::randn;
    use crate::bayes::{
        EpochEnd, Estimator, Hessian, Hypernet, HypernetConfig, Laplace, Likelihood, Noise,
        PointPrior, Posterior,
    };
    use crate::primary::{Layer, Shape, WeightNormed};
    use ndarray::array;

    /// A model with independent Gaussians `N(m, s²)` over the scales of these layers.
    fn gaussian(layers: &str, inputs: Shape, precision: f64, moments: &[(f64, f64)]) -> Model {
        let layers: Vec<Layer> = layers.split(',').map(|l| l.parse().unwrap()).collect();
        let (mut params, rng) = (Params::default(), &mut stream(0, Purpose::Init, 0));
        let primary = WeightNormed::new(&mut params, "primary", inputs, &layers, rng);
        let config = HypernetConfig { couplings: 0, ..HypernetConfig::default() };
        let posterior = Hypernet::new(&mut params, "posterior", moments.len(), &config, rng);
        let mut model = Model {
            params,
            primary: Box::new(primary),
            posterior: Box::new(posterior),
            prior: Prior::Gaussian { precision },
            point_prior: PointPrior::default(),
            likelihood: Likelihood::Categorical { clip: None },
            noise: Noise::Shared,
            gradient: Estimator::Total,
            precision: Precision::F32,
        };
        for ((name, w), seed) in model.params.iter_mut().zip(1..) {
            let noise = randn(w.shape(), seed);
            for (j, (w, noise)) in w.as_slice_mut().iter_mut().zip(&noise).enumerate() {
                *w = match name {
                    "posterior.elementwise.w" => (moments[j].1 - 0.001).ln() as f32,
                    "posterior.elementwise.b" => moments[j].0 as f32,
                    _ => *noise as f32,
                };
            }
        }
        model
    }

    fn inputs(n: usize, k: usize) -> Split {
        let x = randn(&[n, k], 30).mapv(|x| x as f32).into_dimensionality().unwrap();
        Split { x, y: Targets::Classes((0..n).map(|n| n % 2).collect()) }
    }

    /// The KLs are those of the parameters. With `ε` of a sample the derivative of `KLⱼ` is
    /// `λ m s ε + ½ (λ s² − 1)(ε² − 1)`; the second-order term has a deviation of `1/S`.
    #[test]
    fn kl_of_independent_gaussians_is_in_closed_form() {
        let moments = [(0., 0.5), (0.5, 0.5), (-2., 0.05), (1., 1.5), (0.1, 0.45), (0.3, 0.5)];
        let lambda = 4.;
        let model = gaussian("dense 4,relu,dense 2", Shape::Flat(3), lambda, &moments);
        let found = Widths::of(&model, 0).unwrap();
        let n = found.samples as f64;
        let mut expected = 0.;
        for (j, (m, s)) in moments.into_iter().enumerate() {
            let kl = 0.5 * (lambda * (m * m + s * s) - 1. - (lambda * s * s).ln());
            let variance = (lambda * m * s).powi(2) + 0.5 * (lambda * s * s - 1.).powi(2) + 1. / n;
            let error = (found.kl[j] - kl).abs() / (variance / n).sqrt();
            assert!(error < 4., "entry {j}: {} and {kl}: {error} errors", found.kl[j]);
            assert_eq!(found.is_active(j), kl > ACTIVE);
            expected += kl;
        }
        let total = found.total.unwrap().kl;
        assert!((total.value - expected).abs() < 4. * total.error, "{total} and {expected}");
        let [first, last, all] = &found.summary()[..] else { panic!("two parts and all") };
        assert_eq!((&*first.part, &*last.part, &*all.part), ("0.scales", "2.scales", "all"));
        assert_eq!((first.entries, first.active, last.active, all.active), (4, 3, 1, 4));
        assert!((all.kl - found.bound()).abs() < 1e-9 && (all.smallest - 0.1).abs() < 0.01);
    }

    /// `KL(q ‖ p) − Σ KLⱼ` of a Gaussian is the total correlation `−½ ln(1 − ρ²)`.
    #[test]
    fn kl_exceeds_its_bound_by_the_total_correlation() {
        let model = gaussian("dense 1,relu,dense 1", Shape::Flat(1), 1., &[(0., 1.); 2]);
        let mut params = model.params.clone();
        let q = Laplace::new(&mut params, "q", &[1., -1.], model.prior, Hessian::Ggn);
        let rho: f64 = 0.8;
        let hessian = &|_, _: &[f64]| array![[1., -rho], [-rho, 1.]] / (1. - rho * rho) / 0.09;
        let last = EpochEnd { epoch: 1, epochs: 1, hessian };
        for (id, value) in q.after_epoch(&params, &last).unwrap() {
            *params.get_mut(id) = value.into();
        }
        let model = Model { params, posterior: Box::new(q), ..model };
        let found = Widths::of(&model, 0).unwrap();
        let total = found.total.unwrap();
        let gap = total.kl.value - found.bound();
        let expected = -0.5 * (1. - rho * rho).ln();
        let error = (gap - expected).abs() / total.entropy_error;
        assert!(error < 4., "{gap} and {expected}: {error} errors");
    }

    /// A unit whose outgoing weights are 0 is inactive, and no output changes without it.
    #[test]
    fn dead_unit_is_inactive_and_can_be_removed() {
        let mut moments = [(1., 0.1); 6];
        moments[1] = (0., 1.);
        let mut model = gaussian("dense 4,relu,dense 2", Shape::Flat(3), 1., &moments);
        let (_, v) = model.params.iter_mut().find(|(name, _)| *name == "primary.2.v").unwrap();
        v.as_matrix_mut().column_mut(1).fill(0.);
        let (data, widths) = (inputs(200, 3), Widths::of(&model, 0).unwrap());
        let found = Removal::of(&model, &widths, &data, 0).unwrap();
        assert_eq!((found.hidden, found.inactive, found.outgoing_inactive), (4, 1, Some(0.)));
        assert!(found.outgoing_active.unwrap() > 0.1);
        let removed = found.removed.unwrap();
        assert_eq!((removed.changed, removed.accuracy), (0, removed.accuracy_without));
        let (theta, _) = draw(&model, 5, &mut stream(0, Purpose::Sample, 0));
        assert_eq!(without(&model, &theta, &[1], &data), of(&model, &theta, &data));
        assert_ne!(without(&model, &theta, &[0], &data), of(&model, &theta, &data));
    }

    /// Removing unit `j` is the same as setting the columns of the next `V` that it feeds to 0,
    /// with the scales corrected for the norms of the rows; and the squared norm out of it is the
    /// share of those columns in the squared norms of the rows.
    #[test]
    fn silent_unit_equals_zero_columns() {
        let layers = "conv 3 2x2,relu,pool 2,conv 2 2x2,tanh,flatten,dense 4,relu,dense 2";
        let shape = Shape::Image([1, 8, 8]);
        let mut model = gaussian(layers, shape, 1., &[(1., 0.3); 11]);
        let data = inputs(20, shape.len());
        let (theta, _) = draw(&model, 5, &mut stream(0, Purpose::Sample, 0));
        let outgoing = model.primary.outgoing(&model.params);
        assert_eq!(outgoing.iter().map(|unit| unit.0).collect::<Vec<_>>(), Vec::from_iter(0..9));
        let nexts = [("primary.3.v", 0..3), ("primary.6.v", 3..5), ("primary.8.v", 5..9)];
        for (name, range) in nexts {
            for j in range.clone() {
                let silent = without(&model, &theta, &[j], &data);
                let saved = model.params.clone();
                let mut theta = theta.clone();
                let (_, v) = model.params.iter_mut().find(|(other, _)| *other == name).unwrap();
                let mut share = 0.;
                for (k, mut row) in v.as_matrix_mut().rows_mut().into_iter().enumerate() {
                    let before = row.dot(&row);
                    row.iter_mut().skip(j - range.start).step_by(range.len()).for_each(|v| *v = 0.);
                    let kept = row.dot(&row) / before;
                    theta
                        .as_matrix_mut()
                        .column_mut(range.end + k)
                        .map_inplace(|g| *g *= kept.sqrt());
                    share += 1. - kept;
                }
                let zeroed = of(&model, &theta, &data);
                // A thousand rounding errors of `f32`: three sums of up to 27 terms of order one.
                let far = silent.iter().zip(&zeroed).filter(|(a, b)| (*a - *b).abs() > 1e-4);
                assert_eq!(far.count(), 0, "{name}, unit {j}");
                assert!((outgoing[j].1 - f64::from(share).sqrt()).abs() < 1e-5, "{name}, {j}");
                model.params = saved;
            }
        }
    }

    fn of(model: &Model, theta: &Tensor<f32>, data: &Split) -> Vec<f32> {
        probabilities(predict_with(model, &model.params, theta, data.x.view(), None))
    }

    fn without(model: &Model, theta: &Tensor<f32>, units: &[usize], data: &Split) -> Vec<f32> {
        let (mut params, mut theta) = (model.params.clone(), theta.clone());
        model.primary.silence(&mut params, &mut theta, units);
        probabilities(predict_with(model, &params, &theta, data.x.view(), None))
    }

    fn probabilities(found: Predictive) -> Vec<f32> {
        let Predictive::Classes { p, .. } = found else { panic!("{found:?} of classes") };
        p.into_iter().collect()
    }
}
