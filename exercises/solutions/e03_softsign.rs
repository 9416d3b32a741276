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

/// `y = x / (1 + |x|)`; `dx = (1 − |y|)² dy`.
pub fn softsign(x: Var<'_, f64>) -> Var<'_, f64> {
    let y = x.value().mapv(|x| x / (1. + x.abs()));
    Var::record("softsign", &[x], y, |c, sink| {
        sink.add(0, || c.g * c.y.mapv(|y| (1. - y.abs()).powi(2)));
    })
}
