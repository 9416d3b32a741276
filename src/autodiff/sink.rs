//! The two ends of a backward rule: the [`Cotangent`] that it reads, the [`Sink`] that it writes to.
use crate::autodiff::gradient::{Contribution, Gradient};
use crate::autodiff::memory::Memory;
use crate::autodiff::tensor::Tensor;
use crate::kernels::broadcast;
use crate::kernels::scalar::Scalar;

/// An input of an operation.
pub(crate) struct Input<'a, T> {
    /// The index of its node.
    pub id: usize,
    pub name: &'a str,
    pub value: &'a Tensor<T>,
    pub needs_grad: bool,
    pub is_leaf: bool,
}

/// What a backward rule reads: `g = dL/dy`, the output `y`, and the inputs `x(k)`.
pub struct Cotangent<'a, T> {
    /// `dL/dy`, shaped like `y`.
    pub g: &'a Tensor<T>,
    /// The output of the operation.
    pub y: &'a Tensor<T>,
    pub(crate) inputs: &'a [Input<'a, T>],
}

impl<'a, T> Cotangent<'a, T> {
    /// The `k`-th input of the operation.
    pub fn x(&self, k: usize) -> &'a Tensor<T> {
        self.inputs[k].value
    }
}

/// Where a backward rule puts its contributions to the gradients of the inputs.
///
/// Summation over consumers, undoing of broadcasting and skipping of constants happen here, once,
/// and in no rule.
pub struct Sink<'a, T> {
    pub(crate) inputs: &'a [Input<'a, T>],
    /// By node.
    pub(crate) grads: &'a mut [Option<Gradient<T>>],
    pub(crate) memory: &'a Memory<T>,
}

impl<'a, T: Scalar> Sink<'a, T> {
    /// Add the contribution `g()` to the gradient of input `k`, summed over the axes along which the
    /// input was broadcast. `g` is not called if the input takes no gradient.
    ///
    /// # Panics
    /// If the input does not broadcast to the shape of the contribution.
    pub fn add<'c, C>(&mut self, k: usize, g: impl FnOnce() -> C)
    where
        C: Into<Contribution<'c, T>>,
        T: 'c,
    {
        let Some(shape) = self.shape(k) else { return };
        let (input, g) = (&self.inputs[k], g().into());
        if let Contribution::Dense(g) = &g {
            let fits = broadcast::shape(shape, g.shape()).is_some_and(|s| s == g.shape());
            assert!(fits, "gradient {:?} for `{}` {shape:?}", g.shape(), input.name);
        }
        let grad = self.grads[input.id].get_or_insert_default();
        if let Some(g) = grad.add(g, shape, input.is_leaf) {
            self.write(k, |beta, dx| g.write_to(input.value, beta, dx));
        }
    }

    /// Let `f(β, dx)` set the gradient of input `k` to `β dx + …`. For the first contribution `β` is
    /// 0 and the entries of `dx` are unspecified; for later ones `β` is 1. `f` is not called if the
    /// input takes no gradient.
    ///
    /// # Panics
    /// If `f` replaces `dx` by a tensor of another shape.
    pub fn write(&mut self, k: usize, f: impl FnOnce(T, &mut Tensor<T>)) {
        let Some(shape) = self.shape(k) else { return };
        let (input, memory) = (&self.inputs[k], self.memory);
        let slot = self.grads[input.id].get_or_insert_default().dense_mut();
        let beta = if slot.is_some() { T::one() } else { T::zero() };
        let dx = slot.get_or_insert_with(|| memory.alloc(shape));
        f(beta, dx);
        assert!(dx.shape() == shape, "gradient {:?} for `{}` {shape:?}", dx.shape(), input.name);
    }

    /// Whether input `k` takes a gradient.
    pub fn wants(&self, k: usize) -> bool {
        self.inputs[k].needs_grad
    }

    /// The shape of input `k`, if it takes a gradient.
    pub(crate) fn shape(&self, k: usize) -> Option<&'a [usize]> {
        self.wants(k).then(|| self.inputs[k].value.shape())
    }
}
