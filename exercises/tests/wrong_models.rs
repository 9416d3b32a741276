//! Defends: the graders of exercises 10 to 14 refuse plausible wrong answers, and say why; and
//! panics and endless loops become verdicts.
use bhn::autodiff::Var;
use bhn_exercises::grading::{Verdict, guarded};
use bhn_exercises::{engine, models};

#[track_caller]
fn refused(verdict: Verdict, words: &[&str]) {
    let why = verdict.expect_err("a wrong answer is accepted");
    for word in words {
        assert!(why.contains(word), "no `{word}` in: {why}");
    }
}

type V<'t> = Var<'t, f64>;

#[test]
fn hypernet() {
    fn scales<'t>(g: V<'t>) -> V<'t> {
        g.reshape(&[g.shape()[0], 1, g.shape()[1]])
    }
    // The bias is scaled, the norm is missing, the norm is that of the whole matrix.
    fn scaled_bias<'t>(v: V<'t>, b: V<'t>, g: V<'t>, x: V<'t>) -> V<'t> {
        (x.matmul_t(v) + b) * scales(g / v.row_norms())
    }
    refused(models::hypernet(scaled_bias), &["y[0][0][0]"]);
    fn no_norm<'t>(v: V<'t>, b: V<'t>, g: V<'t>, x: V<'t>) -> V<'t> {
        x.matmul_t(v) * scales(g) + b
    }
    refused(models::hypernet(no_norm), &["y[0][0][0]"]);
    fn whole_norm<'t>(v: V<'t>, b: V<'t>, g: V<'t>, x: V<'t>) -> V<'t> {
        x.matmul_t(v) * scales(g / v.row_norms().square().sum().sqrt()) + b
    }
    refused(models::hypernet(whole_norm), &["y[0][0][0]"]);
    // The mean over samples, and a norm through which no gradient flows.
    fn flat<'t>(v: V<'t>, b: V<'t>, _: V<'t>, x: V<'t>) -> V<'t> {
        x.matmul_t(v) + b
    }
    refused(models::hypernet(flat), &["found [5, 4], expected [2, 5, 4]"]);
    fn detached<'t>(v: V<'t>, b: V<'t>, g: V<'t>, x: V<'t>) -> V<'t> {
        x.matmul_t(v) * scales(g / v.row_norms().detach()) + b
    }
    refused(models::hypernet(detached), &["wrong gradient of v"]);
}

fn entropy(p: &[f64]) -> f64 {
    -p.iter().filter(|p| **p > 0.).map(|p| p * p.ln()).sum::<f64>()
}

fn mean(p: &[Vec<f64>]) -> Vec<f64> {
    (0..p[0].len()).map(|k| p.iter().map(|p| p[k]).sum::<f64>() / p.len() as f64).collect()
}

#[test]
fn bald() {
    // Total and aleatoric exchanged; bits; 0 ln 0; the sum over samples.
    refused(
        models::bald(|p| {
            let aleatoric = p.iter().map(|p| entropy(p)).sum::<f64>() / p.len() as f64;
            [aleatoric, entropy(&mean(p)), entropy(&mean(p)) - aleatoric]
        }),
        &["total", "samples disagree"],
    );
    refused(
        models::bald(|p| {
            let aleatoric = p.iter().map(|p| entropy(p)).sum::<f64>() / p.len() as f64;
            [entropy(&mean(p)), aleatoric, entropy(&mean(p)) - aleatoric].map(|h| h / 2_f64.ln())
        }),
        &["total", "found 1", "expected 0.693"],
    );
    refused(
        models::bald(|p| {
            let entropy = |p: &[f64]| -p.iter().map(|p| p * p.ln()).sum::<f64>();
            let aleatoric = p.iter().map(|p| entropy(p)).sum::<f64>() / p.len() as f64;
            [entropy(&mean(p)), aleatoric, entropy(&mean(p)) - aleatoric]
        }),
        &["aleatoric", "found NaN", "samples disagree"],
    );
    refused(
        models::bald(|p| {
            let aleatoric = p.iter().map(|p| entropy(p)).sum::<f64>();
            [entropy(&mean(p)), aleatoric, entropy(&mean(p)) - aleatoric]
        }),
        &["aleatoric", "undecided"],
    );
}

/// The differences between right answers and confidences, and the counts, of bins by `index`.
fn bins(answers: &[(f64, bool)], bins: usize, index: fn(f64) -> f64) -> Vec<(f64, f64)> {
    let mut sums = vec![(0., 0.); bins];
    for &(confidence, right) in answers {
        let bin = (index(confidence * bins as f64) as usize).min(bins - 1);
        sums[bin].0 += f64::from(right) - confidence;
        sums[bin].1 += 1.;
    }
    sums
}

#[test]
fn calibration() {
    // The difference of each answer; bins of equal weight; without the absolute value; a bin that
    // contains its lower end.
    refused(
        models::calibration(|answers, _| {
            let error = |a: &(f64, bool)| (f64::from(a.1) - a.0).abs();
            answers.iter().map(error).sum::<f64>() / answers.len() as f64
        }),
        &["ece(&[(0.8, true), (0.8, false)], 1)", "expected 0.3"],
    );
    refused(
        models::calibration(|answers, n| {
            let bins = bins(answers, n, |c| c.ceil() - 1.);
            let used: Vec<_> = bins.iter().filter(|b| b.1 > 0.).collect();
            used.iter().map(|b| (b.0 / b.1).abs()).sum::<f64>() / used.len() as f64
        }),
        &["ece("],
    );
    refused(
        models::calibration(|answers, n| {
            let bins = bins(answers, n, |c| c.ceil() - 1.);
            bins.iter().map(|b| b.0).sum::<f64>() / answers.len() as f64
        }),
        &["ece("],
    );
    refused(
        models::calibration(|answers, n| {
            let bins = bins(answers, n, f64::floor);
            bins.iter().map(|b| b.0.abs()).sum::<f64>() / answers.len() as f64
        }),
        &["(0.5, false)"],
    );
}

#[test]
fn posterior() {
    fn coupling([a, b]: [f64; 2]) -> ([f64; 2], f64) {
        ([a, a.tanh().exp() * b + a * a], a.tanh())
    }
    /// A sample, with `ln q` as `combine` makes it of `ln N(ε)` and the four log-determinants.
    fn with(
        noise: [f64; 2],
        m: [f64; 2],
        w: [f64; 2],
        combine: fn(f64, [f64; 4]) -> f64,
    ) -> ([f64; 2], f64) {
        let ([a, b], first) = coupling(noise);
        let ([c, d], second) = coupling([b, a]);
        let base = -0.5 * (noise[0].powi(2) + noise[1].powi(2)) - std::f64::consts::TAU.ln();
        let theta = [m[0] + w[0].exp() * c, m[1] + w[1].exp() * d];
        (theta, combine(base, [first, second, w[0], w[1]]))
    }
    let right: models::Draw = |e, m, w| with(e, m, w, |p, d| p - d.iter().sum::<f64>());
    assert_eq!(models::posterior(right), Ok(()));
    refused(
        models::posterior(|e, m, w| with(e, m, w, |p, d| p + d.iter().sum::<f64>())),
        &["ln q", "integrates to", "and should to 1"],
    );
    refused(models::posterior(|e, m, w| with(e, m, w, |p, d| p - d[0] - d[1])), &["integrates to"]);
    refused(
        models::posterior(|e, m, w| with(e, m, w, |p, d| p - 2. * d[0] - d[2] - d[3])),
        &["ln q"],
    );
    let half_constant: models::Draw = |e, m, w| {
        with(e, m, w, |p, d| p - d.iter().sum::<f64>() + 0.5 * std::f64::consts::TAU.ln())
    };
    refused(models::posterior(half_constant), &["integrates to 2.50"]);
    // Without the exchange.
    refused(
        models::posterior(|e, m, w| {
            let (x, first) = coupling(e);
            let ([c, d], second) = coupling(x);
            ([m[0] + w[0].exp() * c, m[1] + w[1].exp() * d], first + second)
        }),
        &["θ[0] for ε = [0.4, -0.8]"],
    );
}

#[test]
fn evidence() {
    // The mean of the logarithms; the sum and not the mean; without the maximum.
    refused(
        models::evidence(|w| w.iter().sum::<f64>() / w.len() as f64),
        &["[0, ln 3]", "expected 0.693"],
    );
    refused(
        models::evidence(|w| {
            let max = w.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            max + w.iter().map(|w| (w - max).exp()).sum::<f64>().ln()
        }),
        &["[-3; 7]"],
    );
    refused(
        models::evidence(|w| (w.iter().map(|w| w.exp()).sum::<f64>() / w.len() as f64).ln()),
        &["-5000", "found -inf"],
    );
}

#[test]
fn panics_become_verdicts() {
    refused(guarded(|| models::evidence(|w| w[w.len()])), &["panics", "index out of bounds"]);
    refused(guarded(|| models::evidence(|_| todo!("write it"))), &["not done yet: write it"]);
    // A shape mistake in an operation of the library.
    fn mistake<'t>(v: V<'t>, b: V<'t>, g: V<'t>, x: V<'t>) -> V<'t> {
        x.matmul_t(v) * (g / v.row_norms()) + b
    }
    refused(guarded(|| models::hypernet(mistake)), &["[5, 4]", "[2, 4]"]);
    // A rule of the wrong shape.
    fn scalar<'t>(x: V<'t>) -> V<'t> {
        let y = x.value().mapv(|x| x / (1. + x.abs()));
        Var::record("softsign", &[x], y, |c, sink| sink.add(0, || c.g.mapv(|g| g).t().to_owned()))
    }
    refused(guarded(|| engine::softsign(scalar)), &["gradient [4, 3]", "[3, 4]"]);
}
