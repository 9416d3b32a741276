//! The end of an epoch of training, at which some posteriors compute what gradients do not train.
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// The end of an epoch, and what a posterior may compute there.
pub struct EpochEnd<'a> {
    /// The number of the epoch, from 1.
    pub epoch: usize,
    /// The number of epochs of the run.
    pub epochs: usize,
    /// The Hessian `−∂² ln p(θ, D)/∂θ² [D, D]` at a `θ [D]`, on the training data.
    pub hessian: &'a dyn Fn(Hessian, &[f64]) -> Array2<f64>,
}

/// How the Hessian of `−ln p(θ, D)` is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hessian {
    /// The generalised Gauss–Newton matrix `Σₙ JₙᵀΛₙJₙ + λI`, where `Jₙ [K, D]` is the Jacobian of
    /// the outputs `f` in `θ`, and `Λₙ [K, K]` the Hessian of `−ln p(yₙ|f)` in `f`. It is positive
    /// definite everywhere, and exact for a network that is linear in `θ`. It takes `K` backward
    /// passes per example.
    #[default]
    Ggn,
    /// Central differences of the gradient. They take `2D` gradients on the whole data set. The
    /// result is positive definite only at a strict minimum.
    Exact,
}
