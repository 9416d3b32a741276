//! What differs between `f32` and `f64`: the micro-kernels, and matrixmultiply's routine.
use super::dots::{self, Dots};
use super::micro::{self, Micro};
use crate::kernels::bf16::Pair;
use crate::kernels::path::Path;
use crate::kernels::workspace::Buffered;
use ndarray::{ArrayView2, ArrayViewMut2};

/// The kernels of one element type, which are not generic.
pub trait Native: Buffered {
    /// The micro-kernel for the instruction set in use; `None` on the portable path.
    fn micro() -> Option<Micro<Self>>;
    /// The dot products for the instruction set in use; `None` on the portable path.
    fn dots() -> Option<Dots<Self>>;
    /// The micro-kernel for pairs of bfloat16 numbers; `None` for `f64`.
    fn micro_of_pairs() -> Option<Micro<Self, Pair>>;
    /// The numbers that pairs are made of.
    ///
    /// # Panics
    /// For `f64`, of which there are no pairs.
    fn singles(x: &[Self]) -> &[f32];

    /// `C ← α A B + β C` on one thread, by one call of matrixmultiply.
    ///
    /// # Panics
    /// Unless the shapes agree.
    fn block(
        alpha: Self,
        a: ArrayView2<'_, Self>,
        b: ArrayView2<'_, Self>,
        beta: Self,
        c: ArrayViewMut2<'_, Self>,
    );
}

macro_rules! native {
    ($t:ty, $avx512:ident, $avx2:ident, $pairs:expr, |$x:ident| $singles:expr, $gemm:path) => {
        impl Native for $t {
            fn micro() -> Option<Micro<Self>> {
                match Path::current() {
                    #[cfg(target_arch = "x86_64")]
                    Path::Avx512Bf16 | Path::Avx512 => Some(micro::$avx512::MICRO),
                    #[cfg(target_arch = "x86_64")]
                    Path::Avx2 => Some(micro::$avx2::MICRO),
                    _ => None,
                }
            }

            fn dots() -> Option<Dots<Self>> {
                match Path::current() {
                    #[cfg(target_arch = "x86_64")]
                    Path::Avx512Bf16 | Path::Avx512 => Some(dots::$avx512::DOTS),
                    #[cfg(target_arch = "x86_64")]
                    Path::Avx2 => Some(dots::$avx2::DOTS),
                    _ => None,
                }
            }

            fn micro_of_pairs() -> Option<Micro<Self, Pair>> {
                $pairs
            }

            fn singles($x: &[Self]) -> &[f32] {
                $singles
            }

            #[allow(unsafe_code)]
            fn block(
                alpha: Self,
                a: ArrayView2<'_, Self>,
                b: ArrayView2<'_, Self>,
                beta: Self,
                mut c: ArrayViewMut2<'_, Self>,
            ) {
                let ((m, k), n) = (a.dim(), b.ncols());
                assert!(k == b.nrows() && c.dim() == (m, n), "block: shapes differ");
                let strides = |s: &[isize]| (s[0], s[1]);
                let [(ar, ac), (br, bc), (cr, cc)] =
                    [a.strides(), b.strides(), c.strides()].map(strides);
                let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                // SAFETY: pointers, shapes and strides come from live views, and the mutable one is
                // exclusive.
                unsafe { $gemm(m, k, n, alpha, a, ar, ac, b, br, bc, beta, c, cr, cc) }
            }
        }
    };
}
native!(
    f32,
    avx512_f32,
    avx2_f32,
    match Path::current() {
        #[cfg(target_arch = "x86_64")]
        Path::Avx512Bf16 => Some(micro::avx512_bf16::MICRO),
        _ => Some(micro::pairs::MICRO),
    },
    |x| x,
    matrixmultiply::sgemm
);
native!(f64, avx512_f64, avx2_f64, None, |_x| panic!("pairs of f64"), matrixmultiply::dgemm);
