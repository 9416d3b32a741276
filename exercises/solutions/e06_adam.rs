//! 6. One step of Adam.

/// The moments of one parameter, and the number of steps so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moments {
    pub m: f64,
    pub v: f64,
    pub steps: i32,
}

/// `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`, `w ← w − η m̂ / (√v̂ + ε)`.
pub fn adam(w: f64, g: f64, rate: f64, moments: &mut Moments) -> f64 {
    let Moments { m, v, steps } = moments;
    *steps += 1;
    *m = 0.9 * *m + 0.1 * g;
    *v = 0.999 * *v + 0.001 * g * g;
    let unbiased = [*m / (1. - 0.9_f64.powi(*steps)), *v / (1. - 0.999_f64.powi(*steps))];
    w - rate * unbiased[0] / (unbiased[1].sqrt() + 1e-8)
}
