//! 4. A sum of exponentials that does not overflow.
use bhn::autodiff::{Owned, Var};

/// `y = ln Σₖ exp(xₖ)` for a vector `x [n]`, with output `[]`. It must be right for entries of 1000
/// and of −1000, too, where `exp` overflows to infinity or underflows to 0.
///
/// Rust: `x.value().iter()` iterates over the entries; `Owned::from_elem(vec![], 2.5)` is the array
/// of shape `[]` with the entry 2.5; in the rule, `c.y[[]]` and `c.g[[]]` are the only entries of
/// the output and of its gradient.
pub fn log_sum_exp(x: Var<'_, f64>) -> Var<'_, f64> {
    todo!("record the value, computed without overflow, and its rule")
}
