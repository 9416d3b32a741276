//! Matrix products against their definition in [`kernels::plain`](crate::kernels::plain).
use super::suite::{Instance, Measurement, Property, Suite, largest};
use crate::autodiff::gradcheck::randn;
use crate::kernels::gemm::gemm;
use crate::kernels::plain;
use crate::kernels::scalar::Scalar;
use ndarray::{Array2, ArrayView2};

/// `C ← α A B + β C`, given `α`, `A`, `B`, `β` and `C`.
pub type Multiply<T> = fn(T, ArrayView2<'_, T>, ArrayView2<'_, T>, T, &mut Array2<T>);

/// A matrix product in either precision.
#[derive(Clone, Copy)]
pub struct Product {
    /// In `f64`.
    pub double: Multiply<f64>,
    /// In `f32`.
    pub single: Multiply<f32>,
}

const ENGINE: Product = Product { double: multiply, single: multiply };

fn multiply<T: Scalar>(
    alpha: T,
    a: ArrayView2<'_, T>,
    b: ArrayView2<'_, T>,
    beta: T,
    c: &mut Array2<T>,
) {
    gemm(alpha, a, b, beta, c.view_mut());
}

/// The suite of [`gemm`].
pub fn suite() -> Suite<Product> {
    Suite {
        properties: vec![
            Property::new(
                "f64",
                "αAB + βC equals a naive loop's for every route and stride, to within the rounding of a reordered sum",
                |product| against_plain(product.double, f64::EPSILON),
            ),
            Property::new(
                "f32",
                "the same in single precision, in which networks are trained",
                |product| against_plain(product.single, f64::from(f32::EPSILON)),
            ),
        ],
        instances: vec![Instance::new("gemm", ENGINE)],
        faults: faults(),
    }
}

/// The sizes `[m, k, n]` of products: some are ragged or thin, and some are large enough that every
/// route of [`gemm`] and two threads are used.
const SHAPES: [[usize; 3]; 10] = [
    [1, 1, 1],
    [3, 5, 7],
    [1, 200, 161],
    [4, 33, 50],
    [17, 1, 31],
    [31, 3, 29],
    [65, 127, 33],
    [128, 80, 10],
    [129, 257, 65],
    [200, 96, 310],
];

/// The largest ratio of an error to its bound, over all shapes, transpositions, `α` and `β`.
fn against_plain<T: Scalar>(multiply: Multiply<T>, epsilon: f64) -> Measurement {
    let mut all = vec![];
    for [m, k, n] in SHAPES {
        // Entries that are exact in f32.
        let matrix = |r: usize, c: usize, seed| -> Array2<f64> {
            let round = |x: f64| f64::from(x as f32);
            randn(&[r, c], seed).mapv(round).into_dimensionality().expect("two axes")
        };
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = if ta { matrix(k, m, 1).reversed_axes() } else { matrix(m, k, 1) };
            let b = if tb { matrix(n, k, 2).reversed_axes() } else { matrix(k, n, 2) };
            let c = matrix(m, n, 3);
            for [alpha, beta] in [[1., 0.], [-0.5, 1.], [2., 0.25]] {
                // `mapv` keeps the strides.
                let [left, right, mut found] = [&a, &b, &c].map(|x| x.mapv(T::of));
                multiply(T::of(alpha), left.view(), right.view(), T::of(beta), &mut found);
                let (mut expected, mut size) = (c.clone(), c.mapv(f64::abs));
                plain::gemm(alpha, a.view(), b.view(), beta, expected.view_mut());
                let [abs_a, abs_b] = [&a, &b].map(|x| x.mapv(f64::abs));
                let [abs_alpha, abs_beta] = [alpha, beta].map(f64::abs);
                plain::gemm(abs_alpha, abs_a.view(), abs_b.view(), abs_beta, size.view_mut());
                let errors = found.iter().zip(&expected).zip(&size);
                let worst = largest(errors.map(|((found, expected), size)| {
                    // Each of k + 2 operations rounds a value that is at most `size`, the same
                    // product of absolute values.
                    let bound = (k + 2) as f64 * epsilon * size;
                    (found.f64() - expected).abs() / bound.max(f64::MIN_POSITIVE)
                }));
                let at = format!("{m}×{k}×{n}, α {alpha}, β {beta}, error over its bound");
                all.push(Measurement::new(worst, 1., at));
            }
        }
    }
    Measurement::worst(all)
}

fn faults() -> Vec<Instance<Product>> {
    let double = |name, double: Multiply<f64>| Instance::new(name, Product { double, ..ENGINE });
    let single = |name, single: Multiply<f32>| Instance::new(name, Product { single, ..ENGINE });
    vec![
        double("f64: the last column is left out where it is ragged", |alpha, a, b, beta, c| {
            let n = c.ncols();
            let last = c.column(n - 1).to_owned();
            multiply(alpha, a, b, beta, c);
            if n % 8 != 0 {
                c.column_mut(n - 1).assign(&last);
            }
        }),
        double("f64: β is forgotten", |alpha, a, b, _, c| multiply(alpha, a, b, 0., c)),
        double("f64: α weighs C too", |alpha, a, b, beta, c| {
            multiply(alpha, a, b, alpha * beta, c);
        }),
        single("f32: half precision on the way", |alpha, a, b, beta, c| {
            let [a, b] = [a, b].map(|x| x.mapv(half));
            multiply(alpha, a.view(), b.view(), beta, c);
        }),
        single("f32: the stride of a transposed operand is ignored", |alpha, a, b, beta, c| {
            let in_memory_order = |x: ArrayView2<'_, f32>| {
                let entries = x.as_slice_memory_order().expect("contiguous").to_vec();
                Array2::from_shape_vec(x.dim(), entries).expect("as many entries")
            };
            multiply(alpha, in_memory_order(a).view(), in_memory_order(b).view(), beta, c);
        }),
    ]
}

/// `x` with its mantissa truncated to the 10 bits of half precision.
fn half(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & !0x1fff)
}
