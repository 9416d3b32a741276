//! Matrix products: `C ← α A B + β C`.
//!
//! Large products are cut into fixed blocks of `C`, each one call of matrixmultiply on one thread.
//! A product with at most `THIN` rows (a hypernet fed with a few noise samples) is bound by the
//! traffic of its one large matrix: packing would double that, so `thin` streams it once.
#![allow(unsafe_code)]
use crate::scalar::Scalar;
use multiversion::multiversion;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

/// Rows and columns of a block of `C`. Each block packs its rows of `A` and its columns of `B`
/// anew, so they are as large as still leaves several for the threads: tall products are cut into
/// rows alone, a minibatch's into columns.
fn block_size(m: usize, n: usize) -> [usize; 2] {
    let columns = if m > 512 { 1024 } else { 416 };
    [part(m, 512, 8), part(n, columns, 16)]
}
/// Products with fewer multiplications than this stay on the caller's thread.
const SERIAL: usize = 1 << 17;
/// Up to this many rows (or inner products) are streamed instead of packed.
const THIN: usize = 4;

/// `C ← α A B + β C` for `A [m, k]`, `B [k, n]`, `C [m, n]`, any strides (so all four transposes).
///
/// `C` is not read when `β = 0`. The bits do not depend on the number of threads.
///
/// # Panics
/// Unless the shapes agree.
pub fn gemm<T: Scalar>(
    alpha: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    mut c: ArrayViewMut2<'_, T>,
) {
    let ([m, k], [k2, n]) = (dim(&a), dim(&b));
    assert!(k == k2, "gemm: [{m}, {k}] × [{k2}, {n}]: inner dimensions differ");
    assert!(c.dim() == (m, n), "gemm: [{m}, {k}] × [{k}, {n}] into {:?}", c.shape());
    if m * n == 0 {
        return;
    }
    if k == 0 {
        scale(beta, &mut c);
    } else if thin(alpha, a, b, beta, &mut c)
        || thin(alpha, b.t(), a.t(), beta, &mut c.view_mut().reversed_axes())
    {
    } else if m * k * n < SERIAL {
        block(alpha, a, b, beta, c);
    } else {
        let [rows, cols] = block_size(m, n);
        let mut blocks = vec![];
        for (i, strip) in c.axis_chunks_iter_mut(Axis(0), rows).enumerate() {
            let width = strip.ncols();
            let mut rest = strip;
            for j in (0..width).step_by(cols) {
                let (head, tail) = rest.split_at(Axis(1), cols.min(width - j));
                blocks.push((i * rows, j, head));
                rest = tail;
            }
        }
        blocks.into_par_iter().for_each(|(i, j, c)| {
            let (r, w) = c.dim();
            block(alpha, a.slice(s![i..i + r, ..]), b.slice(s![.., j..j + w]), beta, c);
        });
    }
}

/// `A B` as a new row-major matrix.
///
/// # Panics
/// Unless the inner dimensions agree.
pub fn matmul<T: Scalar>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) -> ndarray::Array2<T> {
    let mut c = ndarray::Array2::zeros((a.nrows(), b.ncols()));
    gemm(T::one(), a, b, T::zero(), c.view_mut());
    c
}

fn dim<T>(a: &ArrayView2<'_, T>) -> [usize; 2] {
    [a.nrows(), a.ncols()]
}

/// Equal parts of at most `most`, each a multiple of `unit`: a function of the shape alone.
fn part(n: usize, most: usize, unit: usize) -> usize {
    n.div_ceil(n.div_ceil(most)).next_multiple_of(unit)
}

fn scale<T: Scalar>(beta: T, c: &mut ArrayViewMut2<'_, T>) {
    c.mapv_inplace(|x| if beta == T::zero() { beta } else { beta * x });
}

fn block<T: Scalar>(
    alpha: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    mut c: ArrayViewMut2<'_, T>,
) {
    let strides = |s: &[isize]| [s[0], s[1]];
    let (sa, sb, sc) = (strides(a.strides()), strides(b.strides()), strides(c.strides()));
    // SAFETY: pointers, shapes and strides come from live views, and the mutable one is exclusive.
    unsafe {
        T::gemm_block(
            [a.nrows(), a.ncols(), b.ncols()],
            alpha,
            (a.as_ptr(), sa),
            (b.as_ptr(), sb),
            beta,
            (c.as_mut_ptr(), sc),
        )
    }
}

/// Products whose cost is reading one large matrix once; `false` if this is not one.
///
/// Rows of at most [`THIN`]: dot products with rows of `Bᵀ`, or sums of rows of `B`; inner
/// dimension of at most [`THIN`]: sums of rows of `B` into every row of `C`.
fn thin<T: Scalar>(
    alpha: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    c: &mut ArrayViewMut2<'_, T>,
) -> bool {
    let ([m, k], n) = (dim(&a), b.ncols());
    let set = |c: &mut T, x: T| *c = alpha * x + if beta == T::zero() { beta } else { beta * *c };
    if k <= THIN && m > THIN && b.strides()[1] == 1 && c.strides()[1] == 1 && n > THIN {
        let rows = (SERIAL / (k * n)).max(1);
        let strips = c.axis_chunks_iter_mut(Axis(0), rows).into_par_iter().enumerate();
        strips.for_each(|(i, mut strip)| {
            for (mut c, a) in strip.rows_mut().into_iter().zip(a.rows().into_iter().skip(i * rows))
            {
                let c = c.as_slice_mut().expect("unit stride");
                if beta != T::one() {
                    c.iter_mut()
                        .for_each(|c| *c = if beta == T::zero() { beta } else { beta * *c });
                }
                for (&a, b) in a.iter().zip(b.rows()) {
                    axpy(alpha * a, b.as_slice().expect("unit stride"), c);
                }
            }
        });
        true
    } else if m <= THIN && k > THIN && n > THIN && b.strides()[0] == 1 && a.strides()[1] == 1 {
        let cols = (SERIAL / k).max(1);
        let strips = c.axis_chunks_iter_mut(Axis(1), cols).into_par_iter().enumerate();
        strips.for_each(|(j, mut strip)| {
            for (mut c, b) in
                strip.columns_mut().into_iter().zip(b.columns().into_iter().skip(j * cols))
            {
                let b = b.as_slice().expect("unit stride");
                for (c, a) in c.iter_mut().zip(a.rows()) {
                    set(c, dot(a.as_slice().expect("unit stride"), b));
                }
            }
        });
        true
    } else if m <= THIN && k > THIN && n > THIN && b.strides()[1] == 1 {
        let strips = c.axis_chunks_iter_mut(Axis(1), 256).into_par_iter().enumerate();
        strips.for_each(|(j, mut strip)| {
            let mut sums = vec![T::zero(); m * strip.ncols()];
            let width = strip.ncols();
            for (b, a) in
                b.slice(s![.., j * 256..j * 256 + width]).rows().into_iter().zip(a.columns())
            {
                for (sum, &a) in sums.chunks_exact_mut(width).zip(a) {
                    axpy(a, b.as_slice().expect("unit stride"), sum);
                }
            }
            for (c, &sum) in strip.iter_mut().zip(&sums) {
                set(c, sum);
            }
        });
        true
    } else {
        false
    }
}

/// `Σ aᵢ bᵢ` in 32 fixed lanes, so that it vectorises.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub fn dot<T: Scalar>(a: &[T], b: &[T]) -> T {
    const LANES: usize = 32;
    let mut lanes = [T::zero(); LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail: T = a.remainder().iter().zip(b.remainder()).map(|(&x, &y)| x * y).sum();
    for (a, b) in a.zip(b) {
        for ((sum, &x), &y) in lanes.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    lanes.iter().copied().sum::<T>() + tail
}

/// `y ← y + a x`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub fn axpy<T: Scalar>(a: T, x: &[T], y: &mut [T]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}
