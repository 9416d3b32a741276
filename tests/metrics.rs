//! Every score equals the one worked by hand and scikit-learn's, on the edges of its domain too.
use std::f64::consts::{LN_2, TAU};

use bhn::metrics::*;
use ndarray::{Array2, ArrayView2, array};
use serde::Deserialize;

/// A few roundings of f64: every input below is exact in f32.
#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} != {expected}");
}

/// Three rows over two classes: right with 3/4, wrong with 1/2 (a tie: class 0), right with 1.
fn three() -> (Array2<f32>, Vec<usize>) {
    (array![[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]], vec![1, 1, 0])
}

#[test]
fn by_hand() {
    let (p, y) = three();
    let p = p.view();
    assert_eq!(predictions(p), [1, 0, 0]);
    assert_eq!(confusion(p, &y), array![[1, 0], [1, 1]]);

    // a = 2/3, √(a (1 − a) / 3) = √(2/27).
    close(accuracy(p, &y).value, 2.0 / 3.0);
    close(accuracy(p, &y).error, (2.0_f64 / 27.0).sqrt());

    // Costs: log 4/3, log 2, 0.
    let costs = [(4.0_f64 / 3.0).ln(), LN_2, 0.0];
    let mean = costs.iter().sum::<f64>() / 3.0;
    let variance = costs.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 3.0;
    close(nll(p, &y).value, mean);
    close(nll(p, &y).error, (variance / 3.0).sqrt());

    // (1/16 + 1/16), (1/4 + 1/4), 0: 5/8 over three.
    close(brier(p, &y).value, 5.0 / 24.0);

    // Four bins: confidence 1/2 opens [1/2, 3/4); 3/4 opens [3/4, 1], which holds 1 as well.
    let bins = reliability(p, &y, 4);
    let bin = |lower, count, confidence, accuracy| Bin {
        lower,
        upper: lower + 0.25,
        count,
        confidence,
        accuracy,
    };
    let expected = [
        bin(0.0, 0, 0.0, 0.0),
        bin(0.25, 0, 0.0, 0.0),
        bin(0.5, 1, 0.5, 0.0),
        bin(0.75, 2, 0.875, 1.0),
    ];
    assert_eq!(bins, expected);
    // 1/3 · |0 − 1/2| + 2/3 · |1 − 7/8| = 1/6 + 1/12.
    close(ece(p, &y, 4), 0.25);
}

#[test]
fn regression_by_hand() {
    // Residuals 1, −2: √(5/2). Within one σ: the first only, its residual being exactly σ.
    let (mean, y) = ([1.0, 2.0], [2.0, 0.0]);
    close(rmse(&mean, &y), 2.5_f64.sqrt());
    close(coverage(&mean, &[1.0, 1.0], &y, 1.0).value, 0.5);

    // Precisions 1 and 4 at residuals 0 and 1: densities 1/√2π and 2 e⁻²/√2π.
    let mixture = gaussian_mixture_log_likelihood(array![[0.0], [1.0]].view(), &[1.0, 4.0], &[0.0]);
    close(mixture.value, ((1.0 + 2.0 * (-2.0_f64).exp()) / 2.0).ln() - 0.5 * TAU.ln());
    // exp(−10⁸ / 2) is 0 in f64; the logarithm is not.
    let far = gaussian_mixture_log_likelihood(array![[1e4]].view(), &[1.0], &[0.0]);
    close(far.value, -0.5e8 - 0.5 * TAU.ln());
}

#[test]
fn edges() {
    let sure = array![[1.0_f32, 0.0, 0.0]];
    close(nll(sure.view(), &[0]).value, 0.0);
    close(nll(sure.view(), &[2]).value, -f64::from(f32::MIN_POSITIVE).ln());
    close(brier(sure.view(), &[2]).value, 2.0);
    close(ece(sure.view(), &[2], BINS), 1.0);
    close(ece(sure.view(), &[0], 1), 0.0);
    let bins = reliability(sure.view(), &[0], BINS);
    assert_eq!((bins.len(), bins[BINS - 1].count, bins[BINS - 1].upper), (BINS, 1, 1.0));
    // One example says nothing about its own spread.
    assert_eq!(accuracy(sure.view(), &[0]), Estimate { value: 1.0, error: 0.0 });
    assert_eq!(format!("{:.2}", accuracy(sure.view(), &[0])), "1.00 ± 0.00");
    assert_eq!(predictions(array![[0.25, 0.25, 0.25, 0.25]].view()), [0]);
}

#[derive(Deserialize)]
struct Golden {
    parts: Vec<Vec<f32>>,
    labels: Vec<usize>,
    accuracy: f64,
    nll: f64,
    brier: f64,
    ece: f64,
    confusion: Vec<Vec<usize>>,
}

#[test]
fn scikit_learn_agrees() {
    let golden: Vec<Golden> = serde_json::from_str(include_str!("golden/metrics.json")).unwrap();
    assert!(!golden.is_empty());
    for g in golden {
        let k = g.parts[0].len();
        let p = Array2::from_shape_fn([g.parts.len(), k], |(n, c)| g.parts[n][c] / 4096.0);
        let (p, y) = (p.view(), &g.labels);
        close(accuracy(p, y).value, g.accuracy);
        close(nll(p, y).value, g.nll);
        close(brier(p, y).value, g.brier);
        close(ece(p, y, BINS), g.ece);
        let counts = Array2::from_shape_fn([k, k], |(truth, class)| g.confusion[truth][class]);
        assert_eq!(confusion(p, y), counts);
    }
}

#[test]
#[should_panic(expected = "accuracy: p [0, 2]: no example")]
fn nothing_has_no_accuracy() {
    accuracy(ArrayView2::from_shape([0, 2], &[]).unwrap(), &[]);
}

#[test]
#[should_panic(expected = "brier: p [3, 2], labels [1]: one label a row expected")]
fn a_label_is_missing() {
    brier(three().0.view(), &[0]);
}

#[test]
#[should_panic(expected = "nll: p [3, 2]: label 2 is not a column")]
fn a_label_is_no_class() {
    nll(three().0.view(), &[0, 2, 1]);
}

#[test]
#[should_panic(expected = "rmse: mean [1], y [2]: one prediction a target expected")]
fn a_target_has_no_prediction() {
    rmse(&[1.0], &[1.0, 2.0]);
}

#[test]
#[should_panic(expected = "gaussian_mixture_log_likelihood: means [0, 1], precisions [0]")]
fn no_sample() {
    gaussian_mixture_log_likelihood(ArrayView2::from_shape([0, 1], &[]).unwrap(), &[], &[1.0]);
}
