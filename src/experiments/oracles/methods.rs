//! The posteriors that are compared, and what is measured of one.
use super::averaging;
use super::gaussian::moments;
use crate::bayes::{FlowKind, Hypernet, HypernetConfig, MeanField, Posterior};
use crate::experiments::fit::{Joint, Training, Weighed, weigh};
use crate::flows::{Order, Stabiliser};
use crate::nn::Params;
use crate::random::{Purpose, stream};
use crate::stats::{Estimate, k_hat, over_seeds};
use serde::{Deserialize, Serialize};

/// A family of posteriors.
pub struct Method {
    /// Part of a cell's key.
    pub key: &'static str,
    /// In the tables.
    pub words: &'static str,
    /// `None` for independent normals, Bayes by Backprop.
    config: Option<HypernetConfig>,
}

/// Hidden units of a coupling.
const HIDDEN: usize = 32;

impl Method {
    /// All, in the order of the tables.
    pub fn all() -> Vec<Self> {
        let (realnvp, linear) = (FlowKind::Realnvp, FlowKind::Linear);
        vec![
            Self { key: "mean-field", words: "mean-field Gaussian", config: None },
            Self::flow("full", "full Gaussian (one linear layer)", linear, 1),
            Self::flow("linear", "linear (three layers, kinks)", linear, 3),
            Self::flow("t0", "RealNVP, T = 0", realnvp, 0),
            Self::flow("t1", "RealNVP, T = 1", realnvp, 1),
            Self::flow("t2", "RealNVP, T = 2", realnvp, 2),
            Self::flow("t4", "RealNVP, T = 4", realnvp, 4),
            Self::flow("t8", "RealNVP, T = 8", realnvp, 8),
            Self::flow("iaf", "IAF, T = 4", FlowKind::Iaf, 4),
            Self::flow("planar", "planar, T = 8", FlowKind::Planar, 8),
        ]
    }

    /// Wide at the start, about as the prior is.
    fn flow(key: &'static str, words: &'static str, kind: FlowKind, depth: usize) -> Self {
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
        Self { key, words, config: Some(config) }
    }

    /// `T`, if it is RealNVP.
    pub fn couplings(&self) -> Option<usize> {
        self.config.filter(|c| c.kind == FlowKind::Realnvp).map(|c| c.couplings)
    }

    /// About milliseconds a step.
    pub fn cost(&self) -> f64 {
        0.05 + 0.07 * self.config.map_or(0., |c| c.couplings.max(1) as f64)
    }

    /// Samples of the posterior of `joint` that is trained from `seed`; `None` if it diverges.
    pub fn samples(
        &self,
        joint: &dyn Joint,
        training: &Training,
        samples: (u64, usize),
        seed: u64,
    ) -> Option<Weighed> {
        let (mut params, d) = (Params::default(), joint.dim());
        let q: Box<dyn Posterior<f64>> = match &self.config {
            None => Box::new(MeanField::new(&mut params, "q", &vec![0.; d], -1., false)),
            Some(config) => {
                let rng = &mut stream(seed, Purpose::Init, 0);
                Box::new(Hypernet::of(&mut params, "q", d, config, rng))
            }
        };
        training.run(&*q, &mut params, joint, seed).ok()?;
        Some(weigh(&*q, &params, joint, samples, seed))
    }
}

/// A trained posterior in numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fitted {
    /// `E_q[ln p(θ, D) − ln q(θ)]`, nats, with its Monte-Carlo error.
    pub elbo: Estimate,
    /// `ln E_q[p(θ, D)/q(θ)]`, nats: the evidence itself, if `q` is wherever the posterior is.
    pub importance: Estimate,
    /// The shape of the weights' tail; `None` if it is not finite.
    pub k_hat: Option<f64>,
    /// Of `θ`.
    pub mean: Vec<f64>,
    /// `[D, D]`.
    pub covariance: Vec<Vec<f64>>,
}

impl Fitted {
    /// `None` if a number is not finite.
    pub fn new(weighed: &Weighed) -> Option<Self> {
        let log_weight = &weighed.log_weight;
        let elbo = over_seeds(log_weight);
        let importance = averaging::relative(log_weight);
        let (mean, covariance) = moments(weighed.theta.view());
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
