//! Estimators of the bound's gradient, from samples `θ = h(ε)`.
use super::{Draw, Kl, Posterior};
use crate::kernels::scalar::Scalar;
use crate::nn::BoundParams;
use rand::Rng;
use serde::{Deserialize, Serialize};

/// How the gradient of `ln q(θ)` with respect to the parameters `φ` of `q` is estimated.
///
/// At a sample `θ = h_φ(ε)` it has two terms: `d ln q_φ(θ)/dφ = ∂ln q/∂θ · ∂θ/∂φ + ∂ln q_φ/∂φ`, the
/// path and the score. The mean of the score is 0, so that both estimators are unbiased. The bound
/// has the same value with either.
///
/// ```
/// use bhn::bayes::{Estimator, Hypernet, HypernetConfig, Posterior};
/// use bhn::{nn::Params, autodiff::Tape};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// let rng = || ChaCha8Rng::seed_from_u64(0);
/// let q = Hypernet::new(&mut params, "q", 6, &HypernetConfig::default(), &mut rng());
/// let p = params.bind(&tape);
/// let [total, path] = [Estimator::Total, Estimator::Path].map(|estimator| {
///     estimator.draw(&q, &p, 3, &mut rng())
/// });
/// assert_eq!(total.theta.value(), path.theta.value());
/// let differences = total.log_q().unwrap() - path.log_q().unwrap();
/// assert!(differences.value().iter().all(|d| d.abs() < 1e-9));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// Path and score, as in the paper: the derivative of the estimated bound.
    #[default]
    Total,
    /// The path alone, "sticking the landing" (Roeder, Wu & Duvenaud 2017). If `q` is the exact
    /// posterior, the gradient is 0 for every sample, while that of [`Total`](Estimator::Total) has
    /// the variance of the score. Far from it, the score may cancel a part of the path's variance,
    /// and the path alone may then vary more. [`Posterior::density`] computes `ln q(θ)`, for a
    /// hypernet by the inverse flow.
    Path,
}

impl Estimator {
    /// `samples` samples of `q` for training, whose `ln q(θ)` has the gradient of this estimator.
    ///
    /// # Panics
    /// For [`Path`](Estimator::Path), if `q` has no density.
    pub fn draw<'t, T: Scalar>(
        self,
        q: &dyn Posterior<T>,
        p: &BoundParams<'t, T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T> {
        // ANCHOR: draw
        let draw = q.draw(p, samples, rng);
        match self {
            Self::Total => draw,
            Self::Path => {
                let log_q = q.density(&p.detached(), draw.theta);
                let log_q = log_q.expect("the path gradient of a posterior without a density");
                Draw { kl: Kl::Sampled { log_q }, ..draw }
            }
        }
        // ANCHOR_END: draw
    }
}
