//! Micro-kernels: one tile of `C`, held in vector registers, over rows of `A` and a panel of `B`.
//!
//! A panel of `B` is `cols` of its columns, row by row: packed (`b[p·cols + j]`), or where they lie.
//! Each step of `p` loads one row of the panel and multiplies it by each entry of a column of
//! `A`, which is read where it lies, whatever its strides. What a panel holds beside its columns
//! reaches no entry of `C`.
#![allow(unsafe_code)]
use crate::kernels::path::Path;
use std::cell::Cell;
use std::thread::LocalKey;

/// What a tile does with what is in `C` already.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blend<T> {
    /// Multiplies the product.
    pub alpha: T,
    /// Multiplies `C`, which is not read if this is 0.
    pub beta: T,
}

/// A micro-kernel for one type and one instruction set.
#[derive(Clone, Copy, Debug)]
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
    /// for `k` rows of a full tile's width, its stride apart.
    #[allow(clippy::type_complexity)]
    pub tile: unsafe fn(
        k: usize,
        a: (*const T, [isize; 2]),
        b: (*const T, isize),
        c: (*mut T, isize),
        size: [usize; 2],
        blend: Blend<T>,
    ),
    /// `out[i] ← x[i] · b[i]` for [`SIDE`] rows of `k` entries, their strides apart: fused, in as many
    /// sums as 64 bytes hold, which are added by halves.
    ///
    /// # Safety
    /// The instruction set must be there, and all entries valid.
    #[allow(clippy::type_complexity)]
    pub dots: unsafe fn(k: usize, x: (*const T, isize), b: (*const T, isize), out: &mut [T; SIDE]),
    /// Turns `SIDE × SIDE` entries: `to[j, i] ← from[i, j]` for pointers and the strides of rows.
    ///
    /// # Safety
    /// The instruction set must be there, and all entries valid.
    #[allow(clippy::type_complexity)]
    pub turn: unsafe fn(from: (*const T, isize), to: (*mut T, isize)),
}

/// What [`Micro::turn`] turns at a time.
pub const SIDE: usize = 8;

/// The micro-kernels of one type and instruction set, in a module of their own.
#[cfg(target_arch = "x86_64")]
macro_rules! micro {
    ($name:ident: $t:ty, $feature:literal, [$rows:literal; $($m:literal)*], $lanes:literal,
     $line:literal, $zero:ident, $splat:ident, $load:ident, $fma:ident, $mul:ident,
     $store:ident, $load_part:path, $store_part:path, $total:path, $turn:path) => {
        mod $name {
            use super::{Blend, Micro, SIDE};
            use std::arch::x86_64::*;

            const ROWS: usize = $rows;
            const LANES: usize = $lanes;
            /// Vectors of 64 bytes.
            const LINE: usize = $line;
            const AHEAD: usize = 8;
            pub const MICRO: Micro<$t> = Micro { rows: ROWS, cols: 2 * LANES, tile, dots, turn: $turn };

            /// # Safety
            /// See [`Micro::tile`].
            unsafe fn tile(
                k: usize,
                a: (*const $t, [isize; 2]),
                b: (*const $t, isize),
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
            /// See [`Micro::dots`].
            unsafe fn dots(
                k: usize,
                x: (*const $t, isize),
                b: (*const $t, isize),
                out: &mut [$t; SIDE],
            ) {
                // As many rows at a time as there are registers for.
                let (some, rows) = (SIDE / LINE, SIDE as isize);
                for (i, out) in (0..rows).step_by(some).zip(out.chunks_exact_mut(some)) {
                    let [x, b] = [x, b].map(|(at, apart)| (at.wrapping_offset(i * apart), apart));
                    // SAFETY: the caller's promise.
                    unsafe { run_dots(k, x, b, out) }
                }
            }

            /// # Safety
            /// See [`Micro::dots`].
            #[target_feature(enable = $feature)]
            unsafe fn run_dots(
                k: usize,
                (x, along): (*const $t, isize),
                (b, down): (*const $t, isize),
                out: &mut [$t],
            ) {
                let mut sums = [[$zero(); LINE]; SIDE / LINE];
                let whole = k - k % (LINE * LANES);
                for p in (0..whole).step_by(LINE * LANES) {
                    for (i, sums) in sums.iter_mut().enumerate() {
                        for (j, sum) in sums.iter_mut().enumerate() {
                            // SAFETY: `LANES` entries of row `i`.
                            unsafe {
                                let x = x.offset(i as isize * along).add(p + j * LANES);
                                let b = b.offset(i as isize * down).add(p + j * LANES);
                                *sum = $fma($load(x), $load(b), *sum);
                            }
                        }
                    }
                }
                if whole < k {
                    for (i, sums) in sums.iter_mut().enumerate() {
                        for (j, sum) in sums.iter_mut().enumerate() {
                            let part = (k - whole).saturating_sub(j * LANES).min(LANES);
                            // SAFETY: `part` of the last `k − whole` entries of row `i`.
                            unsafe {
                                let x = x.offset(i as isize * along).add(whole);
                                let b = b.offset(i as isize * down).add(whole);
                                let x = $load_part(x.wrapping_add(j * LANES), part);
                                let b = $load_part(b.wrapping_add(j * LANES), part);
                                *sum = $fma(x, b, *sum);
                            }
                        }
                    }
                }
                for (out, sums) in out.iter_mut().zip(sums) {
                    *out = $total(sums);
                }
            }

            /// # Safety
            /// See [`Micro::tile`].
            #[target_feature(enable = $feature)]
            unsafe fn run<const M: usize, const V: usize>(
                k: usize,
                (a, [row, step]): (*const $t, [isize; 2]),
                (b, down): (*const $t, isize),
                (c, stride): (*mut $t, isize),
                n: usize,
                Blend { alpha, beta }: Blend<$t>,
            ) {
                let mut sums = [[$zero(); V]; M];
                for p in 0..k {
                    let mut ys = [$zero(); V];
                    for (j, y) in ys.iter_mut().enumerate() {
                        // SAFETY: row `p` of the panel.
                        *y = unsafe { $load(b.offset(p as isize * down).add(j * LANES)) };
                        // Rows that lie far apart are out of sight of the processor's own prefetching.
                        let ahead = b.wrapping_offset((p + AHEAD) as isize * down + (j * LANES) as isize);
                        _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
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
                                let old = if part == LANES { $load(at) } else { $load_part(at, part) };
                                out = $fma($splat(beta), old, out);
                            }
                            if part == LANES {
                                $store(at, out);
                            } else {
                                $store_part(at, out, part);
                            }
                        }
                    }
                }
            }
        }
    };
}

/// Ask for the cache line at `x`, wherever that is: nothing is read.
pub fn prefetch<T>(x: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64, and a prefetch faults nowhere.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(x.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = x;
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

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn total_f32x16([x]: [__m512; 1]) -> f32 {
        let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x));
        total_f32x8([_mm512_castps512_ps256(x), _mm256_castpd_ps(high)])
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub fn total_f64x8([x]: [__m512d; 1]) -> f64 {
        total_f64x4([_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd::<1>(x)])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn total_f32x8([low, high]: [__m256; 2]) -> f32 {
        let x = _mm256_add_ps(low, high);
        let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
        let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
        _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn total_f64x4([low, high]: [__m256d; 2]) -> f64 {
        let x = _mm256_add_pd(low, high);
        let x = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
        _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)))
    }

    masked!(load_f32x16, store_f32x16: f32, __m512, "avx512f", |n| ((1_u32 << n) - 1) as __mmask16,
        load512, _mm512_mask_storeu_ps);
    masked!(load_f64x8, store_f64x8: f64, __m512d, "avx512f", |n| ((1_u32 << n) - 1) as __mmask8,
        load512d, _mm512_mask_storeu_pd);
    masked!(load_f32x8, store_f32x8: f32, __m256, "avx2", lanes32, load256, _mm256_maskstore_ps);
    masked!(load_f64x4, store_f64x4: f64, __m256d, "avx2", lanes64, load256d, _mm256_maskstore_pd);
}

/// Transposition of small squares.
#[cfg(target_arch = "x86_64")]
mod turn {
    use super::SIDE;
    use std::arch::x86_64::*;

    /// # Safety
    /// See [`Micro::turn`](super::Micro::turn).
    pub unsafe fn plain<T: Copy>((from, down): (*const T, isize), (to, across): (*mut T, isize)) {
        for i in 0..SIDE as isize {
            for j in 0..SIDE as isize {
                // SAFETY: the caller's promise.
                unsafe { *to.offset(j * across + i) = *from.offset(i * down + j) };
            }
        }
    }

    /// # Safety
    /// See [`Micro::turn`](super::Micro::turn).
    pub unsafe fn f32x8(from: (*const f32, isize), to: (*mut f32, isize)) {
        // SAFETY: the caller's promise.
        unsafe { avx2_f32x8(from, to) }
    }

    /// In three rounds: pairs of entries, pairs of pairs, halves.
    #[target_feature(enable = "avx2")]
    unsafe fn avx2_f32x8((from, down): (*const f32, isize), (to, across): (*mut f32, isize)) {
        // SAFETY: the caller's promise.
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
                // SAFETY: the caller's promise.
                unsafe { _mm256_storeu_ps(to.offset(row as isize * across), half) };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
micro!(avx512_f32: f32, "avx512f", [14; 1 2 3 4 5 6 7 8 9 10 11 12 13 14], 16, 1,
    _mm512_setzero_ps, _mm512_set1_ps, _mm512_loadu_ps, _mm512_fmadd_ps, _mm512_mul_ps,
    _mm512_storeu_ps, super::part::load_f32x16, super::part::store_f32x16,
    super::part::total_f32x16, super::turn::f32x8);
#[cfg(target_arch = "x86_64")]
micro!(avx512_f64: f64, "avx512f", [14; 1 2 3 4 5 6 7 8 9 10 11 12 13 14], 8, 1,
    _mm512_setzero_pd, _mm512_set1_pd, _mm512_loadu_pd, _mm512_fmadd_pd, _mm512_mul_pd,
    _mm512_storeu_pd, super::part::load_f64x8, super::part::store_f64x8,
    super::part::total_f64x8, super::turn::plain);
#[cfg(target_arch = "x86_64")]
micro!(avx2_f32: f32, "avx2,fma", [6; 1 2 3 4 5 6], 8, 2,
    _mm256_setzero_ps, _mm256_set1_ps, _mm256_loadu_ps, _mm256_fmadd_ps, _mm256_mul_ps,
    _mm256_storeu_ps, super::part::load_f32x8, super::part::store_f32x8,
    super::part::total_f32x8, super::turn::f32x8);
#[cfg(target_arch = "x86_64")]
micro!(avx2_f64: f64, "avx2,fma", [6; 1 2 3 4 5 6], 4, 2,
    _mm256_setzero_pd, _mm256_set1_pd, _mm256_loadu_pd, _mm256_fmadd_pd, _mm256_mul_pd,
    _mm256_storeu_pd, super::part::load_f64x4, super::part::store_f64x4,
    super::part::total_f64x4, super::turn::plain);

/// The micro-kernels that this processor can run, if any.
pub trait Native: Sized + 'static {
    /// Memory that a thread packs operands into: each piece is taken, and put back.
    fn space() -> &'static LocalKey<Cell<Vec<Vec<Self>>>>;
    /// For AVX-512.
    fn avx512() -> Option<Micro<Self>>;
    /// For AVX2 with FMA.
    fn avx2() -> Option<Micro<Self>>;

    /// For the instructions in use.
    fn micro() -> Option<Micro<Self>> {
        match Path::current() {
            Path::Avx512 => Self::avx512(),
            Path::Avx2 => Self::avx2(),
            Path::Portable => None,
        }
    }
}

macro_rules! native {
    ($t:ty, $avx512:ident, $avx2:ident) => {
        impl Native for $t {
            fn space() -> &'static LocalKey<Cell<Vec<Vec<Self>>>> {
                thread_local!(static SPACE: Cell<Vec<Vec<$t>>> = const { Cell::new(vec![]) });
                &SPACE
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
        }
    };
}
native!(f32, avx512_f32, avx2_f32);
native!(f64, avx512_f64, avx2_f64);
