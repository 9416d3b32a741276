//! Reverse-mode automatic differentiation: the tape, its operations, and the check of their
//! gradients.
//!
//! The [`tape`](Tape) is the engine: operations are recorded with their backward rules, and
//! [`backward`](Var::backward) calls the rules in reverse order. A rule reads a [`Cotangent`] and
//! writes to a [`Sink`]. Separate modules reuse memory, cache what is computed from constants, keep
//! gradients in factors, and time operations; few rules depend on them.
mod constants;
mod cost;
mod display;
pub mod gradcheck;
pub mod gradient;
mod memory;
pub mod ops;
pub mod profile;
mod sink;
mod tape;
mod tensor;
mod trace;

pub use crate::kernels::gemm::Precision;
pub use constants::Fixed;
pub use cost::Op;
pub use gradient::Gradient;
pub use memory::Storage;
pub use sink::{Cotangent, Sink};
pub use tape::{Grads, Tape, Var};
pub use tensor::{Owned, Tensor};
pub use trace::Traced;
