//! A primary network, a posterior over its `θ`, a prior and a likelihood: all that is trained.
use super::{Elbo, Likelihood, Posterior, Prior, Scale, Targets, elbo};
use crate::nn::{Bound, Params};
use crate::primary::PrimaryNet;
use crate::scalar::Scalar;
use crate::tape::Var;
use rand::Rng;

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
}

/// One evaluation of the bound, and the outputs it came from.
pub struct Pass<'t, T = f32> {
    /// The bound and its terms.
    pub elbo: Elbo<'t, T>,
    /// The network's outputs `[S, B, K]`.
    pub outputs: Var<'t, T>,
}

impl<T: Scalar> Model<T> {
    /// The bound for inputs `x [B, …]`, from `samples` draws of `θ` shared by the whole batch: one
    /// noise sample for all of a minibatch is the paper's way.
    ///
    /// # Panics
    /// If inputs or targets do not fit the network, the likelihood or `scale`.
    pub fn pass<'t>(
        &self,
        p: &Bound<'t, T>,
        x: Var<'t, T>,
        y: &Targets<T>,
        samples: usize,
        scale: Scale,
        rng: &mut dyn Rng,
    ) -> Pass<'t, T> {
        let draw = self.posterior.draw(p, x.tape(), samples, rng);
        let outputs = self.primary.forward(p, draw.theta, x);
        let log_likelihood = self.likelihood.log_prob(p, outputs, y);
        let log_prior = self.prior.log_prob(draw.theta);
        Pass { elbo: elbo(&draw, log_prior, log_likelihood, scale), outputs }
    }
}
