//! Models whose evidence is known: linear and logistic regression, and a small version of the
//! paper's model.
use crate::autodiff::ops::{sigmoid, softplus};
use crate::autodiff::{Owned, Tape, Tensor, Var};
use crate::bayes::Prior;
use crate::experiments::fit::Joint;
use crate::experiments::gaussian::{Gaussian, cholesky, inverse, log_det};
use crate::experiments::quadrature::{LogIntegral, log_integral};
use crate::nn::Params;
use crate::primary::{Layer, PrimaryNet, WeightNormed};
use crate::random::{Purpose, stream};
use ndarray::{Array1, Array2};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use std::f64::consts::TAU;

/// Conjugate linear regression, with posterior and evidence in closed form.
///
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
    /// A polynomial with `dim` coefficients at `examples` points in `[0, 1]`, with `λ = 1` and
    /// noise of standard deviation ½. On this interval the powers of `x` are nearly collinear, so
    /// the coefficients are correlated in the posterior.
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

    /// `ln p(D) = (N ln(τ/2π) + dim θ · ln λ − ln det Λ − τ|y − Xm|² − λ|m|²) / 2`.
    pub fn log_evidence(&self) -> f64 {
        let (n, d) = (self.x.nrows() as f64, self.x.ncols() as f64);
        let mean = self.posterior().mean;
        let rest = &self.y - self.x.dot(&mean);
        let constants = n * (self.tau / TAU).ln() + d * self.lambda.ln();
        let squares = self.tau * rest.dot(&rest) + self.lambda * mean.dot(&mean);
        0.5 * (constants - log_det(&cholesky(&self.precision())) - squares)
    }

    /// `½(Σ ln Λᵢᵢ − ln det Λ)`: the minimum of `KL(q ‖ p(θ|D))` over factorised Gaussians `q`,
    /// attained with mean `m` and variances `1/Λᵢᵢ`. By Hadamard's inequality it is positive unless
    /// `Λ` is diagonal.
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

/// Logistic regression: a unimodal, non-Gaussian posterior without a closed form.
///
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
/// The launches after which an O-ring showed damage, as indices of `TEMPERATURES`.
const DAMAGED: [usize; 7] = [1, 8, 9, 10, 13, 20, 22];

impl Logistic {
    /// A regression of O-ring damage on temperature, with an intercept and a slope per 10 °F above
    /// 60 °F, and `λ = 1/9`.
    pub fn o_rings() -> Self {
        let column =
            |(n, k): (usize, usize)| if k == 0 { 1. } else { (TEMPERATURES[n] - 60.) / 10. };
        let sign = |n| if DAMAGED.contains(&n) { 1. } else { -1. };
        let x = Array2::from_shape_fn((TEMPERATURES.len(), 2), column);
        Self { x, sign: (0..TEMPERATURES.len()).map(sign).collect(), lambda: 1. / 9. }
    }

    /// Simulated data. The columns of `X` are an intercept and `dim − 1` standard normal inputs
    /// with pairwise correlation 0.8; `θ` is drawn from the prior.
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

    /// The regression with the same inputs and new labels `y ~ p(y|X, θ)`.
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
        // Outside, the prior is below e⁻⁴⁰ of its maximum.
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

/// A weight-normalised network in which only the scales are random.
///
/// `y ~ N(f(x), 1/τ)`, `f(x) = g_D Σᵢ tanh(±gᵢ x + bᵢ)/√(D − 1)`, where the sum is over the `D − 1`
/// hidden units. The prior of the scales is `g ~ N(0, I)`; all directions and biases are fixed. The
/// model is not conjugate, since `f` is not linear in `g`.
pub struct Scales {
    net: WeightNormed,
    params: Params<f64>,
    /// Inputs `x [N, 1]`.
    x: Tensor<f64>,
    /// Targets `y [N]`.
    y: Tensor<f64>,
}

/// Noise precision `τ`: a standard deviation of ½.
const PRECISION: f64 = 4.;

impl Scales {
    /// A network with `dim` scales, and `examples` examples with `x` in `[−2, 2]`, simulated with
    /// all scales equal to 1.
    ///
    /// # Panics
    /// If `dim` is below 2: there would be no hidden unit.
    pub fn new(examples: usize, dim: usize) -> Self {
        assert!(dim > 1, "Scales: no hidden unit");
        let (mut params, rng) = (Params::default(), &mut stream(0, Purpose::Toy, 1));
        let layers = [Layer::Dense(dim - 1), Layer::Tanh, Layer::Dense(1)];
        let net = WeightNormed::new(&mut params, "net", 1, &layers, rng);
        for (name, w) in params.iter_mut() {
            let value = |i: usize| match name {
                "net.0.v" => direction(i),
                "net.0.b" => bias(i),
                "net.2.v" => 1.,
                _ => 0.,
            };
            *w = Owned::from_shape_fn(w.raw_dim(), |i| value(i[0])).into();
        }
        let place = |n: usize| 4. * (n as f64 + 0.5) / examples as f64 - 2.;
        let x = Owned::from_shape_fn(vec![examples, 1], |i| place(i[0])).into();
        let mut own = Self { net, params, x, y: Tensor::zeros(vec![examples]) };
        let f = own.outputs(Tape::default().constant(Tensor::ones(vec![1, dim]))).value();
        let noise = |f: f64| f + PRECISION.powf(-0.5) * rng.sample::<f64, _>(StandardNormal);
        own.y = f.iter().copied().map(noise).collect::<Array1<_>>().into_dyn().into();
        own
    }

    /// `f(xₙ) [S, N]` for the scales `g [S, D]`.
    fn outputs<'t>(&self, g: Var<'t, f64>) -> Var<'t, f64> {
        let p = self.params.freeze(g.tape());
        let f = self.net.forward(&p, g, g.tape().constant(self.x.clone()));
        f.reshape(&f.shape()[..2])
    }

    /// `ln p(D)` by quadrature over the scales of the hidden units. The scale of the output is
    /// integrated out in closed form.
    ///
    /// # Panics
    /// If there are more than two hidden units.
    pub fn log_evidence(&self) -> LogIntegral {
        let joint = |hidden: &[f64]| {
            let squares = hidden.iter().map(|g| g * g + TAU.ln());
            self.given(hidden) - 0.5 * squares.sum::<f64>()
        };
        // Beyond 9 the prior is below e⁻⁴⁰.
        match self.dim() {
            2 => log_integral::<1>(|g| joint(&g), [(-9., 9.)], 1e-9),
            3 => log_integral::<2>(|g| joint(&g), [(-9., 9.); 2], 1e-9),
            d => panic!("Scales: quadrature over {} dimensions", d - 1),
        }
    }

    /// `ln p(y | g₁ … g_{D−1}) = ½(N ln(τ/2π) − ln s − τ|y|² + τ²(a·y)²/s)`, where `f = g_D a` and
    /// `s = 1 + τ|a|²`. The scale `g_D ~ N(0, 1)` is integrated out.
    fn given(&self, hidden: &[f64]) -> f64 {
        let unit = |x: f64, i: usize| (direction(i) * hidden[i] * x + bias(i)).tanh();
        let share = (hidden.len() as f64).powf(-0.5);
        let (mut aa, mut ay, mut yy) = (0., 0., 0.);
        for (&x, &y) in self.x.iter().zip(&self.y) {
            let a = share * (0..hidden.len()).map(|i| unit(x, i)).sum::<f64>();
            (aa, ay, yy) = (aa + a * a, ay + a * y, yy + y * y);
        }
        let (tau, s) = (PRECISION, 1. + PRECISION * aa);
        let constant = self.y.len() as f64 * (tau / TAU).ln();
        0.5 * (constant - s.ln() - tau * yy + (tau * ay).powi(2) / s)
    }
}

/// The direction `v̂ᵢ` of hidden unit `i`: 1 or −1, alternating.
fn direction(i: usize) -> f64 {
    if i.is_multiple_of(2) { 1. } else { -1. }
}

/// The bias `bᵢ` of hidden unit `i`. It is not 0, since `tanh(−z) = −tanh z` would otherwise make
/// the posterior symmetric in the signs of the scales.
fn bias(i: usize) -> f64 {
    0.5 * (i + 1) as f64
}

impl Joint for Scales {
    fn dim(&self) -> usize {
        PrimaryNet::<f64>::dim(&self.net)
    }

    fn examples(&self) -> usize {
        self.y.len()
    }

    fn prior(&self) -> Prior {
        Prior::Gaussian { precision: 1. }
    }

    fn log_likelihood<'t>(&self, theta: Var<'t, f64>) -> Var<'t, f64> {
        let constant = |value: Tensor<f64>| theta.tape().constant(value);
        let log_tau = constant(Tensor::from_elem(vec![1], PRECISION.ln()));
        constant(self.y.clone()).normal_log_prob(self.outputs(theta), log_tau)
    }
}
