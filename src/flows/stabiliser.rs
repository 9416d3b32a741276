//! Positive scales and their logarithms.
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// The map from an unconstrained `a` to a scale `s > 0`.
///
/// ```
/// use bhn::{flows::Stabiliser, autodiff::{Tape, Tensor}};
/// let tape = Tape::<f64>::default();
/// let (s, ln_s) = Stabiliser::Tanh.scale(tape.constant(Tensor::from_elem(&[1][..], 1e9)));
/// assert_eq!((s.item(), ln_s.item()), (2_f64.exp(), 2.));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stabiliser {
    /// `s = eᵃ + 0.001`, as in the paper: bounded below, so that division by `s` in the inverse
    /// does not overflow.
    #[default]
    Exp,
    /// `s = exp(2 tanh(a / 2))`: between `e⁻²` and `e²` for every `a`, and close to `eᵃ` for `a`
    /// near 0.
    Tanh,
    /// `s = sigmoid(a + 2) + 0.001`: at most 1.001, and 0.88 for `a = 0` (Kingma & Dhariwal 2018).
    Sigmoid,
}

impl Stabiliser {
    /// `(s, ln s)`, elementwise.
    pub fn scale<'t, T: Scalar>(self, a: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let (two, floor) = (T::of(2.), T::of(0.001));
        let s = match self {
            Self::Exp => a.exp() + floor,
            Self::Sigmoid => (a + two).sigmoid() + floor,
            Self::Tanh => {
                let ln_s = (a / two).tanh() * two;
                return (ln_s.exp(), ln_s);
            }
        };
        (s, s.ln())
    }
}
