//! 5. A matrix product with both of its gradients.
use bhn::autodiff::{Owned, Var};

/// The product of `a [m, k]` and `b [k, n]`.
fn product(a: &Owned<f64>, b: &Owned<f64>) -> Owned<f64> {
    assert_eq!(a.shape()[1], b.shape()[0], "product of {:?} and {:?}", a.shape(), b.shape());
    Owned::from_shape_fn(vec![a.shape()[0], b.shape()[1]], |at| {
        (0..a.shape()[1]).map(|k| a[[at[0], k]] * b[[k, at[1]]]).sum()
    })
}

/// The transpose of a matrix.
fn transpose(a: &Owned<f64>) -> Owned<f64> {
    a.t().to_owned()
}

/// `Y = X W` for `x [m, k]` and `w [k, n]`; `dX = dY Wᵀ`, `dW = Xᵀ dY`.
pub fn matmul<'t>(x: Var<'t, f64>, w: Var<'t, f64>) -> Var<'t, f64> {
    let y = product(&x.value().to_owned(), &w.value().to_owned());
    Var::record("matmul", &[x, w], y, |c, sink| {
        let (x, w, dy) = (c.x(0).to_owned(), c.x(1).to_owned(), c.g.to_owned());
        sink.add(0, || product(&dy, &transpose(&w)));
        sink.add(1, || product(&transpose(&x), &dy));
    })
}
