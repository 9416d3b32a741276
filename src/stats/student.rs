//! Student's t distribution.
use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::beta::beta_reg;

/// `P(|T| ≥ |t|) = I_w(ν/2, 1/2)` at `w = ν / (ν + t²)` for Student's `T` with `ν` degrees of
/// freedom and the regularised incomplete beta function `I`. Unlike `2 (1 − F(|t|))`, it keeps the
/// relative accuracy of small p-values. NaN if `t` or `ν` is.
pub(crate) fn p_value(t: f64, df: f64) -> f64 {
    let w = if t.is_infinite() { 0.0 * df } else { df / (df + t * t) };
    two_sided(w, df)
}

/// [`p_value`] as a function of `w = ν / (ν + t²)`.
pub(super) fn two_sided(w: f64, df: f64) -> f64 {
    if w.is_nan() { f64::NAN } else { beta_reg(0.5 * df, 0.5, w) }
}

/// The `t` with `P(|T| ≤ t) = level` for `ν` degrees of freedom: 4.30 at 95 % for `ν = 2`.
///
/// # Panics
/// If there are no degrees of freedom.
pub(crate) fn quantile(level: f64, df: f64) -> f64 {
    let student = StudentsT::new(0.0, 1.0, df.min(LARGE)).expect("degrees of freedom");
    student.inverse_cdf(0.5 + 0.5 * level)
}

/// From here on `t` differs from the normal quantile by a relative error below 10⁻⁷.
const LARGE: f64 = 1e7;
