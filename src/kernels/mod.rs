//! Multi-threaded numerical kernels over slices and matrix views, independent of the tape.
//!
//! In reading order:
//!
//! * [`scalar`]: the element types, `f32` and `f64`.
//! * [`plain`]: the definition of every kernel in a few obvious lines. The other modules compute
//!   the same values, fast.
//! * [`vector`]: element-wise loops, sums, Adam's update. [`broadcast`]: NumPy's broadcasting.
//! * [`affine`]: `act(s ⊙ p + b)` and its gradients. [`gemm`](mod@gemm): matrix products.
//! * [`conv`]: convolutions and their gradients. [`pool`]: maximum and mean over windows.
//! * [`cholesky`](mod@cholesky): the Cholesky factorisation.
//! * `parallel`: loops on all threads. `workspace`: memory that a thread reuses. `path`: the
//!   instruction set in use.
//! * [`peak`]: the measured peak performance of the machine.
//!
//! Results are deterministic: the order of the additions in a sum depends on shapes and strides
//! alone, never on the number of threads or the width of a vector. If the terms of a sum are split
//! over tasks, the partial sums are added in a fixed order. So results are bitwise identical for
//! any number of threads, and the same with AVX-512 as with AVX2.
//!
//! On processors without AVX2 and FMA ([`path()`] is `"portable"`), results differ in rounding:
//! multiplications and additions are not fused, and products are summed in another order. `eˣ`,
//! `ln` and similar functions come from the C library; another version of it may round their last
//! bit differently on any processor.
pub mod affine;
mod bf16;
pub mod broadcast;
pub mod cholesky;
pub mod conv;
pub mod gemm;
mod parallel;
mod path;
pub mod peak;
pub mod plain;
pub mod pool;
pub mod scalar;
#[cfg(test)]
mod small;
pub mod vector;
mod workspace;

#[doc(hidden)]
pub use path::choose_path;
pub use path::{multiplies_bf16, path};
