//! P-values of Kolmogorov-Smirnov distances, exact except for large samples.
//!
//! Each p-value is the probability that a random walk leaves a band around its mean. The walk is
//! checked at a finite number of times, and the p-value is the sum over the checks of the
//! probability that the walk is outside for the first time. All terms are non-negative, so that
//! small p-values keep their relative accuracy.
use statrs::function::factorial::ln_factorial;
use std::f64::consts::{PI, TAU};

/// Largest sample size for which the p-value is computed exactly, in `O(N³ D²)` operations for `N`
/// values and a distance `D`.
const EXACT: usize = 200;

/// Largest product `A B` of two sample sizes for which the p-value is computed exactly, in about
/// `A B` operations.
const PAIRS: usize = 10_000_000;

/// `P(sup_u |Fₙ(u) − u| ≥ D)` for `n` values from `U(0, 1)`.
///
/// `n Fₙ` is a Poisson process of rate `n` conditioned on `n` counts at time 1. The process leaves
/// the band if, for some `i`, its count is at least `i` at time `i/n − D`, or below `i` at time
/// `(i − 1)/n + D`. For more than [`EXACT`] values, the result is the approximation of
/// [`stephens`].
pub(super) fn one_sample(distance: f64, n: usize) -> f64 {
    if n > EXACT {
        return stephens(distance, n as f64);
    }
    let rate = n as f64;
    // At the time of an early check the count must be below `i`; at the time of a late check it
    // must be at least `i`.
    let early = (1..=n).map(|i| (i as f64 / rate - distance, i, true));
    let late = (1..=n).map(|i| ((i - 1) as f64 / rate + distance, i, false));
    let mut checks: Vec<_> = early.chain(late).filter(|&(t, ..)| t > 0. && t < 1.).collect();
    checks.sort_by(|a, b| a.0.total_cmp(&b.0));
    let poisson = |k: usize, mean: f64| match k {
        0 => (-mean).exp(),
        _ => (k as f64 * mean.ln() - mean - ln_factorial(k as u64)).exp(),
    };
    // `p[k]` is the probability of count `k` without having left the band.
    let mut p = vec![0.; n + 1];
    p[0] = 1.;
    let (mut left, mut low, mut high, mut time) = (0., 0, 0, 0.);
    for (t, i, early) in checks {
        let steps: Vec<_> = (0..=n - low).map(|k| poisson(k, rate * (t - time))).collect();
        let sum = |k: usize| (low..=k.min(high)).map(|from| p[from] * steps[k - from]).sum::<f64>();
        p = (0..=n).map(|k| if k < low { 0. } else { sum(k) }).collect();
        let out = if early { i..n + 1 } else { low..i };
        for k in out.clone() {
            left += p[k] * poisson(n - k, rate * (1. - t));
            p[k] = 0.;
        }
        (low, high) = if early { (low, i - 1) } else { (low.max(i), n) };
        time = t;
    }
    (left / poisson(n, rate)).min(1.)
}

/// `P(sup_x |F(x) − G(x)| ≥ D)` for samples of the given sizes, conditioned on the `pooled` values
/// in ascending order: all choices of the first sample among them are equally probable. The
/// distance is checked only after all tied values are drawn. If `A B` exceeds [`PAIRS`], the result
/// is the approximation of [`stephens`] for `A B / (A + B)` values.
pub(super) fn two_sample(distance: f64, pooled: &[f64], sizes: [usize; 2]) -> f64 {
    let [a, b] = [sizes[0].min(sizes[1]), sizes[0].max(sizes[1])];
    if a.saturating_mul(b) > PAIRS {
        return stephens(distance, a as f64 * b as f64 / (a + b) as f64);
    }
    // `D A B` is a whole number up to rounding.
    let least = (distance * (a * b) as f64).round() as usize;
    if least == 0 {
        return 1.;
    }
    // `p[i]` is the probability of `i` draws from `a` so far without having left the band.
    let mut p = vec![0.; a + 1];
    p[0] = 1.;
    let mut left = 0.;
    for drawn in 1..=a + b {
        let rest = (a + b + 1 - drawn) as f64;
        let range = drawn.saturating_sub(b)..drawn.min(a) + 1;
        for i in range.clone().rev() {
            // The last draw was from `b`, or from `a`.
            let of_b = if drawn > i { p[i] * (b + 1 + i - drawn) as f64 } else { 0. };
            let of_a = if i > 0 { p[i - 1] * (a + 1 - i) as f64 } else { 0. };
            p[i] = (of_a + of_b) / rest;
        }
        if drawn == a + b || pooled[drawn] != pooled[drawn - 1] {
            for i in range.filter(|i| (i * b).abs_diff((drawn - i) * a) >= least) {
                left += p[i];
                p[i] = 0.;
            }
        }
    }
    f64::min(left, 1.)
}

/// The limiting distribution with Stephens' correction, [`kolmogorov`] at
/// `(√n + 0.12 + 0.11/√n) D` ("Use of the Kolmogorov-Smirnov, Cramér-von Mises and related
/// statistics without extensive tables", 1970; Numerical Recipes, §14.3). Two samples of `A` and
/// `B` values count as `n = A B / (A + B)`. For one sample of more than [`EXACT`] values, the
/// absolute error of the p-value is at most 0.009, and at most 0.0006 where the exact p-value is
/// below 0.1. For two samples of at least ten values each, without ties and with `A B` above
/// [`PAIRS`], the bounds are 0.023 and 0.002.
fn stephens(distance: f64, n: f64) -> f64 {
    let root = n.sqrt();
    kolmogorov((root + 0.12 + 0.11 / root) * distance)
}

/// Kolmogorov's `Q(λ) = 2 Σ_{j≥1} (−1)ʲ⁻¹ exp(−2 j² λ²)`, which also equals
/// `1 − (√(2π)/λ) Σ_{j≥1} exp(−(2j − 1)² π² / (8λ²))`. The second series is used for `λ` below 1.18
/// and the first above; the terms after the fourth add up to less than 10⁻¹⁷.
fn kolmogorov(lambda: f64) -> f64 {
    if lambda == 0.0 {
        return 1.0;
    }
    let j = [1.0, 2.0, 3.0, 4.0];
    if lambda < 1.18 {
        let term = |j: f64| (-((2.0 * j - 1.0) * PI / lambda).powi(2) / 8.0).exp();
        1.0 - TAU.sqrt() / lambda * j.map(term).iter().sum::<f64>()
    } else {
        let term = |j: f64| (-2.0 * (j * lambda).powi(2)).exp();
        let [one, two, three, four] = j.map(term);
        2.0 * (one - two + three - four)
    }
}
