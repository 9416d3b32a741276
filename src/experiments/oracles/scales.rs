//! The paper's model in small: a weight-normalised network in which only the scales are random.
use crate::autodiff::{Owned, Tape, Tensor, Var};
use crate::bayes::Prior;
use crate::experiments::fit::Joint;
use crate::experiments::quadrature::{LogIntegral, log_integral};
use crate::nn::Params;
use crate::primary::{Layer, PrimaryNet, WeightNormed};
use crate::random::{Purpose, stream};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::f64::consts::TAU;

/// `y ~ N(f(x), 1/τ)`, `f(x) = g_D Σᵢ tanh(±gᵢ x + bᵢ)/√(D − 1)` over `D − 1` hidden units;
/// `g ~ N(0, I)`, all directions and biases fixed. Because of the products of `g_D` and `gᵢ` the
/// model is not conjugate.
pub struct Scales {
    net: WeightNormed,
    params: Params<f64>,
    /// `[N, 1]`.
    x: Tensor<f64>,
    /// `[N]`.
    y: Tensor<f64>,
}

/// Noise precision `τ`: a standard deviation of ½.
const PRECISION: f64 = 4.;

impl Scales {
    /// `dim` scales, and `examples` examples with `x` in `[−2, 2]` from the network with all scales
    /// 1.
    ///
    /// # Panics
    /// If `dim` leaves no hidden unit.
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
        own.y = f.iter().copied().map(noise).collect::<ndarray::Array1<_>>().into_dyn().into();
        own
    }

    /// `f(xₙ) [S, N]` of `g [S, D]`.
    fn outputs<'t>(&self, g: Var<'t, f64>) -> Var<'t, f64> {
        let p = self.params.freeze(g.tape());
        let f = self.net.forward(&p, g, g.tape().constant(self.x.clone()));
        f.reshape(&f.shape()[..2])
    }

    /// `ln p(D)` by quadrature over the scales of the hidden units; that of the output is
    /// integrated in closed form.
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

    /// `ln p(D | g₁ … g_{D−1})`: with `f = g_D a`, `g_D ~ N(0, 1)` and `s = 1 + τ|a|²` it is
    /// `½(N ln(τ/2π) − ln s − τ|y|² + τ²(a·y)²/s)`.
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

/// `v̂ᵢ`, alternating in sign.
fn direction(i: usize) -> f64 {
    if i.is_multiple_of(2) { 1. } else { -1. }
}

/// `bᵢ`, all different, which breaks the symmetry in the signs of the scales.
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
