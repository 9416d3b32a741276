//! Distances between distributions on the line, known by samples.
use super::{below_and_upto, sorted};
use std::f64::consts::{PI, TAU};

/// What [`ks_uniform`] and [`ks_two_sample`] find.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// `D`, the largest difference between the two distribution functions.
    pub distance: f64,
    /// The chance of a `D` at least as large if the distributions are one.
    pub p_value: f64,
}

impl KolmogorovSmirnov {
    /// `Q((√n + 0.12 + 0.11/√n) D)`: Stephens 1970 (J. R. Stat. Soc. B 32, 115), as in Numerical
    /// Recipes, §14.3. From `n = 4` on within 0.024 of the exact p-value, within 0.003 of those below 0.1.
    fn new(distance: f64, n: f64) -> Self {
        let root = n.sqrt();
        Self { distance, p_value: kolmogorov((root + 0.12 + 0.11 / root) * distance) }
    }
}

/// `D = sup_u |Fₙ(u) − u|` for a sample `[N]` that should be from `U(0, 1)`, as p-values and
/// probability integral transforms are. Numbers outside of the interval count as what they are:
/// impossible.
///
/// # Panics
/// If there is no number, or one is NaN.
pub fn ks_uniform(sample: &[f64]) -> KolmogorovSmirnov {
    let sample = sorted("ks_uniform: sample", sample);
    let n = sample.len() as f64;
    // The step of `Fₙ` at the `i`-th number goes from `i/n` to `(i + 1)/n`.
    let gap = |(i, u): (usize, &f64)| {
        let u = u.clamp(0.0, 1.0);
        ((i + 1) as f64 / n - u).max(u - i as f64 / n)
    };
    KolmogorovSmirnov::new(sample.iter().enumerate().map(gap).fold(0.0, f64::max), n)
}

/// `D = sup_x |F(x) − G(x)|` between samples `a [A]` and `b [B]`; their `n` is `A B / (A + B)`.
/// With ties the p-value errs towards 1.
///
/// # Panics
/// If a sample is empty, or a number NaN.
pub fn ks_two_sample(a: &[f64], b: &[f64]) -> KolmogorovSmirnov {
    let gaps = gaps(&sorted("ks_two_sample: a", a), &sorted("ks_two_sample: b", b));
    let distance = gaps.iter().map(|&(_, gap)| gap).fold(0.0, f64::max);
    let (n, m) = (a.len() as f64, b.len() as f64);
    KolmogorovSmirnov::new(distance, n * m / (n + m))
}

/// `W₁ = ∫ |F(x) − G(x)| dx` between samples `a [A]` and `b [B]`: the mean way that mass has to go to
/// make one of the other. Exact; in the unit of the samples.
///
/// # Panics
/// If a sample is empty, or a number NaN.
pub fn wasserstein_1(a: &[f64], b: &[f64]) -> f64 {
    let gaps = gaps(&sorted("wasserstein_1: a", a), &sorted("wasserstein_1: b", b));
    gaps.windows(2).map(|pair| pair[0].1 * (pair[1].0 - pair[0].0)).sum()
}

/// `(x, |F(x) − G(x)|)` at each number `x` of two ascending samples, ascending. From one to the next
/// neither function changes.
fn gaps(a: &[f64], b: &[f64]) -> Vec<(f64, f64)> {
    let mut all = [a, b].concat();
    all.sort_by(f64::total_cmp);
    let share = |v: &[f64], x| below_and_upto(v, x).1 as f64 / v.len() as f64;
    all.into_iter().map(|x| (x, (share(a, x) - share(b, x)).abs())).collect()
}

/// Kolmogorov's `Q(λ) = 2 Σ_{j≥1} (−1)ʲ⁻¹ exp(−2 j² λ²)`
/// `= 1 − (√2π/λ) Σ_{j≥1} exp(−(2j − 1)² π² / 8λ²)`. Where the two are split, four terms of either
/// leave less than 10⁻¹⁷.
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
