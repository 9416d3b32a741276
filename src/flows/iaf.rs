//! The inverse autoregressive flow (Kingma et al. 2016) on MADE (Germain et al. 2015).
use super::conditioner::START;
use super::{Bijector, Conditioner, Permutation, Stabiliser, check_shape};
use crate::autodiff::{Owned, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Buffer, Init, ParamId, Params};
use rand::Rng;
use std::sync::Arc;

/// `z' = μ(z) + σ(z) ⊙ z`, where `μᵢ` and `σᵢ` see only the entries before `i` in an order of one's
/// choice; `ln|det| = Σ ln σ`, the Jacobian being triangular in that order.
///
/// One hidden ReLU layer gives `μ` and `σ`, its weights masked and then normalised. Hidden units have
/// degrees, spread evenly over the positions `0 … D − 2`: a unit of degree `k` sees positions up to `k` and
/// is seen by those after it. The first position sees nothing: its `μ` and `σ` are the heads' biases.
/// Order and degrees are the buffers `NAME.order` and `NAME.degrees`; the masks follow from them.
///
/// Forward is one pass, so sampling is as fast as a coupling's. The inverse, hence the density of a
/// given `θ`, takes `D` passes one after another.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, autodiff::{Tape, gradcheck::randn}};
/// # use rand::{SeedableRng, rngs::ChaCha8Rng};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// # let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let order = Permutation::random(4, rng);
/// let h = Iaf::new(&mut params, "h", order, Conditioner::default(), rng);
/// let p = params.freeze(&tape);
/// let x = tape.constant(randn(&[3, 4], 0));
/// let (y, log_det) = h.forward(&p, x);
/// let (back, inverse_log_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((log_det + inverse_log_det).abs().sum().item() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Iaf {
    order: Permutation,
    trunk: Masked,
    scale: Masked,
    shift: Masked,
    stabiliser: Stabiliser,
}

impl Iaf {
    /// A new layer over `D` entries, of which `order[0]` comes first.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        order: Permutation,
        conditioner: Conditioner,
        rng: &mut impl Rng,
    ) -> Self {
        let Conditioner { hidden, stabiliser, weight_norm } = conditioner;
        let order = order.registered(params, &format!("{name}.order"));
        let (d, position) = (order.order.len(), &order.back);
        let drawn = (0..hidden).map(|unit| (unit * (d - 1) / hidden) as u32).collect();
        let fits = |given: &Buffer| matches!(given, Buffer::Indices(of) if of.len() == hidden);
        let degrees = params.buffer(format!("{name}.degrees"), Buffer::Indices(drawn), fits);
        let degree = |unit: usize| match &degrees {
            Buffer::Indices(degrees) => degrees[unit] as usize,
            Buffer::Numbers(_) => unreachable!("`{name}.degrees` holds indices"),
        };
        let mut layer = |part: &str, size, sees: &dyn Fn(usize, usize) -> bool| {
            Masked::new(params, &format!("{name}.{part}"), size, sees, weight_norm, rng)
        };
        let trunk = layer("trunk", [d, hidden], &|unit, j| position[j] <= degree(unit));
        let head = |i: usize, unit: usize| degree(unit) < position[i];
        let scale = layer("scale", [hidden, d], &head);
        let shift = layer("shift", [hidden, d], &head);
        Self { order, trunk, scale, shift, stabiliser }
    }

    /// `z ↦ (σ, ln σ, μ)`, with the weights masked once.
    fn network<'t, T: Scalar>(
        &self,
        p: &BoundParams<'t, T>,
    ) -> impl Fn(Var<'t, T>) -> [Var<'t, T>; 3] {
        let layers = [&self.trunk, &self.scale, &self.shift];
        let [trunk, scale, shift] = layers.map(|layer| layer.once(p));
        let stabiliser = self.stabiliser;
        move |z| {
            let hidden = trunk(z).relu();
            let (s, log_s) = stabiliser.scale(scale(hidden));
            [s, log_s, shift(hidden)]
        }
    }
}

impl<T: Scalar> Bijector<T> for Iaf {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        check_shape("Iaf", x, self.order.order.len());
        let [s, log_s, m] = self.network(p)(x);
        (s * x + m, log_s.sum_axis(1))
    }

    /// An entry a pass, in their order; those still unknown stay 0, where anything else might overflow
    /// and reach through the masks as `0 · ∞`.
    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let d = self.order.order.len();
        check_shape("Iaf", y, d);
        let (network, tape) = (self.network(p), y.tape());
        let mut x = tape.constant(Owned::zeros(y.shape()));
        for &i in &*self.order.order {
            let [s, _, m] = network(x);
            let mut only = Owned::zeros(vec![d]);
            only[i] = T::one();
            x = x + (y - m) / s * tape.constant(only);
        }
        let [_, log_s, _] = network(x);
        (x, -log_s.sum_axis(1))
    }
}

/// A linear layer of which some weights are held at 0.
#[derive(Clone, Debug)]
struct Masked {
    /// Weights, or directions if there are scales.
    w: ParamId,
    r: Option<ParamId>,
    b: ParamId,
    mask: Arc<[bool]>,
}

impl Masked {
    /// A new layer in which output `i` sees input `j` if `sees(i, j)`.
    fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        sees: &dyn Fn(usize, usize) -> bool,
        weight_norm: bool,
        rng: &mut impl Rng,
    ) -> Self {
        let mask = (0..outputs * inputs).map(|k| sees(k / inputs, k % inputs)).collect();
        let mut add = |part: &str, std: f64, shape: &[usize]| {
            let init = Init::Normal { mean: 0., std };
            params.add(format!("{name}.{part}"), init.sample(shape, rng))
        };
        let (w, r) = match weight_norm {
            true => (add("v", 1., &[outputs, inputs]), Some(add("r", START, &[outputs]))),
            false => (add("w", START, &[outputs, inputs]), None),
        };
        let b = params.add(format!("{name}.b"), Owned::zeros(vec![outputs]));
        Self { w, r, b, mask }
    }

    /// `z ↦ r ⊙ (z Wᵀ)/‖W‖ + b`, or `z Wᵀ + b`, with `W` masked once for all that it will be given.
    /// Masked before the norm is taken; that of a row of nothing counts as 1.
    fn once<'t, T: Scalar>(
        &self,
        p: &BoundParams<'t, T>,
    ) -> impl Fn(Var<'t, T>) -> Var<'t, T> + use<'t, T> {
        let (w, b) = (p[self.w].masked(self.mask.clone()), p[self.b]);
        let n = b.shape()[0];
        let scale = self.r.map(|r| (p[r] / w.norms_or_one()).reshape(&[1, n]));
        move |z| match scale {
            Some(scale) => z.matmul_t(w).affine(scale, b),
            None => z.linear(w, b),
        }
    }
}
