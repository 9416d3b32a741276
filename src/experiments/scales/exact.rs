//! The exact posterior over the scales: its mode, draws of NUTS, its evidence by bridge sampling
//! and by annealing, and the modes that chains in one basin would never see.
use super::source::{Net, Settings, Source, mean_prediction, net};
use crate::error::Result;
use crate::experiments::ascent::{ascend, curvature, laplace_mass};
use crate::experiments::evidence::by_bridge_sampling;
use crate::experiments::fit::Joint;
use crate::experiments::gaussian::{inverse, moments};
use crate::experiments::nuts::{Chain, Nuts, diagnose, worst};
use crate::experiments::{Cell, Lab};
use crate::kernels::cholesky::cholesky;
use crate::random::{Purpose, stream};
use crate::stats::Estimate;
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;

/// The mode that L-BFGS reaches from the network's own scales.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Peak {
    pub theta: Vec<f64>,
    pub log_joint: f64,
    /// Largest magnitude of an entry of the gradient.
    pub slope: f64,
    /// `−∂²ln p(θ, D)/∂θ²`, row by row.
    curvature: Vec<Vec<f64>>,
}

/// The posterior with the sign of one unit's scale turned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Turned {
    /// Index of the scale.
    pub unit: usize,
    /// `ln p(θ, D)` of the mode that L-BFGS reaches from there, relative to the main mode.
    pub height: f64,
    /// Laplace's approximation of its mass relative to that of the main mode, in nats; `None` if
    /// the curvature is not positive definite.
    pub mass: Option<f64>,
    /// Whether this is the main mode again: no scale differs by more than 0.01.
    pub same: bool,
    /// Whether the scale kept its turned sign.
    pub kept: bool,
}

/// The posterior over the scales of one net.
pub(super) struct Exact {
    pub net: Net,
    pub peak: Peak,
    pub chains: Vec<Chain>,
    /// The draws of all chains `[S, D]`, and `ln p(g, D) [S]` at each.
    pub draws: Array2<f64>,
    pub log_joint: Vec<f64>,
    /// `ln p(D)` by bridge sampling from a Gaussian.
    pub bridge: Estimate,
    /// `ln p(D)` by annealed importance sampling.
    pub annealed: Estimate,
    /// Mean acceptance rate of the annealed trajectories.
    pub acceptance: f64,
    pub turned: Vec<Turned>,
    /// Mean and covariance of the draws.
    pub mean: Array1<f64>,
    pub covariance: Array2<f64>,
    /// Class probabilities of the test digits, averaged over draws.
    pub p: Array2<f32>,
    /// Class probabilities averaged over the first and over the second half of the draws.
    pub halves: [Array2<f32>; 2],
}

/// [`Exact`], computed or read when it is first needed.
pub(super) struct Lazy<'a> {
    lab: &'a Lab<'a>,
    pub settings: &'a Settings,
    pub source: &'static Source,
    /// Whether this is the net at which all families are compared.
    pub is_first: bool,
    exact: OnceCell<Exact>,
}

impl<'a> Lazy<'a> {
    pub fn new(
        lab: &'a Lab<'a>,
        settings: &'a Settings,
        source: &'static Source,
        is_first: bool,
    ) -> Self {
        Self { lab, settings, source, is_first, exact: OnceCell::new() }
    }

    pub fn get(&self) -> Result<&Exact> {
        if let Some(exact) = self.exact.get() {
            return Ok(exact);
        }
        let net = net(self.lab, self.settings, self.source)?;
        let exact = Exact::new(self.lab, self.settings, net)?;
        Ok(self.exact.get_or_init(|| exact))
    }
}

impl Peak {
    /// `H [D, D]`.
    pub fn curvature(&self) -> Array2<f64> {
        let d = self.theta.len();
        Array2::from_shape_fn((d, d), |(i, j)| self.curvature[i][j])
    }

    /// Whether the curvature is positive definite.
    pub fn is_peaked(&self) -> bool {
        cholesky(&self.curvature()).is_some()
    }

    /// `H⁻¹`, or the inverse of its diagonal, with entries of at least the prior's 1, if `H` is not
    /// positive definite.
    pub fn covariance(&self) -> Array2<f64> {
        let h = self.curvature();
        let by_entry = || Array2::from_diag(&h.diag().mapv(|x| 1. / x.max(1.)));
        cholesky(&h).map_or_else(by_entry, |factor| inverse(&factor))
    }

    /// The mode that L-BFGS reaches from `start [D]`.
    pub fn new(joint: &dyn Joint, start: &[f64]) -> Result<Self> {
        let mode = ascend(joint, start)?;
        let curvature = curvature(joint, &mode.theta);
        let curvature = curvature.outer_iter().map(|row| row.to_vec()).collect();
        Ok(Self { theta: mode.theta, log_joint: mode.log_joint, slope: mode.slope, curvature })
    }

    /// The chain of NUTS number `chain`, which starts at the mode plus normal noise of
    /// [`DISPERSION`] posterior deviations.
    pub fn chain(&self, nuts: &Nuts, joint: &dyn Joint, chain: u64) -> Result<Chain> {
        let rng = &mut stream(chain, Purpose::Sample, 0);
        let deviations = self.covariance().diag().mapv(f64::sqrt);
        let noise = deviations.map(|d| DISPERSION * d * rng.sample::<f64, _>(StandardNormal));
        let start = self.theta.iter().zip(&noise).map(|(mode, noise)| mode + noise);
        let start: Vec<f64> = start.collect();
        nuts.chain(&start, |theta| joint.log_joint(theta).sum(), rng)
    }
}

/// Chains start at the mode plus normal noise of this many posterior deviations.
const DISPERSION: f64 = 3.;

impl Turned {
    /// `main` is Laplace's approximation of the mass of the main mode.
    fn new(joint: &dyn Joint, peak: &Peak, main: Option<f64>, unit: usize) -> Result<Self> {
        let mut start = peak.theta.clone();
        start[unit] = -start[unit];
        let mode = ascend(joint, &start)?;
        let distances = mode.theta.iter().zip(&peak.theta).map(|(a, b)| (a - b).abs());
        let own = laplace_mass(mode.log_joint, &curvature(joint, &mode.theta));
        Ok(Self {
            unit,
            height: mode.log_joint - peak.log_joint,
            mass: own.zip(main).map(|(own, main)| own - main),
            same: distances.fold(0., f64::max) < 0.01,
            kept: mode.theta[unit] * start[unit] > 0.,
        })
    }
}

/// An intermediate result.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Part {
    Chain(Chain),
    Turned(Vec<Turned>),
    /// The evidence by annealing, and the acceptance rate.
    Annealed(Estimate, f64),
}

/// Which part.
enum Which {
    Chain(u64),
    Turned,
    Annealed,
}

impl Exact {
    fn new(lab: &Lab<'_>, settings: &Settings, net: Net) -> Result<Self> {
        let key = |what: &str| format!("{what}-{}", net.key);
        let peak = lab.part(&key("mode"), || Peak::new(&net.joint, &net.scales))?;
        let chain = |c| (format!("{}-{c}", key("nuts")), Which::Chain(c));
        let others = [(key("annealed"), Which::Annealed), (key("turned"), Which::Turned)];
        let parts = (0..settings.chains).map(chain).chain(others);
        let parts: Vec<_> = parts.map(|(key, input)| Cell { key, cost: 1., input }).collect();
        let parts = lab.parts(&parts, |which| match which {
            Which::Chain(c) => peak.chain(&settings.nuts, &net.joint, *c).map(Part::Chain),
            Which::Turned => all_turned(&net, &peak).map(Part::Turned),
            Which::Annealed => {
                let precision = peak.covariance().diag().mapv(|v| 1. / v).to_vec();
                let rng = &mut stream(0, Purpose::Evaluation, 2);
                let (evidence, rate) = settings.annealing.log_evidence(&net.joint, &precision, rng);
                Ok(Part::Annealed(evidence, rate))
            }
        })?;
        let (mut chains, mut turned, mut annealed) = (vec![], vec![], None);
        for part in parts {
            match part {
                Part::Chain(chain) => chains.push(chain),
                Part::Turned(found) => turned = found,
                Part::Annealed(evidence, rate) => annealed = Some((evidence, rate)),
            }
        }
        let draws: Vec<_> = chains.iter().map(Chain::draws).collect();
        let views: Vec<_> = draws.iter().map(|draws| draws.view()).collect();
        let bridge = lab.part(&key("bridge"), || {
            Ok(by_bridge_sampling(&views, &net.joint, &mut stream(0, Purpose::Evaluation, 1)))
        })?;
        let (annealed, acceptance) = annealed.expect("a part of it");
        let draws = concatenate(Axis(0), &views).expect("chains of one width");
        let (mean, covariance) = moments(draws.view());
        let predict = |draws: ArrayView2<'_, f64>| {
            let every = draws.nrows().div_ceil(settings.predicted);
            let kept = draws.slice(s![..;every, ..]).mapv(|g| g as f32);
            mean_prediction(&net.model, &kept.into_dyn().into(), &net.data)
        };
        let half = draws.nrows() / 2;
        let p = predict(draws.view());
        let halves = [predict(draws.slice(s![..half, ..])), predict(draws.slice(s![half.., ..]))];
        let log_joint = chains.iter().flat_map(|chain| chain.log_density.clone()).collect();
        Ok(Self {
            net,
            peak,
            chains,
            draws,
            log_joint,
            bridge,
            annealed,
            acceptance,
            turned,
            mean,
            covariance,
            p,
            halves,
        })
    }

    /// The fraction of draws in which scale `unit` has not the sign of the mode.
    pub fn crossings(&self, unit: usize) -> f64 {
        let sign = self.peak.theta[unit].signum();
        let column = self.draws.column(unit);
        column.iter().filter(|g| g.signum() != sign).count() as f64 / column.len() as f64
    }

    /// The indices of the two scales with the strongest correlation.
    pub fn strongest(&self) -> [usize; 2] {
        let c = &self.covariance;
        let pairs = (0..c.nrows()).flat_map(|i| (0..i).map(move |j| [i, j]));
        let square = |&[i, j]: &[usize; 2]| c[[i, j]].powi(2) / (c[[i, i]] * c[[j, j]]);
        pairs.max_by(|a, b| square(a).total_cmp(&square(b))).expect("two scales")
    }
}

fn all_turned(net: &Net, peak: &Peak) -> Result<Vec<Turned>> {
    let hidden = net.joint.dim() - net.data.task.outputs();
    let main = laplace_mass(peak.log_joint, &peak.curvature());
    (0..hidden).map(|unit| Turned::new(&net.joint, peak, main, unit)).collect()
}

/// Largest `R̂` and smallest bulk-ESS over the scales and `ln p(g, D)`.
pub(super) fn convergence(chains: &[Chain]) -> (f64, f64) {
    let scales = 0..chains[0].theta[0].len();
    let scales = scales.map(|d| diagnose(chains, |c, s| chains[c].theta[s][d]));
    worst(scales.chain([diagnose(chains, |c, s| chains[c].log_density[s])]))
}
