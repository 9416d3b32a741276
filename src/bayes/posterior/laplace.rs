//! The Laplace approximation (MacKay 1992): a Gaussian around the mode.
use super::point::at_mode;
use super::{Draw, EpochEnd, Hessian, Kl, Moments, Posterior, values};
use crate::autodiff::{Owned, Tensor, Var};
use crate::bayes::Prior;
use crate::error::{Error, Result};
use crate::flows::triangular;
use crate::kernels::cholesky::cholesky_of_inverse;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use ndarray::{Array2, Axis};
use rand::Rng;

/// `q(θ) = N(θ*, H⁻¹)` for the mode `θ* = argmax ln p(θ, D)` and the [`Hessian`] `H` of
/// `−ln p(θ, D)` at `θ*`.
///
/// In training, `θ` is a point and the bound is `ln p(D|θ) + ln p(θ)`. After the last epoch `H` is
/// factorised: `H⁻¹ = L Lᵀ`, `L = diag(s) (I + N)` with `N` strictly lower triangular. The
/// parameters `s [D]` and `n [D, D]` are not trained. They are 0 until then; a prediction uses the
/// point, and there is no density.
///
/// ```
/// use bhn::bayes::{EpochEnd, Hessian, Laplace, Posterior, Prior};
/// use bhn::nn::Params;
/// use ndarray::array;
/// let mut params = Params::<f64>::default();
/// let q = Laplace::new(&mut params, "q", &[1., -1.], Prior::default(), Hessian::Ggn);
/// let hessian = &|_, _: &[f64]| array![[4., 0.], [0., 100.]];
/// let last = EpochEnd { epoch: 10, epochs: 10, hessian };
/// for (id, value) in q.after_epoch(&params, &last).unwrap() {
///     *params.get_mut(id) = value.into();
/// }
/// let covariance = q.moments(&params).unwrap().covariance;
/// let error = covariance - array![[0.25, 0.], [0., 0.01]];
/// assert!(error.iter().all(|error| error.abs() < 1e-12));
/// ```
#[derive(Clone, Debug)]
pub struct Laplace {
    prior: Prior,
    hessian: Hessian,
    mean: ParamId,
    s: ParamId,
    n: ParamId,
}

impl Laplace {
    /// An approximation whose mode is searched from `theta [D]`, under the prior `p(θ)`.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        theta: &[f64],
        prior: Prior,
        hessian: Hessian,
    ) -> Self {
        let d = theta.len();
        let mean = params.add(format!("{name}.mean"), super::vector(theta));
        let s = params.add(format!("{name}.s"), Owned::zeros(vec![d]));
        let n = params.add(format!("{name}.n"), Owned::zeros(vec![d, d]));
        Self { prior, hessian, mean, s, n }
    }
}

/// Whether `H` has not been factorised yet.
fn is_point<T: Scalar>(s: &Tensor<T>) -> bool {
    s.iter().all(|&s| s == T::zero())
}

impl<T: Scalar> Posterior<T> for Laplace {
    fn draw<'t>(&self, p: &BoundParams<'t, T>, samples: usize, _: &mut dyn Rng) -> Draw<'t, T> {
        at_mode(p[self.mean], self.prior, samples)
    }

    fn predictive<'t>(
        &self,
        p: &BoundParams<'t, T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T> {
        let (mean, s) = (p[self.mean], p[self.s]);
        let shape = [samples, mean.shape()[0]];
        if is_point(&s.value()) {
            return Draw { theta: mean.broadcast_to(&shape), kl: Kl::Absent };
        }
        let eps =
            p.tape().named_constant("ε", Init::STANDARD_NORMAL.sample(&shape, &mut &mut *rng));
        let log_q = eps.standard_normal_log_prob() - s.ln().sum();
        Draw { theta: triangular::map(eps, p[self.n], s, mean), kl: Kl::Sampled { log_q } }
    }

    fn density<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>) -> Option<Var<'t, T>> {
        let s = p[self.s];
        (!is_point(&s.value())).then(|| {
            let eps = triangular::unmap(theta, p[self.n], s, p[self.mean]);
            eps.standard_normal_log_prob() - s.ln().sum()
        })
    }

    fn moments(&self, params: &Params<T>) -> Option<Moments> {
        let [mean, s, n] = [self.mean, self.s, self.n].map(|id| params.get(id));
        (!is_point(s)).then(|| {
            let n: Array2<f64> = n.mapv(T::f64).into_dimensionality().expect("[D, D]");
            let factor = (n + Array2::<f64>::eye(s.len())) * &values(s).insert_axis(Axis(1));
            Moments { mean: values(mean), covariance: factor.dot(&factor.t()) }
        })
    }

    /// After the last epoch, computes `H` and its factor.
    ///
    /// # Errors
    /// If `H` is not positive definite.
    fn after_epoch(
        &self,
        params: &Params<T>,
        end: &EpochEnd<'_>,
    ) -> Result<Vec<(ParamId, Owned<T>)>> {
        if end.epoch < end.epochs {
            return Ok(vec![]);
        }
        let mean = values(params.get(self.mean)).to_vec();
        let hessian = (end.hessian)(self.hessian, &mean);
        let Some(factor) = cholesky_of_inverse(&hessian) else {
            let expected = "a positive definite one, as at a maximum of the posterior density";
            let advice = "Start a new run. Train longer or with a lower final learning rate, or use \
                          laplace.hessian = \"ggn\", which is always positive definite.";
            let found = "a Hessian that is not positive definite";
            return Err(Error::invalid("the Laplace approximation", found, expected, advice));
        };
        let s = factor.diag().to_owned();
        let n = Owned::from_shape_fn(vec![mean.len(); 2], |i| match i[0] > i[1] {
            true => T::of(factor[[i[0], i[1]]] / s[i[0]]),
            false => T::zero(),
        });
        Ok(vec![(self.s, s.mapv(T::of).into_dyn()), (self.n, n)])
    }

    fn recentre(&self, params: &mut Params<T>, theta: &[f64]) {
        super::set(params.get_mut(self.mean), theta);
    }
}
