//! 8. The constraint of a planar flow.

/// `û` near `u` with `w·û > −1`, so that `y = x + û tanh(w·x + b)` is invertible: `u` is changed
/// along `w` alone, such that `w·û = softplus(w·u) − 1`, with `softplus(a) = ln(1 + eᵃ)`.
pub fn constrained(w: &[f64], u: &[f64]) -> Vec<f64> {
    let _ = (w, u);
    todo!("û = u + (softplus(w·u) − 1 − w·u) w/‖w‖²")
}

/// `ln |det ∂y/∂x|` of the flow at `x`, for `û`.
pub fn ln_det(w: &[f64], u: &[f64], b: f64, x: &[f64]) -> f64 {
    let _ = (w, u, b, x);
    todo!("by the matrix determinant lemma, det(I + a bᵀ) = 1 + a·b")
}
