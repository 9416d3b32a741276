//! The elementwise nonlinearity between linear layers.
use super::{Bijector, check_shape};
use crate::autodiff::ops;
use crate::autodiff::{Owned, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, ParamId, Params};
use serde::{Deserialize, Serialize};

/// The shape of a [`Kink`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KinkShape {
    /// `y = αx + (1 − α) ln(1 + eˣ)`.
    #[default]
    Smooth,
    /// `y = αx + (1 − α) max(x, 0)`, the paper's PReLU. Its log-determinant is discontinuous where
    /// `x` changes sign, so the pathwise gradient of the bound is biased: for `y = PReLU(ε + b)`,
    /// `d/db E[ln|dy/dε|] = −φ(b) ln α`, but the gradient of `ln|dy/dε|` is 0 for every sample `ε`.
    /// A gradient check at fixed noise cannot detect this.
    Prelu,
}

/// `y = αx + (1 − α) softplus(x)` with `0 < αᵢ < 1` learned, or a PReLU, see [`KinkShape`];
/// `ln|det| = Σ ln y'(xᵢ)`, where the smooth shape has `y' = α + (1 − α) sigmoid(x)`.
///
/// The inverse of the smooth shape has no closed form. It is computed by root finding, to machine
/// precision.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, autodiff::{Tape, gradcheck::randn}};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// let h = Kink::new(&mut params, "h", 4, KinkShape::Smooth);
/// let p = params.freeze(&tape);
/// let x = tape.constant(randn(&[3, 4], 0));
/// let (y, ln_det) = h.forward(&p, x);
/// let (back, inverse_ln_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((ln_det + inverse_ln_det).abs().sum().item() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Kink {
    a: ParamId,
    shape: KinkShape,
}

impl Kink {
    /// The initial `α = sigmoid(a)`.
    const ALPHA: f64 = 0.9;

    /// A layer over `d` entries, near the identity: `α = 0.9`.
    pub fn new<T: Scalar>(params: &mut Params<T>, name: &str, d: usize, shape: KinkShape) -> Self {
        let a = T::of((Self::ALPHA / (1. - Self::ALPHA)).ln());
        Self { a: params.add(format!("{name}.a"), Owned::from_elem(vec![d], a)), shape }
    }

    fn alpha<'t, T: Scalar>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        check_shape("Kink", x, p[self.a].shape()[0]);
        p[self.a].sigmoid()
    }

    /// `Σ ln y'(xᵢ)`.
    fn ln_det<'t, T: Scalar>(&self, alpha: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        let ln_slope = match self.shape {
            KinkShape::Smooth => ((-alpha + T::one()) * x.sigmoid() + alpha).ln(),
            KinkShape::Prelu => {
                let below = |x: T| if x < T::zero() { T::one() } else { T::zero() };
                x.tape().constant(x.value().mapv(below)) * alpha.ln()
            }
        };
        ln_slope.sum_axis(1)
    }
}

impl<T: Scalar> Bijector<T> for Kink {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let alpha = self.alpha(p, x);
        let rectified = match self.shape {
            KinkShape::Smooth => x.softplus(),
            KinkShape::Prelu => x.relu(),
        };
        (alpha * x + (-alpha + T::one()) * rectified, self.ln_det(alpha, x))
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let alpha = self.alpha(p, y);
        let x = match self.shape {
            KinkShape::Smooth => y.root([alpha], |x, [alpha]| {
                let (softplus, rest) = (ops::softplus(x), T::one() - alpha);
                let value = alpha * x + rest * softplus;
                (value, alpha + rest * ops::sigmoid(x), [x - softplus])
            }),
            KinkShape::Prelu => y.relu() - (-y).relu() / alpha,
        };
        (x, -self.ln_det(alpha, x))
    }
}
