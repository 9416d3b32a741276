//! RealNVP's affine coupling (Dinh et al. 2017), the layer of the paper's hypernet.
use super::conditioner::Network;
use super::{Bijector, Conditioner, check_shape};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Params};
use rand::Rng;

/// `y₁ = x₁`, `y₂ = s(x₁) ⊙ x₂ + m(x₁)` for `x = (x₁, x₂)` split at `⌊D/2⌋`; `ln|det| = Σ ln s`.
///
/// The network that computes `s` and `m` from `x₁` has one hidden ReLU layer, see [`Conditioner`].
/// It starts with small weights, so the coupling starts near the identity. The entries `x₁` pass
/// through unchanged, so couplings alternate with a [`Permutation`](super::Permutation).
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
/// let (y, ln_det) = h.forward(&p, x);
/// let (back, inverse_ln_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((ln_det + inverse_ln_det).abs().sum().item() < 1e-12);
/// assert_eq!(y.slice(1, 0..2).value(), x.slice(1, 0..2).value());
/// ```
#[derive(Clone, Debug)]
pub struct Coupling {
    d: usize,
    network: Network,
}

impl Coupling {
    /// A coupling over `d` entries.
    ///
    /// # Panics
    /// If `d < 2`: there is nothing to condition on.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        conditioner: Conditioner,
        rng: &mut impl Rng,
    ) -> Self {
        assert!(d >= 2, "Coupling: D = {d}: a coupling needs at least two entries");
        Self { d, network: Network::new(params, name, [d / 2, d - d / 2], conditioner, rng) }
    }

    /// `x₁`, `x₂`, and `s`, `ln s`, `m` as functions of `x₁`.
    fn parts<'t, T: Scalar>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> [Var<'t, T>; 5] {
        check_shape("Coupling", x, self.d);
        let [x1, x2] = [0..self.d / 2, self.d / 2..self.d].map(|half| x.slice(1, half));
        let [s, ln_s, m] = self.network.bind(p)(x1);
        [x1, x2, s, ln_s, m]
    }
}

// ANCHOR: coupling
impl<T: Scalar> Bijector<T> for Coupling {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let [x1, x2, s, ln_s, m] = self.parts(p, x);
        (Var::concat(&[x1, s * x2 + m], 1), ln_s.sum_axis(1))
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let [y1, y2, s, ln_s, m] = self.parts(p, y);
        (Var::concat(&[y1, (y2 - m) / s], 1), -ln_s.sum_axis(1))
    }
}
// ANCHOR_END: coupling
