//! 12. A posterior: a sample and its density.
use bhn::autodiff::Var;

/// `θ = m + exp(w) ⊙ ε` and `ln q(θ) [S]`, for `m [D]`, `w [D]` and standard normal noise
/// `ε [S, D]`.
///
/// `ε.standard_normal_log_prob()` is `ln N(ε; 0, I)`, `[S]`; `w.sum()` is a scalar.
pub fn draw<'t>(
    m: Var<'t, f64>,
    w: Var<'t, f64>,
    noise: Var<'t, f64>,
) -> (Var<'t, f64>, Var<'t, f64>) {
    let _ = (m, w, noise);
    todo!("change of variables, with a diagonal Jacobian")
}
