//! Defends: ranks of the truth are uniform for the exact posterior, and for no other.
use super::rng;
use bhn::experiments::gaussian::Gaussian;
use bhn::experiments::oracles::Linear;
use bhn::experiments::oracles::calibration::{BINS, DRAWS, band, histogram, rank};
use bhn::stats::chi_squared_uniform;
use ndarray::{Array1, Array2};

const SIMULATIONS: usize = 500;

/// p-values of the ranks of both entries of `θ` in conjugate regressions. The ranks are among draws
/// from the posterior after `change`.
fn p_values(change: impl Fn(Gaussian) -> Gaussian) -> [f64; 2] {
    let mut ranks = [vec![], vec![]];
    for i in 0..SIMULATIONS {
        let rng = &mut rng(i as u64);
        let mut linear = Linear::polynomial(10, 2, 0);
        let prior = Gaussian { mean: Array1::zeros(2), factor: Array2::eye(2) };
        let theta = prior.sample(1, rng).row(0).to_owned();
        let noise = Gaussian { mean: Array1::zeros(10), factor: Array2::eye(10) };
        let noise = noise.sample(1, rng).row(0).to_owned() * linear.tau.powf(-0.5);
        linear.y = linear.x.dot(&theta) + noise;
        let draws = change(linear.posterior()).sample(DRAWS, rng);
        for (k, ranks) in ranks.iter_mut().enumerate() {
            ranks.push(rank(theta[k], draws.column(k).iter().copied()));
        }
    }
    ranks.map(|ranks| chi_squared_uniform(&histogram(ranks)).p_value)
}

#[test]
fn only_exact_posterior_has_uniform_ranks() {
    let exact = p_values(|posterior| posterior);
    assert!(exact.iter().all(|&p| p > 1e-3), "{exact:?}");
    let narrow = p_values(|q| Gaussian { factor: q.factor * 0.7, ..q });
    let wide = p_values(|q| Gaussian { factor: q.factor * 1.5, ..q });
    let shifted = p_values(|q| {
        let std = (q.factor.row(0).dot(&q.factor.row(0))).sqrt();
        Gaussian { mean: q.mean + std * 0.5, ..q }
    });
    let factorised = p_values(|q| {
        // The mean-field optimum: variances 1/Λᵢᵢ.
        let linear = Linear::polynomial(10, 2, 0);
        let stds = linear.precision().diag().mapv(|p| p.powf(-0.5));
        Gaussian { factor: Array2::from_diag(&stds), ..q }
    });
    for wrong in [narrow, wide, shifted, factorised] {
        assert!(wrong.iter().any(|&p| p < 1e-6), "{wrong:?}");
    }
}

#[test]
fn rank_and_histogram_edge_cases() {
    assert_eq!(rank(0.5, [0.1, 0.9, 0.4]), 2);
    let counts = histogram([0, 4, 5, DRAWS]);
    assert_eq!((counts[0], counts[1], counts[BINS - 1]), (2, 1, 1));
}

/// Binomial(400, 1/20): mean 20 and variance 19. At most ½ % lies on either side of the interval,
/// and the interval is the smallest such: its half-width is near 2.576 √19 = 11.2.
#[test]
fn band_is_99_percent_binomial_interval() {
    let band = band(400);
    assert!((9..=11).contains(band.start()) && (31..=33).contains(band.end()), "{band:?}");
}
