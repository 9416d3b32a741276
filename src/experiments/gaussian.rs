//! The multivariate normal distribution, by its Cholesky factor.
use crate::kernels::cholesky::{self, inverse_lower, solve_lower};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use std::f64::consts::TAU;

/// `N(m, L Lᵀ)`.
pub struct Gaussian {
    /// `m [D]`.
    pub mean: Array1<f64>,
    /// `L [D, D]`, lower triangular.
    pub factor: Array2<f64>,
}

impl Gaussian {
    /// The Gaussian with the mean and covariance of `draws [S, D]`.
    pub fn of(draws: ArrayView2<'_, f64>) -> Self {
        let (mean, covariance) = moments(draws);
        Self { mean, factor: cholesky(&covariance) }
    }

    /// `θ = m + L z`, `z ~ N(0, I)`: `[S, D]`.
    pub fn sample(&self, samples: usize, rng: &mut impl Rng) -> Array2<f64> {
        let normal = || rng.sample::<f64, _>(StandardNormal);
        let z = Array2::from_shape_simple_fn((samples, self.mean.len()), normal);
        z.dot(&self.factor.t()) + &self.mean
    }

    /// `−½ |L⁻¹(θ − m)|² − Σ ln Lᵢᵢ − ½ D ln 2π` for each row of `θ [S, D]`.
    pub fn log_density(&self, theta: ArrayView2<'_, f64>) -> Vec<f64> {
        let constant = 0.5 * log_det(&self.factor) + 0.5 * self.mean.len() as f64 * TAU.ln();
        let rows = theta.outer_iter();
        rows.map(|theta| {
            let z = solve_lower(&self.factor, (&theta - &self.mean).view());
            -0.5 * z.dot(&z) - constant
        })
        .collect()
    }
}

/// `m` and `Σ = (1/(S − 1)) Σₛ (θₛ − m)(θₛ − m)ᵀ` of `draws [S, D]`.
///
/// # Panics
/// If there is no draw.
pub fn moments(draws: ArrayView2<'_, f64>) -> (Array1<f64>, Array2<f64>) {
    let mean = draws.mean_axis(Axis(0)).expect("a draw");
    let centred = &draws - &mean;
    let covariance = centred.t().dot(&centred) / (draws.nrows() as f64 - 1.);
    (mean, covariance)
}

/// The lower triangular `L` with `A = L Lᵀ`, for a symmetric `A [D, D]`.
///
/// # Panics
/// If `a` is not positive definite.
pub fn cholesky(a: &Array2<f64>) -> Array2<f64> {
    cholesky::cholesky(a).unwrap_or_else(|| panic!("cholesky: not positive definite: {a}"))
}

/// `ln det A = 2 Σ ln Lᵢᵢ` for the Cholesky factor `L` of `A`.
pub fn log_det(factor: &Array2<f64>) -> f64 {
    2. * factor.diag().mapv(f64::ln).sum()
}

/// `A⁻¹ = L⁻ᵀ L⁻¹` for the Cholesky factor `L` of `A`.
pub fn inverse(factor: &Array2<f64>) -> Array2<f64> {
    let back = inverse_lower(factor);
    back.t().dot(&back)
}
