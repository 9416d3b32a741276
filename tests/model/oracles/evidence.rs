//! Defends: evidences in closed form and by quadrature agree with independent computations.
use super::rng;
use bhn::autodiff::{Tape, Tensor};
use bhn::experiments::evidence;
use bhn::experiments::fit::Joint;
use bhn::experiments::gaussian::{Gaussian, cholesky};
use bhn::experiments::modes::Target;
use bhn::experiments::oracles::{Linear, Logistic, Scales};
use bhn::experiments::quadrature::log_integral;
use bhn::stats::log_mean_exp;
use ndarray::{Array1, Array2, Axis};
use rstest::rstest;
use std::f64::consts::TAU;

/// `ln p(θ, D) [S]`, computed on the tape.
fn log_joint(joint: &dyn Joint, theta: Array2<f64>) -> Vec<f64> {
    let tape = Tape::default();
    let theta = Tensor::from(theta);
    joint.log_joint(tape.constant(theta)).value().iter().copied().collect()
}

fn linear() -> Linear {
    Linear::polynomial(20, 4, 0)
}

/// `y ~ N(0, XXᵀ/λ + I/τ)`: the same evidence from a Gaussian in as many dimensions as there are
/// examples.
#[test]
fn linear_regression_evidence_equals_marginal_density() {
    let linear = linear();
    let n = linear.y.len();
    let noise = Array2::<f64>::eye(n) / linear.tau;
    let covariance = linear.x.dot(&linear.x.t()) / linear.lambda + noise;
    let marginal = Gaussian { mean: Array1::zeros(n), factor: cholesky(&covariance) };
    let expected = marginal.log_density(linear.y.view().insert_axis(Axis(0)))[0];
    assert!((linear.log_evidence() - expected).abs() < 1e-10, "{expected}");
}

/// `p(θ, D) = p(θ|D) p(D)` at any `θ`.
#[test]
fn linear_regression_posterior_satisfies_bayes_rule() {
    let (linear, posterior) = (linear(), linear().posterior());
    let theta = posterior.sample(20, &mut rng(1)) * 3.;
    let log_posterior = posterior.log_density(theta.view());
    let log_joint = log_joint(&linear, theta);
    for (joint, posterior) in log_joint.iter().zip(&log_posterior) {
        let error = joint - posterior - linear.log_evidence();
        assert!(error.abs() < 1e-10 * joint.abs().max(1.), "{error}");
    }
}

/// For variances `v`, `KL = ½(Σ(Λᵢᵢ vᵢ − ln vᵢ − 1) − ln det Λ)`: it is least at `vᵢ = 1/Λᵢᵢ`,
/// where it has the value of the formula.
#[test]
fn mean_field_gap_formula_is_the_minimum() {
    let (linear, precision) = (linear(), linear().precision());
    let diagonal = precision.diag().to_owned();
    let log_det = 2. * cholesky(&precision).diag().mapv(f64::ln).sum();
    let kl = |v: &Array1<f64>| 0.5 * ((&diagonal * v - v.mapv(f64::ln) - 1.).sum() - log_det);
    let best = diagonal.mapv(f64::recip);
    let least = linear.least_of_mean_field();
    assert!((kl(&best) - least).abs() < 1e-12 && least > 1., "{least}");
    for i in 0..4 {
        for factor in [0.9, 1.1] {
            let mut other = best.clone();
            other[i] *= factor;
            assert!(kl(&other) > least + 1e-3);
        }
    }
}

/// Over one, two and three dimensions: `∫ exp(−½ Σ (k x_k)²) dx = Π √2π/k`.
#[test]
fn quadrature_integrates_gaussians() {
    fn check<const N: usize>() {
        let term = |(k, x): (usize, &f64)| ((k + 1) as f64 * x).powi(2);
        let f = |x: [f64; N]| -0.5 * x.iter().enumerate().map(term).sum::<f64>();
        let found = log_integral(f, [(-9., 9.); N], 1e-9);
        let expected: f64 = (1..=N).map(|k| 0.5 * TAU.ln() - (k as f64).ln()).sum();
        assert!((found.value - expected).abs() < 1e-9, "{N}: {found:?}, {expected}");
    }
    check::<1>();
    check::<2>();
    check::<3>();
}

/// The joint density that is fitted, computed on the tape, integrates to the evidence over a grid
/// of `θ` in the plane. The trapezoidal rule is far more accurate than the tolerance there.
#[rstest]
#[case::linear(Linear::polynomial(20, 2, 0), Linear::polynomial(20, 2, 0).log_evidence(), 8.)]
#[case::scales(Scales::new(10, 2), Scales::new(10, 2).log_evidence().value, 8.)]
#[case::ridge(Target::Ridge { kappa: 5. }, Target::Ridge { kappa: 5. }.log_evidence().value, 8.)]
#[case::o_rings(Logistic::o_rings(), Logistic::o_rings().log_evidence().value, 24.)]
fn joint_density_integrates_to_evidence(
    #[case] joint: impl Joint,
    #[case] expected: f64,
    #[case] side: f64,
) {
    let steps = 400;
    let at = |i: usize| side * (2. * i as f64 / steps as f64 - 1.);
    let theta = Array2::from_shape_fn((steps * steps, 2), |(i, k)| {
        at(if k == 0 { i / steps } else { i % steps })
    });
    let found = log_mean_exp(&log_joint(&joint, theta)) + 2. * (2. * side).ln();
    // The prior beyond the grid is below e⁻³².
    assert!((found - expected).abs() < 1e-7, "{found} {expected}");
}

/// The mean likelihood of draws from the prior, which uses neither a mode nor a curvature, agrees
/// within four standard errors.
#[rstest]
#[case::linear(Linear::polynomial(10, 2, 0), Linear::polynomial(10, 2, 0).log_evidence())]
#[case::scales(Scales::new(10, 3), Scales::new(10, 3).log_evidence().value)]
fn evidence_equals_prior_mean_of_likelihood(#[case] joint: impl Joint, #[case] expected: f64) {
    let found = evidence::by_averaging(&joint, 20, &mut rng(2));
    assert!((found.value - expected).abs() < 4. * found.error, "{found}, {expected}");
    assert!(found.error < 0.03, "{found} tells nothing");
}
