//! Defends: every bijector is invertible, its log-determinant is that of its Jacobian, its
//! gradients are right, and each of its parameters learns; each is its formula.
//!
//! The properties are those of `bhn verify`, tested here also for other widths and for
//! combinations. `D ≥ 4`, since a direction `v/‖v‖` of one entry has no gradient at all.
use bhn::autodiff::gradcheck::randn;
use bhn::autodiff::{Owned, Tape};
use bhn::flows::{
    Bijector, Chain, Conditioner, Coupling, Elementwise, Iaf, Inverse, Kink, KinkShape, Lu,
    Permutation, Planar, RankOne, Stabiliser,
};
use bhn::nn::{Init, Params};
use bhn::verify::flows::{
    Build, CONDITIONER, FLOWS, Flow, gradients, independence, inverse, log_det,
};
use ndarray::{Array1, Array2};
use rand::{SeedableRng, rngs::ChaCha8Rng, seq::SliceRandom};
use rstest::rstest;

/// The bijector of this name in the list of `bhn verify`.
fn flow(name: &str) -> Build {
    FLOWS.iter().find(|(known, _)| *known == name).expect("a flow").1
}

const PLAIN: Conditioner = Conditioner { weight_norm: false, ..CONDITIONER };

/// An IAF whose parameters are named by the number of existing ones.
fn iaf(p: &mut Params<f64>, d: usize, conditioner: Conditioner, rng: &mut ChaCha8Rng) -> Iaf {
    let (name, order) = (format!("f{}", p.iter().len()), Permutation::random(d, rng));
    Iaf::new(p, &name, order, conditioner, rng)
}

/// Combinations and special cases beside those of `bhn verify`.
const OTHERS: [(&str, Build); 6] = [
    ("IAF, plain weights", |p, d, rng| Box::new(iaf(p, d, PLAIN, rng))),
    ("two IAFs", |p, d, rng| {
        let first = Chain::default().then(iaf(p, d, CONDITIONER, rng));
        Box::new(first.then(iaf(p, d, CONDITIONER, rng)))
    }),
    // Scales are bounded: with others, the inverse may overflow at values that are not samples of
    // the flow, since the error of an entry grows a thousandfold in the next.
    ("IAF, backwards", |p, d, rng| {
        let bounded = Conditioner { stabiliser: Stabiliser::Tanh, ..CONDITIONER };
        Box::new(Inverse(iaf(p, d, bounded, rng)))
    }),
    // Only one linear layer: the inverse of two layers with entries of order one is too steep for
    // finite differences.
    ("linear layers", |p, d, rng| {
        let zero = Init::Constant(0.);
        let first = Chain::default().then(Kink::new(p, "a", d, KinkShape::Smooth));
        let second = first.then(Lu::new(p, "b", d, zero, zero, rng));
        Box::new(second.then(Kink::new(p, "c", d, KinkShape::Prelu)))
    }),
    ("reversal", |_, d, _| Box::new(Permutation::reversal(d))),
    ("empty chain", |_, _, _| Box::new(Chain::default())),
];

/// Every flow, with inputs of even and odd width.
fn all() -> impl Iterator<Item = (String, usize, Flow)> {
    let builds = || FLOWS.into_iter().chain(OTHERS);
    [4, 5].into_iter().flat_map(move |d| {
        builds().map(move |(name, build)| (format!("{name}, D = {d}"), d, Flow::new(build, d)))
    })
}

fn close(a: &Owned<f64>, b: &Owned<f64>, tolerance: f64) {
    let error = (a - b).iter().fold(0., |m: f64, e| m.max(e.abs()));
    let size = b.iter().fold(1., |m: f64, e| m.max(e.abs()));
    assert!(a.shape() == b.shape() && error <= tolerance * size, "{error:e} off:\n{a}\n{b}");
}

#[test]
fn inverse_undoes_forward() {
    for (name, d, flow) in all() {
        let found = inverse(&flow, &randn(&[9, d], 2));
        assert!(found.passed(), "{name}: {found:?}");
    }
}

/// `ln|det ∂y/∂x|` from a Jacobian built row by row on the tape, and no sample depends on another.
#[test]
fn log_det_equals_jacobian_and_samples_are_independent() {
    for (name, d, flow) in all() {
        let x = randn(&[3, d], 2);
        for found in [log_det(&flow, &x), independence(&flow, &x)] {
            assert!(found.passed(), "{name}: {found:?}");
        }
    }
}

/// With few entries there may be nothing to condition on: masked rows, empty products.
#[rstest]
fn flows_support_few_dimensions(#[values(1, 2, 3)] d: usize) {
    let plain = |(name, _): &(&str, Build)| ["IAF, plain weights", "linear layers"].contains(name);
    let names = [
        "elementwise",
        "IAF",
        "invertible linear",
        "triangular",
        "rank one",
        "kink, smooth",
        "kink, PReLU",
        "planar",
    ];
    let builds = names.map(flow).into_iter().chain(OTHERS.into_iter().filter(plain).map(|o| o.1));
    for flow in builds.map(|build| Flow::new(build, d)) {
        inverse(&flow, &randn(&[9, d], 2)).assert();
        log_det(&flow, &randn(&[3, d], 2)).assert();
    }
}

#[rstest]
fn gradients_match_finite_differences(#[values(false, true)] inverse: bool) {
    for (name, d, flow) in all() {
        let found = gradients(&flow, d, inverse);
        assert!(found.passed(), "{name}: {found:?}");
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    for (flow_name, d, Flow { params, map }) in all() {
        let tape = Tape::default();
        let (p, x) = (params.bind(&tape), tape.constant(randn(&[200, d], 2)));
        let (y, log_det) = map.forward(&p, x);
        let loss = (y * tape.constant(randn(&[200, d], 3))).sum()
            + (log_det * tape.constant(randn(&[200], 4))).sum();
        for ((name, value), g) in params.iter().zip(p.gradients(loss.backward())) {
            let g = g.unwrap_or_else(|| panic!("{flow_name}: {name} receives no gradient"));
            let g = g.to_dense(value);
            assert!(g.iter().any(|&g| g.abs() > 1e-3), "{flow_name}: {name} receives none:\n{g}");
        }
    }
}

/// The initial flow is as near to the identity as its documentation says.
#[rstest]
#[case(flow("coupling, exp"), 2e-3)]
#[case(flow("coupling, plain weights"), 2e-3)]
#[case(flow("IAF"), 2e-3)]
#[case(OTHERS[0].1, 2e-3)]
#[case(flow("planar"), 1e-3)]
#[case(flow("invertible linear"), 0.1)]
#[case(flow("triangular"), 0.05)]
#[case(flow("rank one"), 0.1)]
#[case(flow("kink, smooth"), 0.15)]
#[case(flow("kink, PReLU"), 0.15)]
fn flows_start_near_the_identity(#[case] build: Build, #[case] tolerance: f64) {
    let mut params = Params::default();
    let flow = build(&mut params, 6, &mut ChaCha8Rng::seed_from_u64(1));
    let tape = Tape::default();
    let (p, x) = (params.bind(&tape), tape.leaf(randn(&[9, 6], 2)));
    let (y, log_det) = flow.forward(&p, x);
    close(&y.value().to_owned(), &x.value().to_owned(), tolerance);
    assert!(log_det.value().iter().all(|l| l.abs() < 6. * tolerance));
}

/// The initial scale of every entry that is scaled is `s = e⁰ + 0.001`.
#[rstest]
#[case(flow("coupling, exp"), 3.)]
#[case(flow("IAF"), 6.)]
fn initial_scales_are_one_plus_floor(#[case] build: Build, #[case] scaled: f64) {
    let mut params = Params::default();
    let flow = build(&mut params, 6, &mut ChaCha8Rng::seed_from_u64(1));
    let tape = Tape::default();
    let log_det = flow.forward(&params.freeze(&tape), tape.constant(randn(&[9, 6], 2))).1;
    assert!(log_det.value().iter().all(|l| (l - scaled * 1.001_f64.ln()).abs() < 1e-3));
}

/// MADE's masks: an entry depends on the entries before it in its order, on all of them if there
/// are enough hidden units, and on no other, bitwise.
#[rstest]
fn autoregressive_masks_respect_order(
    #[values(1, 2, 3, 7)] d: usize,
    #[values(3, 6, 40)] hidden: usize,
    #[values(false, true)] weight_norm: bool,
) {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let mut order: Vec<_> = (0..d).collect();
    order.shuffle(rng);
    let position = |i| order.iter().position(|&o| o == i).unwrap();
    let mut params = Params::default();
    let conditioner = Conditioner { hidden, weight_norm, stabiliser: Stabiliser::Tanh };
    let flow = Iaf::new(&mut params, "i", Permutation::new(order.clone()), conditioner, rng);
    for ((_, w), seed) in params.iter_mut().zip(10..) {
        *w = randn(w.shape(), seed).into();
    }
    let tape = Tape::default();
    // Inputs are large, so that no bias makes a ReLU inactive at all of the points.
    let (p, x) = (params.freeze(&tape), tape.leaf(randn(&[200, d], 2) * 10.));
    let y = flow.forward(&p, x).0;
    for i in 0..d {
        let grads = y.slice(1, i..i + 1).sum().backward();
        for (j, column) in grads.wrt(x).unwrap().columns().into_iter().enumerate() {
            let seen = column.iter().any(|&g| g != 0.);
            if position(j) > position(i) {
                assert!(!seen, "{i} sees {j}: {order:?}");
            } else if hidden >= d - 1 {
                assert!(seen, "{i} does not see {j}: {order:?}");
            }
        }
    }
}

/// With fewer hidden units than positions, the last entry still sees nearly all before it.
#[test]
fn iaf_hidden_units_cover_all_positions() {
    let (d, mut params, rng) = (100, Params::default(), &mut ChaCha8Rng::seed_from_u64(3));
    let order = Permutation::new((0..d).collect());
    let flow = Iaf::new(&mut params, "i", order, Conditioner { hidden: 10, ..CONDITIONER }, rng);
    for ((_, w), seed) in params.iter_mut().zip(10..) {
        *w = randn(w.shape(), seed).into();
    }
    let tape = Tape::default();
    let (p, x) = (params.freeze(&tape), tape.leaf(randn(&[200, d], 2)));
    let grads = flow.forward(&p, x).0.slice(1, d - 1..d).sum().backward();
    let columns = grads.wrt(x).unwrap().columns().into_iter();
    let seen = columns.filter(|column| column.iter().any(|&g| g != 0.)).count();
    // Units depend on positions up to 0, 9, 19, … 89, which are 90 entries; and the entry depends
    // on itself.
    assert_eq!(seen, 91);
}

/// The first entry's weights are all masked: no norm to divide by, and the heads' biases decide.
#[rstest]
fn first_autoregressive_entry_depends_on_biases_only(#[values(1, 4)] d: usize) {
    let (mut params, rng) = (Params::default(), &mut ChaCha8Rng::seed_from_u64(3));
    let order = Permutation::new((0..d).rev().collect());
    let flow = Iaf::new(&mut params, "i", order, CONDITIONER, rng);
    for ((_, w), seed) in params.iter_mut().zip(10..) {
        *w = randn(w.shape(), seed).into();
    }
    let tape = Tape::default();
    let (p, x) = (params.bind(&tape), tape.leaf(randn(&[3, d], 2)));
    let (y, log_det) = flow.forward(&p, x);
    let bias =
        |part: &str| params.iter().find(|(n, _)| *n == format!("i.{part}.b")).unwrap().1[d - 1];
    for (y, x) in y.value().rows().into_iter().zip(x.value().rows()) {
        let expected = (bias("scale").exp() + 0.001) * x[d - 1] + bias("shift");
        assert!((y[d - 1] - expected).abs() < 1e-13 * expected.abs().max(1.));
    }
    let loss = y.sum() + log_det.sum();
    for ((name, value), g) in params.iter().zip(p.gradients(loss.backward())) {
        let g = g.unwrap_or_else(|| panic!("{name} receives no gradient")).to_dense(value);
        assert!(g.iter().all(|g| g.is_finite()), "{name}: {g}");
        assert!(!name.ends_with("e.b") && !name.ends_with("t.b") || g[d - 1] != 0., "{name}: {g}");
    }
}

/// Each flow equals its formula written out: a map that is consistent in both directions may still
/// be another map.
#[test]
fn linear_layers_match_formula() {
    let d = 4;
    let Flow { params, map } = Flow::new(flow("invertible linear"), d);
    let tape = Tape::default();
    let (p, x) = (params.freeze(&tape), tape.constant(randn(&[3, d], 2)));
    let [lv, w, b] = [0, 1, 2].map(|k| params.iter().nth(k).unwrap().1.clone());
    let at = |keep: fn(usize, usize) -> bool| {
        Array2::from_shape_fn((d, d), |(i, j)| match i == j {
            true => 1.,
            false => f64::from(u8::from(keep(i, j))) * lv[[i, j]],
        })
    };
    let (l, v) = (at(|i, j| i > j), at(|i, j| i < j));
    let u = Array2::from_diag(&Array1::from_iter(w.iter().map(|w| w.exp() + 0.001))).dot(&v);
    let rows: Array2<f64> = x.value().to_owned().into_dimensionality().unwrap();
    let expected = rows.dot(&l).dot(&u) + Array1::from_iter(b.iter().copied());
    close(&map.forward(&p, x).0.value().to_owned(), &expected.into_dyn(), 1e-13);
}

#[test]
fn triangular_maps_match_formula() {
    let d = 4;
    let Flow { params, map } = Flow::new(flow("triangular"), d);
    let (tape, x) = (Tape::default(), randn(&[3, d], 2));
    let y = map.forward(&params.freeze(&tape), tape.constant(x.clone())).0.value().to_owned();
    let [n, w, b] = [0, 1, 2].map(|k| params.iter().nth(k).unwrap().1.clone());
    let factor = Array2::from_shape_fn((d, d), |(i, j)| {
        let unit = if i > j { n[[i, j]] } else { f64::from(u8::from(i == j)) };
        (w[i].exp() + 0.001) * unit
    });
    let rows: Array2<f64> = x.into_dimensionality().unwrap();
    let expected = rows.dot(&factor.t()) + Array1::from_iter(b.iter().copied());
    close(&y, &expected.into_dyn(), 1e-13);
}

#[test]
fn rank_one_maps_match_formula() {
    let Flow { params, map } = Flow::new(flow("rank one"), 4);
    let (tape, x) = (Tape::default(), randn(&[1, 4], 2));
    let y = map.forward(&params.freeze(&tape), tape.constant(x.clone())).0.value().to_owned();
    let [v, c] = [0, 1].map(|k| params.iter().nth(k).unwrap().1.clone());
    let dot = |a: &Owned<f64>| a.iter().zip(&v).map(|(a, v)| a * v).sum::<f64>();
    let step = (c[0].exp() - 1.) * dot(&x) / v.iter().map(|v| v * v).sum::<f64>();
    close(&y, &(&x + &v.mapv(|v| step * v)), 1e-13);
}

/// `diag(s) (I + U Uᵀ) diag(s)` for `U = [√3 q₁, √8 q₂]` with orthonormal `q`: the covariance of
/// maps with `v = 5 q₁` and `−q₂` and scales `√(1 + 3) = 2` and `√(1 + 8) = 3`, whatever the length
/// and sign of `v`, and of the elementwise layer.
#[test]
fn rank_one_maps_contain_diagonal_plus_low_rank_covariance() {
    let (mut params, rng) = (Params::default(), &mut ChaCha8Rng::seed_from_u64(0));
    let flow = Chain::default()
        .then(RankOne::new(&mut params, "a", 4, rng))
        .then(RankOne::new(&mut params, "b", 4, rng))
        .then(Elementwise::new(&mut params, "c", 4, Init::Constant(0.), Init::Constant(0.), rng));
    let q = [[0.5, 0.5, 0.5, 0.5], [0.5, -0.5, 0.5, -0.5]];
    let s = [1., 2., 0.5, 3.];
    let values = [
        q[0].map(|q| 5. * q).to_vec(),
        vec![2_f64.ln()],
        q[1].map(|q| -q).to_vec(),
        vec![3_f64.ln()],
        s.map(|s: f64| (s - 0.001).ln()).to_vec(),
    ];
    for ((_, w), value) in params.iter_mut().zip(values) {
        *w = Owned::from_shape_vec(w.shape().to_vec(), value).unwrap().into();
    }
    let tape = Tape::default();
    // The rows of h(I) are the columns of the Jacobian A; the covariance is A Aᵀ.
    let eye = tape.constant(Array2::eye(4).into_dyn());
    let rows: Array2<f64> = flow
        .forward(&params.freeze(&tape), eye)
        .0
        .value()
        .to_owned()
        .into_dimensionality()
        .unwrap();
    let expected = Array2::from_shape_fn((4, 4), |(i, j)| {
        let low_rank = 3. * q[0][i] * q[0][j] + 8. * q[1][i] * q[1][j];
        s[i] * s[j] * (f64::from(u8::from(i == j)) + low_rank)
    });
    close(&rows.t().dot(&rows).into_dyn(), &expected.into_dyn(), 1e-13);
}

#[rstest]
#[case(KinkShape::Smooth, |x: f64, a: f64| a * x + (1. - a) * (1. + x.exp()).ln())]
#[case(KinkShape::Prelu, |x: f64, a: f64| if x > 0. { x } else { a * x })]
fn kinks_match_formulas(#[case] shape: KinkShape, #[case] formula: fn(f64, f64) -> f64) {
    let mut params = Params::default();
    let flow = Kink::new(&mut params, "k", 3, shape);
    let a = randn(&[3], 1);
    *params.iter_mut().next().unwrap().1 = a.clone().into();
    let (tape, x) = (Tape::default(), randn(&[5, 3], 2));
    let y = flow.forward(&params.freeze(&tape), tape.constant(x.clone())).0.value().to_owned();
    let of = |(k, &x): (usize, &f64)| formula(x, 1. / (1. + (-a[k % 3]).exp()));
    let expected = Owned::from_shape_vec(vec![5, 3], x.iter().enumerate().map(of).collect());
    close(&y, &expected.unwrap(), 1e-14);
}

#[test]
fn planar_flows_match_formula() {
    let Flow { params, map } = Flow::new(flow("planar"), 3);
    let tape = Tape::default();
    let z = randn(&[1, 3], 2);
    let y = map.forward(&params.freeze(&tape), tape.constant(z.clone())).0.value().to_owned();
    let [w, u, b] = [0, 1, 2].map(|k| params.iter().nth(k).unwrap().1.clone());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let [w, u, z] = [&w, &u, &z.into()].map(|a| a.iter().copied().collect::<Vec<_>>());
    let along = (1. + dot(&w, &u).exp()).ln() - 1. - dot(&w, &u);
    let t = (dot(&w, &z) + b[0]).tanh();
    let expected = (0..3).map(|i| z[i] + (u[i] + along * w[i] / dot(&w, &w)) * t).collect();
    close(&y, &Owned::from_shape_vec(vec![1, 3], expected).unwrap(), 1e-13);
}

/// For any `u` and `w`, a planar flow stays invertible: `w·u` far below −1 is the hard case.
#[rstest]
fn planar_flows_are_invertible_for_any_parameters(#[values(-30., -5., 0., 30.)] along: f64) {
    let mut params = Params::default();
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let flow = Planar::new(&mut params, "p", 2, rng);
    for ((_, w), value) in params.iter_mut().zip([[1., 0.], [along, 0.3], [0.2, 0.]]) {
        *w = Owned::from_shape_fn(w.shape(), |i| value[i[0]]).into();
    }
    let tape = Tape::default();
    let (p, x) = (params.freeze(&tape), tape.constant(randn(&[50, 2], 2)));
    let (y, log_det) = flow.forward(&p, x);
    let (back, inverse_log_det) = flow.inverse(&p, y);
    assert!(log_det.value().iter().all(|l| l.is_finite()));
    // The slope at the crest is ln(1 + e^along): the inverse magnifies rounding by its reciprocal.
    let tolerance = 1e-14 / (1. + along.exp()).ln().min(1.);
    close(&back.value().to_owned(), &x.value().to_owned(), tolerance.clamp(1e-12, 1e-6));
    close(&inverse_log_det.value().to_owned(), &(-log_det).value().to_owned(), 1e-5);
}

/// The bound's gradient for `y = kink(ε + b)`: the mean over the noise of the tape's gradients of
/// `ln|dy/dε|`, against the derivative of its mean, `∫ ln|y'(z)| (z − b) φ(z − b) dz`, which
/// differentiates the density alone. Both integrals use the midpoint rule, where the noise is a
/// fine grid with weights.
///
/// A smooth kink agrees. A PReLU is off by all of `−φ(b) ln α`: its tape's gradient is 0.
#[rstest]
fn log_det_jump_biases_bound_gradient(
    #[values(KinkShape::Smooth, KinkShape::Prelu)] shape: KinkShape,
    #[values(-0.7, 0.4)] b: f64,
) {
    let (alpha, n, h) = (0.25_f64, 40_000, 5e-4);
    let mut params = Params::default();
    let flow = Kink::new(&mut params, "k", 1, shape);
    params.iter_mut().next().unwrap().1.view_mut().fill((alpha / (1. - alpha)).ln());
    let phi = |eps: f64| (-0.5 * eps * eps).exp() / std::f64::consts::TAU.sqrt();
    // The jump at z = 0 lies between two cells.
    let z = |i: usize| (i as f64 + 0.5 - n as f64 / 2.) * h;
    let column = |f: &dyn Fn(f64) -> f64| Owned::from_shape_fn(vec![n, 1], |i| f(z(i[0])));

    let tape = Tape::default();
    let (p, shift) = (params.freeze(&tape), tape.leaf(Owned::from_elem(vec![1], b)));
    let log_slope = flow.forward(&p, tape.constant(column(&|z| z - b)) + shift).1;
    let weights = column(&|z| phi(z - b) * h).into_shape_with_order(vec![n]).unwrap();
    let mean = (log_slope * tape.constant(weights.clone())).sum();
    let by_tape = mean.backward().wrt(shift).map_or(0., |g| g[0]);
    let score = Owned::from_shape_fn(vec![n], |i| z(i[0]) - b);
    let truth = (log_slope.value().to_owned() * weights * score).sum();

    match shape {
        // The midpoint rule's error for an analytic integrand is below rounding.
        KinkShape::Smooth => assert!((by_tape - truth).abs() < 1e-12, "{by_tape} {truth}"),
        KinkShape::Prelu => {
            let missed = -phi(b) * alpha.ln();
            // Its error for a jump between cells is of order h².
            assert!((truth - missed).abs() < 1e-6, "{truth} {missed}");
            assert_eq!(by_tape, 0.);
            assert!(missed > 0.4, "worth a test: {missed}");
        }
    }
}

#[test]
#[should_panic(expected = "not a permutation")]
fn permutation_rejects_repeated_index() {
    Permutation::new(vec![0, 2, 2]);
}

/// Broadcasting and gathering would accept these shapes, and the log-determinant would be that of
/// another map.
#[rstest]
fn wrong_width_panics(
    #[values(
        "permutation",
        "elementwise",
        "coupling, exp",
        "IAF",
        "invertible linear",
        "triangular",
        "rank one",
        "kink, smooth",
        "planar"
    )]
    name: &str,
    #[values(1, 3, 5)] width: usize,
) {
    let Flow { params, map } = Flow::new(flow(name), 4);
    let wrong = std::panic::AssertUnwindSafe(|| {
        let tape = Tape::default();
        map.forward(&params.freeze(&tape), tape.constant(randn(&[2, width], 1))).0.shape()
    });
    let panic = std::panic::catch_unwind(wrong).expect_err("refused");
    let said = panic.downcast_ref::<String>().expect("a message");
    assert!(said.contains("is not [S, 4]"), "{said}");
}

#[test]
fn permutations_and_coupling_split_select_entries() {
    let mut params = Params::default();
    let x = Owned::from_shape_vec(vec![1, 4], vec![0., 1., 2., 3.]).unwrap();
    let of = |flow: &Permutation| {
        let tape = Tape::<f64>::default();
        flow.forward(&Params::default().freeze(&tape), tape.constant(x.clone())).0.value()
    };
    assert_eq!(of(&Permutation::reversal(4)).as_slice(), [3., 2., 1., 0.]);
    assert_eq!(of(&Permutation::new(vec![2, 0, 3, 1])).as_slice(), [2., 0., 3., 1.]);

    // ⌊5/2⌋ = 2 entries condition the other three.
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let flow = Coupling::new(&mut params, "f", 5, CONDITIONER, rng);
    for ((_, w), seed) in params.iter_mut().zip(10..) {
        *w = randn(w.shape(), seed).into();
    }
    let (tape, x) = (Tape::default(), randn(&[1, 5], 2));
    let y = flow.forward(&params.freeze(&tape), tape.constant(x.clone())).0.value();
    let same: Vec<_> = x.iter().zip(&y).map(|(x, y)| x == y).collect();
    assert_eq!(same, [true, true, false, false, false]);
}

/// Stabilisers equal their formulas: flows would be consistent in both directions with any
/// constants.
#[rstest]
#[case(Stabiliser::Exp, |a: f64| a.exp() + 0.001)]
#[case(Stabiliser::Tanh, |a: f64| (2. * (a / 2.).tanh()).exp())]
#[case(Stabiliser::Sigmoid, |a: f64| 1. / (1. + (-a - 2.).exp()) + 0.001)]
fn stabilisers_match_formulas(#[case] stabiliser: Stabiliser, #[case] s: fn(f64) -> f64) {
    let tape = Tape::<f64>::default();
    for a in [-3., 0., 1., 5.] {
        let found = stabiliser.scale(tape.constant(Owned::from_elem(vec![1], a)));
        assert!((found.0.item() - s(a)).abs() <= 1e-12 * s(a), "{stabiliser:?} at {a}");
        assert!((found.1.item() - s(a).ln()).abs() <= 1e-12, "{stabiliser:?} at {a}");
    }
}
