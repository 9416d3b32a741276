//! 12. A posterior: a sample and its density.
use bhn::autodiff::Var;

/// `θ = m + exp(w) ⊙ ε`; `ln q(θ) = ln N(ε; 0, I) − Σ w`.
pub fn draw<'t>(
    m: Var<'t, f64>,
    w: Var<'t, f64>,
    noise: Var<'t, f64>,
) -> (Var<'t, f64>, Var<'t, f64>) {
    (m + w.exp() * noise, noise.standard_normal_log_prob() - w.sum())
}
