//! Numerical kernels over slices and matrix views, on all threads; no tape, no tensor shapes.
//!
//! In reading order:
//!
//! * [`scalar`]: the element types, `f32` and `f64`.
//! * [`plain`]: the definition of every kernel in a few obvious lines. The other modules compute
//!   the same values, fast.
//! * [`vector`]: element-wise loops, sums, Adam's update. [`broadcast`]: NumPy's broadcasting.
//! * [`affine`]: `act(s ⊙ p + b)` and its gradients. [`gemm`](mod@gemm): matrix products.
//! * [`conv`]: convolutions and their gradients. [`pool`]: maximum and mean over windows.
//! * `parallel`: loops on all threads. `workspace`: memory that a thread reuses. `path`: the
//!   instruction set in use.
//! * [`peak`]: the measured peak performance of the machine.
//!
//! Results are deterministic: work is split by shape, never by the number of threads or the width
//! of a vector. A sum that crosses blocks adds their partial sums in a fixed order. So results are
//! bitwise identical for any number of threads, and with AVX-512 and AVX2.
//!
//! Processors without AVX2 and FMA ([`path()`] is `"portable"`) round differently, because they do
//! not fuse multiplication and addition. `eˣ`, `ln` and similar functions come from the C library;
//! another version may round their last bit differently on any processor.
pub mod affine;
pub mod broadcast;
pub mod conv;
pub mod gemm;
mod parallel;
mod path;
pub mod peak;
pub mod plain;
pub mod pool;
pub mod scalar;
pub mod vector;
mod workspace;

#[doc(hidden)]
pub use path::choose_path;
pub use path::path;
