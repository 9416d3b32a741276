//! Defends: NUTS, with gradients of the tape, samples from the density that it is given.
#![cfg(feature = "cli")]
use bhn::autodiff::{Tensor, Var};
use bhn::experiments::nuts::{Chain, Nuts};
use bhn::stats::{ess_bulk, rhat};
use ndarray::Array2;
use rand::{SeedableRng, rngs::ChaCha8Rng};

const MEAN: [f64; 2] = [1., -2.];
/// `Σ = L Lᵀ`: variances 4 and 0.1, correlation 0.8.
const FACTOR: [[f64; 2]; 2] = [[2., 0.], [0.252_982_212_813_470_1, 0.189_736_659_610_102_8]];

/// `ln N(θ; m, L Lᵀ)` up to a constant: `z = L⁻¹ (θ − m)` by substitution, `−½ |z|²`.
fn log_density(theta: Var<'_, f64>) -> Var<'_, f64> {
    let constant = |x: &[f64]| {
        theta.tape().constant(Tensor::from_shape_vec(vec![x.len()], x.to_vec()).unwrap())
    };
    let d = theta - constant(&MEAN);
    let [a, b] = [0, 1].map(|i| d.slice(1, i..i + 1));
    let first = a * FACTOR[0][0].recip();
    let second = (b - first * FACTOR[1][0]) * FACTOR[1][1].recip();
    (first * first + second * second).sum() * -0.5
}

#[test]
fn samples_recover_gaussian_moments() {
    let settings = Nuts { warmup: 300, draws: 2000, ..Nuts::default() };
    let chains: Vec<Chain> = (0..2)
        .map(|seed| {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            settings.chain(&[0., 0.], log_density, rng).unwrap()
        })
        .collect();
    assert!(chains.iter().all(|c| c.divergences == 0 && c.theta.len() == 2000));
    let of = |f: &dyn Fn(&[f64]) -> f64| {
        Array2::from_shape_fn((2, 2000), |(chain, draw)| f(&chains[chain].theta[draw]))
    };
    let covariance =
        |i: usize, j: usize| FACTOR[i].iter().zip(&FACTOR[j]).map(|(a, b)| a * b).sum::<f64>();
    // The standard error of a moment is std/√ESS; four are allowed.
    let check = |what: &str, found: &Array2<f64>, expected: f64| {
        let error = found.std(1.) / ess_bulk(found.view()).sqrt();
        let (mean, r) = (found.mean().unwrap(), rhat(found.view()));
        assert!((mean - expected).abs() < 4. * error, "{what}: {mean} ± {error}, not {expected}");
        assert!(r < 1.01, "{what}: R̂ {r}");
        assert!(error < 0.2 * found.std(1.), "{what}: ± {error} tells nothing");
    };
    for i in 0..2 {
        check(&format!("mean {i}"), &of(&|theta| theta[i]), MEAN[i]);
        for j in 0..=i {
            let product = of(&|theta| (theta[i] - MEAN[i]) * (theta[j] - MEAN[j]));
            check(&format!("covariance {i} {j}"), &product, covariance(i, j));
        }
    }
    for chain in &chains {
        for (theta, log_p) in chain.theta.iter().zip(&chain.log_density) {
            let (a, b) = (theta[0] - MEAN[0], theta[1] - MEAN[1]);
            let z = [a / 2., (b - FACTOR[1][0] * a / 2.) / FACTOR[1][1]];
            assert!((log_p + 0.5 * (z[0] * z[0] + z[1] * z[1])).abs() < 1e-9);
        }
    }
}

#[test]
fn draws_are_reproducible_and_thinned() {
    let chain = |thin| {
        let settings = Nuts { warmup: 50, draws: 20, thin, ..Nuts::default() };
        settings.chain(&[0., 0.], log_density, &mut ChaCha8Rng::seed_from_u64(1)).unwrap()
    };
    let (all, few) = (chain(1), chain(5));
    let expected: Vec<_> = all.theta.iter().step_by(5).cloned().collect();
    assert_eq!(few.theta, expected);
    assert_eq!(chain(1).theta, all.theta);
}

#[test]
fn non_finite_start_is_an_error() {
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    let error = Nuts::default().chain(&[-1.], |theta| theta.ln().sum(), rng).unwrap_err();
    assert!(error.to_string().contains("finite"), "{error}");
}
