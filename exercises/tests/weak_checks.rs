//! Defends: the graders of exercises 15 to 20 refuse weak checks, say what these miss, and accept
//! the solutions.
use bhn_exercises::checks;
use bhn_exercises::grading::Verdict;

#[path = "../solutions/e15_bound_check.rs"]
mod bound_solution;
#[path = "../solutions/e19_density_check.rs"]
mod density_solution;
#[path = "../solutions/e17_flow_check.rs"]
mod flow_solution;
#[path = "../solutions/e16_gradient_check.rs"]
mod gradient_solution;
#[path = "../solutions/e20_mask_check.rs"]
mod mask_solution;

/// Asserts that the verdict is an error that contains each of `words`.
#[track_caller]
fn refused(verdict: Verdict, words: &[&str]) {
    let why = verdict.expect_err("a weak check is accepted");
    for word in words {
        assert!(why.contains(word), "no `{word}` in: {why}");
    }
}

const EVERYTHING: &[&str] = &["accepts everything"];
const NOTHING: &[&str] = &["refuses everything"];
const TOO_STRICT: &[&str] = &["what is right"];

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

#[test]
fn bound() {
    use checks::{Loss, bound};
    assert_eq!(bound(bound_solution::accepts), Ok(()));
    refused(bound(|_| true), EVERYTHING);
    refused(bound(|_| false), NOTHING);
    // Only a KL of 0; only the whole data set; only a minibatch of one; only the sign; only equal
    // log-likelihoods; only that the loss grows with the KL.
    refused(bound(|loss: &Loss| near(loss(&[-1., -2.], 0., 10), 1.5)), &["the KL is missing"]);
    refused(
        bound(|loss: &Loss| near(loss(&[-1., -2.], 3., 2), 3.)),
        &["7 of 9", "size of the minibatch", "divided by N"],
    );
    refused(bound(|loss: &Loss| near(loss(&[-1.], 3., 10), 1.3)), &["only the first", "summed"]);
    refused(bound(|loss: &Loss| loss(&[-1., -2.], 3., 10) > 0.), &["summed", "a tenth too little"]);
    refused(bound(|loss: &Loss| near(loss(&[-1.; 4], 3., 10), 1.3)), &["8 of 9", "only the first"]);
    refused(bound(|l: &Loss| l(&[-1.], 9., 10) > l(&[-1.], 3., 10)), &["summed", "not divided"]);
    // A tolerance of a tenth; an expected value that is wrong.
    refused(
        bound(|loss: &Loss| (loss(&[-1., -2.], 3., 10) - 1.8).abs() < 0.1),
        &["8 of 9", "a tenth too little"],
    );
    refused(bound(|loss: &Loss| near(loss(&[-1., -2.], 3., 10), 3.)), TOO_STRICT);
}

/// Whether differences with step `h` agree with the gradient at `x` within `tolerance`.
fn agrees(f: &checks::Function, g: &checks::Gradient, x: &[f64], h: f64, tolerance: f64) -> bool {
    g(x).iter().enumerate().all(|(i, slope)| {
        let (mut above, mut below) = (x.to_vec(), x.to_vec());
        above[i] += h;
        below[i] -= h;
        ((f(&above) - f(&below)) / (2. * h) - slope).abs() < tolerance
    })
}

#[test]
fn gradient() {
    use checks::gradient;
    assert_eq!(gradient(gradient_solution::accepts), Ok(()));
    refused(gradient(|_, _, _| true), EVERYTHING);
    refused(gradient(|_, _, _| false), NOTHING);
    // Only the length; only at 0; at 1; at a positive point; along one argument; too loose and too
    // tight; without the length.
    refused(gradient(|_, g, n| g(&vec![0.3; n]).len() == n), &["opposite sign"]);
    refused(gradient(|f, g, n| agrees(f, g, &vec![0.; n], 1e-5, 1e-6)), &["x₀ instead of x₀²"]);
    refused(gradient(|f, g, n| agrees(f, g, &vec![1.; n], 1e-5, 1e-6)), &["x₀ instead of x₀²"]);
    refused(
        gradient(|f, g, n| {
            let x: Vec<_> = (0..n).map(|i| 0.3 + 0.2 * i as f64).collect();
            g(&x).len() == n && agrees(f, g, &x, 1e-5, 1e-6)
        }),
        &["8 of 9", "|x₀| x₀"],
    );
    fn points(f: &checks::Function, g: &checks::Gradient, n: usize, h: f64, to: f64) -> bool {
        [0.4, 1.3, 4.2].into_iter().all(|start| {
            let x: Vec<_> = (0..n).map(|i| (1.7 * i as f64 + start).sin()).collect();
            agrees(f, g, &x, h, to)
        })
    }
    refused(gradient(|f, g, n| points(f, g, n, 1e-5, 1e-7)), &["8 of 9", "derivative is missing"]);
    refused(
        gradient(|f, g, n| g(&vec![0.; n]).len() == n && points(f, g, n, 1e-5, 0.05)),
        &["1 %"],
    );
    // A check that expects as many derivatives as arguments.
    refused(
        gradient(|f, g, n| g(&vec![0.7; n])[n - 1].is_finite() && points(f, g, n, 1e-5, 1e-7)),
        &["index out of bounds", "this fault: the last derivative is missing"],
    );
    refused(gradient(|f, g, n| points(f, g, n, 1e-5, 1e-15)), TOO_STRICT);
    refused(gradient(|f, g, n| points(f, g, n, 0.3, 1e-4)), TOO_STRICT);
    // The sum of all derivatives, against moving all arguments at once.
    refused(
        gradient(|f, g, n| {
            let x: Vec<_> = (0..n).map(|i| (1.7 * i as f64 - 2.).sin()).collect();
            let moved = |by: f64| f(&x.iter().map(|x| x + by).collect::<Vec<_>>());
            near((moved(1e-5) - moved(-1e-5)) / 2e-5, g(&x).iter().sum())
        }),
        &["exchanged"],
    );
}

#[test]
fn flow() {
    use checks::{Map, flow};
    assert_eq!(flow(flow_solution::accepts), Ok(()));
    fn points(f: impl Fn([f64; 2]) -> bool) -> bool {
        [[0.3, -0.7], [-1.1, 0.4], [0.9, 1.2]].into_iter().all(f)
    }
    fn round_trip(there: &Map, back: &Map, x: [f64; 2]) -> bool {
        let again = back(there(x).0).0;
        near(again[0], x[0]) && near(again[1], x[1])
    }
    /// The Jacobian by forward differences.
    fn jacobian(map: &Map, [a, b]: [f64; 2], h: f64) -> [[f64; 2]; 2] {
        let (y, by_a, by_b) = (map([a, b]).0, map([a + h, b]).0, map([a, b + h]).0);
        [0, 1].map(|i| [(by_a[i] - y[i]) / h, (by_b[i] - y[i]) / h])
    }
    fn ln_det(map: &Map, x: [f64; 2]) -> f64 {
        let j = jacobian(map, x, 1e-7);
        (j[0][0] * j[1][1] - j[0][1] * j[1][0]).abs().ln()
    }
    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-5
    }
    refused(flow(|_, _| true), EVERYTHING);
    refused(flow(|_, _| false), NOTHING);
    // Only the round trip; and that log-determinants cancel; only at 0; only the Jacobian.
    refused(flow(|f, g| points(|x| round_trip(f, g, x))), &["wrong sign", "1 % too large"]);
    refused(
        flow(|f, g| points(|x| round_trip(f, g, x) && near(f(x).1, -g(f(x).0).1))),
        &["both log-determinants have the wrong sign", "product of the diagonal"],
    );
    refused(flow(|f, _| f([0.; 2]).0 == [0.; 2]), EVERYTHING);
    refused(
        flow(|f, _| points(|x| close(f(x).1, ln_det(f, x)))),
        &["forgets the shift", "no minus"],
    );
    // A round trip of positive points only; the diagonal alone; det without | |; a loose tolerance.
    refused(
        flow(|f, g| {
            let x = [0.4, 0.6];
            round_trip(f, g, x) && close(f(x).1, ln_det(f, x)) && near(f(x).1, -g(f(x).0).1)
        }),
        &["9 of 10", "positive entries only"],
    );
    refused(
        flow(|f, _| {
            points(|x| {
                let j = jacobian(f, x, 1e-7);
                close(f(x).1, (j[0][0] * j[1][1]).abs().ln())
            })
        }),
        &["refuses what is right", "not triangular"],
    );
    refused(
        flow(|f, _| {
            points(|x| {
                let j = jacobian(f, x, 1e-7);
                close(f(x).1, (j[0][0] * j[1][1] - j[0][1] * j[1][0]).ln())
            })
        }),
        &["refuses what is right", "determinant is negative"],
    );
    refused(
        flow(|f, g| {
            points(|x| {
                let loose = |a: f64, b: f64| (a - b).abs() < 0.1;
                round_trip(f, g, x) && loose(f(x).1, ln_det(f, x)) && loose(f(x).1, -g(f(x).0).1)
            })
        }),
        &["1 % too large"],
    );
}

/// The share of samples below `x` in units of its standard error, against `expected`.
fn errors(samples: &[f64], x: f64, expected: f64) -> f64 {
    let n = samples.len() as f64;
    let found = samples.iter().filter(|s| **s < x).count() as f64 / n;
    (found - expected).abs() / (expected * (1. - expected) / n).sqrt()
}

#[test]
fn density() {
    use checks::{LogDensity, density};
    assert_eq!(density(density_solution::accepts), Ok(()));
    /// `∫ f(x) q(x) dx` between −20 and `to`.
    fn integral(log_q: &LogDensity, f: fn(f64) -> f64, to: f64, step: f64) -> f64 {
        let x = |i: i32| step * f64::from(i) - 20.;
        let nodes = ((to + 20.) / step).round() as i32;
        (0..nodes).map(|i| step * f(x(i)) * log_q(x(i)).exp()).sum()
    }
    fn mass(log_q: &LogDensity) -> f64 {
        integral(log_q, |_| 1., 20., 1e-2)
    }
    fn moment(samples: &[f64], power: i32) -> f64 {
        samples.iter().map(|x| x.powi(power)).sum::<f64>() / samples.len() as f64
    }
    refused(density(|_, _| true), EVERYTHING);
    refused(density(|_, _| false), NOTHING);
    // Only the number of samples; only the integral; an integral that is too rough or too loose.
    refused(density(|_, sample| sample(100, 1).len() == 100), EVERYTHING);
    refused(
        density(|log_q, _| (mass(log_q) - 1.).abs() < 1e-4),
        &["3 of 8", "another mean", "another width", "opposite sign"],
    );
    refused(density(|q, _| (integral(q, |_| 1., 20., 1.) - 1.).abs() < 1e-5), NOTHING);
    // Only the mean; the mean and the variance; the median; a tolerance of one standard error.
    refused(
        density(|log_q, sample| {
            let mean = integral(log_q, |x| x, 20., 1e-2);
            (mean - moment(&sample(40_000, 1), 1)).abs() < 0.03
        }),
        &["another width", "but are normal"],
    );
    refused(
        density(|log_q, sample| {
            let samples = sample(40_000, 1);
            let first = integral(log_q, |x| x, 20., 1e-2) - moment(&samples, 1);
            let second = integral(log_q, |x| x * x, 20., 1e-2) - moment(&samples, 2);
            (mass(log_q) - 1.).abs() < 1e-4 && first.abs() < 0.03 && second.abs() < 0.06
        }),
        &["7 of 8", "mean and variance"],
    );
    refused(
        density(|log_q, sample| {
            let below = |x| integral(log_q, |_| 1., x, 1e-2);
            (mass(log_q) - 1.).abs() < 1e-4 && errors(&sample(40_000, 1), 0.5, below(0.5)) < 4.
        }),
        &["but not"],
    );
    refused(
        density(|log_q, sample| {
            let (samples, below) = (sample(40_000, 1), |x| integral(log_q, |_| 1., x, 1e-2));
            (-8..=8).all(|i| errors(&samples, f64::from(i) / 4., below(f64::from(i) / 4.)) < 0.3)
        }),
        TOO_STRICT,
    );
    // Too few samples.
    refused(
        density(|log_q, sample| {
            let (samples, below) = (sample(300, 1), |x| integral(log_q, |_| 1., x, 1e-2));
            (mass(log_q) - 1.).abs() < 1e-4
                && (-8..=8)
                    .all(|i| errors(&samples, f64::from(i) / 4., below(f64::from(i) / 4.)) < 4.)
        }),
        &["another width"],
    );
}

#[test]
fn masks() {
    use checks::{Masks, masks};
    assert_eq!(masks(mask_solution::accepts), Ok(()));
    const N: usize = 40_000;
    fn zeros(m: &[f64]) -> f64 {
        m.iter().filter(|x| **x == 0.).count() as f64 / m.len() as f64
    }
    fn error(p: f64, n: usize) -> f64 {
        (p * (1. - p) / n as f64).sqrt()
    }
    fn values(m: &[f64], p: f64) -> bool {
        m.iter().all(|x| *x == 0. || (x - 1. / (1. - p)).abs() < 1e-9)
    }
    refused(masks(|_| true), EVERYTHING);
    refused(masks(|_| false), NOTHING);
    // Only the length; only values; only p = ½; only the mean; values and rate, but not
    // independence; without the seed; with a tolerance that is loose, or tight.
    refused(masks(|m: &Masks| m(10, 0.3, 1).len() == 10), EVERYTHING);
    refused(masks(|m: &Masks| values(&m(N, 0.2, 1), 0.2)), &["the rate", "the seed", "regular"]);
    refused(
        masks(|m: &Masks| {
            let (a, b) = (m(N, 0.5, 1), m(N, 0.5, 2));
            let pairs = a.chunks(2).filter(|x| x[0] * x[1] != 0.).count() as f64 / (N / 2) as f64;
            values(&a, 0.5)
                && a != b
                && (zeros(&a) - 0.5).abs() < 4. * error(0.5, N)
                && (pairs - 0.25).abs() < 4. * error(0.25, N / 2)
        }),
        &["1/p", "exchanged"],
    );
    refused(
        masks(|m: &Masks| {
            let mean = m(N, 0.2, 1).iter().sum::<f64>() / N as f64;
            (mean - 1.).abs() < 4. * (0.2 / 0.8 / N as f64).sqrt()
        }),
        &["the seed has no effect", "entries 0 and 1 are equal"],
    );
    refused(
        masks(|m: &Masks| {
            let a = m(N, 0.2, 1);
            values(&a, 0.2) && (zeros(&a) - 0.2).abs() < 4. * error(0.2, N)
        }),
        &["the seed has no effect", "entries 0 and 1 are equal"],
    );
    fn thorough(m: &Masks, errors: f64, seeds: bool) -> bool {
        let (a, b) = (m(N, 0.2, 1), m(N, 0.2, 2));
        let pairs = a.chunks(2).filter(|x| x[0] * x[1] != 0.).count() as f64 / (N / 2) as f64;
        let both = a.iter().zip(&b).filter(|(a, b)| *a * *b != 0.).count() as f64 / N as f64;
        values(&a, 0.2)
            && (zeros(&a) - 0.2).abs() < errors * error(0.2, N)
            && (pairs - 0.64).abs() < errors * error(0.64, N / 2)
            && (!seeds || (both - 0.64).abs() < errors * error(0.64, N))
    }
    refused(masks(|m: &Masks| thorough(m, 4., false)), &["6 of 7", "the seed has no effect"]);
    refused(masks(|m: &Masks| thorough(m, 20., true)), &["the rate is 10 % too high"]);
    refused(masks(|m: &Masks| thorough(m, 0.1, true)), TOO_STRICT);
}
