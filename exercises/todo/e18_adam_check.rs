//! 18. Write the check that notices an Adam with a fault.

/// An implementation of Adam for one parameter: from the gradients of all steps so far, the change
/// of the parameter in the last of them. The learning rate is 0.01, `β₁ = 0.9`, `β₂ = 0.999` and
/// `ε = 10⁻⁸`. For instance, `change(&[2.])` is −0.01 up to rounding and the effect of `ε`.
pub type Change = dyn Fn(&[f64]) -> f64;

/// Whether `change` is Adam, as in exercise 6, up to rounding. Gradients may have any size.
pub fn accepts(change: &Change) -> bool {
    todo!("try several steps, both signs, and gradients as small as ε")
}
