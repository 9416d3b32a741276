//! Posteriors of which the truth is known: how many nats does the bound fall short of `ln p(D)`?
//!
//! `ln p(D) − ELBO = KL(q ‖ p(θ|D))` is the one number that says how good a posterior is, and is usually not
//! to be had. Here the evidence is known in closed form, by quadrature, or by draws of NUTS.
pub mod averaging;
pub mod bridge;
pub mod calibration;
pub mod gaussian;
mod linear;
mod logistic;
mod methods;
mod report;
mod scales;
mod verdicts;

pub use linear::Linear;
pub use logistic::Logistic;
pub use methods::{Fitted, Method};
pub use scales::Scales;

use super::fit::{Joint, Training};
use super::modes::Target;
use super::nuts::{Chain, Nuts};
use super::{Cell, Experiment, Lab, Tier};
use crate::autodiff::{Tape, Tensor};
use crate::error::{Error, Result};
use crate::random::{Purpose, stream};
use crate::report::experiment::Report;
use crate::stats::Estimate;
use calibration::{DRAWS, rank};
use ndarray::{Array1, Array2};
use rand::RngExt;
use rand_distr::StandardNormal;

/// `bhn reproduce oracles`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "oracles",
    place: "not in the paper",
    claim: "Where the evidence is known, couplings close the bound's gap to it.",
    version: 1,
    seeds: [1, 5, 10],
    seconds: [1., 125., 1300.],
    run,
};

/// What is done at a tier.
struct Settings {
    /// Of the posteriors whose gap is measured.
    training: Training,
    /// A gap is measured with so many parts of so many samples.
    measured: (u64, usize),
    /// Parts of the prior's draws that an evidence is averaged over.
    averaged: usize,
    nuts: Nuts,
    chains: u64,
    /// Simulations of the calibration.
    simulations: u64,
    /// Of the posteriors that are calibrated.
    brief: Training,
}

fn settings(tier: Tier) -> Settings {
    let training =
        |steps, samples| Training { steps, samples, rate: 2e-2, decay: 300., anneal: 0. };
    let nuts = |warmup, draws| Nuts { warmup, draws, thin: 1, depth: 8, accept: 0.9 };
    Settings {
        training: training(tier.pick([30, 5000, 15_000]), tier.pick([4, 32, 64])),
        measured: tier.pick([(1, 200), (20, 2500), (40, 2500)]),
        averaged: tier.pick([1, 100, 400]),
        nuts: tier.pick([nuts(50, 50), nuts(1000, 2500), nuts(1000, 10_000)]),
        chains: 4,
        simulations: tier.pick([2, 300, 1000]),
        brief: training(tier.pick([20, 1000, 2000]), 8),
    }
}

/// A posterior to be found, and the truth about it.
struct Problem {
    key: &'static str,
    words: &'static str,
    joint: Box<dyn Joint>,
    log_evidence: Estimate,
    /// How that is known.
    how: &'static str,
    /// The same by averaging over the prior.
    averaged: Estimate,
    /// The same by bridge sampling, where there are chains.
    bridge: Option<Estimate>,
    /// Draws of the truth, where it took some.
    chains: Vec<Chain>,
}

/// Examples of each regression but the O-rings'.
const EXAMPLES: [usize; 3] = [20, 10, 40];

fn problems(lab: &Lab<'_>, settings: &Settings) -> Result<Vec<Problem>> {
    let exact = |value| Estimate { value, error: 0. };
    let problem = |key, words, joint: Box<dyn Joint>, log_evidence, how| {
        let rng = &mut stream(0, Purpose::Evaluation, 0);
        let averaged = averaging::log_evidence(&*joint, settings.averaged, rng);
        Problem { key, words, joint, log_evidence, how, averaged, bridge: None, chains: vec![] }
    };
    let linear = Linear::polynomial(EXAMPLES[0], 4, 0);
    let [two, three] = [2, 3].map(|dim| Scales::new(EXAMPLES[1], dim));
    let ridge = Target::Ridge { kappa: 5. };
    let o_rings = Logistic::o_rings();
    let rng = &mut stream(0, Purpose::Toy, 3);
    let logistic = Logistic::simulated(EXAMPLES[2], 5, 0.25, rng);
    let (of_linear, of_rings) = (exact(linear.log_evidence()), exact(o_rings.log_evidence().value));
    let [of_two, of_three] = [&two, &three].map(|scales| exact(scales.log_evidence().value));
    let of_ridge = exact(ridge.log_evidence().value);
    let mut problems = vec![
        problem("linear", "linear, D = 4", Box::new(linear), of_linear, "closed form"),
        problem("scales-2", "scales, D = 2", Box::new(two), of_two, "quadrature"),
        problem("scales-3", "scales, D = 3", Box::new(three), of_three, "quadrature"),
        problem("ridge", "ab near 1, D = 2", Box::new(ridge), of_ridge, "quadrature"),
        problem("o-rings", "O-rings, D = 2", Box::new(o_rings), of_rings, "quadrature"),
        problem("logistic", "logistic, D = 5", Box::new(logistic), exact(0.), "bridge sampling"),
    ];
    for problem in problems.iter_mut().filter(|p| ["o-rings", "logistic"].contains(&p.key)) {
        problem.chains = chains(lab, settings, problem)?;
        let chains: Vec<_> = problem.chains.iter().map(matrix).collect();
        let chains: Vec<_> = chains.iter().map(|chain| chain.view()).collect();
        let rng = &mut stream(0, Purpose::Evaluation, 1);
        let found = bridge::log_evidence(&chains, &*problem.joint, rng);
        problem.bridge = Some(found);
        if problem.how == "bridge sampling" {
            problem.log_evidence = found;
        }
    }
    Ok(problems)
}

/// Draws of the posterior itself.
fn chains(lab: &Lab<'_>, settings: &Settings, problem: &Problem) -> Result<Vec<Chain>> {
    let key = |chain| format!("nuts-{}-{chain}", problem.key);
    let cells: Vec<_> = (0..settings.chains)
        .map(|chain| Cell { key: key(chain), cost: settings.nuts.draws as f64, input: chain })
        .collect();
    lab.cells(&cells, |&chain| draws(&*problem.joint, &settings.nuts, chain))
}

/// One chain, begun near 0.
fn draws(joint: &dyn Joint, nuts: &Nuts, seed: u64) -> Result<Chain> {
    let rng = &mut stream(seed, Purpose::Sample, 0);
    let start: Vec<f64> =
        (0..joint.dim()).map(|_| 0.1 * rng.sample::<f64, _>(StandardNormal)).collect();
    nuts.chain(&start, |theta| joint.log_joint(theta).sum(), rng)
}

/// `θ [S, D]`.
fn matrix(chain: &Chain) -> Array2<f64> {
    let shape = (chain.theta.len(), chain.theta[0].len());
    Array2::from_shape_fn(shape, |(s, d)| chain.theta[s][d])
}

/// What was fitted: a problem, a method, and one fit a seed; `None` for one that diverged.
struct Row<'a> {
    problem: &'a Problem,
    method: &'a Method,
    fits: Vec<Option<Fitted>>,
}

/// Ranks of one way to a posterior, `[simulations][quantities]`.
struct Ranks {
    key: &'static str,
    words: &'static str,
    ranks: Vec<Vec<usize>>,
}

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = settings(lab.tier);
    let (problems, methods) = (problems(lab, &settings)?, Method::all());
    let mut cells = vec![];
    for problem in &problems {
        for method in &methods {
            for seed in 0..lab.seeds {
                let key = format!("{}-{}-{seed}", problem.key, method.key);
                let cost = method.cost() * settings.training.steps as f64;
                cells.push(Cell { key, cost, input: (problem, method, seed) });
            }
        }
    }
    let fits = lab.cells(&cells, |(problem, method, seed)| {
        let Settings { training, measured, .. } = &settings;
        let weighed = method.samples(&*problem.joint, training, *measured, *seed);
        Ok(weighed.and_then(|weighed| Fitted::new(&weighed)))
    })?;
    let mut fits = fits.into_iter();
    let pairs = problems.iter().flat_map(|p| methods.iter().map(move |m| (p, m)));
    let rows: Vec<_> = pairs
        .map(|(problem, method)| {
            let fits = fits.by_ref().take(lab.seeds as usize).collect();
            Row { problem, method, fits }
        })
        .collect();
    let ranks = calibrate(lab, &settings, &methods)?;
    Ok(report::report(&settings, lab.seeds, &problems, &rows, &ranks))
}

/// What is calibrated: NUTS, Bayes by Backprop and a hypernet.
const CALIBRATED: [(&str, &str); 3] =
    [("nuts", "NUTS"), ("mean-field", "Bayes by Backprop"), ("t4", "BHN, T = 4")];
/// Simulations a cell.
const TOGETHER: u64 = 25;

fn calibrate(lab: &Lab<'_>, settings: &Settings, methods: &[Method]) -> Result<Vec<Ranks>> {
    let mut cells = vec![];
    for (key, _) in CALIBRATED {
        let method = methods.iter().find(|method| method.key == key);
        for first in (0..settings.simulations).step_by(TOGETHER as usize) {
            let last = (first + TOGETHER).min(settings.simulations);
            let cost =
                method.map_or(0.1, Method::cost) * ((last - first) * settings.brief.steps) as f64;
            let key = format!("calibration-{key}-{first}-{last}");
            cells.push(Cell { key, cost, input: (method, first..last) });
        }
    }
    let found = lab.cells(&cells, |(method, simulations)| {
        simulations.clone().map(|i| simulate(*method, &settings.brief, i)).collect()
    })?;
    let each = cells.len() / CALIBRATED.len();
    let ranks = found.chunks(each).map(|parts: &[Vec<Vec<usize>>]| parts.concat());
    let named = CALIBRATED.iter().zip(ranks);
    Ok(named.map(|(&(key, words), ranks)| Ranks { key, words, ranks }).collect())
}

/// Ranks of `θ₁ … θ_D` and of `ln p(D|θ)` in simulation `i`: `θ` from the prior, `D` from the model, draws
/// from what `method`, or else NUTS, makes of `D`.
fn simulate(method: Option<&Method>, brief: &Training, i: u64) -> Result<Vec<usize>> {
    let model = Logistic::simulated(30, 3, 1., &mut stream(0, Purpose::Toy, 4));
    let rng = &mut stream(i, Purpose::Toy, 5);
    let truth = Array1::from_shape_simple_fn(model.dim(), || rng.sample(StandardNormal));
    let joint = model.observed(&truth, rng);
    let draws = match method {
        None => {
            let nuts =
                Nuts { warmup: 300, draws: 5 * DRAWS as u64, thin: 5, depth: 8, accept: 0.9 };
            matrix(&draws(&joint, &nuts, i)?)
        }
        Some(method) => {
            let weighed = method.samples(&joint, brief, (1, DRAWS), i);
            let found =
                || Error::invalid(method.words, "it diverged", "a fit", "Please report it.");
            weighed.ok_or_else(found)?.theta
        }
    };
    let log_likelihood = |theta: Array2<f64>| -> Vec<f64> {
        let (tape, theta): (_, Tensor<f64>) = (Tape::default(), theta.into_dyn().into());
        joint.log_likelihood(tape.constant(theta)).sum_axis(1).value().iter().copied().collect()
    };
    let columns = truth.iter().zip(draws.columns());
    let mut ranks: Vec<_> =
        columns.map(|(&truth, draws)| rank(truth, draws.iter().copied())).collect();
    let own = log_likelihood(truth.insert_axis(ndarray::Axis(0)));
    ranks.push(rank(own[0], log_likelihood(draws)));
    Ok(ranks)
}
