//! Defends: AVX-512 and AVX2 give bitwise identical results, in every kernel and in training, in
//! bfloat16 with its instruction and without. A single test, as the instruction set is chosen for
//! the whole process.
use bhn::autodiff::gradcheck::randn;
use bhn::bayes::Targets;
use bhn::data::{Split, Task};
use bhn::kernels::affine::{self, Affine};
use bhn::kernels::conv::{self, Window};
use bhn::kernels::gemm::{self, Precision};
use bhn::kernels::scalar::Scalar;
use bhn::kernels::{broadcast, choose_path, path, pool, vector};
use bhn::primary::{Layer, Shape};
use bhn::run::config::Config;
use bhn::run::train::Trainer;
use ndarray::Array2;

/// Names of results, and their bits.
type Bits = Vec<(String, Vec<u64>)>;

fn bits<'a, T: Scalar>(entries: impl IntoIterator<Item = &'a T>) -> Vec<u64> {
    entries.into_iter().map(|x| x.f64().to_bits()).collect()
}

fn numbers<T: Scalar>(n: usize, seed: u64) -> Vec<T> {
    randn(&[n], seed).iter().map(|&x| T::of(x)).collect()
}

fn matrix<T: Scalar>(rows: usize, cols: usize, seed: u64) -> Array2<T> {
    Array2::from_shape_vec((rows, cols), numbers(rows * cols, seed)).unwrap()
}

/// `[m, k, n]` for every route: few elements, few rows, few columns, a short inner dimension, one
/// longer than a block, ragged tiles, and either operand packed.
const PRODUCTS: [[usize; 3]; 16] = [
    [1, 1, 1],
    [3, 5, 7],
    [9, 9, 9],
    [31, 37, 29],
    [1, 200, 161],
    [2, 15, 161],
    [4, 33, 50],
    [4, 7003, 20],
    [2, 33_000, 9],
    [300, 2, 100],
    [128, 784, 100],
    [45, 70, 130],
    [130, 70, 101],
    [15, 1100, 40],
    [50, 2500, 33],
    [20, 300, 27],
];

fn products<T: Scalar>(of: &mut Bits) {
    for [m, k, n] in PRODUCTS {
        for (left, right, down) in
            [(false, false, false), (true, false, true), (false, true, false), (true, true, true)]
        {
            let stored = |rows, cols, seed, transposed| match transposed {
                true => matrix::<T>(cols, rows, seed).reversed_axes(),
                false => matrix(rows, cols, seed),
            };
            let (a, b) = (stored(m, k, 1, left), stored(k, n, 2, right));
            let at = format!("[{m}, {k}] × [{k}, {n}], {left} {right} {down}");
            for (alpha, beta) in [(1., 0.), (1., 1.), (-0.3, 0.7)] {
                let (mut c, by) = (stored(m, n, 3, down), [alpha, beta].map(T::of));
                gemm::gemm(by[0], a.view(), b.view(), by[1], c.view_mut());
                of.push((format!("gemm {at}, {alpha}, {beta}"), bits(&c)));
            }
            let mut c = stored(m, n, 3, down);
            gemm::Packed::new(b.view()).multiply(a.view(), c.view_mut());
            of.push((format!("Packed {at}"), bits(&c)));
        }
        let (mut squares, v) = (numbers(k, 1), matrix::<T>(k, n, 2));
        gemm::row_squares(v.view(), &mut squares);
        of.push((format!("row_squares [{k}, {n}]"), bits(&squares)));
    }
}

fn vectors<T: Scalar>(of: &mut Bits) {
    for n in [1, 7, 15, 16, 33, 63, 100, 1003, vector::CHUNK + 5] {
        let mut add = |name: &str, found: Vec<u64>| of.push((format!("{name} {n}"), found));
        let [x, y, z] = [1, 2, 3].map(|seed| numbers::<T>(n, seed));
        add("dot", bits(&[vector::dot(&x, &y)]));
        add("sum_f64", bits(&[vector::sum_f64(&x)]));
        add("dot_f64", bits(&[vector::dot_f64(&x, &y)]));
        let change = |f: &dyn Fn(&mut [T])| {
            let mut z = z.clone();
            f(&mut z);
            bits(&z)
        };
        let c = T::of(0.3);
        add("axpy", change(&|z| vector::axpy(c, &x, z)));
        add("scaled_sum", change(&|z| vector::scaled_sum(Some(&x), c, &y, z)));
        add("scaled", change(&|z| vector::scaled_sum(None, c, &y, z)));
        add("exp", change(&|z| vector::map(&x, z, T::exp)));
        add("ln", change(&|z| vector::map(&x, z, |x| (x * x).ln())));
        add("tanh", change(&|z| vector::map(&x, z, T::tanh)));
        add("ln_1p", change(&|z| vector::map(&x, z, |x| (x * x).ln_1p())));
        add("product", change(&|z| vector::zip_onto(&x, &y, z, |x, y| x * y)));
        let rows = numbers(7 * n, 4);
        add("add_rows", change(&|z| vector::add_rows(&numbers::<T>(7, 5), &rows, z)));
        add("sum_to", change(&|z| broadcast::sum_to((&rows, &[7, n]), (z, &[n]))));
        let mut sum = numbers(n, 6);
        vector::add_products(0.7, &x, &y, &mut sum);
        add("add_products", bits(&sum));
        let step = vector::AdamStep {
            shrink: T::of(0.7),
            limit: T::of(0.5),
            beta1: T::of(0.9),
            beta2: T::of(0.999),
            rate: T::of(0.01),
            unbias: T::of(1.7),
            epsilon: T::of(1e-8),
        };
        let [mut m, mut w] = [y.clone(), z.clone()];
        let mut v: Vec<T> = numbers::<T>(n, 7).into_iter().map(T::abs).collect();
        vector::adam(step, &x, &mut m, &mut v, &mut w);
        add("adam", bits(m.iter().chain(&v).chain(&w)));
        let g = vector::Combination { along: T::of(0.3), factors: [T::of(0.2)], rows: [&x] };
        vector::adam_combined(step, g, &mut m, &mut v, &mut w);
        add("adam_combined", bits(m.iter().chain(&v).chain(&w)));
    }
}

fn affines<T: Scalar>(of: &mut Bits) {
    for (n, samples, batch) in [(1, 2, 3), (7, 3, 5), (209, 2, 80), (800, 3, 16), (64, 2, 1100)] {
        for (shared, relu) in [(false, false), (true, true)] {
            let rows = samples * batch;
            let p_rows = if shared { batch } else { rows };
            let [p, scale, shift, dy] = [(p_rows, 1), (samples, 2), (1, 3), (rows, 4)]
                .map(|(rows, seed)| numbers::<T>(rows * n, seed));
            let map = Affine { p: &p, scale: &scale, n, batch, relu };
            let mut y = dy.clone();
            affine::forward(map, &shift, &mut y);
            let [mut dp, mut ds, mut db] = [p_rows, samples, 1].map(|rows| matrix::<T>(rows, n, 5));
            let by_p = (T::one(), dp.as_slice_mut().unwrap());
            affine::backward(map, (&dy, &y), by_p, ds.view_mut(), db.view_mut());
            let at = format!("affine [{n}, {samples}, {batch}] {shared}");
            of.push((at, bits(y.iter().chain(&dp).chain(&ds).chain(&db))));
        }
    }
}

/// Each case is a number of images, `[H, W, C]`, a window and the output channels. Rows of windows
/// have 1 to 40 elements; 3 × 3 windows use Winograd's algorithm.
fn convolutions<T: Scalar>(precision: Precision, of: &mut Bits) {
    let window = |size, stride, padding| Window { size, stride, padding };
    for (images, image, window, n) in [
        (2, [6, 7, 1], window([2, 3], [1, 1], [0, 0]), 4),
        (9, [5, 4, 3], window([3, 3], [1, 1], [1, 1]), 70),
        (3, [6, 9, 4], window([2, 3], [2, 1], [0, 0]), 20),
        (3, [6, 9, 5], window([3, 4], [1, 2], [1, 0]), 33),
        (2, [7, 19, 8], window([3, 3], [1, 1], [0, 0]), 17),
        (2, [9, 8, 10], window([4, 3], [3, 2], [0, 1]), 40),
        (2, [4, 33, 40], window([1, 1], [1, 1], [0, 0]), 5),
        (3, [8, 7, 16], window([3, 3], [1, 1], [0, 0]), 35),
        (2, [11, 13, 50], window([3, 3], [1, 1], [1, 2]), 17),
    ] {
        let over = window.over(image).unwrap();
        let positions: usize = over.positions.iter().product();
        let (entries, k) = (image.iter().product::<usize>(), over.covered());
        let (x, dy) = (numbers::<T>(images * entries, 1), numbers(images * positions * n, 2));
        let w = matrix::<T>(n, k, 3);
        let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
        let packed = conv::precision(precision, &over, n).pack(w.t());
        conv::forward(&over, &x, &packed, &mut y);
        let mut add = |name: &str, bits| {
            of.push((format!("{name} {image:?} {window:?} {precision:?}"), bits))
        };
        add("conv", bits(&y));
        for beta in [T::zero(), T::one()] {
            conv::backward_input(precision, &over, &dy, w.view(), beta, &mut dx);
            add("conv by input", bits(&dx));
            conv::backward_weight(precision, &over, &x, &dy, beta, dw.view_mut());
            add("conv by weight", bits(&dw));
        }
        if window.padding == [0, 0] {
            let mut y = numbers::<T>(images * positions * image[2], 4);
            let dy = y.clone();
            pool::max(&over, &x, &mut y);
            add("max", bits(&y));
            pool::max_backward(&over, &x, &y, &dy, &mut dx);
            add("max backward", bits(&dx));
            pool::mean(&over, &x, &mut y);
            add("mean", bits(&y));
            pool::mean_backward(&over, &dy, &mut dx);
            add("mean backward", bits(&dx));
        }
    }
}

/// Parameters of a dense and of a convolutional network after two epochs.
fn training(precision: Precision, of: &mut Bits) {
    let task = Task::Classification { classes: ["a", "b", "c"].map(String::from).to_vec() };
    let x = randn(&[60, 100], 1).mapv(|x| x as f32).into_dimensionality().unwrap();
    let data = Split { x, y: Targets::Classes((0..60).map(|n| n % 3).collect()) };
    let words =
        ["conv 16 3x3", "relu", "conv 16 3x3 pad 1", "relu", "pool 2", "flatten", "dense 3"];
    let images = words.map(|layer| layer.parse().unwrap()).to_vec();
    for layers in [Layer::mlp(&[50, 40], 3), images] {
        let mut config = Config::default();
        config.primary.layers = Some(layers);
        (config.train.batch, config.train.epochs) = (32, 2);
        config.train.precision = precision;
        let mut trainer = Trainer::new(&config, Shape::Image([1, 10, 10]), &task, 60);
        for _ in 0..2 {
            trainer.epoch(&data, |_, _| {}).unwrap();
        }
        for (name, w) in trainer.model.params.iter() {
            of.push((format!("trained {name} {precision:?}"), bits(w)));
        }
    }
}

fn everything() -> Bits {
    let mut of = vec![];
    products::<f32>(&mut of);
    products::<f64>(&mut of);
    vectors::<f32>(&mut of);
    vectors::<f64>(&mut of);
    affines::<f32>(&mut of);
    affines::<f64>(&mut of);
    convolutions::<f64>(Precision::F32, &mut of);
    for precision in [Precision::F32, Precision::Bf16] {
        convolutions::<f32>(precision, &mut of);
        training(precision, &mut of);
    }
    of
}

#[test]
fn avx512_and_avx2_are_bitwise_identical() {
    let own = path();
    let found: Vec<_> = ["avx512", "avx2"]
        .into_iter()
        .filter(|path| choose_path(path))
        .map(|chosen| {
            assert_eq!(path(), chosen);
            everything()
        })
        .collect();
    assert!(!choose_path("sse9") && choose_path("portable") && path() == "portable");
    assert!(choose_path(own));
    for others in found.windows(2) {
        let differ: Vec<_> = others[0].iter().zip(&others[1]).filter(|(a, b)| a != b).collect();
        let names: Vec<_> = differ.iter().map(|(a, _)| &a.0).collect();
        assert!(names.is_empty(), "{} of {} differ: {names:#?}", names.len(), others[0].len());
    }
}
