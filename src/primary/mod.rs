//! Primary networks: the networks that predict, given `θ`. They do not depend on the distribution
//! of `θ`.
mod all_weights;
mod block;
mod evaluate;
mod layer;
mod shape;
mod shared;
mod weight_normed;
mod words;

pub use crate::kernels::conv::Window;
pub use all_weights::AllWeights;
pub use block::{Block, BlockKind};
pub use layer::Layer;
pub use shape::{Placed, Shape};
pub use weight_normed::WeightNormed;

use crate::autodiff::{Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, ParamId, Params};
use ndarray::Array2;
use rand::Rng;
use std::ops::Range;

/// What a network is evaluated on, as an array or on a tape.
#[derive(Clone, Copy, Debug)]
pub enum Input<X> {
    /// Inputs `x [B, …]`.
    Examples(X),
    /// Their [first product](PrimaryNet::first_product) `V₁ x [B, n]`.
    Product(X),
}

impl<X> Input<X> {
    /// The input with `f` applied to its array.
    pub fn map<Y>(self, f: impl FnOnce(X) -> Y) -> Input<Y> {
        match self {
            Self::Examples(x) => Input::Examples(f(x)),
            Self::Product(product) => Input::Product(f(product)),
        }
    }
}

impl<X> From<X> for Input<X> {
    fn from(x: X) -> Self {
        Self::Examples(x)
    }
}

/// A network that takes some or all of its parameters as an input `θ`, and is evaluated for `S`
/// samples of `θ` at once.
pub trait PrimaryNet<T: Scalar>: Send + Sync {
    /// `D`, the length of `θ`.
    fn dim(&self) -> usize;

    /// The number of entries of the largest activation or input, per example.
    fn widest(&self) -> usize;

    /// The slices of `θ`: their names and lengths, in order.
    fn parts(&self) -> Vec<(String, usize)>;

    /// The weight matrices in `θ`, in order; empty if `θ` has none, as for a network whose `θ` is
    /// its scales.
    fn blocks(&self) -> Vec<Block> {
        vec![]
    }

    /// The directions `V [n, k]` and biases `b [n]` of each layer, if they are point estimates;
    /// empty if `θ` has all weights and biases.
    fn point_estimates(&self) -> Vec<[ParamId; 2]> {
        vec![]
    }

    /// Outputs `[S, B, K]` for `x [B, …]` and `θ [S, D]`, each sample shared by the batch. Some
    /// networks also accept `θ [S, B, D]`, where each example has its own `S` samples.
    fn forward<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T>;

    /// `V₁ x [B, n]` for `x [B, inputs]`, if the first layer is dense and its weights `V₁` do not
    /// depend on `θ`; otherwise `None`. If `V₁` is constant, the product can be computed once for
    /// all training steps.
    fn first_product<'t>(&self, _p: &BoundParams<'t, T>, _x: Var<'t, T>) -> Option<Var<'t, T>> {
        None
    }

    /// The outputs of [`forward`](PrimaryNet::forward) for `θ [S, D]` and inputs with this
    /// [first product](PrimaryNet::first_product).
    ///
    /// # Panics
    /// If the network has no first product.
    fn forward_from<'t>(
        &self,
        _p: &BoundParams<'t, T>,
        _theta: Var<'t, T>,
        product: Var<'t, T>,
    ) -> Var<'t, T> {
        panic!("forward_from: {:?} for a network without a first product", product.shape())
    }

    /// An initial `θ [D]`: by default all ones, that is scales of 1 and masks that change nothing.
    fn start(&self, _rng: &mut dyn Rng) -> Vec<f64> {
        vec![1.; self.dim()]
    }

    /// Data-dependent initialisation (Salimans & Kingma 2016): set the biases, and return `θ`, so
    /// that the pre-activations have mean 0 and variance 1 over `x [B, …]`. `None` if not
    /// supported.
    fn init_from_data(&self, _params: &mut Params<T>, _x: Tensor<T>) -> Option<Vec<f64>> {
        None
    }

    /// The ranges of `θ` that are dropout masks, and their rates.
    fn masks(&self) -> Vec<(Range<usize>, f64)> {
        vec![]
    }

    /// If the first layer with weights is a convolution, its weights for `theta [D]`, each channel
    /// up to a factor: `N` images in an array `[N, C·H·W]`, and their shape `[C, H, W]`. `None`
    /// otherwise.
    fn filters(&self, _params: &Params<T>, _theta: &[T]) -> Option<(Array2<T>, [usize; 3])> {
        None
    }

    /// For each hidden unit, or channel of a hidden convolution, whose scale is an entry of `θ`:
    /// the index of the scale, and `√(Σ_k (v_kj/‖v_k‖)²)`, the norm of the weights out of the unit.
    /// The sum is over the units `k` of the next layer and, for a channel, over all entries of
    /// `v_k` that multiply the channel. Empty if `θ` has no scales.
    fn outgoing(&self, _params: &Params<T>) -> Vec<(usize, f64)> {
        vec![]
    }

    /// Set the outputs of hidden units to 0 for every input: their scales `θⱼ`, in all samples
    /// `theta [S, D]`, and their biases. Layers without weights map 0 to 0. The units are given by
    /// the indices of their scales, see [`outgoing`](PrimaryNet::outgoing).
    ///
    /// # Panics
    /// If `θ` has no scales.
    fn silence(&self, _params: &mut Params<T>, theta: &mut Tensor<T>, units: &[usize]) {
        panic!("silence: {units:?} of theta {:?} without scales", theta.shape())
    }

    /// Outputs `[S, B, K]` for independent `θ ~ N(mean, std²)`, with `mean` and `std` of shape
    /// `[D]`, by local reparametrisation (Kingma et al. 2015): pre-activations are sampled for each
    /// example in place of `θ`. `None` unless every layer is linear in its slice of `θ` and shares
    /// no weights between positions.
    fn forward_normal<'t>(
        &self,
        _theta: [Var<'t, T>; 2],
        _x: Var<'t, T>,
        _samples: usize,
        _rng: &mut dyn Rng,
    ) -> Option<Var<'t, T>> {
        None
    }
}
