//! What the micro-kernels need besides arithmetic: prefetching, masked loads and stores, horizontal
//! sums, transposition in registers.

/// Rows and columns of a block that is transposed in registers.
pub const SIDE: usize = 8;
/// The columns of the widest panel, that of `f32` with AVX-512.
pub const WIDEST: usize = 32;

/// Prefetches the cache line at `x`, which need not be valid: a prefetch never faults.
#[allow(unsafe_code)]
pub fn prefetch<T>(x: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64, and a prefetch never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(x.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = x;
}

/// Pairs of bfloat16 numbers in vectors.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
pub mod pairs {
    use crate::kernels::bf16::Pair;
    use std::arch::x86_64::*;
    use std::mem::transmute;

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn splat_pair(x: Pair) -> __m512i {
        _mm512_set1_epi32(x.0 as i32)
    }

    /// # Safety
    /// 16 pairs at `at` are valid.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub unsafe fn load_pairs(at: *const Pair) -> __m512i {
        // SAFETY: the caller's contract.
        unsafe { _mm512_loadu_si512(at.cast()) }
    }

    /// `s + x₀y₀ + x₁y₁`, as [`multiply_add`](crate::kernels::bf16::multiply_add) defines it.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub fn multiply_add_pairs(x: __m512i, y: __m512i, s: __m512) -> __m512 {
        // SAFETY: both types are 64 bytes of any value.
        let [x, y] = [x, y].map(|x| unsafe { transmute::<__m512i, __m512bh>(x) });
        _mm512_dpbf16_ps(s, x, y)
    }
}

/// Loads and stores of the first `n` lanes of a vector.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
pub mod mask {
    use std::arch::x86_64::*;

    macro_rules! masked {
        ($load:ident, $store:ident: $t:ty, $vector:ty, $feature:literal, $mask_of:expr,
         |$at:ident, $mask:ident| $masked_load:expr, $masked_store:ident) => {
            /// # Safety
            /// The processor has the feature, and the first `n` elements at `at` are valid.
            #[inline]
            #[target_feature(enable = $feature)]
            pub unsafe fn $load($at: *const $t, n: usize) -> $vector {
                let $mask = $mask_of(n);
                // SAFETY: lanes outside the mask are not accessed.
                unsafe { $masked_load }
            }

            /// # Safety
            /// The processor has the feature, and the first `n` elements at `at` are valid.
            #[inline]
            #[target_feature(enable = $feature)]
            pub unsafe fn $store(at: *mut $t, vector: $vector, n: usize) {
                // SAFETY: lanes outside the mask are not accessed.
                unsafe { $masked_store(at, $mask_of(n), vector) }
            }
        };
    }
    masked!(load_f32x16, store_f32x16: f32, __m512, "avx512f", |n| ((1_u32 << n) - 1) as __mmask16,
        |at, mask| _mm512_maskz_loadu_ps(mask, at), _mm512_mask_storeu_ps);
    masked!(load_f64x8, store_f64x8: f64, __m512d, "avx512f", |n| ((1_u32 << n) - 1) as __mmask8,
        |at, mask| _mm512_maskz_loadu_pd(mask, at), _mm512_mask_storeu_pd);
    masked!(load_f32x8, store_f32x8: f32, __m256, "avx2", lanes32,
        |at, mask| _mm256_maskload_ps(at, mask), _mm256_maskstore_ps);
    masked!(load_f64x4, store_f64x4: f64, __m256d, "avx2", lanes64,
        |at, mask| _mm256_maskload_pd(at, mask), _mm256_maskstore_pd);

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
}

/// Horizontal sums as a tree, in the same order whether the 64 bytes are in one register or in two.
#[cfg(target_arch = "x86_64")]
pub mod sum {
    use std::arch::x86_64::*;

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn f32x16([x]: [__m512; 1]) -> f32 {
        let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x));
        f32x8([_mm512_castps512_ps256(x), _mm256_castpd_ps(high)])
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn f64x8([x]: [__m512d; 1]) -> f64 {
        f64x4([_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd::<1>(x)])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn f32x8([low, high]: [__m256; 2]) -> f32 {
        let x = _mm256_add_ps(low, high);
        let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn f64x4([low, high]: [__m256d; 2]) -> f64 {
        let x = _mm256_add_pd(low, high);
        let x = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
        _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)))
    }
}

/// Transposition of `SIDE × SIDE` blocks.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
pub mod transpose {
    use crate::kernels::gemm::simd::SIDE;
    use std::arch::x86_64::*;

    /// # Safety
    /// See `Micro::transpose`.
    pub unsafe fn scalar<T: Copy>((from, down): (*const T, isize), (to, across): (*mut T, isize)) {
        for i in 0..SIDE as isize {
            for j in 0..SIDE as isize {
                // SAFETY: the caller's contract.
                unsafe { *to.offset(j * across + i) = *from.offset(i * down + j) };
            }
        }
    }

    /// Three rounds: interleave elements of two rows, then pairs of elements, then halves of
    /// registers.
    ///
    /// # Safety
    /// See `Micro::transpose`.
    #[target_feature(enable = "avx2")]
    pub unsafe fn f32x8((from, down): (*const f32, isize), (to, across): (*mut f32, isize)) {
        // SAFETY: the caller's contract.
        let x: [_; SIDE] =
            std::array::from_fn(|i| unsafe { _mm256_loadu_ps(from.offset(i as isize * down)) });
        let mut y = x;
        for i in (0..SIDE).step_by(2) {
            y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
            y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
        }
        let mut z = y;
        for i in (0..SIDE).step_by(4) {
            for j in 0..2 {
                let (low, high) = (y[i + j], y[i + j + 2]);
                z[i + 2 * j] = _mm256_shuffle_ps::<0b01_00_01_00>(low, high);
                z[i + 2 * j + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(low, high);
            }
        }
        for j in 0..4 {
            let (top, bottom) = (z[j], z[j + 4]);
            let halves = [
                _mm256_permute2f128_ps::<0x20>(top, bottom),
                _mm256_permute2f128_ps::<0x31>(top, bottom),
            ];
            for (half, row) in halves.into_iter().zip([j, j + 4]) {
                // SAFETY: the caller's contract.
                unsafe { _mm256_storeu_ps(to.offset(row as isize * across), half) };
            }
        }
    }
}
