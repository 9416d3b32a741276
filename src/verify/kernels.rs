//! Kernels against their definitions in [`kernels::plain`](crate::kernels::plain).
use super::faults;
use super::suite::{Finding, Property, Subject, Suite, largest};
use crate::autodiff::gradcheck::randn;
use crate::kernels::conv::{self, Window};
use crate::kernels::gemm::{Packed, gemm};
use crate::kernels::plain;
use ndarray::{Array2, ArrayView2};

/// `C ← α A B + β C`, in either precision.
#[derive(Clone, Copy)]
pub struct Product {
    /// In `f64`.
    pub double: fn(f64, ArrayView2<'_, f64>, ArrayView2<'_, f64>, f64, &mut Array2<f64>),
    /// In `f32`.
    pub single: fn(f32, ArrayView2<'_, f32>, ArrayView2<'_, f32>, f32, &mut Array2<f32>),
}

impl Product {
    pub(super) const SOUND: Self = Self {
        double: |alpha, a, b, beta, c| gemm(alpha, a, b, beta, c.view_mut()),
        single: |alpha, a, b, beta, c| gemm(alpha, a, b, beta, c.view_mut()),
    };
}

/// Ragged, thin, large enough for every route and for two threads.
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

/// Matrix products.
pub fn products() -> Suite<Product> {
    Suite {
        properties: vec![
            Property {
                name: "f64",
                proves: "αAB + βC for every route and stride is a naive loop's, to the rounding of a sum in another order",
                measure: |product| {
                    products_of(
                        |a, b, c, ab| {
                            let mut c = c.clone();
                            (product.double)(ab[0], a, b, ab[1], &mut c);
                            c
                        },
                        f64::EPSILON,
                    )
                },
            },
            Property {
                name: "f32",
                proves: "the same in single precision, in which networks are trained",
                measure: |product| {
                    products_of(
                        |a, b, c, ab| {
                            let narrow = |x: ArrayView2<'_, f64>| x.mapv(|x| x as f32);
                            // The stride is kept.
                            let turned = |x: ArrayView2<'_, f64>| match x.is_standard_layout() {
                                true => narrow(x),
                                false => narrow(x.t()).reversed_axes(),
                            };
                            let mut c = narrow(c.view());
                            (product.single)(
                                ab[0] as f32,
                                turned(a).view(),
                                turned(b).view(),
                                ab[1] as f32,
                                &mut c,
                            );
                            c.mapv(f64::from)
                        },
                        f64::from(f32::EPSILON),
                    )
                },
            },
        ],
        subjects: vec![Subject { name: "gemm".into(), it: Product::SOUND }],
        faults: faults::products(),
    }
}

fn products_of(
    f: impl Fn(ArrayView2<'_, f64>, ArrayView2<'_, f64>, &Array2<f64>, [f64; 2]) -> Array2<f64>,
    epsilon: f64,
) -> Finding {
    let mut findings = vec![];
    for [m, k, n] in SHAPES {
        // Numbers that f32 has.
        let matrix = |r: usize, c: usize, seed| -> Array2<f64> {
            let round = |x: f64| f64::from(x as f32);
            randn(&[r, c], seed).mapv(round).into_dimensionality().expect("two axes")
        };
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let a = if ta { matrix(k, m, 1).reversed_axes() } else { matrix(m, k, 1) };
            let b = if tb { matrix(n, k, 2).reversed_axes() } else { matrix(k, n, 2) };
            let c = matrix(m, n, 3);
            for [alpha, beta] in [[1., 0.], [-0.5, 1.], [2., 0.25]] {
                let found = f(a.view(), b.view(), &c, [alpha, beta]);
                let (mut expected, mut size) = (c.clone(), c.mapv(f64::abs));
                plain::gemm(alpha, a.view(), b.view(), beta, expected.view_mut());
                let [abs_a, abs_b] = [&a, &b].map(|x| x.mapv(f64::abs));
                let [abs_alpha, abs_beta] = [alpha, beta].map(f64::abs);
                plain::gemm(abs_alpha, abs_a.view(), abs_b.view(), abs_beta, size.view_mut());
                let errors = found.iter().zip(&expected).zip(&size);
                let worst = largest(errors.map(|((found, expected), size)| {
                    // Each of k + 2 operations rounds a value of at most the sum of absolute
                    // values.
                    let bound = (k + 2) as f64 * epsilon * size;
                    (found - expected).abs() / bound.max(f64::MIN_POSITIVE)
                }));
                let at = format!("{m}×{k}×{n}, α {alpha}, β {beta}, error over its bound");
                findings.push(Finding::new(worst, 1., at));
            }
        }
    }
    Finding::worst(findings)
}

/// A convolution of images `[B, H, W, C]` with weights `[N, h·w·C]`, and its gradients.
#[derive(Clone, Copy)]
pub struct Convolution {
    /// `y` of `x` and `w`.
    pub forward: fn(&conv::Sliding, &[f64], ArrayView2<'_, f64>, &mut [f64]),
    /// `dx` of `dy` and `w`.
    pub by_input: fn(&conv::Sliding, &[f64], ArrayView2<'_, f64>, &mut [f64]),
    /// `dw` of `x` and `dy`.
    pub by_weight: fn(&conv::Sliding, &[f64], &[f64], &mut Array2<f64>),
}

impl Convolution {
    pub(super) const SOUND: Self = Self {
        forward: |over, x, w, y| conv::forward(over, x, &Packed::new(w.t()), y),
        by_input: |over, dy, w, dx| conv::backward_input(over, dy, w, 0., dx),
        by_weight: |over, x, dy, dw| conv::backward_weight(over, x, dy, 0., dw.view_mut()),
    };
}

/// Convolutions.
pub fn convolutions() -> Suite<Convolution> {
    Suite {
        properties: vec![
            Property {
                name: "forward",
                proves: "every stride, padding and ragged window gives what loops over their definition give",
                measure: |c| convolved(c, |_, _, y, _, naive, _| (y.to_vec(), naive.to_vec())),
            },
            Property {
                name: "adjoints",
                proves: "⟨dy, conv(x, w)⟩ = ⟨dx, x⟩ = ⟨dw, w⟩, so that both gradients are those of the forward pass",
                measure: |c| {
                    convolved(c, |x, w, _, dy, naive, [dx, dw]| {
                        let dot =
                            |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                        let whole = dot(dy, naive);
                        (vec![dot(dx, x), dot(dw, w)], vec![whole, whole])
                    })
                },
            },
        ],
        subjects: vec![Subject { name: "conv".into(), it: Convolution::SOUND }],
        faults: faults::convolutions(),
    }
}

/// `[images, H, W, C, N]`, and a window.
const CONVOLUTIONS: [([usize; 5], Window); 8] = [
    ([2, 6, 5, 3, 4], window([3, 3], [1, 1], [0, 0])),
    ([1, 7, 6, 1, 5], window([3, 2], [2, 1], [0, 0])),
    ([3, 5, 5, 2, 3], window([3, 3], [1, 1], [1, 1])),
    ([2, 9, 8, 4, 7], window([4, 3], [3, 2], [2, 1])),
    ([1, 4, 4, 40, 36], window([2, 2], [1, 1], [0, 0])),
    ([1, 12, 11, 17, 65], window([5, 3], [1, 2], [1, 0])),
    ([3, 9, 40, 19, 33], window([3, 3], [1, 1], [0, 0])),
    ([2, 5, 6, 16, 16], window([3, 3], [1, 1], [2, 1])),
];

const fn window(size: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Window {
    Window { size, stride, padding }
}

type Compare = fn(&[f64], &[f64], &[f64], &[f64], &[f64], [&[f64]; 2]) -> (Vec<f64>, Vec<f64>);

fn convolved(c: &Convolution, compare: Compare) -> Finding {
    Finding::worst(CONVOLUTIONS.map(|([images, h, w, channels, n], window)| {
        let over = window.over([h, w, channels]).expect("it fits");
        let [rows, columns] = over.positions();
        let numbers = |n: usize, seed| randn(&[n], seed).into_raw_vec_and_offset().0;
        let x = numbers(images * h * w * channels, 1);
        let weights = numbers(n * over.covered(), 2);
        let dy = numbers(images * rows * columns * n, 3);
        let matrix = ArrayView2::from_shape([n, over.covered()], &weights).expect("its length");
        let mut naive = vec![0.; dy.len()];
        plain::conv2d(&over, &x, matrix, &mut naive);
        let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), matrix.to_owned());
        (c.forward)(&over, &x, matrix, &mut y);
        (c.by_input)(&over, &dy, matrix, &mut dx);
        (c.by_weight)(&over, &x, &dy, &mut dw);
        let dw = dw.as_slice().expect("row-major");
        let (found, expected) = compare(&x, &weights, &y, &dy, &naive, [&dx, dw]);
        let size = expected.iter().fold(1., |m: f64, e| m.max(e.abs()));
        let errors = found.iter().zip(&expected).map(|(f, e)| (f - e).abs() / size);
        let at = format!("{images}×{h}×{w}×{channels} → {n}, {window:?}");
        // Sums of a few thousand products at the most.
        Finding::new(largest(errors), 1e-12, at)
    }))
}
