//! Layers: linear, weight-normalised linear, and a stack of linear ones.
use super::{Bound, Init, ParamId, Params};
use crate::scalar::Scalar;
use crate::tape::Var;
use rand::Rng;

/// `y = W x + b` for `x […, inputs]`, `W [outputs, inputs]`.
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
    pub fn forward<'t, T: Scalar>(&self, p: &Bound<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        x.linear(p[self.w], p[self.b])
    }
}

/// `y = r ⊙ (V x) / ‖V‖ + b`: weight normalisation with its scales `r` as parameters, applied after
/// the product, so that the weights are never formed. `‖V‖` is taken row by row.
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

    /// `[…, inputs]` to `[…, outputs]`.
    pub fn forward<'t, T: Scalar>(&self, p: &Bound<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        let v = p[self.v];
        x.matmul_t(v) * (p[self.r] / v.row_norms()) + p[self.b]
    }
}

/// [`Linear`] layers with a ReLU between them.
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
    pub fn forward<'t, T: Scalar>(&self, p: &Bound<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        let last = self.0.len().saturating_sub(1);
        let layer = |x, (i, layer): (usize, &Linear)| {
            let y = layer.forward(p, x);
            if i == last { y } else { y.relu() }
        };
        self.0.iter().enumerate().fold(x, layer)
    }
}
