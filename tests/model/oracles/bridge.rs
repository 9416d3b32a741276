//! Defends: bridge sampling estimates known evidences, to within its stated error.
use super::rng;
use bhn::experiments::evidence::by_bridge_sampling;
use bhn::experiments::fit::Joint;
use bhn::experiments::modes::Target;
use bhn::experiments::nuts::Nuts;
use bhn::experiments::oracles::{Linear, Logistic};
use ndarray::Array2;

#[test]
fn evidence_of_linear_regression_from_exact_draws() {
    let linear = Linear::polynomial(20, 4, 0);
    let posterior = linear.posterior();
    let chains: Vec<_> = (0..2).map(|seed| posterior.sample(2000, &mut rng(seed))).collect();
    let views: Vec<_> = chains.iter().map(|chain| chain.view()).collect();
    let (found, expected) =
        (by_bridge_sampling(&views, &linear, &mut rng(9)), linear.log_evidence());
    assert!((found.value - expected).abs() < 4. * found.error, "{found}, {expected}");
    assert!(found.error < 0.01, "{found}");
    // Draws of another distribution, half as wide, give another number.
    let wrong: Vec<_> =
        chains.iter().map(|chain| (chain - &posterior.mean) * 0.5 + &posterior.mean).collect();
    let views: Vec<_> = wrong.iter().map(|chain| chain.view()).collect();
    let found = by_bridge_sampling(&views, &linear, &mut rng(9));
    assert!((found.value - expected).abs() > 10. * found.error, "{found}, {expected}");
}

/// A single Gaussian is a poor proposal for a density with two branches, so that the stated error
/// matters. Over `R` repetitions, the differences in units of their errors have mean 0 ± 1/√R and
/// standard deviation 1 ± 1/√2R. Four standard errors of each are allowed, and 0.15 for the
/// uncertainty of the stated error.
#[test]
fn stated_error_is_calibrated_on_two_branches() {
    let (ridge, repetitions) = (Target::Ridge { kappa: 5. }, 100);
    let expected = ridge.log_evidence().value;
    let z: Vec<_> = (0..repetitions)
        .map(|seed| {
            let draws = ridge.sample(1000, &mut rng(seed));
            let draws = Array2::from_shape_fn((1000, 2), |(s, d)| [draws[s].0, draws[s].1][d]);
            let found = by_bridge_sampling(&[draws.view()], &ridge, &mut rng(1000 + seed));
            assert!((0.003..0.1).contains(&found.error), "{found}");
            (found.value - expected) / found.error
        })
        .collect();
    let n = repetitions as f64;
    let mean = z.iter().sum::<f64>() / n;
    let std = (z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / (n - 1.)).sqrt();
    assert!(mean.abs() < 4. / n.sqrt(), "mean {mean}");
    assert!((std - 1.).abs() < 4. / (2. * n).sqrt() + 0.15, "std {std}");
}

#[test]
fn evidence_of_o_rings_from_nuts_draws() {
    let o_rings = Logistic::o_rings();
    let nuts = Nuts { warmup: 500, draws: 1500, ..Nuts::default() };
    let chains: Vec<_> = (0..2)
        .map(|seed| {
            let (start, rng) = ([0.1, -0.1], &mut rng(seed));
            let chain = nuts.chain(&start, |theta| o_rings.log_joint(theta).sum(), rng).unwrap();
            Array2::from_shape_fn((1500, 2), |(s, d)| chain.theta[s][d])
        })
        .collect();
    let views: Vec<_> = chains.iter().map(|chain| chain.view()).collect();
    let found = by_bridge_sampling(&views, &o_rings, &mut rng(9));
    let expected = o_rings.log_evidence().value;
    assert!((found.value - expected).abs() < 4. * found.error, "{found}, {expected}");
    assert!(found.error < 0.02, "{found}");
}
