//! Densities of priors and likelihoods: each integrates to one.
use super::suite::{Instance, Measurement, Property, Suite};
use crate::autodiff::gradcheck::randn;
use crate::autodiff::{Tape, Tensor};
use crate::bayes::{Likelihood, Mnf, MnfConfig, Prior, Targets};
use crate::nn::Params;
use crate::primary::{Block, BlockKind};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use std::f64::consts::TAU;

/// `ln p(x)` of a number `x`.
pub type LogProb = Box<dyn Fn(f64) -> f64 + Send + Sync>;

/// The suite of priors, of the normal likelihood and of the auxiliary distribution of [`Mnf`].
pub fn suite() -> Suite<LogProb> {
    let prior = |name: &str, prior| Instance::new(name, of_prior(prior));
    let (params, precision) = (Params::<f64>::default(), 7.);
    let normal: LogProb = Box::new(move |y| {
        let tape = Tape::default();
        let mean = tape.constant(Tensor::from_elem(vec![1, 1, 1], 0.3));
        let likelihood = Likelihood::Gaussian { precision };
        likelihood.log_prob(&params.freeze(&tape), mean, &Targets::Values(vec![y])).item()
    });
    Suite {
        properties: vec![Property::new("integral", "∫ p(x) dx = 1, constants included", integral)],
        instances: vec![
            prior("normal prior", Prior::Gaussian { precision: 4. }),
            prior("Laplace prior", Prior::Laplace { scale: 0.7 }),
            prior("scale mixture", Prior::ScaleMixture { weight: 0.3, stds: [2., 0.1] }),
            Instance::new("normal likelihood", normal),
            Instance::new("auxiliary distribution of MNF", auxiliary()),
        ],
        faults: faults(),
    }
}

/// The log-density of a prior over one number.
pub fn of_prior(prior: Prior) -> LogProb {
    Box::new(move |x| {
        let tape = Tape::default();
        prior.log_prob(tape.constant(Tensor::from_elem(vec![1, 1], x))).item()
    })
}

/// `ln r(z|w)` of a single multiplier `z` of three weights, with parameters of order one.
fn auxiliary() -> LogProb {
    let mut params = Params::default();
    let block = Block { offset: 0, outputs: 3, inputs: 1, kind: BlockKind::Dense };
    let config = MnfConfig { couplings: 0, ..MnfConfig::default() };
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let q = Mnf::new(&mut params, "q", &[0.; 3], &[block], &config, rng);
    for ((_, w), seed) in params.iter_mut().zip(40..) {
        *w = (randn(w.shape(), seed) * 0.5).into();
    }
    Box::new(move |z| {
        let tape = Tape::default();
        let z = tape.constant(Tensor::from_elem(vec![1, 1], z));
        q.log_auxiliary(&params.freeze(&tape), z, tape.constant(randn(&[1, 3], 7))).item()
    })
}

/// `∫ p(x) dx = 1`, by the trapezoidal rule in `t`, where `x = sinh t`. A node lies at 0, where the
/// Laplace density has a kink.
pub fn integral(log_prob: &LogProb) -> Measurement {
    let step = 1e-3;
    let term = |i: i32| {
        let t = f64::from(i) * step;
        log_prob(t.sinh()).exp() * t.cosh() * step
    };
    let all: f64 = (-9000..=9000).map(term).sum();
    Measurement::new((all - 1.).abs(), 1e-5, format!("the integral is {all:.8}"))
}

fn faults() -> Vec<Instance<LogProb>> {
    let fault = |name, log_prob: fn(f64) -> f64| Instance::new(name, Box::new(log_prob) as LogProb);
    vec![
        fault("normal: without its constant", |x| -0.5 * x * x),
        fault("normal: ln τ for ½ ln τ", |x| -2. * x * x + 4_f64.ln() - 0.5 * TAU.ln()),
        fault("Laplace: ln b for ln 2b", |x| -x.abs() / 0.7 - 0.7_f64.ln()),
        fault("mixture: weights that do not add to one", |x| {
            let normal = |std: f64| (-0.5 * (x / std).powi(2)).exp() / (std * TAU.sqrt());
            (0.3 * normal(2.) + 0.3 * normal(0.1)).ln()
        }),
    ]
}
