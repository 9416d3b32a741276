//! Parameters, and the layers made of them. A layer is architecture alone: its numbers live in
//! [`Params`], so the same layer runs in `f32` to train and in `f64` to be checked.
mod init;
mod linear;
pub mod optim;
mod params;

pub use init::Init;
pub use linear::{Linear, Mlp, WnLinear};
pub use params::{BoundParams, Buffer, Buffers, Frozen, ParamId, Params};
