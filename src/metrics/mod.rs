//! Scores of predictions, computed and returned in `f64`.
//!
//! Shapes are in brackets: `N` examples, `K` classes, `S` posterior samples. Log-probabilities are
//! in nats.
mod calibration;
mod classification;
mod ranking;
mod regression;

pub use crate::stats::Estimate;
pub use calibration::{
    BINS, Bin, BrierParts, brier_parts, ece, ece_equal_mass, ece_of_confidence, reliability,
    reliability_equal_mass,
};
pub use classification::{accuracy, brier, confusion, confusions, log_loss, nll, predictions};
pub use ranking::{Detection, aupr, aurc, auroc, auroc_influence, fpr_at_tpr, risk_coverage};
pub use regression::{coverage, gaussian_mixture_log_likelihood, log_predictive, rmse};
