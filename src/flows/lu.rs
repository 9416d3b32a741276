//! The invertible linear map. The hypernet of the authors' toy experiments alternates such maps
//! with PReLUs ([`Kink`](super::Kink)).
use super::{Bijector, Stabiliser, check_shape};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use rand::Rng;

/// `y = x L U + b` with `L` unit lower triangular, `U = diag(s) V`, `V` unit upper triangular and
/// `s = exp(w) + 0.001`; `ln|det| = Σ ln s`. The map is invertible for all parameters.
///
/// One matrix stores `L` below its diagonal and `V` above. The inverse is computed by substitution;
/// no inverse matrix is materialised.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, autodiff::{Tape, gradcheck::randn}};
/// # use rand::{SeedableRng, rngs::ChaCha8Rng};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// # let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let (w, b) = (Init::Constant(0.7), Init::Constant(1.));
/// let h = Lu::new(&mut params, "h", 4, w, b, rng);
/// let p = params.freeze(&tape);
/// let x = tape.constant(randn(&[3, 4], 0));
/// let (y, ln_det) = h.forward(&p, x);
/// let (back, inverse_ln_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((ln_det + inverse_ln_det).abs().sum().item() < 1e-12);
/// assert!((ln_det.value()[0] - 4. * (0.7_f64.exp() + 0.001).ln()).abs() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Lu {
    lv: ParamId,
    w: ParamId,
    b: ParamId,
}

impl Lu {
    /// A layer over `d` entries, with `w` initialised from `ln_scale` and `b` from `shift`. `L` and
    /// `V` start near the identity: for any `d`, each changes entries of order 1 by at most about
    /// 0.01.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        ln_scale: Init,
        shift: Init,
        rng: &mut impl Rng,
    ) -> Self {
        let small = Init::Normal { mean: 0., std: 0.01 / (d as f64).sqrt() };
        let lv = params.add(format!("{name}.lv"), small.sample(&[d, d], rng));
        let w = params.add(format!("{name}.w"), ln_scale.sample(&[d], rng));
        let b = params.add(format!("{name}.b"), shift.sample(&[d], rng));
        Self { lv, w, b }
    }

    /// The parameter `b`.
    pub fn shift(&self) -> ParamId {
        self.b
    }
}

impl<T: Scalar> Bijector<T> for Lu {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        check_shape("Lu", x, p[self.w].shape()[0]);
        let (s, ln_s) = Stabiliser::Exp.scale(p[self.w]);
        let y = (x + x.matmul(p[self.lv].strictly_lower())) * s;
        let y = y + y.matmul(p[self.lv].strictly_upper()) + p[self.b];
        (y, ln_s.sum().broadcast_to(&x.shape()[..1]))
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        check_shape("Lu", y, p[self.w].shape()[0]);
        let (s, ln_s) = Stabiliser::Exp.scale(p[self.w]);
        let x = (y - p[self.b]).solve_unit_upper(p[self.lv]) / s;
        (x.solve_unit_lower(p[self.lv]), -ln_s.sum().broadcast_to(&y.shape()[..1]))
    }
}
