//! Matrix products: `C ← α A B + β C`.
//!
//! Large products are tiles of our own micro-kernels (`packed.rs`) on x86-64 with AVX2 or
//! AVX-512, and elsewhere fixed blocks of `C`, each one call of matrixmultiply on one thread.
//! A product with at most `THIN` rows (a hypernet fed with a few noise samples) is bound by the
//! traffic of its one large matrix: packing would double that, so `thin` streams it once.
#![allow(unsafe_code)]
use super::path::versions;
use super::vector::{self, CHUNK};
use crate::kernels::scalar::Scalar;
pub(in crate::kernels) mod micro;
pub(in crate::kernels) mod packed;

use micro::{Blend, Micro, SIDE};
use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

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
    } else if let Some(micro) = T::micro() {
        tiles(micro, Blend { alpha, beta }, a, b, c);
    } else {
        blocks(alpha, a, b, beta, c);
    }
}

/// By our micro-kernels, as `C` or as `Cᵀ`.
///
/// The second operand of a product is packed. If `B` lies transposed and `A` is far smaller (a
/// minibatch against a layer's weights), packing `A` instead and setting tiles of `C` aside to turn
/// them costs less than turning all of `B`.
fn tiles<T: Scalar>(
    micro: Micro<T>,
    blend: Blend<T>,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    c: ArrayViewMut2<'_, T>,
) {
    let turned = b.strides()[1] != 1 && 4 * a.nrows() < b.ncols();
    if turned || c.strides()[1] != 1 {
        packed::gemm(micro, blend, b.t(), a.t(), c.reversed_axes());
    } else {
        packed::gemm(micro, blend, a, b, c);
    }
}

/// By matrixmultiply, in fixed blocks of `C`: for other processors.
fn blocks<T: Scalar>(
    alpha: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    mut c: ArrayViewMut2<'_, T>,
) {
    let [rows, cols] = [part(c.nrows(), 512, 8), part(c.ncols(), 416, 16)];
    let strips = c.axis_chunks_iter_mut(Axis(0), rows).into_par_iter();
    strips.zip(a.axis_chunks_iter(Axis(0), rows)).for_each(|(mut c, a)| {
        let blocks = c.axis_chunks_iter_mut(Axis(1), cols).into_par_iter();
        blocks
            .zip(b.axis_chunks_iter(Axis(1), cols))
            .for_each(|(c, b)| block(alpha, a, b, beta, c));
    });
}

/// A matrix `B [k, n]` as the micro-kernels read it, for the products of many `A` with it.
#[derive(Debug)]
pub struct Packed<T>(pub(super) Form<T>);

#[derive(Debug)]
pub(super) enum Form<T> {
    Panels { micro: Micro<T>, panels: Vec<T>, shape: [usize; 2] },
    Plain(ndarray::Array2<T>),
}

impl<T: Scalar> Packed<T> {
    /// A copy of `B`.
    pub fn new(b: ArrayView2<'_, T>) -> Self {
        Self::by(T::micro(), b)
    }

    /// The same for one kind of micro-kernel, or none.
    pub(super) fn by(micro: Option<Micro<T>>, b: ArrayView2<'_, T>) -> Self {
        let shape @ [k, n] = dim(&b);
        Self(match micro {
            Some(micro) if k * n > 0 => {
                let mut panels = vec![T::zero(); k * n.next_multiple_of(micro.cols)];
                packed::pack_all(micro, b, &mut panels);
                Form::Panels { micro, panels, shape }
            }
            _ => Form::Plain(b.to_owned()),
        })
    }

    /// `[k, n]`.
    pub fn shape(&self) -> [usize; 2] {
        match &self.0 {
            Form::Panels { shape, .. } => *shape,
            Form::Plain(b) => dim(&b.view()),
        }
    }

    /// `C ← A B`.
    ///
    /// # Panics
    /// Unless the shapes agree.
    pub fn multiply(&self, a: ArrayView2<'_, T>, c: ArrayViewMut2<'_, T>) {
        match &self.0 {
            Form::Plain(b) => gemm(T::one(), a, b.view(), T::zero(), c),
            &Form::Panels { micro, ref panels, shape: [k, n] } => {
                let m = a.nrows();
                assert!(
                    a.ncols() == k && c.dim() == (m, n),
                    "Packed: [{m}, {}] × [{k}, {n}]",
                    a.ncols()
                );
                if m == 0 {
                    return;
                }
                packed::multiply(micro, Blend { alpha: T::one(), beta: T::zero() }, a, panels, c);
            }
        }
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

pub(super) fn block<T: Scalar>(
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
        return true;
    }
    if m > THIN || k <= THIN || n <= THIN {
        return false;
    }
    if b.strides()[0] == 1 && a.strides()[1] == 1 {
        let cols = (CHUNK / k).max(1).next_multiple_of(SIDE);
        let strips = c.axis_chunks_iter_mut(Axis(1), cols).into_par_iter();
        strips.zip(b.axis_chunks_iter(Axis(1), cols)).for_each(|(mut c, b)| {
            for (mut c, a) in c.rows_mut().into_iter().zip(a.rows()) {
                let a = a.broadcast((b.ncols(), k)).expect("one row");
                dots(a, b.t(), |j, sum| set(&mut c[j], sum));
            }
        });
        return true;
    }
    if b.strides()[1] == 1 {
        let rows = (SERIAL / n).max(4).next_multiple_of(4);
        let parts = b.axis_chunks_iter(Axis(0), rows).into_par_iter();
        let sums = parts.zip(a.axis_chunks_iter(Axis(1), rows)).map(|(b, a)| {
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
        let sums = sums.collect::<Vec<_>>().into_iter().reduce(|mut sum, part| {
            axpy(T::one(), &part, &mut sum);
            sum
        });
        c.iter_mut().zip(sums.expect("k > 0")).for_each(|(c, sum)| set(c, sum));
        return true;
    }
    false
}

const LANES: usize = 32;

/// The sum of lanes, by halves.
fn total<T: Scalar>(mut lanes: [T; LANES]) -> T {
    for half in [16, 8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

versions! {
    /// `Σ aᵢ bᵢ` in 32 fixed lanes, so that it vectorises.
    ///
    /// # Panics
    /// Unless the lengths agree.
    pub fn dot[T: Scalar](a: &[T], b: &[T]) -> T {
        assert_eq!(a.len(), b.len(), "dot: lengths differ");
        let mut lanes = [T::zero(); LANES];
        let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
        let tail: T = a.remainder().iter().zip(b.remainder()).map(|(&x, &y)| x * y).sum();
        for (a, b) in a.zip(b) {
            for ((sum, &x), &y) in lanes.iter_mut().zip(a).zip(b) {
                *sum += x * y;
            }
        }
        total(lanes) + tail
    }
}

/// `xᵢ · bᵢ` for the rows of two matrices, each adjacent in itself; `x` may be one row, broadcast.
fn dots<T: Scalar>(x: ArrayView2<'_, T>, b: ArrayView2<'_, T>, mut each: impl FnMut(usize, T)) {
    let whole = b.nrows() - b.nrows() % SIDE;
    let first = |x: &ArrayView2<'_, T>, i: usize| {
        (x.as_ptr().wrapping_offset(i as isize * x.strides()[0]), x.strides()[0])
    };
    let mut done = 0;
    if let Some(micro) = T::micro() {
        for i in (0..whole).step_by(SIDE) {
            let mut sums = [T::zero(); SIDE];
            // SAFETY: the instruction set was detected; eight rows of live views of one width.
            unsafe { (micro.dots)(b.ncols(), first(&x, i), first(&b, i), &mut sums) };
            sums.into_iter().enumerate().for_each(|(j, sum)| each(i + j, sum));
        }
        done = whole;
    }
    for i in done..b.nrows() {
        let [x, b] = [x.row(i), b.row(i)].map(|row| row.to_slice().expect("adjacent"));
        each(i, dot(x, b));
    }
}

/// `‖vᵢ‖²` of the rows of a row-major matrix.
///
/// # Panics
/// Unless there is one output a row, and the entries of a row are adjacent.
pub fn row_squares<T: Scalar>(v: ArrayView2<'_, T>, squares: &mut [T]) {
    assert_eq!(v.nrows(), squares.len(), "row_squares: lengths differ");
    let adjacent = v.ncols() <= 1 || v.strides()[1] == 1;
    assert!(adjacent || v.is_empty(), "row_squares: rows are not adjacent");
    let rows = (CHUNK / v.ncols().max(1)).max(1).next_multiple_of(SIDE);
    let parts = squares.par_chunks_mut(rows).zip(v.axis_chunks_iter(Axis(0), rows));
    parts.for_each(|(squares, v)| dots(v, v, |i, square| squares[i] = square));
}

versions! {
    /// `y ← y + a x`.
    ///
    /// # Panics
    /// Unless the lengths agree.
    pub fn axpy[T: Scalar](a: T, x: &[T], y: &mut [T]) {
        assert_eq!(x.len(), y.len(), "axpy: lengths differ");
        for (y, &x) in y.iter_mut().zip(x) {
            *y += a * x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn matrix<T: Scalar>(n: usize, m: usize, seed: usize) -> Array2<T> {
        Array2::from_shape_fn((n, m), |(i, j)| T::of(((i * 31 + j * 17 + seed) % 13) as f64 - 6.))
    }

    /// Every route on its own, with every remainder of a tile, in small whole numbers, which floats
    /// add without rounding.
    fn routes<T: Scalar>() {
        type Route<'a, T> = Box<dyn Fn(T, ArrayView2<T>, ArrayView2<T>, T, ArrayViewMut2<T>) + 'a>;
        let micros = [T::avx512(), T::avx2()].into_iter().flatten();
        let by_tiles = |micro: Micro<T>| -> Route<'_, T> {
            Box::new(move |alpha, a, b, beta, c| tiles(micro, Blend { alpha, beta }, a, b, c))
        };
        let routes = micros.map(by_tiles).chain([Box::new(blocks) as Route<'_, T>]);
        for route in routes {
            for (m, k, n) in (1..16).map(|m| (m, 3, 40)).chain((1..70).map(|n| (20, 5, n))).chain([
                (130, 1100, 33),
                (500, 7, 5),
                (3, 600, 900),
            ]) {
                let (a, b, start) = (matrix(m, k, 1), matrix(k, n, 5), matrix(m, n, 2));
                let bt = b.t().as_standard_layout().into_owned();
                for beta in [0., 1., -2.].map(T::of) {
                    let two = T::of(2.);
                    let naive = Array2::from_shape_fn((m, n), |(i, j)| {
                        let sum: T = (0..k).map(|p| a[[i, p]] * b[[p, j]]).sum();
                        two * sum + beta * start[[i, j]]
                    });
                    for (b, down) in [(b.view(), false), (bt.t(), false), (b.view(), true)] {
                        let mut c = start.clone();
                        if down {
                            c = c.t().as_standard_layout().into_owned().reversed_axes();
                        }
                        route(two, a.view(), b, beta, c.view_mut());
                        assert!(c == naive, "[{m}, {k}] × [{k}, {n}], β = {beta}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_route_in_f32() {
        routes::<f32>();
    }

    #[test]
    fn every_route_in_f64() {
        routes::<f64>();
    }
}
