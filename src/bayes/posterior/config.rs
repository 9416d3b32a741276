//! The settings of a hypernet, and the flow that they describe.
use super::Base;
use crate::flows::{
    Chain, Conditioner, Coupling, Elementwise, Iaf, Kink, KinkShape, Lu, Order, Permutation,
    Planar, RankOne, Stabiliser, Triangular,
};
use crate::kernels::scalar::Scalar;
use crate::nn::{Init, ParamId, Params};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// The kind of a hypernet's flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowKind {
    /// An elementwise layer, then `T` affine couplings with fixed permutations in between.
    #[default]
    Realnvp,
    /// An elementwise layer, then `T` inverse autoregressive steps, each with an order of the
    /// entries given by `permutation`. Sampling evaluates `T` networks, as for RealNVP; the density
    /// of a given `θ` takes `T (D + 1)` evaluations in sequence.
    Iaf,
    /// Linear layers `x ↦ x L U + b` with a kink between each two, as in the authors' toy
    /// experiments; for small `D`. The last linear layer has the same initial scales and shift as
    /// the elementwise layer of the other kinds.
    Linear,
    /// An elementwise layer, then `T` planar steps.
    Planar,
    /// A triangular map `θ = m + L ε`: a Gaussian with any covariance `L Lᵀ`. A parameter of `D²`
    /// entries holds `L`, and those above its diagonal are not used.
    Cholesky,
    /// Rank-one maps, then an elementwise layer: a Gaussian whose covariance is a diagonal plus a
    /// matrix of rank `rank`. It has `rank · (D + 1)` parameters beside those of the elementwise
    /// layer.
    LowRank,
}

/// The place of the elementwise layer in a flow with steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Before the steps, as in the authors' code: the steps act on values of the posterior's own
    /// location and scale.
    #[default]
    First,
    /// After the steps, which then act on standardised values.
    Last,
}

/// The settings of a hypernet. The defaults are those of the authors' code except for `log_scale`,
/// `shift`, `weight_norm` and `kink`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HypernetConfig {
    /// The kind of flow.
    pub kind: FlowKind,
    /// `T`, the number of couplings, IAF steps or planar steps. With `T = 0` only the elementwise
    /// layer remains, and the posterior is that of Bayes by Backprop.
    pub couplings: usize,
    /// The number of linear layers of [`FlowKind::Linear`].
    pub layers: usize,
    /// The number of rank-one maps of [`FlowKind::LowRank`].
    pub rank: usize,
    /// The number of hidden units of each coupling or IAF step.
    pub hidden: usize,
    /// Where the elementwise layer is, for RealNVP, IAF and planar flows.
    pub elementwise: Place,
    /// How the scales of couplings and IAF steps are kept positive.
    pub stabiliser: Stabiliser,
    /// Whether the weights of couplings and IAF steps are normalised; the authors' MNIST code does
    /// not normalise them.
    pub weight_norm: bool,
    /// The permutations between couplings, or the orders of the entries of IAF steps.
    pub permutation: Order,
    /// The shape of the kinks between linear layers.
    pub kink: KinkShape,
    /// The initial mean of the parameter `w` of the elementwise layer, whose scale is
    /// `s = eʷ + 0.001`. The authors use −7, which gives a posterior of std 0.002. After a few
    /// epochs it is still narrow and overconfident, and its bound is far from the best. Our default
    /// −2.5 gives a std of 0.083 (`docs/results/mnist.md` compares them).
    pub log_scale: f64,
    /// The initial mean of the elementwise layer's shift. The default 1 puts the scales of the
    /// primary network near 1, so that it can be trained at once; the authors start at 0 and
    /// rescale by data-dependent initialisation.
    pub shift: f64,
    /// The base distribution.
    pub base: Base,
}

impl Default for HypernetConfig {
    fn default() -> Self {
        let Conditioner { hidden, stabiliser, weight_norm } = Conditioner::default();
        Self {
            kind: FlowKind::default(),
            couplings: 4,
            layers: 3,
            rank: 10,
            elementwise: Place::default(),
            hidden,
            stabiliser,
            weight_norm,
            permutation: Order::default(),
            kink: KinkShape::default(),
            log_scale: -2.5,
            shift: 1.,
            base: Base::default(),
        }
    }
}

/// A shift parameter of a chain. Adding it is the last operation of the first `maps` maps.
#[derive(Clone, Copy)]
pub(super) struct Shift {
    pub maps: usize,
    pub param: ParamId,
}

impl HypernetConfig {
    /// The flow over `d` entries, and the shift that determines where `q` is centred.
    ///
    /// # Panics
    /// As [`Hypernet::new`](super::Hypernet::new).
    pub(super) fn flow<T: Scalar>(
        &self,
        params: &mut Params<T>,
        name: &str,
        d: usize,
        rng: &mut impl Rng,
    ) -> (Chain<T>, Shift) {
        let &Self { hidden, stabiliser, weight_norm, .. } = self;
        let conditioner = Conditioner { hidden, stabiliser, weight_norm };
        let part = |kind: &str, t: usize| format!("{name}.{kind}.{t}");
        let [w, b] = [self.log_scale, self.shift].map(|mean| Init::Normal { mean, std: 0.01 });
        let mut flow = Chain::default();
        match self.kind {
            FlowKind::Linear => {
                assert!(self.layers > 0, "Hypernet: no linear layers");
                let around_zero = Init::Normal { mean: 0., std: 0.01 };
                for t in 1..self.layers {
                    let lu = Lu::new(params, &part("linear", t), d, around_zero, around_zero, rng);
                    flow = flow.then(lu).then(Kink::new(params, &part("kink", t), d, self.kink));
                }
                let last = Lu::new(params, &part("linear", self.layers), d, w, b, rng);
                let shift = Shift { maps: 2 * self.layers - 1, param: last.shift() };
                return (flow.then(last), shift);
            }
            FlowKind::Cholesky => {
                let map = Triangular::new(params, &format!("{name}.triangular"), d, w, b, rng);
                let shift = Shift { maps: 1, param: map.shift() };
                return (flow.then(map), shift);
            }
            FlowKind::LowRank => {
                for k in 0..self.rank {
                    flow = flow.then(RankOne::new(params, &part("rank_one", k), d, rng));
                }
                let last = Elementwise::new(params, &format!("{name}.elementwise"), d, w, b, rng);
                let shift = Shift { maps: self.rank + 1, param: last.shift() };
                return (flow.then(last), shift);
            }
            FlowKind::Realnvp | FlowKind::Iaf | FlowKind::Planar => {}
        }
        let elementwise = Elementwise::new(params, &format!("{name}.elementwise"), d, w, b, rng);
        let (mut shift, mut last) = (Shift { maps: 1, param: elementwise.shift() }, None);
        match self.elementwise {
            Place::First => flow = flow.then(elementwise),
            Place::Last => last = Some(elementwise),
        }
        for t in 0..self.couplings {
            flow = match self.kind {
                FlowKind::Planar => flow.then(Planar::new(params, &part("planar", t), d, rng)),
                FlowKind::Iaf => {
                    let order = match self.permutation {
                        Order::Reversal if t % 2 == 0 => Permutation::new((0..d).collect()),
                        _ => self.order(d, rng),
                    };
                    flow.then(Iaf::new(params, &part("iaf", t), order, conditioner, rng))
                }
                FlowKind::Linear | FlowKind::Cholesky | FlowKind::LowRank => {
                    unreachable!("flows without steps")
                }
                FlowKind::Realnvp => {
                    if t > 0 {
                        let order = self.order(d, rng);
                        flow = flow.then(order.registered(params, &part("permutation", t)));
                    }
                    flow.then(Coupling::new(params, &part("coupling", t), d, conditioner, rng))
                }
            };
        }
        if let Some(last) = last {
            flow = flow.then(last);
            shift.maps = flow.maps().len();
        }
        (flow, shift)
    }

    /// The next permutation of `d` entries.
    fn order(&self, d: usize, rng: &mut impl Rng) -> Permutation {
        match self.permutation {
            Order::Random => Permutation::random(d, rng),
            Order::Reversal => Permutation::reversal(d),
        }
    }
}
