//! Defends: a shape mistake panics at once, and the message names the operation and the shapes.
use bhn::autodiff::{Tape, Tensor, Var};
use bhn::bayes::{Draw, Ensemble, Kl, Prior, Scale, elbo};
use bhn::kernels::conv::Window;
use bhn::nn::Params;
use rstest::rstest;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn x<'t>(tape: &'t Tape<f64>, shape: &[usize]) -> Var<'t, f64> {
    tape.leaf(Tensor::ones(shape))
}

/// Assert that `wrong` panics with a message that starts with `expected`.
fn panics(expected: &str, wrong: impl FnOnce(&Tape<f64>)) {
    let tape = Tape::default();
    let panic = catch_unwind(AssertUnwindSafe(|| wrong(&tape)));
    let Err(panic) = panic else { panic!("no panic for {expected}: {tape}") };
    let found = panic.downcast_ref::<String>().expect("a message");
    assert!(found.starts_with(expected), "{found:?} does not start with {expected:?}");
}

type Two = for<'t> fn(Var<'t, f64>, Var<'t, f64>) -> Var<'t, f64>;

const TWO: &[(&str, Two, &[usize], &[usize])] = &[
    ("add: [2] and [3]", |a, b| a + b, &[2], &[3]),
    ("sub: [2, 3] and [2]", |a, b| a - b, &[2, 3], &[2]),
    ("mul: [2] and [3]", |a, b| a * b, &[2], &[3]),
    ("div: [2] and [3]", |a, b| a / b, &[2], &[3]),
    ("matmul: [2, 3] × [2, 3]", |a, b| a.matmul(b), &[2, 3], &[2, 3]),
    ("matmul: [3] × [3, 2]", |a, b| a.matmul(b), &[3], &[3, 2]),
    ("matmul: [2, 3] × [3]", |a, b| a.matmul(b), &[2, 3], &[3]),
    ("matmul: [2, 3, 4] × [3, 4]", |a, b| a.matmul(b), &[2, 3, 4], &[3, 4]),
    ("matmul_t: [2, 3] × [4, 2]", |a, b| a.matmul_t(b), &[2, 3], &[4, 2]),
    ("matmul_t: [2, 3] × [2, 3, 5]", |a, b| a.matmul_t(b), &[2, 3], &[2, 3, 5]),
    ("matmul_t: [] × [2, 3]", |a, b| a.matmul_t(b), &[], &[2, 3]),
    ("matmul_each: [2, 3] × [4, 3]", |a, b| a.matmul_each(b), &[2, 3], &[4, 3]),
    ("matmul_each: [2, 3] × [5, 4, 2]", |a, b| a.matmul_each(b), &[2, 3], &[5, 4, 2]),
    ("matmul_each: [4, 2, 3] × [5, 4, 3]", |a, b| a.matmul_each(b), &[4, 2, 3], &[5, 4, 3]),
    ("matmul_each: [5, 1, 2, 3] × [5, 4, 3]", |a, b| a.matmul_each(b), &[5, 1, 2, 3], &[5, 4, 3]),
    ("matmul_each: [3] × [5, 4, 3]", |a, b| a.matmul_each(b), &[3], &[5, 4, 3]),
    ("weight_norm: directions [2, 3], scales [3]", |a, b| a.weight_norm(b), &[2, 3], &[3]),
    ("weight_norm: directions [2, 3, 4], scales [2]", |a, b| a.weight_norm(b), &[2, 3, 4], &[2]),
    ("solve_unit_upper: [2, 3] is not square", |a, b| a.solve_unit_upper(b), &[2, 3], &[2, 3]),
    ("solve_unit_upper: [2, 4] by [3, 3]", |a, b| a.solve_unit_upper(b), &[2, 4], &[3, 3]),
    ("solve_unit_lower: [2, 3, 3] by [3, 3]", |a, b| a.solve_unit_lower(b), &[2, 3, 3], &[3, 3]),
    ("concat: [[2, 3], [3, 3]] along 1", |a, b| Var::concat(&[a, b], 1), &[2, 3], &[3, 3]),
    ("concat: [[2, 3], [2]] along 1", |a, b| Var::concat(&[a, b], 1), &[2, 3], &[2]),
    ("concat: [[2], [2, 3]] along 1", |a, b| Var::concat(&[a, b], 1), &[2], &[2, 3]),
    ("stack: no axis 2", |a, b| Var::stack(&[a, b], 2), &[2], &[2]),
    ("concat: [[1, 2], [1, 3]]", |a, b| Var::stack(&[a, b], 0), &[2], &[3]),
    ("conv2d: ", |a, b| a.conv2d(b, Window::squares(2)), &[1, 4, 4, 3], &[5, 11]),
    ("conv2d: ", |a, b| a.conv2d(b, Window::squares(2)), &[4, 3], &[5, 12]),
    ("conv2d: ", |a, b| a.conv2d(b, Window::squares(5)), &[1, 4, 4, 3], &[5, 75]),
    ("conv2d_each: ", |a, b| a.conv2d_each(b, Window::squares(2)), &[1, 4, 4, 3], &[2, 5, 11]),
    ("conv2d_each: ", |a, b| a.conv2d_each(b, Window::squares(2)), &[1, 4, 4, 3], &[5, 12]),
    ("conv2d_each: ", |a, b| a.conv2d_each(b, Window::squares(2)), &[3, 1, 4, 4, 3], &[2, 5, 12]),
];

#[test]
fn binary_ops_report_shape_mismatch() {
    for &(expected, f, a, b) in TWO {
        panics(expected, |tape| {
            f(x(tape, a), x(tape, b));
        });
    }
}

type One = for<'t> fn(Var<'t, f64>) -> Var<'t, f64>;

const ONE: &[(&str, One, &[usize])] = &[
    ("reshape: [2, 3] to [5]", |x| x.reshape(&[5]), &[2, 3]),
    ("transpose: [2, 3, 4]", |x| x.transpose(), &[2, 3, 4]),
    ("permute_axes: [0, 0] of [2, 3]", |x| x.permute_axes(&[0, 0]), &[2, 3]),
    ("permute_axes: [0, 2] of [2, 3]", |x| x.permute_axes(&[0, 2]), &[2, 3]),
    ("permute_axes: [1, 0] of [2, 3, 4]", |x| x.permute_axes(&[1, 0]), &[2, 3, 4]),
    ("slice: no axis 2 in [2, 3]", |x| x.slice(2, 0..1), &[2, 3]),
    ("slice: 2..4 of axis 1 of [2, 3]", |x| x.slice(1, 2..4), &[2, 3]),
    (
        "slice: 2..1 of axis 1 of [2, 3]",
        |x| {
            let (a, b) = (2, 1);
            x.slice(1, a..b)
        },
        &[2, 3],
    ),
    ("masked: 2 masks for [3]", |x| x.masked([true, false]), &[3]),
    ("gather: index Some(3) of [2, 3]", |x| x.gather(1, [0, 3]), &[2, 3]),
    ("gather: no axis 2", |x| x.gather(2, [0]), &[2, 3]),
    ("broadcast_to: [2, 3] to [2, 4]", |x| x.broadcast_to(&[2, 4]), &[2, 3]),
    ("sum_axis: no axis 2 in [2, 3]", |x| x.sum_axis(2), &[2, 3]),
    ("max_axis: axis 1 of [2, 0] is empty", |x| x.max_axis(1), &[2, 0]),
    ("max_axis: no axis 2", |x| x.max_axis(2), &[2, 3]),
    ("log_sum_exp: no axis 1", |x| x.log_sum_exp(1), &[2]),
    ("log_softmax: [] has no axis", |x| x.log_softmax(), &[]),
    ("row_norms: [3] is not a matrix", |x| x.row_norms(), &[3]),
    ("strictly_lower: [2, 3] is not square", |x| x.strictly_lower(), &[2, 3]),
    ("strictly_upper: [2, 2, 2] is not square", |x| x.strictly_upper(), &[2, 2, 2]),
    ("categorical_log_prob: logits [2, 3], 1 labels", |x| x.categorical_log_prob([0]), &[2, 3]),
    (
        "categorical_log_prob: logits [2, 3], 2 labels up to Some(3)",
        |x| x.categorical_log_prob([0, 3]),
        &[2, 3],
    ),
    ("categorical_log_prob: logits [3]", |x| x.categorical_log_prob([0, 1, 2]), &[3]),
    ("standard_normal_log_prob: [3] is not [S, D]", |x| x.standard_normal_log_prob(), &[3]),
];

#[test]
fn unary_ops_report_invalid_shape() {
    for &(expected, f, shape) in ONE {
        panics(expected, |tape| {
            f(x(tape, shape));
        });
    }
}

/// `s ⊙ p + b`: scales that do not have one row per sample, that are of another number of samples
/// or another width, or that come with shifts of another length.
#[rstest]
#[case([vec![2, 3, 4], vec![2, 2, 4], vec![4]])]
#[case([vec![3, 3, 4], vec![2, 1, 4], vec![4]])]
#[case([vec![2, 3, 5], vec![2, 1, 4], vec![4]])]
#[case([vec![2, 3, 4], vec![2, 1, 4], vec![3]])]
#[case([vec![4], vec![4], vec![4]])]
#[case([vec![2, 2, 3, 4], vec![2, 1, 4], vec![4]])]
fn affine_reports_shape_mismatch(#[case] shapes: [Vec<usize>; 3]) {
    panics("affine: ", |tape| {
        let [p, s, b] = shapes.map(|shape| x(tape, &shape));
        p.affine(s, b);
    });
}

#[test]
fn linear_reports_bias_mismatch() {
    panics("linear: [2, 3] × [4, 3] transposed + [3]", |tape| {
        x(tape, &[2, 3]).linear(x(tape, &[4, 3]), x(tape, &[3]));
    });
}

/// Priors and likelihoods must match the draw's samples and the batch.
#[rstest]
#[case([3, 2], [3], [3, 5], 5, true)]
#[case([15, 2], [15], [3, 5], 5, true)]
#[case([3, 2], [2], [3, 5], 5, false)]
#[case([4, 2], [4], [3, 5], 5, false)]
#[case([3, 2], [3], [3, 5], 4, false)]
fn elbo_reports_shape_mismatch(
    #[case] theta: [usize; 2],
    #[case] log_q: [usize; 1],
    #[case] likelihood: [usize; 2],
    #[case] batch: usize,
    #[case] fits: bool,
) {
    let bound = |tape: &Tape<f64>| {
        let draw = Draw { theta: x(tape, &theta), kl: Kl::Sampled { log_q: x(tape, &log_q) } };
        let scale = Scale { data: 10, batch, beta: 1. };
        elbo(&draw, Prior::default(), x(tape, &likelihood), scale);
    };
    if fits { bound(&Tape::default()) } else { panics("elbo: ", bound) }
}

#[rstest]
#[case(vec![])]
#[case(vec![vec![]])]
#[case(vec![vec![1., 2.], vec![1.]])]
fn ensemble_reports_invalid_points(#[case] points: Vec<Vec<f64>>) {
    panics("Ensemble: ", |_| {
        Ensemble::new(&mut Params::<f64>::default(), "e", &points);
    });
}
