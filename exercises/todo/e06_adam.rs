//! 6. One step of Adam.

/// The moments of one parameter, and the number of steps so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    pub m: f64,
    pub v: f64,
    pub steps: i32,
}

/// The parameter after a step with gradient `g` at the learning rate `rate`, with `β₁ = 0.9`,
/// `β₂ = 0.999` and `ε = 10⁻⁸`. Updates the moments and counts the step.
pub fn adam(w: f64, g: f64, rate: f64, moments: &mut Moments) -> f64 {
    let _ = (w, g, rate, moments);
    todo!("update m and v, correct both for their start, and move w")
}
