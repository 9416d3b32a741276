//! 3. An elementwise operation with its backward rule.
//!
//! This is the cube, as in the chapter:
//!
//! ```
//! use bhn::autodiff::Var;
//!
//! fn cube(x: Var<'_, f64>) -> Var<'_, f64> {
//!     let y = x.value().mapv(|x| x * x * x); // the value, entry by entry
//!     Var::record("cube", &[x], y, |c, sink| {
//!         // `c.g` is the gradient of the output, `c.y` the output, `c.x(0)` the input.
//!         sink.add(0, || c.g * c.x(0).mapv(|x| 3. * x * x));
//!     })
//! }
//! ```
use bhn::autodiff::Var;

/// `y = x / (1 + |x|)`, entry by entry, whose derivative is `1 / (1 + |x|)²`, or `(1 − |y|)²`.
pub fn softsign(x: Var<'_, f64>) -> Var<'_, f64> {
    todo!("record the value of softsign and its rule, in the manner of `cube`")
}
