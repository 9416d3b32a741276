//! Evaluation of a layer.
use super::{Layer, Placed, Shape, Window};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::ParamId;
use std::ops::Range;

/// A layer, its parameters `V` and `b`, and the range of `θ` that holds its scales or mask.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub placed: Placed,
    pub weights: Option<[ParamId; 2]>,
    pub range: Range<usize>,
}

impl Step {
    /// The layer's scales or mask for `θ [S, B, D]`, in a shape `[S, B, …]` that broadcasts with
    /// the layer's output.
    pub fn g<'t, T: Scalar>(&self, theta: Var<'t, T>) -> Var<'t, T> {
        let g = theta.slice(2, self.range.clone());
        g.reshape(&[&g.shape()[..2], &self.placed.theta_axes()[..]].concat())
    }
}

impl Placed {
    /// Inputs `[B, …]` in the layout that the first layer takes: images are transposed to
    /// `[B, H, W, C]`.
    pub(super) fn enter<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        match self.input {
            Shape::Flat(_) => x,
            Shape::Image([c, h, w]) => {
                x.reshape(&[x.shape()[0], c, h, w]).permute_axes(&[0, 2, 3, 1])
            }
        }
    }

    /// The product `V h` for weights `V [n, k]`; for a convolution, at every position of an image.
    pub(super) fn product<'t, T: Scalar>(&self, h: Var<'t, T>, v: Var<'t, T>) -> Var<'t, T> {
        if let Layer::Conv(_, window) = self.layer { h.conv2d(v, window) } else { h.matmul_t(v) }
    }

    /// The output, for an input `h`, of a layer that has neither weights nor a mask. The last axes
    /// of `h` are those of one example, and any axes may precede them.
    pub(super) fn apply<'t, T: Scalar>(&self, h: Var<'t, T>) -> Var<'t, T> {
        let flat = |h: Var<'t, T>| {
            let shape = h.shape();
            let lead = &shape[..shape.len() - 3];
            h.reshape(&[lead, &[shape[lead.len()..].iter().product()]].concat())
        };
        match (self.layer, self.input) {
            (Layer::Pool(window), _) => h.max_pool2d(window),
            (Layer::AvgPool(window), _) => h.avg_pool2d(window),
            (Layer::GlobalPool, Shape::Image([_, height, width])) => {
                flat(h.avg_pool2d(Window::new([height, width])))
            }
            (Layer::Flatten, _) => flat(h),
            (Layer::Tanh, _) => h.tanh(),
            (Layer::Relu, _) => h.relu(),
            (layer, _) => unreachable!("`{layer}` has weights or a mask"),
        }
    }
}
