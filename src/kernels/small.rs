//! Defends: kernels access only elements of their views. The cases are small enough for Miri, which
//! runs them in `.ci/run`; each uses one thread.
use super::gemm::{Packed, Precision, gemm, matmul};
use super::path::Path;
use super::plain;
use super::scalar::Scalar;
use ndarray::{Array2, ArrayView2, ShapeBuilder, s};

/// Small integers, whose sums are exact in either type.
fn integers<T: Scalar>(rows: usize, cols: usize, seed: usize) -> Array2<T> {
    let element = |(i, j)| T::of(((i * 31 + j * 17 + seed) % 13) as f64 - 6.);
    Array2::from_shape_fn((rows, cols), element)
}

/// A view of `rows × cols` elements, all of them `x`. Its strides are 0, so it needs no memory.
fn repeated(x: &[f32; 1], [rows, cols]: [usize; 2]) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, cols).strides((0, 0)), x).expect("one element")
}

/// Under Miri, the build's target features choose the path: this asserts that it is not the
/// portable one.
#[test]
fn tests_run_the_fastest_path_of_the_build() {
    let paths = Path::each(|path| path);
    assert!(paths.contains(&Path::Portable));
    if cfg!(all(target_feature = "avx512f", target_feature = "avx512vl")) {
        assert_eq!(paths, [Path::Avx512, Path::Avx2, Path::Portable]);
    }
    assert!(!cfg!(miri) || paths.len() == 3, "Miri runs only {paths:?}: set the target features");
}

fn products_equal_their_definitions<T: Scalar>() {
    Path::each(|_| {
        let cols = T::micro().map_or(8, |micro| micro.cols);
        // Panels of `B` read in place and packed, `A` and `B` stored transposed, and thin products.
        for [m, k, n] in
            [[5, 70, cols], [5, 70, cols - 3], [2, 70, 30], [9, 70, 30], [9, 3, 9], [1, 9, 8]]
        {
            let (a, b) = (integers::<T>(m, k, 1), integers::<T>(k, n, 2));
            let (a_t, b_t) = (a.t().as_standard_layout().into_owned(), integers::<T>(n, k, 2));
            let wide = integers::<T>(k, n + 5, 2);
            let inner = wide.slice(s![.., 2..n + 2]);
            for (a, b) in
                [(a.view(), b.view()), (a_t.t(), b.view()), (a.view(), b_t.t()), (a.view(), inner)]
            {
                let mut expected = integers(m, n, 3);
                let mut found = expected.clone();
                plain::gemm(T::of(2.), a, b, T::one(), expected.view_mut());
                gemm(T::of(2.), a, b, T::one(), found.view_mut());
                assert_eq!(found, expected, "[{m}, {k}] × [{k}, {n}]");
                let mut by_packed = Array2::zeros((m, n));
                Packed::new(b).multiply(a, by_packed.view_mut());
                assert_eq!(by_packed, matmul(a, b));
            }
        }
    });
}

#[test]
fn small_products_equal_their_definitions() {
    products_equal_their_definitions::<f32>();
    products_equal_their_definitions::<f64>();
}

/// `k × width` of these views exceeds `usize`, so that a wrapped product would allocate too little.
const DEPTH: usize = (1 << 60) + 1;

#[test]
#[should_panic(expected = "gemm: [5, 1152921504606846977] × [1152921504606846977, 6]: too many")]
fn gemm_refuses_views_of_too_many_elements() {
    let (a, b) = (repeated(&[1.], [5, DEPTH]), repeated(&[1.], [DEPTH, 6]));
    gemm(1., a, b, 0., Array2::zeros((5, 6)).view_mut());
}

#[test]
#[should_panic(expected = "Packed: [1152921504606846977, 6]: too many")]
fn packed_refuses_views_of_too_many_elements() {
    Packed::new(repeated(&[1.], [DEPTH, 6]));
}

#[test]
#[should_panic(expected = "conv: ")]
fn convolutions_refuse_views_of_too_many_elements() {
    let over = super::conv::Window::of([1, 1], [1, 1], [1 << 15, 0]).over([1, 1, 1]).unwrap();
    let n = usize::MAX / (2 << 15) + 1;
    let w = repeated(&[1.], [n, 1]);
    super::conv::backward_input(Precision::F32, &over, &[1.; 1], w, 0., &mut [0.]);
}
