//! Exercises 1 to 14: code that a check accepts.
use super::Exercise;
use super::answers::{
    e01_broadcast, e02_tape, e03_softsign, e04_logsumexp, e05_matmul, e06_adam, e07_coupling,
    e08_planar, e09_elbo, e10_hypernet, e11_bald, e12_draw, e13_importance, e14_calibration,
};
use bhn::autodiff::gradcheck::{Report, gradcheck, randn};
use bhn::autodiff::{Owned, Tape, Tensor, Var};

pub const EXERCISES: [Exercise; 14] = [
    Exercise {
        number: 1,
        file: "e01_broadcast",
        chapter: "tensors",
        hints: &[
            "aᵢ occurs in every entry of row i of z.",
            "da = Σⱼ dz b: sum c.g[[i, j]] * c.x(1)[[j]] over j.",
        ],
        grade: broadcast,
    },
    Exercise {
        number: 2,
        file: "e02_tape",
        chapter: "tape",
        hints: &[
            "Consumers of a node come after it, so from the end every gradient is complete.",
            "For id from loss down to 0, add gradients[id] * slope to each input.",
        ],
        grade: tape,
    },
    Exercise {
        number: 3,
        file: "e03_softsign",
        chapter: "gradcheck",
        hints: &["The rule can be written in terms of c.y alone."],
        grade: softsign,
    },
    Exercise {
        number: 4,
        file: "e04_logsumexp",
        chapter: "gradcheck",
        hints: &[
            "Factor exp(max) out of the sum.",
            "dxₖ = exp(xₖ − y) dy, which is the softmax times dy.",
        ],
        grade: logsumexp,
    },
    Exercise {
        number: 5,
        file: "e05_matmul",
        chapter: "gradcheck",
        hints: &["The shapes leave one choice: dX [m, k] from dY [m, n] and W [k, n]."],
        grade: matmul,
    },
    Exercise {
        number: 6,
        file: "e06_adam",
        chapter: "training",
        hints: &[
            "Count the step first: the first step has t = 1.",
            "m̂ = m / (1 − 0.9ᵗ); ε is added after the square root.",
        ],
        grade: adam,
    },
    Exercise {
        number: 7,
        file: "e07_coupling",
        chapter: "flows",
        hints: &["x₂ = (y₂ − m(y₁)) / s(y₁).", "The determinant of a triangular matrix is that of its diagonal."],
        grade: coupling,
    },
    Exercise {
        number: 8,
        file: "e08_planar",
        chapter: "flows",
        hints: &["The Jacobian is I + û wᵀ (1 − tanh²)."],
        grade: planar,
    },
    Exercise {
        number: 9,
        file: "e09_elbo",
        chapter: "inference",
        hints: &["Mean log-likelihood of the batch, with a minus; KL divided by N."],
        grade: bound,
    },
    Exercise {
        number: 10,
        file: "e10_hypernet",
        chapter: "hypernet",
        hints: &["x Vᵀ is [B, n]; g/‖V‖ is [S, n], reshaped to [S, 1, n]."],
        grade: hypernet,
    },
    Exercise {
        number: 11,
        file: "e11_bald",
        chapter: "prediction",
        hints: &["The entropy of the mean, minus the mean of the entropies."],
        grade: bald,
    },
    Exercise {
        number: 12,
        file: "e12_draw",
        chapter: "hypernet",
        hints: &["ln|det| of a diagonal Jacobian exp(w) is the sum of w."],
        grade: draw,
    },
    Exercise {
        number: 13,
        file: "e13_importance",
        chapter: "good",
        hints: &["Subtract the largest before exponentiating, and add it at the end."],
        grade: importance,
    },
    Exercise {
        number: 14,
        file: "e14_calibration",
        chapter: "prediction",
        hints: &["n_bin/N · |…| is |Σ (right − confidence)|/N over the answers in the bin."],
        grade: calibration,
    },
];

fn expect(holds: bool, why: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why.into()) }
}

fn near(what: &str, found: f64, expected: f64) -> Result<(), String> {
    let is_near = (found - expected).abs() <= 1e-9 * (1. + expected.abs());
    expect(is_near, format!("{what} is {found}, and should be {expected}"))
}

fn check(what: &str, report: &Report) -> Result<(), String> {
    expect(report.passed(), format!("the gradient of {what} is wrong:\n{report}"))
}

fn value(f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>, xs: &[Owned<f64>]) -> Tensor<f64> {
    let tape = Tape::default();
    let xs: Vec<_> = xs.iter().map(|x| tape.leaf(x.clone())).collect();
    f(&xs).value()
}

fn broadcast() -> Result<(), String> {
    let report = gradcheck(&[randn(&[3], 0), randn(&[4], 1)], |x| e01_broadcast::outer(x[0], x[1]));
    check("the outer product", &report)
}

fn tape() -> Result<(), String> {
    use e02_tape::{Node, backward};
    // a = 2, b = 3, c = ab, d = c + b, L = d²; the last node is not used.
    let tape = [
        Node(vec![]),
        Node(vec![]),
        Node(vec![(0, 3.), (1, 2.)]),
        Node(vec![(2, 1.), (1, 1.)]),
        Node(vec![(3, 9.), (3, 9.)]),
        Node(vec![(0, 100.)]),
    ];
    let found = backward(&tape, 4);
    expect(found.len() == 6, format!("{} gradients for 6 nodes", found.len()))?;
    near("∂L/∂L", found[4], 1.)?;
    near("∂L/∂d, where L uses d twice,", found[3], 18.)?;
    near("∂L/∂a", found[0], 54.)?;
    near("∂L/∂b, where b is used by two nodes,", found[1], 54.)?;
    near("the gradient of a node after L", found[5], 0.)
}

fn softsign() -> Result<(), String> {
    let y = value(|x| e03_softsign::softsign(x[0]), &[Owned::from_elem(vec![1], -3.)]);
    near("softsign(−3)", y.as_slice()[0], -0.75)?;
    check("softsign", &gradcheck(&[randn(&[3, 4], 0)], |x| e03_softsign::softsign(x[0])))
}

fn logsumexp() -> Result<(), String> {
    let large = Owned::from_shape_vec(vec![3], vec![1000., 999., -5.]).expect("three entries");
    let y = value(|x| e04_logsumexp::log_sum_exp(x[0]), &[large]);
    near("ln(e¹⁰⁰⁰ + e⁹⁹⁹ + e⁻⁵)", y.as_slice()[0], 1000. + (-1_f64).exp().ln_1p())?;
    check("log_sum_exp", &gradcheck(&[randn(&[5], 0)], |x| e04_logsumexp::log_sum_exp(x[0])))
}

fn matmul() -> Result<(), String> {
    let report = gradcheck(&[randn(&[3, 4], 0), randn(&[4, 2], 1)], |x| e05_matmul::matmul(x[0], x[1]));
    check("the product", &report)
}

fn adam() -> Result<(), String> {
    let (mut w, mut moments) = (1., e06_adam::Moments::default());
    for (i, (g, expected)) in [(4., 0.99), (4., 0.98)].into_iter().enumerate() {
        w = e06_adam::adam(w, g, 0.01, &mut moments);
        let what = format!("the parameter after step {} with equal gradients", i + 1);
        expect((w - expected).abs() < 1e-7, format!("{what} is {w}, and should be {expected}"))?;
    }
    expect(moments.steps == 2, "steps are not counted")?;
    let tiny = 1. - e06_adam::adam(1., 1e-8, 0.01, &mut e06_adam::Moments::default());
    near("the move for a gradient of 10⁻⁸, as large as ε,", tiny, 0.005)
}

fn coupling() -> Result<(), String> {
    for x in [[0.3, -0.7], [-1.1, 0.4], [2., 5.]] {
        let back = e07_coupling::inverse(e07_coupling::forward(x));
        for i in 0..2 {
            near(&format!("entry {i} of inverse(forward({x:?}))"), back[i], x[i])?;
        }
        near(&format!("ln_det({x:?})"), e07_coupling::ln_det(x), x[0].tanh())?;
    }
    Ok(())
}

fn planar() -> Result<(), String> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let w = [0.5, -2., 1.];
    for u in [[1., 1., 1.], [-3., 4., 0.], [0.2, 9., -8.], [0., 400., 0.]] {
        let found = e08_planar::constrained(&w, &u);
        let (before, after) = (dot(&w, &u), dot(&w, &found));
        let softplus = before.max(0.) + (-before.abs()).exp().ln_1p();
        near(&format!("w·û for w·u = {before}"), after, softplus - 1.)?;
        let along = (after - before) / dot(&w, &w);
        for i in 0..3 {
            near(&format!("entry {i} of û, which differs from u along w alone,"), found[i], u[i] + along * w[i])?;
        }
    }
    let (u, x) = ([0.3, 0.1, 0.4], [0.2, -0.1, 0.7]);
    let tanh = (dot(&w, &x) + 0.3_f64).tanh();
    let expected = (1. + dot(&u, &w) * (1. - tanh * tanh)).abs().ln();
    near("ln_det", e08_planar::ln_det(&w, &u, 0.3, &x), expected)
}

fn bound() -> Result<(), String> {
    let found = e09_elbo::loss(&[-0.5; 128], 3000., 50_000);
    let wrong = [
        (64. / 128. + 3000. / 128., "the KL is divided by the size of the batch"),
        (64. / 128. + 3000., "the KL is not divided at all"),
        (64. + 3000. / 50_000., "the log-likelihoods are summed, not averaged"),
        (64. / 128., "the KL is missing"),
        (-0.56, "the sign is that of the bound: a loss is minimised"),
    ];
    for (value, why) in wrong {
        expect((found - value).abs() > 1e-9, format!("the loss is {found}: {why}"))?;
    }
    near("the loss of the example in the book", found, 0.56)
}

fn hypernet() -> Result<(), String> {
    let inputs = [randn(&[4, 3], 0), randn(&[4], 1), randn(&[2, 4], 2), randn(&[5, 3], 3)];
    let y = value(|x| e10_hypernet::layer(x[0], x[1], x[2], x[3]), &inputs);
    let [v, b, g, x] = &inputs;
    expect(y.shape() == [2, 5, 4], format!("the shape is {:?}, and should be [2, 5, 4]", y.shape()))?;
    for (s, n, j) in (0..2).flat_map(|s| (0..5).flat_map(move |n| (0..4).map(move |j| (s, n, j)))) {
        let dot: f64 = (0..3).map(|k| v[[j, k]] * x[[n, k]]).sum();
        let norm = (0..3).map(|k| v[[j, k]] * v[[j, k]]).sum::<f64>().sqrt();
        let expected = g[[s, j]] * dot / norm + b[[j]];
        near(&format!("sample {s}, example {n}, unit {j}"), y[[s, n, j]], expected)?;
    }
    check("the layer", &gradcheck(&inputs, |x| e10_hypernet::layer(x[0], x[1], x[2], x[3])))
}

fn bald() -> Result<(), String> {
    let cases = [
        (vec![vec![0.5, 0.5], vec![0.5, 0.5]], [2_f64.ln(), 2_f64.ln(), 0.], "ambiguous"),
        (vec![vec![1., 0.], vec![0., 1.]], [2_f64.ln(), 0., 2_f64.ln()], "in dispute"),
        (vec![vec![0., 1., 0.]], [0., 0., 0.], "certain"),
    ];
    for (p, expected, kind) in cases {
        let found = e11_bald::uncertainties(&p);
        for (i, what) in ["total", "aleatoric", "epistemic"].iter().enumerate() {
            near(&format!("the {what} uncertainty of an image that is {kind}"), found[i], expected[i])?;
        }
    }
    Ok(())
}

fn draw() -> Result<(), String> {
    let inputs = [randn(&[3], 0), randn(&[3], 1), randn(&[2, 3], 2)];
    let theta = value(|x| e12_draw::draw(x[0], x[1], x[2]).0, &inputs);
    let log_q = value(|x| e12_draw::draw(x[0], x[1], x[2]).1, &inputs);
    let [m, w, e] = &inputs;
    for s in 0..2 {
        let mut expected = 0.;
        for j in 0..3 {
            near(&format!("θ of sample {s}, entry {j}"), theta[[s, j]], m[[j]] + w[[j]].exp() * e[[s, j]])?;
            expected -= 0.5 * e[[s, j]].powi(2) + 0.5 * std::f64::consts::TAU.ln() + w[[j]];
        }
        near(&format!("ln q of sample {s}"), log_q[[s]], expected)?;
    }
    Ok(())
}

fn importance() -> Result<(), String> {
    near("the evidence of equal weights", e13_importance::log_evidence(&[-3.; 7]), -3.)?;
    let far = e13_importance::log_evidence(&[-5000., -5000. + 3_f64.ln()]);
    near("the evidence of weights e⁻⁵⁰⁰⁰ and 3e⁻⁵⁰⁰⁰", far, -5000. + 2_f64.ln())
}

fn calibration() -> Result<(), String> {
    let answers = [(0.95, true), (0.85, false), (0.2, false), (0.15, true), (1., true)];
    let expected = ((0.05_f64 + 0.).abs() + 0.85 + (1. - 0.2 - 0.15)) / 5.;
    near("the error of five answers in ten bins", e14_calibration::ece(&answers, 10), expected)
}
