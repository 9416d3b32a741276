//! Differentiable operations on [`Var`](crate::autodiff::Var): value, rule and check, side by side.
//!
//! Every doc comment is a formula and its backward rule, with `dy` for `dL/dy`; every file ends
//! with one gradient check an operation. A composite has no rule of its own.
pub(crate) mod arithmetic;
pub mod checks;
pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod linear;
pub(crate) mod loss;
pub(crate) mod reduce;
pub(crate) mod root;
pub(crate) mod shape;
pub(crate) mod triangular;

pub(crate) use elementwise::{sigmoid, softplus};

use crate::autodiff::memory::Memory;
use crate::autodiff::{Sink, Tensor};
use crate::kernels::scalar::Scalar;
use crate::kernels::{broadcast, vector};

/// `f(a, b)`, broadcast.
fn broadcast<T: Scalar>(
    name: &str,
    memory: &Memory<T>,
    (a, b): (&Tensor<T>, &Tensor<T>),
    f: impl Fn(T, T) -> T + Sync,
) -> Tensor<T> {
    let shape = broadcast::shape(a.shape(), b.shape())
        .unwrap_or_else(|| panic!("{name}: {:?} and {:?} do not broadcast", a.shape(), b.shape()));
    let mut y = memory.alloc(&shape);
    let [a, b] = [a, b].map(|x| (x.as_slice(), x.shape()));
    broadcast::zip(a, b, (y.as_slice_mut(), &shape), f);
    y
}

/// Add `f(g, x)`, broadcast, to the gradient of input `k`: in place if all shapes agree.
fn add_zip<T: Scalar>(
    sink: &mut Sink<'_, T>,
    k: usize,
    (g, x): (&Tensor<T>, &Tensor<T>),
    f: impl Fn(T, T) -> T + Sync,
) {
    if sink.shape(k) != Some(g.shape()) || x.shape() != g.shape() {
        let memory = sink.memory;
        return sink.add(k, || broadcast("gradient", memory, (g, x), f));
    }
    sink.write(k, |beta, dx| match beta == T::zero() {
        true => vector::zip(g.as_slice(), x.as_slice(), dx.as_slice_mut(), f),
        false => vector::zip_onto(g.as_slice(), x.as_slice(), dx.as_slice_mut(), f),
    });
}

/// Add `f(g)` to the gradient of input `k`: in place if the shapes agree.
fn add_map<T: Scalar>(sink: &mut Sink<'_, T>, k: usize, g: &Tensor<T>, f: impl Fn(T) -> T + Sync) {
    if sink.shape(k) != Some(g.shape()) {
        return sink.add(k, || g.mapv(f));
    }
    sink.write(k, |beta, dx| match beta == T::zero() {
        true => vector::map(g.as_slice(), dx.as_slice_mut(), f),
        false => vector::zip_onto(g.as_slice(), g.as_slice(), dx.as_slice_mut(), |g, _| f(g)),
    });
}

/// `dx ← β dx`, for rules that accumulate: zeros for the first contribution.
fn scale<T: Scalar>(beta: T, dx: &mut Tensor<T>) {
    if beta == T::zero() {
        dx.as_slice_mut().fill(beta);
    }
}
