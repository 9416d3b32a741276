//! A hypernet fitted to a [`Target`], and how far it stays from the truth.
use super::target::Target;
use crate::bayes::{Draw, Scale, elbo};
use crate::flows::{Bijector, Chain, Conditioner, Coupling, Elementwise, Permutation, Stabiliser};
use crate::nn::{Bound, Init, Params};
use crate::optim::{Clip, Optimiser, Rule};
use crate::random::{Purpose, stream};
use crate::tape::{Owned, Storage, Tape};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::mem;

/// How a hypernet is built and trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// `T`; 0 is the elementwise layer alone.
    pub couplings: usize,
    /// Hidden units of each coupling.
    pub hidden: usize,
    /// How couplings keep their scales positive.
    pub stabiliser: Stabiliser,
    /// `μ`: the base is `½N(−μ, 1) + ½N(μ, 1)` along its first coordinate, `N(0, 1)` along the others.
    pub offset: f64,
    /// Steps of Adam.
    pub steps: u64,
    /// Noise samples a step.
    pub samples: usize,
    /// The learning rate at the start.
    pub rate: f64,
    /// By what it is divided at the end, evenly in its logarithm.
    pub decay: f64,
    /// Over which share of the steps the likelihood's weight rises from 0.01 to 1, evenly in its
    /// logarithm; 0 for none.
    pub anneal: f64,
}

/// What became of one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Fit {
    /// A loss, a gradient or a bound was not finite.
    Diverged {
        /// After so many steps.
        steps: u64,
    },
    /// It was measured.
    Fitted(Measured),
}

/// A trained hypernet in numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// `E_q[ln p(D|θ) + ln p(θ) − ln q(θ)]`, nats.
    pub elbo: f64,
    /// Its standard error from the samples it was estimated with.
    pub error: f64,
    /// The share of the samples with `a > 0`.
    pub positive: f64,
    /// `(a, b)` of the first few of them.
    pub samples: Vec<(f64, f64)>,
}

/// Samples that a fit is measured with, so many at a time.
const MEASURED: (usize, usize) = (50_000, 2_500);
/// Samples that are kept to be drawn.
const KEPT: usize = 400;

impl Settings {
    fn flow(&self, params: &mut Params<f64>, d: usize, rng: &mut impl Rng) -> Chain<f64> {
        // Started wide: w ~ N(0, 0.01²), a standard deviation of 1.
        let start = Init::Normal { mean: 0., std: 0.01 };
        let first = Elementwise::new(params, "elementwise", d, start, start, rng);
        let mut flow = Chain::default().then(first);
        for t in 0..self.couplings {
            if t > 0 {
                flow = flow.then(Permutation::reversal(d));
            }
            let name = format!("coupling.{t}");
            let Self { hidden, stabiliser, .. } = *self;
            let conditioner = Conditioner { hidden, stabiliser, ..Conditioner::default() };
            flow = flow.then(Coupling::new(params, &name, d, conditioner, rng));
        }
        flow
    }

    /// The likelihood's weight at a step.
    fn weight(&self, step: u64) -> f64 {
        let risen = step as f64 / (self.anneal * self.steps as f64);
        if self.anneal > 0. { 0.01_f64.powf((1. - risen).max(0.)) } else { 1. }
    }

    fn draw<'t>(
        &self,
        flow: &Chain<f64>,
        p: &Bound<'t, f64>,
        tape: &'t Tape<f64>,
        (samples, d): (usize, usize),
        rng: &mut impl Rng,
    ) -> Draw<'t, f64> {
        let mu = self.offset;
        let normal = || rng.sample(StandardNormal);
        let mut eps = Owned::<f64>::from_shape_simple_fn(vec![samples, d], normal);
        let mut log_base = vec![-0.5 * d as f64 * TAU.ln(); samples];
        for (mut eps, log_base) in eps.rows_mut().into_iter().zip(&mut log_base) {
            eps[0] += if rng.random() { mu } else { -mu };
            let rest = eps.iter().skip(1).map(|e| e * e).sum::<f64>();
            // ln(½ e^{−(e−μ)²/2} + ½ e^{−(e+μ)²/2}) = −(e² + μ²)/2 + ln cosh(μe)
            let far = (mu * eps[0]).abs();
            let cosh = far + (-2. * far).exp().ln_1p() - 2_f64.ln();
            *log_base += cosh - 0.5 * (eps[0] * eps[0] + mu * mu + rest);
        }
        let log_base = Owned::from_shape_vec(vec![samples], log_base).expect("one a sample");
        let (theta, log_det) = flow.forward(p, tape.constant(eps));
        Draw { theta, log_q: Some(tape.constant(log_base) - log_det), kl: None }
    }
}

/// Train from `seed` and measure.
pub fn fit(target: &Target, settings: &Settings, seed: u64) -> Fit {
    let (d, n) = (target.dim(), target.examples());
    let mut params = Params::default();
    let flow = settings.flow(&mut params, d, &mut stream(seed, Purpose::Init, 0));
    let mut adam = Optimiser::new(Rule::default(), &params);
    let mut storage = Storage::default();
    for step in 0..settings.steps {
        let tape = Tape::reusing(mem::take(&mut storage));
        let p = params.bind(&tape);
        let rng = &mut stream(seed, Purpose::Noise, step);
        let draw = settings.draw(&flow, &p, &tape, (settings.samples, d), rng);
        let (prior, likelihood) =
            (target.prior().log_prob(draw.theta), target.log_likelihood(draw.theta));
        // w (KL/w − ln p(D|θ)) = KL − w ln p(D|θ)
        let weight = settings.weight(step);
        let scale = Scale { data: n, batch: n, beta: 1. / weight };
        let loss = elbo(&draw, prior, likelihood, scale).loss * weight;
        if !loss.item().is_finite() {
            return Fit::Diverged { steps: step };
        }
        let grads = p.gradients(loss.backward());
        storage = tape.into_storage();
        let rate = settings.rate * settings.decay.powf(-(step as f64 / settings.steps as f64));
        if !adam.step(&mut params, &grads, rate, Clip::default()).is_finite() {
            return Fit::Diverged { steps: step };
        }
        grads.into_iter().flatten().for_each(|g| storage.keep_gradient(g));
    }
    measure(target, settings, &flow, &params, seed)
        .map_or(Fit::Diverged { steps: settings.steps }, Fit::Fitted)
}

/// The bound over fresh samples, if it is finite.
fn measure(
    target: &Target,
    settings: &Settings,
    flow: &Chain<f64>,
    params: &Params<f64>,
    seed: u64,
) -> Option<Measured> {
    let (count, chunk) = MEASURED;
    let (mut bounds, mut positive, mut samples) = (vec![], 0, vec![]);
    for part in 0..count / chunk {
        let tape = Tape::default();
        let p = params.freeze(&tape);
        let rng = &mut stream(seed, Purpose::Evaluation, part as u64);
        let draw = settings.draw(flow, &p, &tape, (chunk, target.dim()), rng);
        let log_likelihood = target.log_likelihood(draw.theta).sum_axis(1);
        let log_joint = log_likelihood + target.prior().log_prob(draw.theta);
        bounds.extend((log_joint - draw.log_q.expect("a flow has a density")).value().iter());
        let theta = draw.theta.value();
        let pairs: Vec<_> = theta.rows().into_iter().map(|row| (row[0], row[1])).collect();
        positive += pairs.iter().filter(|(a, _)| *a > 0.).count();
        samples.extend(pairs.into_iter().take(KEPT - samples.len()));
    }
    let n = count as f64;
    let elbo = bounds.iter().sum::<f64>() / n;
    let variance = bounds.iter().map(|b| (b - elbo).powi(2)).sum::<f64>() / (n - 1.);
    let error = (variance / n).sqrt();
    let positive = positive as f64 / n;
    (elbo.is_finite() && error.is_finite()).then_some(Measured { elbo, error, positive, samples })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `E_q[p(θ)/q(θ)] = 1` for the prior `p`, within five standard errors: the density of the base and
    /// the log-determinants are those of the samples.
    #[test]
    fn samples_have_their_density() {
        let (target, n) = (Target::Ridge { kappa: 0. }, 20_000);
        for (couplings, offset) in [(0, 0.), (0, 1.), (3, 1.)] {
            let settings = Settings {
                couplings,
                hidden: 10,
                stabiliser: Stabiliser::Tanh,
                offset,
                steps: 0,
                samples: 1,
                rate: 0.,
                decay: 1.,
                anneal: 0.,
            };
            let (mut params, tape) = (Params::default(), Tape::default());
            let flow = settings.flow(&mut params, 2, &mut stream(1, Purpose::Init, 0));
            // Away from the start, where couplings do nothing.
            for (_, w) in params.iter_mut().filter(|(name, _)| name.ends_with(".r")) {
                w.iter_mut().for_each(|r| *r = 0.5 * r.signum());
            }
            let p = params.freeze(&tape);
            let draw = settings.draw(&flow, &p, &tape, (n, 2), &mut stream(2, Purpose::Noise, 0));
            let ratio = target.prior().log_prob(draw.theta) - draw.log_q.unwrap();
            let ratios: Vec<_> = ratio.value().iter().map(|r| r.exp()).collect();
            let mean = ratios.iter().sum::<f64>() / n as f64;
            let variance = ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n as f64;
            let error = (variance / n as f64).sqrt();
            assert!((mean - 1.).abs() < 5. * error, "{couplings} {offset}: {mean} ± {error}");
            assert!(error < 0.1, "a test of nothing: {couplings} {offset}: ± {error}");
        }
    }

    /// The bound is below the evidence, and three hundred steps bring it nearer.
    #[test]
    fn fitting_raises_the_bound() {
        let target = Target::Ridge { kappa: 5. };
        let evidence = target.log_evidence().value;
        let kl = |steps| {
            let settings = Settings {
                couplings: 2,
                hidden: 20,
                stabiliser: Stabiliser::Tanh,
                offset: 0.,
                steps,
                samples: 8,
                rate: 1e-2,
                decay: 10.,
                anneal: 0.5,
            };
            let Fit::Fitted(fit) = fit(&target, &settings, 0) else { panic!("diverged") };
            assert!(fit.elbo < evidence + 5. * fit.error, "above the evidence: {fit:?}");
            evidence - fit.elbo
        };
        let (before, after) = (kl(0), kl(300));
        assert!(before > 2. && after < 1.5, "{before} {after}");
    }

    #[test]
    fn a_fit_that_diverges_says_so() {
        let settings = Settings {
            couplings: 2,
            hidden: 20,
            stabiliser: Stabiliser::Exp,
            offset: 0.,
            steps: 50,
            samples: 2,
            rate: 1e3,
            decay: 1.,
            anneal: 0.,
        };
        let fit = fit(&Target::net(), &settings, 0);
        assert!(matches!(fit, Fit::Diverged { steps: 1.. }), "{fit:?}");
    }
}
