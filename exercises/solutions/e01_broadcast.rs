//! 1. What is repeated forward is summed backward.
use bhn::autodiff::{Owned, Var};

/// `zᵢⱼ = aᵢ bⱼ` for `a [m]` and `b [n]`, giving `[m, n]`; `daᵢ = Σⱼ dzᵢⱼ bⱼ`, `dbⱼ = Σᵢ dzᵢⱼ aᵢ`.
pub fn outer<'t>(a: Var<'t, f64>, b: Var<'t, f64>) -> Var<'t, f64> {
    let (x, y) = (a.value(), b.value());
    let (m, n) = (x.len(), y.len());
    let z = Owned::from_shape_fn(vec![m, n], |i| x[[i[0]]] * y[[i[1]]]);
    Var::record("outer", &[a, b], z, move |c, sink| {
        let da = |i: usize| (0..n).map(|j| c.g[[i, j]] * c.x(1)[[j]]).sum();
        let db = |j: usize| (0..m).map(|i| c.g[[i, j]] * c.x(0)[[i]]).sum();
        sink.add(0, || Owned::from_shape_fn(vec![m], |i| da(i[0])));
        sink.add(1, || Owned::from_shape_fn(vec![n], |j| db(j[0])));
    })
}
