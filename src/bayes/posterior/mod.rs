//! Posteriors over `θ`: the trait, and one file for each posterior.
mod auxiliary;
mod base;
mod config;
mod dropout;
mod ensemble;
mod epoch_end;
mod hypernet;
mod laplace;
mod mean_field;
mod mnf;
mod point;
mod swag;

pub use base::{Axes, Base};
pub use config::{FlowKind, HypernetConfig, Place};
pub use dropout::{Dropout, Rates};
pub use ensemble::Ensemble;
pub use epoch_end::{EpochEnd, Hessian};
pub use hypernet::Hypernet;
pub use laplace::Laplace;
pub use mean_field::MeanField;
pub use mnf::{Augmented, Mnf, MnfConfig};
pub use point::Point;
pub use swag::{Swag, SwagConfig};

use crate::autodiff::{Owned, Tensor, Var};
use crate::error::Result;
use crate::flows::Chain;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, ParamId, Params};
use ndarray::{Array1, Array2};
use rand::Rng;

/// `S` samples of `θ` from a posterior.
#[derive(Clone, Copy)]
pub struct Draw<'t, T = f32> {
    /// `θ [S, D]`.
    pub theta: Var<'t, T>,
    /// What is known of `KL(q ‖ p)`.
    pub kl: Kl<'t, T>,
}

/// What is known of `KL(q ‖ p)`, which decides the terms of the bound.
#[derive(Clone, Copy)]
pub enum Kl<'t, T = f32> {
    /// The log-density at the samples. The KL is estimated by the mean of `ln q(θ) − ln p(θ)`.
    Sampled {
        /// `ln q(θ) [S]`.
        log_q: Var<'t, T>,
    },
    /// The KL in closed form, a scalar, possibly up to an additive constant.
    Exact(Var<'t, T>),
    /// Neither a density nor a KL, as for a point estimate. The bound is the log-likelihood.
    Absent,
}

impl<'t, T: Scalar> Draw<'t, T> {
    /// `ln q(θ) [S]`, if it was computed for these samples.
    pub fn log_q(&self) -> Option<Var<'t, T>> {
        match self.kl {
            Kl::Sampled { log_q } => Some(log_q),
            Kl::Exact(_) | Kl::Absent => None,
        }
    }
}

/// The means and standard deviations of independent `θ ~ N(mean, std²)`. With local
/// reparametrisation, a network is evaluated from them without samples of `θ`.
#[derive(Clone, Copy)]
pub struct Normals<'t, T = f32> {
    /// `[D]`.
    pub mean: Var<'t, T>,
    /// `[D]`.
    pub std: Var<'t, T>,
    /// `ln std [D]`.
    pub log_std: Var<'t, T>,
}

/// The moments of `θ` under a Gaussian posterior.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// `[D]`.
    pub mean: Array1<f64>,
    /// `[D, D]`.
    pub covariance: Array2<f64>,
}

/// A distribution over `θ` with reparametrised samples: gradients flow back to the parameters of
/// the distribution.
pub trait Posterior<T: Scalar>: Send + Sync {
    /// `samples` samples, for training.
    fn draw<'t>(&self, p: &BoundParams<'t, T>, samples: usize, rng: &mut dyn Rng) -> Draw<'t, T>;

    /// `samples` samples, for prediction.
    fn predictive<'t>(
        &self,
        p: &BoundParams<'t, T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T> {
        self.draw(p, samples, rng)
    }

    /// The posterior as independent normals, if it is to be trained by local reparametrisation.
    fn normals<'t>(&self, _p: &BoundParams<'t, T>) -> Option<Normals<'t, T>> {
        None
    }

    /// `h`, if the posterior is the pushforward `θ = h(ε)` of a flow.
    fn flow(&self) -> Option<&Chain<T>> {
        None
    }

    /// `ln q(θ) [S]` of any `θ [S, D]`, if there is a density.
    fn density<'t>(&self, _p: &BoundParams<'t, T>, _theta: Var<'t, T>) -> Option<Var<'t, T>> {
        None
    }

    /// The moments of the samples for prediction, if they were computed after training.
    fn moments(&self, _params: &Params<T>) -> Option<Moments> {
        None
    }

    /// New values of parameters that gradients do not train, after an epoch; by default none.
    ///
    /// # Errors
    /// If they cannot be computed.
    fn after_epoch(
        &self,
        _params: &Params<T>,
        _end: &EpochEnd<'_>,
    ) -> Result<Vec<(ParamId, Owned<T>)>> {
        Ok(vec![])
    }

    /// Change the parameters so that `q` is centred at `theta [D]`.
    fn recentre(&self, params: &mut Params<T>, theta: &[f64]);
}

/// Values `[D]` as a tensor.
fn vector<T: Scalar>(values: &[f64]) -> Owned<T> {
    values.iter().map(|&x| T::of(x)).collect::<Array1<T>>().into_dyn()
}

/// The entries of a tensor as a vector.
fn values<T: Scalar>(tensor: &Tensor<T>) -> Array1<f64> {
    tensor.iter().map(|x| x.f64()).collect()
}

/// `to ← from`.
///
/// # Panics
/// Unless the lengths are equal.
fn set<T: Scalar>(to: &mut Tensor<T>, from: &[f64]) {
    assert_eq!(to.len(), from.len(), "recentre: lengths differ");
    to.as_slice_mut().iter_mut().zip(from).for_each(|(to, &from)| *to = T::of(from));
}
