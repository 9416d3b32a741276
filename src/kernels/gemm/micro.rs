//! Micro-kernels: each accumulates one tile of `C` in vector registers, from rows of `A` and a
//! panel of `B`.
//!
//! A panel has `cols` columns of `B`, row-major, and is packed (`b[p·cols + j]`) or read in place.
//! Step `p` loads row `p` of the panel and multiplies it by each element of column `p` of `A`,
//! which is read in place with any strides. A packed panel of fewer columns is padded to `cols`;
//! products with the padding are not stored.
//!
//! The elements of `A` and `B` are operands: numbers, or pairs of bfloat16 numbers, whose step adds
//! two products.
use super::simd::SIDE;

/// A micro-kernel for operands of type `X` and an instruction set that the processor has.
#[derive(Debug)]
pub struct Micro<T, X = T> {
    /// Rows of a full tile.
    pub rows: usize,
    /// Columns of a full tile.
    pub cols: usize,
    /// `C ← α A B + β C` for a tile of `size = [m, n]` rows and columns, over `k` steps.
    ///
    /// # Safety
    /// `m` and `n` are at least 1 and at most `rows` and `cols`; `a` and `c` are valid for `m × k`
    /// and `m × n` elements at their strides (rows of `c` are contiguous), and `b` is valid for `k`
    /// rows, a stride apart, of `cols` elements.
    #[allow(clippy::type_complexity)]
    pub tile: unsafe fn(
        k: usize,
        a: (*const X, [isize; 2]),
        b: (*const X, isize),
        c: (*mut T, isize),
        size: [usize; 2],
        alpha_beta: [T; 2],
    ),
    /// `to[j, i] ← from[i, j]` for [`SIDE`] × [`SIDE`] elements of the size of a `T`, bit by bit,
    /// given the strides of rows.
    ///
    /// # Safety
    /// All elements are valid.
    #[allow(clippy::type_complexity)]
    pub transpose: unsafe fn(from: (*const T, isize), to: (*mut T, isize)),
}

impl<T, X> Clone for Micro<T, X> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T, X> Copy for Micro<T, X> {}

/// A module with the micro-kernel of one type of operands and one instruction set.
#[cfg(target_arch = "x86_64")]
macro_rules! micro {
    ($name:ident: $x:ty => $t:ty, $feature:literal, [$rows:literal; $($m:literal)*], $lanes:literal,
     operands: $splat_x:ident, $load_x:ident, $multiply_add:ident;
     sums: $zero:ident, $splat:ident, $load:ident, $fma:ident, $mul:ident, $store:ident,
     $load_masked:ident, $store_masked:ident, $transpose:ident) => {
        #[allow(unsafe_code)]
        pub(super) mod $name {
            #[allow(unused_imports)]
            use crate::kernels::bf16::Pair;
            use crate::kernels::gemm::micro::Micro;
            #[allow(unused_imports)]
            use crate::kernels::gemm::simd::pairs::*;
            use crate::kernels::gemm::simd::{mask, transpose};
            use std::arch::x86_64::*;

            const ROWS: usize = $rows;
            const LANES: usize = $lanes;
            /// Rows of the panel to prefetch ahead.
            const AHEAD: usize = 8;
            pub const MICRO: Micro<$t, $x> =
                Micro { rows: ROWS, cols: 2 * LANES, tile, transpose: transpose::$transpose };

            /// # Safety
            /// See [`Micro::tile`].
            unsafe fn tile(
                k: usize,
                a: (*const $x, [isize; 2]),
                b: (*const $x, isize),
                c: (*mut $t, isize),
                [m, n]: [usize; 2],
                alpha_beta: [$t; 2],
            ) {
                // SAFETY: the caller's contract.
                unsafe {
                    match (m, n > LANES) {
                        $(($m, true) => run::<$m, 2>(k, a, b, c, n, alpha_beta),
                        ($m, false) => run::<$m, 1>(k, a, b, c, n, alpha_beta),)*
                        _ => unreachable!("a tile has 1 to {ROWS} rows, not {m}"),
                    }
                }
            }

            /// # Safety
            /// See [`Micro::tile`].
            #[target_feature(enable = $feature)]
            unsafe fn run<const M: usize, const V: usize>(
                k: usize,
                (a, [a_row, a_column]): (*const $x, [isize; 2]),
                (b, b_row): (*const $x, isize),
                (c, c_row): (*mut $t, isize),
                n: usize,
                [alpha, beta]: [$t; 2],
            ) {
                let mut sums = [[$zero(); V]; M];
                for p in 0..k {
                    let ys: [_; V] = std::array::from_fn(|j| {
                        // The hardware prefetcher does not follow rows that are far apart.
                        let ahead = b_row.wrapping_mul((p + AHEAD) as isize);
                        let ahead = b.wrapping_offset(ahead).wrapping_add(j * LANES);
                        _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                        // SAFETY: row `p` of the panel.
                        unsafe { $load_x(b.offset(p as isize * b_row).add(j * LANES)) }
                    });
                    for (i, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: element `(i, p)` of `A`.
                        let x = unsafe { *a.offset(i as isize * a_row + p as isize * a_column) };
                        for (sum, &y) in sums.iter_mut().zip(&ys) {
                            *sum = $multiply_add($splat_x(x), y, *sum);
                        }
                    }
                }
                for (i, sums) in sums.iter().enumerate() {
                    for (j, &sum) in sums.iter().enumerate() {
                        let n = (n - j * LANES).min(LANES);
                        let mut out = $mul($splat(alpha), sum);
                        // SAFETY: the first `n` elements at `at` are elements of `C`.
                        unsafe {
                            let at = c.offset(i as isize * c_row).add(j * LANES);
                            if beta != 0. {
                                let old =
                                    if n == LANES { $load(at) } else { mask::$load_masked(at, n) };
                                out = $fma($splat(beta), old, out);
                            }
                            if n == LANES {
                                $store(at, out);
                            } else {
                                mask::$store_masked(at, out, n);
                            }
                        }
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
micro!(avx512_bf16: Pair => f32, "avx512f,avx512bf16", [14; 1 2 3 4 5 6 7 8 9 10 11 12 13 14], 16,
    operands: splat_pair, load_pairs, multiply_add_pairs;
    sums: _mm512_setzero_ps, _mm512_set1_ps, _mm512_loadu_ps, _mm512_fmadd_ps, _mm512_mul_ps,
    _mm512_storeu_ps, load_f32x16, store_f32x16, f32x8);
#[cfg(target_arch = "x86_64")]
micro!(avx512_f32: f32 => f32, "avx512f", [14; 1 2 3 4 5 6 7 8 9 10 11 12 13 14], 16,
    operands: _mm512_set1_ps, _mm512_loadu_ps, _mm512_fmadd_ps;
    sums: _mm512_setzero_ps, _mm512_set1_ps, _mm512_loadu_ps, _mm512_fmadd_ps, _mm512_mul_ps,
    _mm512_storeu_ps, load_f32x16, store_f32x16, f32x8);
#[cfg(target_arch = "x86_64")]
micro!(avx512_f64: f64 => f64, "avx512f", [14; 1 2 3 4 5 6 7 8 9 10 11 12 13 14], 8,
    operands: _mm512_set1_pd, _mm512_loadu_pd, _mm512_fmadd_pd;
    sums: _mm512_setzero_pd, _mm512_set1_pd, _mm512_loadu_pd, _mm512_fmadd_pd, _mm512_mul_pd,
    _mm512_storeu_pd, load_f64x8, store_f64x8, scalar);
#[cfg(target_arch = "x86_64")]
micro!(avx2_f32: f32 => f32, "avx2,fma", [6; 1 2 3 4 5 6], 8,
    operands: _mm256_set1_ps, _mm256_loadu_ps, _mm256_fmadd_ps;
    sums: _mm256_setzero_ps, _mm256_set1_ps, _mm256_loadu_ps, _mm256_fmadd_ps, _mm256_mul_ps,
    _mm256_storeu_ps, load_f32x8, store_f32x8, f32x8);
#[cfg(target_arch = "x86_64")]
micro!(avx2_f64: f64 => f64, "avx2,fma", [6; 1 2 3 4 5 6], 4,
    operands: _mm256_set1_pd, _mm256_loadu_pd, _mm256_fmadd_pd;
    sums: _mm256_setzero_pd, _mm256_set1_pd, _mm256_loadu_pd, _mm256_fmadd_pd, _mm256_mul_pd,
    _mm256_storeu_pd, load_f64x4, store_f64x4, scalar);

/// The micro-kernel for pairs on processors that do not multiply them: by [`multiply_add`].
#[allow(unsafe_code)]
pub(super) mod pairs {
    use super::{Micro, SIDE};
    use crate::kernels::bf16::{Pair, multiply_add};
    use crate::kernels::gemm::simd::transpose;
    use crate::kernels::path::multiversion;
    use std::slice::from_raw_parts;

    const ROWS: usize = 4;
    const COLS: usize = 32;
    pub const MICRO: Micro<f32, Pair> =
        Micro { rows: ROWS, cols: COLS, tile, transpose: transpose::scalar };
    const _: () = assert!(COLS.is_multiple_of(SIDE));

    /// # Safety
    /// See [`Micro::tile`].
    unsafe fn tile(
        k: usize,
        (a, [a_row, a_column]): (*const Pair, [isize; 2]),
        (b, b_row): (*const Pair, isize),
        (c, c_row): (*mut f32, isize),
        [m, n]: [usize; 2],
        [alpha, beta]: [f32; 2],
    ) {
        let mut sums = [[0.; COLS]; ROWS];
        for p in 0..k as isize {
            // SAFETY: row `p` of the panel.
            let b = unsafe { from_raw_parts(b.offset(p * b_row), COLS) };
            for (i, sums) in sums[..m].iter_mut().enumerate() {
                // SAFETY: element `(i, p)` of `A`.
                let x = unsafe { *a.offset(i as isize * a_row + p * a_column) };
                add_products(x, b, sums);
            }
        }
        for (i, sums) in sums[..m].iter().enumerate() {
            for (j, &sum) in sums[..n].iter().enumerate() {
                // SAFETY: element `(i, j)` of `C`.
                let c = unsafe { &mut *c.offset(i as isize * c_row + j as isize) };
                *c = if beta == 0. { alpha * sum } else { beta.mul_add(*c, alpha * sum) };
            }
        }
    }

    multiversion! {
        fn add_products[](x: Pair, b: &[Pair], sums: &mut [f32; COLS]) {
            for (sum, &y) in sums.iter_mut().zip(b) {
                *sum = multiply_add(x, y, *sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::path::Path;
    use crate::kernels::plain;
    use crate::kernels::scalar::Scalar;
    use ndarray::{Array2, s};

    /// Small integers, whose sums are exact in either type.
    fn integers<T: Scalar>(rows: usize, cols: usize, seed: usize) -> Array2<T> {
        let element = |(i, j)| T::of(((i * 31 + j * 17 + seed) % 13) as f64 - 6.);
        Array2::from_shape_fn((rows, cols), element)
    }

    #[allow(unsafe_code)]
    fn equal_their_definitions<T: Scalar>() {
        for micro in Path::each(|_| T::micro()).into_iter().flatten() {
            let sizes = (1..=micro.rows).flat_map(|m| (1..=micro.cols).map(move |n| [m, n]));
            for ([m, n], k) in sizes.flat_map(|size| [0, 1, 7].map(|k| (size, k))) {
                let (a, b) = (integers::<T>(m, k, 1), integers(k, micro.cols, 2));
                for beta in [0., 1., -2.].map(T::of) {
                    let start = if beta == T::zero() { T::nan() } else { T::one() };
                    let mut c = Array2::from_elem((m + 1, n + 1), start);
                    let mut expected = c.clone();
                    let b_used = b.slice(s![.., ..n]);
                    let to = expected.slice_mut(s![..m, ..n]);
                    plain::gemm(T::of(2.), a.view(), b_used, beta, to);
                    let (sa, c_row) = ([k as isize, 1], n as isize + 1);
                    let (pa, pb, pc) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                    // SAFETY: the pointers and strides are those of the three matrices.
                    unsafe {
                        let b = (pb, micro.cols as isize);
                        (micro.tile)(k, (pa, sa), b, (pc, c_row), [m, n], [T::of(2.), beta]);
                    }
                    let equal = |(x, y): (&T, &T)| x == y || x.is_nan() && y.is_nan();
                    assert!(c.iter().zip(&expected).all(equal), "[{m}, {k}] × [{k}, {n}]");
                }
            }
            let x = integers::<T>(SIDE, SIDE, 5);
            let mut found = Array2::from_elem((SIDE, SIDE), T::nan());
            let row = SIDE as isize;
            // SAFETY: both matrices are `SIDE × SIDE`.
            unsafe { (micro.transpose)((x.as_ptr(), row), (found.as_mut_ptr(), row)) };
            assert_eq!(found, x.t());
        }
        for dots in Path::each(|_| T::dots()).into_iter().flatten() {
            for (k, (kernel, one)) in
                (0..70).flat_map(|k| [(dots.each, false), (dots.one, true)].map(|kind| (k, kind)))
            {
                let (x, b) = (integers::<T>(SIDE, k, 3), integers::<T>(SIDE, k, 4));
                let mut found = [T::nan(); SIDE];
                let row = k as isize;
                // SAFETY: both matrices have `SIDE` rows of `k` elements.
                unsafe { kernel(k, (x.as_ptr(), row), (b.as_ptr(), row), &mut found) };
                for (i, found) in found.into_iter().enumerate() {
                    let row =
                        |x: &Array2<T>, i: usize| x.as_slice().unwrap()[i * k..][..k].to_vec();
                    let (x, b) = (row(&x, i), row(&b, if one { 0 } else { i }));
                    assert_eq!(found, plain::dot(&x, &b), "k = {k}");
                }
            }
        }
    }

    #[test]
    fn micro_kernels_equal_their_definitions() {
        equal_their_definitions::<f32>();
        equal_their_definitions::<f64>();
    }
}
