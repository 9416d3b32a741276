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

/// `û = u + (softplus(w·u) − 1 − w·u) w/‖w‖²`.
pub fn constrained(w: &[f64], u: &[f64]) -> Vec<f64> {
    let c = (softplus(dot(w, u)) - 1. - dot(w, u)) / dot(w, w);
    u.iter().zip(w).map(|(u, w)| u + c * w).collect()
}

/// `ln |1 + u·w (1 − tanh²(w·x + b))|`.
pub fn ln_det(w: &[f64], u: &[f64], b: f64, x: &[f64]) -> f64 {
    let tanh = (dot(w, x) + b).tanh();
    (1. + dot(u, w) * (1. - tanh * tanh)).abs().ln()
}
