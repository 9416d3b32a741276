//! The linear layer: weights, biases, optional scales (weight normalisation) and an optional mask.
use super::{BoundParams, Init, ParamId, Params};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use rand::Rng;
use std::sync::Arc;

/// `y = W x + b`, or with weight normalisation `y = g ⊙ (V x)/‖V‖ + b`, where `‖V‖` has one norm
/// per row of `V`; for `x […, inputs]` and `W`, `V` `[outputs, inputs]`. An optional mask holds
/// some entries of `W` or `V` at 0.
///
/// The norms are those after masking. The scales `g` are applied after the product, so normalised
/// weights are never materialised.
///
/// ```
/// use bhn::{nn::{Init, Linear, Params}, autodiff::{Tape, Tensor}};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let x = tape.constant(Tensor::ones(&[5, 3][..]));
/// let plain = Linear::new(&mut params, "plain", [3, 2], Init::Constant(2.), rng);
/// let y = plain.forward(&params.bind(&tape), x);
/// assert_eq!(y.value(), Tensor::from_elem(&[5, 2][..], 6.));
///
/// let normed = Linear::weight_normed(&mut params, "normed", [3, 2], 0.1, rng);
/// let y = normed.forward(&params.freeze(&tape), x).value();
/// // Only the direction of a row of V matters.
/// let (_, v) = params.iter_mut().find(|(name, _)| *name == "normed.v").unwrap();
/// *v = v.mapv(|v| 10. * v).into();
/// let longer = normed.forward(&params.freeze(&tape), x).value();
/// assert!((&y - &longer).iter().all(|d| d.abs() < 1e-12));
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    /// `W`, or `V` with scales.
    w: ParamId,
    g: Option<ParamId>,
    b: ParamId,
    /// True for the entries of `w` that are free, false for those held at 0.
    mask: Option<Arc<[bool]>>,
}

/// A [`Linear`] layer on a tape, masked and normalised once for all its inputs.
#[derive(Clone, Copy)]
pub struct BoundLinear<'t, T = f32> {
    w: Var<'t, T>,
    /// `g / ‖V‖`.
    scale: Option<Var<'t, T>>,
    b: Var<'t, T>,
}

impl Linear {
    /// A layer with weights from `init`, biases 0 and no scales: parameters `NAME.w`, `NAME.b`.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        init: Init,
        rng: &mut impl Rng,
    ) -> Self {
        let w = params.add(format!("{name}.w"), init.sample(&[outputs, inputs], rng));
        let b = params.add(format!("{name}.b"), Init::Constant(0.).sample(&[outputs], rng));
        Self { w, g: None, b, mask: None }
    }

    /// A weight-normalised layer with directions `V ~ N(0, 1)`, scales `g ~ N(0, gain²)` and biases
    /// 0: parameters `NAME.v`, `NAME.r`, `NAME.b`.
    ///
    /// Only the scales start small. With `V` of std 10⁻⁴ the initial function would be the same,
    /// but Adam changes every entry by about the learning rate per step, so a few steps would
    /// change the directions completely.
    pub fn weight_normed<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        gain: f64,
        rng: &mut impl Rng,
    ) -> Self {
        let (directions, scales) = (Init::STANDARD_NORMAL, Init::Normal { mean: 0., std: gain });
        let w = params.add(format!("{name}.v"), directions.sample(&[outputs, inputs], rng));
        let g = params.add(format!("{name}.r"), scales.sample(&[outputs], rng));
        let b = params.add(format!("{name}.b"), Init::Constant(0.).sample(&[outputs], rng));
        Self { w, g: Some(g), b, mask: None }
    }

    /// The layer with the weights held at 0 where `mask [outputs · inputs]`, row-major, is false.
    pub fn masked(self, mask: Arc<[bool]>) -> Self {
        Self { mask: Some(mask), ..self }
    }

    /// The layer on a tape. The norm of a row that is masked entirely counts as 1.
    pub fn bind<'t, T: Scalar>(&self, p: &BoundParams<'t, T>) -> BoundLinear<'t, T> {
        let (w, b) = (p[self.w], p[self.b]);
        let (w, norms): (_, fn(_) -> _) = match &self.mask {
            None => (w, Var::row_norms),
            Some(mask) => (w.masked(mask.clone()), Var::norms_or_one),
        };
        BoundLinear { w, scale: self.g.map(|g| p[g] / norms(w)), b }
    }

    /// `x […, inputs]` to `y […, outputs]`.
    pub fn forward<'t, T: Scalar>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        self.bind(p).forward(x)
    }
}

impl<'t, T: Scalar> BoundLinear<'t, T> {
    /// `x […, inputs]` to `y […, outputs]`. If the layer has scales, `x` must have at least two
    /// axes.
    pub fn forward(self, x: Var<'t, T>) -> Var<'t, T> {
        match self.scaled_product(x) {
            Some((y, scale)) => y.affine(scale, self.b),
            None => x.linear(self.w, self.b),
        }
    }

    /// `max(y, 0)`; if the layer has scales, fused with scale and bias.
    pub fn forward_relu(self, x: Var<'t, T>) -> Var<'t, T> {
        match self.scaled_product(x) {
            Some((y, scale)) => y.affine_relu(scale, self.b),
            None => x.linear(self.w, self.b).relu(),
        }
    }

    /// `V x`, and `g / ‖V‖` reshaped to the same number of axes; `None` if the layer has no scales.
    fn scaled_product(self, x: Var<'t, T>) -> Option<(Var<'t, T>, Var<'t, T>)> {
        let scale = self.scale?;
        let y = x.matmul_t(self.w);
        let mut shape = vec![1; y.shape().len()];
        *shape.last_mut().expect("an axis of outputs") = scale.shape()[0];
        Some((y, scale.reshape(&shape)))
    }
}
