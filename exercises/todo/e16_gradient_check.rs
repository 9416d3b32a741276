//! 16. Write the check that notices a wrong gradient.

/// A function of several numbers. It is smooth, and its values and derivatives are of order one if
/// its arguments are between −2 and 2.
pub type Function = dyn Fn(&[f64]) -> f64;

/// What is claimed to be its gradient: one derivative for each argument, or, if it is wrong,
/// perhaps another number of them.
pub type Gradient = dyn Fn(&[f64]) -> Vec<f64>;

/// Whether `gradient` is the gradient of `f`, a function of `n` arguments.
pub fn accepts(f: &Function, gradient: &Gradient, n: usize) -> bool {
    todo!("compare with finite differences, for every argument, at points that are not special")
}
