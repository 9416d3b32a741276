//! Differentiable operations on [`Var`](crate::autodiff::Var): value, backward rule and gradient
//! check side by side.
//!
//! Each doc comment gives the formula, then the backward rule, with `dy` for `dL/dy`. Each file has
//! the gradient checks of its operations after them. Operations composed of others have no backward
//! rule of their own.
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
use crate::autodiff::{Cotangent, Tensor};
use crate::kernels::scalar::Scalar;
use crate::kernels::{broadcast, vector};

/// `f(x)`, entry by entry.
fn map<T: Scalar>(memory: &Memory<T>, x: &Tensor<T>, f: impl Fn(T) -> T + Sync) -> Tensor<T> {
    let mut y = memory.alloc(x.shape());
    vector::map(x.as_slice(), y.as_slice_mut(), f);
    y
}

/// `f(a, b)`, entry by entry and broadcast.
fn zip<T: Scalar>(
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

impl<T: Scalar> Cotangent<'_, T> {
    /// `f(dy)`, entry by entry.
    fn map(&self, f: impl Fn(T) -> T + Sync) -> Tensor<T> {
        map(self.memory, self.g, f)
    }

    /// `f(dy, x)`, entry by entry and broadcast.
    fn zip(&self, x: &Tensor<T>, f: impl Fn(T, T) -> T + Sync) -> Tensor<T> {
        zip("gradient", self.memory, (self.g, x), f)
    }
}
