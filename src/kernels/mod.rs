//! Plain loops over plain memory, parallel over fixed blocks. Knows nothing of gradients.
//!
//! Two rules give the same bits for any number of threads: work is split by shape and never by
//! thread count, and a sum that crosses blocks is added up in their order. Every kernel has a naive
//! twin in its tests.
pub mod affine;
pub mod broadcast;
pub mod conv;
pub mod gemm;
mod micro;
mod packed;
pub mod peak;
pub mod pool;
pub mod vector;

pub(crate) use micro::Native;
