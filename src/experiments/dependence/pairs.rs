//! A hypernet, and tests for correlation between many pairs of the parameters `θ` that it
//! generates.
use crate::bayes::Model;
use crate::data::Dataset;
use crate::error::Result;
use crate::experiments::Tier;
use crate::predict::draw;
use crate::predict::evaluate::evaluate;
use crate::primary::Layer;
use crate::random::{Purpose, stream};
use crate::run::config::{Config, MethodKind};
use crate::run::train::fit;
use crate::stats::{Correlation, ks_uniform, pearson};
use ndarray::{Array2, s};
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The size of the experiment at a tier.
pub(super) struct Settings {
    /// `T` of the hypernets with couplings.
    pub couplings: usize,
    /// Hidden units of a coupling.
    pub hidden: usize,
    /// Hidden units of the primary network.
    pub units: usize,
    /// Training images; `None` for all 50,000.
    pub subset: Option<usize>,
    pub epochs: usize,
    /// Posterior samples `N`.
    pub samples: usize,
    /// Random pairs of parameters.
    pub pairs: usize,
}

impl Settings {
    pub fn new(tier: Tier) -> Self {
        Self {
            couplings: tier.pick([2, 8, 8]),
            hidden: tier.pick([10, 200, 200]),
            units: tier.pick([2, 10, 10]),
            subset: tier.pick([Some(1000), None, None]),
            epochs: tier.pick([2, 5, 20]),
            samples: tier.pick([1000, 10_000, 10_000]),
            pairs: tier.pick([1000, 10_000, 10_000]),
        }
    }

    /// Number of weights and biases of the primary network 784-`units`-10.
    pub fn parameters(&self) -> usize {
        (784 + 1) * self.units + (self.units + 1) * 10
    }

    /// `√(2/(πN))`: the expected `|r|` of two independent parameters over `N` samples.
    pub fn chance(&self) -> f64 {
        (2. / PI / self.samples as f64).sqrt()
    }

    /// The configuration of a hypernet with `couplings` couplings, whose conditioners have weight
    /// normalisation if `weight_norm`.
    pub fn config(&self, couplings: usize, weight_norm: bool) -> Config {
        let mut config = Config { method: MethodKind::FullBhn, ..Config::default() };
        config.subset = self.subset;
        config.primary.layers = Some(Layer::mlp(&[self.units], 10));
        config.flow.couplings = couplings;
        config.flow.weight_norm = weight_norm;
        config.flow.hidden = self.hidden;
        config.train.epochs = self.epochs;
        config
    }
}

/// A row of the table.
pub(super) struct Variant {
    pub name: String,
    pub config: Config,
}

/// Correlations under one posterior.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// Test accuracy.
    pub accuracy: f64,
    /// Statistics of the posterior's samples.
    pub drawn: Tests,
    /// Statistics after shuffling the samples of each parameter: equal marginals, no dependence.
    pub shuffled: Tests,
    /// The most correlated pairs.
    pub top: Vec<Scatter>,
}

/// Number of most correlated pairs that are kept.
const TOP: usize = 2;
/// Samples drawn at a time, to limit memory: the flow stores `S · D` numbers per layer.
const BLOCK: usize = 100;

/// Train a hypernet and test its samples for correlation.
pub(super) fn measure(
    settings: &Settings,
    config: &Config,
    seed: u64,
    data: &Dataset,
) -> Result<Found> {
    let model = fit(Config { seed, ..config.clone() }, data)?;
    let accuracy = evaluate(&model, data, 100, seed)?.test.accuracy.expect("classes");
    let mut theta = samples(&model, settings.samples, seed);
    let rng = &mut stream(seed, Purpose::Toy, 0);
    let pairs = random_pairs(theta.nrows(), settings.pairs, rng);
    let outputs = 10 * settings.units + 10;
    let (drawn, correlations) = Tests::new(&theta, &pairs, outputs, rng);
    let mut order: Vec<_> = (0..pairs.len()).collect();
    order.sort_by(|&a, &b| correlations[b].r.abs().total_cmp(&correlations[a].r.abs()));
    let scatter = |&n: &usize| Scatter::new(&theta, pairs[n], correlations[n].r);
    let top = order.iter().take(TOP).map(scatter).collect();
    for mut parameter in theta.rows_mut() {
        parameter.as_slice_mut().expect("row-major").shuffle(rng);
    }
    let (shuffled, _) = Tests::new(&theta, &pairs, outputs, rng);
    Ok(Found { accuracy, drawn, shuffled, top })
}

/// `n` samples of `θ`, one parameter per row: `[D, n]`.
fn samples(model: &Model, n: usize, seed: u64) -> Array2<f32> {
    let mut all = Array2::zeros((model.primary.dim(), n));
    for (block, start) in (0..n).step_by(BLOCK).enumerate() {
        let end = n.min(start + BLOCK);
        let rng = &mut stream(seed, Purpose::Sample, block as u64);
        let theta = draw(model, end - start, rng).0;
        all.slice_mut(s![.., start..end]).assign(&theta.as_matrix().t());
    }
    all
}

/// Bins of a histogram of p-values.
pub(super) const BINS: usize = 100;
/// p-values below this are called small.
pub(super) const SMALL: f64 = 0.01;
/// Number of samples of a pair that are kept.
const KEPT: usize = 500;

/// Statistics of the correlations of many pairs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tests {
    /// Number of p-values of random pairs in each of [`BINS`] equal bins.
    pub counts: Vec<f64>,
    /// Fraction of the p-values of random pairs that are below [`SMALL`].
    pub small: f64,
    /// Mean `|r|` of random pairs.
    pub strength: f64,
    /// Largest `|r|` of random pairs.
    pub strongest: f64,
    /// Mean `|r|` of all pairs of the output layer's parameters.
    pub output: f64,
    /// Kolmogorov-Smirnov distance `D` of the p-values of disjoint pairs from uniform ones.
    pub distance: f64,
    /// p-value of `D`.
    pub p_value: f64,
}

/// Samples of one pair, standardised.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Scatter {
    pub r: f64,
    pub points: Vec<(f64, f64)>,
}

impl Tests {
    /// Statistics of `theta [D, N]` and the correlations of `pairs`. The statistics are over the
    /// random `pairs`, over disjoint pairs drawn from `rng`, and over all pairs of the last
    /// `outputs` parameters.
    pub fn new(
        theta: &Array2<f32>,
        pairs: &[(usize, usize)],
        outputs: usize,
        rng: &mut ChaCha8Rng,
    ) -> (Self, Vec<Correlation>) {
        let found = correlate(theta, pairs);
        let mut counts = vec![0.; BINS];
        for c in &found {
            counts[((c.p_value * BINS as f64) as usize).min(BINS - 1)] += 1.;
        }
        let mean = |found: &[Correlation], of: fn(&Correlation) -> f64| {
            found.iter().map(of).sum::<f64>() / found.len() as f64
        };
        let last = theta.nrows() - outputs..theta.nrows();
        let last: Vec<_> =
            last.clone().flat_map(|i| (last.start..i).map(move |j| (i, j))).collect();
        let disjoint = correlate(theta, &disjoint_pairs(theta.nrows(), rng));
        let p_values: Vec<_> = disjoint.iter().map(|c| c.p_value).collect();
        let test = ks_uniform(&p_values);
        let tests = Self {
            small: mean(&found, |c| f64::from(u8::from(c.p_value < SMALL))),
            strength: mean(&found, |c| c.r.abs()),
            output: mean(&correlate(theta, &last), |c| c.r.abs()),
            strongest: found.iter().map(|c| c.r.abs()).fold(0., f64::max),
            counts,
            distance: test.distance,
            p_value: test.p_value,
        };
        (tests, found)
    }
}

impl Scatter {
    /// The first samples of parameters `i` and `j` of `theta [D, N]`, whose correlation is `r`.
    pub fn new(theta: &Array2<f32>, (i, j): (usize, usize), r: f64) -> Self {
        let standard = |i: usize| {
            let x = theta.row(i).mapv(f64::from);
            let (mean, std) = (x.mean().expect("a sample"), x.std(1.));
            x.mapv(|x| (x - mean) / std)
        };
        let (x, y) = (standard(i), standard(j));
        Self { r, points: x.into_iter().zip(y).take(KEPT).collect() }
    }
}

/// `n` random pairs of indices below `d`. The two indices of a pair differ; pairs may repeat.
pub(super) fn random_pairs(d: usize, n: usize, rng: &mut impl Rng) -> Vec<(usize, usize)> {
    let mut pair = || {
        let (i, j) = (rng.random_range(0..d), rng.random_range(0..d - 1));
        (i, if j < i { j } else { j + 1 })
    };
    (0..n).map(|_| pair()).collect()
}

/// `⌊d/2⌋` random pairs of indices below `d`; every index is in at most one pair.
fn disjoint_pairs(d: usize, rng: &mut ChaCha8Rng) -> Vec<(usize, usize)> {
    let mut order: Vec<_> = (0..d).collect();
    order.shuffle(rng);
    order.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

fn correlate(theta: &Array2<f32>, pairs: &[(usize, usize)]) -> Vec<Correlation> {
    let column = |i| theta.row(i).iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    pairs.iter().map(|&(i, j)| pearson(&column(i), &column(j))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_distr::StandardNormal;

    /// Samples of 200 parameters; parameter `100 + i` has correlation `rho` with parameter `i`.
    fn theta(rho: f64, rng: &mut ChaCha8Rng) -> Array2<f32> {
        let mut theta = Array2::from_shape_simple_fn((200, 2000), || rng.sample(StandardNormal));
        for i in 0..100 {
            for n in 0..2000 {
                let own: f32 = theta[[100 + i, n]];
                theta[[100 + i, n]] =
                    rho as f32 * theta[[i, n]] + (1. - rho * rho).sqrt() as f32 * own;
            }
        }
        theta
    }

    #[test]
    fn correlated_pairs_are_detected_and_independent_ones_are_not() {
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let theta = theta(0.2, rng);
        let dependent: Vec<_> = (0..100).map(|i| (i, 100 + i)).collect();
        // |r| ≈ 0.2 is 9 standard errors of 1/√2000.
        let (tests, found) = Tests::new(&theta, &dependent, 10, rng);
        assert_eq!(tests.small, 1.);
        assert_eq!(tests.counts[0], 100.);
        // Its standard error is (1 − 0.2²)/√2000/√100 = 0.0021.
        assert!((tests.strength - 0.2).abs() < 0.009, "{}", tests.strength);
        assert!(found.iter().all(|c| c.r > 0.));
        let independent: Vec<_> = (0..99).map(|i| (i, i + 1)).collect();
        let (tests, _) = Tests::new(&theta, &independent, 10, rng);
        // Binomial(99, 0.01): above 6 once in 20,000.
        assert!(tests.small <= 6. / 99., "{}", tests.small);
    }

    #[test]
    fn random_pairs_are_uniform_and_disjoint_pairs_distinct() {
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let pairs = random_pairs(3, 6000, rng);
        for i in 0..3 {
            for j in 0..3 {
                let count = pairs.iter().filter(|&&pair| pair == (i, j)).count() as f64;
                // Six ordered pairs of 1000 ± 29.
                let expected = if i == j { 0. } else { 1000. };
                assert!((count - expected).abs() < 120., "({i}, {j}): {count}");
                assert!(i != j || count == 0.);
            }
        }
        let mut seen: Vec<_> =
            disjoint_pairs(9, rng).into_iter().flat_map(|(i, j)| [i, j]).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 8);
    }
}
