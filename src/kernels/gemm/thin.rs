//! Products of a thin matrix and a large one, and dot products of the rows of a large matrix. The
//! large matrix is streamed once: reading it, or writing it if it is the result, dominates the
//! cost. Packing it would at least double the memory traffic.
use super::dots::Rows;
use super::simd::SIDE;
use crate::kernels::parallel;
use crate::kernels::scalar::Scalar;
use crate::kernels::vector::{self, CHUNK, axpy};
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2, Axis};

/// The approximate number of multiplications in one task; smaller products stay on the caller's
/// thread.
pub const SERIAL: usize = 1 << 17;
/// A product is thin if it has at most this many rows, or at most this inner dimension.
const THIN: usize = 4;
/// A product whose `B` is stored transposed is also thin with at most this many rows, if there is a
/// kernel for dot products: most of a tile would be padding.
const THIN_TRANSPOSED: usize = 16;

/// `C ← α A B + β C` if the product is thin and its strides allow it; `false` otherwise.
///
/// If `A` has few rows, the product consists of dot products with the columns of `B` if these are
/// contiguous, otherwise of weighted sums of the rows of `B`. If the inner dimension
/// is at most [`THIN`], multiples of the rows of `B` are added to each row of `C`.
pub fn gemm<T: Scalar>(
    alpha: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    c: &mut ArrayViewMut2<'_, T>,
) -> bool {
    let ((m, k), n) = (a.dim(), b.ncols());
    let set = |c: &mut T, x: T| *c = alpha * x + scaled(beta, *c);
    if k <= THIN && m > THIN && b.strides()[1] == 1 && c.strides()[1] == 1 && n > THIN {
        let rows = (SERIAL / (k * n)).max(1);
        let strips = c.axis_chunks_iter_mut(Axis(0), rows).enumerate();
        parallel::for_each(strips, |(i, mut strip)| {
            for (mut c, a) in strip.rows_mut().into_iter().zip(a.rows().into_iter().skip(i * rows))
            {
                let c = c.as_slice_mut().expect("unit stride");
                if beta != T::one() {
                    c.iter_mut().for_each(|c| *c = scaled(beta, *c));
                }
                for (&a, b) in a.iter().zip(b.rows()) {
                    axpy(alpha * a, b.as_slice().expect("unit stride"), c);
                }
            }
        });
        return true;
    }
    let most = if T::dots().is_some() { THIN_TRANSPOSED } else { THIN };
    if k <= THIN || n <= THIN {
        return false;
    }
    if m <= most && b.strides()[0] == 1 && a.strides()[1] == 1 {
        let cols = (CHUNK / k).max(1).next_multiple_of(SIDE);
        let strips = c.axis_chunks_iter_mut(Axis(1), cols);
        parallel::for_each(strips.zip(b.axis_chunks_iter(Axis(1), cols)), |(mut c, b)| {
            let rows = c.axis_chunks_iter_mut(Axis(0), SIDE);
            for (mut c, a) in rows.zip(a.axis_chunks_iter(Axis(0), SIDE)) {
                if a.nrows() == SIDE {
                    for (mut c, b) in c.columns_mut().into_iter().zip(b.columns()) {
                        dots_with_one(a, b, |i, sum| set(&mut c[i], sum));
                    }
                    continue;
                }
                for (mut c, a) in c.rows_mut().into_iter().zip(a.rows()) {
                    let a = a.broadcast((b.ncols(), k)).expect("one row");
                    row_dots(a, b.t(), |j, sum| set(&mut c[j], sum));
                }
            }
        });
        return true;
    }
    if m <= THIN && b.strides()[1] == 1 {
        let rows = (SERIAL / n).max(4).next_multiple_of(4);
        let parts = b.axis_chunks_iter(Axis(0), rows).zip(a.axis_chunks_iter(Axis(1), rows));
        let sums = parallel::map(parts, |(b, a)| {
            let mut sums = vec![T::zero(); m * n];
            for (sums, a) in sums.chunks_exact_mut(n).zip(a.rows()) {
                match (a.to_slice(), b.to_slice()) {
                    (Some(a), Some(b)) => vector::add_rows(a, b, sums),
                    _ => a.iter().zip(b.rows()).for_each(|(&a, b)| {
                        axpy(a, b.to_slice().expect("unit stride"), sums);
                    }),
                }
            }
            sums
        });
        let sums = sums.into_iter().reduce(|mut sum, part| {
            axpy(T::one(), &part, &mut sum);
            sum
        });
        c.iter_mut().zip(sums.expect("k > 0")).for_each(|(c, sum)| set(c, sum));
        return true;
    }
    false
}

/// `β c`, which is 0 if `β = 0`, even for a NaN.
pub fn scaled<T: Scalar>(beta: T, c: T) -> T {
    if beta == T::zero() { beta } else { beta * c }
}

/// `‖vᵢ‖²` for the rows `vᵢ` of a matrix.
///
/// # Panics
/// Unless there is one output per row, and rows are contiguous.
pub fn row_squares<T: Scalar>(v: ArrayView2<'_, T>, squares: &mut [T]) {
    assert_eq!(v.nrows(), squares.len(), "row_squares: lengths differ");
    let contiguous = v.ncols() <= 1 || v.strides()[1] == 1;
    assert!(contiguous || v.is_empty(), "row_squares: rows are not contiguous");
    let rows = (CHUNK / v.ncols().max(1)).max(1).next_multiple_of(SIDE);
    let parts = squares.chunks_mut(rows).zip(v.axis_chunks_iter(Axis(0), rows));
    parallel::for_each(parts, |(squares, v)| row_dots(v, v, |i, square| squares[i] = square));
}

/// Calls `f(i, xᵢ · bᵢ)` for the rows `xᵢ` and `bᵢ` of two matrices with contiguous rows. `x` may
/// be a single row, broadcast.
fn row_dots<T: Scalar>(x: ArrayView2<'_, T>, b: ArrayView2<'_, T>, f: impl FnMut(usize, T)) {
    dots(T::dots().map(|dots| dots.each), x, b, f);
}

/// Calls `f(i, xᵢ · b)` for the contiguous rows `xᵢ` of a matrix and a contiguous `b`.
fn dots_with_one<T: Scalar>(x: ArrayView2<'_, T>, b: ArrayView1<'_, T>, f: impl FnMut(usize, T)) {
    dots(T::dots().map(|dots| dots.one), x, b.broadcast(x.dim()).expect("one row"), f);
}

#[allow(unsafe_code)]
fn dots<T: Scalar>(
    kernel: Option<Rows<T>>,
    x: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    mut f: impl FnMut(usize, T),
) {
    let whole = b.nrows() - b.nrows() % SIDE;
    let first = |x: &ArrayView2<'_, T>, i: usize| {
        (x.as_ptr().wrapping_offset(i as isize * x.strides()[0]), x.strides()[0])
    };
    let mut done = 0;
    if let Some(kernel) = kernel {
        for i in (0..whole).step_by(SIDE) {
            let mut sums = [T::zero(); SIDE];
            // SAFETY: `SIDE` contiguous rows, from row `i` on, of two live views of equal shape.
            unsafe { kernel(b.ncols(), first(&x, i), first(&b, i), &mut sums) };
            sums.into_iter().enumerate().for_each(|(j, sum)| f(i + j, sum));
        }
        done = whole;
    }
    for i in done..b.nrows() {
        let [x, b] = [x.row(i), b.row(i)].map(|row| row.to_slice().expect("contiguous"));
        f(i, vector::dot(x, b));
    }
}
