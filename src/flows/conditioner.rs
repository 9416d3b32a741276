//! The network inside a flow: what of `x` becomes the scale `s` and the shift `m` of the rest.
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, Linear, Params, WnLinear};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Where weights (or, under weight normalisation, their scales) start: `N(0, 10⁻⁸)`, so that every
/// flow starts near the identity.
pub(super) const START: f64 = 1e-4;

/// One hidden ReLU layer and two heads, in numbers.
///
/// ```
/// let plain = bhn::flows::Conditioner { weight_norm: false, ..Default::default() };
/// assert_eq!(plain.hidden, 200);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Conditioner {
    /// Units of the hidden layer.
    pub hidden: usize,
    /// How the scale is kept positive.
    pub stabiliser: Stabiliser,
    /// Whether weights are normalised, which "stabilizes training dramatically" (section 3 of the
    /// paper); the authors' MNIST code does without.
    pub weight_norm: bool,
}

impl Default for Conditioner {
    fn default() -> Self {
        Self { hidden: 200, stabiliser: Stabiliser::default(), weight_norm: true }
    }
}

/// How a network's output `a` becomes a positive scale `s`.
///
/// ```
/// use bhn::{flows::Stabiliser, autodiff::{Tape, Tensor}};
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

/// A layer of it.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    WeightNormed(WnLinear),
    Plain(Linear),
}

impl Layer {
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        size: [usize; 2],
        weight_norm: bool,
        rng: &mut impl Rng,
    ) -> Self {
        if weight_norm {
            Self::WeightNormed(WnLinear::new(params, name, size, START, rng))
        } else {
            let init = Init::Normal { mean: 0., std: START };
            Self::Plain(Linear::new(params, name, size, init, rng))
        }
    }

    pub fn forward<'t, T: Scalar>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        match self {
            Self::WeightNormed(layer) => layer.forward(p, x),
            Self::Plain(layer) => layer.forward(p, x),
        }
    }

    pub fn forward_relu<'t, T: Scalar>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        match self {
            Self::WeightNormed(layer) => layer.forward_relu(p, x),
            Self::Plain(layer) => layer.forward(p, x).relu(),
        }
    }
}
