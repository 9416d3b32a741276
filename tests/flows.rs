//! Defends: every bijector in the one list below is invertible, its log-determinant is that of its
//! Jacobian, its gradients are right, and each of its parameters learns.
//!
//! All at random parameters of order one: near the identity, where flows start, many gradients
//! vanish below any tolerance and wrong rules pass. `D ≥ 4`, since a direction `v/‖v‖` of one entry
//! has no gradient at all.
use bhn::flows::{Bijector, Chain, Coupling, Elementwise, Inverse, Permutation, Stabiliser};
use bhn::gradcheck::{Report, Verdict, gradcheck, randn};
use bhn::nn::{Bound, Init, Params};
use bhn::tape::{Owned, Tape, Var};
use ndarray::Array2;
use rand::{SeedableRng, rngs::ChaCha8Rng};
use rstest::rstest;
use rstest_reuse::{apply, template};

type Flow = Box<dyn Bijector<f64>>;
type Build = fn(&mut Params<f64>, usize, &mut ChaCha8Rng) -> Flow;

fn elementwise(p: &mut Params<f64>, d: usize, rng: &mut ChaCha8Rng) -> Flow {
    Box::new(Elementwise::new(p, "e", d, Init::Constant(0.), Init::Constant(0.), rng))
}

fn coupling(p: &mut Params<f64>, d: usize, s: Stabiliser, rng: &mut ChaCha8Rng) -> Flow {
    Box::new(Coupling::new(p, &format!("c{}", p.iter().len()), d, 7, s, rng))
}

fn chain(p: &mut Params<f64>, d: usize, rng: &mut ChaCha8Rng) -> Chain<f64> {
    Chain::default()
        .then(elementwise(p, d, rng))
        .then(coupling(p, d, Stabiliser::Exp, rng))
        .then(Permutation::random(d, rng))
        .then(coupling(p, d, Stabiliser::Tanh, rng))
        .then(Permutation::reversal(d))
        .then(coupling(p, d, Stabiliser::Sigmoid, rng))
}

fn coupling_exp(p: &mut Params<f64>, d: usize, rng: &mut ChaCha8Rng) -> Flow {
    coupling(p, d, Stabiliser::Exp, rng)
}

fn coupling_tanh(p: &mut Params<f64>, d: usize, rng: &mut ChaCha8Rng) -> Flow {
    coupling(p, d, Stabiliser::Tanh, rng)
}

fn coupling_sigmoid(p: &mut Params<f64>, d: usize, rng: &mut ChaCha8Rng) -> Flow {
    coupling(p, d, Stabiliser::Sigmoid, rng)
}

fn permutation(_: &mut Params<f64>, d: usize, rng: &mut ChaCha8Rng) -> Flow {
    Box::new(Permutation::random(d, rng))
}

fn reversal(_: &mut Params<f64>, d: usize, _: &mut ChaCha8Rng) -> Flow {
    Box::new(Permutation::reversal(d))
}

fn empty_chain(_: &mut Params<f64>, _: usize, _: &mut ChaCha8Rng) -> Flow {
    Box::new(Chain::default())
}

fn whole_chain(p: &mut Params<f64>, d: usize, rng: &mut ChaCha8Rng) -> Flow {
    Box::new(chain(p, d, rng))
}

fn inverse_chain(p: &mut Params<f64>, d: usize, rng: &mut ChaCha8Rng) -> Flow {
    Box::new(Inverse(chain(p, d, rng)))
}

#[template]
#[rstest]
#[case::elementwise(elementwise)]
#[case::coupling_exp(coupling_exp)]
#[case::coupling_tanh(coupling_tanh)]
#[case::coupling_sigmoid(coupling_sigmoid)]
#[case::permutation(permutation)]
#[case::reversal(reversal)]
#[case::chain(whole_chain)]
#[case::empty_chain(empty_chain)]
#[case::inverse(inverse_chain)]
fn bijectors(#[case] build: Build, #[values(4, 5)] d: usize) {}

/// The bijector with every parameter drawn from `N(0, 1)`.
fn at_random(build: Build, d: usize) -> (Params<f64>, Flow) {
    let mut params = Params::default();
    let flow = build(&mut params, d, &mut ChaCha8Rng::seed_from_u64(1));
    for ((_, w), seed) in params.iter_mut().zip(10..) {
        *w = randn(w.shape(), seed).into_shared();
    }
    (params, flow)
}

fn close(a: &Owned<f64>, b: &Owned<f64>, tolerance: f64) {
    let error = (a - b).iter().fold(0., |m: f64, e| m.max(e.abs()));
    let size = b.iter().fold(1., |m: f64, e| m.max(e.abs()));
    assert!(a.shape() == b.shape() && error <= tolerance * size, "{error:e} off:\n{a}\n{b}");
}

#[apply(bijectors)]
fn inverse_undoes_forward(build: Build, d: usize) {
    let (params, flow) = at_random(build, d);
    let tape = Tape::default();
    let (p, x) = (params.bind(&tape), tape.leaf(randn(&[9, d], 2)));
    let (y, log_det) = flow.forward(&p, x);
    let (back, inverse_log_det) = flow.inverse(&p, y);
    assert_eq!(log_det.shape(), [9]);
    close(&back.value().to_owned(), &x.value().to_owned(), 1e-9);
    close(&inverse_log_det.value().to_owned(), &(-log_det).value().to_owned(), 1e-9);
}

/// `ln|det ∂y/∂x|` from a Jacobian built row by row on the tape, for each sample; and no sample
/// looks at another.
#[apply(bijectors)]
fn log_det_is_that_of_the_jacobian(build: Build, d: usize) {
    let (params, flow) = at_random(build, d);
    let tape = Tape::default();
    let (p, x) = (params.freeze(&tape), tape.leaf(randn(&[3, d], 2)));
    let (y, log_det) = flow.forward(&p, x);
    for s in 0..3 {
        let mut jacobian = Array2::zeros((d, d));
        for j in 0..d {
            let grads = y.slice(0, s..s + 1).slice(1, j..j + 1).sum().backward();
            for (t, row) in grads.wrt(x).unwrap().rows().into_iter().enumerate() {
                if t == s {
                    jacobian.row_mut(j).assign(&row);
                } else {
                    assert!(row.iter().all(|&g| g == 0.), "sample {s} depends on sample {t}");
                }
            }
        }
        let (found, expected) = (log_det.value()[s], ln_abs_det(jacobian));
        assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.), "{found} {expected}");
    }
}

/// By Gaussian elimination with pivoting.
fn ln_abs_det(mut a: Array2<f64>) -> f64 {
    let mut sum = 0.;
    for k in 0..a.nrows() {
        let pivot = (k..a.nrows()).max_by(|&i, &j| a[[i, k]].abs().total_cmp(&a[[j, k]].abs()));
        let pivot = pivot.unwrap();
        for j in 0..a.ncols() {
            a.swap([k, j], [pivot, j]);
        }
        sum += a[[k, k]].abs().ln();
        for i in k + 1..a.nrows() {
            let factor = a[[i, k]] / a[[k, k]];
            let row = a.row(k).to_owned();
            a.row_mut(i).scaled_add(-factor, &row);
        }
    }
    sum
}

/// At the first of a few points without a ReLU's kink within the checker's step.
#[apply(bijectors)]
fn gradients_are_right(build: Build, d: usize, #[values(false, true)] inverse: bool) {
    let (params, flow) = at_random(build, d);
    let check = |seed| {
        let params = params.iter().map(|(_, w)| w.to_owned());
        let inputs: Vec<_> = [randn(&[3, d], seed)].into_iter().chain(params).collect();
        gradcheck(&inputs, |v| {
            let p = Bound::from_vars(v[1..].to_vec());
            let (y, log_det) = match inverse {
                true => flow.inverse(&p, v[0]),
                false => flow.forward(&p, v[0]),
            };
            Var::concat(&[y, log_det.reshape(&[3, 1])], 1)
        })
    };
    let smooth = |r: &Report| !r.0.iter().any(|v| matches!(v, Verdict::NotCheckable { .. }));
    (2..8).map(check).find(smooth).expect("a smooth point").assert();
}

#[apply(bijectors)]
fn every_parameter_receives_a_gradient(build: Build, d: usize) {
    let (params, flow) = at_random(build, d);
    let tape = Tape::default();
    let (p, x) = (params.bind(&tape), tape.constant(randn(&[200, d], 2)));
    let (y, log_det) = flow.forward(&p, x);
    let loss = (y * tape.constant(randn(&[200, d], 3))).sum()
        + (log_det * tape.constant(randn(&[200], 4))).sum();
    for ((name, value), g) in params.iter().zip(p.gradients(loss.backward())) {
        let g = g.unwrap_or_else(|| panic!("{name} receives no gradient")).to_dense(value);
        assert!(g.iter().any(|&g| g.abs() > 1e-3), "{name} receives next to none:\n{g}");
    }
}

/// At their start, couplings are near the identity.
#[test]
fn flows_start_near_the_identity() {
    let mut params = Params::default();
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let flow = coupling(&mut params, 6, Stabiliser::Exp, rng);
    let tape = Tape::default();
    let (p, x) = (params.bind(&tape), tape.leaf(randn(&[9, 6], 2)));
    let (y, log_det) = flow.forward(&p, x);
    // s = e⁰ + 0.001 on three entries of six.
    close(&y.value().to_owned(), &x.value().to_owned(), 2e-3);
    assert!(log_det.value().iter().all(|l| (l - 3. * 1.001_f64.ln()).abs() < 1e-3));
}

#[test]
#[should_panic(expected = "not a permutation")]
fn a_repeated_index_is_no_permutation() {
    Permutation::new(vec![0, 2, 2]);
}

/// Broadcasting and gathering would take them, and the log-determinant be another map's.
#[rstest]
#[case(permutation)]
#[case(elementwise)]
#[case(coupling_exp)]
fn another_width_is_refused(#[case] build: Build, #[values(1, 3, 5)] width: usize) {
    let (params, flow) = at_random(build, 4);
    let wrong = std::panic::AssertUnwindSafe(|| {
        let tape = Tape::default();
        flow.forward(&params.freeze(&tape), tape.constant(randn(&[2, width], 1))).0.shape()
    });
    let panic = std::panic::catch_unwind(wrong).expect_err("refused");
    let said = panic.downcast_ref::<String>().expect("a message");
    assert!(said.contains("is not [S, 4]"), "{said}");
}

#[test]
fn the_named_permutations() {
    let mut params = Params::default();
    let x = Owned::from_shape_vec(vec![1, 4], vec![0., 1., 2., 3.]).unwrap();
    let of = |flow: &Permutation| {
        let tape = Tape::<f64>::default();
        flow.forward(&Params::default().freeze(&tape), tape.constant(x.clone())).0.value()
    };
    assert_eq!(of(&Permutation::reversal(4)).as_slice().unwrap(), [3., 2., 1., 0.]);
    assert_eq!(of(&Permutation::new(vec![2, 0, 3, 1])).as_slice().unwrap(), [2., 0., 3., 1.]);

    // ⌊5/2⌋ = 2 entries condition the other three.
    let flow = coupling(&mut params, 5, Stabiliser::Exp, &mut ChaCha8Rng::seed_from_u64(1));
    for ((_, w), seed) in params.iter_mut().zip(10..) {
        *w = randn(w.shape(), seed).into_shared();
    }
    let (tape, x) = (Tape::default(), randn(&[1, 5], 2));
    let y = flow.forward(&params.freeze(&tape), tape.constant(x.clone())).0.value();
    let same: Vec<_> = x.iter().zip(&y).map(|(x, y)| x == y).collect();
    assert_eq!(same, [true, true, false, false, false]);
}

/// Consistent in both directions they would be with any constants.
#[rstest]
#[case(Stabiliser::Exp, |a: f64| a.exp() + 0.001)]
#[case(Stabiliser::Tanh, |a: f64| (2. * (a / 2.).tanh()).exp())]
#[case(Stabiliser::Sigmoid, |a: f64| 1. / (1. + (-a - 2.).exp()) + 0.001)]
fn stabilisers_are_their_formulas(#[case] stabiliser: Stabiliser, #[case] s: fn(f64) -> f64) {
    let tape = Tape::<f64>::default();
    for a in [-3., 0., 1., 5.] {
        let found = stabiliser.scale(tape.constant(Owned::from_elem(vec![1], a)));
        assert!((found.0.item() - s(a)).abs() <= 1e-12 * s(a), "{stabiliser:?} at {a}");
        assert!((found.1.item() - s(a).ln()).abs() <= 1e-12, "{stabiliser:?} at {a}");
    }
}
