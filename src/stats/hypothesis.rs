//! Hypothesis tests of a correlation and of the difference of two means, by Student's t
//! distribution, and of counts, by Pearson's `χ²`.
use super::estimate::mean_and_variance;
use super::student::{self, two_sided};
use statrs::distribution::{self, ContinuousCDF};

/// The result of [`pearson`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// Pearson's `r`, in `[−1, 1]`.
    pub r: f64,
    /// Probability of an `|r|` at least as large for independent Gaussians.
    pub p_value: f64,
}

/// Pearson's correlation `r = Σ (xₙ − x̄)(yₙ − ȳ) / √(Σ (xₙ − x̄)² Σ (yₙ − ȳ)²)` of `x [N]` and
/// `y [N]`, with its two-sided p-value: SciPy's `pearsonr`. For independent Gaussians,
/// `t = r √((N − 2) / (1 − r²))` has Student's distribution with `N − 2` degrees of freedom. Both
/// results are NaN if all `x` or all `y` are equal.
///
/// # Panics
/// If there are fewer than three pairs, or the lengths differ.
pub fn pearson(x: &[f64], y: &[f64]) -> Correlation {
    let n = x.len();
    assert!(n == y.len() && n > 2, "pearson: x [{n}], y [{}]: expected 3 pairs or more", y.len());
    let constant = |v: &[f64]| v.iter().all(|&other| other == v[0]);
    if constant(x) || constant(y) {
        return Correlation { r: f64::NAN, p_value: f64::NAN };
    }
    let ((mx, vx), (my, vy)) = (mean_and_variance(x), mean_and_variance(y));
    let product = |(x, y): (&f64, &f64)| (x - mx) * (y - my);
    let covariance = x.iter().zip(y).map(product).sum::<f64>() / (n - 1) as f64;
    let r = (covariance / (vx.sqrt() * vy.sqrt())).clamp(-1.0, 1.0);
    // `ν / (ν + t²) = 1 − r²`.
    Correlation { r, p_value: two_sided((1.0 - r) * (1.0 + r), (n - 2) as f64) }
}

/// The result of [`welch`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Welch {
    /// The statistic: the difference of the means in units of its standard error, positive if the
    /// first mean is larger.
    pub t: f64,
    /// Degrees of freedom `ν`; not a whole number in general.
    pub df: f64,
    /// Probability of a `|t|` at least as large for equal means.
    pub p_value: f64,
}

/// Welch's test `t = (ā − b̄) / √(v_a + v_b)` of the difference of the means of `a [A]` and
/// `b [B]`, whose variances may differ. Here `v_a = s_a²/A` and `v_b = s_b²/B` are the squared
/// standard errors of the means, and `t` has `ν = (v_a + v_b)² / (v_a²/(A − 1) + v_b²/(B − 1))`
/// degrees of freedom: Welch, "The generalization of Student's problem", Biometrika 1947; SciPy's
/// `ttest_ind` with `equal_var=False`. The p-value is two-sided, and NaN if neither sample varies.
///
/// # Panics
/// If a sample has fewer than two values.
pub fn welch(a: &[f64], b: &[f64]) -> Welch {
    let (n, m) = (a.len() as f64, b.len() as f64);
    assert!(n > 1.0 && m > 1.0, "welch: a [{n}], b [{m}]: expected 2 values or more of each");
    let ((mean_a, s2_a), (mean_b, s2_b)) = (mean_and_variance(a), mean_and_variance(b));
    let (va, vb) = (s2_a / n, s2_b / m);
    let t = (mean_a - mean_b) / (va + vb).sqrt();
    let df = (va + vb).powi(2) / (va * va / (n - 1.0) + vb * vb / (m - 1.0));
    Welch { t, df, p_value: student::p_value(t, df) }
}

/// The result of [`chi_squared_uniform`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChiSquared {
    /// The statistic `χ² = Σᵢ (nᵢ − n/K)² / (n/K)`.
    pub statistic: f64,
    /// Probability of a statistic at least as large under equal probabilities.
    pub p_value: f64,
}

/// Pearson's `χ²` test of counts `nᵢ [K]` with the sum `n` against equal probabilities, with
/// `K − 1` degrees of freedom: SciPy's `chisquare`. The p-value is asymptotic, and accurate if the
/// expected count `n/K` is at least five.
///
/// # Panics
/// If there are fewer than two bins, or all counts are 0.
pub fn chi_squared_uniform(counts: &[usize]) -> ChiSquared {
    let (total, bins) = (counts.iter().sum::<usize>(), counts.len());
    assert!(bins > 1 && total > 0, "chi_squared_uniform: {total} counts in {bins} bins");
    let expected = total as f64 / bins as f64;
    let statistic = counts.iter().map(|&n| (n as f64 - expected).powi(2) / expected).sum();
    let distribution =
        distribution::ChiSquared::new((bins - 1) as f64).expect("positive degrees of freedom");
    ChiSquared { statistic, p_value: distribution.sf(statistic) }
}
