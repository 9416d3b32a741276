//! `config.toml`: its keys, their validation, and the posterior and model that they describe.
mod build;
mod check;
mod choices;
mod freeze;
mod method;
mod recipe;
mod schema;
mod sizes;

pub use choices::{NoiseLevel, Select};
pub use method::{DropoutKind, Method, Theta};
pub use recipe::Keys;
pub use schema::{
    Config, DropoutConfig, EnsembleConfig, LaplaceConfig, LikelihoodConfig, MeanFieldConfig,
    MethodKind, Primary, Train,
};
pub use sizes::check_samples;
pub(crate) use sizes::{LIMIT, Problem};
