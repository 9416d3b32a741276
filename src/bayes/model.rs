//! A primary network, a posterior over its `θ`, a prior and a likelihood: all that is trained.
use super::{Draw, Elbo, Likelihood, Posterior, Prior, Scale, Targets, elbo};
use crate::autodiff::{Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Params};
use crate::primary::PrimaryNet;
use ndarray::{ArrayView2, s};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// All that is trained, and how it is put together.
pub struct Model<T: Scalar = f32> {
    /// Every number that is learned.
    pub params: Params<T>,
    /// What predicts, given `θ`.
    pub primary: Box<dyn PrimaryNet<T>>,
    /// `q(θ)`.
    pub posterior: Box<dyn Posterior<T>>,
    /// `p(θ)`.
    pub prior: Prior,
    /// `p(y | x, θ)`.
    pub likelihood: Likelihood,
    /// What shares a draw of `θ` in training.
    pub noise: Noise,
}

/// What shares a draw of `θ` in training. In prediction every input does, so that a sample is one
/// function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// A minibatch, the paper's way.
    #[default]
    Shared,
    /// Nothing: each example has draws of its own, as in dropout. The paper found it slower and no
    /// better for hypernets.
    PerExample,
}

/// One evaluation of the bound, and the outputs it came from.
pub struct Pass<'t, T = f32> {
    /// The bound and its terms.
    pub elbo: Elbo<'t, T>,
    /// The network's outputs `[S, B, K]`.
    pub outputs: Var<'t, T>,
}

impl<T: Scalar> Model<T> {
    /// The bound for inputs `x [B, …]`, from `samples` draws of `θ`, shared as `noise` says.
    ///
    /// # Panics
    /// If inputs or targets do not fit the network, the likelihood or `scale`.
    pub fn pass<'t>(
        &self,
        p: &BoundParams<'t, T>,
        x: Var<'t, T>,
        y: &Targets<T>,
        samples: usize,
        scale: Scale,
        rng: &mut dyn Rng,
    ) -> Pass<'t, T> {
        let (draw, outputs) = self.draw_and_predict(p, x, samples, rng);
        let log_likelihood = self.likelihood.log_prob(p, outputs, y);
        let log_prior = match draw.log_q {
            Some(_) => self.prior.log_prob(draw.theta),
            None => x.tape().constant(Tensor::zeros(&draw.theta.shape()[..1])),
        };
        Pass { elbo: elbo(&draw, log_prior, log_likelihood, scale), outputs }
    }

    /// Data-dependent initialisation (Salimans & Kingma 2016), on the last 64 of `x [N, …]` as the authors
    /// do: the network's biases, and a posterior around the scales that normalise its activations.
    pub fn init_from_data(&mut self, x: ArrayView2<'_, T>) {
        let last = x.nrows().saturating_sub(64);
        let x = x.slice(s![last.., ..]).to_shared();
        if let Some(theta) = self.primary.init_from_data(&mut self.params, x.into()) {
            self.posterior.recentre(&mut self.params, &theta);
        }
    }

    fn draw_and_predict<'t>(
        &self,
        p: &BoundParams<'t, T>,
        x: Var<'t, T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> (Draw<'t, T>, Var<'t, T>) {
        if let Some(q) = self.posterior.normals(p)
            && let Some(kl) = self.prior.kl_of_normals(&q)
            && let Some(outputs) =
                self.primary.forward_normal([q.mean, q.std], x, samples, &mut *rng)
        {
            let theta = q.mean.reshape(&[1, q.mean.shape()[0]]);
            return (Draw { theta, log_q: None, kl: Some(kl) }, outputs);
        }
        let batch = x.shape()[0];
        match self.noise {
            Noise::Shared => {
                let draw = self.posterior.draw(p, x.tape(), samples, rng);
                (draw, self.primary.forward(p, draw.theta, x))
            }
            Noise::PerExample => {
                let draw = self.posterior.draw(p, x.tape(), samples * batch, rng);
                let each = draw.theta.reshape(&[samples, batch, draw.theta.shape()[1]]);
                (draw, self.primary.forward(p, each, x))
            }
        }
    }
}
