//! The Bayesian part: a posterior over `θ`, a prior, a likelihood, and the bound that joins them.
mod elbo;
mod hypernet;
mod likelihood;
mod model;
mod point;
mod prior;

pub use elbo::{Elbo, Scale, Terms, elbo};
pub use hypernet::{Hypernet, HypernetConfig};
pub use likelihood::{Likelihood, Targets};
pub use model::{Model, Pass};
pub use point::Point;
pub use prior::Prior;

use crate::nn::Bound;
use crate::scalar::Scalar;
use crate::tape::{Tape, Var};
use rand::Rng;

/// `S` samples of `θ` from a posterior.
#[derive(Clone, Copy)]
pub struct Draw<'t, T = f32> {
    /// `θ [S, D]`.
    pub theta: Var<'t, T>,
    /// `ln q(θ) [S]`; a point estimate has no density.
    pub log_q: Option<Var<'t, T>>,
}

/// A distribution over `θ` that can be sampled, with gradients flowing back to its parameters.
pub trait Posterior<T: Scalar>: Send + Sync {
    /// Draw `samples` times.
    fn draw<'t>(
        &self,
        p: &Bound<'t, T>,
        tape: &'t Tape<T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T>;
}
