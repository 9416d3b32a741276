//! A network all of whose weights and biases are inputs.
use super::{Block, Layer, Placed, PrimaryNet, Shape};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, Params};
use ndarray::{Array2, ArrayView2};
use rand::Rng;

/// `h ← W h + b` for every dense layer and convolution, where `W [n, k]` and `b [n]` are slices of
/// `θ`, in this order.
///
/// `D` is the number of weights and biases: 151 for 1-50-1. There are no trained parameters other
/// than those of the posterior over `θ`. No product is shared between samples, so the cost of a
/// large network is high; the intended uses are Bayes by Backprop, ensembles, and hypernets of
/// small networks.
///
/// ```
/// use bhn::primary::{AllWeights, Layer, PrimaryNet};
/// use bhn::{nn::Params, autodiff::{Tape, Tensor}};
/// let net = AllWeights::new(1, &Layer::mlp(&[50], 1));
/// assert_eq!(PrimaryNet::<f64>::dim(&net), 151);
/// let (params, tape) = (Params::<f64>::default(), Tape::default());
/// // Every weight and bias 2: f(x) = 50 · 2 · max(2x + 2, 0) + 2.
/// let theta = tape.constant(Tensor::from_elem(&[1, 151][..], 2.));
/// let y = net.forward(&params.freeze(&tape), theta, tape.constant(Tensor::ones(&[1, 1][..])));
/// assert_eq!(y.item(), 402.);
/// ```
#[derive(Clone, Debug)]
pub struct AllWeights(Vec<Placed>);

impl AllWeights {
    /// A network of these layers.
    ///
    /// # Panics
    /// If a layer does not accept its input, no layer has weights, or a layer is dropout.
    pub fn new(inputs: impl Into<Shape>, layers: &[Layer]) -> Self {
        let placed = Layer::place(layers, inputs.into());
        let placed = placed.unwrap_or_else(|error| panic!("AllWeights: {error}"));
        if let Some(layer) = layers.iter().find(|layer| layer.is_mask()) {
            panic!("AllWeights: {layer}: all of θ is weights");
        }
        assert!(placed.iter().any(|p| p.weights().is_some()), "AllWeights: no weights");
        Self(placed)
    }

    /// Each layer, and its weights if it has any. The biases follow the weights in `θ`.
    fn with_blocks(&self) -> impl Iterator<Item = (&Placed, Option<Block>)> {
        let mut offset = 0;
        self.0.iter().map(move |placed| {
            let block = placed.block(offset);
            offset = block.map_or(offset, |block| block.weights().end + block.outputs);
            (placed, block)
        })
    }

    /// Applies the layers in turn. A layer with weights is applied by `weighted(h, layer, block)`.
    fn compose<'t, T: Scalar>(
        &self,
        x: Var<'t, T>,
        mut weighted: impl FnMut(Var<'t, T>, &Placed, Block) -> Var<'t, T>,
    ) -> Var<'t, T> {
        let mut h = self.0[0].enter(x);
        for (placed, block) in self.with_blocks() {
            h = match block {
                Some(block) => weighted(h, placed, block),
                None => placed.apply(h),
            };
        }
        h
    }
}

impl<T: Scalar> PrimaryNet<T> for AllWeights {
    fn dim(&self) -> usize {
        self.0.iter().filter_map(Placed::weights).map(|[n, k]| n * k + n).sum()
    }

    fn widest(&self) -> usize {
        Placed::widest(&self.0)
    }

    fn parts(&self) -> Vec<(String, usize)> {
        let weighted = self.0.iter().enumerate().filter_map(|(i, p)| Some((i, p.weights()?)));
        weighted
            .flat_map(|(i, [n, k])| [(format!("{i}.weights"), n * k), (format!("{i}.biases"), n)])
            .collect()
    }

    fn blocks(&self) -> Vec<Block> {
        self.with_blocks().filter_map(|(_, block)| block).collect()
    }

    fn forward<'t>(&self, _: &BoundParams<'t, T>, theta: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        let (shape, d) = (theta.shape(), PrimaryNet::<T>::dim(self));
        let fits = shape.len() == 2 && shape[1] == d;
        assert!(fits, "theta {shape:?} is not [S, {d}]: a batch shares its weights");
        self.compose(x, |h, placed, block| {
            let (n, end) = (block.outputs, block.weights().end);
            let w = theta.slice(1, block.weights()).reshape(&[shape[0], n, block.inputs]);
            let b = theta.slice(1, end..end + n);
            let y = match placed.layer {
                Layer::Conv(_, window) => h.conv2d_each(w, window),
                _ => h.matmul_each(w),
            };
            y + b.reshape(&[&[shape[0], 1], &placed.units()[..]].concat())
        })
    }

    /// Weights by He et al.'s rule, biases 0.
    fn start(&self, rng: &mut dyn Rng) -> Vec<f64> {
        let mut theta = vec![];
        for [n, k] in self.0.iter().filter_map(Placed::weights) {
            theta.extend(Init::He.sample::<f64>(&[n, k], &mut &mut *rng));
            theta.extend(std::iter::repeat_n(0., n));
        }
        theta
    }

    fn filters(&self, _: &Params<T>, theta: &[T]) -> Option<(Array2<T>, [usize; 3])> {
        let (first, [n, k]) = self.0.iter().find_map(|p| Some((p, p.weights()?)))?;
        first.filters(ArrayView2::from_shape([n, k], &theta[..n * k]).expect("a whole θ"))
    }

    /// `y = x Mᵀ + m + √(x² (Σ²)ᵀ + σ²) ε`, with `M`, `m` the means and `Σ`, `σ` the standard
    /// deviations of a layer's weights and biases, and `ε` independent for each sample, example and
    /// unit. `None` for a network with convolutions: the outputs of a convolution at two positions
    /// depend on the same weights and are correlated, so independent noise at each position would
    /// give another bound.
    fn forward_normal<'t>(
        &self,
        [mean, std]: [Var<'t, T>; 2],
        x: Var<'t, T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Option<Var<'t, T>> {
        if self.0.iter().any(|placed| matches!(placed.layer, Layer::Conv(..))) {
            return None;
        }
        let batch = x.shape()[0];
        let variance = std.square();
        Some(self.compose(x, |h, placed, block| {
            let linear = |theta: Var<'t, T>, h: Var<'t, T>| {
                let (n, end) = (block.outputs, block.weights().end);
                let w = theta.slice(0, block.weights()).reshape(&[n, block.inputs]);
                h.linear(w, theta.slice(0, end..end + n))
            };
            let shape = [&[samples, batch][..], &placed.output.axes()].concat();
            let eps = h.tape().constant(Init::STANDARD_NORMAL.sample(&shape, &mut &mut *rng));
            linear(mean, h) + linear(variance, h.square()).sqrt() * eps
        }))
    }
}
