//! The trait of all flows.
use crate::autodiff::{Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::BoundParams;

/// An invertible map from `[S, D]` to `[S, D]`, applied to each row.
// ANCHOR: bijector
pub trait Bijector<T: Scalar>: Send + Sync {
    /// `x [S, D]` to `y [S, D]` and `ln|det ∂y/∂x| [S]`.
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>);

    /// `y [S, D]` to `x [S, D]` and `ln|det ∂x/∂y| [S]`.
    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>);
}
// ANCHOR_END: bijector

/// The inverse of a bijector, as a bijector.
///
/// ```
/// use bhn::autodiff::{Tape, gradcheck::randn};
/// use bhn::{flows::{Bijector, Inverse, Permutation}, nn::Params};
/// let (params, tape) = (Params::<f64>::default(), Tape::default());
/// let (p, x) = (params.freeze(&tape), tape.constant(randn(&[1, 3], 0)));
/// let there = Permutation::new(vec![2, 0, 1]).forward(&p, x).0;
/// let back = Inverse(Permutation::new(vec![2, 0, 1])).forward(&p, there).0;
/// assert_eq!(back.value(), x.value());
/// ```
pub struct Inverse<B>(pub B);

impl<T: Scalar, B: Bijector<T>> Bijector<T> for Inverse<B> {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        self.0.inverse(p, x)
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        self.0.forward(p, y)
    }
}

/// Panics unless `x` is `[S, d]`. Without this check, some other shapes would be broadcast or
/// indexed without an error.
pub(super) fn check_shape<T: Scalar>(name: &str, x: Var<'_, T>, d: usize) {
    let shape = x.shape();
    assert!(shape.len() == 2 && shape[1] == d, "{name}: {shape:?} is not [S, {d}]");
}

/// The log-determinant of a permutation: zeros `[S]` for `x [S, D]`.
pub(super) fn zero_ln_det<'t, T: Scalar>(x: Var<'t, T>) -> Var<'t, T> {
    x.tape().constant(Tensor::zeros(&x.shape()[..1]))
}
