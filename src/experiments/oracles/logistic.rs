//! Logistic regression: a unimodal, non-Gaussian posterior without a closed form.
use crate::autodiff::ops::{sigmoid, softplus};
use crate::autodiff::{Tensor, Var};
use crate::bayes::Prior;
use crate::experiments::fit::Joint;
use crate::experiments::quadrature::{LogIntegral, log_integral};
use ndarray::{Array1, Array2};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use std::f64::consts::TAU;

/// `p(y = 1|x, θ) = 1/(1 + e^{−x·θ})`, `θ ~ N(0, I/λ)`.
pub struct Logistic {
    /// `X [N, D]`.
    pub x: Array2<f64>,
    /// `2y − 1 [N]`: 1 or −1.
    pub sign: Array1<f64>,
    /// Prior precision `λ`.
    pub lambda: f64,
}

/// Joint temperatures in degrees Fahrenheit at the 23 launches before Challenger's last (Dalal,
/// Fowlkes & Hoadley, JASA 1989).
const TEMPERATURES: [f64; 23] = [
    66., 70., 69., 68., 67., 72., 73., 70., 57., 63., 70., 78., 67., 53., 67., 75., 70., 81., 76.,
    79., 75., 76., 58.,
];
/// The launches after which an O-ring showed damage.
const DAMAGED: [usize; 7] = [1, 8, 9, 10, 13, 20, 22];

impl Logistic {
    /// O-ring damage by temperature in tens of degrees above 60: an intercept and a slope,
    /// `λ = 1/9`.
    pub fn o_rings() -> Self {
        let column =
            |(n, k): (usize, usize)| if k == 0 { 1. } else { (TEMPERATURES[n] - 60.) / 10. };
        let sign = |n| if DAMAGED.contains(&n) { 1. } else { -1. };
        let x = Array2::from_shape_fn((TEMPERATURES.len(), 2), column);
        Self { x, sign: (0..TEMPERATURES.len()).map(sign).collect(), lambda: 1. / 9. }
    }

    /// Simulated data: an intercept and standard normal inputs with pairwise correlation 0.8; `θ`
    /// from the prior.
    pub fn simulated(examples: usize, dim: usize, lambda: f64, rng: &mut impl Rng) -> Self {
        let mut normal = || rng.sample::<f64, _>(StandardNormal);
        let theta = Array1::from_shape_simple_fn(dim, &mut normal) * lambda.powf(-0.5);
        let mut x = Array2::from_shape_simple_fn((examples, dim), &mut normal) * 0.2_f64.sqrt();
        for mut row in x.rows_mut() {
            row += 0.8_f64.sqrt() * normal();
            row[0] = 1.;
        }
        let sign = Array1::zeros(examples);
        Self { x, sign, lambda }.observed(&theta, rng)
    }

    /// These inputs with labels `y ~ p(y|X, θ)`.
    pub fn observed(self, theta: &Array1<f64>, rng: &mut impl Rng) -> Self {
        let of = |eta: f64| if rng.random::<f64>() < sigmoid(eta) { 1. } else { -1. };
        Self { sign: self.x.dot(theta).mapv(of), ..self }
    }

    /// `ln p(D)` by quadrature, for an intercept and one input.
    ///
    /// # Panics
    /// Unless `D = 2`.
    pub fn log_evidence(&self) -> LogIntegral {
        assert!(self.dim() == 2, "Logistic: quadrature over {} dimensions", self.dim());
        let log_joint = |[a, b]: [f64; 2]| {
            let each = self.x.rows().into_iter().zip(&self.sign);
            let log_likelihood: f64 =
                each.map(|(x, sign)| -softplus(-sign * (a * x[0] + b * x[1]))).sum();
            log_likelihood + (self.lambda / TAU).ln() - 0.5 * self.lambda * (a * a + b * b)
        };
        // Outside, the prior is below e⁻⁴⁰.
        let side = 9. * self.lambda.powf(-0.5);
        log_integral(log_joint, [(-side, side); 2], 1e-9)
    }
}

impl Joint for Logistic {
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
        // ln σ(±x·θ) = −softplus(∓x·θ)
        let tape = theta.tape();
        let negated = Tensor::from(self.sign.mapv(|sign| -sign));
        let x = tape.constant(self.x.to_shared().into_dyn());
        -(theta.matmul_t(x) * tape.constant(negated)).softplus()
    }
}
