//! Defends: every statistic equals a calculation by hand, and SciPy's or ArviZ's value on random
//! samples.
use bhn::autodiff::gradcheck::randn;
use bhn::stats::*;
use ndarray::{Array2, array};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde::Deserialize;

/// Relative error, or absolute below 1. Sums of a hundred numbers need 10⁻¹².
#[track_caller]
fn close_to(found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs();
    assert!(error <= tolerance * expected.abs().max(1.0), "{found} != {expected}");
}

#[track_caller]
fn close(found: f64, expected: f64) {
    close_to(found, expected, 1e-12);
}

#[test]
fn over_seeds_matches_manual_computation() {
    // Squares 1, 0, 1 over 3 − 1: variance 1, error √(1/3).
    let found = over_seeds(&[3.0, 2.0, 1.0]);
    close(found.value, 2.0);
    close(found.error, (1.0_f64 / 3.0).sqrt());
    assert!(over_seeds(&[2.0]).error.is_nan(), "a single run has no variance");
    // Over examples the variance is 2/3.
    close(Estimate::of(&[3.0, 2.0, 1.0]).error, (2.0_f64 / 9.0).sqrt());
}

#[test]
fn log_mean_exp_matches_manual_computation() {
    close(log_mean_exp(&[0.0, 3.0_f64.ln()]), 2.0_f64.ln());
    close(log_mean_exp(&[-1e6, -1e6]), -1e6);
    close(log_mean_exp(&[1e6, f64::NEG_INFINITY]), 1e6 - 2.0_f64.ln());
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    assert_eq!(log_mean_exp(&[-inf, -inf]), -inf);
    assert_eq!(log_mean_exp(&[inf, -inf]), inf);
    assert!(log_mean_exp(&[nan, -inf]).is_nan() && log_mean_exp(&[nan]).is_nan());
}

#[test]
fn pearson_and_welch_match_manual_computation() {
    // Deviations −1, 0, 1 and −1, 1, 0: r = 1/2. ν = 1 and t = 1/√3: 1 − (2/π) arctan(1/√3) = 2/3.
    let found = pearson(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]);
    close(found.r, 0.5);
    close(found.p_value, 2.0 / 3.0);
    let line = pearson(&[1.0, 2.0, 4.0], &[3.0, 1.0, -3.0]);
    assert!(line.r == -1.0 && line.p_value == 0.0);
    let constant = pearson(&[0.1, 0.1, 0.1], &[1.0, 2.0, 4.0]);
    assert!(constant.r.is_nan() && constant.p_value.is_nan());

    // Means 1 and 5, variances 2 of two each: t = −4/√2. ν = 2²/(1 + 1), and with two degrees of
    // freedom P(|T| ≥ t) = 1 − t/√(2 + t²) = 1 − √(8/10).
    let found = welch(&[0.0, 2.0], &[4.0, 6.0]);
    close(found.t, -8.0_f64.sqrt());
    close(found.df, 2.0);
    close(found.p_value, 1.0 - 0.8_f64.sqrt());
    // One does not vary: v = 4/3 and 0, ν = v²/(v²/2), t² = 9/v = 27/4, t²/(2 + t²) = 27/35.
    let found = welch(&[0.0, 4.0, 2.0], &[5.0, 5.0]);
    close(found.df, 2.0);
    close(found.p_value, 1.0 - (27.0_f64 / 35.0).sqrt());
    assert!(welch(&[1.0, 1.0], &[2.0, 2.0]).p_value.is_nan());
}

#[test]
fn ks_tests_match_manual_computation() {
    // At 1/2, F is 1 and should be a half.
    assert_eq!(ks_uniform(&[0.5, 0.25]).distance, 0.5);
    // Just below 3/4, F is 0, and this difference counts as well.
    assert_eq!(ks_uniform(&[0.75]).distance, 0.75);
    // Half of the sample lies where U(0, 1) has no mass.
    assert_eq!(ks_uniform(&[-3.0, 0.5]).distance, 0.5);
    // F and G are 1/2, 0 at 1, then 1, 1/2 at 2, then 1, 1.
    assert_eq!(ks_two_sample(&[2.0, 1.0], &[3.0, 2.0]).distance, 0.5);
    let same = ks_two_sample(&[1.0, 2.0], &[1.0, 1.0, 2.0, 2.0]);
    assert_eq!(same, KolmogorovSmirnov { distance: 0.0, p_value: 1.0 });

    // For one value, the distance is at least `D` unless the value is within `D` of both ends.
    close(ks_uniform(&[0.75]).p_value, 0.5);
    // For two values, `D ≥ 3/4` if both are below 1/4 or both above 3/4.
    close(ks_uniform(&[0.25, 0.125]).p_value, 1.0 / 8.0);
    close(ks_uniform(&[2.0, 0.5]).p_value, 0.5);
    assert_eq!(ks_uniform(&[2.0]).p_value, 0.0);
    // One value against three: in two of the four orders it is at an end.
    close(ks_two_sample(&[1.0], &[2.0, 3.0, 4.0]).p_value, 0.5);
    // Two values against two: two of the six orders have as large a distance. If the middle values
    // are tied, all have.
    close(ks_two_sample(&[1.0, 2.0], &[3.0, 4.0]).p_value, 1.0 / 3.0);
    close(ks_two_sample(&[1.0, 2.0], &[2.0, 3.0]).p_value, 1.0);
    // Eight and eight.
    let (a, b) = ([1, 2, 3, 4, 5, 9, 10, 15], [6, 7, 8, 11, 12, 13, 14, 16]);
    let found = ks_two_sample(&a.map(f64::from), &b.map(f64::from));
    assert_eq!(found.distance, 0.625);
    close(found.p_value, 0.087_024_087_024_087_02);

    // Kolmogorov's quantiles 1.2238, 1.3581 and 1.6276 of 10, 5 and 1 %, from any table, to 5·10⁻⁵;
    // the slope of Q is at most 0.5 there. The sample is large.
    for (lambda, expected) in [(1.2238, 0.1), (1.3581, 0.05), (1.6276, 0.01)] {
        let d = lambda / (20.0 + 0.12 + 0.0055);
        let late: Vec<_> = (1..=400).map(|i| f64::from(i) / 400.0 - d).collect();
        close_to(ks_uniform(&late).distance, d, 1e-12);
        close_to(ks_uniform(&late).p_value, expected, 3e-5);
    }
}

#[test]
fn wasserstein_matches_manual_computation() {
    // Half of the mass at 0 goes to 1.
    close(wasserstein_1(&[0.0], &[1.0, 0.0]), 0.5);
    // Thirds against halves: 1/3 from 0 to 2, 1/6 of the middle from 3 to 2, the rest from 3, 6 to
    // 4: (1/3) 2 + (1/6) 1 + (1/6) 1 + (1/3) 2.
    close(wasserstein_1(&[0.0, 3.0, 6.0], &[2.0, 4.0]), 5.0 / 3.0);
}

#[test]
fn rhat_detects_chains_that_did_not_converge() {
    // No variance within the chains, some between.
    let apart = array![[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]];
    assert_eq!(rhat(apart.view()), f64::INFINITY);
    let stuck = Array2::from_elem([2, 6], 0.1);
    assert!(rhat(stuck.view()).is_nan() && ess_bulk(stuck.view()).is_nan());
    // A trend: one chain's halves differ.
    let trend = Array2::from_shape_fn([1, 100], |(_, i)| i as f64);
    assert!(rhat(trend.view()) > 1.5);
}

/// In halves of five draws, `ρ₂` is negative, `ρ₂ + ρ₃` is not, and the chain ends. ArviZ includes
/// `ρ₂`.
#[test]
fn ess_of_short_chain_matches_arviz() {
    let draws = array![[1.0, 2.0, 5.0, 8.0, 0.0, 4.0, 7.0, 9.0, 3.0, 6.0]];
    close_to(ess_bulk(draws.view()), 9.506_556_767_399_278, 1e-9);
}

/// Results depend on neither moments nor monotone maps: these are draws of a Gaussian and their
/// images under eˣ³.
#[test]
fn ess_and_rhat_use_ranks() {
    let x = randn(&[4, 200], 3).into_dimensionality().unwrap();
    assert_eq!(ess_bulk(x.view()), ess_bulk(x.mapv(|x| (3.0 * x).exp()).view()));
    // Independent draws in twice as many half-chains. The variance of 8 means of 100 normal scores
    // is 1/100, give or take √(2/7) of it: R̂ = √(99/100 + 1/100) ± 0.003.
    close_to(rhat(x.view()), 1.0, 0.012);
    // Chains with the same mean and different scales, which the distances from the median detect.
    let wide = Array2::from_shape_fn([4, 200], |(c, i)| x[[c, i]] * if c < 2 { 1.0 } else { 4.0 });
    assert!(rhat(wide.view()) > 1.2);
}

/// `x' = φ x + √(1 − φ²) ε` has `ρ_t = φᵗ`, so `S` draws have the effective sample size
/// `S (1 − φ)/(1 + φ)`.
#[test]
fn ess_of_autoregression_matches_theory() {
    const N: usize = 20_000;
    for phi in [0.5_f64, -0.5] {
        let mut x = randn(&[4, N], 5).into_dimensionality::<ndarray::Ix2>().unwrap();
        for (c, i) in (0..4).flat_map(|c| (1..N).map(move |i| (c, i))) {
            x[[c, i]] = phi * x[[c, i - 1]] + (1.0 - phi * phi).sqrt() * x[[c, i]];
        }
        let expected = (1.0 - phi) / (1.0 + phi) * (4 * N) as f64;
        // Summed over m = 20 lags, its relative error is √(2 (2m + 1)/S) (Sokal 1997): 3.2 %.
        close_to(ess_bulk(x.view()) / expected, 1.0, 4.0 * 0.032);
    }
}

#[derive(Deserialize)]
struct Golden {
    pairs: Vec<Pairs>,
    many: Vec<Many>,
    samples: Vec<Samples>,
    uniform: Vec<Uniform>,
    ranks: Vec<Ranks>,
    distances: Vec<Distance>,
    weights: Vec<Weights>,
    chains: Vec<Chains>,
}

#[derive(Deserialize)]
struct Pairs {
    x: Vec<f64>,
    y: Vec<f64>,
    r: f64,
    p_value: f64,
}

#[derive(Deserialize)]
struct Many {
    n: usize,
    divisor: f64,
    r: f64,
    p_value: f64,
}

#[derive(Deserialize)]
struct Samples {
    a: Vec<f64>,
    b: Vec<f64>,
    t: f64,
    freedom: f64,
    welch: f64,
    ks: f64,
    ks_p_value: f64,
    wasserstein: f64,
}

#[derive(Deserialize)]
struct Uniform {
    u: Vec<f64>,
    ks: f64,
    p_value: f64,
}

#[derive(Deserialize)]
struct Ranks {
    a: Vec<f64>,
    b: Vec<f64>,
    p_value: f64,
}

#[derive(Deserialize)]
struct Distance {
    n: usize,
    d: f64,
    p_value: f64,
}

#[derive(Deserialize)]
struct Weights {
    x: Vec<f64>,
    unit: f64,
    k_hat: f64,
}

#[derive(Deserialize)]
struct Chains {
    draws: Vec<Vec<f64>>,
    unit: f64,
    rhat: Option<f64>,
    ess: f64,
}

#[test]
fn tests_and_distances_match_scipy() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/stats.json")).unwrap();
    let counts = [golden.pairs.len(), golden.many.len(), golden.samples.len()];
    assert!(!counts.contains(&0) && !golden.uniform.is_empty());
    for g in golden.pairs {
        let found = pearson(&g.x, &g.y);
        close(found.r, g.r);
        close(found.p_value, g.p_value);
    }
    for g in golden.many {
        let x: Vec<_> = (0..g.n).map(|i| (7919 * i % 1009) as f64).collect();
        let y: Vec<_> = (0..g.n).map(|i| (104729 * i % 997) as f64 + x[i] / g.divisor).collect();
        let found = pearson(&x, &y);
        close(found.r, g.r);
        // A relative error of 10⁻¹² in r is one of 10⁻¹² r² N in p.
        assert!((found.p_value / g.p_value - 1.0).abs() < 1e-9, "{found:?} {}", g.p_value);
    }
    for g in golden.samples {
        let found = welch(&g.a, &g.b);
        close(found.t, g.t);
        close(found.df, g.freedom);
        close(found.p_value, g.welch);
        let found = ks_two_sample(&g.a, &g.b);
        close(found.distance, g.ks);
        close(found.p_value, g.ks_p_value);
        close(wasserstein_1(&g.a, &g.b), g.wasserstein);
    }
    for g in golden.uniform {
        let u: Vec<_> = g.u.iter().map(|u| u / 1024.0).collect();
        let found = ks_uniform(&u);
        close(found.distance, g.ks);
        close(found.p_value, g.p_value);
    }
}

/// Either p-value is a sum of terms that are not negative, so its error is relative: an operation's
/// rounding for each of some 400 checks of one sample, 500 numbers of two, and `ln n!`, which is
/// good to 10⁻¹³ or so.
#[test]
fn ks_p_values_match_scipy() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/stats.json")).unwrap();
    assert!(golden.ranks.len() > 15 && golden.distances.len() > 80);
    let relative = |found: f64, expected: f64| (found / expected - 1.0).abs();
    for g in golden.ranks {
        let found = ks_two_sample(&g.a, &g.b);
        assert!(relative(found.p_value, g.p_value) < 1e-11, "{found:?} {}", g.p_value);
    }
    let [mut large, mut small] = [0.0_f64; 2];
    for g in golden.distances {
        // `n Fₙ` is the whole part of `n (u + D)`.
        let late: Vec<_> = (1..=g.n).map(|i| (i as f64 / g.n as f64 - g.d).max(0.)).collect();
        let found = ks_uniform(&late);
        close(found.distance, g.d);
        if g.n <= 200 {
            // For more than 140 values SciPy's own p-value is an expansion.
            let limit = if g.n <= 140 { 1e-9 } else { 1e-5 };
            assert!(relative(found.p_value, g.p_value) < limit, "{} {found:?} {}", g.n, g.p_value);
        } else {
            let error = (found.p_value - g.p_value).abs();
            large = large.max(error);
            small = small.max(if g.p_value < 0.1 { error } else { 0.0 });
        }
    }
    // The documented accuracy, which is not pessimistic by an order of magnitude.
    assert!((0.0009..0.009).contains(&large) && (6e-5..6e-4).contains(&small), "{large} {small}");
}

/// More than 10⁷ pairs: two samples of 3200 values without ties, whose exact p-value SciPy gives.
#[test]
fn ks_p_values_of_large_samples_are_accurate() {
    let first: Vec<_> = (0..3200).map(f64::from).collect();
    for (shift, exact) in [(109, 0.0488101), (80, 0.2700293), (64, 0.5442128)] {
        // Between whole numbers, and so many of them below all.
        let second: Vec<_> = first.iter().map(|x| (x - f64::from(shift) + 0.5).max(-0.5)).collect();
        let found = ks_two_sample(&first, &second);
        close(found.distance, f64::from(shift) / 3200.0);
        let limit = if exact < 0.1 { 0.002 } else { 0.02 };
        assert!((found.p_value - exact).abs() < limit, "{found:?} {exact}");
    }
}

#[test]
fn k_hat_of_underflowing_tail_and_of_equal_weights() {
    let apart: Vec<_> = (0..100).map(|i| 400. * f64::from(i)).collect();
    assert_eq!(k_hat(&apart), f64::INFINITY);
    assert_eq!(k_hat(&[-3.; 50]), f64::NEG_INFINITY);
    assert_eq!((k_limit(100), k_limit(10_000)), (0.5, 0.7));
}

#[test]
fn rhat_ess_and_k_hat_match_arviz() {
    let golden: Golden = serde_json::from_str(include_str!("../golden/stats.json")).unwrap();
    assert!(!golden.chains.is_empty());
    for g in golden.chains {
        let shape = [g.draws.len(), g.draws[0].len()];
        let draws = Array2::from_shape_fn(shape, |(c, i)| g.draws[c][i] / g.unit);
        // The normal quantiles of either are good to 10⁻¹⁰.
        if let Some(expected) = g.rhat {
            close_to(rhat(draws.view()), expected, 1e-9);
        }
        close_to(ess_bulk(draws.view()), g.ess, 1e-9);
    }
    assert!(golden.weights.len() > 5);
    for g in golden.weights {
        let x: Vec<_> = g.x.iter().map(|x| x / g.unit).collect();
        close_to(k_hat(&x), g.k_hat, 1e-9);
    }
}

fn sample() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-50..50).prop_map(f64::from), 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(1),
        ..Default::default()
    })]

    #[test]
    fn wasserstein_is_a_metric(a in sample(), b in sample(), c in sample(), shift in -9..9i32) {
        let shift = f64::from(shift);
        let moved: Vec<_> = a.iter().map(|a| a + shift).collect();
        close(wasserstein_1(&a, &moved), shift.abs());
        close(wasserstein_1(&a, &b), wasserstein_1(&b, &a));
        let through = wasserstein_1(&a, &c) + wasserstein_1(&c, &b);
        prop_assert!(wasserstein_1(&a, &b) <= through + 1e-9);
        // A sample repeated twice has the same distribution.
        prop_assert_eq!(wasserstein_1(&a, &[&a[..], &a].concat()), 0.0);
    }

    #[test]
    fn ks_two_sample_depends_on_order_only(a in sample(), b in sample()) {
        let map = |v: &[f64]| v.iter().map(|x| (x / 10.0).exp()).collect::<Vec<_>>();
        let found = ks_two_sample(&a, &b);
        prop_assert_eq!(found, ks_two_sample(&map(&a), &map(&b)));
        prop_assert_eq!(found, ks_two_sample(&b, &a));
        prop_assert!((0.0..=1.0).contains(&found.p_value));
    }

    #[test]
    fn pearson_is_invariant_to_affine_maps(x in sample(), slope in 1..9, shift in -9..9) {
        let line = |v: &[f64]| -> Vec<f64> {
            v.iter().map(|v| f64::from(slope) * v + f64::from(shift)).collect()
        };
        let y: Vec<_> = x.iter().rev().copied().collect();
        prop_assume!(x.len() > 2 && x.iter().any(|&v| v != x[0]));
        let (found, scaled) = (pearson(&x, &y), pearson(&line(&x), &line(&y)));
        close(found.r, scaled.r);
        close(pearson(&x, &line(&x)).r, 1.0);
    }
}

#[test]
#[should_panic(expected = "pearson: x [2], y [2]: expected 3 pairs or more")]
fn pearson_rejects_two_points() {
    pearson(&[1.0, 2.0], &[1.0, 3.0]);
}

#[test]
#[should_panic(expected = "welch: a [2], b [1]: expected 2 values or more of each")]
fn welch_rejects_single_value() {
    welch(&[1.0, 2.0], &[1.0]);
}

#[test]
#[should_panic(expected = "ks_two_sample: b [0]: no example")]
fn ks_two_sample_rejects_empty_sample() {
    ks_two_sample(&[1.0], &[]);
}

#[test]
#[should_panic(expected = "wasserstein_1: a [2]: element 1 is NaN")]
fn wasserstein_rejects_nan() {
    wasserstein_1(&[1.0, f64::NAN], &[1.0]);
}

#[test]
#[should_panic(expected = "rhat: draws [2, 3]: expected chains of 4 or more")]
fn rhat_rejects_short_chains() {
    rhat(Array2::zeros([2, 3]).view());
}

#[test]
#[should_panic(expected = "over_seeds: no run")]
fn over_seeds_rejects_empty_input() {
    over_seeds(&[]);
}

/// 10, 20, 30 of 60: `χ² = (100 + 0 + 100)/20`, and with two degrees of freedom `p = e^{−χ²/2}`.
#[test]
fn chi_squared_matches_manual_computation() {
    let found = chi_squared_uniform(&[10, 20, 30]);
    close(found.statistic, 10.0);
    close(found.p_value, (-5.0_f64).exp());
    close(chi_squared_uniform(&[7, 7]).p_value, 1.0);
}
