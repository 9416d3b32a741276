//! Dropout as a posterior over masks (Gal & Ghahramani 2016), with fixed or learned rates.
use super::{Draw, Posterior};
use crate::autodiff::{Owned, Tape, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, ParamId, Params};
use rand::{Rng, RngExt};
use std::ops::Range;

/// `θ` of point estimates, in which some ranges are masks: 0 with probability `p`, else `1/(1 − p)`.
///
/// Drawn once a minibatch example in training; in prediction a mask is a sample like any other, the
/// same for every input (MC dropout), or `scaled`: no mask at all, its mean 1 in its place (plain
/// dropout).
///
/// ```
/// use bhn::bayes::{Dropout, Posterior, Rates};
/// use bhn::{nn::Params, autodiff::Tape};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f32>::default(), Tape::default());
/// let q = Dropout::new(&mut params, "q", &[1.; 6], &[(2..6, 0.5)], Rates::Fixed, true);
/// let (p, rng) = (params.bind(&tape), &mut ChaCha8Rng::seed_from_u64(0));
/// let theta = q.draw(&p, &tape, 1, rng).theta.value();
/// assert!(theta.iter().skip(2).all(|&mask| mask == 0. || mask == 2.));
/// assert!(q.predictive(&p, &tape, 1, rng).theta.value().iter().all(|&theta| theta == 1.));
/// ```
#[derive(Clone, Debug)]
pub struct Dropout {
    /// Point estimates `[D]`; what lies where the masks are is not used.
    point: ParamId,
    masks: Vec<Mask>,
    scaled: bool,
}

#[derive(Clone, Debug)]
struct Mask {
    range: Range<usize>,
    /// The scales up to the next mask, on which it acts.
    scales: Range<usize>,
    rate: Rate,
}

#[derive(Clone, Copy, Debug)]
enum Rate {
    /// `p`.
    Fixed(f64),
    /// `ln p/(1 − p)` `[1]`, and the `λ` of the scales' prior.
    Learned(ParamId, f64),
}

/// Where the rates of dropout come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rates {
    /// They stay as they are.
    Fixed,
    /// Concrete dropout (Gal, Hron & Kendall 2017): learned, one a mask, through the relaxed masks
    /// `1 − sigmoid((ln p/(1−p) + ln u/(1−u)) / 0.1)`, `u ~ U(0, 1)`.
    Learned {
        /// `λ` of the prior of the scales that a mask acts on.
        precision: f64,
    },
}

/// The temperature of a concrete mask.
const TEMPERATURE: f64 = 0.1;

impl Dropout {
    /// Point estimates from `point [D]`, with these masks and their rates.
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

    /// `θ [S, D]` with `mask(m)` in the place of mask `m`.
    fn with_masks<'t, T: Scalar>(
        &self,
        p: &BoundParams<'t, T>,
        samples: usize,
        mut mask: impl FnMut(&Mask) -> Var<'t, T>,
    ) -> Var<'t, T> {
        let point = p[self.point];
        let (d, mut parts, mut at) = (point.shape()[0], vec![], 0);
        for m in &self.masks {
            parts.extend([between(point, at..m.range.start, samples), mask(m)]);
            at = m.range.end;
        }
        parts.push(between(point, at..d, samples));
        Var::concat(&parts, 1)
    }
}

fn between<'t, T: Scalar>(point: Var<'t, T>, range: Range<usize>, samples: usize) -> Var<'t, T> {
    let n = range.len();
    point.slice(0, range).broadcast_to(&[samples, n])
}

impl<T: Scalar> Posterior<T> for Dropout {
    fn draw<'t>(
        &self,
        p: &BoundParams<'t, T>,
        tape: &'t Tape<T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T> {
        let (point, mut kl) = (p[self.point], None);
        let theta = self.with_masks(p, samples, |mask| {
            let n = mask.range.len();
            let mut uniform = || rng.random_range(f64::EPSILON..1.);
            let (logit, precision) = match mask.rate {
                Rate::Fixed(rate) => {
                    let kept = T::of(1. / (1. - rate));
                    let each = || if uniform() < rate { T::zero() } else { kept };
                    return tape.constant(Owned::from_shape_simple_fn(vec![samples, n], each));
                }
                Rate::Learned(logit, precision) => (p[logit], precision),
            };
            let noise = || {
                let u = uniform();
                T::of((u / (1. - u)).ln() / TEMPERATURE)
            };
            let noise = tape.constant(Owned::from_shape_simple_fn(vec![samples, n], noise));
            let (rate, kept) = (logit.sigmoid(), (-logit).sigmoid());
            let scales = point.slice(0, mask.scales.clone());
            let weights = (scales * scales).sum() / kept * T::of(precision / 2.);
            // p ln p + (1 − p) ln(1 − p), in a form that bears p = 0 and 1.
            let negative_entropy = -(rate * (-logit).softplus() + kept * logit.softplus());
            let layer = (weights + negative_entropy * T::of(n as f64)).sum();
            kl = Some(kl.map_or(layer, |kl: Var<'t, T>| kl + layer));
            (-(logit * T::of(1. / TEMPERATURE) + noise)).sigmoid() / kept
        });
        Draw { theta, log_q: None, kl }
    }

    fn predictive<'t>(
        &self,
        p: &BoundParams<'t, T>,
        tape: &'t Tape<T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T> {
        if !self.scaled {
            return self.draw(p, tape, samples, rng);
        }
        let one = |m: &Mask| tape.constant(Owned::ones(vec![samples, m.range.len()]));
        Draw { theta: self.with_masks(p, samples, one), log_q: None, kl: None }
    }

    fn recentre(&self, params: &mut Params<T>, theta: &[f64]) {
        super::set(params.get_mut(self.point), theta);
    }
}
