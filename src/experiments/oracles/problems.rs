//! The posteriors whose evidence is known, and exact draws from some of them.
use super::models::{Linear, Logistic, Scales};
use crate::bayes::Estimator;
use crate::error::Result;
use crate::experiments::evidence::{by_averaging, by_bridge_sampling};
use crate::experiments::fit::{Joint, Training};
use crate::experiments::modes::Target;
use crate::experiments::nuts::{Chain, Nuts, diagnose, worst};
use crate::experiments::quadrature::LogIntegral;
use crate::experiments::{Lab, Tier};
use crate::random::{Purpose, stream};
use crate::stats::Estimate;
use rand::RngExt;
use rand_distr::StandardNormal;

/// The size of the experiment at a tier.
pub(super) struct Settings {
    /// Training of the posteriors whose gap is measured.
    pub training: Training,
    /// Number of parts, and samples per part, that a gap is measured with.
    pub measured: (u64, usize),
    /// Number of parts of prior samples that the likelihood is averaged over.
    pub averaged: usize,
    pub nuts: Nuts,
    pub chains: u64,
    /// Simulations of the calibration.
    pub simulations: u64,
    /// Training of the posteriors that are calibrated.
    pub brief: Training,
}

impl Settings {
    pub fn new(tier: Tier) -> Self {
        let gradient = Estimator::Total;
        let training = |steps, samples| Training {
            steps,
            samples,
            rate: 2e-2,
            decay: 300.,
            anneal: 0.,
            gradient,
        };
        let nuts = |warmup, draws| Nuts { warmup, draws, thin: 1, depth: 8, accept: 0.9 };
        Self {
            training: training(tier.pick([30, 5000, 15_000]), tier.pick([4, 32, 64])),
            measured: tier.pick([(1, 200), (20, 2500), (40, 2500)]),
            averaged: tier.pick([1, 100, 400]),
            nuts: tier.pick([nuts(50, 50), nuts(1000, 2500), nuts(1000, 10_000)]),
            chains: 4,
            simulations: tier.pick([2, 300, 1000]),
            brief: training(tier.pick([20, 1000, 2000]), 8),
        }
    }
}

/// A posterior and its evidence.
pub(super) struct Problem {
    pub key: &'static str,
    pub name: &'static str,
    pub joint: Box<dyn Joint>,
    pub log_evidence: Estimate,
    /// How the evidence is computed.
    pub how: &'static str,
    /// `ln p(D)` by averaging the likelihood over the prior.
    pub averaged: Estimate,
    /// `ln p(D)` by bridge sampling, if there are chains.
    pub bridge: Option<Estimate>,
    /// Chains of NUTS, for the logistic regressions; otherwise empty.
    pub chains: Vec<Chain>,
}

/// Numbers of examples of the linear regression, of [`Scales`] and of the simulated logistic
/// regression, in this order.
pub(super) const EXAMPLES: [usize; 3] = [20, 10, 40];
/// The method for the evidence of the simulated logistic regression.
pub(super) const BRIDGE: &str = "bridge sampling";

pub(super) fn problems(lab: &Lab<'_>, settings: &Settings) -> Result<Vec<Problem>> {
    let problem = |key, name, value, how, joint: Box<dyn Joint>| {
        let rng = &mut stream(0, Purpose::Evaluation, 0);
        let averaged = by_averaging(&*joint, settings.averaged, rng);
        let log_evidence = Estimate { value, error: 0. };
        Problem { key, name, joint, log_evidence, how, averaged, bridge: None, chains: vec![] }
    };
    let linear = Linear::polynomial(EXAMPLES[0], 4, 0);
    let [two, three] = [2, 3].map(|dim| Scales::new(EXAMPLES[1], dim));
    let ridge = Target::Ridge { kappa: 5. };
    let o_rings = Logistic::o_rings();
    let logistic = Logistic::simulated(EXAMPLES[2], 5, 0.25, &mut stream(0, Purpose::Toy, 3));
    let by_quadrature = |key, name, evidence: LogIntegral, joint| {
        problem(key, name, evidence.value, "quadrature", joint)
    };
    let mut problems = vec![
        problem("linear", "linear, D = 4", linear.log_evidence(), "closed form", Box::new(linear)),
        by_quadrature("scales-2", "scales, D = 2", two.log_evidence(), Box::new(two)),
        by_quadrature("scales-3", "scales, D = 3", three.log_evidence(), Box::new(three)),
        by_quadrature("ridge", "ridge ab ≈ 1, D = 2", ridge.log_evidence(), Box::new(ridge)),
        by_quadrature("o-rings", "O-rings, D = 2", o_rings.log_evidence(), Box::new(o_rings)),
        problem("logistic", "logistic, D = 5", 0., BRIDGE, Box::new(logistic)),
    ];
    for problem in problems.iter_mut().filter(|p| ["o-rings", "logistic"].contains(&p.key)) {
        problem.chains =
            lab.repeat(&format!("nuts-{}", problem.key), settings.chains, |chain| {
                sample(&*problem.joint, &settings.nuts, chain)
            })?;
        let chains: Vec<_> = problem.chains.iter().map(Chain::draws).collect();
        let chains: Vec<_> = chains.iter().map(|chain| chain.view()).collect();
        let rng = &mut stream(0, Purpose::Evaluation, 1);
        let found = by_bridge_sampling(&chains, &*problem.joint, rng);
        problem.bridge = Some(found);
        if problem.how == BRIDGE {
            problem.log_evidence = found;
        }
    }
    Ok(problems)
}

/// One chain of NUTS, started near 0.
pub(super) fn sample(joint: &dyn Joint, nuts: &Nuts, seed: u64) -> Result<Chain> {
    let rng = &mut stream(seed, Purpose::Sample, 0);
    let start: Vec<f64> =
        (0..joint.dim()).map(|_| 0.1 * rng.sample::<f64, _>(StandardNormal)).collect();
    nuts.chain(&start, |theta| joint.log_joint(theta).sum(), rng)
}

impl Problem {
    /// Largest `R̂` and smallest bulk-ESS over the entries of `θ` and `ln p(θ, D)`.
    pub fn convergence(&self) -> (f64, f64) {
        let chains = &self.chains;
        let entries = (0..self.joint.dim()).map(|d| diagnose(chains, |c, s| chains[c].theta[s][d]));
        let joint = diagnose(chains, |c, s| chains[c].log_density[s]);
        worst(entries.chain([joint]))
    }
}
