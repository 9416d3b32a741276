//! 4. A sum of exponentials that does not overflow.
use bhn::autodiff::Var;

/// `y = ln Σₖ exp(xₖ)` for `x [n]`, giving `[]`, for entries as large as 1000.
///
/// `Owned::from_elem(vec![], number)` is a tensor of shape `[]`; its entry is `y[[]]`.
pub fn log_sum_exp(x: Var<'_, f64>) -> Var<'_, f64> {
    let _ = x;
    todo!("subtract the maximum; the rule is that of a softmax")
}
