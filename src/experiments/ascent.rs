//! The mode of an explicit density: L-BFGS of the crate `argmin`, with gradients from the tape; and
//! the curvature there.
use super::fit::Joint;
use super::gaussian::log_det;
use crate::autodiff::Tape;
use crate::bayes::central_differences;
use crate::error::{Error, Result};
use crate::kernels::cholesky::cholesky;
use argmin::core::{CostFunction, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use ndarray::{Array1, Array2, Axis, concatenate};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use std::cell::RefCell;
use std::f64::consts::TAU;

/// `ln p(θₛ, D) [S]` and its gradient `[S, D]` for `θ [S, D]`.
fn log_joint_and_gradient(joint: &dyn Joint, theta: Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let shape = theta.raw_dim();
    let tape = Tape::default();
    let theta = tape.leaf(theta);
    let log_joint = joint.log_joint(theta);
    let values = log_joint.value().iter().copied().collect();
    let grads = log_joint.sum().backward();
    let gradient = match grads.wrt(theta) {
        Some(g) => g.to_owned().into_dimensionality().expect("[S, D]"),
        None => Array2::zeros(shape),
    };
    (values, gradient)
}

/// A local maximum of `ln p(θ, D)`.
#[derive(Clone, Debug)]
pub struct Mode {
    /// `θ [D]`.
    pub theta: Vec<f64>,
    /// `ln p(θ, D)`.
    pub log_joint: f64,
    /// Largest magnitude of an entry of the gradient.
    pub slope: f64,
}

/// The number of past steps that L-BFGS keeps.
const MEMORY: usize = 20;
const MOST_STEPS: u64 = 1000;
/// An ascent ends when a step gains less than this, in nats.
const GAIN: f64 = 1e-7;

/// The local maximum of `ln p(θ, D)` that L-BFGS reaches from `start [D]`: when a step gains less
/// than 10⁻⁷ nats, or after 1000 steps. At a kink of the density, such as those of ReLUs, the
/// gradient need not vanish.
///
/// # Errors
/// If the density or its gradient is not finite at `start`.
pub fn ascend(joint: &dyn Joint, start: &[f64]) -> Result<Mode> {
    let f = |theta: &[f64]| {
        let (values, gradient) = log_joint_and_gradient(joint, row(theta));
        (values[0], gradient.into_raw_vec_and_offset().0)
    };
    let theta = maximum(&f, start)?;
    let (log_joint, gradient) = f(&theta);
    let slope = gradient.iter().fold(0., |most: f64, g| most.max(g.abs()));
    Ok(Mode { theta, log_joint, slope })
}

/// The mean `m [D]` and standard deviations `s [D]` of the independent Gaussians with the highest
/// bound on fixed draws, from a start: the maximum over `m` and `ln s` of
/// `(1/K) Σₖ ln p(m + s ⊙ εₖ, D) + Σ ln s`. The `K` draws `ε ~ N(0, I)` are made in pairs `± ε`.
///
/// # Errors
/// If the bound or its gradient is not finite at the start.
pub fn ascend_on_draws(
    joint: &dyn Joint,
    mean: &[f64],
    std: &[f64],
    draws: usize,
    rng: &mut impl Rng,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let d = mean.len();
    let half = Array2::<f64>::from_shape_simple_fn((draws / 2, d), || rng.sample(StandardNormal));
    let eps: Array2<f64> = concatenate![Axis(0), half, half.mapv(|e| -e)];
    let count = eps.nrows() as f64;
    let split = |at: &[f64]| {
        let (mean, log_std) = at.split_at(d);
        (Array1::from(mean.to_vec()), Array1::from(log_std.to_vec()))
    };
    let f = |at: &[f64]| {
        let (mean, log_std) = split(at);
        let std = log_std.mapv(f64::exp);
        let (mut value, mut slopes) = (log_std.sum(), [Array1::zeros(d), Array1::ones(d)]);
        // A few draws at a time, so that activations stay small.
        for eps in eps.axis_chunks_iter(Axis(0), 32) {
            let (values, gradient) = log_joint_and_gradient(joint, &eps * &std + &mean);
            value += values.iter().sum::<f64>() / count;
            slopes[0] += &(gradient.sum_axis(Axis(0)) / count);
            slopes[1] += &((&gradient * &eps).sum_axis(Axis(0)) * &std / count);
        }
        (value, concatenate![Axis(0), slopes[0], slopes[1]].to_vec())
    };
    let start = mean.iter().copied().chain(std.iter().map(|s| s.ln()));
    let found = maximum(&f, &start.collect::<Vec<_>>())?;
    let (mean, log_std) = split(&found);
    Ok((mean.to_vec(), log_std.mapv(f64::exp).to_vec()))
}

/// Where `f`, which returns its value and gradient, is highest on the way of L-BFGS from `start`.
fn maximum(f: &Function<'_>, start: &[f64]) -> Result<Vec<f64>> {
    let failed = |error: String| {
        let expected = "a start where the density and its gradient are finite";
        Error::invalid("L-BFGS", error, expected, "Start it elsewhere.")
    };
    let search = MoreThuenteLineSearch::new();
    let solver = LBFGS::new(search, MEMORY).with_tolerance_cost(GAIN);
    let solver = solver.map_err(|error| failed(error.to_string()))?;
    let executor = Executor::new(Negated { f, last: RefCell::default() }, solver)
        .configure(|state| state.param(start.to_vec()).max_iters(MOST_STEPS));
    // If a line search fails near the maximum, the best position so far is the result.
    let found = match executor.run() {
        Ok(found) => found.state.get_best_param().cloned().unwrap_or_else(|| start.to_vec()),
        Err(error) => return Err(failed(error.to_string())),
    };
    let value = f(&found).0;
    if value.is_finite() { Ok(found) } else { Err(failed(format!("a density of {value}"))) }
}

/// The value of a function of a vector, and its gradient.
type Function<'a> = dyn Fn(&[f64]) -> (f64, Vec<f64>) + 'a;

/// `−f`, as `argmin` requires it: it asks for value and gradient one after the other.
struct Negated<'a> {
    f: &'a Function<'a>,
    /// The argument, value and gradient of the last evaluation.
    last: RefCell<(Vec<f64>, f64, Vec<f64>)>,
}

impl Negated<'_> {
    fn evaluate(&self, at: &[f64]) {
        if self.last.borrow().0 != at {
            let (value, gradient) = (self.f)(at);
            let gradient = gradient.iter().map(|g| -g).collect();
            self.last.replace((at.to_vec(), -value, gradient));
        }
    }
}

impl CostFunction for Negated<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, at: &Vec<f64>) -> std::result::Result<f64, argmin::core::Error> {
        self.evaluate(at);
        Ok(self.last.borrow().1)
    }
}

impl Gradient for Negated<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, at: &Vec<f64>) -> std::result::Result<Vec<f64>, argmin::core::Error> {
        self.evaluate(at);
        Ok(self.last.borrow().2.clone())
    }
}

/// `−∂²ln p(θ, D)/∂θ² [D, D]` at `theta [D]`, by [central differences](central_differences) of the
/// gradient.
pub fn curvature(joint: &dyn Joint, theta: &[f64]) -> Array2<f64> {
    central_differences(theta, |at| -log_joint_and_gradient(joint, at.to_owned()).1)
}

/// Laplace's approximation `ln p(D) ≈ ln p(θ, D) + ½ D ln 2π − ½ ln det H` of the mass around a
/// mode, for the curvature `H`; `None` if `H` is not positive definite.
pub fn laplace_mass(log_joint: f64, curvature: &Array2<f64>) -> Option<f64> {
    let factor = cholesky(curvature)?;
    Some(log_joint + 0.5 * curvature.nrows() as f64 * TAU.ln() - 0.5 * log_det(&factor))
}

fn row(theta: &[f64]) -> Array2<f64> {
    Array1::from(theta.to_vec()).insert_axis(Axis(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::oracles::Linear;
    use crate::random::{Purpose, stream};

    /// The posterior of linear regression is Gaussian: its mode is its mean, its curvature the
    /// precision, and Laplace's approximation of the evidence is exact.
    #[test]
    fn laplace_is_exact_for_linear_regression() {
        let linear = Linear::polynomial(20, 4, 0);
        let mode = ascend(&linear, &[0.; 4]).unwrap();
        let (posterior, precision) = (linear.posterior(), linear.precision());
        for (found, exact) in mode.theta.iter().zip(&posterior.mean) {
            assert!((found - exact).abs() < 1e-6, "{found} {exact}");
        }
        let found = curvature(&linear, &mode.theta);
        let scale = precision.iter().fold(0., |most: f64, x| most.max(x.abs()));
        let error = (&found - &precision).iter().fold(0., |most: f64, x| most.max(x.abs()));
        // The rounding of a sum over 20 examples, in gradients that are 0 at the mode, over a step
        // of 6·10⁻⁶.
        assert!(error < 1e-8 * scale, "{error}");
        let mass = laplace_mass(mode.log_joint, &found).unwrap();
        assert!((mass - linear.log_evidence()).abs() < 1e-7);
    }

    /// For linear regression the best independent Gaussians have the posterior's mean, and its
    /// precisions `A` as inverse variances. On fixed draws `s²ᵢ Aᵢᵢ − 1` is, to first order,
    /// `1 − Σⱼ rᵢⱼ Sᵢⱼ` with `S = (1/K) Σ εεᵀ` and `|rᵢⱼ| ≤ 1`. Of `K/2` pairs the entries of `S`
    /// have variances of `4/K` on the diagonal and `2/K` elsewhere: `10/K` in all for `D = 4`. The
    /// pairs make the mean exact.
    #[test]
    fn best_independent_gaussians_of_linear_regression() {
        let linear = Linear::polynomial(20, 4, 0);
        let rng = &mut stream(0, Purpose::Noise, 0);
        let draws = 4096;
        let (mean, std) = ascend_on_draws(&linear, &[0.; 4], &[0.1; 4], draws, rng).unwrap();
        let (posterior, precision) = (linear.posterior(), linear.precision());
        for ((found, exact), precision) in mean.iter().zip(&posterior.mean).zip(precision.diag()) {
            // L-BFGS ends 10⁻⁶ nats or less below the maximum, where ½ A (m − m*)² ≤ 10⁻⁶.
            assert!((found - exact).abs() < (2e-6 / precision).sqrt(), "{found} {exact}");
        }
        for (std, precision) in std.iter().zip(precision.diag()) {
            let error = (std * std * precision - 1.).abs();
            assert!(error < 4. * (10. / draws as f64).sqrt(), "{error}");
        }
    }
}
