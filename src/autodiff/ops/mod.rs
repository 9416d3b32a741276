//! Differentiable operations on [`Var`](crate::autodiff::Var): value, rule and check, side by side.
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

use crate::autodiff::{Owned, Sink, Tape, Tensor};
use crate::kernels::scalar::Scalar;
use crate::kernels::{broadcast, vector};
use ndarray::IxDyn;

/// The entries of a tape value, which is row-major.
fn flat<T: Scalar>(x: &Tensor<T>) -> &[T] {
    x.as_slice().expect("a tape value is row-major")
}

/// Entries and shape.
fn of<T: Scalar>(x: &Tensor<T>) -> (&[T], &[usize]) {
    (flat(x), x.shape())
}

/// `f(a, b)`, broadcast.
fn broadcast<T: Scalar>(
    name: &str,
    tape: &Tape<T>,
    (a, xs): (&[T], &[usize]),
    (b, ys): (&[T], &[usize]),
    f: impl Fn(T, T) -> T + Sync,
) -> Owned<T> {
    let zs = broadcast::shape(xs, ys)
        .unwrap_or_else(|| panic!("{name}: {xs:?} and {ys:?} do not broadcast"));
    let mut z = tape.space(&zs);
    broadcast::zip((a, xs), (b, ys), (z.as_slice_mut().expect("new"), &zs), f);
    z
}

/// Add `f(g, x)`, broadcast, to the gradient of input `k`: in place if all have its shape.
fn zip<T: Scalar>(
    sink: &mut Sink<'_, T>,
    k: usize,
    g: &Owned<T>,
    x: &Tensor<T>,
    f: impl Fn(T, T) -> T + Sync,
) {
    let (entries, shape) = (g.as_slice().expect("a gradient is row-major"), g.shape());
    if sink.shape(k) != Some(shape) || x.shape() != shape {
        let tape = sink.tape;
        return sink.add(k, || broadcast("gradient", tape, (entries, shape), of(x), f));
    }
    sink.blend(k, |beta, dx| {
        let dx = dx.as_slice_mut().expect("a gradient is row-major");
        if beta == T::zero() {
            vector::zip(entries, flat(x), dx, f);
        } else {
            vector::zip_onto(entries, flat(x), dx, f);
        }
    });
}

/// Add `f(g)` to the gradient of input `k`: in place if it has its shape.
fn map<T: Scalar>(sink: &mut Sink<'_, T>, k: usize, g: &Owned<T>, f: impl Fn(T) -> T + Sync) {
    if sink.shape(k) != Some(g.shape()) {
        return sink.add(k, || g.mapv(f));
    }
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
