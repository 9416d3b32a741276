//! Defends: a sum of a million terms in single precision is accurate, forward and backward; a
//! quotient is rounded once; a logarithm near 0 is accurate.
use bhn::autodiff::{Tape, Tensor, Var};
use bhn::primary::Window;
use rstest::rstest;

const N: usize = 1_000_003;

fn filled<'t>(tape: &'t Tape, shape: &[usize], x: f32) -> Var<'t> {
    tape.leaf(Tensor::from_elem(shape, x))
}

/// Gradients of `Σ 0.1 y` with respect to a tensor of ones of this shape.
fn gradient(shape: &[usize], f: impl for<'t> Fn(Var<'t>) -> Var<'t>) -> Vec<f32> {
    let tape = Tape::default();
    let x = filled(&tape, shape, 1.);
    let grads = (f(x) * 0.1).sum().backward();
    grads.wrt(x).unwrap().iter().copied().collect()
}

fn of<'t>(x: Var<'t>, shape: &[usize]) -> Var<'t> {
    filled(x.tape(), shape, 1.)
}

/// Each entry is used about `N` times; its gradients are added in double precision and rounded
/// once.
#[test]
fn gradients_over_a_million_uses_are_rounded_once() {
    type Repeat = for<'t> fn(Var<'t>) -> Var<'t>;
    let cases: [(&str, &[usize], Repeat); 12] = [
        ("broadcast_to", &[1], |x| x.broadcast_to(&[N])),
        ("broadcast_to, rows", &[3], |x| x.broadcast_to(&[N, 3])),
        ("broadcast_to, both ways", &[1, 2, 1], |x| x.broadcast_to(&[1001, 2, 999])),
        ("add", &[1], |x| x + of(x, &[N])),
        ("add, rows", &[2], |x| of(x, &[N, 2]) + x),
        ("sub", &[2], |x| -(of(x, &[N, 2]) - x)),
        ("mul", &[1], |x| x * of(x, &[N])),
        ("mul, rows", &[2], |x| of(x, &[N, 2]) * x),
        ("div", &[1], |x| x / of(x, &[N])),
        ("bias", &[2], |x| of(x, &[N, 1]).linear(of(x, &[2, 1]), x)),
        ("gather", &[1], |x| x.gather(0, vec![0; N])),
        ("gather, rows", &[1, 3], |x| x.gather(0, vec![0; N])),
    ];
    for (name, shape, f) in cases {
        let tape = Tape::default();
        let uses = f(filled(&tape, shape, 1.)).value().len() / shape.iter().product::<usize>();
        let exact = uses as f64 * f64::from(0.1_f32);
        let found = gradient(shape, f);
        assert!(uses > 999_000 && found.iter().all(|&g| g == exact as f32), "{name}: {found:?}");
    }
}

/// Sums of 16 rows in single precision, added in double: each of 15 additions has a relative
/// rounding error of at most 2⁻²⁴.
#[rstest]
fn affine_gradients_of_a_million_terms_are_accurate(
    #[values((1, N, 1), (1, 2001, 250), (2, 30_011, 40))] (s, batch, n): (usize, usize, usize),
    #[values(false, true)] relu: bool,
    #[values(false, true)] shared: bool,
) {
    let shape = if shared { vec![batch, n] } else { vec![s, batch, n] };
    let tape = Tape::default();
    let [scale, shift] = [&[s, 1, n][..], &[n]].map(|shape| filled(&tape, shape, 1.));
    let p = filled(&tape, &shape, 1.);
    let y = if relu { p.affine_relu(scale, shift) } else { p.affine(scale, shift) };
    let grads = (y * 0.1).sum().backward();
    for (x, terms) in [(scale, batch), (shift, s * batch)] {
        let exact = terms as f64 * f64::from(0.1_f32);
        let bound = 16. * 2_f64.powi(-24) * exact;
        for &g in grads.wrt(x).unwrap() {
            assert!((f64::from(g) - exact).abs() <= bound, "{g} for {exact}");
        }
    }
}

/// 1 + 0.1 + 0.1 + …; each `eˣ` has a relative error of at most 2⁻²³, and the logarithm is rounded.
#[test]
fn log_sum_exp_of_a_million_terms_is_accurate() {
    let tape = Tape::default();
    let tenth = 0.1_f32.ln();
    let entry = |i: ndarray::IxDyn| if i[1] == 0 { 0. } else { tenth };
    let x = tape.leaf(ndarray::ArrayD::from_shape_fn(vec![1, N], entry));
    let exact = (1. + (N - 1) as f64 * f64::from(tenth).exp()).ln();
    let bound = f64::from(f32::EPSILON) * (1. + exact);
    let log_p = x.log_softmax().value();
    for found in [
        x.log_sum_exp(1).item(),
        x.transpose().log_sum_exp(0).item(),
        -x.categorical_log_prob([0]).item(),
        -log_p[[0, 0]],
        tenth - log_p[[0, 7]],
    ] {
        assert!((f64::from(found) - exact).abs() <= bound, "{found} for {exact}");
    }
}

/// `dy − p Σ dy` of equal probabilities `p` and equal `dy` is 0, to the rounding of `ln p = −13.8`.
#[test]
fn log_softmax_gradient_of_equal_logits_is_zero() {
    let found = gradient(&[N], |x| x.log_softmax());
    let bound = 0.1 * f32::EPSILON * 16.;
    assert!(found.iter().all(|g| g.abs() <= bound), "{}", found[0]);
}

#[test]
fn means_of_a_million_equal_entries_are_exact() {
    let tape = Tape::default();
    let image = filled(&tape, &[1000, 1001, 2], 0.1);
    let window = Window::new([1000, 1001]);
    assert!(image.avg_pool2d(window).value().iter().all(|&y| y == 0.1));
    assert_eq!(image.mean().item(), 0.1);
    assert!(image.reshape(&[1_001_000, 2]).mean_axis(0).value().iter().all(|&y| y == 0.1));
}

#[test]
fn quotients_are_rounded_once() {
    for (x, c) in [(10., 3.), (1e-39, 1e-39), (1., 49.), (3e38, 3e38), (0.7, 0.1)] {
        let tape = Tape::default();
        let x = filled(&tape, &[1], x);
        let y = x / c;
        assert_eq!(y.item(), x.item() / c);
        let weight = filled(&tape, &[1], 1e-39);
        assert_eq!((y * weight).backward().wrt(x).unwrap()[0], 1e-39 / c);
    }
    let tape = Tape::default();
    let x = filled(&tape, &[1], 1e-39);
    let grads = (x.ln() * filled(&tape, &[1], 1e-39)).backward();
    assert_eq!(grads.wrt(x).unwrap()[0], 1.);
}

/// `ln p = −ln(1 + r)` for `r = e⁻³⁰ + e⁻³⁰·⁵`, by its series: the cube is below the last bit.
#[test]
fn log_of_probability_near_one_is_accurate() {
    let tape = Tape::<f64>::default();
    let x = tape.leaf(Tensor::from_shape_vec(vec![1, 3], vec![30., 0., -0.5]).unwrap());
    let r = (-30_f64).exp() + (-30.5_f64).exp();
    let exact = r * r / 2. - r;
    let found = [
        x.log_softmax().value()[[0, 0]],
        x.categorical_log_prob([0]).item(),
        -(x - 30.).log_sum_exp(1).item(),
    ];
    for found in found {
        // Each of the two terms and their sum are rounded.
        assert!((found - exact).abs() <= 4. * f64::EPSILON * exact.abs(), "{found} for {exact}");
    }
}
