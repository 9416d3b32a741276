//! Reverse-mode automatic differentiation: the tape, its operations, and the check of their
//! gradients.
//!
//! [`tape`](Tape) is the engine: record, rule, [`backward`](Var::backward). A rule reads a
//! [`Cotangent`] and writes to a [`Sink`]. Reuse of memory, caches of constants, gradients in
//! factors, and the profile are separate modules; few rules depend on them.
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

pub use constants::Fixed;
pub use cost::Op;
pub use gradient::Gradient;
pub use memory::Storage;
pub use sink::{Cotangent, Sink};
pub use tape::{Grads, Tape, Var};
pub use tensor::{Owned, Tensor};
