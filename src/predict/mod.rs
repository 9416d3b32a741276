//! What a trained model says: predictive distributions, scores, a whole test, and which inputs to label.
pub mod acquire;
pub mod evaluate;
mod predictive;
pub mod score;

pub use predictive::{
    Predictive, bound, chunk, draw, log_prob, logits, predict, predict_profiled, terms,
};
pub(crate) use predictive::{estimate, overflows};
