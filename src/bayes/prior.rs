//! Priors over `θ` with independent entries.
use super::Normals;
use crate::autodiff::{Tensor, Var};
use crate::kernels::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// `p(θ) = Π p(θⱼ)`.
///
/// ```
/// use bhn::{bayes::Prior, autodiff::{Tape, Tensor}};
/// let tape = Tape::<f64>::default();
/// let theta = tape.constant(Tensor::from_elem(&[1, 2][..], 3.)); // one sample, D = 2
/// let normal = Prior::Gaussian { precision: 1. }.log_prob(theta).item();
/// assert!((normal - (-9. - std::f64::consts::TAU.ln())).abs() < 1e-12);
/// let laplace = Prior::Laplace { scale: 1. }.log_prob(theta).item();
/// assert!((laplace - (-6. - 4_f64.ln())).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Prior {
    /// `N(0, 1/λ)`.
    Gaussian {
        /// The precision `λ`.
        precision: f64,
    },
    /// `exp(−|θ|/b) / (2b)`.
    Laplace {
        /// The scale `b`.
        scale: f64,
    },
    /// `π N(0, σ₁²) + (1 − π) N(0, σ₂²)` (Blundell et al. 2015).
    ScaleMixture {
        /// The weight `π` of the component with `σ₁`, between 0 and 1.
        weight: f64,
        /// The standard deviations `[σ₁, σ₂]`.
        stds: [f64; 2],
    },
}

impl Default for Prior {
    /// `N(0, 1)`.
    fn default() -> Self {
        Self::Gaussian { precision: 1. }
    }
}

impl Prior {
    /// `ln p(θ) [S]` for `θ [S, D]`, including the normalising constant.
    pub fn log_prob<'t, T: Scalar>(self, theta: Var<'t, T>) -> Var<'t, T> {
        let normal = |std: f64| {
            let constant = |x: f64| theta.tape().constant(Tensor::from_elem(vec![1], T::of(x)));
            theta.normal_log_prob(constant(0.), constant(-2. * std.ln()))
        };
        let each = match self {
            Self::Gaussian { precision } => normal(precision.powf(-0.5)),
            Self::Laplace { scale } => {
                theta.abs().scale_shift(T::of(-1. / scale), T::of(-(2. * scale).ln()))
            }
            Self::ScaleMixture { weight, stds: [a, b] } => {
                let (a, b) = (normal(a) + T::of(weight.ln()), normal(b) + T::of((-weight).ln_1p()));
                Var::stack(&[a, b], 0).log_sum_exp(0)
            }
        };
        each.sum_axis(1)
    }

    /// `KL(N(m, diag(s²)) ‖ p) = Σ ½ (λ (m² + s²) − 1 − ln(λ s²))`, a scalar, for `m` and `s` of
    /// shape `[D]`. `None` unless the prior is Gaussian.
    pub fn kl_of_normals<'t, T: Scalar>(self, q: &Normals<'t, T>) -> Option<Var<'t, T>> {
        let Self::Gaussian { precision } = self else { return None };
        let squares = (q.mean * q.mean + q.std * q.std) * T::of(precision);
        let d = q.mean.shape()[0] as f64;
        let constant = T::of(0.5 * d * (1. + precision.ln()));
        Some(squares.sum() * T::of(0.5) - q.log_std.sum() - constant)
    }
}
