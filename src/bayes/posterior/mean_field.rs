//! Independent normals: Bayes by Backprop (Blundell et al. 2015).
use super::{Draw, Kl, Normals, Posterior};
use crate::autodiff::{Owned, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use rand::Rng;

/// `θ ~ N(m, diag(s²))`, `s = eʷ`; `ln q(θ) = Σ ln N(θᵢ; mᵢ, sᵢ²)`.
///
/// `local` selects local reparametrisation for training (Kingma et al. 2015): the pre-activations
/// are sampled for each example in place of the weights, and the KL is in closed form. The bound is
/// the same, and its gradient has a lower variance. It needs a Gaussian prior and an
/// [`AllWeights`](crate::primary::AllWeights) network without convolutions, which share weights
/// between positions; otherwise `θ` is sampled all the same. Prediction always samples `θ`, so that
/// a sample is one function.
///
/// ```
/// use bhn::bayes::{MeanField, Posterior};
/// use bhn::{nn::Params, autodiff::Tape};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// let q = MeanField::new(&mut params, "q", &[3., -1.], -2., false);
/// let p = params.bind(&tape);
/// let draw = q.draw(&p, 5, &mut ChaCha8Rng::seed_from_u64(0));
/// let z = (draw.theta.value()[[0, 1]] + 1.) / (-2_f64).exp();
/// assert_eq!(draw.theta.shape(), [5, 2]);
/// assert!(z.abs() < 4.);
/// ```
#[derive(Clone, Debug)]
pub struct MeanField {
    mean: ParamId,
    log_std: ParamId,
    local: bool,
}

impl MeanField {
    /// Normals with initial means `mean [D]` and every `w` equal to `log_std`.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        mean: &[f64],
        log_std: f64,
        local: bool,
    ) -> Self {
        let log_stds = Owned::from_elem(vec![mean.len()], T::of(log_std));
        let mean = params.add(format!("{name}.mean"), super::vector(mean));
        let log_std = params.add(format!("{name}.log_std"), log_stds);
        Self { mean, log_std, local }
    }
}

impl<T: Scalar> Posterior<T> for MeanField {
    fn draw<'t>(&self, p: &BoundParams<'t, T>, samples: usize, rng: &mut dyn Rng) -> Draw<'t, T> {
        let (mean, log_std) = (p[self.mean], p[self.log_std]);
        let shape = [samples, mean.shape()[0]];
        let eps =
            p.tape().named_constant("ε", Init::STANDARD_NORMAL.sample(&shape, &mut &mut *rng));
        let log_q = eps.standard_normal_log_prob() - log_std.sum();
        Draw { theta: mean + log_std.exp() * eps, kl: Kl::Sampled { log_q } }
    }

    fn normals<'t>(&self, p: &BoundParams<'t, T>) -> Option<Normals<'t, T>> {
        let log_std = p[self.log_std];
        self.local.then(|| Normals { mean: p[self.mean], std: log_std.exp(), log_std })
    }

    fn density<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>) -> Option<Var<'t, T>> {
        let log_precision = p[self.log_std] * T::of(-2.);
        Some(theta.normal_log_prob(p[self.mean], log_precision).sum_axis(1))
    }

    fn recentre(&self, params: &mut Params<T>, theta: &[f64]) {
        super::set(params.get_mut(self.mean), theta);
    }
}
