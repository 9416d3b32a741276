//! Defends: the graders of exercises 1 to 9 refuse plausible wrong answers, and say why.
use bhn::autodiff::{Owned, Var};
use bhn_exercises::grading::Verdict;
use bhn_exercises::{engine, models};

/// Asserts that the verdict is an error that contains each of `words`.
#[track_caller]
fn refused(verdict: Verdict, words: &[&str]) {
    let why = verdict.expect_err("a wrong answer is accepted");
    for word in words {
        assert!(why.contains(word), "no `{word}` in: {why}");
    }
}

#[test]
fn broadcast() {
    // Without the sum over the row.
    refused(
        engine::broadcast(|a, b, dz| {
            let da = (0..a.len()).map(|i| dz[i][0] * b[0]).collect();
            let db = (0..b.len()).map(|j| (0..a.len()).map(|i| dz[i][j] * a[i]).sum()).collect();
            (da, db)
        }),
        &["da[0]", "a = [1, 2, 3]", "found 10", "expected 30"],
    );
    // The gradients are exchanged.
    refused(
        engine::broadcast(|a, b, dz| {
            let da = (0..a.len()).map(|i| (0..b.len()).map(|j| dz[i][j] * b[j]).sum()).collect();
            let db = (0..b.len()).map(|j| (0..a.len()).map(|i| dz[i][j] * a[i]).sum()).collect();
            (db, da)
        }),
        &["the gradient of a", "2 entries, expected 3"],
    );
    // The incoming gradient is ignored, which is right if it is 1.
    refused(
        engine::broadcast(|a, b, _| (vec![b.iter().sum(); a.len()], vec![a.iter().sum(); b.len()])),
        &["gradient of a that does not depend on dy"],
    );
}

#[test]
fn tape() {
    // Gradients are assigned and not added.
    refused(
        engine::tape(|tape, loss| {
            let mut g = vec![0.; tape.len()];
            g[loss] = 1.;
            for id in (0..=loss).rev() {
                tape[id].iter().for_each(|&(input, slope)| g[input] = g[id] * slope);
            }
            g
        }),
        &["node 3", "uses d twice", "found 9", "expected 18"],
    );
    // From the end of the tape, which is not the loss.
    refused(
        engine::tape(|tape, _| {
            let mut g = vec![0.; tape.len()];
            g[tape.len() - 1] = 1.;
            for id in (0..tape.len()).rev() {
                tape[id].iter().for_each(|&(input, slope)| g[input] += g[id] * slope);
            }
            g
        }),
        &["∂L/∂L (node 4)", "expected 1"],
    );
    // Forwards.
    refused(
        engine::tape(|tape, loss| {
            let mut g = vec![0.; tape.len()];
            g[loss] = 1.;
            for id in 0..=loss {
                tape[id].iter().for_each(|&(input, slope)| g[input] += g[id] * slope);
            }
            g
        }),
        &["∂L/∂c"],
    );
}

#[test]
fn softsign() {
    fn with(x: Var<'_, f64>, rule: fn(f64) -> f64) -> Var<'_, f64> {
        let y = x.value().mapv(|x| x / (1. + x.abs()));
        Var::record("softsign", &[x], y, move |c, sink| sink.add(0, || c.g * c.y.mapv(rule)))
    }
    refused(
        engine::softsign(|x| with(x, |y| (1. - y).powi(2))),
        &["wrong gradient of x", "entry ["],
    );
    refused(engine::softsign(|x| with(x, |y| 1. - y.abs())), &["wrong gradient of x"]);
    refused(engine::softsign(|x| x / (x + 1.)), &["softsign(-3)", "expected -0.75"]);
    // Through the denominator flows no gradient.
    fn detached(x: Var<'_, f64>) -> Var<'_, f64> {
        x / (x.abs().detach() + 1.)
    }
    refused(engine::softsign(detached), &["wrong gradient of x"]);
    // The incoming gradient is forgotten.
    fn alone(x: Var<'_, f64>) -> Var<'_, f64> {
        let y = x.value().mapv(|x| x / (1. + x.abs()));
        Var::record("softsign", &[x], y, |c, sink| {
            sink.add(0, || c.y.mapv(|y| (1. - y.abs()).powi(2)));
        })
    }
    refused(engine::softsign(alone), &["does not depend on dy"]);
    fn no_contribution(x: Var<'_, f64>) -> Var<'_, f64> {
        let y = x.value().mapv(|x| x / (1. + x.abs()));
        Var::record("softsign", &[x], y, |_, _| ())
    }
    refused(engine::softsign(no_contribution), &["adds nothing to the gradient of x"]);
}

#[test]
fn log_sum_exp() {
    fn with(x: Var<'_, f64>, start: fn(&[f64]) -> f64, rule: fn(f64, f64) -> f64) -> Var<'_, f64> {
        let value = x.value();
        let max = start(value.as_slice());
        let y = max + value.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
        Var::record("log_sum_exp", &[x], Owned::from_elem(vec![], y), move |c, sink| {
            sink.add(0, || c.x(0).mapv(|x| rule(x, c.y[[]]) * c.g[[]]));
        })
    }
    fn max(x: &[f64]) -> f64 {
        x.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
    // Without the maximum, and with one that is at least 0.
    refused(
        engine::log_sum_exp(|x| with(x, |_| 0., |x, y| (x - y).exp())),
        &["1000", "found inf", "expected 1000.3"],
    );
    refused(
        engine::log_sum_exp(|x| with(x, |x| max(x).max(0.), |x, y| (x - y).exp())),
        &["-1000", "found -inf"],
    );
    // The rule is that of a sum, and one that overflows.
    refused(engine::log_sum_exp(|x| with(x, max, |_, _| 1.)), &["wrong gradient of x"]);
    refused(
        engine::log_sum_exp(|x| with(x, max, |x, y| x.exp() / y.exp())),
        &["near 1000", "wrong gradient"],
    );
}

#[test]
fn matmul() {
    fn product(a: &Owned<f64>, b: &Owned<f64>) -> Owned<f64> {
        Owned::from_shape_fn(vec![a.shape()[0], b.shape()[1]], |at| {
            (0..a.shape()[1]).map(|k| a[[at[0], k]] * b[[k, at[1]]]).sum()
        })
    }
    // The gradient of `w` is missing.
    fn half<'t>(x: Var<'t, f64>, w: Var<'t, f64>) -> Var<'t, f64> {
        let y = product(&x.value().to_owned(), &w.value().to_owned());
        Var::record("matmul", &[x, w], y, |c, sink| {
            sink.add(0, || product(&c.g.to_owned(), &c.x(1).t().to_owned()));
        })
    }
    refused(engine::matmul(half), &["adds nothing to the gradient of w"]);
    // The gradient of `w` has the wrong sign.
    fn minus<'t>(x: Var<'t, f64>, w: Var<'t, f64>) -> Var<'t, f64> {
        let y = product(&x.value().to_owned(), &w.value().to_owned());
        Var::record("matmul", &[x, w], y, |c, sink| {
            sink.add(0, || product(&c.g.to_owned(), &c.x(1).t().to_owned()));
            sink.add(1, || product(&c.x(0).t().to_owned(), &c.g.mapv(|g| -g)));
        })
    }
    refused(engine::matmul(minus), &["wrong gradient of w", "entry ["]);
    fn doubled<'t>(x: Var<'t, f64>, w: Var<'t, f64>) -> Var<'t, f64> {
        x.matmul(w) * 2.
    }
    refused(engine::matmul(doubled), &["entry [0, 0] of the product"]);
}

#[test]
fn adam() {
    type Hats = fn(f64, f64, i32) -> (f64, f64);
    fn with([w, m, v]: [f64; 3], g: f64, rate: f64, t: i32, hats: Hats) -> [f64; 3] {
        let (m, v) = (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g);
        let (m_hat, v_hat) = hats(m, v, t);
        [w - rate * m_hat / (v_hat.sqrt() + 1e-8), m, v]
    }
    fn hat(x: f64, beta: f64, t: i32) -> f64 {
        x / (1. - beta.powi(t))
    }
    // Without bias correction; of step 1 always; of m alone.
    let none: engine::AdamStep = |s, g, rate, t| with(s, g, rate, t, |m, v, _| (m, v));
    refused(engine::adam(none), &["w after step 1", "g = 4", "expected 0.99"]);
    let first: engine::AdamStep =
        |s, g, rate, t| with(s, g, rate, t, |m, v, _| (hat(m, 0.9, 1), hat(v, 0.999, 1)));
    refused(engine::adam(first), &["w after a step 2"]);
    let one: engine::AdamStep = |s, g, rate, t| with(s, g, rate, t, |m, v, t| (hat(m, 0.9, t), v));
    refused(engine::adam(one), &["w after step 1"]);
    // The corrected moments are stored; ε is inside the root.
    refused(
        engine::adam(|[w, m, v], g, rate, t| {
            let m = hat(0.9 * m + 0.1 * g, 0.9, t);
            let v = hat(0.999 * v + 0.001 * g * g, 0.999, t);
            [w - rate * m / (v.sqrt() + 1e-8), m, v]
        }),
        &["m after step 1", "found 4", "expected 0.4"],
    );
    refused(
        engine::adam(|[w, m, v], g, rate, t| {
            let (m, v) = (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g);
            let v_hat = hat(v, 0.999, t).powi(2);
            [w - rate * hat(m, 0.9, t) / (v_hat.sqrt() + 1e-16).sqrt(), m, v]
        }),
        &["g = 10⁻⁸"],
    );
}

#[test]
fn coupling() {
    fn inverse([a, b]: [f64; 2]) -> [f64; 2] {
        [a, (b - a * a) / a.tanh().exp()]
    }
    // The shift is subtracted after the division; nothing is inverted.
    let late: models::PlaneMap = |[a, b]| [a, b / a.tanh().exp() - a * a];
    refused(
        models::coupling(late, |[a, _]| a.tanh()),
        &["entry 1 of inverse(forward([0.3, -0.7]))"],
    );
    refused(models::coupling(|y| y, |[a, _]| a.tanh()), &["entry 1", "expected -0.7"]);
    // The wrong sign, and the determinant itself.
    refused(
        models::coupling(inverse, |[a, _]| -a.tanh()),
        &["ln_det([0.3, -0.7])", "expected 0.29"],
    );
    refused(models::coupling(inverse, |[a, _]| a.tanh().exp()), &["ln_det", "finite differences"]);
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn planar() {
    fn shifted(w: &[f64], u: &[f64], by: impl Fn(f64) -> f64) -> Vec<f64> {
        let c = by(dot(w, u));
        u.iter().zip(w).map(|(u, w)| u + c * w).collect()
    }
    fn softplus(a: f64) -> f64 {
        a.max(0.) + (-a.abs()).exp().ln_1p()
    }
    let ln_det: models::PlanarLnDet =
        |w, u, b, x| (1. + dot(u, w) * (1. - (dot(w, x) + b).tanh().powi(2))).ln();
    // Without the division by ‖w‖²; without −1; clamped.
    refused(
        models::planar(|w, u| shifted(w, u, |a| softplus(a) - 1. - a), ln_det),
        &["w·û", "u = [1.0, 1.0, 1.0]"],
    );
    let no_one: models::Constrained = |w, u| shifted(w, u, |a| (softplus(a) - a) / dot(w, w));
    refused(models::planar(no_one, ln_det), &["w·û"]);
    let clamped: models::Constrained = |w, u| shifted(w, u, |a| (a.max(-1.) - a) / dot(w, w));
    refused(models::planar(clamped, ln_det), &["w·û"]);
    // The derivative is not squared; the trace instead of the determinant.
    let right: models::Constrained = |w, u| shifted(w, u, |a| (softplus(a) - 1. - a) / dot(w, w));
    let not_squared: models::PlanarLnDet =
        |w, u, b, x| (1. + dot(u, w) * (1. - (dot(w, x) + b).tanh())).abs().ln();
    refused(models::planar(right, not_squared), &["ln_det for w"]);
    let no_log: models::PlanarLnDet =
        |w, u, b, x| 1. + dot(u, w) * (1. - (dot(w, x) + b).tanh().powi(2));
    refused(models::planar(right, no_log), &["ln_det for w"]);
}

#[test]
fn loss() {
    refused(
        models::loss(|l, kl, _| (kl - l.iter().sum::<f64>()) / l.len() as f64),
        &["divided by"],
    );
    refused(models::loss(|l, kl, n| kl / n as f64 - l.iter().sum::<f64>()), &["summed"]);
    refused(
        models::loss(|l, kl, n| l.iter().sum::<f64>() / l.len() as f64 - kl / n as f64),
        &["bound"],
    );
    refused(models::loss(|l, _, _| -l.iter().sum::<f64>() / l.len() as f64), &["KL is missing"]);
    // Right for equal log-likelihoods only.
    refused(models::loss(|l, kl, n| kl / n as f64 - l[0]), &["loss(&[-1, -2, -6], 10, 4)"]);
}
