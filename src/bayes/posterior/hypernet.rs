//! `θ = h(ε)`, `ε ~ N(0, I)`: the Bayesian hypernetwork (Krueger et al. 2017).
use super::config::Shift;
use super::{Base, Draw, HypernetConfig, Kl, Posterior};
use crate::autodiff::{Owned, Tape, Var};
use crate::flows::{Bijector, Chain};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Params};
use rand::Rng;

/// The pushforward of a base distribution by an invertible `h`:
/// `ln q(θ) = ln N(ε; 0, I) − ln|det ∂h/∂ε|`. If the [`Base`] is not normal, its density replaces
/// `N(ε; 0, I)`.
///
/// ```
/// use bhn::bayes::{Hypernet, HypernetConfig, Posterior};
/// use bhn::{nn::Params, autodiff::Tape};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let q = Hypernet::new(&mut params, "q", 6, &HypernetConfig::default(), rng);
/// let p = params.bind(&tape);
/// let draw = q.draw(&p, 3, rng);
/// assert_eq!(draw.theta.shape(), [3, 6]);
/// // The inverse flow gives the same density.
/// let again = q.log_prob(&p, draw.theta);
/// assert!((again - draw.log_q().unwrap()).abs().sum().item() < 1e-9);
/// ```
pub struct Hypernet<T> {
    d: usize,
    base: Base,
    flow: Chain<T>,
    /// The shift that centres `q`, if it is known.
    shift: Option<Shift>,
}

impl<T: Scalar> Hypernet<T> {
    /// The hypernet for `θ [d]` that `config` describes.
    ///
    /// # Panics
    /// If the flow has affine couplings and `d < 2`, or if it is linear and has no layers.
    pub fn new(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        config: &HypernetConfig,
        rng: &mut impl Rng,
    ) -> Self {
        let base = config.base.registered(params, &format!("{name}.base"));
        let (flow, shift) = config.flow(params, name, d, rng);
        Self { d, base, flow, shift: Some(shift) }
    }

    /// A hypernet for `θ [d]` from any flow and base distribution. It cannot be recentred.
    pub fn from_flow(d: usize, base: Base, flow: Chain<T>) -> Self {
        Self { d, base, flow, shift: None }
    }

    /// `h`.
    pub fn flow(&self) -> &Chain<T> {
        &self.flow
    }

    /// `ln q(θ) [S]` of any `θ [S, D]`, by the inverse flow.
    pub fn log_prob<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>) -> Var<'t, T> {
        let (eps, ln_det) = self.flow.inverse(p, theta);
        self.base.log_prob(eps) + ln_det
    }
}

impl<T: Scalar> Posterior<T> for Hypernet<T> {
    // ANCHOR: draw
    fn draw<'t>(&self, p: &BoundParams<'t, T>, samples: usize, rng: &mut dyn Rng) -> Draw<'t, T> {
        let eps = p.tape().named_constant("ε", self.base.sample::<T>([samples, self.d], rng));
        p.tape().spent_on("noise", samples * self.d * size_of::<T>());
        let (theta, ln_det) = self.flow.forward(p, eps);
        Draw { theta, kl: Kl::Sampled { log_q: self.base.log_prob(eps) - ln_det } }
    }
    // ANCHOR_END: draw

    fn flow(&self) -> Option<&Chain<T>> {
        Some(&self.flow)
    }

    fn density<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>) -> Option<Var<'t, T>> {
        Some(self.log_prob(p, theta))
    }

    /// Changes one shift parameter of `h` so that `h(0) = theta`. The maps of `h` up to and
    /// including the one that adds the shift take 0 to the present value; the inverses of the maps
    /// after it take `theta` to the required value. Their difference is added to the shift.
    ///
    /// # Panics
    /// If the hypernet is [from a flow](Hypernet::from_flow).
    fn recentre(&self, params: &mut Params<T>, theta: &[f64]) {
        let Shift { maps, param } = self.shift.expect("recentre: a flow without a known shift");
        let tape = Tape::default();
        let p = params.freeze(&tape);
        let theta = Owned::from_shape_fn(vec![1, self.d], |i| T::of(theta[i[1]]));
        let [theta, zero] =
            [theta, Owned::zeros(vec![1, self.d])].map(|value| tape.constant(value));
        let (before, after) = self.flow.maps().split_at(maps);
        let found = before.iter().fold(zero, |x, f| f.forward(&p, x).0).value();
        let aim = after.iter().rev().fold(theta, |y, f| f.inverse(&p, y).0).value();
        let moved = params.get(param).iter().zip(&aim).zip(&found);
        let moved: Vec<_> = moved.map(|((b, aim), y)| (*b + *aim - *y).f64()).collect();
        super::set(params.get_mut(param), &moved);
    }
}
