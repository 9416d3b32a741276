//! Differentiable operations on [`Var`](crate::tape::Var): value, rule and check, side by side.
//!
//! Every doc comment is a formula and its backward rule, with `dy` for `dL/dy`; every file ends
//! with one gradient check an operation. A composite has no rule of its own.
pub(crate) mod arithmetic;
pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod linear;
pub(crate) mod loss;
pub(crate) mod reduce;
pub(crate) mod root;
pub(crate) mod shape;
pub(crate) mod triangular;

pub(crate) use elementwise::{sigmoid, softplus};

use crate::kernels::vector;
use crate::scalar::Scalar;
use crate::tape::{Owned, Sink, Tensor};
use ndarray::IxDyn;

/// The entries of a tape value, which is row-major.
fn flat<T: Scalar>(x: &Tensor<T>) -> &[T] {
    x.as_slice().expect("a tape value is row-major")
}

/// Add `f(g, x)`, entry by entry, to the gradient of input `k`.
fn zip<T: Scalar>(
    sink: &mut Sink<'_, T>,
    k: usize,
    g: &Owned<T>,
    x: &Tensor<T>,
    f: impl Fn(T, T) -> T + Sync,
) {
    let g = g.as_slice().expect("a gradient is row-major");
    sink.blend(k, |beta, dx| {
        let dx = dx.as_slice_mut().expect("a gradient is row-major");
        if beta == T::zero() {
            vector::zip(g, flat(x), dx, f);
        } else {
            vector::zip_onto(g, flat(x), dx, f);
        }
    });
}

/// Add `f(g)`, entry by entry, to the gradient of input `k`.
fn map<T: Scalar>(sink: &mut Sink<'_, T>, k: usize, g: &Owned<T>, f: impl Fn(T) -> T + Sync) {
    let g = g.as_slice().expect("a gradient is row-major");
    sink.blend(k, |beta, dx| {
        let dx = dx.as_slice_mut().expect("a gradient is row-major");
        if beta == T::zero() {
            vector::map(g, dx, f);
        } else {
            vector::zip_onto(g, g, dx, |g, _| f(g));
        }
    });
}

fn filled<T: Scalar>(shape: &[usize], value: T) -> Owned<T> {
    Owned::from_elem(IxDyn(shape), value)
}
