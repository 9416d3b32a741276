//! Predictions of a trained model: predictive distributions, uncertainties, test scores,
//! acquisition.
pub mod acquire;
mod batch_bald;
mod bound;
pub mod evaluate;
mod forward;
mod predictive;
pub mod score;

pub(crate) use bound::estimate;
pub use bound::{bound, log_prob, terms};
pub use forward::{chunk, draw, logits, predict, predict_profiled};
pub use predictive::Predictive;
