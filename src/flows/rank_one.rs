//! The symmetric rank-one map. A chain of such maps and an elementwise layer is a Gaussian whose
//! covariance is a diagonal plus a matrix of low rank.
use super::{Bijector, check_shape};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use rand::Rng;

/// `y = x + (eᶜ − 1) (x·v) v/‖v‖²`; `ln|det| = c`. The map scales the direction `v` by `eᶜ` and
/// changes no direction orthogonal to it, so it is invertible for all `c` and all `v ≠ 0`; the
/// inverse has `−c` in place of `c` (Sherman–Morrison).
///
/// For `ε ~ N(0, I)`, `r` such maps followed by `θ = s ⊙ x + b` contain every Gaussian with
/// covariance `diag(s) (I + U Uᵀ) diag(s)`, `U [D, r]`. Let `λₖ` and `qₖ` be the eigenvalues and
/// eigenvectors of `U Uᵀ`. As the `qₖ` are orthogonal, `I + U Uᵀ = Π (I + λₖ qₖ qₖᵀ) = A Aᵀ` with
/// `A = Π (I + (√(1 + λₖ) − 1) qₖ qₖᵀ)`, which are maps with `vₖ = qₖ` and `cₖ = ½ ln(1 + λₖ)`.
/// Directions with `c < 0` are narrower than the others; in a posterior, these are the directions
/// that the data determine.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, autodiff::{Tape, gradcheck::randn}};
/// # use rand::{SeedableRng, rngs::ChaCha8Rng};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// # let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let h = RankOne::new(&mut params, "h", 4, rng);
/// let p = params.freeze(&tape);
/// let x = tape.constant(randn(&[3, 4], 0));
/// let (y, ln_det) = h.forward(&p, x);
/// let (back, inverse_ln_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((ln_det + inverse_ln_det).abs().sum().item() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct RankOne {
    v: ParamId,
    c: ParamId,
}

impl RankOne {
    /// A map over `d` entries, near the identity: `c ~ N(0, 0.01²)`. It does not start at `c = 0`,
    /// where the map does not depend on `v`.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        rng: &mut impl Rng,
    ) -> Self {
        let normal = |std| Init::Normal { mean: 0., std };
        let v = params.add(format!("{name}.v"), normal((d as f64).powf(-0.5)).sample(&[d], rng));
        let c = params.add(format!("{name}.c"), normal(0.01).sample(&[1], rng));
        Self { v, c }
    }

    /// The map with the logarithm `c` of its scale.
    fn scaled<'t, T: Scalar>(
        &self,
        p: &BoundParams<'t, T>,
        x: Var<'t, T>,
        c: Var<'t, T>,
    ) -> (Var<'t, T>, Var<'t, T>) {
        let (v, d) = (p[self.v], p[self.v].shape()[0]);
        check_shape("RankOne", x, d);
        let along = x.matmul(v.reshape(&[d, 1]));
        let step = v * ((c.exp() - T::one()) / (v * v).sum());
        (x + along * step, c.broadcast_to(&x.shape()[..1]))
    }
}

impl<T: Scalar> Bijector<T> for RankOne {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        self.scaled(p, x, p[self.c])
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        self.scaled(p, y, -p[self.c])
    }
}
