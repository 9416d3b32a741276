//! Micro-kernels: each accumulates one tile of `C` in vector registers, from rows of `A` and a
//! panel of `B`.
//!
//! A panel has `cols` columns of `B`, row-major, and is packed (`b[p·cols + j]`) or read in place.
//! Step `p` loads row `p` of the panel and multiplies it by each element of column `p` of `A`,
//! which is read in place with any strides. A packed panel of fewer columns is padded to `cols`;
//! products with the padding are not stored.
use super::simd::SIDE;

/// The micro-kernels for one element type and an instruction set that the processor has.
#[derive(Clone, Copy, Debug)]
pub struct Micro<T> {
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
        a: (*const T, [isize; 2]),
        b: (*const T, isize),
        c: (*mut T, isize),
        size: [usize; 2],
        alpha_beta: [T; 2],
    ),
    /// `out[i] ← x[i] · b[i]` for [`SIDE`] rows of `k` elements, given the strides of rows. Fused
    /// multiply-adds accumulate as many partial sums as fit in 64 bytes; these are then added as a
    /// tree.
    ///
    /// # Safety
    /// All elements are valid.
    #[allow(clippy::type_complexity)]
    pub dots: unsafe fn(k: usize, x: (*const T, isize), b: (*const T, isize), out: &mut [T; SIDE]),
    /// `to[j, i] ← from[i, j]` for [`SIDE`] × [`SIDE`] elements, given the strides of rows.
    ///
    /// # Safety
    /// All elements are valid.
    #[allow(clippy::type_complexity)]
    pub transpose: unsafe fn(from: (*const T, isize), to: (*mut T, isize)),
}

/// A module with the micro-kernels of one type and instruction set.
#[cfg(target_arch = "x86_64")]
macro_rules! micro {
    ($name:ident: $t:ty, $feature:literal, [$rows:literal; $($m:literal)*], $lanes:literal,
     $line:literal, $zero:ident, $splat:ident, $load:ident, $fma:ident, $mul:ident,
     $store:ident, $load_masked:ident, $store_masked:ident, $sum:ident, $transpose:ident) => {
        #[allow(unsafe_code)]
        pub(super) mod $name {
            use crate::kernels::gemm::micro::Micro;
            use crate::kernels::gemm::simd::{SIDE, mask, sum, transpose};
            use std::arch::x86_64::*;

            const ROWS: usize = $rows;
            const LANES: usize = $lanes;
            /// Vectors in a cache line of 64 bytes.
            const LINE: usize = $line;
            /// Rows of the panel to prefetch ahead.
            const AHEAD: usize = 8;
            pub const MICRO: Micro<$t> =
                Micro { rows: ROWS, cols: 2 * LANES, tile, dots, transpose: transpose::$transpose };

            /// # Safety
            /// See [`Micro::tile`].
            unsafe fn tile(
                k: usize,
                a: (*const $t, [isize; 2]),
                b: (*const $t, isize),
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
            /// See [`Micro::dots`].
            unsafe fn dots(
                k: usize,
                x: (*const $t, isize),
                b: (*const $t, isize),
                out: &mut [$t; SIDE],
            ) {
                // As many rows at a time as fit in registers.
                let group = SIDE / LINE;
                for (i, out) in (0..SIDE as isize).step_by(group).zip(out.chunks_exact_mut(group)) {
                    let [x, b] = [x, b].map(|(at, row)| (at.wrapping_offset(i * row), row));
                    // SAFETY: the caller's contract.
                    unsafe { run_dots(k, x, b, out) }
                }
            }

            /// # Safety
            /// See [`Micro::dots`].
            #[target_feature(enable = $feature)]
            unsafe fn run_dots(
                k: usize,
                (x, x_row): (*const $t, isize),
                (b, b_row): (*const $t, isize),
                out: &mut [$t],
            ) {
                let mut sums = [[$zero(); LINE]; SIDE / LINE];
                let whole = k - k % (LINE * LANES);
                for p in (0..whole).step_by(LINE * LANES) {
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

            /// # Safety
            /// See [`Micro::tile`].
            #[target_feature(enable = $feature)]
            unsafe fn run<const M: usize, const V: usize>(
                k: usize,
                (a, [a_row, a_column]): (*const $t, [isize; 2]),
                (b, b_row): (*const $t, isize),
                (c, c_row): (*mut $t, isize),
                n: usize,
                [alpha, beta]: [$t; 2],
            ) {
                let mut sums = [[$zero(); V]; M];
                for p in 0..k {
                    let mut ys = [$zero(); V];
                    for (j, y) in ys.iter_mut().enumerate() {
                        // SAFETY: row `p` of the panel.
                        *y = unsafe { $load(b.offset(p as isize * b_row).add(j * LANES)) };
                        // The hardware prefetcher does not follow rows that are far apart.
                        let ahead = b_row.wrapping_mul((p + AHEAD) as isize);
                        let ahead = b.wrapping_offset(ahead).wrapping_add(j * LANES);
                        _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: element `(i, p)` of `A`.
                        let x = unsafe { *a.offset(i as isize * a_row + p as isize * a_column) };
                        for (sum, &y) in sums.iter_mut().zip(&ys) {
                            *sum = $fma($splat(x), y, *sum);
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
micro!(avx512_f32: f32, "avx512f", [14; 1 2 3 4 5 6 7 8 9 10 11 12 13 14], 16, 1,
    _mm512_setzero_ps, _mm512_set1_ps, _mm512_loadu_ps, _mm512_fmadd_ps, _mm512_mul_ps,
    _mm512_storeu_ps, load_f32x16, store_f32x16, f32x16, f32x8);
#[cfg(target_arch = "x86_64")]
micro!(avx512_f64: f64, "avx512f", [14; 1 2 3 4 5 6 7 8 9 10 11 12 13 14], 8, 1,
    _mm512_setzero_pd, _mm512_set1_pd, _mm512_loadu_pd, _mm512_fmadd_pd, _mm512_mul_pd,
    _mm512_storeu_pd, load_f64x8, store_f64x8, f64x8, scalar);
#[cfg(target_arch = "x86_64")]
micro!(avx2_f32: f32, "avx2,fma", [6; 1 2 3 4 5 6], 8, 2,
    _mm256_setzero_ps, _mm256_set1_ps, _mm256_loadu_ps, _mm256_fmadd_ps, _mm256_mul_ps,
    _mm256_storeu_ps, load_f32x8, store_f32x8, f32x8, f32x8);
#[cfg(target_arch = "x86_64")]
micro!(avx2_f64: f64, "avx2,fma", [6; 1 2 3 4 5 6], 4, 2,
    _mm256_setzero_pd, _mm256_set1_pd, _mm256_loadu_pd, _mm256_fmadd_pd, _mm256_mul_pd,
    _mm256_storeu_pd, load_f64x4, store_f64x4, f64x4, scalar);

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
            for k in 0..70 {
                let (x, b) = (integers::<T>(SIDE, k, 3), integers::<T>(SIDE, k, 4));
                let mut found = [T::nan(); SIDE];
                let row = k as isize;
                // SAFETY: both matrices have `SIDE` rows of `k` elements.
                unsafe { (micro.dots)(k, (x.as_ptr(), row), (b.as_ptr(), row), &mut found) };
                for (i, found) in found.into_iter().enumerate() {
                    let [x, b] = [&x, &b].map(|x| &x.as_slice().unwrap()[i * k..][..k]);
                    assert_eq!(found, plain::dot(x, b), "k = {k}");
                }
            }
            let x = integers::<T>(SIDE, SIDE, 5);
            let mut found = Array2::from_elem((SIDE, SIDE), T::nan());
            let row = SIDE as isize;
            // SAFETY: both matrices are `SIDE × SIDE`.
            unsafe { (micro.transpose)((x.as_ptr(), row), (found.as_mut_ptr(), row)) };
            assert_eq!(found, x.t());
        }
    }

    #[test]
    fn micro_kernels_equal_their_definitions() {
        equal_their_definitions::<f32>();
        equal_their_definitions::<f64>();
    }
}
