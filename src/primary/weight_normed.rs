//! The paper's primary network: weight-normalised, with its scales as inputs.
use super::evaluate::Step;
use super::{Input, Layer, Placed, PrimaryNet, Shape, shared};
use crate::autodiff::{Tape, Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use ndarray::{Array2, Axis};
use rand::Rng;
use std::ops::Range;

/// `h ← g ⊙ (V h)/‖V‖ + b` for every dense layer and convolution, where `g` is a slice of `θ`.
///
/// There is one scale per unit, output units included, or per channel of a convolution. `D` is
/// therefore the number of units and channels if there is no dropout: 1610 for 784-800-800-10.
/// Directions `V` and biases `b` are point estimates, trained with the same loss.
///
/// A layer `dropout P` multiplies its input by a mask, which is also a slice of `θ`; the mask of
/// `channel-dropout P` has one entry per channel. Images `[C, H, W]` are transposed to `[H, W, C]`
/// once, at the input: with channels last, a scale per channel broadcasts like a scale per unit.
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
#[derive(Clone, Debug)]
pub struct WeightNormed(Vec<Step>);

impl WeightNormed {
    /// A network with initial directions `V ~ N(0, 0.05²)` and biases 0.
    ///
    /// # Panics
    /// If a layer does not accept its input, or no layer has weights.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        inputs: impl Into<Shape>,
        layers: &[Layer],
        rng: &mut impl Rng,
    ) -> Self {
        let placed = Layer::place(layers, inputs.into());
        let placed = placed.unwrap_or_else(|error| panic!("WeightNormed: {error}"));
        let mut start = 0;
        let mut build = |(i, placed): (usize, Placed)| {
            let weights = placed.weights().map(|[n, k]| {
                let std = Init::Normal { mean: 0., std: 0.05 };
                let v = params.add(format!("{name}.{i}.v"), std.sample(&[n, k], rng));
                let b = params.add(format!("{name}.{i}.b"), Init::Constant(0.).sample(&[n], rng));
                [v, b]
            });
            let range = start..start + placed.weights().map_or(placed.mask(), |[n, _]| n);
            start = range.end;
            Step { placed, weights, range }
        };
        let steps: Vec<_> = placed.into_iter().enumerate().map(&mut build).collect();
        assert!(steps.iter().any(|step| step.weights.is_some()), "WeightNormed: no weights");
        Self(steps)
    }
}

impl<T: Scalar> PrimaryNet<T> for WeightNormed {
    fn dim(&self) -> usize {
        self.0.last().map_or(0, |step| step.range.end)
    }

    fn widest(&self) -> usize {
        Placed::widest(self.0.iter().map(|step| &step.placed))
    }

    fn parts(&self) -> Vec<(String, usize)> {
        let named = self.0.iter().enumerate().filter_map(|(i, step)| {
            let part = if step.weights.is_some() { "scales" } else { "mask" };
            (!step.range.is_empty()).then(|| (format!("{i}.{part}"), step.range.len()))
        });
        named.collect()
    }

    fn point_estimates(&self) -> Vec<[ParamId; 2]> {
        self.0.iter().filter_map(|step| step.weights).collect()
    }

    /// The code in this function defines the network, for `θ [S, B, D]` with separate samples for
    /// each example. Samples `θ [S, D]`, shared by the batch, are evaluated faster, see
    /// `shared.rs`.
    fn forward<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        let (shape, d) = (theta.shape(), PrimaryNet::<T>::dim(self));
        let fits = [2, 3].contains(&shape.len()) && shape.last() == Some(&d);
        assert!(fits, "theta {shape:?} is neither [S, {d}] nor [S, B, {d}]");
        if shape.len() == 2 {
            return shared::forward(&self.0, p, theta, Input::Examples(x));
        }
        // ANCHOR: forward
        let mut h = self.0[0].placed.enter(x);
        for step in &self.0 {
            h = match step.weights.map(|weights| weights.map(|id| p[id])) {
                Some([v, b]) => step.placed.product(h, v) * (step.g(theta) / v.row_norms()) + b,
                None if step.placed.layer.is_mask() => h * step.g(theta),
                None => step.placed.apply(h),
            };
        }
        h
        // ANCHOR_END: forward
    }

    fn first_product<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> Option<Var<'t, T>> {
        let Step { placed, weights: Some([v, _]), .. } = &self.0[0] else { return None };
        matches!(placed.layer, Layer::Dense(_)).then(|| placed.product(x, p[*v]))
    }

    fn forward_from<'t>(
        &self,
        p: &BoundParams<'t, T>,
        theta: Var<'t, T>,
        product: Var<'t, T>,
    ) -> Var<'t, T> {
        let (layer, shape) = (self.0[0].placed.layer, theta.shape());
        let d = PrimaryNet::<T>::dim(self);
        let fits = matches!(layer, Layer::Dense(_)) && shape.len() == 2 && shape[1] == d;
        assert!(fits, "forward_from: theta {shape:?} is not [S, {d}], or `{layer}` comes first");
        shared::forward(&self.0, p, theta, Input::Product(product))
    }

    /// Layer by layer, with `t = V h/‖V‖`: `g = 1/std(t)`, `b = −mean(t)/std(t)`. Means and
    /// standard deviations are over the examples and the positions of images.
    fn init_from_data(&self, params: &mut Params<T>, x: Tensor<T>) -> Option<Vec<f64>> {
        let mut h = {
            let tape = Tape::default();
            self.0[0].placed.enter(tape.constant(x)).value()
        };
        let mut theta = vec![];
        for Step { placed, weights, range } in &self.0 {
            let tape = Tape::default();
            let x = tape.constant(h);
            let y = match weights {
                Some([v, b]) => {
                    let v = params.freeze(&tape)[*v];
                    let t = (placed.product(x, v) / v.row_norms()).value();
                    let rows = t.as_matrix();
                    let mean = rows.mean_axis(Axis(0)).expect("an example");
                    let unit = |std: T| if std > T::of(1e-6) { std } else { T::one() };
                    let scale = rows.std_axis(Axis(0), T::zero()).mapv(|std| T::one() / unit(std));
                    theta.extend(scale.iter().map(|scale| scale.f64()));
                    let shift = -(mean * &scale);
                    *params.get_mut(*b) = shift.clone().into();
                    tape.constant(&*t * &scale + shift)
                }
                None if placed.layer.is_mask() => {
                    theta.extend(range.clone().map(|_| 1.));
                    x
                }
                None => placed.apply(x),
            };
            h = y.value();
        }
        Some(theta)
    }

    fn masks(&self) -> Vec<(Range<usize>, f64)> {
        let mask = |step: &Step| Some((step.range.clone(), step.placed.layer.rate()?));
        self.0.iter().filter_map(mask).collect()
    }

    /// The directions, which do not depend on `θ`.
    fn filters(&self, params: &Params<T>, _: &[T]) -> Option<(Array2<T>, [usize; 3])> {
        let (first, [v, _]) = self.0.iter().find_map(|step| Some((step, step.weights?)))?;
        first.placed.filters(params.get(v).as_matrix())
    }

    /// The last axis of activations is that of units or channels, also after `flatten`; so column
    /// `i` of the next layer's `V` belongs to unit `i mod n` of a layer of `n`.
    fn outgoing(&self, params: &Params<T>) -> Vec<(usize, f64)> {
        let weighted = self.0.iter().filter_map(|step| Some((&step.range, step.weights?)));
        let pairs = weighted.clone().zip(weighted.skip(1));
        let norms = pairs.flat_map(|((range, _), (_, [v, _]))| {
            let mut squares = vec![0.; range.len()];
            for row in params.get(v).as_matrix().rows() {
                let all = row.iter().map(|v| v.f64().powi(2));
                let norm: f64 = all.clone().sum();
                all.enumerate().for_each(|(i, square)| squares[i % range.len()] += square / norm);
            }
            range.clone().zip(squares.into_iter().map(f64::sqrt))
        });
        norms.collect()
    }

    fn silence(&self, params: &mut Params<T>, theta: &mut Tensor<T>, units: &[usize]) {
        for Step { weights, range, .. } in &self.0 {
            let Some([_, b]) = weights else { continue };
            for &j in units.iter().filter(|j| range.contains(j)) {
                params.get_mut(*b).as_slice_mut()[j - range.start] = T::zero();
                theta.as_matrix_mut().column_mut(j).fill(T::zero());
            }
        }
    }
}
