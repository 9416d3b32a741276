//! The approximate posteriors over the scales: how far their bounds are below the evidence, and
//! their moments and predictions from those of NUTS.
use super::source::{Net, SOURCES, Settings, Tested, mean_prediction};
use super::truth::{Truth, divergence};
use crate::autodiff::{Tape, Tensor};
use crate::bayes::{Estimator, FlowKind, Hypernet, HypernetConfig, Place, Posterior};
use crate::error::Result;
use crate::experiments::evidence::bridge;
use crate::experiments::fit::{Joint, Training, Weighted, evaluate, weigh};
use crate::experiments::gaussian::{Gaussian, cholesky, moments};
use crate::experiments::nuts::Chain;
use crate::experiments::{Cell, Lab};
use crate::flows::Stabiliser;
use crate::nn::Params;
use crate::random::{Purpose, stream};
use crate::stats::{Estimate, importance_bound, k_hat, mean, over_seeds};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// A family of posteriors.
pub(super) struct Family {
    pub key: &'static str,
    pub name: &'static str,
    fit: Fit,
    /// Whether it is fitted at every net's directions, or only at those of maximum likelihood.
    everywhere: bool,
}

enum Fit {
    /// A hypernet with this kind of flow and depth.
    Flow(FlowKind, usize, Recipe),
    /// `N(mode, H⁻¹)`.
    Laplace,
}

/// How a hypernet is parametrised and trained.
#[derive(Clone, Copy)]
pub(super) struct Recipe {
    pub gradient: Estimator,
    /// Samples per step, relative to the tier's; the number of steps is inversely proportional.
    pub samples: f64,
    pub elementwise: Place,
    pub stabiliser: Stabiliser,
    pub weight_norm: bool,
    /// Factor by which the rate is divided over the run.
    pub decay: f64,
    /// Logarithm of the initial standard deviation.
    pub log_scale: f64,
}

impl Recipe {
    /// The recipe of the comparison of families.
    pub const OURS: Self = Self {
        gradient: Estimator::Path,
        samples: 1.,
        elementwise: Place::Last,
        stabiliser: Stabiliser::Tanh,
        weight_norm: false,
        decay: 100.,
        log_scale: -2.5,
    };
    /// The authors' choices, except for the initial standard deviation.
    const AUTHORS: Self = Self {
        gradient: Estimator::Total,
        samples: 0.,
        elementwise: Place::First,
        stabiliser: Stabiliser::Exp,
        weight_norm: false,
        decay: 10.,
        log_scale: -2.5,
    };
}

impl Family {
    const fn flow(key: &'static str, name: &'static str, kind: FlowKind, depth: usize) -> Self {
        Self { key, name, fit: Fit::Flow(kind, depth, Recipe::OURS), everywhere: true }
    }

    const fn once(self) -> Self {
        Self { everywhere: false, ..self }
    }

    const fn recipe(key: &'static str, name: &'static str, recipe: Recipe) -> Self {
        Self { key, name, fit: Fit::Flow(FlowKind::Realnvp, 8, recipe), everywhere: false }
    }

    /// Whether the family is fitted at the directions of `net`.
    pub fn is_at(&self, net: &Net) -> bool {
        self.everywhere || net.source.key == SOURCES[0].key
    }
}

/// All families, in the order of the tables.
pub(super) const FAMILIES: &[Family] = &[
    Family::flow("t0", "independent Gaussians (T = 0)", FlowKind::Realnvp, 0),
    Family { key: "laplace", name: "Laplace, exact Hessian", fit: Fit::Laplace, everywhere: true },
    Family::flow("low-rank", "low-rank Gaussian (rank 10)", FlowKind::LowRank, 0),
    Family::flow("full", "full Gaussian", FlowKind::Cholesky, 0),
    Family::flow("t2", "RealNVP, T = 2", FlowKind::Realnvp, 2).once(),
    Family::flow("t4", "RealNVP, T = 4", FlowKind::Realnvp, 4).once(),
    Family::flow("t8", "RealNVP, T = 8", FlowKind::Realnvp, 8),
    Family::flow("iaf", "IAF, T = 2, total gradient", FlowKind::Iaf, 2).once(),
];

/// One change of the recipe each, for RealNVP with T = 8; `t8` is the recipe without changes.
pub(super) const RECIPES: &[Family] = &[
    Family::recipe(
        "total",
        "total gradient",
        Recipe { gradient: Estimator::Total, ..Recipe::OURS },
    ),
    Family::recipe("s1", "S = 1, as many more steps", Recipe { samples: 0., ..Recipe::OURS }),
    Family::recipe(
        "first",
        "elementwise layer first",
        Recipe { elementwise: Place::First, ..Recipe::OURS },
    ),
    Family::recipe("exp", "exp scales", Recipe { stabiliser: Stabiliser::Exp, ..Recipe::OURS }),
    Family::recipe(
        "sigmoid",
        "sigmoid scales",
        Recipe { stabiliser: Stabiliser::Sigmoid, ..Recipe::OURS },
    ),
    Family::recipe(
        "normalised",
        "weight-normalised conditioners",
        Recipe { weight_norm: true, ..Recipe::OURS },
    ),
    Family::recipe("decay", "decay by 10", Recipe { decay: 10., ..Recipe::OURS }),
    Family::recipe("wide", "wider start (0.37)", Recipe { log_scale: -1., ..Recipe::OURS }),
    Family::recipe("authors", "the authors' choices", Recipe::AUTHORS),
];

/// Measurements of one approximate posterior.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// Learning rate that gave the highest bound; `None` without one.
    pub rate: Option<f64>,
    /// `E_q[ln p(g, D) − ln q(g)]`, nats.
    pub elbo: Estimate,
    /// Importance-weighted bound `L_K` with at least four groups of samples, and `K`.
    pub importance: (Estimate, usize),
    /// `ln p(D)` by bridge sampling between `q` and the draws of NUTS; `None` if the density of a
    /// given `g` costs too much.
    pub bridge: Option<Estimate>,
    /// `E_{p(g|D)}[ln p(g, D) − ln q(g)]` over the draws of NUTS: above the evidence by
    /// `KL(p ‖ q)`. `None` if the density of a given `g` costs too much.
    pub above: Option<Estimate>,
    /// Shape of the tail of the importance weights.
    pub k_hat: Option<f64>,
    /// Largest and root-mean-square `|mᵢ − m*ᵢ| / σ*ᵢ`.
    pub mean: [f64; 2],
    /// Smallest, geometric mean and largest `σᵢ / σ*ᵢ`.
    pub deviations: [f64; 3],
    /// Root-mean-square error of the correlations.
    pub correlations: f64,
    /// `KL` of the test predictions from those of NUTS, nats per digit.
    pub divergence: f64,
    pub tested: Tested,
    /// Seconds of one thread to fit the posterior, all rates together.
    pub seconds: f64,
    /// Some samples `[S, D]`, for the scatter plots.
    pub samples: Vec<Vec<f64>>,
}

/// Samples kept for the scatter plots.
const KEPT: usize = 300;
/// Most samples per group of the importance-weighted bound.
const GROUP: usize = 1000;

/// A fitted posterior: samples with their weights, and its density at the draws of NUTS.
struct Fitted {
    rate: Option<f64>,
    weighted: Weighted,
    above: Option<Vec<f64>>,
}

/// A family fitted to a net's posterior; `None` if all fits diverged.
pub(super) type Fits = Vec<(&'static Family, Option<Found>)>;

/// The families and recipes fitted to each net's posterior.
pub(super) fn fits(
    lab: &Lab<'_>,
    settings: &Settings,
    nets: &[Net],
    truths: &[Truth],
) -> Result<Vec<Fits>> {
    let mut cells = vec![];
    for (net, truth) in nets.iter().zip(truths) {
        for family in FAMILIES.iter().chain(RECIPES).filter(|family| family.is_at(net)) {
            let key = format!("fit-{}-{}", net.source.key, family.key);
            cells.push(Cell { key, cost: family.cost(), input: (net, truth, family) });
        }
    }
    let found = lab.cells(&cells, |(net, truth, family)| {
        let start = Instant::now();
        let fitted = family.best(settings, net, truth)?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(fitted.map(|fitted| Found::new(&fitted, settings, net, truth, seconds)))
    })?;
    let mut found = cells.iter().zip(found);
    let of = |net: &Net| {
        let own = FAMILIES.iter().chain(RECIPES).filter(|family| family.is_at(net)).count();
        found.by_ref().take(own).map(|(cell, found)| (cell.input.2, found)).collect()
    };
    Ok(nets.iter().map(of).collect())
}

impl Family {
    /// Approximate cost relative to `T = 0`.
    fn cost(&self) -> f64 {
        match self.fit {
            Fit::Laplace => 0.01,
            Fit::Flow(_, depth, _) => 1. + 0.05 * depth as f64,
        }
    }

    /// The fit of the rate with the highest bound.
    fn best(&self, settings: &Settings, net: &Net, truth: &Truth) -> Result<Option<Fitted>> {
        match self.fit {
            Fit::Laplace => Ok(Some(laplace(settings, net, truth))),
            Fit::Flow(kind, depth, recipe) => {
                let config = HypernetConfig {
                    kind,
                    couplings: depth,
                    hidden: settings.hidden,
                    weight_norm: recipe.weight_norm,
                    elementwise: recipe.elementwise,
                    stabiliser: recipe.stabiliser,
                    log_scale: recipe.log_scale,
                    ..HypernetConfig::default()
                };
                let base = settings.training;
                let samples = (recipe.samples * base.samples as f64).max(1.) as usize;
                // The density of IAF at a given θ takes D evaluations.
                let is_slow = kind == FlowKind::Iaf;
                let training = Training {
                    steps: base.steps * base.samples as u64 / samples as u64,
                    samples,
                    decay: recipe.decay,
                    gradient: if is_slow { Estimator::Total } else { recipe.gradient },
                    ..base
                };
                let each = settings.rates.iter().filter_map(|&rate| {
                    flow(&config, &Training { rate, ..training }, settings, net, truth)
                });
                let bound = |fitted: &Fitted| mean(&fitted.weighted.log_weight);
                Ok(each.max_by(|a, b| bound(a).total_cmp(&bound(b))))
            }
        }
    }
}

/// A hypernet that starts centred at the mode.
fn flow(
    config: &HypernetConfig,
    training: &Training,
    settings: &Settings,
    net: &Net,
    truth: &Truth,
) -> Option<Fitted> {
    let (joint, rng) = (&net.joint, &mut stream(0, Purpose::Init, 0));
    let mut params = Params::<f64>::default();
    let q = Hypernet::new(&mut params, "q", joint.dim(), config, rng);
    q.recentre(&mut params, &truth.peak.theta);
    training.run(&q, &mut params, joint, 0).ok()?;
    let weighted = weigh(&q, &params, joint, settings.measured, 0);
    let density = |draws: Array2<f64>| {
        let tape = Tape::default();
        let p = params.freeze(&tape);
        let log_q = q.log_prob(&p, tape.constant(draws)).value();
        log_q.iter().copied().collect()
    };
    let above = (config.kind != FlowKind::Iaf).then(|| against(joint, truth, density));
    Some(Fitted { rate: Some(training.rate), weighted, above })
}

fn laplace(settings: &Settings, net: &Net, truth: &Truth) -> Fitted {
    let factor = cholesky(&truth.peak.covariance());
    let q = Gaussian { mean: truth.peak.theta.clone().into(), factor };
    let (parts, samples) = settings.measured;
    let theta = q.sample(parts as usize * samples, &mut stream(0, Purpose::Evaluation, 0));
    let log_q = q.log_density(theta.view());
    let log_joint = in_parts(&net.joint, &theta);
    let log_weight = log_joint.iter().zip(log_q).map(|(p, q)| p - q).collect();
    let above = against(&net.joint, truth, |draws| q.log_density(draws.view()));
    Fitted { rate: None, weighted: Weighted { theta, log_weight }, above: Some(above) }
}

/// `ln p(θ, D) − ln q(θ)` at the draws of NUTS.
fn against(joint: &dyn Joint, truth: &Truth, log_q: impl Fn(Array2<f64>) -> Vec<f64>) -> Vec<f64> {
    let draws: Vec<_> = truth.chains.iter().map(Chain::draws).collect();
    let views: Vec<_> = draws.iter().map(|draws| draws.view()).collect();
    let all = concatenate(Axis(0), &views).expect("chains of one width");
    let log_joint = in_parts(joint, &all);
    log_joint.iter().zip(log_q(all)).map(|(p, q)| p - q).collect()
}

/// `ln p(θₛ, D) [S]`, a few samples at a time, so that activations stay small.
fn in_parts(joint: &dyn Joint, theta: &Array2<f64>) -> Vec<f64> {
    let parts = theta.axis_chunks_iter(Axis(0), 32);
    parts.flat_map(|part| evaluate(part.to_owned(), |theta| joint.log_joint(theta))).collect()
}

impl Found {
    fn new(fitted: &Fitted, settings: &Settings, net: &Net, truth: &Truth, seconds: f64) -> Self {
        let Weighted { theta, log_weight } = &fitted.weighted;
        let (m, covariance) = moments(theta.view());
        let (exact_m, exact) = (&truth.mean, &truth.covariance);
        let deviation = |covariance: &Array2<f64>| covariance.diag().mapv(f64::sqrt);
        let (own, exact_std) = (deviation(&covariance), deviation(exact));
        let shifts = (&m - exact_m) / &exact_std;
        let ratios = &own / &exact_std;
        let extreme = |f: fn(f64, f64) -> f64, start| ratios.iter().copied().fold(start, f);
        let d = m.len();
        let pairs = (0..d).flat_map(|i| (0..i).map(move |j| (i, j)));
        let errors = pairs.map(|(i, j)| {
            let own = covariance[[i, j]] / (own[i] * own[j]);
            own - exact[[i, j]] / (exact_std[i] * exact_std[j])
        });
        let errors: Vec<f64> = errors.collect();
        let rms = |x: &[f64]| mean(&x.iter().map(|x| x * x).collect::<Vec<_>>()).sqrt();
        let every = theta.nrows().div_ceil(settings.predicted);
        let kept = theta.slice(ndarray::s![..;every, ..]).mapv(|g| g as f32);
        let p = mean_prediction(&net.model, &Tensor::from(kept.into_dyn()), &net.data);
        let k = GROUP.min(log_weight.len() / 4);
        let by_chain = |above: &Vec<f64>| {
            let shape = (truth.chains.len(), above.len() / truth.chains.len());
            bridge(ArrayView2::from_shape(shape, above).expect("chains of one length"), log_weight)
        };
        Self {
            rate: fitted.rate,
            elbo: over_seeds(log_weight),
            importance: (importance_bound(log_weight, k), k),
            bridge: fitted.above.as_ref().map(by_chain).filter(|found| found.error.is_finite()),
            above: fitted.above.as_deref().map(over_seeds).filter(|above| above.error.is_finite()),
            k_hat: Some(k_hat(log_weight)).filter(|k| k.is_finite()),
            mean: [shifts.iter().fold(0., |most: f64, x| most.max(x.abs())), rms(&shifts.to_vec())],
            deviations: [
                extreme(f64::min, f64::INFINITY),
                mean(&ratios.mapv(f64::ln).to_vec()).exp(),
                extreme(f64::max, 0.),
            ],
            correlations: rms(&errors),
            divergence: divergence(&truth.p, &p),
            tested: Tested::new(p.view(), &net.data),
            seconds,
            samples: theta.outer_iter().take(KEPT).map(|row| row.to_vec()).collect(),
        }
    }
}
