//! Dropout as a posterior over masks (Gal & Ghahramani 2016), with fixed or learned rates.
use super::{Draw, Kl, Posterior};
use crate::autodiff::{Owned, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, ParamId, Params};
use rand::{Rng, RngExt};
use std::ops::Range;

/// `θ` consists of point estimates and Bernoulli masks. An entry of a mask is 0 with probability
/// `p`, otherwise `1/(1 − p)`.
///
/// In prediction, masks are sampled and shared by all inputs (MC dropout). If `scaled`, they are
/// replaced by 1, the mean of a Bernoulli mask (plain dropout).
///
/// ```
/// use bhn::bayes::{Dropout, Posterior, Rates};
/// use bhn::{nn::Params, autodiff::Tape};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f32>::default(), Tape::default());
/// let q = Dropout::new(&mut params, "q", &[1.; 6], &[(2..6, 0.5)], Rates::Fixed, true);
/// let (p, rng) = (params.bind(&tape), &mut ChaCha8Rng::seed_from_u64(0));
/// let theta = q.draw(&p, 1, rng).theta.value();
/// assert!(theta.iter().skip(2).all(|&mask| mask == 0. || mask == 2.));
/// assert!(q.predictive(&p, 1, rng).theta.value().iter().all(|&theta| theta == 1.));
/// ```
#[derive(Clone, Debug)]
pub struct Dropout {
    /// Point estimates `[D]`; the entries at the masks are unused.
    point: ParamId,
    masks: Vec<Mask>,
    scaled: bool,
}

#[derive(Clone, Debug)]
struct Mask {
    range: Range<usize>,
    /// The scales that the mask acts on: the entries of `θ` between this mask and the next.
    scales: Range<usize>,
    rate: Rate,
}

#[derive(Clone, Copy, Debug)]
enum Rate {
    /// `p`.
    Fixed(f64),
    /// The parameter `ln(p/(1 − p))` of shape `[1]`, and the precision `λ` of the prior of the
    /// scales.
    Learned(ParamId, f64),
}

/// Whether the rates of dropout are trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rates {
    /// The rates are constants.
    Fixed,
    /// Concrete dropout (Gal, Hron & Kendall 2017): one trained rate `p` per mask. The relaxed
    /// masks are `(1 − sigmoid((ln(p/(1−p)) + ln(u/(1−u))) / 0.1)) / (1 − p)` with `u ~ U(0, 1)`.
    Learned {
        /// The precision `λ` of the prior of the scales that a mask acts on.
        precision: f64,
    },
}

/// The temperature of a concrete mask.
const TEMPERATURE: f64 = 0.1;

impl Dropout {
    /// Point estimates that start at `point [D]`, and masks at the given ranges of `θ` with the
    /// given rates.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        point: &[f64],
        masks: &[(Range<usize>, f64)],
        rates: Rates,
        scaled: bool,
    ) -> Self {
        let ends = masks.iter().skip(1).map(|(next, _)| next.start).chain([point.len()]);
        let theta = params.add(format!("{name}.theta"), super::vector(point));
        let mask = |(i, ((range, rate), end)): (usize, (&(Range<usize>, f64), usize))| {
            let rate = match rates {
                Rates::Fixed => Rate::Fixed(*rate),
                Rates::Learned { precision } => {
                    let logit = super::vector(&[(rate / (1. - rate)).ln()]);
                    Rate::Learned(params.add(format!("{name}.{i}.logit"), logit), precision)
                }
            };
            Mask { range: range.clone(), scales: range.end..end, rate }
        };
        let masks = masks.iter().zip(ends).enumerate().map(mask).collect();
        Self { point: theta, masks, scaled }
    }

    /// `θ [S, D]`: the point estimates, with `mask(m)` at the range of mask `m`.
    fn with_masks<'t, T: Scalar>(
        &self,
        p: &BoundParams<'t, T>,
        samples: usize,
        mut mask: impl FnMut(&Mask) -> Var<'t, T>,
    ) -> Var<'t, T> {
        let point = p[self.point];
        let estimates = |range: Range<usize>| {
            let n = range.len();
            point.slice(0, range).broadcast_to(&[samples, n])
        };
        let (mut parts, mut at) = (vec![], 0);
        for m in &self.masks {
            parts.extend([estimates(at..m.range.start), mask(m)]);
            at = m.range.end;
        }
        parts.push(estimates(at..point.shape()[0]));
        Var::concat(&parts, 1)
    }
}

impl<T: Scalar> Posterior<T> for Dropout {
    fn draw<'t>(&self, p: &BoundParams<'t, T>, samples: usize, rng: &mut dyn Rng) -> Draw<'t, T> {
        let (point, mut kl) = (p[self.point], Kl::Absent);
        let theta = self.with_masks(p, samples, |mask| {
            let n = mask.range.len();
            let mut constant = |entry: &dyn Fn(f64) -> T| {
                let entry = || entry(rng.random_range(f64::EPSILON..1.));
                p.tape().constant(Owned::from_shape_simple_fn(vec![samples, n], entry))
            };
            let (logit, precision) = match mask.rate {
                Rate::Fixed(rate) => {
                    let kept = T::of(1. / (1. - rate));
                    return constant(&|u| if u < rate { T::zero() } else { kept });
                }
                Rate::Learned(logit, precision) => (p[logit], precision),
            };
            let noise = constant(&|u| T::of((u / (1. - u)).ln() / TEMPERATURE));
            let (rate, kept) = (logit.sigmoid(), (-logit).sigmoid());
            let scales = point.slice(0, mask.scales.clone());
            let weights = (scales * scales).sum() / kept * T::of(precision / 2.);
            // p ln p + (1 − p) ln(1 − p), in a form that is finite for p = 0 and 1.
            let negative_entropy = -(rate * (-logit).softplus() + kept * logit.softplus());
            let layer = (weights + negative_entropy * T::of(n as f64)).sum();
            kl = Kl::Exact(if let Kl::Exact(kl) = kl { kl + layer } else { layer });
            (-(logit * T::of(1. / TEMPERATURE) + noise)).sigmoid() / kept
        });
        Draw { theta, kl }
    }

    fn predictive<'t>(
        &self,
        p: &BoundParams<'t, T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T> {
        if !self.scaled {
            return self.draw(p, samples, rng);
        }
        let one = |m: &Mask| p.tape().constant(Owned::ones(vec![samples, m.range.len()]));
        Draw { theta: self.with_masks(p, samples, one), kl: Kl::Absent }
    }

    fn recentre(&self, params: &mut Params<T>, theta: &[f64]) {
        super::set(params.get_mut(self.point), theta);
    }
}
