//! The exact posterior over the scales: its mode, draws of NUTS, its evidence by three routes, and
//! the modes that chains in one basin would never see.
use super::source::{Net, Settings, mean_prediction};
use crate::error::Result;
use crate::experiments::ascent::{ascend, curvature, laplace_mass};
use crate::experiments::evidence::by_bridge_sampling;
use crate::experiments::fit::Joint;
use crate::experiments::gaussian::{inverse, moments};
use crate::experiments::nuts::{Chain, diagnose, worst};
use crate::experiments::{Cell, Lab};
use crate::kernels::cholesky::cholesky;
use crate::random::{Purpose, stream};
use crate::stats::Estimate;
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};
use rand::RngExt;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

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

/// What is known of one posterior.
pub(super) struct Truth {
    pub peak: Peak,
    pub chains: Vec<Chain>,
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

impl Peak {
    /// `H [D, D]`.
    pub fn curvature(&self) -> Array2<f64> {
        let d = self.theta.len();
        Array2::from_shape_fn((d, d), |(i, j)| self.curvature[i][j])
    }

    /// `H⁻¹`, or the inverse of its diagonal, with entries of at least the prior's 1, if `H` is not
    /// positive definite.
    pub fn covariance(&self) -> Array2<f64> {
        let h = self.curvature();
        let by_entry = || Array2::from_diag(&h.diag().mapv(|x| 1. / x.max(1.)));
        cholesky(&h).map_or_else(by_entry, |factor| inverse(&factor))
    }

    fn new(joint: &dyn Joint, start: &[f64]) -> Result<Self> {
        let mode = ascend(joint, start)?;
        let curvature = curvature(joint, &mode.theta);
        let curvature = curvature.outer_iter().map(|row| row.to_vec()).collect();
        Ok(Self { theta: mode.theta, log_joint: mode.log_joint, slope: mode.slope, curvature })
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

/// The truth of each net's posterior.
pub(super) fn truths(lab: &Lab<'_>, settings: &Settings, nets: &[Net]) -> Result<Vec<Truth>> {
    let keyed = |what: &str, net: &Net| format!("{what}-{}", net.source.key);
    let each = |what: &str| -> Vec<Cell<&Net>> {
        nets.iter().map(|net| Cell { key: keyed(what, net), cost: 1., input: net }).collect()
    };
    let peaks = lab.cells(&each("mode"), |net| Peak::new(&net.joint, &net.scales))?;
    let together: Vec<_> = nets.iter().zip(&peaks).collect();

    let mut cells = vec![];
    for &(net, peak) in &together {
        for chain in 0..settings.chains {
            let key = format!("{}-{chain}", keyed("nuts", net));
            cells.push(Cell { key, cost: 1., input: (net, peak, chain) });
        }
    }
    let chains = lab.cells(&cells, |(net, peak, chain)| {
        let rng = &mut stream(*chain, Purpose::Sample, 0);
        let deviations = peak.covariance().diag().mapv(f64::sqrt);
        let start: Vec<f64> = peak
            .theta
            .iter()
            .zip(&deviations)
            .map(|(mode, deviation)| {
                mode + DISPERSION * deviation * rng.sample::<f64, _>(StandardNormal)
            })
            .collect();
        settings.nuts.chain(&start, |theta| net.joint.log_joint(theta).sum(), rng)
    })?;

    let at_peaks = |what: &str| -> Vec<Cell<(&Net, &Peak)>> {
        let cell = |&(net, peak)| Cell { key: keyed(what, net), cost: 1., input: (net, peak) };
        together.iter().map(cell).collect()
    };
    let annealed = lab.cells(&at_peaks("annealed"), |(net, peak)| {
        let precision = peak.covariance().diag().mapv(|v| 1. / v).to_vec();
        let rng = &mut stream(0, Purpose::Evaluation, 2);
        Ok(settings.annealing.log_evidence(&net.joint, &precision, rng))
    })?;
    let turned = lab.cells(&at_peaks("turned"), |(net, peak)| {
        let outputs = net.data.task.outputs();
        let hidden = net.joint.dim() - outputs;
        let main = laplace_mass(peak.log_joint, &peak.curvature());
        let turned = |unit| Turned::new(&net.joint, peak, main, unit);
        (0..hidden).map(turned).collect::<Result<Vec<_>>>()
    })?;

    let mut chains = chains.into_iter();
    let found = nets.iter().zip(peaks).zip(annealed).zip(turned);
    Ok(found
        .map(|(((net, peak), (annealed, acceptance)), turned)| {
            let chains: Vec<Chain> = chains.by_ref().take(settings.chains as usize).collect();
            let draws: Vec<_> = chains.iter().map(Chain::draws).collect();
            let views: Vec<_> = draws.iter().map(|draws| draws.view()).collect();
            let rng = &mut stream(0, Purpose::Evaluation, 1);
            let bridge = by_bridge_sampling(&views, &net.joint, rng);
            let all = concatenate(Axis(0), &views).expect("chains of one width");
            let (mean, covariance) = moments(all.view());
            let predict = |draws: ArrayView2<'_, f64>| {
                let every = draws.nrows().div_ceil(settings.predicted);
                let kept = draws.slice(s![..;every, ..]).mapv(|g| g as f32);
                mean_prediction(&net.model, &kept.into_dyn().into(), &net.data)
            };
            let half = all.nrows() / 2;
            Truth {
                bridge,
                annealed,
                acceptance,
                turned,
                mean,
                covariance,
                p: predict(all.view()),
                halves: [predict(all.slice(s![..half, ..])), predict(all.slice(s![half.., ..]))],
                peak,
                chains,
            }
        })
        .collect())
}

impl Truth {
    /// Largest `R̂` and smallest bulk-ESS over the scales and `ln p(g, D)`.
    pub fn convergence(&self) -> (f64, f64) {
        let chains = &self.chains;
        let scales = (0..self.mean.len()).map(|d| diagnose(chains, |c, s| chains[c].theta[s][d]));
        let joint = diagnose(chains, |c, s| chains[c].log_density[s]);
        worst(scales.chain([joint]))
    }
}

/// `(1/N) Σₙ Σ_c p ln(p/q)` in nats per input, for class probabilities `p` and `q` of shape
/// `[N, K]`. Probabilities of `q` below the smallest positive number of `f32` count as that number.
pub(super) fn divergence(p: &Array2<f32>, q: &Array2<f32>) -> f64 {
    let term = |(&p, &q): (&f32, &f32)| {
        let (p, q) = (f64::from(p), f64::from(q.max(f32::MIN_POSITIVE)));
        if p > 0. { p * (p / q).ln() } else { 0. }
    };
    p.iter().zip(q).map(term).sum::<f64>() / p.nrows() as f64
}
