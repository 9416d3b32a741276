//! Estimators of the bound's gradient: the path alone has the right mean, and no variance where the
//! posterior is exact.
use super::suite::{Instance, Measurement, Property, Suite, distance, largest};
use crate::autodiff::gradcheck::randn;
use crate::autodiff::{Tape, Var};
use crate::bayes::{
    Axes, Base, Draw, Estimator, FlowKind, Hypernet, HypernetConfig, Kl, MeanField, Posterior,
};
use crate::nn::{BoundParams, Params};
use crate::random::{Purpose, stream};
use rand::Rng;
use rayon::prelude::*;
use std::sync::Arc;

/// Draws samples whose `ln q(θ)` has the gradient of an estimator.
pub type Rule =
    for<'t> fn(&dyn Posterior<f64>, &BoundParams<'t, f64>, usize, &mut dyn Rng) -> Draw<'t, f64>;

/// `ln p(θ, D) [S]` of `θ [S, D]`.
pub type LogJoint = Box<dyn for<'t> Fn(Var<'t, f64>) -> Var<'t, f64> + Send + Sync>;

/// An estimator of the gradient of `E_q[ln q(θ) − ln p(θ, D)]`, on a model whose exact posterior is
/// in the family of `q`.
pub struct Case {
    q: Arc<dyn Posterior<f64>>,
    /// The parameters at which `q` is the exact posterior.
    exact: Params<f64>,
    log_joint: LogJoint,
    /// The largest relative rounding error of the gradients of `ln q` and `ln p(θ, D)` at `exact`.
    rounding: f64,
    rule: Rule,
}

impl Case {
    /// The path gradient of `q`, which is the exact posterior of `log_joint` at the parameters
    /// `exact`. `rounding` is the largest relative rounding error of `∂ln q/∂θ` and
    /// `∂ln p(θ, D)/∂θ` there, which are equal.
    pub fn new(
        q: Arc<dyn Posterior<f64>>,
        exact: Params<f64>,
        log_joint: LogJoint,
        rounding: f64,
    ) -> Self {
        Self { q, exact, log_joint, rounding, rule: path }
    }

    /// The same case with the total gradient.
    pub fn with_total(self) -> Self {
        Self { rule: total, ..self }
    }

    /// Parameters away from the exact posterior.
    fn moved(&self) -> Params<f64> {
        let mut params = self.exact.clone();
        for ((_, w), seed) in params.iter_mut().zip(70..) {
            *w = (&*w + &(randn(w.shape(), seed) * 0.3)).into();
        }
        params
    }

    /// The gradient at `params` of the mean over `samples` samples of `ln q(θ) − ln p(θ, D)`, whose
    /// terms have the given weights.
    fn gradient(
        &self,
        rule: Rule,
        params: &Params<f64>,
        [of_q, of_p]: [f64; 2],
        (samples, index): (usize, u64),
    ) -> Vec<f64> {
        let tape = Tape::default();
        let p = params.bind(&tape);
        let draw = rule(&*self.q, &p, samples, &mut stream(3, Purpose::Noise, index));
        let log_q = draw.log_q().expect("a density");
        let log_p = (self.log_joint)(draw.theta);
        flat(params, &p, (log_q * of_q - log_p * of_p).mean())
    }

    /// The score `∂ln q(θ)/∂φ` for fixed `θ`, at the same samples as [`Case::gradient`].
    fn score(&self, params: &Params<f64>, (samples, index): (usize, u64)) -> Vec<f64> {
        let tape = Tape::default();
        let p = params.bind(&tape);
        let draw = self.q.draw(&p, samples, &mut stream(3, Purpose::Noise, index));
        let log_q = self.q.density(&p, draw.theta.detach()).expect("a density");
        flat(params, &p, log_q.mean())
    }
}

/// The entries of the gradient of `loss` with respect to all parameters; 0 where it does not depend
/// on them.
fn flat(params: &Params<f64>, p: &BoundParams<'_, f64>, loss: Var<'_, f64>) -> Vec<f64> {
    let gradients = p.gradients(loss.backward());
    let each = params.iter().zip(gradients).flat_map(|((_, w), gradient)| match gradient {
        Some(gradient) => gradient.to_dense(w).iter().copied().collect(),
        None => vec![0.; w.len()],
    });
    each.collect()
}

fn total<'t>(
    q: &dyn Posterior<f64>,
    p: &BoundParams<'t, f64>,
    samples: usize,
    rng: &mut dyn Rng,
) -> Draw<'t, f64> {
    Estimator::Total.draw(q, p, samples, rng)
}

fn path<'t>(
    q: &dyn Posterior<f64>,
    p: &BoundParams<'t, f64>,
    samples: usize,
    rng: &mut dyn Rng,
) -> Draw<'t, f64> {
    Estimator::Path.draw(q, p, samples, rng)
}

/// The suite of [`Estimator::Path`], for every kind of posterior with a density.
pub fn suite() -> Suite<Case> {
    let config = |kind| HypernetConfig { kind, couplings: 2, hidden: 5, ..Default::default() };
    let realnvp = config(FlowKind::Realnvp);
    let base = Base::Mixture { components: 2, distance: 3., axes: Axes::All };
    let hypernets = [
        ("elementwise", HypernetConfig { couplings: 0, ..realnvp }),
        ("RealNVP", realnvp),
        ("RealNVP from mixture noise", HypernetConfig { base, ..realnvp }),
        ("IAF", config(FlowKind::Iaf)),
        ("linear", config(FlowKind::Linear)),
        ("planar", config(FlowKind::Planar)),
    ];
    let hypernets = hypernets.map(|(name, config)| Instance::new(name, hypernet(&config)));
    let mean_field = own(Params::default(), |params| {
        Arc::new(MeanField::new(params, "q", &[0.5, -1., 2.], -0.5, false))
    });
    let instances = hypernets.into_iter().chain([Instance::new("mean field", mean_field)]);
    Suite {
        properties: vec![
            Property::new(
                "zero variance",
                "if q is the exact posterior, the path gradient of every single sample is 0",
                zero_variance,
            ),
            Property::new(
                "mean",
                "away from it, path and total gradient have the same mean, within four standard errors",
                same_mean,
            ),
            Property::new(
                "score",
                "the path gradient is the total gradient minus the score, computed separately",
                without_score,
            ),
        ],
        instances: instances.collect(),
        faults: faults(&|| hypernet(&realnvp)),
    }
}

/// A hypernet with parameters of order one, over three entries.
fn hypernet(config: &HypernetConfig) -> Case {
    own(Params::default(), |params| {
        let hypernet = Hypernet::new(params, "q", 3, config, &mut stream(1, Purpose::Init, 0));
        for ((_, w), seed) in params.iter_mut().zip(40..) {
            *w = (randn(w.shape(), seed) * 0.5).into();
        }
        Arc::new(hypernet)
    })
}

/// A posterior whose target is its own density.
fn own(
    mut params: Params<f64>,
    posterior: impl FnOnce(&mut Params<f64>) -> Arc<dyn Posterior<f64>>,
) -> Case {
    let q = posterior(&mut params);
    let (target, exact) = (q.clone(), params.clone());
    let log_joint: LogJoint = Box::new(move |theta| {
        target.density(&exact.freeze(theta.tape()), theta).expect("a density")
    });
    // A hundred operations on the way from an entry of `θ` to a density and back.
    Case::new(q, params, log_joint, 100. * f64::EPSILON)
}

/// The number of single samples at which the variance must vanish.
const SINGLE: u64 = 20;

/// Where `q` is exact, `∂ln q/∂θ = ∂ln p(θ, D)/∂θ`, so that the path gradient is 0 to rounding at
/// every sample. The error is relative to the gradient of `ln p(θ, D)` alone.
pub fn zero_variance(case: &Case) -> Measurement {
    let Case { exact, rule, .. } = case;
    let worst = |weights| {
        let of = |index| case.gradient(*rule, exact, weights, (1, index));
        largest((0..SINGLE).flat_map(of).map(f64::abs))
    };
    Measurement::new(worst([1., 1.]) / worst([0., 1.]), case.rounding, "single samples")
}

/// The number of samples whose gradients are averaged.
const AVERAGED: u64 = 1000;

/// The mean difference between the gradient and the total gradient at the same samples, in its
/// standard errors. The samples are shared, as the variances of both are then almost removed.
pub fn same_mean(case: &Case) -> Measurement {
    let params = case.moved();
    let difference = |index| {
        let of = |rule| case.gradient(rule, &params, [1., 1.], (1, index));
        let (found, expected) = (of(case.rule), of(total));
        found.into_iter().zip(expected).map(|(a, b)| a - b).collect::<Vec<_>>()
    };
    let differences: Vec<_> = (0..AVERAGED).into_par_iter().map(difference).collect();
    let (n, entries) = (AVERAGED as f64, differences[0].len());
    let deviation = |i: usize| {
        let mean = differences.iter().map(|d| d[i]).sum::<f64>() / n;
        let squares = differences.iter().map(|d| (d[i] - mean).powi(2)).sum::<f64>();
        let error = (squares / (n - 1.) / n).sqrt();
        // An entry that is 0 in every sample has no error either.
        if mean == 0. { 0. } else { mean.abs() / error }
    };
    let at = format!("{entries} entries, {AVERAGED} samples, in standard errors");
    Measurement::new(largest((0..entries).map(deviation)), 4., at)
}

fn without_score(case: &Case) -> Measurement {
    let (params, at) = (case.moved(), (3, AVERAGED));
    let [found, total] = [case.rule, total].map(|rule| case.gradient(rule, &params, [1., 1.], at));
    let score = case.score(&params, at);
    let expected: Vec<_> = total.iter().zip(&score).map(|(total, score)| total - score).collect();
    Measurement::new(distance(&found, &expected), 1e-7, "relative difference")
}

/// Estimators of another gradient.
fn faults(sound: &dyn Fn() -> Case) -> Vec<Instance<Case>> {
    let fault = |name, rule: Rule| Instance::new(name, Case { rule, ..sound() });
    vec![
        fault("the score is kept", total),
        fault("ln q(θ) has no gradient", |q, p, samples, rng| {
            let draw = q.draw(p, samples, rng);
            with_density(draw, draw.log_q().expect("a density").detach())
        }),
        fault("the score is kept, and the path of ln q is dropped", |q, p, samples, rng| {
            let draw = q.draw(p, samples, rng);
            with_density(draw, q.density(p, draw.theta.detach()).expect("a density"))
        }),
        fault("θ has no gradient in ln p(θ, D)", |q, p, samples, rng| {
            let draw = path(q, p, samples, rng);
            Draw { theta: draw.theta.detach(), ..draw }
        }),
    ]
}

fn with_density<'t>(draw: Draw<'t, f64>, log_q: Var<'t, f64>) -> Draw<'t, f64> {
    Draw { kl: Kl::Sampled { log_q }, ..draw }
}
