//! Primary networks: what predicts, given `θ`. They do not know where `θ` comes from.
mod all_weights;
mod layer;
mod weight_normed;

pub use crate::kernels::conv::Window;
pub use all_weights::AllWeights;
pub use layer::{Layer, Placed, Shape};
pub use weight_normed::WeightNormed;

use crate::autodiff::{Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Params};
use ndarray::Array2;
use rand::Rng;
use std::ops::Range;

/// A network some of whose numbers, `θ`, are given from outside, `S` times at once.
pub trait PrimaryNet<T: Scalar>: Send + Sync {
    /// `D`, the length of `θ`.
    fn dim(&self) -> usize;

    /// The most numbers that one example is between two layers, or as an input.
    fn widest(&self) -> usize;

    /// How `θ` divides among the layers: names and lengths, in order.
    fn parts(&self) -> Vec<(String, usize)>;

    /// `θ [S, D]` and `x [B, …]` to outputs `[S, B, K]`: sample `s` on all of the batch; or `θ [S, B, D]`,
    /// each example with a `θ` of its own.
    fn forward<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T>;

    /// A `θ [D]` that training may start from: 1, plain weight normalisation without masks, unless
    /// the network says otherwise.
    fn start(&self, _rng: &mut dyn Rng) -> Vec<f64> {
        vec![1.; self.dim()]
    }

    /// Data-dependent initialisation (Salimans & Kingma 2016): biases, and a `θ`, with which the inputs of
    /// every activation have mean 0 and variance 1 over `x [B, …]`. `None` if there is no such thing here.
    fn init_from_data(&self, _params: &mut Params<T>, _x: Tensor<T>) -> Option<Vec<f64>> {
        None
    }

    /// Which entries of `θ` are dropout masks, and the probability of a 0 in each.
    fn masks(&self) -> Vec<(Range<usize>, f64)> {
        vec![]
    }

    /// The weights of the first layer under `theta [D]`, but for a factor a channel, if it is a convolution: `N`
    /// images of `[C, H, W]`, as `[N, C·H·W]`.
    fn filters(&self, _params: &Params<T>, _theta: &[T]) -> Option<(Array2<T>, [usize; 3])> {
        None
    }

    /// Outputs `[S, B, K]` for independent `θ ~ N(mean, std²)`, both `[D]`, of which each example sees only
    /// what reaches its units: the local reparametrisation (Kingma et al. 2015). `None` if the network
    /// is not linear in `θ`, layer by layer, or shares weights between positions.
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
