//! 1. What is repeated forward is summed backward.
use bhn::autodiff::{Owned, Var};

/// `zᵢⱼ = aᵢ bⱼ` for `a [m]` and `b [n]`, giving `[m, n]`.
///
/// Write the two contributions. `c.g` is the gradient of `z`, with entries `c.g[[i, j]]`; `c.x(0)` is
/// `a`, with entries `c.x(0)[[i]]`, and `c.x(1)` is `b`. `Owned::from_shape_fn(vec![n], |j| …)` makes
/// a vector; its closure gets an index, `j[0]`.
pub fn outer<'t>(a: Var<'t, f64>, b: Var<'t, f64>) -> Var<'t, f64> {
    let (x, y) = (a.value(), b.value());
    let (m, n) = (x.len(), y.len());
    let z = Owned::from_shape_fn(vec![m, n], |i| x[[i[0]]] * y[[i[1]]]);
    Var::record("outer", &[a, b], z, move |_c, sink| {
        sink.add(0, || -> Owned<f64> { todo!("the gradient [m] of a, for m = {m}") });
        sink.add(1, || -> Owned<f64> { todo!("the gradient [n] of b, for n = {n}") });
    })
}
