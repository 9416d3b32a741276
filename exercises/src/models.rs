//! Graders of exercises 7 to 14: flows, the bound, the hypernetwork, prediction.
use crate::grading::{Verdict, count, expect, gradient, same, value};
use bhn::autodiff::Var;
use bhn::autodiff::gradcheck::randn;
use std::f64::consts::TAU;

/// A map of the plane.
pub type PlaneMap = fn([f64; 2]) -> [f64; 2];
/// A function on the plane.
pub type PlaneFunction = fn([f64; 2]) -> f64;
/// From `w` and `u`, `û`.
pub type Constrained = fn(&[f64], &[f64]) -> Vec<f64>;
/// From `w`, `u`, `b` and `x`, the log-determinant.
pub type PlanarLnDet = fn(&[f64], &[f64], f64, &[f64]) -> f64;
/// From log-likelihoods, the KL and the number of training examples, the loss.
pub type Loss = fn(&[f64], f64, usize) -> f64;
/// From `v`, `b`, `g` and `x`, the output of the layer.
pub type Layer = for<'t> fn(Var<'t, f64>, Var<'t, f64>, Var<'t, f64>, Var<'t, f64>) -> Var<'t, f64>;
/// From probabilities, the total, aleatoric and epistemic uncertainty.
pub type Uncertainties = fn(&[Vec<f64>]) -> [f64; 3];
/// From answers and the number of bins, the error.
pub type Ece = fn(&[(f64, bool)], usize) -> f64;
/// From the noise, `m` and `w`, a sample and its log-density.
pub type Draw = fn([f64; 2], [f64; 2], [f64; 2]) -> ([f64; 2], f64);
/// From log-weights, the log of their mean.
pub type LogEvidence = fn(&[f64]) -> f64;

/// `ln |det|` of the Jacobian of a map of the plane, by central differences.
fn ln_det_by_differences(map: impl Fn([f64; 2]) -> [f64; 2], [a, b]: [f64; 2]) -> f64 {
    let h = 1e-5;
    let column = |above: [f64; 2], below: [f64; 2]| {
        let (above, below) = (map(above), map(below));
        [0, 1].map(|i| (above[i] - below[i]) / (2. * h))
    };
    let by_a = column([a + h, b], [a - h, b]);
    let by_b = column([a, b + h], [a, b - h]);
    (by_a[0] * by_b[1] - by_a[1] * by_b[0]).abs().ln()
}

/// Grades exercise 7.
///
/// # Errors
/// If an inverse or a log-determinant is wrong.
pub fn coupling(inverse: PlaneMap, ln_det: PlaneFunction) -> Verdict {
    let forward = |[a, b]: [f64; 2]| [a, a.tanh().exp() * b + a * a];
    let points = [[0.3, -0.7], [-1.1, 0.4], [2., 5.]];
    for x in points {
        let back = inverse(forward(x));
        for i in 0..2 {
            same(&format!("entry {i} of inverse(forward({x:?}))"), back[i], x[i])?;
        }
    }
    points.into_iter().try_for_each(|x| {
        let (found, expected) = (ln_det(x), ln_det_by_differences(forward, x));
        expect((found - expected).abs() < 1e-6, || {
            format!(
                "ln_det({x:?}): found {found:.6}, expected {expected:.6} by finite differences of \
                 forward"
            )
        })
    })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Grades exercise 8.
///
/// # Errors
/// If `û` or a log-determinant is wrong.
pub fn planar(constrained: Constrained, ln_det: PlanarLnDet) -> Verdict {
    let w = [0.5, -2., 1.];
    for u in [[1., 1., 1.], [-3., 4., 0.], [0.2, 9., -8.], [0., 400., 0.]] {
        let found = constrained(&w, &u);
        let inputs = format!("for w = {w:?}, u = {u:?}");
        count(&format!("û {inputs}"), found.len(), 3)?;
        let before = dot(&w, &u);
        let softplus = before.max(0.) + (-before.abs()).exp().ln_1p();
        same(&format!("w·û, where w·u = {before}, {inputs}"), dot(&w, &found), softplus - 1.)?;
        let c = (softplus - 1. - before) / dot(&w, &w);
        for i in 0..3 {
            same(&format!("û[{i}] {inputs}"), found[i], u[i] + c * w[i])?;
        }
    }
    for (u, x) in [([0.3, 0.1, 0.4], [0.2, -0.1, 0.7]), ([0.4, 0.2, 0.7], [-1., 0.5, 2.])] {
        let tanh = (dot(&w, &x) + 0.3_f64).tanh();
        let expected = (1. + dot(&u, &w) * (1. - tanh * tanh)).abs().ln();
        let what = format!("ln_det for w = {w:?}, u = {u:?}, b = 0.3, x = {x:?}");
        same(&what, ln_det(&w, &u, 0.3, &x), expected)?;
    }
    Ok(())
}

/// Grades exercise 9.
///
/// # Errors
/// If the loss is wrong.
pub fn loss(loss: Loss) -> Verdict {
    let found = loss(&[-0.5; 128], 3000., 50_000);
    let faults = [
        (0.5 + 3000. / 128., "the KL is divided by the size of the minibatch"),
        (0.5 + 3000., "the KL is not divided at all"),
        (64. + 0.06, "the log-likelihoods are summed and not averaged"),
        (64. + 3000., "this is a sum over the minibatch; divide by the number of examples"),
        (28_000., "this is the loss of all training examples; divide by their number"),
        (-28_000., "this is the bound; divide it by −data"),
        (0.5, "the KL is missing"),
        (0.44, "the sign of the KL is wrong: a large KL is bad"),
        (-0.44, "the sign of the log-likelihoods is wrong: a large likelihood is good"),
        (-0.56, "the sign is that of the bound; a loss is minimised"),
    ];
    let what = "the loss of 128 of 50,000 examples with ln p = −0.5 each, and KL = 3000";
    for (value, why) in faults {
        expect((found - value).abs() > 1e-9, || {
            format!("{what}: found {found:.6}, expected 0.560000: {why}")
        })?;
    }
    same(what, found, 0.56)?;
    same("loss(&[-1, -2, -6], 10, 4)", loss(&[-1., -2., -6.], 10., 4), 5.5)
}

/// Grades exercise 10.
///
/// # Errors
/// If an output or a gradient is wrong.
pub fn hypernet(layer: Layer) -> Verdict {
    let [v, b, g, x] = [randn(&[4, 3], 0), randn(&[4], 1), randn(&[2, 4], 2), randn(&[5, 3], 3)];
    let y = value(|x| layer(x[0], x[1], x[2], x[3]), &[v.clone(), b.clone(), g.clone(), x.clone()]);
    expect(y.shape() == [2, 5, 4], || {
        format!("the shape for S = 2, B = 5, n = 4: found {:?}, expected [2, 5, 4]", y.shape())
    })?;
    for at in (0..2).flat_map(|s| (0..5).flat_map(move |i| (0..4).map(move |j| [s, i, j]))) {
        let [s, i, j] = at;
        let product: f64 = (0..3).map(|k| v[[j, k]] * x[[i, k]]).sum();
        let norm = (0..3).map(|k| v[[j, k]].powi(2)).sum::<f64>().sqrt();
        let expected = g[[s, j]] * product / norm + b[[j]];
        same(&format!("y[{s}][{i}][{j}] for random inputs"), y[at], expected)?;
    }
    let inputs = [("v", v), ("b", b), ("g", g), ("x", x)];
    gradient("the layer", &inputs, |x| layer(x[0], x[1], x[2], x[3]))
}

/// Grades exercise 11.
///
/// # Errors
/// If an uncertainty is wrong.
pub fn bald(uncertainties: Uncertainties) -> Verdict {
    let ln2 = 2_f64.ln();
    let entropy = |p: f64| -p * p.ln() - (1. - p) * (1. - p).ln();
    let cases = [
        (vec![vec![0.5, 0.5]; 2], [ln2, ln2, 0.], "all samples are undecided"),
        (vec![vec![1., 0.], vec![0., 1.]], [ln2, 0., ln2], "samples disagree"),
        (vec![vec![0., 1., 0.]], [0.; 3], "one sample is certain"),
        (
            vec![vec![0.9, 0.1], vec![0.6, 0.4], vec![0.6, 0.4]],
            [
                entropy(0.7),
                (entropy(0.9) + 2. * entropy(0.6)) / 3.,
                entropy(0.7) - (entropy(0.9) + 2. * entropy(0.6)) / 3.,
            ],
            "three samples differ",
        ),
    ];
    for (p, expected, kind) in cases {
        let found = uncertainties(&p);
        for (i, what) in ["total", "aleatoric", "epistemic"].into_iter().enumerate() {
            let what = format!("the {what} uncertainty of p = {p:?}, where {kind}");
            same(&what, found[i], expected[i])?;
        }
    }
    Ok(())
}

/// Grades exercise 12.
///
/// # Errors
/// If an error is wrong.
pub fn calibration(ece: Ece) -> Verdict {
    type Answers = &'static [(f64, bool)];
    let cases: [(Answers, usize, f64); 5] = [
        (&[(0.8, true), (0.8, false)], 1, 0.3),
        (&[(0.9, true), (0.7, false), (0.8, true)], 1, 0.4 / 3.),
        (&[(0.9, true), (0.3, true), (0.3, false), (0.3, false)], 2, (0.1 + 0.1) / 4.),
        (&[(1., true), (1., true), (0.05, false)], 10, 0.05 / 3.),
        (&[(0.5, false), (0.375, true), (0.625, true)], 2, (0.125 + 0.375) / 3.),
    ];
    cases.into_iter().try_for_each(|(answers, bins, expected)| {
        same(&format!("ece(&{answers:?}, {bins})"), ece(answers, bins), expected)
    })
}

/// Grades exercise 13.
///
/// # Errors
/// If a sample is wrong, or its density is not that of the samples.
pub fn posterior(draw: Draw) -> Verdict {
    let coupling = |[a, b]: [f64; 2]| [a, a.tanh().exp() * b + a * a];
    let (m, w): ([f64; 2], [f64; 2]) = ([0.5, -1.], [-0.7, 0.2]);
    let map = |[a, b]: [f64; 2]| {
        let [a, b] = coupling([a, b]);
        let [a, b] = coupling([b, a]);
        [m[0] + w[0].exp() * a, m[1] + w[1].exp() * b]
    };
    let points = [[0., 0.], [0.4, -0.8], [-1.2, 0.3], [0.7, 1.1]];
    for noise in points {
        let (found, expected) = (draw(noise, m, w).0, map(noise));
        for i in 0..2 {
            same(
                &format!("θ[{i}] for ε = {noise:?}, m = {m:?}, w = {w:?}"),
                found[i],
                expected[i],
            )?;
        }
    }
    // ∫ q(θ) dθ = ∫ q(h(ε)) |det ∂h/∂ε| dε.
    let step = 0.05;
    let grid = || (-160..=160).map(|i| step * f64::from(i));
    let mass: f64 = grid()
        .flat_map(|a| grid().map(move |b| [a, b]))
        .map(|noise| {
            let ln_det = ln_det_by_differences(map, noise);
            (draw(noise, m, w).1 + ln_det).exp() * step * step
        })
        .sum();
    for noise in points {
        let squares: f64 = noise.iter().map(|e| e * e).sum();
        let expected = -0.5 * squares - TAU.ln() - ln_det_by_differences(map, noise);
        let found = draw(noise, m, w).1;
        expect((found - expected).abs() < 1e-6, || {
            format!(
                "ln q for ε = {noise:?}, m = {m:?}, w = {w:?}: found {found:.6}, expected \
                 {expected:.6}\n(your density integrates to {mass:.4} over the plane, and should \
                 to 1)"
            )
        })?;
    }
    expect((mass - 1.).abs() < 1e-3, || {
        format!("the density integrates to {mass:.4} over the plane, expected 1")
    })
}

/// Grades exercise 14.
///
/// # Errors
/// If a value is wrong.
pub fn evidence(log_evidence: LogEvidence) -> Verdict {
    let cases = [
        ("log_evidence(&[-3; 7])", vec![-3.; 7], -3.),
        ("log_evidence(&[0, ln 3])", vec![0., 3_f64.ln()], 2_f64.ln()),
        (
            "log_evidence(&[-5000, -5000 + ln 3])",
            vec![-5000., -5000. + 3_f64.ln()],
            -5000. + 2_f64.ln(),
        ),
        ("log_evidence(&[900, -5000])", vec![900., -5000.], 900. - 2_f64.ln()),
    ];
    cases.into_iter().try_for_each(|(what, w, expected)| same(what, log_evidence(&w), expected))
}
