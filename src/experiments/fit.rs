//! A posterior fitted to a density that is written out, without a network or a data set in between.
use crate::autodiff::{Storage, Tape, Var};
use crate::bayes::{Posterior, Prior, Scale, elbo};
use crate::nn::Params;
use crate::nn::optim::{Clip, Optimiser, Update};
use crate::random::{Purpose, stream};
use ndarray::{Array2, Axis, concatenate};
use std::mem;

/// `p(θ, D) = p(θ) Πₙ p(yₙ|xₙ, θ)`.
pub trait Joint: Send + Sync {
    /// `D`.
    fn dim(&self) -> usize;

    /// `N`.
    fn examples(&self) -> usize;

    /// `p(θ)`.
    fn prior(&self) -> Prior;

    /// `ln p(yₙ|xₙ, θₛ) [S, N]` for `θ [S, D]`.
    fn log_likelihood<'t>(&self, theta: Var<'t, f64>) -> Var<'t, f64>;

    /// `ln p(θₛ, D) [S]`.
    fn log_joint<'t>(&self, theta: Var<'t, f64>) -> Var<'t, f64> {
        self.log_likelihood(theta).sum_axis(1) + self.prior().log_prob(theta)
    }
}

/// How a posterior is trained: Adam on the bound over all examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
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

/// A loss or a gradient was not finite after so many steps.
#[derive(Clone, Copy, Debug)]
pub struct Diverged(pub u64);

impl Training {
    /// Train `q`, whose parameters `params` are.
    ///
    /// # Errors
    /// If it diverges.
    pub fn run(
        &self,
        q: &dyn Posterior<f64>,
        params: &mut Params<f64>,
        joint: &dyn Joint,
        seed: u64,
    ) -> Result<(), Diverged> {
        let n = joint.examples();
        let mut adam = Optimiser::new(Update::default(), params);
        let mut storage = Storage::default();
        for step in 0..self.steps {
            let tape = Tape::reusing(mem::take(&mut storage));
            let p = params.bind(&tape);
            let rng = &mut stream(seed, Purpose::Noise, step);
            let draw = q.draw(&p, &tape, self.samples, rng);
            let (prior, likelihood) =
                (joint.prior().log_prob(draw.theta), joint.log_likelihood(draw.theta));
            // w (KL/w − ln p(D|θ)) = KL − w ln p(D|θ)
            let weight = self.weight(step);
            let scale = Scale { data: n, batch: n, beta: 1. / weight };
            let loss = elbo(&draw, prior, likelihood, scale).loss * weight;
            if !loss.item().is_finite() {
                return Err(Diverged(step));
            }
            let grads = p.gradients(loss.backward());
            storage = tape.into_storage();
            let rate = self.rate * self.decay.powf(-(step as f64 / self.steps as f64));
            if !adam.step(params, &grads, rate, Clip::default()).is_finite() {
                return Err(Diverged(step));
            }
            grads.into_iter().flatten().for_each(|g| storage.keep_gradient(g));
        }
        Ok(())
    }

    /// The likelihood's weight at a step.
    fn weight(&self, step: u64) -> f64 {
        let risen = step as f64 / (self.anneal * self.steps as f64);
        if self.anneal > 0. { 0.01_f64.powf((1. - risen).max(0.)) } else { 1. }
    }
}

/// Samples of a posterior and what they weigh.
pub struct Weighed {
    /// `θ [S, D]`.
    pub theta: Array2<f64>,
    /// `ln p(θₛ, D) − ln q(θₛ) [S]`: its mean is the bound, the mean of its exponential the evidence.
    pub log_weight: Vec<f64>,
}

/// Fresh samples of `q`, so many parts of so many.
///
/// # Panics
/// If `q` has no density.
pub fn weigh(
    q: &dyn Posterior<f64>,
    params: &Params<f64>,
    joint: &dyn Joint,
    (parts, samples): (u64, usize),
    seed: u64,
) -> Weighed {
    let mut log_weight = vec![];
    let mut part = |index| {
        let tape = Tape::default();
        let p = params.freeze(&tape);
        let draw = q.draw(&p, &tape, samples, &mut stream(seed, Purpose::Evaluation, index));
        let log_q = draw.log_q.expect("a posterior with a density");
        log_weight.extend((joint.log_joint(draw.theta) - log_q).value().iter());
        let theta = draw.theta.value().to_owned();
        theta.into_dimensionality().expect("[S, D]")
    };
    let theta: Vec<Array2<f64>> = (0..parts).map(&mut part).collect();
    let views: Vec<_> = theta.iter().map(|part| part.view()).collect();
    let theta = concatenate(Axis(0), &views).expect("parts of one width");
    Weighed { theta, log_weight }
}
