//! Scores of predictive distributions of real targets.
use super::Estimate;
use crate::stats::log_mean_exp;
use ndarray::{Array2, ArrayView2};
use std::f64::consts::TAU;

/// Root mean square error `√((1/N) Σₙ (mₙ − yₙ)²)` of means `m [N]` for targets `y [N]`, in the
/// unit of the targets.
///
/// # Panics
/// If there is no example or the lengths differ.
pub fn rmse(mean: &[f64], y: &[f64]) -> f64 {
    check_targets("rmse: mean", mean.len(), y);
    let square = |(m, y): (&f64, &f64)| (m - y).powi(2);
    (mean.iter().zip(y).map(square).sum::<f64>() / y.len() as f64).sqrt()
}

/// Coverage `(1/N) Σₙ 1[|yₙ − mₙ| ≤ z σₙ]` of the intervals `m ± z σ`, for `m [N]`, `σ [N]` and
/// targets `y [N]`, in `[0, 1]`. For calibrated Gaussian predictions its expectation is
/// `2 Φ(z) − 1`.
///
/// # Panics
/// If there is no example or the lengths differ.
pub fn coverage(mean: &[f64], std: &[f64], y: &[f64], z: f64) -> Estimate {
    check_targets("coverage: mean", mean.len(), y);
    check_targets("coverage: std", std.len(), y);
    let inside = |n: usize| f64::from((y[n] - mean[n]).abs() <= z * std[n]);
    Estimate::of(&(0..y.len()).map(inside).collect::<Vec<f64>>())
}

/// Log predictive density `(1/N) Σₙ ln((1/S) Σ_s N(yₙ; m_sn, 1/τ_s))` in nats per example, for
/// means `m [S, N]`, precisions `τ [S]` and targets `y [N]`: Gal and Ghahramani, "Dropout as a
/// Bayesian approximation", ICML 2016, equation 8.
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

/// Log predictive density `(1/N) Σₙ ln((1/S) Σ_s p(yₙ|θ_s))` in nats per example, for log-densities
/// `ln p(yₙ|θ_s)` of shape `[S, N]`.
///
/// # Panics
/// If there is no sample or no example.
pub fn log_predictive(log_prob: ArrayView2<'_, f64>) -> Estimate {
    assert!(!log_prob.is_empty(), "log_predictive: {:?}", log_prob.shape());
    let each: Vec<_> = log_prob.columns().into_iter().map(|x| log_mean_exp(&x.to_vec())).collect();
    Estimate::of(&each)
}

fn check_targets<T>(name: &str, n: usize, y: &[T]) {
    assert!(n == y.len(), "{name} [{n}], y [{}]: expected one prediction for each target", y.len());
    assert!(n > 0, "{name} [0]: no example");
}
