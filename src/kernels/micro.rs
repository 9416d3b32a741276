//! Micro-kernels: one tile of `C`, held in vector registers, over packed panels of `A` and `B`.
//!
//! A panel of `B` is `cols` of its columns, stored row by row (`b[p·cols + j]`) and padded with
//! zeros. Each step of `p` loads one row of the panel and multiplies it by each entry of a column of
//! `A`, which is read where it lies, whatever its strides.
#![allow(unsafe_code)]

/// What a tile does with what is in `C` already.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blend<T> {
    /// Multiplies the product.
    pub alpha: T,
    /// Multiplies `C`, which is not read if this is 0.
    pub beta: T,
}

/// A micro-kernel for one type and one instruction set.
#[derive(Clone, Copy)]
pub struct Micro<T> {
    /// Rows of a full tile.
    pub rows: usize,
    /// Columns of a full tile.
    pub cols: usize,
    /// `C ← α A B + β C` for a tile of `size = [m, n]` rows and columns, over `k` steps.
    ///
    /// # Safety
    /// The instruction set must be there; `m` and `n` between 1 and a full tile; `a` and `c` valid
    /// for `m × k` and `m × n` entries at their strides (those of `c` adjacent in a row), and `b`
    /// for `k` rows of a panel.
    #[allow(clippy::type_complexity)]
    pub tile: unsafe fn(
        k: usize,
        a: (*const T, [isize; 2]),
        b: *const T,
        c: (*mut T, isize),
        size: [usize; 2],
        blend: Blend<T>,
    ),
}

/// The micro-kernels of one type and instruction set, in a module of their own.
#[cfg(target_arch = "x86_64")]
macro_rules! micro {
    ($name:ident: $t:ty, $feature:literal, [$rows:literal; $($m:literal)*], $lanes:literal,
     $zero:ident, $splat:ident, $load:ident, $fma:ident, $mul:ident,
     $load_part:path, $store_part:path) => {
        mod $name {
            use super::{Blend, Micro};
            use std::arch::x86_64::*;

            const ROWS: usize = $rows;
            const LANES: usize = $lanes;
            pub const MICRO: Micro<$t> = Micro { rows: ROWS, cols: 2 * LANES, tile };

            /// # Safety
            /// See [`Micro::tile`].
            unsafe fn tile(
                k: usize,
                a: (*const $t, [isize; 2]),
                b: *const $t,
                c: (*mut $t, isize),
                [m, n]: [usize; 2],
                blend: Blend<$t>,
            ) {
                // SAFETY: the caller's promise.
                unsafe {
                    match (m, n > LANES) {
                        $(($m, true) => run::<$m, 2>(k, a, b, c, n, blend),
                        ($m, false) => run::<$m, 1>(k, a, b, c, n, blend),)*
                        _ => unreachable!("a tile has 1 to {ROWS} rows, not {m}"),
                    }
                }
            }

            /// # Safety
            /// See [`Micro::tile`].
            #[target_feature(enable = $feature)]
            unsafe fn run<const M: usize, const V: usize>(
                k: usize,
                (a, [row, step]): (*const $t, [isize; 2]),
                b: *const $t,
                (c, stride): (*mut $t, isize),
                n: usize,
                Blend { alpha, beta }: Blend<$t>,
            ) {
                let mut sums = [[$zero(); V]; M];
                for p in 0..k {
                    let mut ys = [$zero(); V];
                    for (j, y) in ys.iter_mut().enumerate() {
                        // SAFETY: row `p` of the panel.
                        *y = unsafe { $load(b.add(p * 2 * LANES + j * LANES)) };
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: entry `(i, p)` of `A`.
                        let x = unsafe { *a.offset(i as isize * row + p as isize * step) };
                        for (sum, &y) in sums.iter_mut().zip(&ys) {
                            *sum = $fma($splat(x), y, *sum);
                        }
                    }
                }
                for (i, sums) in sums.iter().enumerate() {
                    for (j, &sum) in sums.iter().enumerate() {
                        let part = (n - j * LANES).min(LANES);
                        let mut out = $mul($splat(alpha), sum);
                        // SAFETY: the first `part` entries from here are entries of `C`.
                        unsafe {
                            let at = c.offset(i as isize * stride).add(j * LANES);
                            if beta != 0. {
                                out = $fma($splat(beta), $load_part(at, part), out);
                            }
                            $store_part(at, out, part);
                        }
                    }
                }
            }
        }
    };
}

/// Loads and stores of the first entries of a vector.
#[cfg(target_arch = "x86_64")]
mod part {
    use std::arch::x86_64::*;

    macro_rules! masked {
        ($load:ident, $store:ident: $t:ty, $vector:ty, $feature:literal, $mask:expr,
         $maskload:ident, $maskstore:ident) => {
            /// # Safety
            /// The first `n` entries at `at` must be valid.
            #[inline]
            #[target_feature(enable = $feature)]
            pub unsafe fn $load(at: *const $t, n: usize) -> $vector {
                // SAFETY: entries outside the mask are not touched.
                unsafe { $maskload($mask(n), at) }
            }

            /// # Safety
            /// The first `n` entries at `at` must be valid.
            #[inline]
            #[target_feature(enable = $feature)]
            pub unsafe fn $store(at: *mut $t, vector: $vector, n: usize) {
                // SAFETY: entries outside the mask are not touched.
                unsafe { $maskstore(at, $mask(n), vector) }
            }
        };
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load512(mask: __mmask16, at: *const f32) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_maskz_loadu_ps(mask, at) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load512d(mask: __mmask8, at: *const f64) -> __m512d {
        // SAFETY: the caller's promise.
        unsafe { _mm512_maskz_loadu_pd(mask, at) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load256(mask: __m256i, at: *const f32) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_maskload_ps(at, mask) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load256d(mask: __m256i, at: *const f64) -> __m256d {
        // SAFETY: the caller's promise.
        unsafe { _mm256_maskload_pd(at, mask) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn lanes32(n: usize) -> __m256i {
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn lanes64(n: usize) -> __m256i {
        _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), _mm256_setr_epi64x(0, 1, 2, 3))
    }

    masked!(load_f32x16, store_f32x16: f32, __m512, "avx512f", |n| ((1_u32 << n) - 1) as __mmask16,
        load512, _mm512_mask_storeu_ps);
    masked!(load_f64x8, store_f64x8: f64, __m512d, "avx512f", |n| ((1_u32 << n) - 1) as __mmask8,
        load512d, _mm512_mask_storeu_pd);
    masked!(load_f32x8, store_f32x8: f32, __m256, "avx2", lanes32, load256, _mm256_maskstore_ps);
    masked!(load_f64x4, store_f64x4: f64, __m256d, "avx2", lanes64, load256d, _mm256_maskstore_pd);
}

#[cfg(target_arch = "x86_64")]
micro!(avx512_f32: f32, "avx512f", [14; 1 2 3 4 5 6 7 8 9 10 11 12 13 14], 16,
    _mm512_setzero_ps, _mm512_set1_ps, _mm512_loadu_ps, _mm512_fmadd_ps, _mm512_mul_ps,
    super::part::load_f32x16, super::part::store_f32x16);
#[cfg(target_arch = "x86_64")]
micro!(avx512_f64: f64, "avx512f", [14; 1 2 3 4 5 6 7 8 9 10 11 12 13 14], 8,
    _mm512_setzero_pd, _mm512_set1_pd, _mm512_loadu_pd, _mm512_fmadd_pd, _mm512_mul_pd,
    super::part::load_f64x8, super::part::store_f64x8);
#[cfg(target_arch = "x86_64")]
micro!(avx2_f32: f32, "avx2,fma", [6; 1 2 3 4 5 6], 8,
    _mm256_setzero_ps, _mm256_set1_ps, _mm256_loadu_ps, _mm256_fmadd_ps, _mm256_mul_ps,
    super::part::load_f32x8, super::part::store_f32x8);
#[cfg(target_arch = "x86_64")]
micro!(avx2_f64: f64, "avx2,fma", [6; 1 2 3 4 5 6], 4,
    _mm256_setzero_pd, _mm256_set1_pd, _mm256_loadu_pd, _mm256_fmadd_pd, _mm256_mul_pd,
    super::part::load_f64x4, super::part::store_f64x4);

/// The micro-kernels that this processor can run, if any.
pub trait Native: Sized + 'static {
    /// For AVX-512.
    fn avx512() -> Option<Micro<Self>>;
    /// For AVX2 with FMA.
    fn avx2() -> Option<Micro<Self>>;
}

macro_rules! native {
    ($t:ty, $avx512:ident, $avx2:ident) => {
        impl Native for $t {
            fn avx512() -> Option<Micro<Self>> {
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!("avx512f") {
                    return Some($avx512::MICRO);
                }
                None
            }

            fn avx2() -> Option<Micro<Self>> {
                #[cfg(target_arch = "x86_64")]
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    return Some($avx2::MICRO);
                }
                None
            }
        }
    };
}
native!(f32, avx512_f32, avx2_f32);
native!(f64, avx512_f64, avx2_f64);
