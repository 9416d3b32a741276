//! The paper's primary network: weight-normalised, with its scales given from outside.
use super::{Layer, PrimaryNet};
use crate::nn::{Bound, Init, ParamId, Params};
use crate::scalar::Scalar;
use crate::tape::Var;
use rand::Rng;

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
#[derive(Clone, Debug)]
pub struct WeightNormed {
    layers: Vec<(Layer, Option<[ParamId; 2]>)>,
    dim: usize,
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
        let (mut fan_in, mut dim) = (inputs, 0);
        let mut build = |(i, &layer): (usize, &Layer)| {
            let Layer::Dense(units) = layer else { return (layer, None) };
            let std = Init::Normal { mean: 0., std: 0.05 };
            let v = params.add(format!("{name}.{i}.v"), std.sample(&[units, fan_in], rng));
            let b = params.add(format!("{name}.{i}.b"), Init::Constant(0.).sample(&[units], rng));
            dim += units;
            fan_in = units;
            (layer, Some([v, b]))
        };
        let layers = layers.iter().enumerate().map(&mut build).collect();
        assert!(dim > 0, "WeightNormed: no dense layer");
        Self { layers, dim }
    }
}

impl<T: Scalar> PrimaryNet<T> for WeightNormed {
    fn dim(&self) -> usize {
        self.dim
    }

    fn parts(&self) -> Vec<(String, usize)> {
        let dense = self.layers.iter().enumerate().filter_map(|(i, (layer, _))| match layer {
            Layer::Dense(units) => Some((format!("{i}.scales"), *units)),
            _ => None,
        });
        dense.collect()
    }

    fn forward<'t>(&self, p: &Bound<'t, T>, theta: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        let shape = theta.shape();
        assert!(shape.get(1) == Some(&self.dim), "theta {shape:?} is not [S, {}]", self.dim);
        let (mut h, mut start) = (x, 0);
        let mut layers = self.layers.iter().peekable();
        while let Some((layer, ids)) = layers.next() {
            h = match (layer, ids) {
                (Layer::Dense(units), Some([v, b])) => {
                    let g = theta.slice(1, start..start + units);
                    start += units;
                    let (product, scale) = (h.matmul_t(p[*v]), g / p[*v].row_norms());
                    match layers.next_if(|(next, _)| *next == Layer::Relu) {
                        Some(_) => product.affine_relu(scale, p[*b]),
                        None => product.affine(scale, p[*b]),
                    }
                }
                (Layer::Tanh, _) => h.tanh(),
                _ => h.relu(),
            };
        }
        h
    }
}
