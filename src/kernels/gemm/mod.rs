//! Matrix products: `C ← α A B + β C`.
//!
//! [`gemm()`] chooses a route by shape:
//!
//! * Thin products stream their one large matrix (`thin.rs`).
//! * Large products are computed tile by tile by micro-kernels (`micro.rs`), within loops that pack
//!   and split the matrices (`packed.rs`).
//! * Small products are computed by matrixmultiply on one thread. On processors without AVX2, so
//!   are the blocks of large products, which run in parallel.
//!
//! In bfloat16, [`Precision::Bf16`], all products are computed by micro-kernels, so that a product
//! has one definition: see [`plain::gemm_bf16`](crate::kernels::plain::gemm_bf16).
//!
//! `native.rs` holds what differs between `f32` and `f64`, `operand.rs` how numbers become operands
//! of a micro-kernel, and `simd.rs` the building blocks of micro-kernels.
mod dots;
pub(in crate::kernels) mod micro;
pub(in crate::kernels) mod native;
pub(in crate::kernels) mod operand;
pub(in crate::kernels) mod packed;
mod simd;
mod thin;

use super::bf16::Pair;
use super::parallel;
use super::scalar::Scalar;
use micro::Micro;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use operand::Operand;
use serde::{Deserialize, Serialize};
pub(super) use simd::prefetch;
pub use thin::row_squares;

/// `C ← α A B + β C` for `A [m, k]`, `B [k, n]`, `C [m, n]` with any strides, so also for
/// transposes.
///
/// `C` is not read if `β = 0`. The result is bitwise identical for any number of threads.
///
/// # Panics
/// Unless the shapes agree, or if a matrix has more than `isize::MAX` bytes when it is packed, as a
/// view with strides of 0 may.
pub fn gemm<T: Scalar>(
    alpha: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    mut c: ArrayViewMut2<'_, T>,
) {
    check(&a, &b, &c);
    let ((m, k), n) = (a.dim(), b.ncols());
    if c.is_empty() {
        return;
    }
    if k == 0 {
        c.mapv_inplace(|c| thin::scaled(beta, c));
    } else if thin::gemm(alpha, a, b, beta, &mut c)
        || thin::gemm(alpha, b.t(), a.t(), beta, &mut c.view_mut().reversed_axes())
    {
    } else if (m * k).saturating_mul(n) < thin::SERIAL {
        T::block(alpha, a, b, beta, c);
    } else if let Some(micro) = T::micro() {
        by_micro_kernels(micro, [alpha, beta], a, b, c);
    } else {
        by_blocks(alpha, a, b, beta, c);
    }
}

/// Checks the shapes of a product.
fn check<T>(a: &ArrayView2<'_, T>, b: &ArrayView2<'_, T>, c: &ArrayViewMut2<'_, T>) {
    let ((m, k), (k2, n)) = (a.dim(), b.dim());
    assert!(k == k2, "gemm: [{m}, {k}] × [{k2}, {n}]: inner dimensions differ");
    assert!(c.dim() == (m, n), "gemm: [{m}, {k}] × [{k}, {n}] into {:?}", c.shape());
    assert!(
        can_be_packed::<T>([k, m]) && can_be_packed::<T>([k, n]),
        "gemm: [{m}, {k}] × [{k}, {n}]: too many elements"
    );
}

/// The precision of the factors of matrix products and convolutions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Products of `f32` numbers.
    #[default]
    F32,
    /// Products of `f32` numbers that are rounded to bfloat16, with sums in `f32`: about twice as
    /// fast on processors that have the instruction, slower than `f32` on others, with the same
    /// bits on all. Products of `f64` numbers stay in `f64`.
    Bf16,
}

impl Precision {
    /// `C ← A B + β C` for `β` 0 or 1, and any strides.
    ///
    /// # Panics
    /// As [`gemm()`].
    pub fn gemm<T: Scalar>(
        self,
        a: ArrayView2<'_, T>,
        b: ArrayView2<'_, T>,
        beta: T,
        mut c: ArrayViewMut2<'_, T>,
    ) {
        match self.pairs() {
            None => gemm(T::one(), a, b, beta, c),
            Some(micro) => {
                check(&a, &b, &c);
                if a.is_empty() || b.is_empty() {
                    c.mapv_inplace(|c| thin::scaled(beta, c));
                } else {
                    by_micro_kernels(micro, [T::one(), beta], a, b, c);
                }
            }
        }
    }

    /// A copy of `B`, packed for products in this precision.
    ///
    /// # Panics
    /// As [`Packed::new`].
    pub fn pack<T: Scalar>(self, b: ArrayView2<'_, T>) -> Packed<T> {
        Packed::of(self, b)
    }

    /// The micro-kernel for pairs, if products of `T` are in bfloat16.
    pub(in crate::kernels) fn pairs<T: Scalar>(self) -> Option<Micro<T, Pair>> {
        T::micro_of_pairs().filter(|_| self == Self::Bf16)
    }
}

/// Whether a matrix `[k, n]` can be packed: its bytes, with columns to fill a panel of any
/// micro-kernel, can be counted.
fn can_be_packed<T>([k, n]: [usize; 2]) -> bool {
    let columns = n.checked_next_multiple_of(simd::WIDEST);
    let bytes = columns.and_then(|n| n.checked_mul(size_of::<T>())?.checked_mul(k));
    bytes.is_some_and(|bytes| isize::try_from(bytes).is_ok())
}

/// `A B` as a new row-major matrix.
///
/// # Panics
/// As [`gemm()`].
pub fn matmul<T: Scalar>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) -> Array2<T> {
    let mut c = Array2::zeros((a.nrows(), b.ncols()));
    gemm(T::one(), a, b, T::zero(), c.view_mut());
    c
}

/// With at most this many rows of pairs in `A`, `Cᵀ` would waste most of each tile.
const FEW_ROWS: usize = 8;

/// Computes the product by micro-kernels, as `C` or as `Cᵀ`.
///
/// `packed::gemm` packs its second operand. If `B` is stored transposed, packing transposes all of
/// it. If, in addition, `A` is far smaller (a minibatch times a layer's weights), `Cᵀ = Bᵀ Aᵀ` is
/// cheaper: it packs `A` and transposes only tiles of `C`.
fn by_micro_kernels<T: Scalar, X: Operand<T>>(
    micro: Micro<T, X>,
    alpha_beta: [T; 2],
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    c: ArrayViewMut2<'_, T>,
) {
    let fills_tile = a.nrows() > FEW_ROWS || X::INNER == 1;
    let pack_a = b.strides()[1] != 1 && 4 * a.nrows() < b.ncols() && fills_tile;
    if pack_a || c.strides()[1] != 1 {
        packed::gemm(micro, alpha_beta, b.t(), a.t(), c.reversed_axes());
    } else {
        packed::gemm(micro, alpha_beta, a, b, c);
    }
}

/// Computes the product by matrixmultiply, in fixed blocks of `C`.
fn by_blocks<T: Scalar>(
    alpha: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    mut c: ArrayViewMut2<'_, T>,
) {
    let rows = packed::balanced(c.nrows(), 512).next_multiple_of(8);
    let cols = packed::balanced(c.ncols(), 416).next_multiple_of(16);
    let strips = c.axis_chunks_iter_mut(Axis(0), rows);
    parallel::for_each(strips.zip(a.axis_chunks_iter(Axis(0), rows)), |(mut c, a)| {
        let blocks = c.axis_chunks_iter_mut(Axis(1), cols);
        let blocks = blocks.zip(b.axis_chunks_iter(Axis(1), cols));
        parallel::for_each(blocks, |(c, b)| T::block(alpha, a, b, beta, c));
    });
}

/// A matrix `B [k, n]`, packed once and used in products with many matrices `A`.
#[derive(Debug)]
pub struct Packed<T>(pub(super) Form<T>);

#[derive(Debug)]
pub(super) enum Form<T> {
    /// For a micro-kernel.
    Panels { micro: Micro<T>, panels: Vec<T>, shape: [usize; 2] },
    /// For a micro-kernel of pairs.
    Pairs { micro: Micro<T, Pair>, panels: Vec<Pair>, shape: [usize; 2] },
    /// For matrixmultiply, which packs its operands itself.
    Plain(Array2<T>),
}

impl<T: Scalar> Packed<T> {
    /// A copy of `B`, packed for the micro-kernel in use.
    ///
    /// # Panics
    /// If it has more than `isize::MAX` bytes, as a view with strides of 0 may.
    pub fn new(b: ArrayView2<'_, T>) -> Self {
        Self::of(Precision::F32, b)
    }

    fn of(precision: Precision, b: ArrayView2<'_, T>) -> Self {
        let (k, n) = b.dim();
        assert!(can_be_packed::<T>([k, n]), "Packed: [{k}, {n}]: too many elements");
        let shape = [k, n];
        Self(match (precision.pairs(), T::micro()) {
            _ if k * n == 0 => Form::Plain(b.to_owned()),
            (Some(micro), _) => Form::Pairs { micro, panels: panels(micro, b), shape },
            (None, Some(micro)) => Form::Panels { micro, panels: panels(micro, b), shape },
            (None, None) => Form::Plain(b.to_owned()),
        })
    }

    /// `[k, n]`.
    pub fn shape(&self) -> [usize; 2] {
        match &self.0 {
            Form::Panels { shape, .. } | Form::Pairs { shape, .. } => *shape,
            Form::Plain(b) => [b.nrows(), b.ncols()],
        }
    }

    /// `C ← A B`.
    ///
    /// # Panics
    /// Unless the shapes agree.
    pub fn multiply(&self, a: ArrayView2<'_, T>, c: ArrayViewMut2<'_, T>) {
        let ([k, n], (m, a_k)) = (self.shape(), a.dim());
        assert!(a_k == k && c.dim() == (m, n), "Packed: [{m}, {a_k}] × [{k}, {n}]");
        let alpha_beta = [T::one(), T::zero()];
        match &self.0 {
            Form::Plain(b) => gemm(T::one(), a, b.view(), T::zero(), c),
            _ if m == 0 => {}
            Form::Panels { micro, panels, .. } => {
                packed::multiply(*micro, alpha_beta, a, panels, c)
            }
            Form::Pairs { micro, panels, .. } => packed::multiply(*micro, alpha_beta, a, panels, c),
        }
    }
}

/// `B`, packed.
fn panels<T: Scalar, X: Operand<T>>(micro: Micro<T, X>, b: ArrayView2<'_, T>) -> Vec<X> {
    let columns = b.ncols().next_multiple_of(micro.cols);
    let mut panels = vec![X::default(); X::count(b.nrows()) * columns];
    packed::pack(micro, b, &mut panels);
    panels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::path::Path;
    use crate::kernels::plain;
    use ndarray::{concatenate, s};
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    fn matrix<T: Scalar>(n: usize, m: usize, seed: usize) -> Array2<T> {
        Array2::from_shape_fn((n, m), |(i, j)| T::of(((i * 31 + j * 17 + seed) % 13) as f64 - 6.))
    }

    /// Every route, whether or not `gemm` would take it, with every remainder of a tile, on small
    /// integers, whose sums are exact.
    fn routes<T: Scalar>() {
        type Route<'a, T> = Box<dyn Fn(T, ArrayView2<T>, ArrayView2<T>, T, ArrayViewMut2<T>) + 'a>;
        let micros = Path::each(|_| T::micro()).into_iter().flatten();
        let by_tiles = |micro: Micro<T>| -> Route<'_, T> {
            Box::new(move |alpha, a, b, beta, c| by_micro_kernels(micro, [alpha, beta], a, b, c))
        };
        let routes: Vec<_> =
            micros.map(by_tiles).chain([Box::new(by_blocks) as Route<'_, T>]).collect();
        for (m, k, n) in (1..16).map(|m| (m, 3, 40)).chain((1..70).map(|n| (20, 5, n))).chain([
            (130, 1100, 33),
            (500, 7, 5),
            (3, 600, 900),
        ]) {
            let (a, b, start) = (matrix(m, k, 1), matrix(k, n, 5), matrix(m, n, 2));
            let b_columns = b.t().as_standard_layout().into_owned();
            for beta in [0., 1., -2.].map(T::of) {
                let two = T::of(2.);
                let mut expected = start.clone();
                plain::gemm(two, a.view(), b.view(), beta, expected.view_mut());
                for route in &routes {
                    for (b, transposed) in
                        [(b.view(), false), (b_columns.t(), false), (b.view(), true)]
                    {
                        let mut c = start.clone();
                        if transposed {
                            c = c.t().as_standard_layout().into_owned().reversed_axes();
                        }
                        route(two, a.view(), b, beta, c.view_mut());
                        assert!(c == expected, "[{m}, {k}] × [{k}, {n}], β = {beta}");
                    }
                }
            }
        }
    }

    /// Numbers of all magnitudes, some of them subnormal.
    fn wild(n: usize, m: usize, seed: u64) -> Array2<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut number = || {
            let x: f32 = StandardNormal.sample(&mut rng);
            x * 2_f32.powi(rng.random_range(-75..60))
        };
        let mut x = Array2::from_shape_simple_fn((n, m), &mut number);
        x.iter_mut().step_by(7).for_each(|x| *x *= 1e-30);
        x
    }

    /// Products in bfloat16 have the bits of their definition on every path, however their factors
    /// are stored.
    #[test]
    fn every_route_in_bf16_equals_its_definition() {
        let shapes = (1..9).map(|m| (m, 6, 37)).chain((1..40).map(|k| (3, k, 5))).chain([
            (1, 70, 300),
            (40, 1, 33),
            (33, 3, 2),
            (130, 300, 33),
            (17, 2049, 40),
            (2, 4099, 1),
            (500, 7, 5),
            (3, 600, 900),
        ]);
        for (seed, (m, k, n)) in (0..).zip(shapes) {
            let (a, b) = (wild(m, k, seed), wild(k, n, seed + 100));
            let [a_columns, b_columns] =
                [&a, &b].map(|x| x.t().as_standard_layout().into_owned().reversed_axes());
            let wide = concatenate![Axis(1), b, wild(k, 3, 9)];
            let every = wide.slice(s![.., ..n]);
            let start = wild(m, n, seed + 200);
            for beta in [0., 1.] {
                let mut expected = start.clone();
                plain::gemm_bf16(a.view(), b.view(), beta, expected.view_mut());
                let bits = |c: &Array2<f32>| c.mapv(f32::to_bits);
                Path::each(|path| {
                    for a in [&a, &a_columns] {
                        for b in [b.view(), b_columns.view(), every] {
                            let mut c = start.clone();
                            Precision::Bf16.gemm(a.view(), b, beta, c.view_mut());
                            assert_eq!(bits(&c), bits(&expected), "{path:?} {m} {k} {n}");
                            let mut c = start.t().as_standard_layout().into_owned();
                            let to = c.view_mut().reversed_axes();
                            Precision::Bf16.gemm(a.view(), b, beta, to);
                            assert_eq!(bits(&c), bits(&expected).t(), "{path:?} {m} {k} {n}");
                            if beta == 0. {
                                let mut c = start.clone();
                                Precision::Bf16.pack(b).multiply(a.view(), c.view_mut());
                                assert_eq!(bits(&c), bits(&expected), "{path:?}, packed");
                            }
                        }
                    }
                });
            }
        }
    }

    #[test]
    fn every_route_matches_reference_in_f32() {
        routes::<f32>();
    }

    #[test]
    fn every_route_matches_reference_in_f64() {
        routes::<f64>();
    }
}
