//! The mode of an explicit density: L-BFGS of the crate `argmin`, with gradients from the tape; and
//! the curvature there.
use super::fit::{Joint, evaluate};
use super::gaussian::log_det;
use crate::autodiff::Tape;
use crate::bayes::central_differences;
use crate::error::{Error, Result};
use crate::kernels::cholesky::cholesky;
use argmin::core::{CostFunction, Executor, Gradient, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use ndarray::{Array1, Array2, Axis};
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
    let failed = |error: String| {
        let expected = "a start where the density and its gradient are finite";
        Error::invalid("L-BFGS", error, expected, "Start it elsewhere.")
    };
    let search = MoreThuenteLineSearch::new();
    let solver = LBFGS::new(search, MEMORY).with_tolerance_cost(GAIN);
    let solver = solver.map_err(|error| failed(error.to_string()))?;
    let executor = Executor::new(Negated(joint), solver)
        .configure(|state| state.param(start.to_vec()).max_iters(MOST_STEPS));
    // If a line search fails near the maximum, the best position so far is the result.
    let theta = match executor.run() {
        Ok(found) => found.state.get_best_param().cloned().unwrap_or_else(|| start.to_vec()),
        Err(error) => return Err(failed(error.to_string())),
    };
    let (values, gradient) = log_joint_and_gradient(joint, row(&theta));
    let slope = gradient.iter().fold(0., |most: f64, g| most.max(g.abs()));
    if !values[0].is_finite() {
        return Err(failed(format!("ln p(θ, D) = {}", values[0])));
    }
    Ok(Mode { theta, log_joint: values[0], slope })
}

/// `−ln p(θ, D)`, as `argmin` requires it.
struct Negated<'a>(&'a dyn Joint);

impl CostFunction for Negated<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    fn cost(&self, theta: &Vec<f64>) -> std::result::Result<f64, argmin::core::Error> {
        Ok(-evaluate(row(theta), |theta| self.0.log_joint(theta))[0])
    }
}

impl Gradient for Negated<'_> {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;

    fn gradient(&self, theta: &Vec<f64>) -> std::result::Result<Vec<f64>, argmin::core::Error> {
        Ok(log_joint_and_gradient(self.0, row(theta)).1.iter().map(|g| -g).collect())
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
}
