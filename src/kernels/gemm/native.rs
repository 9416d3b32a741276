//! What differs between `f32` and `f64`: the micro-kernels, matrixmultiply's routine, and the
//! workspace.
use super::micro::Micro;
#[cfg(target_arch = "x86_64")]
use super::micro::{avx2_f32, avx2_f64, avx512_f32, avx512_f64};
use crate::kernels::path::Path;
use ndarray::{ArrayView2, ArrayViewMut2};
use std::cell::Cell;
use std::thread::LocalKey;

/// The kernels and the workspace of one element type, which are not generic.
pub trait Native: Sized + 'static {
    /// The buffers of this thread that are not in use, for `with_workspace`.
    fn workspace() -> &'static LocalKey<Cell<Vec<Vec<Self>>>>;
    /// The micro-kernels for the instruction set in use; `None` on the portable path.
    fn micro() -> Option<Micro<Self>>;

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
    ($t:ty, $avx512:ident, $avx2:ident, $gemm:path) => {
        impl Native for $t {
            fn workspace() -> &'static LocalKey<Cell<Vec<Vec<Self>>>> {
                thread_local!(static FREE: Cell<Vec<Vec<$t>>> = const { Cell::new(vec![]) });
                &FREE
            }

            fn micro() -> Option<Micro<Self>> {
                match Path::current() {
                    #[cfg(target_arch = "x86_64")]
                    Path::Avx512 => Some($avx512::MICRO),
                    #[cfg(target_arch = "x86_64")]
                    Path::Avx2 => Some($avx2::MICRO),
                    _ => None,
                }
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
native!(f32, avx512_f32, avx2_f32, matrixmultiply::sgemm);
native!(f64, avx512_f64, avx2_f64, matrixmultiply::dgemm);
