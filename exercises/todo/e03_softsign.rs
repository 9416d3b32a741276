//! 3. An elementwise function with its rule.
use bhn::autodiff::Var;

/// `y = x / (1 + |x|)`. The slope is `(1 − |y|)²`.
///
/// `x.value().mapv(|x| …)` computes entry by entry; `Var::record` is used in exercise 1. `c.y` is the
/// output.
pub fn softsign(x: Var<'_, f64>) -> Var<'_, f64> {
    let _ = x;
    todo!("record the value with its rule")
}
