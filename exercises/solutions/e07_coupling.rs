//! 7. A coupling: its inverse and its log-determinant.

/// `y₁ = x₁`, `y₂ = s(x₁) x₂ + m(x₁)`, with `s(a) = exp(tanh a)` and `m(a) = a²`.
pub fn forward([x1, x2]: [f64; 2]) -> [f64; 2] {
    [x1, x1.tanh().exp() * x2 + x1 * x1]
}

/// `x₁ = y₁`, `x₂ = (y₂ − m(y₁)) / s(y₁)`.
pub fn inverse([y1, y2]: [f64; 2]) -> [f64; 2] {
    [y1, (y2 - y1 * y1) / y1.tanh().exp()]
}

/// `ln |det ∂y/∂x| = ln s(x₁) = tanh x₁`.
pub fn ln_det([x1, _]: [f64; 2]) -> f64 {
    x1.tanh()
}
