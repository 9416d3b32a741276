//! Dot products of rows, for products that stream a large matrix.
use super::simd::SIDE;

/// `out[i] ← x[i] · b[i]` for [`SIDE`] rows of `k` elements, given the strides of rows. Fused
/// multiply-adds accumulate as many partial sums as fit in 64 bytes; these are then added as a
/// tree.
///
/// # Safety
/// All elements are valid.
pub type Rows<T> =
    unsafe fn(k: usize, x: (*const T, isize), b: (*const T, isize), out: &mut [T; SIDE]);

/// Dot products of one element type and instruction set.
#[derive(Clone, Copy)]
pub struct Dots<T> {
    /// Of each row of `x` with its own row of `b`.
    pub each: Rows<T>,
    /// Of each row of `x` with the first row of `b`, which is loaded once for all.
    pub one: Rows<T>,
}

/// A module with the dot products of one type and instruction set.
#[cfg(target_arch = "x86_64")]
macro_rules! dots {
    ($name:ident: $t:ty, $feature:literal, $lanes:literal, $line:literal, $zero:ident,
     $load:ident, $fma:ident, $load_masked:ident, $sum:ident) => {
        #[allow(unsafe_code)]
        pub(super) mod $name {
            use super::Dots;
            use crate::kernels::gemm::simd::{SIDE, mask, prefetch, sum};
            use std::arch::x86_64::*;

            /// Elements from those in use to those that are prefetched, about a page.
            const AHEAD: isize = 1024;
            const LANES: usize = $lanes;
            /// Vectors in a cache line of 64 bytes.
            const LINE: usize = $line;

            pub const DOTS: Dots<$t> = Dots { each: dots::<false>, one: dots::<true> };

            /// # Safety
            /// See [`Rows`](super::Rows).
            unsafe fn dots<const ONE: bool>(
                k: usize,
                x: (*const $t, isize),
                b: (*const $t, isize),
                out: &mut [$t; SIDE],
            ) {
                // As many rows at a time as fit in registers.
                let group = SIDE / LINE;
                for (i, out) in (0..SIDE as isize).step_by(group).zip(out.chunks_exact_mut(group)) {
                    let from = |(at, row): (*const $t, isize)| (at.wrapping_offset(i * row), row);
                    // SAFETY: the caller's contract.
                    unsafe { run_dots::<ONE>(k, from(x), if ONE { b } else { from(b) }, out) }
                }
            }

            /// # Safety
            /// See [`Rows`](super::Rows).
            #[target_feature(enable = $feature)]
            unsafe fn run_dots<const ONE: bool>(
                k: usize,
                (x, x_row): (*const $t, isize),
                (b, b_row): (*const $t, isize),
                out: &mut [$t],
            ) {
                let b_row = if ONE { 0 } else { b_row };
                let mut sums = [[$zero(); LINE]; SIDE / LINE];
                let whole = k - k % (LINE * LANES);
                for p in (0..whole).step_by(LINE * LANES) {
                    // What follows is probably the next rows. The hardware prefetcher loses track
                    // between rows and pages.
                    let ahead = if ONE { AHEAD } else { SIDE as isize * b_row };
                    for i in 0..if ONE { 1 } else { sums.len() as isize } {
                        prefetch(b.wrapping_offset(i * b_row + ahead).wrapping_add(p));
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        for (j, sum) in sums.iter_mut().enumerate() {
                            // SAFETY: `LANES` elements of row `i`.
                            unsafe {
                                let x = x.offset(i as isize * x_row).add(p + j * LANES);
                                let b = b.offset(i as isize * b_row).add(p + j * LANES);
                                *sum = $fma($load(x), $load(b), *sum);
                            }
                        }
                    }
                }
                if whole < k {
                    for (i, sums) in sums.iter_mut().enumerate() {
                        for (j, sum) in sums.iter_mut().enumerate() {
                            let n = (k - whole).saturating_sub(j * LANES).min(LANES);
                            // SAFETY: `n` of the last `k − whole` elements of row `i`.
                            unsafe {
                                let x = x.offset(i as isize * x_row).add(whole);
                                let b = b.offset(i as isize * b_row).add(whole);
                                let x = mask::$load_masked(x.wrapping_add(j * LANES), n);
                                let b = mask::$load_masked(b.wrapping_add(j * LANES), n);
                                *sum = $fma(x, b, *sum);
                            }
                        }
                    }
                }
                for (out, sums) in out.iter_mut().zip(sums) {
                    *out = sum::$sum(sums);
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
dots!(avx512_f32: f32, "avx512f", 16, 1, _mm512_setzero_ps, _mm512_loadu_ps, _mm512_fmadd_ps,
    load_f32x16, f32x16);
#[cfg(target_arch = "x86_64")]
dots!(avx512_f64: f64, "avx512f", 8, 1, _mm512_setzero_pd, _mm512_loadu_pd, _mm512_fmadd_pd,
    load_f64x8, f64x8);
#[cfg(target_arch = "x86_64")]
dots!(avx2_f32: f32, "avx2,fma", 8, 2, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_fmadd_ps,
    load_f32x8, f32x8);
#[cfg(target_arch = "x86_64")]
dots!(avx2_f64: f64, "avx2,fma", 4, 2, _mm256_setzero_pd, _mm256_loadu_pd, _mm256_fmadd_pd,
    load_f64x4, f64x4);
