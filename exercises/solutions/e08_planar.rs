//! 8. The constraint of a planar flow.

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `û = u + (softplus(w·u) − 1 − w·u) w/‖w‖²`.
pub fn constrained(w: &[f64], u: &[f64]) -> Vec<f64> {
    let a = dot(w, u);
    let softplus = a.max(0.) + (-a.abs()).exp().ln_1p();
    let shift = (softplus - 1. - a) / dot(w, w);
    u.iter().zip(w).map(|(u, w)| u + shift * w).collect()
}

/// `ln |1 + û·w (1 − tanh²(w·x + b))|`.
pub fn ln_det(w: &[f64], u: &[f64], b: f64, x: &[f64]) -> f64 {
    let tanh = (dot(w, x) + b).tanh();
    (1. + dot(u, w) * (1. - tanh * tanh)).abs().ln()
}
