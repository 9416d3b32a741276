//! The triangular affine map. A hypernet that consists of this map alone is a Gaussian with any
//! covariance.
use super::{Bijector, Stabiliser, check_shape};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use rand::Rng;

/// `y = x Lᵀ + b` with `L = diag(s) (I + N)`, `N` strictly lower triangular and `s = exp(w) +
/// 0.001`; `ln|det| = Σ ln s`. The map is invertible for all parameters.
///
/// For `x ~ N(0, I)` this is `N(b, L Lᵀ)`. Every covariance with `Lᵢᵢ > 0.001` has such a factor
/// `L`, its Cholesky factor. `N` is the part of a parameter `n [D, D]` below the diagonal. The
/// inverse is computed by substitution; no inverse matrix is materialised.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, autodiff::{Tape, gradcheck::randn}};
/// # use rand::{SeedableRng, rngs::ChaCha8Rng};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// # let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let (w, b) = (Init::Constant(0.7), Init::Constant(1.));
/// let h = Triangular::new(&mut params, "h", 4, w, b, rng);
/// let p = params.freeze(&tape);
/// let x = tape.constant(randn(&[3, 4], 0));
/// let (y, ln_det) = h.forward(&p, x);
/// let (back, inverse_ln_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((ln_det + inverse_ln_det).abs().sum().item() < 1e-12);
/// assert!((ln_det.value()[0] - 4. * (0.7_f64.exp() + 0.001).ln()).abs() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Triangular {
    n: ParamId,
    w: ParamId,
    b: ParamId,
}

impl Triangular {
    /// A map over `d` entries, with `w` initialised from `ln_scale` and `b` from `shift`. `N`
    /// starts near 0: for any `d`, it changes entries of order 1 by at most about 0.01.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        ln_scale: Init,
        shift: Init,
        rng: &mut impl Rng,
    ) -> Self {
        let small = Init::Normal { mean: 0., std: 0.01 / (d as f64).sqrt() };
        let n = params.add(format!("{name}.n"), small.sample(&[d, d], rng));
        let w = params.add(format!("{name}.w"), ln_scale.sample(&[d], rng));
        let b = params.add(format!("{name}.b"), shift.sample(&[d], rng));
        Self { n, w, b }
    }

    /// The parameter `b`.
    pub fn shift(&self) -> ParamId {
        self.b
    }
}

impl<T: Scalar> Bijector<T> for Triangular {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        check_shape("Triangular", x, p[self.w].shape()[0]);
        let (s, ln_s) = Stabiliser::Exp.scale(p[self.w]);
        (map(x, p[self.n], s, p[self.b]), ln_s.sum().broadcast_to(&x.shape()[..1]))
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        check_shape("Triangular", y, p[self.w].shape()[0]);
        let (s, ln_s) = Stabiliser::Exp.scale(p[self.w]);
        (unmap(y, p[self.n], s, p[self.b]), -ln_s.sum().broadcast_to(&y.shape()[..1]))
    }
}

/// `x Lᵀ + b [S, D]` with `L = diag(s) (I + strictly_lower(n))`, for `x [S, D]`.
pub(crate) fn map<'t, T: Scalar>(
    x: Var<'t, T>,
    n: Var<'t, T>,
    s: Var<'t, T>,
    b: Var<'t, T>,
) -> Var<'t, T> {
    (x + x.matmul_t(n.strictly_lower())) * s + b
}

/// The `x [S, D]` that [`map`] takes to `y [S, D]`.
pub(crate) fn unmap<'t, T: Scalar>(
    y: Var<'t, T>,
    n: Var<'t, T>,
    s: Var<'t, T>,
    b: Var<'t, T>,
) -> Var<'t, T> {
    ((y - b) / s).solve_unit_upper(n.transpose())
}
