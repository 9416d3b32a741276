//! Scores of predictions: f32 in, f64 inside and out. `N` examples, `K` classes, `S` samples.
mod calibration;
mod classification;
mod ranking;
mod regression;

pub use crate::stats::Estimate;
pub use calibration::{
    BINS, Bin, BrierParts, brier_parts, ece, ece_equal_mass, reliability, reliability_equal_mass,
};
pub use classification::{accuracy, brier, confusion, nll, predictions};
pub use ranking::{Detection, aupr, aurc, auroc, fpr_at_tpr, risk_coverage};
pub use regression::{coverage, gaussian_mixture_log_likelihood, log_predictive, rmse};
