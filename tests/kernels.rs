//! Defends: every kernel equals its naive twin, on ragged, empty and strided shapes, and gives the
//! same bits for any number of threads.
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
