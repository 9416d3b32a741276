//! The element types: `f32` to train, `f64` to check gradients.
use super::gemm::native::Native;
use ndarray::NdFloat;
use num_traits::{FromPrimitive, ToPrimitive};
use std::iter::Sum;

/// `f32` or `f64`. Sealed: the supertrait `Native`, which holds the kernels of a type, is private.
pub trait Scalar: Native + NdFloat + FromPrimitive + ToPrimitive + Sum + Default {
    /// `x` rounded to this type.
    fn of(x: f64) -> Self {
        Self::from_f64(x).expect("f64 rounds to a float")
    }

    /// This value in `f64`, exactly.
    fn f64(self) -> f64 {
        self.to_f64().expect("a float is an f64")
    }
}

impl Scalar for f32 {}
impl Scalar for f64 {}
