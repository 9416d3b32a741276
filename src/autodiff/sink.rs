//! What a backward rule reads, the [`Cotangent`], and where it writes, the [`Sink`].
use crate::autodiff::gradient::Gradient;
use crate::autodiff::memory::Memory;
use crate::autodiff::tensor::Tensor;
use crate::kernels::scalar::Scalar;
use crate::kernels::{broadcast, vector};

/// An input of an operation.
#[derive(Clone, Copy)]
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
    pub(crate) memory: &'a Memory<T>,
}

impl<'a, T> Cotangent<'a, T> {
    /// The `k`-th input of the operation.
    pub fn x(&self, k: usize) -> &'a Tensor<T> {
        self.inputs[k].value
    }
}

/// Where a backward rule puts its contributions to the gradients of the inputs.
///
/// Contributions from several consumers are summed here: [`add`](Self::add) sums them, and
/// [`write`](Self::write) gives the rule the `β` that does. `add` also sums over the axes along
/// which an input was broadcast, and neither calls its closure for an input that takes no gradient.
/// Operations with their own conventions for shared inputs, such as
/// [`affine`](crate::autodiff::Var::affine), sum over them in their rules.
pub struct Sink<'a, T> {
    pub(crate) inputs: &'a [Input<'a, T>],
    /// The gradient of every node before this one.
    pub(crate) grads: &'a mut [Option<Gradient<T>>],
    pub(crate) memory: &'a Memory<T>,
    /// The number of entries written to the gradient of each input.
    pub(crate) written: Vec<usize>,
}

impl<'a, T: Scalar> Sink<'a, T> {
    /// Add the contribution `g()` to the gradient of input `k`, summed over the axes along which
    /// the input was broadcast. `g` is not called if the input takes no gradient.
    ///
    /// # Panics
    /// If the input does not broadcast to the shape of the contribution.
    pub fn add<G: Into<Gradient<T>>>(&mut self, k: usize, g: impl FnOnce() -> G) {
        if !self.wants(k) {
            return;
        }
        let (Input { id, value, is_leaf, .. }, mut g) = (self.inputs[k], g().into());
        if is_leaf {
            self.written[k] += self.grads[id].get_or_insert_default().keep_factors(&mut g);
        }
        if g.has_factors() {
            self.write(k, |beta, dx| g.write_factors(value, beta, dx));
        }
        if let Some(g) = g.into_dense() {
            self.add_dense(k, g);
        }
    }

    fn add_dense(&mut self, k: usize, g: Tensor<T>) {
        let Input { id, name, value, .. } = self.inputs[k];
        let shape = value.shape();
        if g.shape() != shape {
            let fits = broadcast::shape(shape, g.shape()).is_some_and(|s| s == g.shape());
            assert!(fits, "gradient {:?} for `{name}` {shape:?}", g.shape());
            return self.write(k, |beta, dx| {
                dx.scale(beta);
                broadcast::sum_to((g.as_slice(), g.shape()), (dx.as_slice_mut(), shape));
            });
        }
        self.written[k] += g.len();
        match self.grads[id].get_or_insert_default().dense_mut() {
            Some(sum) => {
                vector::zip_onto(g.as_slice(), g.as_slice(), sum.as_slice_mut(), |g, _| g);
                self.memory.free(g);
            }
            slot => *slot = Some(g),
        }
    }

    /// Let `f(β, dx)` set the gradient of input `k` to `β dx + …`. For the first contribution `β`
    /// is 0 and the entries of `dx` are unspecified; for later ones `β` is 1. `f` is not called if
    /// the input takes no gradient.
    ///
    /// # Panics
    /// If `f` replaces `dx` by a tensor of another shape.
    pub fn write(&mut self, k: usize, f: impl FnOnce(T, &mut Tensor<T>)) {
        if !self.wants(k) {
            return;
        }
        let (Input { id, name, value, .. }, memory) = (self.inputs[k], self.memory);
        let slot = self.grads[id].get_or_insert_default().dense_mut();
        let beta = if slot.is_some() { T::one() } else { T::zero() };
        let dx = slot.get_or_insert_with(|| memory.alloc(value.shape()));
        f(beta, dx);
        let fits = dx.shape() == value.shape();
        assert!(fits, "gradient {:?} for `{name}` {:?}", dx.shape(), value.shape());
        self.written[k] += dx.len();
    }

    /// Whether input `k` takes a gradient.
    pub fn wants(&self, k: usize) -> bool {
        self.inputs[k].needs_grad
    }
}
