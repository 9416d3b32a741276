//! 8. The constraint and the log-determinant of a planar flow.
//!
//! A planar flow is `y = x + u tanh(w·x + b)`, with vectors `u`, `w` and a number `b`. It is
//! invertible if `w·u > −1`. Instead of `u`, which may violate this, the flow uses `û`.

/// `a·b = Σᵢ aᵢ bᵢ`.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `ln(1 + eᵃ)`, which is always positive.
fn softplus(a: f64) -> f64 {
    a.max(0.) + (-a.abs()).exp().ln_1p()
}

/// `û = u + c w`, with the number `c` for which `w·û = softplus(w·u) − 1`.
pub fn constrained(w: &[f64], u: &[f64]) -> Vec<f64> {
    todo!("solve w·(u + c w) = softplus(w·u) − 1 for c, and return u + c w")
}

/// `ln |det ∂y/∂x|` of `y = x + u tanh(w·x + b)` at `x`. Here `u` satisfies the constraint.
///
/// `det(I + a bᵀ) = 1 + a·b` for vectors `a`, `b`, and `tanh' = 1 − tanh²`.
pub fn ln_det(w: &[f64], u: &[f64], b: f64, x: &[f64]) -> f64 {
    todo!("write the Jacobian as I plus a column times a row")
}
