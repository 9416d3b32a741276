//! RealNVP's affine coupling (Dinh et al. 2017), the paper's hypernet layer.
use super::conditioner::Layer;
use super::{Bijector, Conditioner, Stabiliser, check_shape};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Params};
use rand::Rng;

/// Split `x = (x₁, x₂)` at `⌊D/2⌋`; `y₁ = x₁`, `y₂ = s(x₁) ⊙ x₂ + m(x₁)`; `ln|det| = Σ ln s`.
///
/// One ReLU layer of `x₁`, the [`Conditioner`], gives `s` and `m`, and starts so small that the
/// coupling is near the identity. Half the entries pass through unchanged: put a
/// [`Permutation`](super::Permutation) between couplings.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, autodiff::{Tape, gradcheck::randn}};
/// # use rand::{SeedableRng, rngs::ChaCha8Rng};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// # let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let conditioner = Conditioner { hidden: 10, ..Default::default() };
/// let h = Coupling::new(&mut params, "h", 4, conditioner, rng);
/// let p = params.freeze(&tape);
/// let x = tape.constant(randn(&[3, 4], 0));
/// let (y, log_det) = h.forward(&p, x);
/// let (back, inverse_log_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((log_det + inverse_log_det).abs().sum().item() < 1e-12);
/// assert_eq!(y.slice(1, 0..2).value(), x.slice(1, 0..2).value());
/// ```
#[derive(Clone, Debug)]
pub struct Coupling {
    d: usize,
    trunk: Layer,
    scale: Layer,
    shift: Layer,
    stabiliser: Stabiliser,
}

impl Coupling {
    /// A new layer over `d` entries.
    ///
    /// # Panics
    /// If `d < 2`: there would be nothing to condition on.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        conditioner: Conditioner,
        rng: &mut impl Rng,
    ) -> Self {
        assert!(d >= 2, "Coupling: D = {d}: a coupling needs two entries at least");
        let Conditioner { hidden, stabiliser, weight_norm } = conditioner;
        let half = d / 2;
        let mut layer = |part: &str, size| {
            Layer::new(params, &format!("{name}.{part}"), size, weight_norm, rng)
        };
        let trunk = layer("trunk", [half, hidden]);
        let scale = layer("scale", [hidden, d - half]);
        let shift = layer("shift", [hidden, d - half]);
        Self { d, trunk, scale, shift, stabiliser }
    }

    /// `x₁`, `x₂`, and of `x₁`: `s`, `ln s` and `m`.
    fn parts<'t, T: Scalar>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> [Var<'t, T>; 5] {
        check_shape("Coupling", x, self.d);
        let half = self.d / 2;
        let x1 = x.slice(1, 0..half);
        let hidden = self.trunk.forward_relu(p, x1);
        let (s, log_s) = self.stabiliser.scale(self.scale.forward(p, hidden));
        [x1, x.slice(1, half..self.d), s, log_s, self.shift.forward(p, hidden)]
    }
}

impl<T: Scalar> Bijector<T> for Coupling {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let [x1, x2, s, log_s, m] = self.parts(p, x);
        (Var::concat(&[x1, s * x2 + m], 1), log_s.sum_axis(1))
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let [y1, y2, s, log_s, m] = self.parts(p, y);
        (Var::concat(&[y1, (y2 - m) / s], 1), -log_s.sum_axis(1))
    }
}
