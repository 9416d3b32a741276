//! The evidence by annealed importance sampling (Neal, "Annealed importance sampling", Statistics
//! and Computing 2001).
use super::evidence::log_mean;
use super::fit::Joint;
use super::gaussian::Gaussian;
use crate::autodiff::{Storage, Tape, Var};
use crate::bayes::Prior;
use crate::stats::Estimate;
use ndarray::{Array1, Array2, Axis};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use std::mem;

/// Annealing from the prior to the posterior.
///
/// `θ` is drawn from the prior and moved through the densities `p(θ) p(D|θ)^β` with
/// `β = (k/K)⁴`, `k = 1 … K`, by one trajectory of Hamiltonian Monte Carlo at each. The weight
/// `w = Π_k p(D|θ_{k−1})^(β_k − β_{k−1})` has the mean `p(D)`, however badly the trajectories mix;
/// `ln` of an average of `S` weights is therefore below `ln p(D)` on average. Unlike estimates from
/// chains that start near a mode, this one sees every mode.
#[derive(Clone, Copy, Debug)]
pub struct Annealing {
    /// `K`.
    pub temperatures: usize,
    /// `S`, the number of weights; their trajectories are computed together.
    pub particles: usize,
    /// Leapfrog steps of a trajectory.
    pub leapfrogs: usize,
}

/// Acceptance rate that the step size is adapted to.
const ACCEPTANCE: f64 = 0.8;

impl Annealing {
    /// `ln p(D)`, its standard error over particles, and the mean acceptance rate.
    ///
    /// `precision [D]` is roughly the posterior's precision of each entry: masses are
    /// `λ + β (precision − λ)`. The step size is adapted to the acceptance rate of all particles at
    /// earlier temperatures, which makes the weights dependent through one number; the bias of this
    /// decreases with the number of particles.
    ///
    /// # Panics
    /// Unless the prior is Gaussian and `precision` has `D` entries.
    pub fn log_evidence(
        &self,
        joint: &dyn Joint,
        precision: &[f64],
        rng: &mut impl Rng,
    ) -> (Estimate, f64) {
        let Prior::Gaussian { precision: lambda } = joint.prior() else {
            panic!("annealing: {:?} is not Gaussian", joint.prior())
        };
        let d = joint.dim();
        assert_eq!(precision.len(), d, "annealing: a precision for each entry of θ");
        let prior = Gaussian { mean: Array1::zeros(d), factor: Array2::eye(d) / lambda.sqrt() };
        let mut theta = prior.sample(self.particles, rng);
        let mut state = State::new(joint, lambda, &theta);
        let mut log_weight = vec![0.; self.particles];
        let (mut step, mut accepted) = (0.2_f64, 0.);
        let mut before = 0.;
        for k in 1..=self.temperatures {
            let beta = (k as f64 / self.temperatures as f64).powi(4);
            for (log_weight, l) in log_weight.iter_mut().zip(&state.values.log_likelihood) {
                *log_weight += (beta - before) * l;
            }
            before = beta;
            let mass = precision.iter().map(|p| lambda + beta * (p - lambda).max(0.));
            let mass: Array1<f64> = mass.collect();
            let rate = self.move_all(&mut state, &mut theta, beta, &mass, step, rng);
            accepted += rate;
            step *= (0.1 * (rate - ACCEPTANCE)).exp();
        }
        (log_mean(&log_weight), accepted / self.temperatures as f64)
    }

    /// One trajectory for each particle, accepted or rejected; the fraction that was accepted.
    fn move_all(
        &self,
        state: &mut State<'_>,
        theta: &mut Array2<f64>,
        beta: f64,
        mass: &Array1<f64>,
        step: f64,
        rng: &mut impl Rng,
    ) -> f64 {
        let root = mass.mapv(f64::sqrt);
        let shape = theta.raw_dim();
        let mut momentum = Array2::from_shape_simple_fn(shape, || rng.sample(StandardNormal));
        momentum *= &root;
        let kinetic = |p: &Array2<f64>| 0.5 * (p * p / mass).sum_axis(Axis(1));
        let potential = |state: &State<'_>| -> Array1<f64> {
            let each = state.values.log_prior.iter().zip(&state.values.log_likelihood);
            each.map(|(prior, likelihood)| -prior - beta * likelihood).collect()
        };
        let (start, before) = (theta.clone(), state.values.clone());
        let energy = potential(state) + kinetic(&momentum);
        for _ in 0..self.leapfrogs {
            momentum.scaled_add(0.5 * step, &state.gradient(theta, beta));
            *theta += &(&momentum / mass * step);
            state.evaluate(theta);
            momentum.scaled_add(0.5 * step, &state.gradient(theta, beta));
        }
        let change = energy - potential(state) - kinetic(&momentum);
        let mut accepted = 0.;
        for s in 0..theta.nrows() {
            // A trajectory that left the numbers has the change NaN and is rejected.
            if rng.random::<f64>().ln() < change[s] {
                accepted += 1.;
            } else {
                theta.row_mut(s).assign(&start.row(s));
                state.values.take_row(&before, s);
            }
        }
        accepted / theta.nrows() as f64
    }
}

/// The joint density, and its values at the present `θ [S, D]`.
struct State<'a> {
    joint: &'a dyn Joint,
    lambda: f64,
    storage: Storage<f64>,
    values: Values,
}

/// `ln p(θ) [S]`, `ln p(D|θ) [S]` and the gradient `[S, D]` of the latter.
#[derive(Clone)]
struct Values {
    log_prior: Vec<f64>,
    log_likelihood: Vec<f64>,
    slope: Array2<f64>,
}

impl Values {
    fn take_row(&mut self, from: &Self, s: usize) {
        self.log_prior[s] = from.log_prior[s];
        self.log_likelihood[s] = from.log_likelihood[s];
        self.slope.row_mut(s).assign(&from.slope.row(s));
    }
}

impl<'a> State<'a> {
    fn new(joint: &'a dyn Joint, lambda: f64, theta: &Array2<f64>) -> Self {
        let slope = Array2::zeros(theta.raw_dim());
        let values = Values { log_prior: vec![], log_likelihood: vec![], slope };
        let mut state = Self { joint, lambda, storage: Storage::default(), values };
        state.evaluate(theta);
        state
    }

    fn evaluate(&mut self, theta: &Array2<f64>) {
        let tape = Tape::reusing(mem::take(&mut self.storage));
        let leaf = tape.leaf(theta.clone());
        let likelihood = self.joint.log_likelihood(leaf).sum_axis(1);
        let prior = self.joint.prior().log_prob(tape.constant(theta.clone()));
        let of = |values: Var<'_, f64>| values.value().iter().copied().collect();
        (self.values.log_likelihood, self.values.log_prior) = (of(likelihood), of(prior));
        let grads = likelihood.sum().backward();
        if let Some(g) = grads.wrt(leaf) {
            self.values.slope = g.to_owned().into_dimensionality().expect("[S, D]");
        }
        drop(grads);
        self.storage = tape.into_storage();
    }

    /// The gradient `[S, D]` of `ln p(θ) + β ln p(D|θ)` at the present `θ`.
    fn gradient(&self, theta: &Array2<f64>, beta: f64) -> Array2<f64> {
        let mut gradient = theta * -self.lambda;
        gradient.scaled_add(beta, &self.values.slope);
        gradient
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::oracles::Linear;
    use crate::random::{Purpose, stream};

    /// The log evidence of linear regression, within four standard errors.
    #[test]
    fn evidence_of_linear_regression() {
        let linear = Linear::polynomial(20, 4, 0);
        let annealing = Annealing { temperatures: 200, particles: 64, leapfrogs: 5 };
        let precision = linear.precision();
        let rng = &mut stream(0, Purpose::Evaluation, 0);
        let (found, accepted) = annealing.log_evidence(&linear, &precision.diag().to_vec(), rng);
        let error = (found.value - linear.log_evidence()).abs();
        assert!(error < 4. * found.error, "{found:?} {}", linear.log_evidence());
        assert!(found.error < 0.2 && accepted > 0.5, "{found:?} {accepted}");
    }
}
