//! 7. A coupling: its inverse and its log-determinant.

/// `y₁ = x₁`, `y₂ = s(x₁) x₂ + m(x₁)`, with `s(a) = exp(tanh a)` and `m(a) = a²`. This part is
/// done.
pub fn forward([x1, x2]: [f64; 2]) -> [f64; 2] {
    [x1, x1.tanh().exp() * x2 + x1 * x1]
}

/// The `x` with `forward(x) = y`.
pub fn inverse([y1, y2]: [f64; 2]) -> [f64; 2] {
    todo!("return [x₁, x₂]; the one that passed through unchanged comes first")
}

/// `ln |det ∂y/∂x|` at `x`.
pub fn ln_det([x1, x2]: [f64; 2]) -> f64 {
    todo!("write down the 2 × 2 Jacobian of `forward`; its determinant is simple")
}
