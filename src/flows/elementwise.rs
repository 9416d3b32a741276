//! The elementwise layer ("linear flow"). A hypernet that consists of this layer alone is Bayes by
//! Backprop.
use super::{Bijector, Stabiliser, check_shape};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use rand::Rng;

/// `y = s ⊙ x + b`, `s = exp(w) + 0.001`; `ln|det| = Σ ln s`.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, autodiff::{Tape, gradcheck::randn}};
/// # use rand::{SeedableRng, rngs::ChaCha8Rng};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// # let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let (w, b) = (Init::Constant(0.7), Init::Constant(1.));
/// let h = Elementwise::new(&mut params, "h", 4, w, b, rng);
/// let p = params.freeze(&tape);
/// let x = tape.constant(randn(&[3, 4], 0));
/// let (y, ln_det) = h.forward(&p, x);
/// let (back, inverse_ln_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((ln_det + inverse_ln_det).abs().sum().item() < 1e-12);
/// assert!((ln_det.value()[0] - 4. * (0.7_f64.exp() + 0.001).ln()).abs() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Elementwise {
    w: ParamId,
    b: ParamId,
}

impl Elementwise {
    /// A layer over `d` entries, with `w` initialised from `ln_scale` and `b` from `shift`.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        ln_scale: Init,
        shift: Init,
        rng: &mut impl Rng,
    ) -> Self {
        let w = params.add(format!("{name}.w"), ln_scale.sample(&[d], rng));
        let b = params.add(format!("{name}.b"), shift.sample(&[d], rng));
        Self { w, b }
    }

    /// The parameter `b`.
    pub fn shift(&self) -> ParamId {
        self.b
    }
}

impl<T: Scalar> Bijector<T> for Elementwise {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        check_shape("Elementwise", x, p[self.w].shape()[0]);
        let (s, ln_s) = Stabiliser::Exp.scale(p[self.w]);
        (x * s + p[self.b], ln_s.sum().broadcast_to(&x.shape()[..1]))
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        check_shape("Elementwise", y, p[self.w].shape()[0]);
        let (s, ln_s) = Stabiliser::Exp.scale(p[self.w]);
        ((y - p[self.b]) / s, -ln_s.sum().broadcast_to(&y.shape()[..1]))
    }
}
