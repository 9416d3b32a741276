//! Posteriors with two branches, over two or three parameters, with their evidence and samples.
use crate::autodiff::{Owned, Tensor, Var};
use crate::bayes::Prior;
use crate::experiments::fit::Joint;
use crate::experiments::quadrature::{LogIntegral, log_integral};
use crate::random::{Purpose, stream};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use std::f64::consts::TAU;

/// Tolerance of the evidence, in nats.
const TOLERANCE: f64 = 1e-8;

/// A posterior with two branches. The likelihood of `θ = (a, b)` or `(a, b, c)` depends only on
/// products of two parameters; the prior is `N(0, I/λ)`. Neither changes if `θ` is replaced by
/// `−θ`, so each branch has half of the posterior's mass.
pub enum Target {
    /// `ln p(D|θ) = −κ(1 − ab)²/2`, `λ = 1`.
    Ridge {
        /// `κ = Σ x²/σ²` of the data.
        kappa: f64,
    },
    /// The paper's over-parametrised linear net: `y ~ N(abx, exp(acx))`, `λ = 20`.
    Net {
        /// Inputs `[N]`.
        x: Tensor<f64>,
        /// Targets `[N]`.
        y: Tensor<f64>,
    },
}

/// The paper's number of examples.
const EXAMPLES: usize = 500;

impl Target {
    /// The paper's data: `y = x + N(0, 1)/(0.5x)²`, half of the `x` uniform in `[6, 8]`, half in
    /// `[9, 12]`.
    pub fn net() -> Self {
        let rng = &mut stream(0, Purpose::Toy, 0);
        let x = Owned::from_shape_fn(vec![EXAMPLES], |i| {
            let (low, high) = if i[0] < EXAMPLES / 2 { (6., 8.) } else { (9., 12.) };
            rng.random_range(low..high)
        });
        let y = x.mapv(|x: f64| x + rng.sample::<f64, _>(StandardNormal) / (0.5 * x).powi(2));
        Self::Net { x: x.into(), y: y.into() }
    }

    /// The prior precision `λ`.
    pub fn precision(&self) -> f64 {
        match self {
            Self::Ridge { .. } => 1.,
            Self::Net { .. } => 20.,
        }
    }

    /// `ln p(D)`, by quadrature over two dimensions.
    pub fn log_evidence(&self) -> LogIntegral {
        match self {
            Self::Ridge { .. } => {
                // Beyond 9 the prior is below e⁻⁴⁰.
                log_integral(|[a, b]| self.log_density_at(a, b), [(-9., 9.); 2], TOLERANCE)
            }
            Self::Net { .. } => {
                let peak = self.peak();
                let bounds = peak.map(|(at, std)| (at - 12. * std, at + 12. * std));
                log_integral(|[u, v]| self.log_density_at(u, v), bounds, TOLERANCE)
            }
        }
    }

    /// The logarithm of the integrand of [`Target::log_evidence`]. The ridge is integrated over
    /// `(a, b)`, the net over `u = ab` and `v = ac`, on which alone its likelihood depends.
    ///
    /// With the Jacobian `a⁻²`, and with `r² = u² + v²`, the net's prior over `(u, v)` is
    /// `(λ/2π)^{3/2} ∫ a⁻² exp(−λ(a² + r²/a²)/2) da = λ e^{−λr} / 2πr`.
    pub fn log_density_at(&self, first: f64, second: f64) -> f64 {
        let lambda = self.precision();
        match self {
            Self::Ridge { kappa } => {
                let (a, b) = (first, second);
                -0.5 * (kappa * (1. - a * b).powi(2) + a * a + b * b) - TAU.ln()
            }
            Self::Net { x, y } => {
                let (u, v) = (first, second);
                let log_likelihood = x
                    .iter()
                    .zip(y)
                    .map(|(x, y)| -0.5 * (TAU.ln() + v * x + (y - u * x).powi(2) * (-v * x).exp()));
                let r = u.hypot(v);
                log_likelihood.sum::<f64>() + (lambda / TAU / r).ln() - lambda * r
            }
        }
    }

    /// The mode of the net's posterior over `(u, v)`, and the standard deviations of Laplace's
    /// approximation.
    fn peak(&self) -> [(f64, f64); 2] {
        let mut peak = [(1., 1e-3), (-0.7, 1e-2)];
        // Newton's method, one coordinate at a time: mean and noise are nearly independent.
        for i in (0..2).cycle().take(60) {
            let f = |steps: f64| {
                let mut place = peak.map(|(at, _)| at);
                place[i] += 0.1 * steps * peak[i].1;
                self.log_density_at(place[0], place[1])
            };
            let h = 0.1 * peak[i].1;
            let (slope, bend) =
                ((f(1.) - f(-1.)) / (2. * h), (f(1.) + f(-1.) - 2. * f(0.)) / (h * h));
            peak[i].0 -= slope / bend;
            peak[i].1 = (-bend).powf(-0.5);
        }
        peak
    }

    /// `(a, b)` of `n` posterior samples. They are exact for the ridge; for the net, `(u, v)` has
    /// Laplace's approximation.
    pub fn sample(&self, n: usize, rng: &mut impl Rng) -> Vec<(f64, f64)> {
        let normal: Vec<f64> = (0..n).map(|_| rng.sample(StandardNormal)).collect();
        match self {
            Self::Ridge { kappa } => {
                let a = from_density(|a| log_density(*kappa, a), (-6., 6.), n, rng);
                let p = |a: f64| 1. + kappa * a * a;
                let b = |a: f64, z: f64| kappa * a / p(a) + z * p(a).powf(-0.5);
                a.into_iter().zip(normal).map(|(a, z)| (a, b(a, z))).collect()
            }
            Self::Net { .. } => {
                let ([u, v], lambda) = (self.peak(), self.precision());
                let square = u.0 * u.0 + v.0 * v.0;
                let log_density =
                    |a: f64| -2. * a.abs().ln() - 0.5 * lambda * (a * a + square / (a * a));
                let a = from_density(log_density, (-4., 4.), n, rng);
                a.into_iter().zip(normal).map(|(a, z)| (a, (u.0 + u.1 * z) / a)).collect()
            }
        }
    }
}

impl Joint for Target {
    fn dim(&self) -> usize {
        match self {
            Self::Ridge { .. } => 2,
            Self::Net { .. } => 3,
        }
    }

    fn examples(&self) -> usize {
        match self {
            Self::Ridge { .. } => 1,
            Self::Net { x, .. } => x.len(),
        }
    }

    fn prior(&self) -> Prior {
        Prior::Gaussian { precision: self.precision() }
    }

    fn log_likelihood<'t>(&self, theta: Var<'t, f64>) -> Var<'t, f64> {
        let entry = |i: usize| theta.slice(1, i..i + 1);
        let a = entry(0);
        let u = a * entry(1);
        match self {
            Self::Ridge { kappa } => (u - 1.).powi(2) * (-0.5 * kappa),
            Self::Net { x, y } => {
                let [x, y] = [x, y].map(|data| theta.tape().constant(data.clone()));
                let v = a * entry(2);
                y.normal_log_prob(u * x, -(v * x))
            }
        }
    }
}

/// The exact posterior of [`Target::Ridge`] on one side of `a = 0`, for a chart: `(a, low, high)`,
/// where `low` to `high` is the central 95 % of `b` given `a`. The values of `a` are evenly spaced,
/// have the sign `sign` (±1), and have a marginal density above 1 % of its maximum.
pub fn given_a(kappa: f64, sign: f64) -> Vec<(f64, f64, f64)> {
    let places: Vec<_> = (0..=160).map(|i| 0.02 * f64::from(i)).collect();
    let highest = places.iter().map(|&a| log_density(kappa, a)).fold(f64::NEG_INFINITY, f64::max);
    let shown = places.into_iter().filter(|&a| log_density(kappa, a) > highest + 0.01_f64.ln());
    let band = |a: f64| {
        let p = 1. + kappa * a * a;
        let (mean, width) = (sign * kappa * a / p, 1.96 * p.powf(-0.5));
        (sign * a, mean - width, mean + width)
    };
    shown.map(band).collect()
}

/// The logarithm of the marginal density of `a` in the ridge's posterior, up to a constant. Given
/// `a`, the posterior of `b` is Gaussian with precision `1 + κa²`, so `b` is integrated out in
/// closed form.
fn log_density(kappa: f64, a: f64) -> f64 {
    let p = 1. + kappa * a * a;
    -0.5 * (a * a + p.ln() + kappa / p)
}

/// `n` samples from a density on an interval, by inverting its cumulative sum over 4000 cells.
fn from_density(
    log_density: impl Fn(f64) -> f64,
    (low, high): (f64, f64),
    n: usize,
    rng: &mut impl Rng,
) -> Vec<f64> {
    let (cells, width) = (4000, (high - low) / 4000.);
    let mut sums = vec![0.];
    for i in 0..cells {
        let density = log_density(low + (i as f64 + 0.5) * width).exp();
        sums.push(sums[i] + density);
    }
    let place = |share: f64| {
        let sum = share * sums[cells];
        let cell = sums.partition_point(|s| *s <= sum).clamp(1, cells) - 1;
        low + width * (cell as f64 + (sum - sums[cell]) / (sums[cell + 1] - sums[cell]))
    };
    (0..n).map(|_| place(rng.random())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `∫ f` by the trapezoidal rule.
    fn integral(f: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
        let h = (high - low) / 1e5;
        (1..100_000).map(|i| f(low + h * f64::from(i))).sum::<f64>() * h
    }

    /// Over `b` the ridge is a Gaussian integral: `∫ N(b) e^{−κ(1 − ab)²/2} db =
    /// (1 + κa²)^{−½} exp(−κ/2(1 + κa²))`, which leaves one dimension.
    #[test]
    fn ridge_evidence_matches_one_dimensional_integral() {
        for kappa in [0., 5., 30., 200.] {
            let over_b = |a: f64| {
                let p = 1. + kappa * a * a;
                (-0.5 * (a * a + kappa / p)).exp() / (TAU * p).sqrt()
            };
            let expected = integral(over_b, -12., 12.).ln();
            let found = Target::Ridge { kappa }.log_evidence();
            // Beyond ±9 there is less than e⁻⁴⁰.
            assert!((found.value - expected).abs() < 1e-10, "{kappa}: {found:?}, {expected}");
            assert!(found.change <= TOLERANCE, "{kappa}: {found:?}");
        }
    }

    /// `(λ/2π)^{3/2} ∫ a⁻² exp(−λ(a² + r²/a²)/2) da = λ e^{−λr} / 2πr`.
    #[test]
    fn prior_over_products_matches_integral() {
        let (lambda, u, v) = (20., 1.003, -0.69);
        let none = || Tensor::from_shape_vec(vec![0], vec![]).unwrap();
        let prior = Target::Net { x: none(), y: none() };
        let over_a = |a: f64| {
            let square = (u * u + v * v) / (a * a);
            (-0.5 * lambda * (a * a + square)).exp() / (a * a)
        };
        // Both branches; towards 0 the integrand vanishes faster than any power.
        let expected = (2. * integral(over_a, 0., 12.)).ln() + 1.5 * (lambda / TAU).ln();
        assert!((prior.log_density_at(u, v) - expected).abs() < 1e-10);
    }

    /// A rectangle of twice the width gives the same evidence; Laplace's approximation is close.
    #[test]
    fn net_evidence_does_not_change_with_wider_bounds() {
        let target = Target::net();
        let [u, v] = target.peak();
        let wide = |(at, std): (f64, f64)| (at - 24. * std, at + 24. * std);
        let f = |[u, v]: [f64; 2]| target.log_density_at(u, v);
        let (found, wider) = (target.log_evidence(), log_integral(f, [wide(u), wide(v)], 1e-8));
        assert!((found.value - wider.value).abs() < 1e-8, "{found:?}, {wider:?}");
        let laplace = target.log_density_at(u.0, v.0) + (TAU * u.1 * v.1).ln();
        // Corrections are of the order 1/N.
        assert!((found.value - laplace).abs() < 0.05, "{found:?}, {laplace}");
    }

    /// The fractions of samples on both branches, and the mean of `(1 − ab)²`, are within five
    /// standard errors.
    #[test]
    fn ridge_samples_match_posterior_moments() {
        let (n, kappa) = (20_000, 30.);
        let found = Target::Ridge { kappa }.sample(n, &mut stream(1, Purpose::Sample, 0));
        let share = found.iter().filter(|s| s.0 > 0.).count() as f64 / n as f64;
        assert!((share - 0.5).abs() < 5. * (0.25 / n as f64).sqrt(), "{share}");
        // ⟨(1 − ab)²⟩ = −2 d ln Z / dκ.
        let z = |kappa| Target::Ridge { kappa }.log_evidence().value;
        let expected = -2. * (z(kappa + 0.1) - z(kappa - 0.1)) / 0.2;
        let squares: Vec<_> = found.iter().map(|(a, b)| (1. - a * b).powi(2)).collect();
        let mean = squares.iter().sum::<f64>() / n as f64;
        let variance = squares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n as f64;
        let error = (variance / n as f64).sqrt();
        assert!((mean - expected).abs() < 5. * error, "{mean} ± {error}, {expected}");
    }
}
