//! RealNVP's affine coupling (Dinh et al. 2017), the paper's hypernet layer.
use super::{Bijector, check_shape};
use crate::nn::{Bound, Params, WnLinear};
use crate::scalar::Scalar;
use crate::tape::Var;
use rand::Rng;
use serde::{Deserialize, Serialize};

/// How a network's output `a` becomes a positive scale `s`.
///
/// ```
/// use bhn::{flows::Stabiliser, tape::{Tape, Tensor}};
/// let tape = Tape::<f64>::default();
/// let (s, log_s) = Stabiliser::Tanh.scale(tape.constant(Tensor::from_elem(&[1][..], 1e9)));
/// assert_eq!((s.item(), log_s.item()), (2_f64.exp(), 2.));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stabiliser {
    /// `s = eᵃ + 0.001`, the paper's: bounded below, so that the inverse never blows up.
    #[default]
    Exp,
    /// `s = exp(2 tanh(a / 2))`: within `e^±2` whatever `a` is, and `eᵃ` near 0.
    Tanh,
    /// `s = sigmoid(a + 2) + 0.001`: never above 1.001 (Kingma & Dhariwal 2018).
    Sigmoid,
}

impl Stabiliser {
    /// `(s, ln s)` for `a`, entry by entry.
    pub fn scale<'t, T: Scalar>(self, a: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let (two, floor) = (T::of(2.), T::of(0.001));
        let of = |s: Var<'t, T>| (s, s.ln());
        match self {
            Self::Exp => of(a.exp() + floor),
            Self::Tanh => {
                let log_s = (a / two).tanh() * two;
                (log_s.exp(), log_s)
            }
            Self::Sigmoid => of((a + two).sigmoid() + floor),
        }
    }
}

/// Split `x = (x₁, x₂)` at `⌊D/2⌋`; `y₁ = x₁`, `y₂ = s(x₁) ⊙ x₂ + m(x₁)`; `ln|det| = Σ ln s`.
///
/// One ReLU layer of `x₁`, weight-normalised as are both heads, gives `s` and `m`. The scales of the
/// weights start at std 10⁻⁴, so the layer starts near the identity. Half the entries pass through
/// unchanged: put a [`Permutation`](super::Permutation) between couplings.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, gradcheck::randn, tape::Tape};
/// # use rand::{SeedableRng, rngs::ChaCha8Rng};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// # let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let h = Coupling::new(&mut params, "h", 4, 10, Stabiliser::Exp, rng);
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
    trunk: WnLinear,
    scale: WnLinear,
    shift: WnLinear,
    stabiliser: Stabiliser,
}

impl Coupling {
    /// A new layer over `d` entries with `hidden` units.
    ///
    /// # Panics
    /// If `d < 2`: there would be nothing to condition on.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        hidden: usize,
        stabiliser: Stabiliser,
        rng: &mut impl Rng,
    ) -> Self {
        assert!(d >= 2, "Coupling: D = {d}: a coupling needs two entries at least");
        let (half, gain) = (d / 2, 1e-4);
        let mut layer =
            |part: &str, size| WnLinear::new(params, &format!("{name}.{part}"), size, gain, rng);
        let trunk = layer("trunk", [half, hidden]);
        let scale = layer("scale", [hidden, d - half]);
        let shift = layer("shift", [hidden, d - half]);
        Self { d, trunk, scale, shift, stabiliser }
    }

    /// `x₁`, `x₂`, and of `x₁`: `s`, `ln s` and `m`.
    fn parts<'t, T: Scalar>(&self, p: &Bound<'t, T>, x: Var<'t, T>) -> [Var<'t, T>; 5] {
        check_shape("Coupling", x, self.d);
        let half = self.d / 2;
        let x1 = x.slice(1, 0..half);
        let hidden = self.trunk.forward_relu(p, x1);
        let (s, log_s) = self.stabiliser.scale(self.scale.forward(p, hidden));
        [x1, x.slice(1, half..self.d), s, log_s, self.shift.forward(p, hidden)]
    }
}

impl<T: Scalar> Bijector<T> for Coupling {
    fn forward<'t>(&self, p: &Bound<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let [x1, x2, s, log_s, m] = self.parts(p, x);
        (Var::concat(&[x1, s * x2 + m], 1), log_s.sum_axis(1))
    }

    fn inverse<'t>(&self, p: &Bound<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let [y1, y2, s, log_s, m] = self.parts(p, y);
        (Var::concat(&[y1, (y2 - m) / s], 1), -log_s.sum_axis(1))
    }
}
