//! Graders of exercises 1 to 6: the engine.
use crate::grading::{Verdict, count, expect, gradient, same, value};
use bhn::autodiff::gradcheck::randn;
use bhn::autodiff::{Owned, Tensor, Var};

/// An operation on one tensor.
pub type Unary = for<'t> fn(Var<'t, f64>) -> Var<'t, f64>;
/// An operation on two tensors.
pub type Binary = for<'t> fn(Var<'t, f64>, Var<'t, f64>) -> Var<'t, f64>;
/// From `a`, `b` and `dz`, the gradients of `a` and `b`.
pub type OuterBackward = fn(&[f64], &[f64], &[Vec<f64>]) -> (Vec<f64>, Vec<f64>);
/// Reverse mode on a tape of numbers.
pub type Backward = fn(&[Vec<(usize, f64)>], usize) -> Vec<f64>;
/// From `[w, m, v]`, the gradient, the learning rate and the number of the step, the next `[w, m,
/// v]`.
pub type AdamStep = fn([f64; 3], f64, f64, i32) -> [f64; 3];

/// Grades exercise 1.
///
/// # Errors
/// If a gradient is wrong.
pub fn broadcast(backward: OuterBackward) -> Verdict {
    let (da, db) = backward(&[1., 2., 3.], &[10., 20.], &vec![vec![1., 1.]; 3]);
    let inputs = "for a = [1, 2, 3], b = [10, 20] and every dz = 1";
    count(&format!("the gradient of a, {inputs}"), da.len(), 3)?;
    count(&format!("the gradient of b, {inputs}"), db.len(), 2)?;
    (0..3).try_for_each(|i| same(&format!("da[{i}] {inputs}"), da[i], 30.))?;
    (0..2).try_for_each(|j| same(&format!("db[{j}] {inputs}"), db[j], 6.))?;

    // A panic of the sink about shapes would not name the answer's fault.
    let (da, db) = backward(&[0.3; 3], &[0.7; 4], &vec![vec![0.2; 4]; 3]);
    count("the gradient of a of length 3, for b of length 4", da.len(), 3)?;
    count("the gradient of b of length 4, for a of length 3", db.len(), 4)?;
    gradient("outer", &[("a", randn(&[3], 0)), ("b", randn(&[4], 1))], |x| {
        outer(x[0], x[1], backward)
    })
}

/// `zᵢⱼ = aᵢ bⱼ` on the tape, with the rule `backward`.
fn outer<'t>(a: Var<'t, f64>, b: Var<'t, f64>, backward: OuterBackward) -> Var<'t, f64> {
    let (x, y) = (a.value(), b.value());
    let z = Owned::from_shape_fn(vec![x.len(), y.len()], |at| x[[at[0]]] * y[[at[1]]]);
    Var::record("outer", &[a, b], z, move |c, sink| {
        let dz: Vec<Vec<f64>> = c.g.outer_iter().map(|row| row.iter().copied().collect()).collect();
        let (da, db) = backward(c.x(0).as_slice(), c.x(1).as_slice(), &dz);
        for (k, entries) in [da, db].into_iter().enumerate() {
            let vector = Tensor::from_shape_vec(vec![entries.len()], entries);
            sink.add(k, || vector.expect("as many entries"));
        }
    })
}

/// Grades exercise 2.
///
/// # Errors
/// If a gradient is wrong.
pub fn tape(backward: Backward) -> Verdict {
    let product = [vec![], vec![], vec![(0, 3.), (1, 2.)]];
    let found = backward(&product, 2);
    count("the gradients of the tape a, b, ab", found.len(), 3)?;
    let inputs = "for L = ab, a = 2, b = 3";
    for (id, (name, expected)) in [("a", 3.), ("b", 2.), ("L", 1.)].into_iter().enumerate() {
        same(&format!("∂L/∂{name} (node {id}) {inputs}"), found[id], expected)?;
    }
    // a = 2, b = 3, c = ab, d = c + b, L = d d, and a node that L does not depend on.
    let tape = [
        vec![],
        vec![],
        vec![(0, 3.), (1, 2.)],
        vec![(2, 1.), (1, 1.)],
        vec![(3, 9.), (3, 9.)],
        vec![(0, 100.), (4, 100.)],
    ];
    let found = backward(&tape, 4);
    count("the gradients of a tape of 6 nodes", found.len(), 6)?;
    let inputs = "for c = ab, d = c + b, L = d·d, a = 2, b = 3";
    let nodes = [
        (4, "∂L/∂L (node 4), although node 5, which L does not depend on, uses L,", 1.),
        (3, "∂L/∂d (node 3), where L uses d twice,", 18.),
        (2, "∂L/∂c (node 2)", 18.),
        (1, "∂L/∂b (node 1), which is used by two nodes,", 54.),
        (0, "∂L/∂a (node 0), which a node after L uses, too,", 54.),
        (5, "the gradient of node 5, which comes after L,", 0.),
    ];
    nodes
        .into_iter()
        .try_for_each(|(id, what, expected)| same(&format!("{what} {inputs}"), found[id], expected))
}

fn shape(what: &str, found: &[usize], expected: &[usize]) -> Verdict {
    expect(found == expected, || {
        format!("the shape of {what}: found {found:?}, expected {expected:?}")
    })
}

/// Grades exercise 3.
///
/// # Errors
/// If a value or the rule is wrong.
pub fn softsign(f: Unary) -> Verdict {
    for (x, expected) in [(3., 0.75), (-3., -0.75), (0., 0.)] {
        let y = value(|x| f(x[0]), &[Owned::from_elem(vec![1], x)]);
        shape("softsign(x) for x [1]", y.shape(), &[1])?;
        same(&format!("softsign({x})"), y.as_slice()[0], expected)?;
    }
    gradient("softsign", &[("x", randn(&[3, 4], 0))], |x| f(x[0]))
}

/// Grades exercise 4.
///
/// # Errors
/// If a value or the rule is wrong.
pub fn log_sum_exp(f: Unary) -> Verdict {
    let small = 1. + 2_f64.exp() + 3_f64.exp();
    let cases = [
        ([0., 2., 3.], small.ln()),
        ([1000., 999., -5.], 1000. + (-1_f64).exp().ln_1p()),
        ([-1000., -1000., -1001.], -1000. + (2. + (-1_f64).exp()).ln()),
    ];
    for (x, expected) in cases {
        let y = value(|x| f(x[0]), &[Owned::from_shape_vec(vec![3], x.to_vec()).expect("3")]);
        shape("log_sum_exp(x)", y.shape(), &[])?;
        same(&format!("log_sum_exp({x:?})"), y.as_slice()[0], expected)?;
    }
    let large = randn(&[5], 1) + 1000.;
    gradient("log_sum_exp", &[("x", randn(&[5], 0))], |x| f(x[0]))?;
    gradient("log_sum_exp for entries near 1000", &[("x", large)], |x| f(x[0]))
}

/// Grades exercise 5.
///
/// # Errors
/// If a value or the rule is wrong.
pub fn matmul(f: Binary) -> Verdict {
    let (x, w) = (randn(&[3, 4], 0), randn(&[4, 2], 1));
    let y = value(|x| f(x[0], x[1]), &[x.clone(), w.clone()]);
    shape("the product of x [3, 4] and w [4, 2]", y.shape(), &[3, 2])?;
    for at in [[0, 0], [2, 1]] {
        let expected = (0..4).map(|k| x[[at[0], k]] * w[[k, at[1]]]).sum();
        same(&format!("entry {at:?} of the product of random matrices"), y[at], expected)?;
    }
    gradient("matmul", &[("x", x), ("w", w)], |x| f(x[0], x[1]))
}

/// Grades exercise 6.
///
/// # Errors
/// If a step is wrong.
pub fn adam(step: AdamStep) -> Verdict {
    let [w, m, v] = step([1., 0., 0.], 4., 0.01, 1);
    let inputs = "after step 1 from w = 1 with g = 4, rate = 0.01";
    same(&format!("m {inputs}"), m, 0.4)?;
    same(&format!("v {inputs}"), v, 0.016)?;
    same(&format!("w {inputs}"), w, 1. - 0.01 * 4. / (4. + 1e-8))?;
    let [w, m, v] = step([w, m, v], -2., 0.01, 2);
    let inputs = "after a step 2 with g = −2";
    same(&format!("m {inputs}"), m, 0.16)?;
    same(&format!("v {inputs}"), v, 0.016 * 0.999 + 0.004)?;
    let (m_hat, v_hat) = (0.16 / 0.19, (0.016 * 0.999 + 0.004) / (1. - 0.999_f64.powi(2)));
    same(&format!("w {inputs}"), w, 0.99 - 0.01 * m_hat / v_hat.sqrt())?;
    let [w, ..] = step([0.; 3], 1e-8, 0.01, 1);
    same("w after step 1 from w = 0 with g = 10⁻⁸, as small as ε", w, -0.005)
}
