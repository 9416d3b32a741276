//! Normalising flows: invertible maps with known log-determinants (sections 2 and 3 of the paper).
//!
//! `h: ε ↦ θ` gives `ln q(θ) = ln N(ε; 0, I) − ln|det ∂h/∂ε|`; `h` is a [`Chain`] of [`Bijector`]s.
mod bijector;
mod chain;
mod conditioner;
mod coupling;
mod elementwise;
mod iaf;
mod kink;
mod lu;
mod permutation;
mod planar;
mod rank_one;
mod stabiliser;
pub(crate) mod triangular;

pub use bijector::{Bijector, Inverse};
pub use chain::Chain;
pub use conditioner::Conditioner;
pub use coupling::Coupling;
pub use elementwise::Elementwise;
pub use iaf::Iaf;
pub use kink::{Kink, KinkShape};
pub use lu::Lu;
pub use permutation::{Order, Permutation};
pub use planar::Planar;
pub use rank_one::RankOne;
pub use stabiliser::Stabiliser;
pub use triangular::Triangular;

use bijector::{check_shape, zero_ln_det};
