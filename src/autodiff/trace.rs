//! The nodes of a tape with their gradients, for display.
use crate::autodiff::tape::Var;
use crate::autodiff::tensor::Tensor;
use crate::kernels::scalar::Scalar;

/// A node of a tape, and the gradient of a scalar with respect to its value.
#[derive(Clone, Debug)]
pub struct Traced<T> {
    /// The name of the operation, parameter or constant.
    pub op: String,
    /// The value.
    pub value: Tensor<T>,
    /// The indices of the inputs.
    pub parents: Vec<usize>,
    /// The gradient, shaped like the value; `None` if no gradient flows to the node.
    pub gradient: Option<Tensor<T>>,
}

impl<T: Scalar> Var<'_, T> {
    /// The nodes of the tape up to this scalar, in recording order, with the gradients of this
    /// scalar.
    ///
    /// ```
    /// use bhn::autodiff::{Tape, Tensor};
    /// let tape = Tape::<f64>::default();
    /// let x = tape.leaf(Tensor::from_elem(&[2][..], 3.));
    /// let nodes = (x * x).sum().trace();
    /// let gradient = |id: usize| nodes[id].gradient.as_ref().unwrap().as_slice()[0];
    /// assert_eq!([0, 1, 2].map(gradient), [6., 1., 1.]);
    /// ```
    ///
    /// # Panics
    /// If this is not a scalar.
    pub fn trace(self) -> Vec<Traced<T>> {
        let tape = self.tape();
        let mut seen: Vec<_> = (0..=self.id()).map(|_| None).collect();
        let grads = self.backward_with(|id, dy| seen[id] = Some(dy.clone()));
        let traced = |(id, seen): (usize, Option<Tensor<T>>)| {
            let node = &tape.nodes()[id];
            Traced {
                op: node.op.name.to_string(),
                value: node.value.clone(),
                parents: node.parents.clone(),
                gradient: seen.or_else(|| grads.wrt(tape.var(id)).cloned()),
            }
        };
        seen.into_iter().enumerate().map(traced).collect()
    }
}
