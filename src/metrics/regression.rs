//! How far are predicted numbers from the true ones, and how probable were those?
use super::Estimate;
use crate::stats::log_mean_exp;
use ndarray::{Array2, ArrayView2};
use std::f64::consts::TAU;

/// `√((1/N) Σ (mₙ − yₙ)²)` for predictions `m [N]`, targets `y [N]`, in their unit.
///
/// # Panics
/// If there is no example or the lengths differ.
pub fn rmse(mean: &[f64], y: &[f64]) -> f64 {
    check_targets("rmse: mean", mean.len(), y);
    let square = |(m, y): (&f64, &f64)| (m - y).powi(2);
    (mean.iter().zip(y).map(square).sum::<f64>() / y.len() as f64).sqrt()
}

/// The share of `|yₙ − mₙ| ≤ z σₙ` for `m [N]`, `σ [N]`, `y [N]`.
///
/// # Panics
/// If there is no example or the lengths differ.
pub fn coverage(mean: &[f64], std: &[f64], y: &[f64], z: f64) -> Estimate {
    check_targets("coverage: mean", mean.len(), y);
    check_targets("coverage: std", std.len(), y);
    let inside = |n: usize| f64::from((y[n] - mean[n]).abs() <= z * std[n]);
    Estimate::of(&(0..y.len()).map(inside).collect::<Vec<f64>>())
}

/// `(1/N) Σₙ log (1/S) Σ_s N(yₙ; m_sn, 1/τ_s)`, nats an example, for means `m [S, N]`, precisions
/// `τ [S]`, targets `y [N]`. The largest term is taken out of the sum, so that nothing underflows.
///
/// # Panics
/// If there is no example or no sample, or the shapes differ.
pub fn gaussian_mixture_log_likelihood(
    means: ArrayView2<'_, f32>,
    precisions: &[f32],
    y: &[f32],
) -> Estimate {
    let name = "gaussian_mixture_log_likelihood: means";
    check_targets(name, means.ncols(), y);
    let (found, expected) = (precisions.len(), means.nrows());
    assert!(found == expected && found > 0, "{name} {:?}, precisions [{found}]", means.shape());
    let log_prob = Array2::from_shape_fn(means.dim(), |(s, n)| {
        let (tau, d) = (f64::from(precisions[s]), f64::from(y[n]) - f64::from(means[[s, n]]));
        0.5 * ((tau / TAU).ln() - tau * d * d)
    });
    log_predictive(log_prob.view())
}

/// `(1/N) Σₙ ln (1/S) Σ_s p(yₙ|θ_s)` for `ln p(yₙ|θ_s)` `[S, N]`.
///
/// # Panics
/// If there is no sample or no example.
pub fn log_predictive(log_prob: ArrayView2<'_, f64>) -> Estimate {
    assert!(!log_prob.is_empty(), "log_predictive: {:?}", log_prob.shape());
    let each: Vec<_> = log_prob.columns().into_iter().map(|x| log_mean_exp(&x.to_vec())).collect();
    Estimate::of(&each)
}

fn check_targets<T>(name: &str, n: usize, y: &[T]) {
    assert!(n == y.len(), "{name} [{n}], y [{}]: one prediction a target expected", y.len());
    assert!(n > 0, "{name} [0]: no example");
}
