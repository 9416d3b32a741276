//! Fitting a posterior to an explicit density: no data set and no run folder are needed.
use crate::autodiff::{Storage, Tape, Var};
use crate::bayes::{Estimator, Posterior, Prior, Scale, elbo};
use crate::nn::Params;
use crate::nn::optim::{Clip, Optimiser, Update};
use crate::random::{Purpose, stream};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use std::mem;

/// `p(θ, D) = p(θ) Πₙ p(yₙ|xₙ, θ)`: the joint density of parameters `θ` and data `D`.
pub trait Joint: Send + Sync {
    /// The number of parameters: the `D` of shapes, not the data `D`.
    fn dim(&self) -> usize;

    /// `N`, the number of examples.
    fn examples(&self) -> usize;

    /// The prior `p(θ)`.
    fn prior(&self) -> Prior;

    /// `ln p(yₙ|xₙ, θₛ) [S, N]` for `θ [S, D]`.
    fn log_likelihood<'t>(&self, theta: Var<'t, f64>) -> Var<'t, f64>;

    /// `ln p(θₛ, D) [S]`.
    fn log_joint<'t>(&self, theta: Var<'t, f64>) -> Var<'t, f64> {
        self.log_likelihood(theta).sum_axis(1) + self.prior().log_prob(theta)
    }
}

/// `f(θ) [S]` of samples `θ [S, D]`, without gradients.
pub fn evaluate(theta: Array2<f64>, f: impl for<'t> Fn(Var<'t, f64>) -> Var<'t, f64>) -> Vec<f64> {
    let tape = Tape::default();
    f(tape.constant(theta)).value().iter().copied().collect()
}

/// `ln p(θₛ, D) [S]` of samples `θ [S, D]`, without gradients, a few samples at a time, so that
/// activations stay small.
pub fn log_joint(joint: &dyn Joint, theta: ArrayView2<'_, f64>) -> Vec<f64> {
    let samples = (EVALUATED / joint.examples().max(1)).max(1);
    let parts = theta.axis_chunks_iter(Axis(0), samples);
    parts.flat_map(|part| evaluate(part.to_owned(), |theta| joint.log_joint(theta))).collect()
}

/// Samples times examples that are evaluated together.
const EVALUATED: usize = 500_000;

/// Training of a posterior: Adam on the ELBO of all examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// Steps of Adam.
    pub steps: u64,
    /// Noise samples per step.
    pub samples: usize,
    /// Initial learning rate.
    pub rate: f64,
    /// Factor by which the learning rate is divided from the first step to the last; the decay is
    /// exponential.
    pub decay: f64,
    /// Initial fraction of the steps, over which the weight of the likelihood rises exponentially
    /// from 0.01 to 1; 0 for no annealing.
    pub anneal: f64,
    /// Estimator of the gradient.
    pub gradient: Estimator,
}

/// A loss or a gradient was not finite after this number of steps.
#[derive(Clone, Copy, Debug)]
pub struct Diverged(pub u64);

impl Training {
    /// Train `q`, whose parameters are `params`.
    ///
    /// # Errors
    /// If a loss or a gradient is not finite.
    ///
    /// # Panics
    /// If the gradient is the path's and `q` has no density.
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
            let draw = self.gradient.draw(q, &p, self.samples, rng);
            let likelihood = joint.log_likelihood(draw.theta);
            // w (KL/w − ln p(D|θ)) = KL − w ln p(D|θ)
            let weight = self.weight(step);
            let scale = Scale { data: n, batch: n, beta: 1. / weight };
            let loss = elbo(&draw, joint.prior(), likelihood, scale).loss * weight;
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

    /// Weight of the likelihood at a step.
    fn weight(&self, step: u64) -> f64 {
        let risen = step as f64 / (self.anneal * self.steps as f64);
        if self.anneal > 0. { 0.01_f64.powf((1. - risen).max(0.)) } else { 1. }
    }
}

/// Samples of a posterior with their importance weights.
pub struct Weighted {
    /// `θ [S, D]`.
    pub theta: Array2<f64>,
    /// `ln p(θₛ, D) − ln q(θₛ) [S]`. The mean over samples estimates the ELBO; the mean of the
    /// exponentials estimates the evidence.
    pub log_weight: Vec<f64>,
}

/// `parts · samples` fresh samples of `q` with their importance weights, `samples` per pass.
///
/// # Panics
/// If `q` has no density.
pub fn weigh(
    q: &dyn Posterior<f64>,
    params: &Params<f64>,
    joint: &dyn Joint,
    (parts, samples): (u64, usize),
    seed: u64,
) -> Weighted {
    let mut log_weight = vec![];
    let mut part = |index| {
        let tape = Tape::default();
        let p = params.freeze(&tape);
        let draw = q.draw(&p, samples, &mut stream(seed, Purpose::Evaluation, index));
        let log_q = draw.log_q().expect("a posterior with a density");
        log_weight.extend((joint.log_joint(draw.theta) - log_q).value().iter());
        let theta = draw.theta.value().to_owned();
        theta.into_dimensionality().expect("[S, D]")
    };
    let theta: Vec<Array2<f64>> = (0..parts).map(&mut part).collect();
    let views: Vec<_> = theta.iter().map(|part| part.view()).collect();
    let theta = concatenate(Axis(0), &views).expect("parts of one width");
    Weighted { theta, log_weight }
}
