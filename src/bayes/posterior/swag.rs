//! SWAG (Maddox et al. 2019): a Gaussian with the moments of the optimiser's path.
use super::point::at_mode;
use super::{Draw, EpochEnd, Kl, Moments, Posterior, values};
use crate::autodiff::{Owned, Var};
use crate::bayes::Prior;
use crate::error::Result;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use ndarray::{Array2, Axis, concatenate, s};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// When snapshots of `θ` are collected, and how many deviations are kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwagConfig {
    /// The fraction of the epochs after which snapshots are collected.
    pub start: f64,
    /// The constant learning rate while snapshots are collected.
    pub rate: f64,
    /// The number of epochs from one snapshot to the next.
    pub every: usize,
    /// `K`, the number of last deviations that are kept.
    pub rank: usize,
}

impl Default for SwagConfig {
    fn default() -> Self {
        Self { start: 0.75, rate: 1e-3, every: 1, rank: 20 }
    }
}

impl SwagConfig {
    /// Whether epoch `epoch` of `epochs`, counted from 1, is one of those in which snapshots are
    /// collected.
    pub fn is_collecting(&self, epoch: usize, epochs: usize) -> bool {
        epoch > self.skipped(epochs)
    }

    /// Whether a snapshot is taken after epoch `epoch` of `epochs`, counted from 1.
    pub fn is_due(&self, epoch: usize, epochs: usize) -> bool {
        self.is_collecting(epoch, epochs)
            && (epoch - self.skipped(epochs) - 1).is_multiple_of(self.every)
    }

    /// The number of snapshots of a run of `epochs` epochs.
    pub fn snapshots(&self, epochs: usize) -> usize {
        (epochs - self.skipped(epochs)).div_ceil(self.every)
    }

    /// The number of epochs before the first in which snapshots are collected.
    fn skipped(&self, epochs: usize) -> usize {
        (self.start * epochs as f64) as usize
    }
}

/// `q(θ) = N(θ̄, ½ (diag(v) + D̂ D̂ᵀ/(K − 1)))`, where `θ̄` and `v` are mean and variance of the
/// snapshots of `θ`, and the columns of `D̂ [D, K]` are the deviations of the last `K` snapshots
/// from the running mean at their time. Samples are
/// `θ = θ̄ + √½ √v ⊙ z₁ + D̂ z₂/√(2(K − 1))`, `z ~ N(0, I)`. The other parameters of the network
/// are those after the last step.
///
/// In training, `θ` is a point and the bound is `ln p(D|θ) + ln p(θ)`. Until there are two
/// snapshots, predictions use the point. The samples have no density here: its covariance would be
/// singular wherever `v` is 0. [`Posterior::moments`] are the mean and covariance.
///
/// The statistics are parameters that gradients do not train: the number of snapshots `count [1]`,
/// `θ̄ [D]`, the sum `n v` of squares `[D]`, and `D̂ᵀ [K, D]`, the latest deviation first. Mean and
/// sum of squares are updated by Welford's recurrence, which does not cancel.
///
/// ```
/// use bhn::bayes::{EpochEnd, Posterior, Prior, Swag, SwagConfig};
/// use bhn::nn::Params;
/// let mut params = Params::<f64>::default();
/// let config = SwagConfig { start: 0., ..SwagConfig::default() };
/// let q = Swag::new(&mut params, "q", &[0.], Prior::default(), config);
/// for (epoch, theta) in [(1, 1.), (2, 3.)] {
///     q.recentre(&mut params, &[theta]); // in place of an epoch of training
///     let end = EpochEnd { epoch, epochs: 2, hessian: &|_, _| unreachable!() };
///     for (id, value) in q.after_epoch(&params, &end).unwrap() {
///         *params.get_mut(id) = value.into();
///     }
/// }
/// // v = 1; the deviations from the running means 1 and 2 are 0 and 1.
/// let moments = q.moments(&params).unwrap();
/// assert_eq!((moments.mean[0], moments.covariance[[0, 0]]), (2., 0.5 * (1. + 1.)));
/// ```
#[derive(Clone, Debug)]
pub struct Swag {
    prior: Prior,
    config: SwagConfig,
    theta: ParamId,
    count: ParamId,
    mean: ParamId,
    squares: ParamId,
    deviations: ParamId,
}

impl Swag {
    /// A posterior whose point starts at `theta [D]`, under the prior `p(θ)`.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        theta: &[f64],
        prior: Prior,
        config: SwagConfig,
    ) -> Self {
        let d = theta.len();
        let mut add = |part: &str, value: Owned<T>| params.add(format!("{name}.{part}"), value);
        Self {
            prior,
            config,
            theta: add("theta", super::vector(theta)),
            count: add("count", Owned::zeros(vec![1])),
            mean: add("mean", Owned::zeros(vec![d])),
            squares: add("squares", Owned::zeros(vec![d])),
            deviations: add("deviations", Owned::zeros(vec![config.rank, d])),
        }
    }
}

impl<T: Scalar> Posterior<T> for Swag {
    fn draw<'t>(&self, p: &BoundParams<'t, T>, samples: usize, _: &mut dyn Rng) -> Draw<'t, T> {
        at_mode(p[self.theta], self.prior, samples)
    }

    fn predictive<'t>(
        &self,
        p: &BoundParams<'t, T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T> {
        let (theta, count) = (p[self.theta], p[self.count].item().f64());
        let shape = [samples, theta.shape()[0]];
        if count < 2. {
            return Draw { theta: theta.broadcast_to(&shape), kl: Kl::Absent };
        }
        let k = self.config.rank.min(count as usize);
        let mut normal = |shape: [usize; 2]| -> Var<'t, T> {
            p.tape().constant(Init::STANDARD_NORMAL.sample(&shape, &mut &mut *rng))
        };
        let std = (p[self.squares] * T::of(0.5 / count)).sqrt();
        let theta = p[self.mean] + std * normal(shape);
        let low_rank = normal([samples, k]).matmul(p[self.deviations].slice(0, 0..k));
        Draw { theta: theta + low_rank * T::of((2. * (k as f64 - 1.)).powf(-0.5)), kl: Kl::Absent }
    }

    fn moments(&self, params: &Params<T>) -> Option<Moments> {
        let count = params.get(self.count)[0].f64();
        let k = self.config.rank.min(count as usize);
        let all = params.get(self.deviations).mapv(T::f64);
        let rows: Array2<f64> = all.into_dimensionality().expect("[K, D]");
        let rows = rows.slice(s![..k, ..]);
        let variance = values(params.get(self.squares)) / count;
        let low_rank = rows.t().dot(&rows) / (k as f64 - 1.);
        let covariance = (Array2::from_diag(&variance) + low_rank) * 0.5;
        (count >= 2.).then(|| Moments { mean: values(params.get(self.mean)), covariance })
    }

    /// Adds a snapshot of `θ` if one is due.
    fn after_epoch(
        &self,
        params: &Params<T>,
        end: &EpochEnd<'_>,
    ) -> Result<Vec<(ParamId, Owned<T>)>> {
        if !self.config.is_due(end.epoch, end.epochs) {
            return Ok(vec![]);
        }
        let get = |id| values(params.get(id));
        let count = params.get(self.count)[0].f64() + 1.;
        let (theta, before) = (get(self.theta), get(self.mean));
        let mean = &before + (&theta - &before) / count;
        let deviation = &theta - &mean;
        let squares = get(self.squares) + (&theta - &before) * &deviation;
        let kept = params.get(self.deviations);
        let kept = kept.slice_axis(Axis(0), (..self.config.rank - 1).into());
        let latest = deviation.mapv(T::of).insert_axis(Axis(0)).into_dyn();
        let deviations = concatenate(Axis(0), &[latest.view(), kept]).expect("rows of length D");
        let of = |values: ndarray::Array1<f64>| values.mapv(T::of).into_dyn();
        Ok(vec![
            (self.count, Owned::from_elem(vec![1], T::of(count))),
            (self.mean, of(mean)),
            (self.squares, of(squares)),
            (self.deviations, deviations),
        ])
    }

    fn recentre(&self, params: &mut Params<T>, theta: &[f64]) {
        super::set(params.get_mut(self.theta), theta);
    }
}
