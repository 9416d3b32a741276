//! What `f32` and `f64` each have of their own: micro-kernels, matrixmultiply's routine, a
//! workspace.
use super::micro::Micro;
#[cfg(target_arch = "x86_64")]
use super::micro::{avx2_f32, avx2_f64, avx512_f32, avx512_f64};
use crate::kernels::path::Path;
use std::cell::Cell;
use std::thread::LocalKey;

/// The kernels that are not generic.
pub trait Native: Sized + 'static {
    /// This thread's buffers that are not in use, for `with_workspace`.
    fn workspace() -> &'static LocalKey<Cell<Vec<Vec<Self>>>>;
    /// The micro-kernel for AVX-512, if the processor has it.
    fn avx512() -> Option<Micro<Self>>;
    /// The micro-kernel for AVX2 with FMA, if the processor has both.
    fn avx2() -> Option<Micro<Self>>;

    /// The micro-kernel for the instruction set in use; `None` on the portable path.
    fn micro() -> Option<Micro<Self>> {
        match Path::current() {
            Path::Avx512 => Self::avx512(),
            Path::Avx2 => Self::avx2(),
            Path::Portable => None,
        }
    }

    /// `C ← α A B + β C` on one thread, by matrixmultiply.
    ///
    /// # Safety
    /// `a`, `b` and `c` must be valid at every index `i·rs + j·cs` of the `m×k`, `k×n` and `m×n`
    /// matrices, `[rs, cs]` being their strides, and `c` must not overlap the others.
    #[allow(unsafe_code, clippy::too_many_arguments)]
    unsafe fn gemm_block(
        mkn: [usize; 3],
        alpha: Self,
        a: (*const Self, [isize; 2]),
        b: (*const Self, [isize; 2]),
        beta: Self,
        c: (*mut Self, [isize; 2]),
    );
}

macro_rules! native {
    ($t:ty, $avx512:ident, $avx2:ident, $gemm:path) => {
        impl Native for $t {
            fn workspace() -> &'static LocalKey<Cell<Vec<Vec<Self>>>> {
                thread_local!(static FREE: Cell<Vec<Vec<$t>>> = const { Cell::new(vec![]) });
                &FREE
            }

            fn avx512() -> Option<Micro<Self>> {
                #[cfg(target_arch = "x86_64")]
                if Path::Avx512.is_available() {
                    return Some($avx512::MICRO);
                }
                None
            }

            fn avx2() -> Option<Micro<Self>> {
                #[cfg(target_arch = "x86_64")]
                if Path::Avx2.is_available() {
                    return Some($avx2::MICRO);
                }
                None
            }

            #[allow(unsafe_code)]
            unsafe fn gemm_block(
                [m, k, n]: [usize; 3],
                alpha: Self,
                (a, sa): (*const Self, [isize; 2]),
                (b, sb): (*const Self, [isize; 2]),
                beta: Self,
                (c, sc): (*mut Self, [isize; 2]),
            ) {
                // SAFETY: the caller's contract is that of matrixmultiply.
                unsafe {
                    $gemm(m, k, n, alpha, a, sa[0], sa[1], b, sb[0], sb[1], beta, c, sc[0], sc[1])
                }
            }
        }
    };
}
native!(f32, avx512_f32, avx2_f32, matrixmultiply::sgemm);
native!(f64, avx512_f64, avx2_f64, matrixmultiply::dgemm);
