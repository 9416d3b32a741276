//! Defends: the grader of exercise 18 refuses weak checks, says what these miss, and accepts the
//! solution.
use bhn_exercises::checks::{Change, adam};
use bhn_exercises::grading::Verdict;

#[path = "../solutions/e18_adam_check.rs"]
mod solution;

#[track_caller]
fn refused(verdict: Verdict, words: &[&str]) {
    let why = verdict.expect_err("a weak check is accepted");
    for word in words {
        assert!(why.contains(word), "no `{word}` in: {why}");
    }
}

/// Adam's last change.
fn expected(gradients: &[f64]) -> f64 {
    let (mut m, mut v) = (0., 0.);
    for g in gradients {
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
    }
    let t = gradients.len() as i32;
    let (m, v): (f64, f64) = (m / (1. - 0.9_f64.powi(t)), v / (1. - 0.999_f64.powi(t)));
    -0.01 * m / (v.sqrt() + 1e-8)
}

fn agrees(change: &Change, gradients: &[f64], tolerance: f64) -> bool {
    let expected = expected(gradients);
    (change(gradients) - expected).abs() <= tolerance * expected.abs()
}

#[test]
fn weak_checks_are_refused() {
    assert_eq!(adam(solution::accepts), Ok(()));
    let simple: fn(&Change) -> bool =
        |c| agrees(c, &[2.], 1e-9) && agrees(c, &[0.5, -1.5, 2.], 1e-9) && agrees(c, &[1e-8], 1e-9);
    assert_eq!(adam(simple), Ok(()));
    refused(adam(|_| true), &["accepts everything"]);
    refused(adam(|_| false), &["refuses everything"]);
    // One step; one gradient of 1; equal gradients; only the sign; no small gradients.
    refused(adam(|c| agrees(c, &[2.], 1e-6)), &["those of step 1", "inside the square root", "β₂"]);
    refused(adam(|c| agrees(c, &[1.], 1e-6)), &["mean of |g|"]);
    refused(adam(|c| agrees(c, &[3.; 10], 1e-6)), &["β₂ is 0.99", "inside the square root"]);
    refused(adam(|c| c(&[2.]) < 0. && c(&[-2.]) > 0.), &["gradient descent", "β₂ is 0.99"]);
    refused(
        adam(|c| agrees(c, &[2.], 1e-6) && agrees(c, &[0.5, -1.5, 2.], 1e-6)),
        &["7 of 8", "ε is inside the square root"],
    );
    // A tolerance of a tenth, an absolute tolerance, one below rounding; no ε in the reference.
    refused(adam(|c| agrees(c, &[0.5, -1.5, 2.], 0.1) && agrees(c, &[1e-8], 0.1)), &["β₂ is 0.99"]);
    refused(adam(|c| (c(&[1e-8, 3e-8]) - expected(&[1e-8, 3e-8])).abs() < 1e-2), &["but not"]);
    refused(adam(|c| agrees(c, &[0.5, -1.5, 2., 0.1, -0.3], 0.)), &["what is right"]);
    refused(adam(|c| (c(&[1e-8]) + 0.01).abs() < 1e-6), &["refuses"]);
}
