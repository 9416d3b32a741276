//! Primary networks: the networks that predict, given `θ`. They do not depend on the distribution
//! of `θ`.
mod all_weights;
mod evaluate;
mod layer;
mod shape;
mod shared;
mod weight_normed;
mod words;

pub use crate::kernels::conv::Window;
pub use all_weights::AllWeights;
pub use layer::Layer;
pub use shape::{Placed, Shape};
pub use weight_normed::WeightNormed;

use crate::autodiff::{Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Params};
use ndarray::Array2;
use rand::Rng;
use std::ops::Range;

/// A network that takes some or all of its parameters, `θ`, as an input: `S` samples at once.
pub trait PrimaryNet<T: Scalar>: Send + Sync {
    /// `D`, the length of `θ`.
    fn dim(&self) -> usize;

    /// The largest number of entries of an activation or input, per example.
    fn widest(&self) -> usize;

    /// The slices of `θ`: their names and lengths, in order.
    fn parts(&self) -> Vec<(String, usize)>;

    /// Outputs `[S, B, K]` for `x [B, …]` and `θ [S, D]`, each sample shared by the batch; or for
    /// `θ [S, B, D]`, with a sample for each example.
    fn forward<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T>;

    /// An initial `θ [D]`: by default all ones, which is plain weight normalisation without masks.
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

    /// The weights of the first layer for `theta [D]`, up to a factor per channel, if it is a
    /// convolution: `N` images `[C, H, W]`, as `[N, C·H·W]`.
    fn filters(&self, _params: &Params<T>, _theta: &[T]) -> Option<(Array2<T>, [usize; 3])> {
        None
    }

    /// Outputs `[S, B, K]` for independent `θ ~ N(mean, std²)`, both `[D]`, by local
    /// reparametrisation (Kingma et al. 2015): pre-activations are sampled for each example. `None`
    /// unless every layer is linear in its slice of `θ` and shares no weights between positions.
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
