//! Defends: the gradient checker itself. Wrong rules fail, right ones pass, and if finite
//! differences are too inaccurate, the gradient is reported as not checkable.
use bhn::autodiff::gradcheck::{Verdict, gradcheck, randn};
use bhn::autodiff::{Cotangent, Sink, Tape, Tensor, Var};
use rstest::rstest;

/// `a b` with the backward rule `rule`.
fn product<'t>(
    x: &[Var<'t, f64>],
    rule: impl Fn(&Cotangent<'_, f64>, &mut Sink<'_, f64>) + 'static,
) -> Var<'t, f64> {
    let y = &x[0].value() * &x[1].value();
    Var::record("product", x, y, rule)
}

type C<'a> = Cotangent<'a, f64>;
type S<'a> = Sink<'a, f64>;

#[rstest]
#[case::wrong_sign(
    |c: &C, s: &mut S| { s.add(0, || -(c.g * c.x(1))); s.add(1, || c.g * c.x(0)) },
    [true, false]
)]
#[case::wrong_factor(
    |c: &C, s: &mut S| { s.add(0, || c.g * c.x(1)); s.add(1, || c.g * c.x(0) * (1. + 1e-6)) },
    [false, true]
)]
#[case::missing_contribution(
    |c: &C, s: &mut S| s.add(0, || c.g * c.x(1)),
    [false, true]
)]
#[case::swapped_inputs(
    |c: &C, s: &mut S| { s.add(0, || c.g * c.x(0)); s.add(1, || c.g * c.x(1)) },
    [true, true]
)]
#[case::cotangent_ignored(
    |c: &C, s: &mut S| { s.add(0, || c.x(1).to_owned()); s.add(1, || c.g * c.x(0)) },
    [true, false]
)]
#[case::overwritten(
    |c: &C, s: &mut S| {
        s.write(0, |_, dx| *dx = (c.g * c.x(1)).into());
        s.add(1, || c.g * c.x(0))
    },
    [true, false]
)]
#[case::counted_twice(
    |c: &C, s: &mut S| {
        s.add(0, || c.g * c.x(1));
        s.add(0, || c.g * c.x(1));
        s.add(1, || c.g * c.x(0))
    },
    [true, false]
)]
fn wrong_backward_rules_fail(
    #[case] rule: impl Fn(&C, &mut S) + Clone + 'static,
    #[case] wrong: [bool; 2],
) {
    let report = gradcheck(&[randn(&[3, 4], 1), randn(&[3, 4], 2)], |x| product(x, rule.clone()));
    let found = report.0.iter().map(|v| matches!(v, Verdict::Mismatch { .. }));
    assert!(found.eq(wrong), "{report}");
}

#[test]
fn correct_backward_rule_passes() {
    gradcheck(&[randn(&[3, 4], 1), randn(&[3, 4], 2)], |x| {
        product(x, |c, s| {
            s.add(0, || c.g * c.x(1));
            s.add(1, || c.g * c.x(0));
        })
    })
    .assert();
}

/// A relative error of 10⁻⁵ is found in gradients of order 10⁻⁹.
#[test]
fn tolerance_is_relative_to_small_gradients() {
    let report = gradcheck(&[randn(&[3, 4], 1), randn(&[3, 4], 2)], |x| {
        product(x, |c, s| {
            s.add(0, || c.g * c.x(1) * (1. + 1e-5));
            s.add(1, || c.g * c.x(0));
        }) * 1e-9
    });
    assert!(matches!(report.0[..], [Verdict::Mismatch { .. }, Verdict::Pass { .. }]), "{report}");
}

/// Kinks at the point, within the step and just beyond it.
#[rstest]
#[case(0., false)]
#[case(3e-5, false)]
#[case(-1e-4, false)]
#[case(0.1, true)]
fn a_kink_within_the_step_is_not_checkable(#[case] at: f64, #[case] checkable: bool) {
    let mut x = randn(&[3, 4], 1);
    x[[1, 2]] = at;
    let report = gradcheck(&[x], |x| x[0].relu());
    let verdict = report.0[0];
    assert_eq!(matches!(verdict, Verdict::Pass { .. }), checkable, "{report}");
    assert_eq!(matches!(verdict, Verdict::NotCheckable { .. }), !checkable, "{report}");
}

/// A tie is a kink, though no input is zero.
#[test]
fn tied_maximum_is_not_checkable() {
    let x = Tensor::from_shape_vec(vec![3], vec![1., 1., 0.]).unwrap().into_owned();
    let report = gradcheck(&[x], |x| x[0].max_axis(0));
    assert!(matches!(report.0[..], [Verdict::NotCheckable { .. }]), "{report}");
}

#[test]
fn a_gradient_lost_in_rounding_is_not_checkable() {
    let report = gradcheck(&[randn(&[2], 1)], |x| x[0] + 1e9);
    assert!(matches!(report.0[..], [Verdict::NotCheckable { .. }]), "{report}");
}

#[test]
fn correct_tiny_gradients_pass() {
    gradcheck(&[randn(&[3, 4], 0)], |x| x[0] * x[0] * 1e-20).assert();
}

#[test]
fn unused_input_passes() {
    gradcheck(&[randn(&[2], 1), randn(&[2], 2)], |x| x[0] * x[0]).assert();
}

#[test]
fn repeated_backward_gives_same_gradient() {
    let tape = Tape::<f64>::default();
    let x = tape.leaf(randn(&[3], 1));
    let y = (x * x + x).sum();
    let once = y.backward().wrt(x).unwrap().clone();
    assert_eq!(&once, y.backward().wrt(x).unwrap());
    assert!(y.backward().wrt(y.tape().leaf(randn(&[1], 2))).is_none());
}

#[test]
fn constants_and_detached_values_get_no_gradient() {
    let tape = Tape::<f64>::default();
    let (x, c) = (tape.leaf(randn(&[3], 1)), tape.constant(randn(&[3], 2)));
    let grads = (x * c + (x * 2.).detach()).sum().backward();
    assert!(grads.wrt(c).is_none() && c.sum().backward().wrt(c).is_none());
    assert!(tape.constant(randn(&[1], 3)).backward().wrt(c).is_none());
    assert_eq!(*grads.wrt(x).unwrap(), randn(&[3], 2).into());
}

#[test]
fn first_non_finite_node_is_reported() {
    let tape = Tape::<f64>::default();
    let x = tape.named_leaf("w", Tensor::from_shape_vec(vec![2], vec![1., -1.]).unwrap());
    let y = (x.ln() * 2.).sum();
    assert!(y.item().is_nan());
    let report = tape.first_non_finite().unwrap();
    assert_eq!(report, "node 1 `ln` [2] of node 0 `w` [2] holds NaN at 1");
    let dot = tape.dot(&[("all", tape.len())]);
    assert!(dot.contains("0 -> 1;"), "{dot}");
}

#[test]
#[should_panic(expected = "two tapes")]
fn mixing_two_tapes_panics() {
    let (a, b) = (Tape::<f64>::default(), Tape::default());
    let _ = a.leaf(randn(&[1], 1)) + b.leaf(randn(&[1], 1));
}

/// A tape at the address of a dropped one does not accept its gradients.
#[test]
#[should_panic(expected = "gradients of another tape")]
fn gradients_of_a_dropped_tape_panic() {
    let mut tape = Tape::<f64>::default();
    let grads = tape.leaf(Tensor::ones(vec![3])).sum().backward();
    tape = Tape::default();
    grads.wrt(tape.leaf(Tensor::ones(vec![3])));
}

#[test]
#[should_panic(expected = "gradients of another tape")]
fn gradients_of_another_tape_panic() {
    let (a, b) = (Tape::<f64>::default(), Tape::default());
    let grads = a.leaf(randn(&[1], 1)).sum().backward();
    grads.wrt(b.leaf(randn(&[1], 1)));
}

#[test]
#[should_panic(expected = "gradient [4, 3] for `leaf` [3, 4]")]
fn gradient_of_wrong_shape_panics() {
    let tape = Tape::<f64>::default();
    let x = tape.leaf(randn(&[3, 4], 1));
    let rule = |c: &C, s: &mut S| s.write(0, |_, dx| *dx = c.g.t().to_owned().into());
    Var::record("transposed", &[x], x.value(), rule).sum().backward();
}
