//! The inverse autoregressive flow (Kingma et al. 2016) on MADE (Germain et al. 2015).
use super::conditioner::Network;
use super::{Bijector, Conditioner, Permutation, check_shape};
use crate::autodiff::{Owned, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Buffer, Params};
use rand::Rng;

/// `z' = μ(z) + σ(z) ⊙ z`, where `μᵢ` and `σᵢ` depend only on the entries before `i` in a given
/// order; `ln|det| = Σ ln σ`, as the Jacobian is triangular in that order.
///
/// A network with one hidden ReLU layer and masked weights computes `μ` and `σ`, see
/// [`Conditioner`]. Each hidden unit has a degree, and the degrees are spread evenly over the
/// positions `0 … D − 2`: a unit of degree `k` depends on positions up to `k`, and only later
/// positions depend on it. `μ` and `σ` of the first position depend only on the biases of the
/// heads. The order and the degrees are saved as the buffers `NAME.order` and `NAME.degrees`.
///
/// Sampling evaluates the network once, as a coupling does. The inverse, and therefore the density
/// of a given `θ`, takes `D + 1` evaluations in sequence.
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
/// let (y, ln_det) = h.forward(&p, x);
/// let (back, inverse_ln_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((ln_det + inverse_ln_det).abs().sum().item() < 1e-12);
/// ```
#[derive(Clone, Debug)]
pub struct Iaf {
    order: Permutation,
    network: Network,
}

impl Iaf {
    /// A step over `D` entries in the order `order[0], order[1], …`.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        order: Permutation,
        conditioner: Conditioner,
        rng: &mut impl Rng,
    ) -> Self {
        let hidden = conditioner.hidden;
        let order = order.registered(params, &format!("{name}.order"));
        let d = order.order.len();
        let position = |i: usize| order.inverse[i];
        let drawn = (0..hidden).map(|unit| (unit * (d - 1) / hidden) as u32).collect();
        let valid = |saved: &Buffer| matches!(saved, Buffer::Indices(of) if of.len() == hidden);
        let degrees = params.buffer(format!("{name}.degrees"), Buffer::Indices(drawn), valid);
        let degree = |unit: usize| match &degrees {
            Buffer::Indices(degrees) => degrees[unit] as usize,
            Buffer::Numbers(_) => unreachable!("`{name}.degrees` holds indices"),
        };
        let trunk = (0..hidden * d).map(|k| position(k % d) <= degree(k / d)).collect();
        let heads = (0..d * hidden).map(|k| degree(k % hidden) < position(k / hidden)).collect();
        let network = Network::new(params, name, [d, d], conditioner, rng).masked(trunk, heads);
        Self { order, network }
    }
}

impl<T: Scalar> Bijector<T> for Iaf {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        check_shape("Iaf", x, self.order.order.len());
        let [s, ln_s, m] = self.network.bind(p)(x);
        (s * x + m, ln_s.sum_axis(1))
    }

    /// Each evaluation of the network determines one entry, in the order of the flow; a last one
    /// determines `ln s`. Entries not yet known stay 0: other values might overflow and pass the
    /// masks as `0 · ∞`.
    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        let d = self.order.order.len();
        check_shape("Iaf", y, d);
        let (network, tape) = (self.network.bind(p), y.tape());
        let mut x = tape.constant(Owned::zeros(y.shape()));
        for &i in &*self.order.order {
            let [s, _, m] = network(x);
            let mut only = Owned::zeros(vec![d]);
            only[i] = T::one();
            x = x + (y - m) / s * tape.constant(only);
        }
        let [_, ln_s, _] = network(x);
        (x, -ln_s.sum_axis(1))
    }
}
