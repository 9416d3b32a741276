//! Defends: every score equals a calculation by hand and scikit-learn's value, also at the edges of
//! its domain.
use std::f64::consts::{LN_2, TAU};

use bhn::metrics::*;
use ndarray::{Array2, ArrayView2, array};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde::Deserialize;

/// Within a few roundings of f64: every input below is exact in f32.
#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} != {expected}");
}

/// Three rows over two classes: right with 3/4, wrong with 1/2 (a tie: class 0), right with 1.
fn three() -> (Array2<f32>, Vec<usize>) {
    (array![[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]], vec![1, 1, 0])
}

#[test]
fn classification_scores_match_manual_computation() {
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

/// Confidences 4/8 (wrong), 5/8 (right), 5/8 (wrong), 6/8 (right), 8/8 (right).
#[test]
fn equal_mass_bins_match_manual_computation() {
    let p = array![[0.5, 0.5], [0.625, 0.375], [0.375, 0.625], [0.25, 0.75], [1.0, 0.0]];
    let (p, y) = (p.view(), [1, 0, 0, 1, 0]);
    // 0, 1, 1, 3 and 4 have a lower confidence: ⌊2 · / 5⌋ is 0, 0, 0, 1, 1.
    let bin = |lower, upper, count, confidence, accuracy| Bin {
        lower,
        upper,
        count,
        confidence,
        accuracy,
    };
    let third = 1.0 / 3.0;
    let expected = [bin(0.5, 0.75, 3, 1.75 / 3.0, third), bin(0.75, 1.0, 2, 0.875, 1.0)];
    assert_eq!(reliability_equal_mass(p, &y, 2), expected);
    // 3/5 · |1/3 − 7/12| + 2/5 · |1 − 7/8| = 3/20 + 1/20.
    close(ece_equal_mass(p, &y, 2), 0.2);
    // Into five bins go 1, 2, 0, 1 and 1; the empty one is left out.
    let counts: Vec<_> = reliability_equal_mass(p, &y, 5).iter().map(|b| b.count).collect();
    assert_eq!(counts, [1, 2, 1, 1]);
    // Examples of equal confidence share a bin, whatever the number of bins.
    let sure = array![[1.0, 0.0], [1.0, 0.0]];
    assert_eq!(reliability_equal_mass(sure.view(), &[0, 1], BINS), [bin(1.0, 1.0, 2, 1.0, 0.5)]);
}

/// Two bins. Class 0 is forecast with 1/4 | 1/2, 1 and comes 0 | 0, 1 times, 1/3 at all:
/// reliability (1/3)(1/16) + (2/3)(3/4 − 1/2)² = 1/16, resolution (1/3)(1/9) + (2/3)(1/36) = 1/18,
/// within (1/3) · 2 · (1/16 − 2 · 1/8) = −1/8. Class 1 with 0 | 3/4, 1/2 and comes 0 | 1, 1 times:
/// reliability (2/3)(9/64) = 3/32, resolution (1/3)(4/9) + (2/3)(1/9) = 2/9, within 2 · (1/64)/3.
#[test]
fn brier_decomposition_matches_manual_computation() {
    let (p, y) = three();
    let parts = brier_parts(p.view(), &y, 2);
    close(parts.reliability, 1.0 / 16.0 + 3.0 / 32.0);
    close(parts.resolution, 1.0 / 18.0 + 2.0 / 9.0);
    close(parts.uncertainty, 2.0 * 2.0 / 9.0);
    close(parts.within, 1.0 / 96.0 - 1.0 / 8.0);
}

/// Of the six comparisons 3 > 1, 3 > 2, 2 > 1 are won, 2 = 2 and 1 = 1 half won, 1 < 2 lost: 4/6.
#[test]
fn ranking_scores_match_manual_computation() {
    let (positive, negative) = ([2.0, 1.0, 3.0], [1.0, 2.0]);
    let area = auroc(&positive, &negative);
    close(area.value, 2.0 / 3.0);
    // The fractions of negatives below each positive are 1/4, 3/4, 1, with variance 7/48; the
    // fractions of positives below each negative are 1/6, 1/2, with variance 1/18.
    close(area.error, (7.0_f64 / 48.0 / 3.0 + 1.0 / 18.0 / 2.0).sqrt());
    // At 3, 2 and 1 the recall grows by a third each, and the precision is 1, 2/3 and 3/5.
    close(aupr(&positive, &negative), (1.0 + 2.0 / 3.0 + 3.0 / 5.0) / 3.0);
    // At threshold 3 a third of the positives and no negative is accepted; at 2, two thirds and one
    // of the two negatives; at 1, all.
    for (tpr, expected) in [(0.1, 0.0), (1.0 / 3.0, 0.0), (0.34, 0.5), (2.0 / 3.0, 0.5), (0.7, 1.0)]
    {
        close(fpr_at_tpr(&positive, &negative, tpr), expected);
    }

    // With the sign reversed, −1 accepts one example of each kind, −2 two of each, and −3 also the
    // third one outside.
    let found = Detection::of(&negative, &positive);
    assert_eq!(found.auroc, area);
    close(found.aupr_out, 34.0 / 45.0);
    close(found.aupr_in, 0.5);
    close(found.fpr95, 2.0 / 3.0);
}

#[test]
fn ranking_of_separable_and_tied_scores() {
    // A single example of a kind has no variance.
    let one = auroc(&[2.0], &[1.0]);
    assert!(one.value == 1.0 && one.error.is_nan());
    let apart = Detection::of(&[1.0, 2.0], &[3.0, f64::INFINITY, 3.0]);
    let perfect = Estimate { value: 1.0, error: 0.0 };
    let expected = Detection { auroc: perfect, aupr_in: 1.0, aupr_out: 1.0, fpr95: 0.0 };
    assert_eq!(apart, expected);
    // All tied: a threshold accepts all or none. 0 and −0 are equal.
    let (positive, negative) = ([0.0, -0.0, 0.0], [-0.0, 0.0, -0.0, 0.0]);
    assert_eq!(auroc(&positive, &negative), Estimate { value: 0.5, error: 0.0 });
    close(aupr(&positive, &negative), 3.0 / 7.0);
    close(fpr_at_tpr(&positive, &negative, 0.95), 1.0);
}

/// The two examples in the middle are tied and one of them is wrong: the mean over both orders
/// counts half a mistake for each.
#[test]
fn risk_coverage_matches_manual_computation() {
    let (uncertainty, loss) = ([0.5, 0.9, 0.1, 0.5], [1.0, 1.0, 0.0, 0.0]);
    let expected = [0.0, 0.5 / 2.0, 1.0 / 3.0, 2.0 / 4.0];
    let curve = risk_coverage(&uncertainty, &loss);
    curve.iter().zip(expected).for_each(|(&found, expected)| close(found, expected));
    assert_eq!(curve.len(), 4);
    close(aurc(&uncertainty, &loss), 13.0 / 48.0);
    assert_eq!(risk_coverage(&[0.3], &[1.0]), [1.0]);
}

#[test]
fn regression_scores_match_manual_computation() {
    // Residuals 1, −2: √(5/2). Only the first is within one σ: its residual is exactly σ.
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
fn classification_scores_of_certain_predictions() {
    let sure = array![[1.0_f32, 0.0, 0.0]];
    // 0 and not −0, which JSON distinguishes.
    let scores = nll(sure.view(), &[0]);
    assert_eq!([scores.value.to_bits(), scores.error.to_bits()], [0, 0]);
    close(nll(sure.view(), &[2]).value, -f64::from(f32::MIN_POSITIVE).ln());
    close(brier(sure.view(), &[2]).value, 2.0);
    close(ece(sure.view(), &[2], BINS), 1.0);
    close(ece(sure.view(), &[0], 1), 0.0);
    let bins = reliability(sure.view(), &[0], BINS);
    assert_eq!((bins.len(), bins[BINS - 1].count, bins[BINS - 1].upper), (BINS, 1, 1.0));
    // A single example has no variance.
    assert_eq!(accuracy(sure.view(), &[0]), Estimate { value: 1.0, error: 0.0 });
    assert_eq!(format!("{:.2}", accuracy(sure.view(), &[0])), "1.00 ± 0.00");
    assert_eq!(predictions(array![[0.25, 0.25, 0.25, 0.25]].view()), [0]);
}

#[derive(Deserialize)]
struct Golden {
    classes: Vec<Classes>,
    ranking: Vec<Ranking>,
}

#[derive(Deserialize)]
struct Classes {
    parts: Vec<Vec<f32>>,
    labels: Vec<usize>,
    accuracy: f64,
    nll: f64,
    brier: f64,
    brier_parts: [f64; 3],
    ece: f64,
    ece_equal_mass: f64,
    confusion: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct Ranking {
    positive: Vec<f64>,
    negative: Vec<f64>,
    auroc: f64,
    auroc_error: f64,
    aupr: f64,
    aupr_turned: f64,
    fpr95: f64,
    uncertainty: Vec<f64>,
    loss: Vec<f64>,
    risk_coverage: Vec<f64>,
}

#[test]
fn scores_match_scikit_learn() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/metrics.json")).unwrap();
    assert!(!golden.classes.is_empty() && !golden.ranking.is_empty());
    for g in golden.classes {
        let k = g.parts[0].len();
        let p = Array2::from_shape_fn([g.parts.len(), k], |(n, c)| g.parts[n][c] / 4096.0);
        let (p, y) = (p.view(), &g.labels);
        close(accuracy(p, y).value, g.accuracy);
        close(nll(p, y).value, g.nll);
        close(brier(p, y).value, g.brier);
        close(ece(p, y, BINS), g.ece);
        close(ece_equal_mass(p, y, BINS), g.ece_equal_mass);
        let parts = brier_parts(p, y, BINS);
        let parts = [parts.reliability, parts.resolution, parts.uncertainty];
        parts.iter().zip(g.brier_parts).for_each(|(&found, expected)| close(found, expected));
        let counts = Array2::from_shape_fn([k, k], |(truth, class)| g.confusion[truth][class]);
        assert_eq!(confusion(p, y), counts);
    }
    for g in golden.ranking {
        let found = Detection::of(&g.negative, &g.positive);
        close(found.auroc.value, g.auroc);
        close(found.auroc.error, g.auroc_error);
        close(found.aupr_out, g.aupr);
        close(found.aupr_in, g.aupr_turned);
        close(fpr_at_tpr(&g.positive, &g.negative, 0.95), g.fpr95);
        let risks = risk_coverage(&g.uncertainty, &g.loss);
        assert_eq!(risks.len(), g.risk_coverage.len());
        risks.iter().zip(&g.risk_coverage).for_each(|(&found, &expected)| close(found, expected));
    }
}

/// Whole numbers, few enough to be tied.
fn scores() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-4..5).prop_map(f64::from), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(1),
        ..Default::default()
    })]

    #[test]
    fn auroc_is_fraction_of_pairs_ranked_correctly(a in scores(), b in scores()) {
        let won = |x: f64, y: f64| if x == y { 0.5 } else { f64::from(x > y) };
        let sum: f64 = a.iter().flat_map(|&x| b.iter().map(move |&y| won(x, y))).sum();
        close(auroc(&a, &b).value, sum / (a.len() * b.len()) as f64);
        // Exchanging positives and negatives gives the complement with the same error.
        close(auroc(&a, &b).value + auroc(&b, &a).value, 1.0);
        if a.len() > 1 && b.len() > 1 {
            close(auroc(&a, &b).error, auroc(&b, &a).error);
        }
    }

    #[test]
    fn detection_scores_are_invariant_to_monotone_maps(a in scores(), b in scores()) {
        let map = |v: &[f64]| v.iter().map(|x| (x / 2.0).exp() - 9.0).collect::<Vec<_>>();
        let bits = |d: Detection| [d.auroc.value, d.auroc.error, d.aupr_in, d.aupr_out, d.fpr95]
            .map(f64::to_bits);
        prop_assert_eq!(bits(Detection::of(&a, &b)), bits(Detection::of(&map(&a), &map(&b))));
    }

    #[test]
    fn risk_at_full_coverage_is_error_rate(
        (u, loss) in scores().prop_flat_map(|u| {
            let n = u.len();
            (Just(u), prop::collection::vec((0..2).prop_map(f64::from), n))
        })
    ) {
        let curve = risk_coverage(&u, &loss);
        let rate = loss.iter().sum::<f64>() / loss.len() as f64;
        close(curve[u.len() - 1], rate);
        // A constant uncertainty has the same risk at every coverage, and a perfect one no higher
        // risk.
        risk_coverage(&vec![0.0; u.len()], &loss).iter().for_each(|&risk| close(risk, rate));
        let known = risk_coverage(&loss, &loss);
        prop_assert!(known.iter().zip(&curve).all(|(best, risk)| *best <= risk + 1e-12));
    }

    /// Forecasts are odd multiples of 1/16: each bin has a single value if there are eight or
    /// sixteen bins, but not if there are three.
    #[test]
    fn brier_decomposition_sums_to_brier_score(
        rows in prop::collection::vec((0..8u8, 0..2usize), 1..40), bins in 1..20usize,
    ) {
        let sixteenths = |n: usize| f32::from(2 * rows[n].0 + 1);
        let p = Array2::from_shape_fn([rows.len(), 2], |(n, c)| {
            (if c == 0 { sixteenths(n) } else { 16.0 - sixteenths(n) }) / 16.0
        });
        let y: Vec<_> = rows.iter().map(|row| row.1).collect();
        let total = brier(p.view(), &y).value;
        let parts = brier_parts(p.view(), &y, bins);
        close(parts.reliability - parts.resolution + parts.uncertainty + parts.within, total);
        for bins in [8, 16] {
            let parts = brier_parts(p.view(), &y, bins);
            prop_assert_eq!(parts.within, 0.0);
            close(parts.reliability - parts.resolution + parts.uncertainty, total);
        }
    }
}

#[test]
#[should_panic(expected = "accuracy: p [0, 2]: no example")]
fn accuracy_rejects_empty_input() {
    accuracy(ArrayView2::from_shape([0, 2], &[]).unwrap(), &[]);
}

#[test]
#[should_panic(expected = "brier: p [3, 2], labels [1]: expected one label for each row")]
fn brier_rejects_missing_label() {
    brier(three().0.view(), &[0]);
}

#[test]
#[should_panic(expected = "nll: p [3, 2]: label 2 is not below the number of classes")]
fn nll_rejects_label_out_of_range() {
    nll(three().0.view(), &[0, 2, 1]);
}

#[test]
#[should_panic(expected = "rmse: mean [1], y [2]: expected one prediction for each target")]
fn rmse_rejects_length_mismatch() {
    rmse(&[1.0], &[1.0, 2.0]);
}

#[test]
#[should_panic(expected = "gaussian_mixture_log_likelihood: means [0, 1], precisions [0]")]
fn mixture_likelihood_rejects_zero_samples() {
    gaussian_mixture_log_likelihood(ArrayView2::from_shape([0, 1], &[]).unwrap(), &[], &[1.0]);
}

#[test]
#[should_panic(expected = "auroc: no positive example")]
fn auroc_rejects_no_positives() {
    auroc(&[], &[1.0]);
}

#[test]
#[should_panic(expected = "fpr_at_tpr: no negative example")]
fn fpr_at_tpr_rejects_no_negatives() {
    fpr_at_tpr(&[1.0], &[], 0.95);
}

#[test]
#[should_panic(expected = "aupr: negative [2]: element 1 is NaN")]
fn aupr_rejects_nan() {
    aupr(&[1.0], &[0.0, f64::NAN]);
}

#[test]
#[should_panic(expected = "risk_coverage: uncertainty [2], loss [1]")]
fn risk_coverage_rejects_length_mismatch() {
    risk_coverage(&[0.0, 1.0], &[1.0]);
}

#[test]
#[should_panic(expected = "brier_parts: no bin")]
fn brier_parts_rejects_zero_bins() {
    brier_parts(three().0.view(), &three().1, 0);
}
