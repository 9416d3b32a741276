//! The paper's primary network: weight-normalised, with its scales given from outside.
use super::{Layer, Placed, PrimaryNet, Shape};
use crate::autodiff::{Tape, Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use ndarray::{Array2, Axis};
use rand::Rng;
use std::ops::Range;

/// `h ← g ⊙ (V h) / ‖V‖ + b` for every dense layer and convolution, with `g` its slice of `θ`.
///
/// One scale a unit, output units included, and one a channel of a convolution, so `D` is the number of
/// units and channels: 1610 for 784-800-800-10. Directions `V` and biases `b` are parameters: point estimates, trained with the
/// same loss. Since `g` multiplies *after* the product, `S` samples are one product over `[S·B, h]`
/// rows with the same `V`, and the first layer's product, which no sample has touched yet, is
/// computed once for all of them. Where no gradient flows to `θ`, so is every layer before the first whose part of
/// `θ` differs between samples: under dropout, before the first mask. This is why these networks predict cheaply.
///
/// ```
/// use bhn::primary::{Layer, PrimaryNet, WeightNormed};
/// use bhn::{nn::Params, autodiff::{Tape, Tensor}};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f32>::default(), Tape::default());
/// let (layers, rng) = (Layer::mlp(&[800, 800], 10), &mut ChaCha8Rng::seed_from_u64(0));
/// let net = WeightNormed::new(&mut params, "net", 784, &layers, rng);
/// assert_eq!(PrimaryNet::<f32>::dim(&net), 1610);
/// // Two samples of θ on a batch of three images.
/// let theta = tape.constant(Tensor::ones(&[2, 1610][..]));
/// let y = net.forward(&params.freeze(&tape), theta, tape.constant(Tensor::ones(&[3, 784][..])));
/// assert_eq!(y.shape(), [2, 3, 10]);
/// ```
///
/// A layer `dropout P` multiplies what comes to it by its slice of `θ`, a mask; `channel-dropout P` has an
/// entry a channel. Images `[C, H, W]` are turned to `[H, W, C]` once, at the start: with channels last
/// a scale a channel and a scale a unit are the same operation.
#[derive(Clone, Debug)]
pub struct WeightNormed(Vec<Step>);

/// A layer, the directions and biases that it has, and how many entries of `θ` are its own.
#[derive(Clone, Debug)]
struct Step {
    placed: Placed,
    weights: Option<[ParamId; 2]>,
    len: usize,
}

impl WeightNormed {
    /// A new network: directions `V ~ N(0, 0.05²)`, biases 0.
    ///
    /// # Panics
    /// If a layer does not fit the one before, or none has weights.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        inputs: impl Into<Shape>,
        layers: &[Layer],
        rng: &mut impl Rng,
    ) -> Self {
        let placed = Layer::place(layers, inputs.into());
        let placed = placed.unwrap_or_else(|error| panic!("WeightNormed: {error}"));
        let mut build = |(i, placed): (usize, Placed)| {
            let Some([n, k]) = placed.weights() else {
                return Step { placed, weights: None, len: placed.mask() };
            };
            let std = Init::Normal { mean: 0., std: 0.05 };
            let v = params.add(format!("{name}.{i}.v"), std.sample(&[n, k], rng));
            let b = params.add(format!("{name}.{i}.b"), Init::Constant(0.).sample(&[n], rng));
            Step { placed, weights: Some([v, b]), len: n }
        };
        let steps: Vec<_> = placed.into_iter().enumerate().map(&mut build).collect();
        assert!(steps.iter().any(|step| step.weights.is_some()), "WeightNormed: no weights");
        Self(steps)
    }
}

/// `[1, n]` in place of `[S, n]` if all samples are the same and no gradient tells them apart.
fn in_common<T: Scalar>(theta: Var<'_, T>) -> Var<'_, T> {
    let value = theta.value();
    let mut samples = value.outer_iter();
    let first = samples.next().filter(|_| theta.is_constant() && value.ndim() == 2);
    let is_same = first.is_some_and(|first| samples.all(|sample| sample == first));
    if is_same && value.shape()[0] > 1 { theta.slice(0, 0..1) } else { theta }
}

/// `V h`, at every position of an image.
fn product<'t, T: Scalar>(layer: Layer, h: Var<'t, T>, v: Var<'t, T>) -> Var<'t, T> {
    if let Layer::Conv(_, window) = layer { h.conv2d(v, window) } else { h.matmul_t(v) }
}

impl<T: Scalar> PrimaryNet<T> for WeightNormed {
    fn dim(&self) -> usize {
        self.0.iter().map(|step| step.len).sum()
    }

    fn widest(&self) -> usize {
        let placed: Vec<_> = self.0.iter().map(|step| step.placed).collect();
        Placed::widest(&placed)
    }

    fn parts(&self) -> Vec<(String, usize)> {
        let named = self.0.iter().enumerate().filter_map(|(i, step)| {
            let what = if step.weights.is_some() { "scales" } else { "mask" };
            (step.len > 0).then(|| (format!("{i}.{what}"), step.len))
        });
        named.collect()
    }

    fn forward<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        let (shape, d) = (theta.shape(), PrimaryNet::<T>::dim(self));
        let each = shape.len() == 3;
        let fits = shape.last() == Some(&d) && (shape.len() == 2 || each);
        assert!(fits, "theta {shape:?} is neither [S, {d}] nor [S, B, {d}]");
        let (samples, batch) = (shape[0], if each { shape[1] } else { 1 });
        let (mut h, mut start) = (self.0[0].placed.enter(x), 0);
        let mut steps = self.0.iter().peekable();
        while let Some(Step { placed, weights, len }) = steps.next() {
            // `[S or 1, 1 or B, …]`, beside what the layer gives out.
            let own = |axes: &[usize]| {
                let theta = in_common(theta.slice(shape.len() - 1, start..start + len));
                theta.reshape(&[&[theta.shape()[0], batch], axes].concat())
            };
            let y = match (placed.layer, weights) {
                (layer, Some([v, b])) => {
                    let (product, b) = (product(layer, h, p[*v]), p[*b]);
                    let scale = own(&placed.units()) / p[*v].row_norms();
                    let is_relu = |next: &&Step| next.placed.layer == Layer::Relu;
                    let relu = steps.next_if(is_relu).is_some();
                    match (each, relu) {
                        (false, true) => product.affine_relu(scale, b),
                        (false, false) => product.affine(scale, b),
                        (true, true) => (product * scale + b).relu(),
                        (true, false) => product * scale + b,
                    }
                }
                (Layer::Dropout(_), _) => h * own(&placed.output.axes()),
                (Layer::ChannelDropout(_), _) => h * own(&placed.units()),
                _ => placed.pass(h),
            };
            // Samples that are still alike have no axis.
            let axes = y.shape();
            let are_alike = samples > 1 && axes[0] == 1 && axes.len() > h.shape().len();
            h = if are_alike { y.reshape(&axes[1..]) } else { y };
            start += len;
        }
        let (axes, last) = (h.shape(), self.0.last().expect("a layer").placed);
        let are_alike = axes.len() == 1 + last.output.axes().len();
        if are_alike { h.broadcast_to(&[&[samples], &axes[..]].concat()) } else { h }
    }

    /// Layer by layer, with `t = V h/‖V‖`: `g = 1/std(t)`, `b = −mean(t)/std(t)`, over the positions of an image too.
    fn init_from_data(&self, params: &mut Params<T>, x: Tensor<T>) -> Option<Vec<f64>> {
        let mut h = {
            let tape = Tape::default();
            self.0[0].placed.enter(tape.constant(x)).value()
        };
        let mut theta = vec![];
        for Step { placed, weights, len } in &self.0 {
            let tape = Tape::default();
            let x = tape.constant(h);
            let y = match (placed.layer, weights) {
                (layer, Some([v, b])) => {
                    let p = params.freeze(&tape);
                    let t = (product(layer, x, p[*v]) / p[*v].row_norms()).value();
                    let rows = t.as_matrix();
                    let mean = rows.mean_axis(Axis(0)).expect("an example");
                    let unit = |std: T| if std > T::of(1e-6) { std } else { T::one() };
                    let scale = rows.std_axis(Axis(0), T::zero()).mapv(|std| T::one() / unit(std));
                    theta.extend(scale.iter().map(|scale| scale.f64()));
                    let shift = -(mean * &scale);
                    *params.get_mut(*b) = shift.clone().into();
                    tape.constant(&*t * &scale + shift)
                }
                (Layer::Dropout(_) | Layer::ChannelDropout(_), _) => {
                    theta.extend(std::iter::repeat_n(1., *len));
                    x
                }
                _ => placed.pass(x),
            };
            h = y.value();
        }
        Some(theta)
    }

    fn masks(&self) -> Vec<(Range<usize>, f64)> {
        let mut start = 0;
        let mask = |step: &Step| {
            start += step.len;
            let (Layer::Dropout(rate) | Layer::ChannelDropout(rate)) = step.placed.layer else {
                return None;
            };
            Some((start - step.len..start, rate))
        };
        self.0.iter().filter_map(mask).collect()
    }

    /// Their directions, which are the same under every `θ`.
    fn filters(&self, params: &Params<T>, _: &[T]) -> Option<(Array2<T>, [usize; 3])> {
        let (first, [v, _]) = self.0.iter().find_map(|step| Some((step, step.weights?)))?;
        first.placed.filters(params.get(v).as_matrix())
    }
}
