//! The posterior families that are compared, the gap between their bounds and the evidence, and
//! their moments compared with those of NUTS.
use super::problems::{Problem, Settings};
use crate::bayes::{FlowKind, Hypernet, HypernetConfig, MeanField, Posterior};
use crate::error::Result;
use crate::experiments::evidence::log_mean;
use crate::experiments::fit::{Joint, Training, Weighted, weigh};
use crate::experiments::gaussian::moments;
use crate::experiments::nuts::Chain;
use crate::experiments::{Cell, Grid, Lab, Row};
use crate::flows::{Order, Stabiliser};
use crate::nn::Params;
use crate::random::{Purpose, stream};
use crate::stats::{Estimate, k_hat, over_seeds};
use ndarray::{Array2, Axis, concatenate};
use serde::{Deserialize, Serialize};

/// A family of posteriors.
pub struct Method {
    /// Part of a cell's key.
    pub key: &'static str,
    /// Name in the tables.
    pub name: &'static str,
    /// Kind and depth of a hypernet's flow; `None` for a factorised Gaussian (Bayes by Backprop).
    flow: Option<(FlowKind, usize)>,
}

/// Hidden units of a coupling or IAF step.
const HIDDEN: usize = 32;

impl Method {
    /// All families, in the order of the tables.
    pub const ALL: &'static [Self] = &[
        Self { key: "mean-field", name: "mean-field Gaussian", flow: None },
        Self::flow("full", "full Gaussian (one linear layer)", FlowKind::Linear, 1),
        Self::flow("linear", "linear (three layers, kinks)", FlowKind::Linear, 3),
        Self::flow("t0", "RealNVP, T = 0", FlowKind::Realnvp, 0),
        Self::flow("t1", "RealNVP, T = 1", FlowKind::Realnvp, 1),
        Self::flow("t2", "RealNVP, T = 2", FlowKind::Realnvp, 2),
        Self::flow("t4", "RealNVP, T = 4", FlowKind::Realnvp, 4),
        Self::flow("t8", "RealNVP, T = 8", FlowKind::Realnvp, 8),
        Self::flow("iaf", "IAF, T = 4", FlowKind::Iaf, 4),
        Self::flow("planar", "planar, T = 8", FlowKind::Planar, 8),
    ];

    const fn flow(key: &'static str, name: &'static str, kind: FlowKind, depth: usize) -> Self {
        Self { key, name, flow: Some((kind, depth)) }
    }

    /// The number of couplings `T`, if the family is RealNVP.
    pub fn couplings(&self) -> Option<usize> {
        self.flow.filter(|(kind, _)| *kind == FlowKind::Realnvp).map(|(_, depth)| depth)
    }

    /// Approximate milliseconds per step.
    pub fn cost(&self) -> f64 {
        0.05 + 0.07 * self.flow.map_or(0., |(_, depth)| depth.max(1) as f64)
    }

    /// Weighted samples of the approximate posterior of `joint`, trained from `seed`; `None` if
    /// training diverges. `samples` are the number of parts and the number of samples per part.
    pub fn samples(
        &self,
        joint: &dyn Joint,
        training: &Training,
        samples: (u64, usize),
        seed: u64,
    ) -> Option<Weighted> {
        let (mut params, d) = (Params::default(), joint.dim());
        let q: Box<dyn Posterior<f64>> = match self.flow {
            None => Box::new(MeanField::new(&mut params, "q", &vec![0.; d], -1., false)),
            Some((kind, depth)) => {
                // Initialised with mean 0 and a standard deviation of about e⁻¹, like the
                // factorised Gaussian.
                let config = HypernetConfig {
                    kind,
                    couplings: depth,
                    layers: depth,
                    hidden: HIDDEN,
                    stabiliser: Stabiliser::Tanh,
                    permutation: Order::Reversal,
                    log_scale: -1.,
                    shift: 0.,
                    ..HypernetConfig::default()
                };
                let rng = &mut stream(seed, Purpose::Init, 0);
                Box::new(Hypernet::new(&mut params, "q", d, &config, rng))
            }
        };
        training.run(&*q, &mut params, joint, seed).ok()?;
        Some(weigh(&*q, &params, joint, samples, seed))
    }
}

/// Measurements of a trained posterior.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fitted {
    /// `E_q[ln p(θ, D) − ln q(θ)]`, nats, with its Monte-Carlo error.
    pub elbo: Estimate,
    /// `ln E_q[p(θ, D)/q(θ)]`, nats: an estimate of `ln p(D)` if `q` covers the posterior.
    pub importance: Estimate,
    /// Shape `k̂` of the tail of the importance weights; `None` if it is not finite.
    pub k_hat: Option<f64>,
    /// Mean of `θ`.
    pub mean: Vec<f64>,
    /// Covariance of `θ`, `[D, D]`.
    pub covariance: Vec<Vec<f64>>,
}

impl Fitted {
    /// Measurements of weighted samples; `None` if the ELBO, the importance-sampling estimate or
    /// the mean is not finite.
    pub fn new(weighted: &Weighted) -> Option<Self> {
        let log_weight = &weighted.log_weight;
        let elbo = over_seeds(log_weight);
        let importance = log_mean(log_weight);
        let (mean, covariance) = moments(weighted.theta.view());
        let numbers = [elbo.value, elbo.error, importance.value, importance.error];
        numbers.iter().chain(&mean).all(|v| v.is_finite()).then(|| Self {
            elbo,
            importance,
            k_hat: Some(k_hat(log_weight)).filter(|k| k.is_finite()),
            mean: mean.to_vec(),
            covariance: covariance.outer_iter().map(|row| row.to_vec()).collect(),
        })
    }
}

/// A posterior family fitted to a problem.
pub(super) struct Variant<'a> {
    pub problem: &'a Problem,
    pub method: &'static Method,
}

/// A row per problem and family, with one fit per seed; `None` if the fit diverged.
pub(super) type Fits<'a> = Grid<Variant<'a>, Option<Fitted>>;

/// Fit every method to every problem.
pub(super) fn fit<'a>(
    lab: &Lab<'_>,
    settings: &Settings,
    problems: &'a [Problem],
) -> Result<Fits<'a>> {
    let row = |problem: &'a Problem, method: &'static Method| {
        let key = format!("{}-{}", problem.key, method.key);
        let cost = method.cost() * settings.training.steps as f64;
        Cell { key, cost, input: Variant { problem, method } }
    };
    let rows = problems.iter().flat_map(|problem| Method::ALL.iter().map(move |m| row(problem, m)));
    lab.grid(rows, |Variant { problem, method }, seed, _| {
        let Settings { training, measured, .. } = settings;
        let weighted = method.samples(&*problem.joint, training, *measured, seed);
        Ok(weighted.and_then(|weighted| Fitted::new(&weighted)))
    })
}

impl Row<Variant<'_>, Option<Fitted>> {
    /// The fits that did not diverge.
    pub(super) fn fitted(&self) -> impl Iterator<Item = &Fitted> {
        self.results.iter().flatten()
    }

    /// `ln p(D) − ELBO = KL(q‖p)` in nats of each seed's fit; `None` if it diverged.
    fn by_seed(&self) -> impl Iterator<Item = Option<f64>> {
        let log_evidence = self.input.problem.log_evidence.value;
        self.results.iter().map(move |fit| Some(log_evidence - fit.as_ref()?.elbo.value))
    }

    /// `ln p(D) − ELBO = KL(q‖p)` in nats of each fit that did not diverge.
    pub(super) fn gaps(&self) -> Vec<f64> {
        self.by_seed().flatten().collect()
    }

    /// `f` of the gaps of this row and of `other`, for each seed for which neither fit diverged.
    pub(super) fn paired(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let pairs = self.by_seed().zip(other.by_seed());
        pairs.filter_map(|(gap, others)| Some(f(gap?, others?))).collect()
    }
}

impl<'a> Fits<'a> {
    /// The row of a problem and a method.
    pub(super) fn of(&self, problem: &str, method: &str) -> &Row<Variant<'a>, Option<Fitted>> {
        &self[&*format!("{problem}-{method}")]
    }

    /// The number of couplings `T` and the row of each RealNVP on a problem, by ascending `T`.
    pub(super) fn by_couplings(
        &self,
        problem: &Problem,
    ) -> Vec<(usize, &Row<Variant<'a>, Option<Fitted>>)> {
        let own = self.iter().filter(|row| row.input.problem.key == problem.key);
        own.filter_map(|row| Some((row.input.method.couplings()?, row))).collect()
    }
}

/// Deviation of a posterior's first two moments from those of the draws of NUTS, which are marked
/// by an asterisk.
pub(super) struct Moments {
    /// Largest `|mᵢ − m*ᵢ| / σ*ᵢ`.
    pub mean: f64,
    /// Smallest `σᵢ / σ*ᵢ`.
    pub narrowest: f64,
    /// Largest `σᵢ / σ*ᵢ`.
    pub widest: f64,
    /// Largest `|ρᵢⱼ − ρ*ᵢⱼ|`.
    pub correlation: f64,
}

impl Moments {
    pub fn new(fit: &Fitted, problem: &Problem) -> Self {
        let chains: Vec<_> = problem.chains.iter().map(Chain::draws).collect();
        let views: Vec<_> = chains.iter().map(|chain| chain.view()).collect();
        let (m, c) = moments(concatenate(Axis(0), &views).expect("chains of one width").view());
        let d = m.len();
        let covariance = Array2::from_shape_fn((d, d), |(i, j)| fit.covariance[i][j]);
        let std = |c: &Array2<f64>, i: usize| c[[i, i]].sqrt();
        let rho = |c: &Array2<f64>, i, j| c[[i, j]] / std(c, i) / std(c, j);
        let pairs = (0..d).flat_map(|i| (0..i).map(move |j| (i, j)));
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
        let ratio = |i| std(&covariance, i) / std(&c, i);
        Self {
            mean: most(&mut (0..d).map(|i| (fit.mean[i] - m[i]).abs() / std(&c, i))),
            narrowest: -most(&mut (0..d).map(|i| -ratio(i))),
            widest: most(&mut (0..d).map(ratio)),
            correlation: most(
                &mut pairs.map(|(i, j)| (rho(&covariance, i, j) - rho(&c, i, j)).abs()),
            ),
        }
    }
}
