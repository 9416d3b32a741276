//! 6. One step of Adam.

/// `[w, m, v]` after step number `t` with gradient `g` and learning rate `rate`. The first step has
/// `t = 1`; before it, `m` and `v` are 0.
///
/// ```text
/// m ← β₁ m + (1 − β₁) g      m̂ = m / (1 − β₁ᵗ)      β₁ = 0.9
/// v ← β₂ v + (1 − β₂) g²     v̂ = v / (1 − β₂ᵗ)      β₂ = 0.999
/// w ← w − rate m̂ / (√v̂ + ε)                          ε = 10⁻⁸
/// ```
///
/// Rust: `x.powi(t)` is `x` to the power of the integer `t`, and `0.9_f64` is 0.9 of type `f64`.
pub fn adam([w, m, v]: [f64; 3], g: f64, rate: f64, t: i32) -> [f64; 3] {
    todo!("return the new w, m and v; m̂ and v̂ are not stored")
}
