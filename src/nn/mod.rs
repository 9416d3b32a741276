//! Parameters and the layers made of them. A layer describes the architecture; its parameters live
//! in [`Params`], so the same layer trains in `f32` and is verified in `f64`.
mod frozen;
mod init;
mod linear;
pub mod optim;
mod params;
mod schedule;

pub use frozen::Frozen;
pub use init::Init;
pub use linear::{BoundLinear, Linear};
pub use params::{BoundParams, Buffer, Buffers, ParamId, Params};
