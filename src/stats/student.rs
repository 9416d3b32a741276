//! Tests by Student's t distribution: is there a correlation, do two means differ?
use super::mean_and_variance;
use statrs::function::beta::beta_reg;

/// What [`pearson`] finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// Pearson's `r`, between −1 and 1.
    pub r: f64,
    /// The chance of an `|r|` at least as large from independent Gaussians.
    pub p_value: f64,
}

/// `r = Σ (xₙ − x̄)(yₙ − ȳ) / √(Σ (xₙ − x̄)² Σ (yₙ − ȳ)²)` for `x [N]`, `y [N]`, and its two-sided
/// p-value: `t = r √((N − 2) / (1 − r²))` has `N − 2` degrees of freedom. Both are NaN if all `x` or
/// all `y` are equal.
///
/// # Panics
/// If there are fewer than three pairs, or the lengths differ.
pub fn pearson(x: &[f64], y: &[f64]) -> Correlation {
    let n = x.len();
    assert!(n == y.len() && n > 2, "pearson: x [{n}], y [{}]: pairs expected, 3 or more", y.len());
    let constant = |v: &[f64]| v.iter().all(|&other| other == v[0]);
    if constant(x) || constant(y) {
        return Correlation { r: f64::NAN, p_value: f64::NAN };
    }
    let ((mx, vx), (my, vy)) = (mean_and_variance(x), mean_and_variance(y));
    let product = |(x, y): (&f64, &f64)| (x - mx) * (y - my);
    let covariance = x.iter().zip(y).map(product).sum::<f64>() / (n - 1) as f64;
    let r = (covariance / (vx.sqrt() * vy.sqrt())).clamp(-1.0, 1.0);
    // ν / (ν + t²) = 1 − r².
    Correlation { r, p_value: two_sided((1.0 - r) * (1.0 + r), (n - 2) as f64) }
}

/// What [`welch`] finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Welch {
    /// The difference of the means in standard errors; positive if the first is larger.
    pub t: f64,
    /// `ν`, the degrees of freedom; not a whole number.
    pub freedom: f64,
    /// The chance of a `|t|` at least as large if the means are equal.
    pub p_value: f64,
}

/// `t = (ā − b̄) / √(v_a + v_b)` for the results `a [A]`, `b [B]` of two methods over seeds, with
/// `v = s²/N` the squared standard error of each and
/// `ν = (v_a + v_b)² / (v_a²/(A − 1) + v_b²/(B − 1))`. The variances may differ (Welch 1947).
/// The p-value is two-sided, and NaN if neither varies.
///
/// # Panics
/// If there are fewer than two runs of either.
pub fn welch(a: &[f64], b: &[f64]) -> Welch {
    let (n, m) = (a.len() as f64, b.len() as f64);
    assert!(n > 1.0 && m > 1.0, "welch: a [{n}], b [{m}]: 2 runs or more expected of each");
    let ((mean_a, s2_a), (mean_b, s2_b)) = (mean_and_variance(a), mean_and_variance(b));
    let (va, vb) = (s2_a / n, s2_b / m);
    let t = (mean_a - mean_b) / (va + vb).sqrt();
    let freedom = (va + vb).powi(2) / (va * va / (n - 1.0) + vb * vb / (m - 1.0));
    Welch { t, freedom, p_value: two_sided(freedom / (freedom + t * t), freedom) }
}

/// `P(|T| ≥ |t|) = I_w(ν/2, 1/2)` at `w = ν / (ν + t²)`, for Student's `T` with `ν` degrees of
/// freedom; `I` is the regularised incomplete beta function.
fn two_sided(w: f64, freedom: f64) -> f64 {
    if w.is_nan() { f64::NAN } else { beta_reg(0.5 * freedom, 0.5, w) }
}
