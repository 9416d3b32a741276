//! Defends: every kernel equals its definition in `kernels::plain`, on ragged, empty and strided
//! shapes, and gives the same bits for any number of threads.
use bhn::kernels::affine::{self, Affine};
use bhn::kernels::conv::{self, Window};
use bhn::kernels::gemm::Precision;
use bhn::kernels::scalar::Scalar;
use bhn::kernels::{broadcast, gemm, plain, pool, vector};
use ndarray::{Array1, Array2, s};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use rstest::rstest;

fn random(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(-1. ..1.)).collect()
}

/// A random `n × m` matrix in one of five layouts: row-major, column-major, every other column, the
/// interior of a larger matrix, rows in reverse.
fn matrix(n: usize, m: usize, layout: usize, seed: u64) -> Array2<f64> {
    let base = |r: usize, c: usize| Array2::from_shape_vec((r, c), random(r * c, seed)).unwrap();
    match layout {
        0 => base(n, m),
        1 => base(m, n).reversed_axes(),
        2 => base(n, 2 * m).slice_move(s![.., ..;2]),
        3 => base(n + 2, m + 3).slice_move(s![1..n + 1, 2..m + 2]),
        _ => base(n, m).slice_move(s![..;-1, ..]),
    }
}

/// Sizes on both sides of every threshold: empty, one, thin, a vector width, a block and more.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 1..6usize, 7..40usize, 250..300usize]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(1),
        ..Default::default()
    })]

    #[test]
    fn gemm_equals_its_definition(
        m in size(), k in size(), n in size(), layouts in [0..5usize, 0..5, 0..5],
        beta in prop_oneof![Just(0.), Just(1.), Just(-0.5)],
        alpha in prop_oneof![Just(1.), Just(2.)],
    ) {
        let (a, b) = (matrix(m, k, layouts[0], 1), matrix(k, n, layouts[1], 2));
        let mut c = matrix(m, n, layouts[2], 3);
        let mut expected = c.clone();
        plain::gemm(alpha, a.view(), b.view(), beta, expected.view_mut());
        gemm::gemm(alpha, a.view(), b.view(), beta, c.view_mut());
        // Elements are below 1, so a sum of k products in any order is within k² ulps of 1.
        let bound = 4. * f64::EPSILON * ((k * k) as f64 + 2.);
        for (x, y) in c.iter().zip(&expected) {
            prop_assert!((x - y).abs() <= bound, "{x} {y} in [{m}, {k}] × [{k}, {n}], {layouts:?}");
        }
    }

    #[test]
    fn gemm_in_f32_is_close_to_exact_product(
        m in size(), k in size(), n in size(), t in [any::<bool>(), any::<bool>()],
    ) {
        let (a, b) = (matrix(m, k, t[0].into(), 1), matrix(k, n, t[1].into(), 2));
        let (af, bf) = (a.mapv(|x| x as f32), b.mapv(|x| x as f32));
        let mut exact = Array2::zeros((m, n));
        plain::gemm(1., af.mapv(f64::from).view(), bf.mapv(f64::from).view(), 0., exact.view_mut());
        let bound = f64::from(f32::EPSILON) * ((k * k) as f64 / 4. + 1.);
        for (x, y) in gemm::matmul(af.view(), bf.view()).iter().zip(&exact) {
            prop_assert!((f64::from(*x) - y).abs() <= bound, "{x} {y} in [{m}, {k}] × [{k}, {n}]");
        }
    }

    #[test]
    fn broadcasting_equals_its_definition(
        shape in proptest::collection::vec(0..5usize, 0..5),
        drop in [0..5usize, 0..5],
        ones in [any::<u8>(), any::<u8>()],
    ) {
        let part = |i: usize| -> Vec<usize> {
            let kept = &shape[drop[i].min(shape.len())..];
            let side = |(j, &n): (usize, &usize)| if ones[i] >> j & 1 == 1 { 1 } else { n };
            kept.iter().enumerate().map(side).collect()
        };
        let (xs, ys) = (part(0), part(1));
        let zs = broadcast::shape(&xs, &ys).expect("parts of one shape");
        let len = |shape: &[usize]| shape.iter().product();
        let (x, y) = (random(len(&xs), 1), random(len(&ys), 2));
        let [mut z, mut expected] = [(); 2].map(|()| vec![f64::NAN; len(&zs)]);
        broadcast::zip((&x, &xs), (&y, &ys), (&mut z, &zs), |x, y| x - y);
        plain::broadcast_zip((&x, &xs), (&y, &ys), (&mut expected, &zs), |x, y| x - y);
        prop_assert_eq!(&z, &expected);
        let [mut sum, mut expected] = [(); 2].map(|()| x.clone());
        broadcast::sum_to((&z, &zs), (&mut sum, &xs));
        plain::sum_to((&z, &zs), (&mut expected, &xs));
        let near = |(x, y): (&f64, &f64)| (x - y).abs() <= 1e-12;
        prop_assert!(sum.iter().zip(&expected).all(near), "{sum:?} {expected:?}");
    }
}

/// `x` surrounded by NaNs, which no kernel may read or overwrite: alone, column-major, in every
/// other column, in the interior of a larger matrix, rows in reverse, strided in both directions,
/// with rows a multiple of 4096 bytes apart.
fn embedded<T: Scalar>(x: &Array2<T>, layout: usize) -> Array2<T> {
    let (n, m) = x.dim();
    let base = |n, m| Array2::from_elem((n, m), T::nan());
    let mut y = match layout {
        0 => base(n, m),
        1 => base(m, n).reversed_axes(),
        2 => base(n, 2 * m).slice_move(s![.., ..;2]),
        3 => base(n + 2, m + 3).slice_move(s![1..n + 1, 2..m + 2]),
        4 => base(n, m).slice_move(s![..;-1, ..]),
        5 => base(2 * n, 3 * m).slice_move(s![..;2, ..;3]),
        _ => base(n, m.next_multiple_of(1024)).slice_move(s![.., ..m]),
    };
    y.assign(x);
    y
}

/// Small integers, whose sums are exact in either type.
fn integers<T: Scalar>(n: usize, m: usize, seed: usize) -> Array2<T> {
    Array2::from_shape_fn((n, m), |(i, j)| T::of(((i * 31 + j * 17 + seed) % 13) as f64 - 6.))
}

/// Shapes on both sides of each threshold between algorithms, in all layouts: few rows (`B` in
/// place), many (`B` packed), at most four (streamed); `B` narrower than a tile and a little wider
/// than several; an inner dimension of 0, 2, and more than a block's; rows that map to the same
/// cache sets.
fn products<T: Scalar>() {
    let few = (40..=45).map(|m| (m, 70, 130));
    let others = [
        (1, 1, 1),
        (3, 0, 5),
        (60, 0, 40),
        (3, 300, 70),
        (4, 70, 600),
        (2, 7000, 20),
        (300, 2, 100),
        (50, 90, 31),
        (20, 300, 27),
        (130, 70, 100),
        (15, 1100, 40),
        (200, 660, 5),
        (2, 33_000, 9),
    ];
    for (m, k, n) in few.chain(others) {
        let (a, b, start) =
            (integers::<T>(m, k, 1), integers::<T>(k, n, 5), integers::<T>(m, n, 2));
        let mut product = Array2::zeros((m, n));
        plain::gemm(T::one(), a.view(), b.view(), T::zero(), product.view_mut());
        for (la, lb) in (0..7).flat_map(|la| (0..7).map(move |lb| (la, lb))) {
            let (a, b) = (embedded(&a, la), embedded(&b, lb));
            let at = |lc| format!("[{m}, {k}] × [{k}, {n}], layouts {la} {lb} {lc}");
            for (beta, lc) in [(0., (la + 2 * lb) % 7), (-2., (3 * la + lb + 1) % 7)] {
                let (two, beta) = (T::of(2.), T::of(beta));
                let blank = Array2::from_elem((m, n), T::nan());
                let mut c = embedded(if beta == T::zero() { &blank } else { &start }, lc);
                gemm::gemm(two, a.view(), b.view(), beta, c.view_mut());
                let expected = product.mapv(|x| two * x) + start.mapv(|x| beta * x);
                assert!(c == expected, "{}, β = {beta}", at(lc));
                let around = c.into_raw_vec_and_offset().0;
                assert_eq!(around.iter().filter(|x| !x.is_nan()).count(), m * n, "{}", at(lc));
            }
            let lc = (la + lb) % 7;
            let mut c = embedded(&Array2::from_elem((m, n), T::nan()), lc);
            gemm::Packed::new(b.view()).multiply(a.view(), c.view_mut());
            assert!(c == product, "packed, {}", at(lc));
        }
    }
}

#[test]
fn gemm_is_exact_on_integers_in_every_layout_in_f32() {
    products::<f32>();
}

#[test]
fn gemm_is_exact_on_integers_in_every_layout_in_f64() {
    products::<f64>();
}

#[test]
fn packed_multiply_accepts_empty_matrix() {
    let packed = gemm::Packed::new(integers::<f32>(6, 40, 0).view());
    packed.multiply(Array2::zeros((0, 6)).view(), Array2::zeros((0, 40)).view_mut());
}

fn squares_of_rows<T: Scalar>() {
    for (n, m) in [(0, 3), (5, 0), (1, 1), (8, 33), (9, 50), (200, 400), (3, 40_000)] {
        let v = integers::<T>(n, m, 3);
        let mut expected = vec![T::nan(); n];
        plain::row_squares(v.view(), &mut expected);
        for layout in [0, 3, 4, 6] {
            let mut squares = vec![T::nan(); n];
            gemm::row_squares(embedded(&v, layout).view(), &mut squares);
            assert!(squares == expected, "[{n}, {m}], layout {layout}");
        }
    }
}

#[test]
fn row_squares_equal_their_definition() {
    squares_of_rows::<f32>();
    squares_of_rows::<f64>();
}

#[test]
#[should_panic(expected = "row_squares: rows are not contiguous")]
fn row_squares_panics_on_non_contiguous_rows() {
    gemm::row_squares(Array2::<f32>::zeros((9, 8)).t(), &mut [0.; 8]);
}

/// `f` on copies of `z`, fast and plain, agree to `20 ε` of `T`.
fn agree<T: Scalar, Z: Scalar>(
    name: &str,
    z: &[Z],
    f: impl Fn(&mut [Z]),
    plain: impl Fn(&mut [Z]),
) {
    let [mut found, mut expected] = [(); 2].map(|()| z.to_vec());
    f(&mut found);
    plain(&mut expected);
    for (x, y) in found.iter().zip(&expected) {
        let near = (x.f64() - y.f64()).abs() <= 20. * T::epsilon().f64();
        assert!(near, "{name} of {}: {x} {y}", z.len());
    }
}

fn sums<T: Scalar>() {
    let numbers = |n, seed| random(n, seed).into_iter().map(T::of).collect::<Vec<_>>();
    for n in [1, 7, 16, 33, 800] {
        let (x, y, start) = (numbers(n, 1), numbers(n, 2), numbers(n, 3));
        let (c, nan, wide) = (T::of(0.3), vec![T::nan(); n], random(n, 4));
        agree::<T, _>(
            "scaled_sum",
            &nan,
            |z| vector::scaled_sum(Some(&x), c, &y, z),
            |z| plain::scaled_sum(Some(&x), c, &y, z),
        );
        agree::<T, _>(
            "scaled_sum of one",
            &nan,
            |z| vector::scaled_sum(None, c, &y, z),
            |z| plain::scaled_sum(None, c, &y, z),
        );
        agree::<T, _>("axpy", &start, |z| vector::axpy(c, &x, z), |z| plain::axpy(c, &x, z));
        agree::<T, _>(
            "add_rounded",
            &start,
            |z| vector::add_rounded(&wide, z),
            |z| plain::add_rounded(&wide, z),
        );
        // These results are in f64, whatever the type of the inputs.
        agree::<f64, _>("add_f64", &wide, |z| vector::add_f64(&x, z), |z| plain::add_f64(&x, z));
        agree::<f64, _>(
            "add_products",
            &wide,
            |z| vector::add_products(0.3, &x, &y, z),
            |z| plain::add_products(0.3, &x, &y, z),
        );
        assert!(
            (vector::dot_f64(&x, &y) - plain::dot_f64(&x, &y)).abs() <= 1e-12,
            "dot_f64 of {n}"
        );
        assert!((vector::sum_f64(&x) - plain::sum_f64(&x)).abs() <= 1e-12, "sum_f64 of {n}");
        for s in 0..10 {
            let (a, rows) = (numbers(s, 5), numbers(s * n, 6));
            agree::<T, _>(
                "add_rows",
                &start,
                |z| vector::add_rows(&a, &rows, z),
                |z| plain::add_rows(&a, &rows, z),
            );
        }
    }
}

#[test]
fn sums_equal_their_definitions() {
    sums::<f32>();
    sums::<f64>();
}

/// `[n, S, B]` on both sides of where the work is split, and beyond one task.
#[test]
fn affine_equals_its_definition() {
    let sizes = [
        (1, 2, 3),
        (7, 3, 5),
        (64, 1, 9),
        (209, 2, 80),
        (800, 3, 16),
        (64, 2, 1100),
        (1, 3, 40_000),
    ];
    for (n, samples, batch) in sizes {
        for (shared, relu, beta) in
            [(false, false, 0.), (true, true, 0.), (false, true, 1.), (true, false, 1.)]
        {
            let rows = samples * batch;
            let p_rows = if shared { batch } else { rows };
            let (p, scale, shift) = (random(p_rows * n, 1), random(samples * n, 2), random(n, 3));
            let map = Affine { p: &p, scale: &scale, n, batch, relu };
            let [mut y, mut expected] = [(); 2].map(|()| vec![f64::NAN; rows * n]);
            affine::forward(map, &shift, &mut y);
            plain::affine(map, &shift, &mut expected);
            for (y, expected) in y.iter().zip(&expected) {
                assert!((y - expected).abs() <= 1e-15, "[{n}, {samples}, {batch}]");
            }
            let dy = random(rows * n, 4);
            let gradients = [(); 2].map(|()| {
                let blank = |rows| Array2::from_elem((rows, n), f64::NAN);
                let dp =
                    if beta == 1. { random(p_rows * n, 5) } else { vec![f64::NAN; p_rows * n] };
                (dp, blank(samples), blank(1))
            });
            let [(mut dp, mut ds, mut db), (mut plain_dp, mut plain_ds, mut plain_db)] = gradients;
            affine::backward(map, (&dy, &y), (beta, &mut dp), ds.view_mut(), db.view_mut());
            let to = (beta, &mut plain_dp[..]);
            plain::affine_backward(map, (&dy, &y), to, plain_ds.view_mut(), plain_db.view_mut());
            let found = dp.iter().chain(&ds).chain(&db);
            for (x, y) in found.zip(plain_dp.iter().chain(&plain_ds).chain(&plain_db)) {
                // Sums of at most 120,000 terms below 1, whose rounding errors grow as the root of
                // their number.
                assert!(
                    (x - y).abs() <= 1e-12 * (batch as f64).max(160.).sqrt(),
                    "{x} {y} in [{n}, {samples}, {batch}]"
                );
            }
        }
    }
}

/// Slices longer than one task, with ragged ends.
#[test]
fn vectors_equal_their_definitions() {
    for n in [0, 1, 31, vector::CHUNK, 2 * vector::CHUNK + 17] {
        let (x, y) = (random(n, 1), random(n, 2));
        let equal = |f: &dyn Fn(&mut [f64]), plain: &dyn Fn(&mut [f64])| {
            let [mut found, mut expected] = [(); 2].map(|()| y.clone());
            f(&mut found);
            plain(&mut expected);
            assert!(found == expected, "length {n}");
        };
        let f = |x| x * 2. + 1.;
        equal(&|z| vector::map(&x, z, f), &|z| plain::map(&x, z, f));
        let f = |x, y| x - 2. * y;
        equal(&|z| vector::zip(&x, &y, z, f), &|z| plain::zip(&x, &y, z, f));
        equal(&|z| vector::zip_onto(&x, &y, z, f), &|z| plain::zip_onto(&x, &y, z, f));
        let squares = plain::dot_f64(&x, &x);
        assert!((vector::dot_f64(&x, &x) - squares).abs() <= 1e-12 * squares);
        let bound = 1e-12 * (n as f64 + 1.);
        assert!((vector::sum_f64(&x) - plain::sum_f64(&x)).abs() <= bound);
        assert!((vector::dot(&x, &y) - plain::dot(&x, &y)).abs() <= bound);
        agree::<f64, _>("axpy", &y, |z| vector::axpy(0.5, &x, z), |z| plain::axpy(0.5, &x, z));
    }
    for (count, a, b) in [(0, 2, 3), (1, 1, 1), (3, 5, 7), (2, 200, 300), (4, 1, 9)] {
        let x = random(count * a * b, 1);
        let [mut y, mut expected] = [(); 2].map(|()| vec![f64::NAN; x.len()]);
        vector::transpose(&x, &mut y, [a, b]);
        plain::transpose(&x, &mut expected, [a, b]);
        assert_eq!(y, expected);
    }
}

#[test]
fn adam_equals_its_definition() {
    let n = vector::CHUNK + 5;
    let (g, m, mut v, w) = (random(n, 1), random(n, 2), random(n, 3), random(n, 4));
    v.iter_mut().for_each(|v| *v = v.abs());
    let (beta1, beta2, t) = (0.9_f64, 0.999_f64, 3);
    let step = vector::AdamStep {
        shrink: 0.7,
        limit: 0.5,
        beta1,
        beta2,
        rate: 0.01 / (1. - beta1.powi(t)),
        unbias: 1. / (1. - beta2.powi(t)),
        epsilon: 1e-8,
    };
    let [found, expected] = [vector::adam, plain::adam].map(|adam| {
        let (mut m, mut v, mut w) = (m.clone(), v.clone(), w.clone());
        adam(step, &g, &mut m, &mut v, &mut w);
        (m, v, w)
    });
    for i in 0..n {
        let error = |x: &[f64], y: &[f64]| (x[i] - y[i]).abs();
        assert!(error(&found.0, &expected.0) <= 1e-15 && error(&found.1, &expected.1) <= 1e-15);
        assert!(error(&found.2, &expected.2) <= 1e-13, "{} at {i}", found.2[i]);
    }
}

/// Forming the gradient on the way changes no bit.
#[rstest]
fn adam_combined_equals_adam_of_its_gradient(#[values(1, 3, 64, 805)] n: usize) {
    fn check<const S: usize>(n: usize) {
        let step = vector::AdamStep {
            shrink: 0.7,
            limit: 0.5,
            beta1: 0.9,
            beta2: 0.999,
            rate: 0.01,
            unbias: 1.7,
            epsilon: 1e-8,
        };
        let rows: [_; S] = std::array::from_fn(|s| random(n, 10 + s as u64));
        let rows = rows.each_ref().map(|z| &z[..]);
        let factors = std::array::from_fn(|s| random(S, 5)[s]);
        let g = vector::Combination { along: -0.3, factors, rows };
        let (m, v, w) = (random(n, 2), random(n, 3), random(n, 4));
        let [mut found, mut expected] = [(); 2].map(|()| [m.clone(), v.clone(), w.clone()]);
        found[1].iter_mut().chain(&mut expected[1]).for_each(|v| *v = v.abs());
        let formed = plain::combined(g, &w);
        let [m, v, w] = &mut found;
        vector::adam_combined(step, g, m, v, w);
        let [m, v, w] = &mut expected;
        vector::adam(step, &formed, m, v, w);
        assert_eq!(found, expected);
    }
    check::<0>(n);
    check::<1>(n);
    check::<8>(n);
}

/// The inputs are integers, for which every algorithm but Winograd's is exact; the unit tests of
/// `conv` cover each of its algorithms.
fn images<T: Scalar>() {
    let window = |size, stride, padding| Window { size, stride, padding };
    for (count, image, window, n) in [
        (2, [5, 6, 3], window([2, 3], [1, 1], [0, 0]), 4),
        (1, [1, 1, 1], window([1, 1], [1, 1], [0, 0]), 1),
        (3, [7, 33, 8], window([3, 4], [1, 2], [0, 0]), 17),
        (2, [9, 8, 40], window([3, 2], [4, 3], [0, 0]), 5),
        (2, [3, 2, 5], window([5, 4], [2, 1], [2, 3]), 3),
        (2, [8, 7, 16], window([3, 3], [1, 1], [1, 1]), 35),
        (0, [2, 2, 3], window([2, 2], [2, 2], [0, 0]), 3),
    ] {
        let over = window.over(image).unwrap();
        let ([rows, columns], k) = (over.positions, over.covered());
        let flat = |n, seed| integers::<T>(1, n, seed).into_raw_vec_and_offset().0;
        let (x, w) = (flat(count * image.iter().product::<usize>(), 1), integers::<T>(n, k, 5));
        let dy = flat(count * rows * columns * n, 3);
        let close = |name: &str, found: &[T], expected: &[T]| {
            let near = |(x, y): (&T, &T)| (*x - *y).abs() <= T::of(1e5) * T::epsilon();
            assert!(found.iter().zip(expected).all(near), "{name}: {over:?}");
        };
        let two = |n| [(); 2].map(|()| vec![T::nan(); n]);
        let [mut found, mut expected] = two(dy.len());
        conv::forward(&over, &x, &gemm::Packed::new(w.t()), &mut found);
        plain::conv2d(&over, &x, w.view(), &mut expected);
        close("conv2d", &found, &expected);
        let [mut found, mut expected] = two(x.len());
        conv::backward_input(Precision::F32, &over, &dy, w.view(), T::zero(), &mut found);
        plain::conv2d_backward_input(&over, &dy, w.view(), T::zero(), &mut expected);
        close("dx", &found, &expected);
        let [mut found, mut expected] = [(); 2].map(|()| w.clone());
        conv::backward_weight(Precision::F32, &over, &x, &dy, T::one(), found.view_mut());
        plain::conv2d_backward_weight(&over, &x, &dy, T::one(), expected.view_mut());
        close("dw", found.as_slice().unwrap(), expected.as_slice().unwrap());
        if window.padding != [0, 0] {
            continue;
        }
        // A NaN in each image, and equal elements, of which the first is the maximum.
        let mut x = x;
        x.iter_mut().step_by(over.covered() * 2 + 1).for_each(|x| *x = T::nan());
        let same = |name: &str, found: &[T], expected: &[T]| {
            let equal = |(x, y): (&T, &T)| x == y || x.is_nan() && y.is_nan();
            assert!(found.iter().zip(expected).all(equal), "{name}: {over:?}");
        };
        let len = count * rows * columns * image[2];
        let [mut y, mut expected] = two(len);
        pool::max(&over, &x, &mut y);
        plain::max_pool(&over, &x, &mut expected);
        same("max", &y, &expected);
        let dy = flat(len, 7);
        let [mut found, mut expected] = [(); 2].map(|()| vec![T::one(); x.len()]);
        pool::max_backward(&over, &x, &y, &dy, &mut found);
        plain::max_pool_backward(&over, &x, &y, &dy, &mut expected);
        same("max backward", &found, &expected);
        let [mut y, mut expected] = two(len);
        pool::mean(&over, &x, &mut y);
        plain::avg_pool(&over, &x, &mut expected);
        same("mean", &y, &expected);
        let [mut found, mut expected] = [(); 2].map(|()| vec![T::one(); x.len()]);
        pool::mean_backward(&over, &dy, &mut found);
        plain::avg_pool_backward(&over, &dy, &mut expected);
        same("mean backward", &found, &expected);
    }
}

#[test]
fn convolutions_and_pools_equal_their_definitions() {
    images::<f32>();
    images::<f64>();
}

#[test]
fn results_are_bitwise_independent_of_thread_count() {
    let run = || {
        let mut bits = vec![];
        for (m, k, n) in
            [(128, 784, 800), (1, 805, 200), (3, 200, 1600), (300, 2, 900), (1000, 60, 10)]
        {
            let a = matrix(m, k, 0, 1).mapv(|x| x as f32);
            let b = matrix(n, k, 0, 2).mapv(|x| x as f32);
            bits.extend(gemm::matmul(a.view(), b.t()).iter().map(|x| x.to_bits()));
            bits.extend(gemm::matmul(b.view(), a.t()).iter().map(|x| x.to_bits()));
            let mut c = Array2::zeros((m, n));
            Precision::Bf16.gemm(a.view(), b.t(), 0., c.view_mut());
            bits.extend(c.iter().map(|x| x.to_bits()));
        }
        for (relu, [n, samples, batch]) in
            [(false, [800, 3, 16]), (true, [800, 3, 16]), (true, [64, 2, 1100])]
        {
            let [p, scale, shift, dy] = [batch * n, samples * n, n, samples * batch * n]
                .map(|n| random(n, 7).into_iter().map(|x| x as f32).collect::<Vec<_>>());
            let map = Affine { p: &p, scale: &scale, n, batch, relu };
            let mut y = vec![0.; dy.len()];
            affine::forward(map, &shift, &mut y);
            let [mut dp, mut ds, mut db] = [batch, samples, 1].map(|rows| Array2::zeros((rows, n)));
            let outputs = (ds.view_mut(), db.view_mut());
            let to = (0., dp.as_slice_mut().unwrap());
            affine::backward(map, (&dy, &y), to, outputs.0, outputs.1);
            bits.extend(y.iter().chain(&dp).chain(&ds).chain(&db).map(|x| x.to_bits()));
        }
        let x = Array1::from(random(200_001, 3)).mapv(|x| x as f32);
        let sum = vector::dot_f64(x.as_slice().unwrap(), x.as_slice().unwrap()).to_bits();
        bits.extend([sum as u32, (sum >> 32) as u32]);
        bits
    };
    let with = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(run);
    let one = with(1);
    assert!([2, 3, 7].into_iter().all(|n| with(n) == one));
}

#[test]
#[should_panic(expected = "gemm: [2, 3] × [4, 5]: inner dimensions differ")]
fn gemm_shape_mismatch_panics() {
    gemm::matmul(Array2::<f32>::zeros((2, 3)).view(), Array2::zeros((4, 5)).view());
}
