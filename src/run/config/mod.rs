//! `config.toml`: what a user may type, what it means, what is refused, and the model it describes.
mod build;
mod check;
mod method;
mod schema;

pub use check::check_samples;
pub use method::{DropoutKind, Method, Theta};
pub use schema::{
    Config, DropoutConfig, EnsembleConfig, LikelihoodConfig, MeanFieldConfig, MethodKind, Primary,
    Train,
};
