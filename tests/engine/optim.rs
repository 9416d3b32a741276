//! Defends: optimisers are their formulas, also for factored gradients; clipping is the authors';
//! schedules and annealing have the values of their formulas.
use bhn::autodiff::Gradient;
use bhn::autodiff::gradcheck::randn;
use bhn::autodiff::{Owned, Tape, Tensor, Var};
use bhn::nn::Params;
use bhn::nn::optim::{Clip, Optimiser, Schedule, Update, kl_weight};
use ndarray::Axis;
use rstest::rstest;

fn params() -> Params<f64> {
    let mut params = Params::default();
    params.add("a", randn(&[3, 2], 1));
    params.add("b", randn(&[4], 2));
    params
}

#[rstest]
#[case(Update::Sgd { momentum: 0. }, 0.1, 200)]
#[case(Update::Sgd { momentum: 0.9 }, 0.02, 400)]
#[case(Update::default(), 0.05, 600)]
fn optimisers_minimise_a_quadratic(#[case] rule: Update, #[case] rate: f64, #[case] steps: usize) {
    let mut params = params();
    let mut optimiser = Optimiser::new(rule, &params);
    for _ in 0..steps {
        let tape = Tape::default();
        let p = params.bind(&tape);
        let (a, b) = {
            let mut ids = Params::<f64>::default();
            (ids.add("a", randn(&[3, 2], 1)), ids.add("b", randn(&[4], 2)))
        };
        let loss = ((p[a] - 1.).powi(2)).sum() + ((p[b] + 2.).powi(2)).sum();
        let grads = p.gradients(loss.backward());
        drop(tape);
        optimiser.step(&mut params, &grads, rate, Clip::NONE);
    }
    let goal = |name: &str| if name == "a" { 1. } else { -2. };
    assert!(params.iter().all(|(n, w)| w.iter().all(|w| (w - goal(n)).abs() < 1e-3)));
}

/// Adam's first step is `−η sign(g)` whatever the gradient's size.
#[test]
fn adam_first_step_is_sign_of_gradient() {
    let mut params = params();
    let before = params.clone();
    let grads: Vec<_> =
        before.iter().map(|(_, w)| Some(Gradient::from(randn(w.shape(), 9) * 1e-3))).collect();
    Optimiser::new(Update::default(), &params).step(&mut params, &grads, 0.1, Clip::NONE);
    for (((_, old), (_, new)), g) in before.iter().zip(params.iter()).zip(&grads) {
        for ((old, new), g) in old.iter().zip(new).zip(g.as_ref().unwrap().dense().unwrap()) {
            assert!((new - old + 0.1 * g.signum()).abs() < 1e-3 * 0.1, "{old} {new} {g}");
        }
    }
}

/// The norm is clipped first, then elements: `(30, 40)` has norm 50; scaled to norm 10 it is
/// `(6, 8)`, which is clipped to `(5, 5)`.
#[test]
fn norm_is_clipped_before_elements() {
    let mut params = Params::<f64>::default();
    params.add("w", Owned::zeros(vec![2]));
    let g = Owned::from_shape_vec(vec![2], vec![30., 40.]).unwrap();
    let mut sgd = Optimiser::new(Update::Sgd { momentum: 0. }, &params);
    let norm = sgd.step(&mut params, &[Some(g.into())], 1., Clip::default());
    assert_eq!(norm, 50.);
    assert_eq!(params.iter().next().unwrap().1.as_slice(), [-5., -5.]);
}

/// A gradient that is not finite changes nothing, the count of steps included.
#[test]
fn non_finite_gradient_skips_step() {
    let mut params = params();
    let before = params.clone();
    let mut adam = Optimiser::new(Update::default(), &params);
    let grads = [None, Some(Owned::from_elem(vec![4], f64::NAN).into())];
    assert!(adam.step(&mut params, &grads, 0.1, Clip::default()).is_nan());
    assert_eq!(adam.steps(), 0);
    assert!(params.iter().zip(before.iter()).all(|(a, b)| a == b));
}

/// The step is counted all the same.
#[test]
fn missing_gradient_leaves_parameter_unchanged() {
    let mut params = params();
    let before = params.clone();
    let mut adam = Optimiser::new(Update::default(), &params);
    adam.step(&mut params, &[None, None], 0.1, Clip::default());
    assert!(params.iter().zip(before.iter()).all(|(a, b)| a == b));
    assert_eq!(adam.steps(), 1);
}

/// Neither the parameter nor its moments change, although the moments are not 0.
#[test]
fn missing_gradient_leaves_moments_unchanged() {
    let mut params = params();
    let mut adam = Optimiser::new(Update::default(), &params);
    let ones: Vec<_> = params.iter().map(|(_, w)| Some(Owned::ones(w.raw_dim()).into())).collect();
    adam.step(&mut params, &ones, 0.1, Clip::default());
    let state = |params: &Params<f64>, adam: &Optimiser<f64>, i: usize| {
        let moments = adam.moments().map(|(_, moments)| moments[i].clone());
        moments.chain([params.iter().nth(i).unwrap().1.clone()]).collect::<Vec<_>>()
    };
    let before = [0, 1].map(|i| state(&params, &adam, i));
    adam.step(&mut params, &[None, ones[1].clone()], 0.1, Clip::default());
    assert!(state(&params, &adam, 0) == before[0]);
    assert!(state(&params, &adam, 1) != before[1]);
}

/// The parameters after each of six steps with the same gradients, in bits, at these learning
/// rates of the parameters `a` and `b`.
fn trajectory(rule: Update, rate: f64, factors: [f64; 2]) -> Vec<[Vec<u64>; 2]> {
    let mut params = params();
    let factor = |name: &str| factors[usize::from(name == "b")];
    let mut optimiser = Optimiser::new(rule, &params).with_factors(&params, factor);
    let steps = (0..6).map(|step| {
        let gradient = |(_, w): (&str, &Tensor<f64>)| Some(randn(w.shape(), 20 + step).into());
        let grads: Vec<_> = params.iter().map(gradient).collect();
        optimiser.step(&mut params, &grads, rate, Clip::default());
        let mut bits = params.iter().map(|(_, w)| w.iter().map(|w| w.to_bits()).collect());
        [bits.next().unwrap(), bits.next().unwrap()]
    });
    steps.collect()
}

/// A parameter with the factor 0.1 takes, bit for bit, the steps of a tenth of the learning rate,
/// and one with the factor 1 those of an optimiser without factors.
#[rstest]
#[case(Update::default())]
#[case(Update::Sgd { momentum: 0. })]
#[case(Update::Sgd { momentum: 0.9 })]
fn factors_multiply_the_learning_rate(#[case] rule: Update) {
    let [whole, tenth] = [0.05, 0.05 * 0.1].map(|rate| trajectory(rule, rate, [1., 1.]));
    let mixed = trajectory(rule, 0.05, [1., 0.1]);
    for ((mixed, whole), tenth) in mixed.iter().zip(&whole).zip(&tenth) {
        assert!(mixed[0] == whole[0] && mixed[1] == tenth[1] && whole[1] != tenth[1]);
    }
}

#[rstest]
#[case(Schedule::Constant, [1., 1., 1.])]
#[case(Schedule::Paper, [1., 10_f64.powf(-5. / 9.), 0.1])]
#[case(Schedule::Linear, [1., 0.5, 0.1])]
#[case(Schedule::LateLinear, [1., 0.5 / 0.9, 0.1 / 0.9])]
#[case(Schedule::Cosine, [1., 0.5, 0.024471741852423234])]
fn schedule_factors_match_formulas(#[case] schedule: Schedule, #[case] expected: [f64; 3]) {
    for (epoch, expected) in [0., 5., 9.].into_iter().zip(expected) {
        assert!((schedule.factor(epoch, 10.) - expected).abs() < 1e-12, "{schedule:?} at {epoch}");
    }
    assert!(schedule.factor(0., 1.).is_finite());
}

#[test]
fn kl_weight_matches_annealing_formula() {
    assert_eq!(kl_weight(3., 0.), 1.);
    assert_eq!(kl_weight(0., 5.), 0.001);
    assert!((kl_weight(2., 5.) - 0.401).abs() < 1e-12);
    assert_eq!(kl_weight(9., 5.), 1.);
}

/// Three steps. Adam is invariant to a constant factor, so
/// only gradients of changing size show that they are clipped.
#[test]
fn adam_steps_match_formula_with_clipping() {
    let mut params = Params::<f64>::default();
    params.add("w", Owned::zeros(vec![2]));
    let mut adam = Optimiser::new(Update::default(), &params);
    let (mut w, mut m, mut v) = ([0.; 2], [0.; 2], [0.; 2]);
    for (t, g) in (1..).zip([[3., 40.], [0.3, -0.4], [-3., 4.]]) {
        let grads = [Some(Owned::from_shape_vec(vec![2], g.to_vec()).unwrap().into())];
        adam.step(&mut params, &grads, 0.1, Clip::default());
        let norm = g[0].hypot(g[1]);
        for i in 0..2 {
            let g = (g[i] * (10. / norm).min(1.)).clamp(-5., 5.);
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            let (m, v) = (m[i] / (1. - 0.9_f64.powi(t)), v[i] / (1. - 0.999_f64.powi(t)));
            w[i] -= 0.1 * m / (v.sqrt() + 1e-8);
        }
        let found = params.iter().next().unwrap().1;
        assert!(found.iter().zip(&w).all(|(a, b)| (a - b).abs() < 1e-12), "{found} {w:?} at {t}");
    }
}

/// `u = 1`, then `u = 0.9 + 1`: the gradient is not multiplied by `1 − 0.9`.
#[test]
fn sgd_momentum_matches_manual_computation() {
    let mut params = Params::<f64>::default();
    params.add("w", Owned::zeros(vec![1]));
    let mut sgd = Optimiser::new(Update::Sgd { momentum: 0.9 }, &params);
    for expected in [-0.5, -1.45] {
        sgd.step(&mut params, &[Some(Owned::ones(vec![1]).into())], 0.5, Clip::default());
        assert!((params.iter().next().unwrap().1[0] - expected).abs() < 1e-12);
    }
}

/// `[z [S, k], V [n, k], r [n]]`.
type Layer<'t> = [Var<'t, f64>; 3];
type Loss = for<'t> fn(Layer<'t>, bool) -> Var<'t, f64>;

/// `z Vᵀ`, by an operation whose gradient of `V` is in factors or by one whose gradient never is.
fn product<'t>([z, v, _]: Layer<'t>, factors: bool) -> Var<'t, f64> {
    if factors { z.matmul_t(v) } else { z.matmul(v.transpose()) }
}

/// `‖V‖`: of a leaf, whose gradient stays in factors, or of a node that is not a leaf, whose
/// gradient does not.
fn norms<'t>([_, v, _]: Layer<'t>, factors: bool) -> Var<'t, f64> {
    if factors { v.row_norms() } else { (v * 1.).row_norms() }
}

/// `r ⊙ z Vᵀ / ‖V‖`, finite in a row of zeros too.
fn normed<'t>(x: Layer<'t>, factors: bool) -> Var<'t, f64> {
    product(x, factors) * (x[2] / (norms(x, factors) + 1e-9))
}

const LOSSES: [Loss; 8] = [
    product,
    norms,
    normed,
    |x, f| product(x, f) + product([x[0] * 0.3 - 1., x[1], x[2]], f) * 2.,
    |x, f| product(x, f) + x[1].powi(2).sum(),
    |x, f| normed(x, f) + x[1].powi(2).sum(),
    |x, f| normed(x, f) + norms(x, f) * x[2],
    |x, f| normed(x, f) + normed([x[0] - 1., x[1], x[2] * 3.], f),
];

/// `V` among parameters, and its gradient: that of the entries of `f`, weighted by `u`.
fn gradient(
    [z, v, r, u]: [&Owned<f64>; 4],
    f: impl for<'t> Fn(Layer<'t>) -> Var<'t, f64>,
) -> (Params<f64>, Gradient<f64>) {
    let (mut params, tape) = (Params::default(), Tape::default());
    let id = params.add("v", v.clone());
    let p = params.bind(&tape);
    let y = f([tape.constant(z.clone()), p[id], tape.leaf(r.clone())]);
    let grads = (y * tape.constant(u.clone())).sum().backward();
    let formed = grads.wrt(p[id]).unwrap().clone();
    let gradient = p.gradients(grads).remove(0).unwrap();
    let bits = |g: &Tensor<f64>| g.iter().map(|g| g.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&gradient.to_dense(params.get(id))), bits(&formed));
    (params, gradient)
}

fn of(params: &Params<f64>) -> &Tensor<f64> {
    params.iter().next().expect("one parameter").1
}

/// Asserts that numbers which were summed in different orders agree.
fn close(found: &[f64], expected: &[f64]) {
    let size = expected.iter().fold(0_f64, |size, x| size.max(x.abs()));
    for (x, y) in found.iter().zip(expected) {
        assert!((x - y).abs() <= 1e-12 * size, "{x} {y} beside {size}");
    }
}

/// Entries, norm and optimiser steps are those of the dense gradient: for ranks that stay in
/// factors and one that does not, in more rows than are materialised at a time.
#[rstest]
fn factored_gradients_equal_dense_gradients(
    #[values(1, 3, 8, 16, 17)] s: usize,
    #[values(false, true)] zero_row: bool,
) {
    let (n, k) = (700, 50);
    let (z, mut v, r, u) =
        (randn(&[s, k], 1), randn(&[n, k], 2), randn(&[n], 3), randn(&[s, n], 4));
    if zero_row {
        v.index_axis_mut(Axis(0), 668).fill(0.);
    }
    for (i, f) in LOSSES.into_iter().enumerate() {
        let u = if i == 1 { &r } else { &u };
        let [(params, factors), (_, dense)] =
            [true, false].map(|factors| gradient([&z, &v, &r, u], |x| f(x, factors)));
        // The gradient of a product without norms stays in factors up to rank 16; with norms it
        // always does.
        assert_eq!(factors.dense().is_some(), s > 16 && [0, 3, 4].contains(&i), "loss {i}");
        let expected = dense.dense().expect("written out");
        close(factors.to_dense(of(&params)).as_slice(), expected.as_slice());
        let squares: f64 = expected.iter().map(|g| g * g).sum();
        close(&[factors.squares(of(&params))], &[squares]);
        // This ε is large enough not to magnify the rounding of the smallest entries.
        let adam = Update::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-3 };
        for rule in [adam, Update::Sgd { momentum: 0.9 }] {
            let [found, expected] = [&factors, &dense].map(|gradient| {
                let mut params = params.clone();
                let grads = [Some(gradient.clone())];
                let norm =
                    Optimiser::new(rule, &params).step(&mut params, &grads, 0.1, Clip::default());
                close(&[norm], &[squares.sqrt()]);
                of(&params).to_owned()
            });
            close(flat(&found), flat(&expected));
        }
    }
}

fn flat(x: &Owned<f64>) -> &[f64] {
    x.as_slice().expect("row-major")
}

/// If `V` is parallel to `z`, `z Vᵀ/‖V‖` does not change with `V`: the squared norm of the gradient
/// is a rounding error, which must not be negative.
#[test]
fn squared_norm_is_non_negative_under_cancellation() {
    for k in [3, 50, 301] {
        let z = randn(&[1, k], 1);
        let square: f64 = z.iter().map(|z| z * z).sum();
        for seed in 0..200 {
            let (v, one) = (&z * &randn(&[4, 1], seed), Owned::ones(vec![4]));
            let (params, factors) = gradient([&z, &v, &one, &Owned::ones(vec![1, 4])], |x| {
                product(x, true) / norms(x, true)
            });
            let squares = factors.squares(of(&params));
            let size: f64 = v.rows().into_iter().map(|v| square / v.dot(&v)).sum();
            assert!((0. ..1e-13 * size).contains(&squares), "{squares} beside {size}");
        }
    }
}

/// If a factor is not finite, neither is the norm, and no step is taken.
#[rstest]
fn non_finite_factored_gradient_skips_step(
    #[values(f64::NAN, f64::INFINITY, f64::NEG_INFINITY)] bad: f64,
    #[values(0, 2, 3)] at: usize,
    #[values(0, 2, 5)] loss: usize,
) {
    let mut x = [randn(&[3, 8], 1), randn(&[9, 8], 2), randn(&[9], 3), randn(&[3, 9], 4)];
    // `r` is no factor of a product alone.
    let at = if loss == 0 && at == 2 { 3 } else { at };
    x[at].as_slice_mut().unwrap()[5] = bad;
    let (mut params, factors) = gradient(x.each_ref(), |x| LOSSES[loss](x, true));
    assert!(factors.dense().is_none() && !factors.squares(of(&params)).is_finite());
    let (before, mut adam) = (params.clone(), Optimiser::new(Update::default(), &params));
    assert!(!adam.step(&mut params, &[Some(factors)], 0.1, Clip::default()).is_finite());
    assert!(adam.steps() == 0 && of(&params) == of(&before));
}

#[rstest]
#[case(&[0, 4], &[5, 4])]
#[case(&[2, 0, 4], &[5, 4])]
#[case(&[3, 0], &[5, 0])]
fn empty_products_have_zero_gradients(#[case] x: &[usize], #[case] v: &[usize]) {
    let tape = Tape::<f64>::default();
    let [x, v] = [randn(x, 1), randn(v, 2)].map(|x| tape.leaf(x));
    let grads = x.matmul_t(v).sum().backward();
    assert_eq!(*grads.wrt(v).unwrap(), Tensor::zeros(v.shape()));
    assert_eq!(*grads.wrt(x).unwrap(), Tensor::zeros(x.shape()));
}
