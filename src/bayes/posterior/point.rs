//! A point estimate of `θ`: maximum likelihood.
use super::{Draw, Kl, Posterior};
use crate::autodiff::Var;
use crate::bayes::Prior;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, ParamId, Params};
use rand::Rng;

/// `θ` as a trained parameter. There is no density and no KL; the bound is the log-likelihood.
///
/// ```
/// use bhn::{bayes::{Point, Posterior}, nn::Params, autodiff::Tape};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f32>::default(), Tape::default());
/// let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let point = Point::new(&mut params, "point", &[1., 1., 1.]);
/// let draw = point.draw(&params.bind(&tape), 2, rng);
/// assert!(draw.log_q().is_none() && draw.theta.value().iter().all(|&theta| theta == 1.));
/// ```
#[derive(Clone, Debug)]
pub struct Point(ParamId);

impl Point {
    /// A point estimate that starts at `theta [D]`.
    pub fn new<T: Scalar>(params: &mut Params<T>, name: &str, theta: &[f64]) -> Self {
        Self(params.add(format!("{name}.theta"), super::vector(theta)))
    }
}

impl<T: Scalar> Posterior<T> for Point {
    fn draw<'t>(&self, p: &BoundParams<'t, T>, samples: usize, _: &mut dyn Rng) -> Draw<'t, T> {
        let theta = p[self.0];
        Draw { theta: theta.broadcast_to(&[samples, theta.shape()[0]]), kl: Kl::Absent }
    }

    fn recentre(&self, params: &mut Params<T>, theta: &[f64]) {
        super::set(params.get_mut(self.0), theta);
    }
}

/// `samples` copies of a point `theta [D]` whose loss includes `−ln p(θ)`, so that training finds
/// the mode of `p(θ|D)` (maximum a posteriori).
pub(super) fn at_mode<'t, T: Scalar>(
    theta: Var<'t, T>,
    prior: Prior,
    samples: usize,
) -> Draw<'t, T> {
    let d = theta.shape()[0];
    let minus_log_prior = -prior.log_prob(theta.reshape(&[1, d])).sum();
    Draw { theta: theta.broadcast_to(&[samples, d]), kl: Kl::Exact(minus_log_prior) }
}
