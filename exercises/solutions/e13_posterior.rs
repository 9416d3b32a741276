//! 13. A posterior from two couplings: a sample and its density.

/// The coupling of exercise 7 and its `ln |det ∂y/∂x|`.
fn coupling([x1, x2]: [f64; 2]) -> ([f64; 2], f64) {
    ([x1, x1.tanh().exp() * x2 + x1 * x1], x1.tanh())
}

/// `θ = h(ε)`, `ln q(θ) = ln N(ε; 0, I) − ln |det ∂h/∂ε|`.
pub fn draw(noise: [f64; 2], m: [f64; 2], w: [f64; 2]) -> ([f64; 2], f64) {
    let ([a, b], first) = coupling(noise);
    let ([c, d], second) = coupling([b, a]);
    let theta = [m[0] + w[0].exp() * c, m[1] + w[1].exp() * d];
    let ln_det = first + second + w[0] + w[1];
    let squares = noise[0] * noise[0] + noise[1] * noise[1];
    (theta, -0.5 * squares - std::f64::consts::TAU.ln() - ln_det)
}
