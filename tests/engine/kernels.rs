//! Defends: every kernel equals its naive twin, on ragged, empty and strided shapes, and gives the
//! same bits for any number of threads.
use bhn::kernels::affine::{self, Affine};
use bhn::kernels::scalar::Scalar;
use bhn::kernels::{broadcast, gemm, vector};
use ndarray::{Array1, Array2, ArrayD, ArrayView2, s};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

fn random(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(-1. ..1.)).collect()
}

/// `n × m`, stored in one of five layouts: row-major, transposed, every other column, a window of
/// something larger, rows backwards.
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

/// `α A B + β C`, one entry at a time.
fn naive(
    alpha: f64,
    a: ArrayView2<f64>,
    b: ArrayView2<f64>,
    beta: f64,
    c: &Array2<f64>,
) -> Array2<f64> {
    Array2::from_shape_fn(c.dim(), |(i, j)| {
        let sum: f64 = (0..a.ncols()).map(|k| a[[i, k]] * b[[k, j]]).sum();
        alpha * sum + if beta == 0. { 0. } else { beta * c[[i, j]] }
    })
}

/// Sizes on both sides of every threshold: empty, one, thin, a vector width, a block and more.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), 1..6usize, 7..40usize, 250..300usize]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, rng_seed: RngSeed::Fixed(1), ..Default::default() })]

    #[test]
    fn gemm_is_the_naive_product(
        m in size(), k in size(), n in size(), layouts in [0..5usize, 0..5, 0..5],
        beta in prop_oneof![Just(0.), Just(1.), Just(-0.5)], alpha in prop_oneof![Just(1.), Just(2.)],
    ) {
        let (a, b) = (matrix(m, k, layouts[0], 1), matrix(k, n, layouts[1], 2));
        let mut c = matrix(m, n, layouts[2], 3);
        let expected = naive(alpha, a.view(), b.view(), beta, &c);
        gemm::gemm(alpha, a.view(), b.view(), beta, c.view_mut());
        // Entries are below 1, so a sum of k products in any order is within k² ulps of 1.
        let bound = 4. * f64::EPSILON * ((k * k) as f64 + 2.);
        for (x, y) in c.iter().zip(&expected) {
            prop_assert!((x - y).abs() <= bound, "{x} {y} in [{m}, {k}] × [{k}, {n}], {layouts:?}");
        }
    }

    #[test]
    fn f32_gemm_is_the_f64_one_rounded(m in size(), k in size(), n in size(), t in [any::<bool>(), any::<bool>()]) {
        let (a, b) = (matrix(m, k, t[0].into(), 1), matrix(k, n, t[1].into(), 2));
        let (af, bf) = (a.mapv(|x| x as f32), b.mapv(|x| x as f32));
        let exact = gemm::matmul(af.mapv(f64::from).view(), bf.mapv(f64::from).view());
        let bound = f64::from(f32::EPSILON) * ((k * k) as f64 / 4. + 1.);
        for (x, y) in gemm::matmul(af.view(), bf.view()).iter().zip(&exact) {
            prop_assert!((f64::from(*x) - y).abs() <= bound, "{x} {y} in [{m}, {k}] × [{k}, {n}]");
        }
    }

    #[test]
    fn broadcasting_is_ndarrays(
        shape in proptest::collection::vec(0..5usize, 0..5), drop in [0..5usize, 0..5], ones in [any::<u8>(), any::<u8>()],
    ) {
        let part = |i: usize| -> Vec<usize> {
            let kept = &shape[drop[i].min(shape.len())..];
            kept.iter().enumerate().map(|(j, &n)| if ones[i] >> j & 1 == 1 { 1 } else { n }).collect()
        };
        let (xs, ys) = (part(0), part(1));
        let tensor = |s: &[usize], seed| ArrayD::from_shape_vec(s, random(s.iter().product(), seed)).unwrap();
        let (x, y) = (tensor(&xs, 1), tensor(&ys, 2));
        let zs = broadcast::shape(&xs, &ys).expect("parts of one shape");
        let expected = &x.broadcast(&zs[..]).unwrap() - &y.broadcast(&zs[..]).unwrap();
        let mut z = vec![f64::NAN; expected.len()];
        broadcast::zip((x.as_slice().unwrap(), &xs), (y.as_slice().unwrap(), &ys), (&mut z, &zs), |x, y| x - y);
        prop_assert!(expected.iter().eq(&z), "{expected} {z:?}");

        // Its transpose: ⟨z, broadcast(x)⟩ = ⟨sum_to(z), x⟩.
        let mut sum = vec![0.; x.len()];
        broadcast::sum_to((&z, &zs), (&mut sum, &xs));
        let left: f64 = x.broadcast(&zs[..]).unwrap().iter().zip(&z).map(|(x, z)| x * z).sum();
        let right: f64 = sum.iter().zip(&x).map(|(s, x)| s * x).sum();
        prop_assert!((left - right).abs() <= 1e-12, "{left} {right}");
    }
}

/// `x` within NaNs that nobody may read or keep: alone, transposed, in every other column, in the
/// middle of something larger, backwards, apart in both directions, with rows 4096 bytes or a
/// multiple apart.
fn laid<T: Scalar>(x: &Array2<T>, layout: usize) -> Array2<T> {
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

/// Small whole numbers, which floats of either size add without rounding.
fn whole<T: Scalar>(n: usize, m: usize, seed: usize) -> Array2<T> {
    Array2::from_shape_fn((n, m), |(i, j)| T::of(((i * 31 + j * 17 + seed) % 13) as f64 - 6.))
}

/// Both sides of where a product changes its route, in all layouts: few rows (read in place), many
/// (packed), so few that they are streamed; `B` narrower than a tile and a little wider than several;
/// an inner dimension of 0, 2, and more than a strip's; rows that push each other out of the cache.
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
        let (a, b, start) = (whole::<T>(m, k, 1), whole::<T>(k, n, 5), whole::<T>(m, n, 2));
        let turned = b.t().as_standard_layout().into_owned();
        let product = Array2::from_shape_fn((m, n), |(i, j)| {
            a.row(i).iter().zip(turned.row(j)).map(|(&a, &b)| a * b).sum::<T>()
        });
        for (la, lb) in (0..7).flat_map(|la| (0..7).map(move |lb| (la, lb))) {
            let (a, b) = (laid(&a, la), laid(&b, lb));
            let at = |lc| format!("[{m}, {k}] × [{k}, {n}], layouts {la} {lb} {lc}");
            for (beta, lc) in [(0., (la + 2 * lb) % 7), (-2., (3 * la + lb + 1) % 7)] {
                let (two, beta) = (T::of(2.), T::of(beta));
                let blank = Array2::from_elem((m, n), T::nan());
                let mut c = laid(if beta == T::zero() { &blank } else { &start }, lc);
                gemm::gemm(two, a.view(), b.view(), beta, c.view_mut());
                let expected = product.mapv(|x| two * x) + start.mapv(|x| beta * x);
                assert!(c == expected, "{}, β = {beta}", at(lc));
                let around = c.into_raw_vec_and_offset().0;
                assert_eq!(around.iter().filter(|x| !x.is_nan()).count(), m * n, "{}", at(lc));
            }
            let lc = (la + lb) % 7;
            let mut c = laid(&Array2::from_elem((m, n), T::nan()), lc);
            gemm::Packed::new(b.view()).multiply(a.view(), c.view_mut());
            assert!(c == product, "packed, {}", at(lc));
        }
    }
}

#[test]
fn products_by_every_route_in_f32() {
    products::<f32>();
}

#[test]
fn products_by_every_route_in_f64() {
    products::<f64>();
}

#[test]
fn a_packed_matrix_multiplies_nothing() {
    let packed = gemm::Packed::new(whole::<f32>(6, 40, 0).view());
    packed.multiply(Array2::zeros((0, 6)).view(), Array2::zeros((0, 40)).view_mut());
}

fn squares_of_rows<T: Scalar>() {
    for (n, m) in [(0, 3), (5, 0), (1, 1), (8, 33), (9, 50), (200, 400), (3, 40_000)] {
        let v = whole::<T>(n, m, 3);
        let expected: Vec<T> =
            v.rows().into_iter().map(|v| v.iter().map(|&x| x * x).sum()).collect();
        for layout in [0, 3, 4, 6] {
            let mut squares = vec![T::nan(); n];
            gemm::row_squares(laid(&v, layout).view(), &mut squares);
            assert!(squares == expected, "[{n}, {m}], layout {layout}");
        }
    }
}

#[test]
fn row_squares_are_sums() {
    squares_of_rows::<f32>();
    squares_of_rows::<f64>();
}

#[test]
#[should_panic(expected = "row_squares: rows are not adjacent")]
fn row_squares_of_columns_are_refused() {
    gemm::row_squares(Array2::<f32>::zeros((9, 8)).t(), &mut [0.; 8]);
}

fn sums<T: Scalar>() {
    let close = |x: f64, y: f64| assert!((x - y).abs() <= 20. * T::epsilon().f64(), "{x} {y}");
    let numbers = |n, seed| random(n, seed).into_iter().map(T::of).collect::<Vec<_>>();
    for n in [1, 7, 16, 33, 800] {
        let (x, y, start) = (numbers(n, 1), numbers(n, 2), numbers(n, 3));
        let c = T::of(0.3);
        let mut z = vec![T::nan(); n];
        vector::scaled_sum(Some(&x), c, &y, &mut z);
        (0..n).for_each(|i| close(z[i].f64(), x[i].f64() + c.f64() * y[i].f64()));
        z.fill(T::nan());
        vector::scaled_sum(None, c, &y, &mut z);
        (0..n).for_each(|i| close(z[i].f64(), c.f64() * y[i].f64()));
        let mut sums: Vec<f64> = random(n, 4);
        vector::add_products(0.3, &x, &y, &mut sums);
        let before = random(n, 4);
        (0..n).for_each(|i| {
            let sum = before[i] + 0.3 * x[i].f64() * y[i].f64();
            assert!(
                (sums[i] - sum).abs() <= 1e-15,
                "products are in f64, whatever the factors are"
            );
        });
        let product: f64 = x.iter().zip(&y).map(|(x, y)| x.f64() * y.f64()).sum();
        assert!((vector::dot_f64(&x, &y) - product).abs() <= 1e-12, "{n}: the sum is in f64");
        for s in 0..10 {
            let (a, rows, mut y) = (numbers(s, 5), numbers(s * n, 6), start.clone());
            vector::add_rows(&a, &rows, &mut y);
            for (i, y) in y.iter().enumerate() {
                let sum: f64 = (0..s).map(|s| a[s].f64() * rows[s * n + i].f64()).sum();
                close(y.f64(), start[i].f64() + sum);
            }
        }
    }
}

#[test]
fn sums_equal_their_loops() {
    sums::<f32>();
    sums::<f64>();
}

/// `y = act(s ⊙ p + b)` and its gradients for `[n, S, B]`, an entry at a time; on both sides of where the
/// work is divided, and past the end of what a thread takes.
#[test]
fn affine_is_its_loops() {
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
            let (rows, at) = (samples * batch, |i: usize, j: usize| i * n + j);
            let from = |i: usize| if shared { i % batch } else { i };
            let p_rows = if shared { batch } else { rows };
            let (p, scale, shift) = (random(p_rows * n, 1), random(samples * n, 2), random(n, 3));
            let map = Affine { p: &p, scale: &scale, n, batch, relu };
            let mut y = vec![f64::NAN; rows * n];
            affine::forward(map, &shift, &mut y);
            let (dy, before) = (random(rows * n, 4), random(p_rows * n, 5));
            let [mut ds, mut db] = [samples * n, n].map(|n| vec![0.; n]);
            let mut dp = if beta == 0. { vec![0.; before.len()] } else { before.clone() };
            for (i, j) in (0..rows).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let (p, s) = (p[at(from(i), j)], scale[at(i / batch, j)]);
                let x = s * p + shift[j];
                let expected = if relu { x.max(0.) } else { x };
                assert!((y[at(i, j)] - expected).abs() <= 1e-15, "[{n}, {samples}, {batch}]");
                let g = if relu && x <= 0. { 0. } else { dy[at(i, j)] };
                dp[at(from(i), j)] += s * g;
                ds[at(i / batch, j)] += p * g;
                db[j] += g;
            }
            let blank = |rows| Array2::from_elem((rows, n), f64::NAN);
            let mut found = [blank(p_rows), blank(samples), blank(1)];
            if beta == 1. {
                found[0].as_slice_mut().unwrap().copy_from_slice(&before);
            }
            let [found_p, found_s, found_b] = &mut found;
            let found_p = (beta, found_p.as_slice_mut().unwrap());
            affine::backward(map, (&dy, &y), found_p, found_s.view_mut(), found_b.view_mut());
            for (found, expected) in found.iter().zip([dp, ds, db]) {
                for (x, y) in found.iter().zip(&expected) {
                    // Sums of at most 120,000 numbers below 1, whose rounding errors stay near
                    // the root of their number.
                    assert!(
                        (x - y).abs() <= 1e-12 * (batch as f64).max(160.).sqrt(),
                        "{x} {y} in [{n}, {samples}, {batch}]"
                    );
                }
            }
        }
    }
}

/// Long slices cross the chunks that threads take; ragged ends must not be lost.
#[test]
fn vectors_equal_their_loops() {
    for n in [0, 1, 31, vector::CHUNK, 2 * vector::CHUNK + 17] {
        let (x, y) = (random(n, 1), random(n, 2));
        let mut z = vec![0.; n];
        vector::map(&x, &mut z, |x| x * 2. + 1.);
        assert!(z.iter().zip(&x).all(|(z, x)| *z == x * 2. + 1.));
        vector::zip(&x, &y, &mut z, |x, y| x - y);
        assert!(z.iter().zip(x.iter().zip(&y)).all(|(z, (x, y))| *z == x - y));
        let mut sum = y.clone();
        vector::zip_onto(&x, &y, &mut sum, |x, y| x - 2. * y);
        assert!((0..n).all(|i| sum[i] == y[i] + (x[i] - 2. * y[i])));
        let squares: f64 = x.iter().map(|x| x * x).sum();
        assert!((vector::dot_f64(&x, &x) - squares).abs() <= 1e-12 * squares);
        let product: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
        assert!((gemm::dot(&x, &y) - product).abs() <= 1e-12 * (n as f64 + 1.));
        let mut sum = y.clone();
        gemm::axpy(0.5, &x, &mut sum);
        assert!(
            sum.iter().zip(x.iter().zip(&y)).all(|(s, (x, y))| (s - (y + 0.5 * x)).abs() <= 1e-15)
        );
    }
}

/// The vectorised Adam against its definition, written the textbook's way.
#[test]
fn adam_is_its_definition() {
    let n = vector::CHUNK + 5;
    let (g, mut m, mut v, mut w) = (random(n, 1), random(n, 2), random(n, 3), random(n, 4));
    v.iter_mut().for_each(|v| *v = v.abs());
    let before = (m.clone(), v.clone(), w.clone());
    let (b1, b2, t, rate, epsilon, shrink, limit) = (0.9_f64, 0.999_f64, 3, 0.01, 1e-8, 0.7, 0.5);
    let (bias1, bias2) = (1. - b1.powi(t), 1. - b2.powi(t));
    let step = vector::AdamStep {
        shrink,
        limit,
        beta1: b1,
        beta2: b2,
        rate: rate / bias1,
        unbias: 1. / bias2,
        epsilon,
    };
    vector::adam(step, &g, &mut m, &mut v, &mut w);
    for i in 0..n {
        let g = (shrink * g[i]).clamp(-limit, limit);
        let em = b1 * before.0[i] + (1. - b1) * g;
        let ev = b2 * before.1[i] + (1. - b2) * g * g;
        let ew = before.2[i] - rate * (em / bias1) / ((ev / bias2).sqrt() + epsilon);
        assert!((m[i] - em).abs() <= 1e-15 && (v[i] - ev).abs() <= 1e-15, "moments at {i}");
        assert!((w[i] - ew).abs() <= 1e-13, "{} {ew} at {i}", w[i]);
    }
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let run = || {
        let mut bits = vec![];
        for (m, k, n) in
            [(128, 784, 800), (1, 805, 200), (3, 200, 1600), (300, 2, 900), (1000, 60, 10)]
        {
            let a = matrix(m, k, 0, 1).mapv(|x| x as f32);
            let b = matrix(n, k, 0, 2).mapv(|x| x as f32);
            bits.extend(gemm::matmul(a.view(), b.t()).iter().map(|x| x.to_bits()));
            bits.extend(gemm::matmul(b.view(), a.t()).iter().map(|x| x.to_bits()));
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
fn shapes_that_do_not_fit_are_named() {
    gemm::matmul(Array2::<f32>::zeros((2, 3)).view(), Array2::zeros((4, 5)).view());
}
