//! The two number types: `f32` to train, `f64` to check.
use crate::kernels::Native;
use ndarray::NdFloat;
use num_traits::{FromPrimitive, ToPrimitive};
use std::iter::Sum;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` to train, `f64` to check gradients. Sealed: the kernels know these two.
pub trait Scalar:
    Native + NdFloat + FromPrimitive + ToPrimitive + Sum + Default + sealed::Sealed
{
    /// `C ← α A B + β C` on one thread, by matrixmultiply.
    ///
    /// # Safety
    /// `a`, `b` and `c` must be valid for every index `i·rs + j·cs` of the `m×k`, `k×n` and `m×n`
    /// matrices they stand for, and `c` must not overlap the others.
    #[doc(hidden)]
    #[allow(unsafe_code, clippy::too_many_arguments)]
    unsafe fn gemm_block(
        mkn: [usize; 3],
        alpha: Self,
        a: (*const Self, [isize; 2]),
        b: (*const Self, [isize; 2]),
        beta: Self,
        c: (*mut Self, [isize; 2]),
    );

    /// `x` as this type, rounded.
    fn of(x: f64) -> Self {
        Self::from_f64(x).expect("f64 rounds to a float")
    }

    /// This value as `f64`.
    fn f64(self) -> f64 {
        self.to_f64().expect("a float is an f64")
    }
}

macro_rules! scalar {
    ($t:ty, $gemm:path) => {
        impl Scalar for $t {
            #[allow(unsafe_code)]
            unsafe fn gemm_block(
                [m, k, n]: [usize; 3],
                alpha: Self,
                (a, sa): (*const Self, [isize; 2]),
                (b, sb): (*const Self, [isize; 2]),
                beta: Self,
                (c, sc): (*mut Self, [isize; 2]),
            ) {
                // SAFETY: the caller's promise is word for word matrixmultiply's.
                unsafe {
                    $gemm(m, k, n, alpha, a, sa[0], sa[1], b, sb[0], sb[1], beta, c, sc[0], sc[1])
                }
            }
        }
    };
}
scalar!(f32, matrixmultiply::sgemm);
scalar!(f64, matrixmultiply::dgemm);
