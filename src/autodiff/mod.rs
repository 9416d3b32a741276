//! Reverse-mode automatic differentiation: the tape, its operations, and the check of their gradients.
pub mod gradcheck;
pub mod gradient;
pub mod ops;
pub mod profile;
pub mod tape;

pub use gradient::Gradient;
pub use tape::{Cotangent, Fixed, Grads, Owned, Sink, Storage, Tape, Tensor, Var};
pub(crate) use tape::{rows, rows_mut};
