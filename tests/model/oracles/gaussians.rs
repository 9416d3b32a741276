//! Defends: the Gaussian flows reach the evidence where the posterior is in their family.
use bhn::bayes::{Estimator, FlowKind, Hypernet, HypernetConfig};
use bhn::experiments::fit::{Joint, Training, weigh};
use bhn::experiments::oracles::Linear;
use bhn::nn::Params;
use bhn::random::{Purpose, stream};
use bhn::stats::over_seeds;
use rstest::rstest;

const TRAINING: Training = Training {
    steps: 3000,
    samples: 32,
    rate: 3e-2,
    decay: 1e3,
    anneal: 0.,
    gradient: Estimator::Total,
};

/// `ln p(D) − ELBO` and its standard error.
fn gap(linear: &Linear, kind: FlowKind, rank: usize) -> [f64; 2] {
    let mut params = Params::default();
    let config = HypernetConfig { kind, rank, log_scale: -1., shift: 0., ..Default::default() };
    let q =
        Hypernet::new(&mut params, "q", linear.dim(), &config, &mut stream(0, Purpose::Init, 0));
    TRAINING.run(&q, &mut params, linear, 0).expect("it converges");
    let elbo = over_seeds(&weigh(&q, &params, linear, (20, 2500), 0).log_weight);
    [linear.log_evidence() - elbo.value, elbo.error]
}

/// Four correlated coefficients. Any covariance is diagonal plus rank `D − 1 = 3`:
/// `Σ = λ I + (Σ − λ I)` with the smallest eigenvalue `λ`.
#[rstest]
#[case(FlowKind::Cholesky, 0)]
#[case(FlowKind::LowRank, 3)]
#[case(FlowKind::LowRank, 10)]
fn full_covariance_reaches_evidence(#[case] kind: FlowKind, #[case] rank: usize) {
    let [gap, error] = gap(&Linear::polynomial(20, 4, 0), kind, rank);
    assert!(gap < 0.01 && gap > -4. * error, "{gap} ± {error}");
}

/// The posterior of one observation has the precision `λI + τxxᵀ`, hence a covariance that is a
/// multiple of the identity but for one, narrower direction. A precise observation makes the
/// difference large.
#[test]
fn one_observation_needs_rank_one() {
    let linear = Linear { tau: 100., ..Linear::polynomial(1, 4, 0) };
    let [none, one] = [0, 1].map(|rank| gap(&linear, FlowKind::LowRank, rank));
    let least = linear.least_of_mean_field();
    assert!(least > 1., "worth a test: {least}");
    assert!((none[0] / least - 1.).abs() < 0.05, "{none:?}, {least}");
    assert!(one[0] < 0.01 && one[0] > -4. * one[1], "{one:?}");
}
