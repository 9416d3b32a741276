//! Layers: linear, weight-normalised linear, and a stack of linear ones.
use super::{BoundParams, Init, ParamId, Params};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use rand::Rng;

/// `y = W x + b` for `x […, inputs]`, `W [outputs, inputs]`.
///
/// ```
/// use bhn::{nn::{Init, Linear, Params}, autodiff::{Tape, Tensor}};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::default(), Tape::<f32>::default());
/// let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let layer = Linear::new(&mut params, "layer", [3, 2], Init::Constant(2.), rng);
/// let y = layer.forward(&params.bind(&tape), tape.constant(Tensor::ones(&[5, 3][..])));
/// assert_eq!(y.value(), Tensor::from_elem(&[5, 2][..], 6.));
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    w: ParamId,
    b: ParamId,
}

impl Linear {
    /// A new layer with weights from `init` and no bias yet.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        init: Init,
        rng: &mut impl Rng,
    ) -> Self {
        let w = params.add(format!("{name}.w"), init.sample(&[outputs, inputs], rng));
        let b = params.add(format!("{name}.b"), Init::Constant(0.).sample(&[outputs], rng));
        Self { w, b }
    }

    /// `[…, inputs]` to `[…, outputs]`.
    pub fn forward<'t, T: Scalar>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        x.linear(p[self.w], p[self.b])
    }
}

/// `y = r ⊙ (V x) / ‖V‖ + b`: weight normalisation with its scales `r` as parameters, applied after
/// the product, so that the weights are never formed. `‖V‖` is taken row by row.
///
/// ```
/// use bhn::{nn::{Params, WnLinear}, autodiff::{Tape, Tensor}};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::default(), Tape::<f64>::default());
/// let layer = WnLinear::new(&mut params, "layer", [3, 2], 0.1, &mut ChaCha8Rng::seed_from_u64(0));
/// let x = tape.constant(Tensor::ones(&[1, 3][..]));
/// let y = layer.forward(&params.freeze(&tape), x).value();
/// // The length of a direction is of no account.
/// let (_, v) = params.iter_mut().next().unwrap();
/// *v = v.mapv(|v| 10. * v).into_shared();
/// let longer = layer.forward(&params.freeze(&tape), x).value();
/// assert!((&y - &longer).iter().all(|d| d.abs() < 1e-12));
/// ```
#[derive(Clone, Debug)]
pub struct WnLinear {
    v: ParamId,
    r: ParamId,
    b: ParamId,
}

impl WnLinear {
    /// A new layer: directions of std 1, scales `r ~ N(0, gain²)`, no bias yet.
    ///
    /// Only the scales start small. Directions of std 10⁻⁴ would give the same function, but Adam
    /// moves every parameter by the learning rate, so they would turn right round in a few steps.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        gain: f64,
        rng: &mut impl Rng,
    ) -> Self {
        let normal = |std| Init::Normal { mean: 0., std };
        let v = params.add(format!("{name}.v"), normal(1.).sample(&[outputs, inputs], rng));
        let r = params.add(format!("{name}.r"), normal(gain).sample(&[outputs], rng));
        let b = params.add(format!("{name}.b"), Init::Constant(0.).sample(&[outputs], rng));
        Self { v, r, b }
    }

    /// `[…, inputs]` to `[…, outputs]`, with two axes or more.
    pub fn forward<'t, T: Scalar>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        self.through(p, x, Var::affine)
    }

    /// The same and a [`relu`](Var::relu).
    pub fn forward_relu<'t, T: Scalar>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        self.through(p, x, Var::affine_relu)
    }

    fn through<'t, T: Scalar>(
        &self,
        p: &BoundParams<'t, T>,
        x: Var<'t, T>,
        affine: impl Fn(Var<'t, T>, Var<'t, T>, Var<'t, T>) -> Var<'t, T>,
    ) -> Var<'t, T> {
        let (y, scale) = (x.matmul_t(p[self.v]), p[self.r] / p[self.v].row_norms());
        let mut shape = vec![1; y.shape().len()];
        *shape.last_mut().expect("an axis of outputs") = scale.shape()[0];
        affine(y, scale.reshape(&shape), p[self.b])
    }
}

/// [`Linear`] layers with a ReLU between them.
///
/// ```
/// use bhn::{nn::{Mlp, Params}, autodiff::{Tape, Tensor}};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::default(), Tape::<f32>::default());
/// let net = Mlp::new(&mut params, "net", &[4, 50, 3], &mut ChaCha8Rng::seed_from_u64(0));
/// let y = net.forward(&params.bind(&tape), tape.constant(Tensor::ones(&[7, 4][..])));
/// assert_eq!((y.shape(), params.count()), (vec![7, 3], 4 * 50 + 50 + 50 * 3 + 3));
/// ```
#[derive(Clone, Debug)]
pub struct Mlp(Vec<Linear>);

impl Mlp {
    /// A new network with layers of these sizes, inputs first, started by He et al.'s rule.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        sizes: &[usize],
        rng: &mut impl Rng,
    ) -> Self {
        let layer = |(i, n): (usize, &[usize])| {
            Linear::new(params, &format!("{name}.{i}"), [n[0], n[1]], Init::He, rng)
        };
        Self(sizes.windows(2).enumerate().map(layer).collect())
    }

    /// `[…, inputs]` to `[…, outputs]`.
    pub fn forward<'t, T: Scalar>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        let last = self.0.len().saturating_sub(1);
        let layer = |x, (i, layer): (usize, &Linear)| {
            let y = layer.forward(p, x);
            if i == last { y } else { y.relu() }
        };
        self.0.iter().enumerate().fold(x, layer)
    }
}
