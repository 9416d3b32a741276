//! Conjugate linear regression: posterior and evidence in closed form.
use super::gaussian::{Gaussian, cholesky, inverse, log_det};
use crate::autodiff::{Tensor, Var};
use crate::bayes::Prior;
use crate::experiments::fit::Joint;
use crate::random::{Purpose, stream};
use ndarray::{Array1, Array2};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::f64::consts::TAU;

/// `y ~ N(Xθ, I/τ)`, `θ ~ N(0, I/λ)`: the posterior is `N(m, Λ⁻¹)` with `Λ = λI + τXᵀX` and
/// `m = τΛ⁻¹Xᵀy`.
pub struct Linear {
    /// `X [N, D]`.
    pub x: Array2<f64>,
    /// `y [N]`.
    pub y: Array1<f64>,
    /// Prior precision `λ`.
    pub lambda: f64,
    /// Noise precision `τ`.
    pub tau: f64,
}

impl Linear {
    /// A polynomial with `dim` coefficients at `examples` points in `[0, 1]`, `λ = 1` and noise of
    /// standard deviation ½: the powers of `x` are collinear, so the coefficients are correlated.
    pub fn polynomial(examples: usize, dim: usize, seed: u64) -> Self {
        let (lambda, tau, rng) = (1., 4_f64, &mut stream(seed, Purpose::Toy, 0));
        let place = |n: usize| (n as f64 + 0.5) / examples as f64;
        let x = Array2::from_shape_fn((examples, dim), |(n, k)| place(n).powi(k as i32));
        let mut normal = || rng.sample::<f64, _>(StandardNormal);
        let theta = Array1::from_shape_simple_fn(dim, &mut normal);
        let noise = Array1::from_shape_simple_fn(examples, &mut normal) * tau.powf(-0.5);
        let y = x.dot(&theta) + noise;
        Self { x, y, lambda, tau }
    }

    /// `Λ = λI + τXᵀX`.
    pub fn precision(&self) -> Array2<f64> {
        Array2::eye(self.x.ncols()) * self.lambda + self.x.t().dot(&self.x) * self.tau
    }

    /// The posterior `p(θ|D)`.
    pub fn posterior(&self) -> Gaussian {
        let covariance = inverse(&cholesky(&self.precision()));
        let mean = covariance.dot(&self.x.t().dot(&self.y)) * self.tau;
        Gaussian { mean, factor: cholesky(&covariance) }
    }

    /// `ln p(D) = (N ln(τ/2π) + D ln λ − ln det Λ − τ|y − Xm|² − λ|m|²) / 2`.
    pub fn log_evidence(&self) -> f64 {
        let (n, d) = (self.x.nrows() as f64, self.x.ncols() as f64);
        let mean = self.posterior().mean;
        let rest = &self.y - self.x.dot(&mean);
        let constants = n * (self.tau / TAU).ln() + d * self.lambda.ln();
        let squares = self.tau * rest.dot(&rest) + self.lambda * mean.dot(&mean);
        0.5 * (constants - log_det(&cholesky(&self.precision())) - squares)
    }

    /// The minimum of `KL(q ‖ p(θ|D))` over factorised Gaussians, `½(Σ ln Λᵢᵢ − ln det Λ)`, at mean
    /// `m` and variances `1/Λᵢᵢ`. By Hadamard's inequality it is positive unless `Λ` is diagonal.
    pub fn least_of_mean_field(&self) -> f64 {
        let precision = self.precision();
        0.5 * (precision.diag().mapv(f64::ln).sum() - log_det(&cholesky(&precision)))
    }
}

impl Joint for Linear {
    fn dim(&self) -> usize {
        self.x.ncols()
    }

    fn examples(&self) -> usize {
        self.x.nrows()
    }

    fn prior(&self) -> Prior {
        Prior::Gaussian { precision: self.lambda }
    }

    fn log_likelihood<'t>(&self, theta: Var<'t, f64>) -> Var<'t, f64> {
        let tape = theta.tape();
        let [x, y] = [self.x.to_shared().into_dyn(), self.y.to_shared().into_dyn()];
        let log_tau = tape.constant(Tensor::from_elem(vec![1], self.tau.ln()));
        tape.constant(y).normal_log_prob(theta.matmul_t(tape.constant(x)), log_tau)
    }
}
