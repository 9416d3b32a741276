//! 13. A posterior from two couplings: a sample and its density.

/// The coupling of exercise 7 and its `ln |det ∂y/∂x|`.
fn coupling([x1, x2]: [f64; 2]) -> ([f64; 2], f64) {
    ([x1, x1.tanh().exp() * x2 + x1 * x1], x1.tanh())
}

/// `(θ, ln q(θ))` for standard normal noise `ε`, where `q` is the density of `θ = h(ε)`.
///
/// `h` is a chain of four maps: `coupling`; the exchange of the two entries; `coupling` again; and
/// the elementwise layer `θᵢ = mᵢ + exp(wᵢ) xᵢ`.
///
/// `ln N(ε; 0, 1) = −ε²/2 − ½ ln 2π` for one entry of the noise; `std::f64::consts::TAU` is `2π`.
pub fn draw(noise: [f64; 2], m: [f64; 2], w: [f64; 2]) -> ([f64; 2], f64) {
    todo!("map the noise, and sum the log-determinants of all maps on the way")
}
