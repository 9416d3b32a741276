//! Plain loops over plain memory, parallel over fixed blocks. Knows nothing of gradients.
//!
//! Two rules give the same bits for any number of threads: work is split by shape and never by
//! thread count, and a sum that crosses blocks is added up in their order. Every kernel has a naive
//! twin in its tests.
//!
//! x86-64 processors with AVX2 and FMA give the same bits as those with AVX-512: the route of a product
//! and the order of every sum depend on shapes alone, never on a vector's width. Other processors
//! ([`path()`] is `"portable"`) round differently, as their products are not fused. `eˣ`, `ln` and the
//! like are the C library's: another one may round their last bit differently, on any processor.
pub mod affine;
pub mod broadcast;
pub mod conv;
pub mod gemm;
mod path;
pub mod peak;
pub mod pool;
pub mod scalar;
pub mod vector;

pub(crate) use gemm::micro::Native;
#[doc(hidden)]
pub use path::choose_path;
pub use path::path;
