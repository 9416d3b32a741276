//! Reverse-mode automatic differentiation: the tape, its operations, and the check of their gradients.
mod constants;
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
pub use gradient::{Contribution, Gradient};
pub use memory::Storage;
pub use sink::{Cotangent, Sink};
pub use tape::{Grads, Tape, Var};
pub use tensor::{Owned, Tensor};
