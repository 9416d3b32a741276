//! The paper's primary network: weight-normalised, with its scales given from outside.
use super::{Layer, PrimaryNet};
use crate::nn::{Bound, Init, ParamId, Params};
use crate::scalar::Scalar;
use crate::tape::{Tape, Tensor, Var};
use ndarray::Axis;
use rand::Rng;
use std::ops::Range;

/// `h ← g ⊙ (V h) / ‖V‖ + b` for every dense layer, with `g` its slice of `θ`.
///
/// One scale a unit, output units included, so `D` is the number of units: 1610 for
/// 784-800-800-10. Directions `V` and biases `b` are parameters: point estimates, trained with the
/// same loss. Since `g` multiplies *after* the product, `S` samples are one product over `[S·B, h]`
/// rows with the same `V`, and the first layer's product, which no sample has touched yet, is
/// computed once for all of them. This is why a Bayesian hypernetwork predicts cheaply.
///
/// ```
/// use bhn::primary::{Layer, PrimaryNet, WeightNormed};
/// use bhn::{nn::Params, tape::{Tape, Tensor}};
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
/// A layer `dropout P` multiplies what comes to it by its slice of `θ`, a mask.
#[derive(Clone, Debug)]
pub struct WeightNormed(Vec<Step>);

/// A layer, the size of what it gives out, and the directions and biases of a dense one.
#[derive(Clone, Copy, Debug)]
struct Step {
    layer: Layer,
    width: usize,
    dense: Option<[ParamId; 2]>,
}

impl Step {
    /// How many entries of `θ` are its own.
    fn len(&self) -> usize {
        if matches!(self.layer, Layer::Dense(_) | Layer::Dropout(_)) { self.width } else { 0 }
    }
}

impl WeightNormed {
    /// A new network on `inputs` numbers: directions `V ~ N(0, 0.05²)`, biases 0.
    ///
    /// # Panics
    /// If there is no dense layer.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        inputs: usize,
        layers: &[Layer],
        rng: &mut impl Rng,
    ) -> Self {
        let mut width = inputs;
        let mut build = |(i, &layer): (usize, &Layer)| {
            let Layer::Dense(units) = layer else { return Step { layer, width, dense: None } };
            let std = Init::Normal { mean: 0., std: 0.05 };
            let v = params.add(format!("{name}.{i}.v"), std.sample(&[units, width], rng));
            let b = params.add(format!("{name}.{i}.b"), Init::Constant(0.).sample(&[units], rng));
            width = units;
            Step { layer, width, dense: Some([v, b]) }
        };
        let steps: Vec<_> = layers.iter().enumerate().map(&mut build).collect();
        assert!(steps.iter().any(|step| step.dense.is_some()), "WeightNormed: no dense layer");
        Self(steps)
    }
}

impl<T: Scalar> PrimaryNet<T> for WeightNormed {
    fn dim(&self) -> usize {
        self.0.iter().map(Step::len).sum()
    }

    fn parts(&self) -> Vec<(String, usize)> {
        let named = self.0.iter().enumerate().filter_map(|(i, step)| {
            let what = if step.dense.is_some() { "scales" } else { "mask" };
            (step.len() > 0).then(|| (format!("{i}.{what}"), step.len()))
        });
        named.collect()
    }

    fn forward<'t>(&self, p: &Bound<'t, T>, theta: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        let (shape, d) = (theta.shape(), PrimaryNet::<T>::dim(self));
        let each = shape.len() == 3;
        let fits = shape.last() == Some(&d) && (shape.len() == 2 || each);
        assert!(fits, "theta {shape:?} is neither [S, {d}] nor [S, B, {d}]");
        let (mut h, mut start) = (x, 0);
        let mut steps = self.0.iter().peekable();
        while let Some(step) = steps.next() {
            // Of no length unless the layer has a part in θ.
            let own = || theta.slice(shape.len() - 1, start..start + step.len());
            h = match (step.layer, step.dense) {
                (_, Some([v, b])) => {
                    let (product, scale) = (h.matmul_t(p[v]), own() / p[v].row_norms());
                    let relu = steps.next_if(|next| next.layer == Layer::Relu).is_some();
                    match (each, relu) {
                        (false, true) => product.affine_relu(scale, p[b]),
                        (false, false) => product.affine(scale, p[b]),
                        (true, true) => (product * scale + p[b]).relu(),
                        (true, false) => product * scale + p[b],
                    }
                }
                (Layer::Dropout(_), _) if each => h * own(),
                (Layer::Dropout(_), _) => h * own().reshape(&[shape[0], 1, step.width]),
                (Layer::Tanh, _) => h.tanh(),
                _ => h.relu(),
            };
            start += step.len();
        }
        h
    }

    /// Layer by layer, with `t = V h/‖V‖`: `g = 1/std(t)`, `b = −mean(t)/std(t)`.
    fn fit(&self, params: &mut Params<T>, x: Tensor<T>) -> Option<Vec<f64>> {
        let (mut h, mut theta) = (x, vec![]);
        for step in &self.0 {
            let tape = Tape::default();
            let x = tape.constant(h);
            let y = match (step.layer, step.dense) {
                (_, Some([v, b])) => {
                    let p = params.freeze(&tape);
                    let t = (x.matmul_t(p[v]) / p[v].row_norms()).value();
                    let mean = t.mean_axis(Axis(0)).expect("an example");
                    let unit = |std: T| if std > T::of(1e-6) { std } else { T::one() };
                    let scale = t.std_axis(Axis(0), T::zero()).mapv(|std| T::one() / unit(std));
                    theta.extend(scale.iter().map(|scale| scale.f64()));
                    let shift = -(mean * &scale);
                    *params.get_mut(b) = shift.to_shared();
                    tape.constant(&t * &scale + shift)
                }
                (Layer::Dropout(_), _) => {
                    theta.extend(std::iter::repeat_n(1., step.len()));
                    x
                }
                (Layer::Tanh, _) => x.tanh(),
                _ => x.relu(),
            };
            h = y.value();
        }
        Some(theta)
    }

    fn masks(&self) -> Vec<(Range<usize>, f64)> {
        let mut start = 0;
        let mask = |step: &Step| {
            start += step.len();
            let Layer::Dropout(rate) = step.layer else { return None };
            Some((start - step.len()..start, rate))
        };
        self.0.iter().filter_map(mask).collect()
    }
}
