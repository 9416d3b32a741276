//! The parts of a Bayesian model: a primary network, a posterior over its `θ`, a prior and a
//! likelihood.
use super::{
    Draw, Elbo, Estimator, Kl, Likelihood, PointPrior, Posterior, Prior, Scale, Targets, elbo,
};
use crate::autodiff::Var;
use crate::kernels::gemm::Precision;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Params};
use crate::primary::{Input, PrimaryNet};
use ndarray::{ArrayView2, s};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// A Bayesian model and its parameters.
pub struct Model<T: Scalar = f32> {
    /// The trained parameters of all parts.
    pub params: Params<T>,
    /// The network that predicts, given `θ`.
    pub primary: Box<dyn PrimaryNet<T>>,
    /// `q(θ)`.
    pub posterior: Box<dyn Posterior<T>>,
    /// `p(θ)`.
    pub prior: Prior,
    /// `p(V, b)` of directions and biases, which are point estimates: training maximises
    /// `ELBO + ln p(V, b)`.
    pub point_prior: PointPrior,
    /// `p(y | x, θ)`.
    pub likelihood: Likelihood,
    /// Which examples share a sample of `θ` in training.
    pub noise: Noise,
    /// The estimator of the bound's gradient.
    pub gradient: Estimator,
    /// The precision of the products of the primary network in training and prediction. Those of a
    /// hypernetwork stay in `T`: they are thin, and decide `ln q(θ)`.
    pub precision: Precision,
}

/// Which examples share a sample of `θ` in training. In prediction all inputs share each sample, so
/// that a sample is one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// All examples of a minibatch, as in the paper.
    #[default]
    Shared,
    /// No two examples: each has its own samples, as in dropout. The paper found this slower and no
    /// better for hypernets.
    PerExample,
}

/// One evaluation of the bound.
pub struct Pass<'t, T = f32> {
    /// The bound and its terms.
    pub elbo: Elbo<'t, T>,
    /// The network's outputs `[S, B, K]`.
    pub outputs: Var<'t, T>,
}

impl<T: Scalar> Model<T> {
    /// The bound for inputs `x [B, …]` or their first product, with `samples` samples of `θ` for
    /// each example; `noise` says which examples share them. The loss includes `point_prior`.
    ///
    /// # Panics
    /// If inputs or targets do not fit the network, the likelihood or `scale`; if a first product
    /// is given and the examples do not share their noise; if `gradient` is the path's and the
    /// posterior has no density or is trained by local reparametrisation; or if `point_prior` has
    /// `κ ≠ 0` and was not [centred](Model::centre_point_prior).
    pub fn pass<'t>(
        &self,
        p: &BoundParams<'t, T>,
        x: impl Into<Input<Var<'t, T>>>,
        y: &Targets<T>,
        samples: usize,
        scale: Scale,
        rng: &mut dyn Rng,
    ) -> Pass<'t, T> {
        let x = x.into();
        let (draw, outputs) = self.local(p, x, samples, rng).unwrap_or_else(|| {
            let mut draw = |count| self.gradient.draw(&*self.posterior, p, count, rng);
            let forward = |theta: Var<'t, T>| {
                theta.tape().with_precision(self.precision, || match x {
                    Input::Examples(x) => self.primary.forward(p, theta, x),
                    Input::Product(product) => self.primary.forward_from(p, theta, product),
                })
            };
            match self.noise {
                Noise::Shared => {
                    let draw = draw(samples);
                    (draw, forward(draw.theta))
                }
                Noise::PerExample => {
                    let draw = draw(samples * scale.batch);
                    let each = [samples, scale.batch, draw.theta.shape()[1]];
                    (draw, forward(draw.theta.reshape(&each)))
                }
            }
        });
        let log_likelihood = self.likelihood.log_prob(p, outputs, y);
        let mut bound = elbo(&draw, self.prior, log_likelihood, scale);
        let layers = self.primary.point_estimates();
        if let Some(log_prior) = self.point_prior.log_prob(&self.params, p, &layers) {
            bound = bound.with_point_prior(log_prior, scale);
        }
        Pass { elbo: bound, outputs }
    }

    /// Take the present directions as the mode of [`point_prior`](Model::point_prior), as they are
    /// at the start of training.
    pub fn centre_point_prior(&mut self) {
        self.point_prior.centre(&mut self.params, &self.primary.point_estimates());
    }

    /// Data-dependent initialisation (Salimans & Kingma 2016) from the last 64 rows of `x [N, …]`,
    /// as in the authors' code: sets the biases of the network, and centres the posterior at the
    /// scales for which the pre-activations have variance 1. Does nothing if the network does not
    /// support it.
    pub fn init_from_data(&mut self, x: ArrayView2<'_, T>) {
        let last = x.nrows().saturating_sub(64);
        let x = x.slice(s![last.., ..]).to_shared();
        if let Some(theta) = self.primary.init_from_data(&mut self.params, x.into()) {
            self.posterior.recentre(&mut self.params, &theta);
        }
    }

    /// The mean of `θ`, the exact KL, and outputs `[S, B, K]` by local reparametrisation, if
    /// posterior, prior and network allow it.
    fn local<'t>(
        &self,
        p: &BoundParams<'t, T>,
        x: Input<Var<'t, T>>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Option<(Draw<'t, T>, Var<'t, T>)> {
        let Input::Examples(x) = x else { return None };
        let q = self.posterior.normals(p)?;
        assert!(self.gradient == Estimator::Total, "the path gradient of a KL in closed form");
        let kl = self.prior.kl_of_normals(&q)?;
        let outputs = x.tape().with_precision(self.precision, || {
            self.primary.forward_normal([q.mean, q.std], x, samples, rng)
        })?;
        let theta = q.mean.reshape(&[1, q.mean.shape()[0]]);
        Some((Draw { theta, kl: Kl::Exact(kl) }, outputs))
    }
}
