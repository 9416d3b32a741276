//! Bayesian inference: a posterior over `θ`, a prior, a likelihood, and the bound that joins them.
//!
//! Notation, here and in the flows and primary networks: `θ [D]` is the random vector that the
//! posterior is a distribution of. It contains either the weight-normalisation scales `g` of the
//! primary network and its dropout masks, or all its weights `w` and biases. `ε` is the base noise
//! and `θ = h(ε)` its pushforward. Shapes are in brackets: `S` samples, `B` examples of a
//! minibatch, `K` outputs. All logarithms are natural and written `ln`; log-densities and the bound
//! are in nats.
mod curvature;
mod elbo;
mod estimator;
mod likelihood;
mod model;
mod point_prior;
mod posterior;
mod prior;

pub use curvature::{central_differences, hessian};
pub use elbo::{Elbo, Scale, Terms, elbo};
pub use estimator::Estimator;
pub use likelihood::{Likelihood, Targets};
pub use model::{Model, Noise, Pass};
pub use point_prior::PointPrior;
pub use posterior::{
    Augmented, Axes, Base, Draw, Dropout, Ensemble, EpochEnd, FlowKind, Hessian, Hypernet,
    HypernetConfig, Kl, Laplace, MeanField, Mnf, MnfConfig, Moments, Normals, Place, Point,
    Posterior, Rates, Swag, SwagConfig,
};
pub use prior::Prior;
