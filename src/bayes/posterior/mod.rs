//! Posteriors over `θ`: what they share, and one file each.
mod base;
mod dropout;
mod ensemble;
mod hypernet;
mod mean_field;
mod point;

pub use base::{Axes, Base};
pub use dropout::{Dropout, Rates};
pub use ensemble::Ensemble;
pub use hypernet::{FlowKind, Hypernet, HypernetConfig};
pub use mean_field::MeanField;
pub use point::Point;

use crate::autodiff::{Owned, Tape, Tensor, Var};
use crate::flows::Bijector;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Params};
use ndarray::Array1;
use rand::Rng;

/// `S` samples of `θ` from a posterior.
#[derive(Clone, Copy)]
pub struct Draw<'t, T = f32> {
    /// `θ [S, D]`.
    pub theta: Var<'t, T>,
    /// `ln q(θ) [S]`; a point estimate has no density.
    pub log_q: Option<Var<'t, T>>,
    /// `KL(q ‖ p)`, one number, where it is known without a density; up to a constant.
    pub kl: Option<Var<'t, T>>,
}

/// Independent `θ ~ N(mean, std²)` that need not be drawn: a network may sample what they lead to.
#[derive(Clone, Copy)]
pub struct Normals<'t, T = f32> {
    /// `[D]`.
    pub mean: Var<'t, T>,
    /// `[D]`.
    pub std: Var<'t, T>,
    /// `ln std`.
    pub log_std: Var<'t, T>,
}

/// A distribution over `θ` that can be sampled, with gradients flowing back to its parameters.
pub trait Posterior<T: Scalar>: Send + Sync {
    /// Draw `samples` times.
    fn draw<'t>(
        &self,
        p: &BoundParams<'t, T>,
        tape: &'t Tape<T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T>;

    /// The same to predict with, where that differs.
    fn predictive<'t>(
        &self,
        p: &BoundParams<'t, T>,
        tape: &'t Tape<T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T> {
        self.draw(p, tape, samples, rng)
    }

    /// The posterior as independent normals, if it is to be trained without drawing them.
    fn normals<'t>(&self, _p: &BoundParams<'t, T>) -> Option<Normals<'t, T>> {
        None
    }

    /// `h`, if `θ = h(ε)` comes through a flow.
    fn flow(&self) -> Option<&dyn Bijector<T>> {
        None
    }

    /// `ln q(θ)` of any `θ [S, D]`, giving `[S]`, if there is a density.
    fn density<'t>(&self, _p: &BoundParams<'t, T>, _theta: Var<'t, T>) -> Option<Var<'t, T>> {
        None
    }

    /// Move the parameters so that `q` is around `theta [D]`.
    fn recentre(&self, params: &mut Params<T>, theta: &[f64]);
}

/// Numbers `[D]` as a tensor.
fn vector<T: Scalar>(numbers: &[f64]) -> Owned<T> {
    numbers.iter().map(|&x| T::of(x)).collect::<Array1<T>>().into_dyn()
}

/// `to ← from`.
///
/// # Panics
/// Unless they are as long.
fn set<T: Scalar>(to: &mut Tensor<T>, from: &[f64]) {
    assert_eq!(to.len(), from.len(), "recentre: lengths differ");
    to.as_slice_mut().iter_mut().zip(from).for_each(|(to, &from)| *to = T::of(from));
}
