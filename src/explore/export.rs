//! Numbers for the page: tensors in single precision, exact.
use crate::autodiff::Tensor;
use crate::kernels::scalar::Scalar;
use crate::nn::{Buffer, Params};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use std::collections::BTreeMap;

/// A tensor in row-major order. `f32` is the base64 of its little-endian bytes.
#[derive(Clone, Serialize)]
pub(super) struct Array {
    shape: Vec<usize>,
    f32: String,
}

impl Array {
    /// The entries of a tensor, rounded to single precision.
    pub fn new<T: Scalar>(shape: &[usize], entries: impl IntoIterator<Item = T>) -> Self {
        let bytes = entries.into_iter().flat_map(|x| (x.f64() as f32).to_le_bytes());
        let bytes: Vec<_> = bytes.collect();
        Self { shape: shape.to_vec(), f32: BASE64_STANDARD.encode(bytes) }
    }
}

impl<T: Scalar> From<&Tensor<T>> for Array {
    fn from(x: &Tensor<T>) -> Self {
        Self::new(x.shape(), x.iter().copied())
    }
}

/// The parameters whose names start with `part`, by name.
pub(super) fn params<T: Scalar>(params: &Params<T>, part: &str) -> BTreeMap<String, Array> {
    let named = params.iter().filter(|(name, _)| name.starts_with(part));
    named.map(|(name, value)| (name.to_string(), value.into())).collect()
}

/// The registered permutations, by name.
pub(super) fn permutations<T: Scalar>(params: &Params<T>) -> BTreeMap<String, Vec<u32>> {
    let indices = params.buffers().iter().filter_map(|(name, buffer)| match buffer {
        Buffer::Indices(order) => Some((name.clone(), order.clone())),
        Buffer::Numbers(_) => None,
    });
    indices.collect()
}
