//! Predictions of a trained model: predictive distributions, uncertainties, test scores,
//! acquisition; and the widths of its posterior.
pub mod acquire;
mod batch_bald;
pub mod calibrate;
mod compact;
mod counts;
pub mod evaluate;
mod forward;
mod mixture;
mod predictive;
pub mod score;
mod terms;
mod widths;

pub use compact::Compact;
pub use counts::Counts;
pub use forward::{chunk, draw, logits, predict, predict_profiled};
pub use mixture::Mixture;
pub use predictive::Predictive;
pub use terms::{bound, log_prob, terms};
pub use widths::{ACTIVE, Removal, Removed, Total, Width, Widths};
