//! The Bayesian part: a posterior over `θ`, a prior, a likelihood, and the bound that joins them.
mod elbo;
mod likelihood;
mod model;
mod posterior;
mod prior;

pub use elbo::{Elbo, Scale, Terms, elbo};
pub use likelihood::{Likelihood, Targets};
pub use model::{Model, Noise, Pass};
pub use posterior::{
    Axes, Base, Draw, Dropout, Ensemble, FlowKind, Hypernet, HypernetConfig, MeanField, Normals,
    Point, Posterior, Rates,
};
pub use prior::Prior;
