//! Defends: the optimisers are their definitions, clipping is as the authors do it, and schedules
//! pass through the values that their formulas give.
use bhn::gradcheck::randn;
use bhn::gradient::Gradient;
use bhn::nn::Params;
use bhn::optim::{Clip, Optimiser, Rule, Schedule, kl_weight};
use bhn::tape::{Owned, Tape};
use rstest::rstest;

fn params() -> Params<f64> {
    let mut params = Params::default();
    params.add("a", randn(&[3, 2], 1));
    params.add("b", randn(&[4], 2));
    params
}

#[rstest]
#[case(Rule::Sgd { momentum: 0. }, 0.1, 200)]
#[case(Rule::Sgd { momentum: 0.9 }, 0.02, 400)]
#[case(Rule::default(), 0.05, 600)]
fn a_quadratic_is_minimised(#[case] rule: Rule, #[case] rate: f64, #[case] steps: usize) {
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
fn adams_first_step() {
    let mut params = params();
    let before = params.clone();
    let grads: Vec<_> =
        before.iter().map(|(_, w)| Some(Gradient::from(randn(w.shape(), 9) * 1e-3))).collect();
    Optimiser::new(Rule::default(), &params).step(&mut params, &grads, 0.1, Clip::NONE);
    for (((_, old), (_, new)), g) in before.iter().zip(params.iter()).zip(&grads) {
        for ((old, new), g) in old.iter().zip(new).zip(g.as_ref().unwrap().dense().unwrap()) {
            assert!((new - old + 0.1 * g.signum()).abs() < 1e-3 * 0.1, "{old} {new} {g}");
        }
    }
}

/// Norm first, then elements: `(30, 40)` has norm 50; scaled to 10 it is `(6, 8)`, held to `(5, 5)`.
#[test]
fn clipping_by_norm_and_then_by_element() {
    let mut params = Params::<f64>::default();
    params.add("w", Owned::zeros(vec![2]));
    let g = Owned::from_shape_vec(vec![2], vec![30., 40.]).unwrap();
    let mut sgd = Optimiser::new(Rule::Sgd { momentum: 0. }, &params);
    let norm = sgd.step(&mut params, &[Some(g.into())], 1., Clip::default());
    assert_eq!(norm, 50.);
    assert_eq!(params.iter().next().unwrap().1.as_slice().unwrap(), [-5., -5.]);
}

/// A gradient that is not finite changes nothing, the count of steps included.
#[test]
fn a_bad_gradient_changes_nothing() {
    let mut params = params();
    let before = params.clone();
    let mut adam = Optimiser::new(Rule::default(), &params);
    let grads = [None, Some(Owned::from_elem(vec![4], f64::NAN).into())];
    assert!(adam.step(&mut params, &grads, 0.1, Clip::default()).is_nan());
    assert_eq!(adam.steps(), 0);
    assert!(params.iter().zip(before.iter()).all(|(a, b)| a == b));
}

/// A parameter that the loss does not touch stays, and its moments decay.
#[test]
fn no_gradient_is_a_zero_gradient() {
    let mut params = params();
    let before = params.clone();
    let mut adam = Optimiser::new(Rule::default(), &params);
    adam.step(&mut params, &[None, None], 0.1, Clip::default());
    assert!(params.iter().zip(before.iter()).all(|(a, b)| a == b));
    assert_eq!(adam.steps(), 1);
}

#[rstest]
#[case(Schedule::Constant, [1., 1., 1.])]
#[case(Schedule::Paper, [1., 10_f64.powf(-5. / 9.), 0.1])]
#[case(Schedule::Linear, [1., 0.5, 0.1])]
#[case(Schedule::Cosine, [1., 0.5, 0.024471741852423234])]
fn schedules(#[case] schedule: Schedule, #[case] expected: [f64; 3]) {
    for (epoch, expected) in [0., 5., 9.].into_iter().zip(expected) {
        assert!((schedule.factor(epoch, 10.) - expected).abs() < 1e-12, "{schedule:?} at {epoch}");
    }
    assert!(schedule.factor(0., 1.).is_finite());
}

#[test]
fn kl_annealing() {
    assert_eq!(kl_weight(3., 0.), 1.);
    assert_eq!(kl_weight(0., 5.), 0.001);
    assert!((kl_weight(2., 5.) - 0.401).abs() < 1e-12);
    assert_eq!(kl_weight(9., 5.), 1.);
}

/// Three steps by the book, clipping included: Adam forgets a constant factor, so only gradients
/// of changing size can show that it is clipped.
#[test]
fn adams_first_steps_by_the_book() {
    let mut params = Params::<f64>::default();
    params.add("w", Owned::zeros(vec![2]));
    let mut adam = Optimiser::new(Rule::default(), &params);
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

/// `u = 1`, then `u = 0.9 + 1`: the gradient counts in full.
#[test]
fn momentum_by_hand() {
    let mut params = Params::<f64>::default();
    params.add("w", Owned::zeros(vec![1]));
    let mut sgd = Optimiser::new(Rule::Sgd { momentum: 0.9 }, &params);
    for expected in [-0.5, -1.45] {
        sgd.step(&mut params, &[Some(Owned::ones(vec![1]).into())], 0.5, Clip::default());
        assert!((params.iter().next().unwrap().1[0] - expected).abs() < 1e-12);
    }
}
