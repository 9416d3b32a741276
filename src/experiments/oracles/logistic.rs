//! Logistic regression: a posterior of one mode, not Gaussian, and without a closed form.
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
    /// `λ`.
    pub lambda: f64,
}

/// Joint temperatures in degrees Fahrenheit at the 23 launches before the last of Challenger, and whether
/// an O-ring showed damage (Dalal, Fowlkes & Hoadley, JASA 1989).
const LAUNCHES: [(f64, bool); 23] = [
    (66., false),
    (70., true),
    (69., false),
    (68., false),
    (67., false),
    (72., false),
    (73., false),
    (70., false),
    (57., true),
    (63., true),
    (70., true),
    (78., false),
    (67., false),
    (53., true),
    (67., false),
    (75., false),
    (70., false),
    (81., false),
    (76., false),
    (79., false),
    (75., true),
    (76., false),
    (58., true),
];

impl Logistic {
    /// Damage of O-rings by temperature, in tens of degrees above 60: an intercept and a slope, `λ = 1/9`.
    pub fn o_rings() -> Self {
        let column = |(n, k): (usize, usize)| if k == 0 { 1. } else { (LAUNCHES[n].0 - 60.) / 10. };
        let sign = |(_, damage): &(f64, bool)| if *damage { 1. } else { -1. };
        let x = Array2::from_shape_fn((LAUNCHES.len(), 2), column);
        Self { x, sign: LAUNCHES.iter().map(sign).collect(), lambda: 1. / 9. }
    }

    /// Made up: an intercept and inputs of a standard deviation of 1 that share most of it, any two
    /// correlated by 0.8; `θ` from the prior.
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

    /// The same inputs with `y ~ p(y|X, θ)`.
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
        // Beyond, the prior is below e⁻⁴⁰.
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
        let toward = Tensor::from(self.sign.mapv(|sign| -sign));
        let x = tape.constant(self.x.to_shared().into_dyn());
        -(theta.matmul_t(x) * tape.constant(toward)).softplus()
    }
}
