//! A network all of whose weights and biases are given from outside.
use super::{Layer, PrimaryNet};
use crate::nn::{Bound, Init};
use crate::scalar::Scalar;
use crate::tape::Var;
use rand::Rng;

/// `h ← W h + b` for every dense layer, `W [n, k]` and `b [n]` its slices of `θ`, in this order.
///
/// `D` is the number of weights and biases: 151 for 1-50-1. Nothing is learned here, and nothing shared
/// between samples, so this is for Bayes by Backprop, ensembles, and hypernets of small networks.
///
/// ```
/// use bhn::primary::{AllWeights, Layer, PrimaryNet};
/// use bhn::{nn::Params, tape::{Tape, Tensor}};
/// let net = AllWeights::new(1, &Layer::mlp(&[50], 1));
/// assert_eq!(PrimaryNet::<f64>::dim(&net), 151);
/// let (params, tape) = (Params::<f64>::default(), Tape::default());
/// // Every weight and bias 2: f(x) = 50 · 2 · max(2x + 2, 0) + 2.
/// let theta = tape.constant(Tensor::from_elem(&[1, 151][..], 2.));
/// let y = net.forward(&params.freeze(&tape), theta, tape.constant(Tensor::ones(&[1, 1][..])));
/// assert_eq!(y.item(), 402.);
/// ```
#[derive(Clone, Debug)]
pub struct AllWeights {
    /// With the shape `[n, k]` of a dense layer's weights.
    layers: Vec<(Layer, Option<[usize; 2]>)>,
}

impl AllWeights {
    /// A network on `inputs` numbers.
    ///
    /// # Panics
    /// If there is no dense layer, or one of dropout.
    pub fn new(inputs: usize, layers: &[Layer]) -> Self {
        let mut fan_in = inputs;
        let mut shape = |&layer: &Layer| match layer {
            Layer::Dense(units) => (layer, Some([units, std::mem::replace(&mut fan_in, units)])),
            Layer::Dropout(_) => panic!("AllWeights: {layer}: all of θ is weights"),
            Layer::Relu | Layer::Tanh => (layer, None),
        };
        let layers: Vec<_> = layers.iter().map(&mut shape).collect();
        assert!(layers.iter().any(|(_, shape)| shape.is_some()), "AllWeights: no dense layer");
        Self { layers }
    }

    /// Layer by layer; `dense` is given `h`, the shape `[n, k]` of its weights and where they start in `θ`.
    fn through<'t, T: Scalar>(
        &self,
        x: Var<'t, T>,
        mut dense: impl FnMut(Var<'t, T>, [usize; 2], usize) -> Var<'t, T>,
    ) -> Var<'t, T> {
        let (mut h, mut start) = (x, 0);
        for (layer, shape) in &self.layers {
            h = match (layer, shape) {
                (_, Some([n, k])) => {
                    let y = dense(h, [*n, *k], start);
                    start += n * k + n;
                    y
                }
                (Layer::Tanh, None) => h.tanh(),
                _ => h.relu(),
            };
        }
        h
    }
}

impl<T: Scalar> PrimaryNet<T> for AllWeights {
    fn dim(&self) -> usize {
        self.layers.iter().filter_map(|(_, shape)| *shape).map(|[n, k]| n * k + n).sum()
    }

    fn parts(&self) -> Vec<(String, usize)> {
        let dense =
            self.layers.iter().enumerate().filter_map(|(i, (_, shape))| Some((i, (*shape)?)));
        dense
            .flat_map(|(i, [n, k])| [(format!("{i}.weights"), n * k), (format!("{i}.biases"), n)])
            .collect()
    }

    fn forward<'t>(&self, _: &Bound<'t, T>, theta: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        let (shape, d) = (theta.shape(), PrimaryNet::<T>::dim(self));
        assert!(
            shape.len() == 2 && shape[1] == d,
            "theta {shape:?} is not [S, {d}]: a batch shares its weights"
        );
        self.through(x, |h, [n, k], start| {
            let w = theta.slice(1, start..start + n * k).reshape(&[shape[0], n, k]);
            let b = theta.slice(1, start + n * k..start + n * k + n);
            h.matmul_each(w) + b.reshape(&[shape[0], 1, n])
        })
    }

    /// Weights by He et al.'s rule, biases 0.
    fn start(&self, rng: &mut dyn Rng) -> Vec<f64> {
        let mut theta = vec![];
        for [n, k] in self.layers.iter().filter_map(|(_, shape)| *shape) {
            theta.extend(Init::He.sample::<f64>(&[n, k], &mut &mut *rng));
            theta.extend(std::iter::repeat_n(0., n));
        }
        theta
    }

    /// `y = x Mᵀ + m + √(x² (Σ²)ᵀ + σ²) ε`, with `M`, `m` the means and `Σ`, `σ` the deviations of a layer's
    /// weights and biases, and `ε` drawn anew for each sample, example and unit.
    fn forward_normal<'t>(
        &self,
        [mean, std]: [Var<'t, T>; 2],
        x: Var<'t, T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Option<Var<'t, T>> {
        let batch = x.shape()[0];
        let squares = std * std;
        Some(self.through(x, |h, [n, k], start| {
            let layer = |of: Var<'t, T>, h: Var<'t, T>| {
                let w = of.slice(0, start..start + n * k).reshape(&[n, k]);
                h.linear(w, of.slice(0, start + n * k..start + n * k + n))
            };
            let normal = Init::Normal { mean: 0., std: 1. };
            let eps = h.tape().constant(normal.sample(&[samples, batch, n], &mut &mut *rng));
            layer(mean, h) + layer(squares, h * h).sqrt() * eps
        }))
    }
}
