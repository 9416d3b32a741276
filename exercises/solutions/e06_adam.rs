//! 6. One step of Adam.

/// `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`, `w ← w − η m̂ / (√v̂ + ε)`.
pub fn adam([w, m, v]: [f64; 3], g: f64, rate: f64, t: i32) -> [f64; 3] {
    let m = 0.9 * m + 0.1 * g;
    let v = 0.999 * v + 0.001 * g * g;
    let m_hat = m / (1. - 0.9_f64.powi(t));
    let v_hat = v / (1. - 0.999_f64.powi(t));
    [w - rate * m_hat / (v_hat.sqrt() + 1e-8), m, v]
}
