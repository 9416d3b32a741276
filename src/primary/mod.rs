//! Primary networks: what predicts, given scales `θ`. They do not know where `θ` comes from.
mod layer;
mod weight_normed;

pub use layer::Layer;
pub use weight_normed::WeightNormed;

use crate::nn::Bound;
use crate::scalar::Scalar;
use crate::tape::Var;

/// A network some of whose numbers, `θ`, are given from outside, `S` times at once.
pub trait PrimaryNet<T: Scalar>: Send + Sync {
    /// `D`, the length of `θ`.
    fn dim(&self) -> usize;

    /// How `θ` divides among the layers: names and lengths, in order.
    fn parts(&self) -> Vec<(String, usize)>;

    /// `θ [S, D]` and `x [B, …]` to outputs `[S, B, K]`: sample `s` on all of the batch.
    fn forward<'t>(&self, p: &Bound<'t, T>, theta: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T>;
}
