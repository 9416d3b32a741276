//! Constants shared by many tapes, with cached transposes and norms.
use crate::autodiff::tensor::Tensor;
use crate::kernels::gemm::{Packed, Precision};
use crate::kernels::scalar::Scalar;
use std::sync::OnceLock;

/// A matrix `V` that does not change, with its packed transpose and its row norms. Both are
/// computed lazily, and cached for all tapes on which [`Tape::fixed`] puts the matrix.
///
/// [`Tape::fixed`]: crate::autodiff::Tape::fixed
#[derive(Debug)]
pub struct Fixed<T> {
    pub(crate) value: Tensor<T>,
    /// In `f32` and in bfloat16.
    transposed: [OnceLock<Packed<T>>; 2],
    norms: OnceLock<Tensor<T>>,
}

impl<T> Fixed<T> {
    /// A constant of this value.
    pub fn new(value: Tensor<T>) -> Self {
        Self { value, transposed: Default::default(), norms: OnceLock::new() }
    }
}

impl<T: Scalar> Fixed<T> {
    /// `Vᵀ`, packed for products in `precision`.
    pub(crate) fn transposed(&self, precision: Precision) -> &Packed<T> {
        let cell = &self.transposed[precision as usize];
        cached(cell, || precision.pack(self.value.as_matrix().reversed_axes()))
    }

    /// `‖vᵢ‖`, computed by `compute` on the first call.
    pub(crate) fn norms(&self, compute: impl FnOnce() -> Tensor<T>) -> &Tensor<T> {
        cached(&self.norms, compute)
    }
}

/// The cell's value, computed first if the cell is empty.
///
/// Threads that find the cell empty at the same time all compute the value. With `get_or_init`, all
/// but one would wait, and this could deadlock: `compute` uses the thread pool, and a thread that
/// waits there for its tasks may be given a task that needs this very cell.
fn cached<V>(cell: &OnceLock<V>, compute: impl FnOnce() -> V) -> &V {
    if cell.get().is_none() {
        drop(cell.set(compute()));
    }
    cell.get().expect("set above")
}
