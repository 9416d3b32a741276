//! `θ = h(ε)`, `ε ~ N(0, I)`: the Bayesian hypernetwork (Krueger et al. 2017).
use super::{Base, Draw, Posterior};
use crate::autodiff::{Owned, Tape, Var};
use crate::flows::{
    Bijector, Chain, Conditioner, Coupling, Elementwise, Iaf, Kink, KinkShape, Lu, Order,
    Permutation, Planar, Stabiliser,
};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// An invertible `h`, so that `ln q(θ) = ln N(ε; 0, I) − ln|det ∂h/∂ε|` is known exactly; or another
/// [`Base`] in place of the normal.
///
/// ```
/// use bhn::bayes::{Hypernet, HypernetConfig, Posterior};
/// use bhn::{nn::Params, autodiff::Tape};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let q = Hypernet::realnvp(&mut params, "q", 6, &HypernetConfig::default(), rng);
/// let p = params.bind(&tape);
/// let draw = q.draw(&p, &tape, 3, rng);
/// assert_eq!(draw.theta.shape(), [3, 6]);
/// // The same density, from θ back to ε.
/// let again = q.log_prob(&p, draw.theta);
/// assert!((again - draw.log_q.unwrap()).abs().sum().item() < 1e-9);
/// ```
pub struct Hypernet<T> {
    d: usize,
    base: Base,
    flow: Chain<T>,
    /// How many maps there are up to one that ends by adding a parameter, and that parameter.
    anchor: Option<(usize, ParamId)>,
}

/// The kind of a hypernet's flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlowKind {
    /// An elementwise layer and affine couplings: [`Hypernet::realnvp`].
    #[default]
    Realnvp,
    /// An elementwise layer and inverse autoregressive steps: [`Hypernet::iaf`].
    Iaf,
    /// Linear layers with kinks between them, for small `D`: [`Hypernet::linear`].
    Linear,
    /// An elementwise layer and planar steps: [`Hypernet::planar`].
    Planar,
}

/// The hypernets in numbers, which are the authors' code's but for `log_scale`, `shift`,
/// `weight_norm` and `kink`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HypernetConfig {
    /// The kind of flow.
    pub kind: FlowKind,
    /// `T`, the number of couplings, IAF steps or planar steps. 0 leaves the elementwise layer: Bayes
    /// by Backprop.
    pub couplings: usize,
    /// The number of linear layers of [`Hypernet::linear`].
    pub layers: usize,
    /// Units of the hidden layer of each coupling or IAF step.
    pub hidden: usize,
    /// How their scales are kept positive.
    pub stabiliser: Stabiliser,
    /// Whether their weights are normalised; the authors' MNIST code does without.
    pub weight_norm: bool,
    /// What stands between couplings, or in which order an IAF step takes its entries.
    pub permutation: Order,
    /// How sharp the bend between linear layers is.
    pub kink: KinkShape,
    /// Where the elementwise layer's `w` starts: `s = eʷ + 0.001`. The authors' −7 is a posterior of
    /// std 0.002, which a few epochs leave narrow, far from the best bound and sure of everything;
    /// −2.5, a std of 0.083, is our default (`docs/results/mnist.md` compares them).
    pub log_scale: f64,
    /// Where its shift starts. 1 trains at once; 0 is the authors', who then rescale by data.
    pub shift: f64,
    /// The noise.
    pub base: Base,
}

impl Default for HypernetConfig {
    fn default() -> Self {
        let Conditioner { hidden, stabiliser, weight_norm } = Conditioner::default();
        Self {
            kind: FlowKind::default(),
            couplings: 4,
            layers: 3,
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

impl HypernetConfig {
    fn conditioner(&self) -> Conditioner {
        let &Self { hidden, stabiliser, weight_norm, .. } = self;
        Conditioner { hidden, stabiliser, weight_norm }
    }

    /// The next permutation.
    fn order(&self, d: usize, rng: &mut impl Rng) -> Permutation {
        match self.permutation {
            Order::Random => Permutation::random(d, rng),
            Order::Reversal => Permutation::reversal(d),
        }
    }

    /// Where the layer that gives `θ` its scale and place starts: its `w` and its shift.
    fn start(&self) -> [Init; 2] {
        [self.log_scale, self.shift].map(|mean| Init::Normal { mean, std: 0.01 })
    }

    fn elementwise<T: Scalar>(
        &self,
        params: &mut Params<T>,
        name: &str,
        d: usize,
        rng: &mut impl Rng,
    ) -> (Chain<T>, Option<(usize, ParamId)>) {
        let [w, b] = self.start();
        let first = Elementwise::new(params, &format!("{name}.elementwise"), d, w, b, rng);
        let anchor = Some((1, first.shift()));
        (Chain::default().then(first), anchor)
    }
}

impl<T: Scalar + 'static> Hypernet<T> {
    /// A hypernet for `θ` of length `d` through any flow, from normal noise.
    pub fn new(d: usize, flow: Chain<T>) -> Self {
        Self { d, base: Base::Normal, flow, anchor: None }
    }

    /// The same from other noise.
    pub fn with_base(self, base: Base) -> Self {
        Self { base, ..self }
    }

    /// The hypernet that `config` describes.
    ///
    /// # Panics
    /// As the constructor of its kind.
    pub fn of(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        config: &HypernetConfig,
        rng: &mut impl Rng,
    ) -> Self {
        match config.kind {
            FlowKind::Realnvp => Self::realnvp(params, name, d, config, rng),
            FlowKind::Iaf => Self::iaf(params, name, d, config, rng),
            FlowKind::Linear => Self::linear(params, name, d, config, rng),
            FlowKind::Planar => Self::planar(params, name, d, config, rng),
        }
    }

    /// An elementwise layer, then `T` couplings with a fixed permutation between them.
    ///
    /// # Panics
    /// If `d < 2` and there are couplings.
    pub fn realnvp(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        config: &HypernetConfig,
        rng: &mut impl Rng,
    ) -> Self {
        let base = config.base.registered(params, &format!("{name}.base"));
        let (mut flow, anchor) = config.elementwise(params, name, d, rng);
        for t in 0..config.couplings {
            if t > 0 {
                let order = config.order(d, rng);
                flow = flow.then(order.registered(params, &format!("{name}.permutation.{t}")));
            }
            let name = format!("{name}.coupling.{t}");
            flow = flow.then(Coupling::new(params, &name, d, config.conditioner(), rng));
        }
        Self { anchor, ..Self::new(d, flow).with_base(base) }
    }

    /// An elementwise layer, then `T` inverse autoregressive steps, each in another order of the
    /// entries. A draw is as cheap as RealNVP's; [`Hypernet::log_prob`] takes `T D` passes.
    pub fn iaf(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        config: &HypernetConfig,
        rng: &mut impl Rng,
    ) -> Self {
        let base = config.base.registered(params, &format!("{name}.base"));
        let (mut flow, anchor) = config.elementwise(params, name, d, rng);
        for t in 0..config.couplings {
            let order = match config.permutation {
                Order::Reversal if t % 2 == 0 => Permutation::new((0..d).collect()),
                _ => config.order(d, rng),
            };
            let name = format!("{name}.iaf.{t}");
            flow = flow.then(Iaf::new(params, &name, order, config.conditioner(), rng));
        }
        Self { anchor, ..Self::new(d, flow).with_base(base) }
    }

    /// Linear layers `x ↦ x L U + b` with a kink between them, as in the authors' toys; the last starts
    /// as narrow as another hypernet's elementwise layer.
    ///
    /// # Panics
    /// If there are no layers.
    pub fn linear(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        config: &HypernetConfig,
        rng: &mut impl Rng,
    ) -> Self {
        assert!(config.layers > 0, "Hypernet::linear: no layers");
        let base = config.base.registered(params, &format!("{name}.base"));
        let mut flow = Chain::default();
        for t in 1..config.layers {
            let around_zero = Init::Normal { mean: 0., std: 0.01 };
            let (layer, kink) = (format!("{name}.linear.{t}"), format!("{name}.kink.{t}"));
            flow = flow
                .then(Lu::new(params, &layer, d, around_zero, around_zero, rng))
                .then(Kink::new(params, &kink, d, config.kink));
        }
        let [w, b] = config.start();
        let last = Lu::new(params, &format!("{name}.linear.{}", config.layers), d, w, b, rng);
        let anchor = Some((2 * config.layers - 1, last.shift()));
        Self { anchor, ..Self::new(d, flow.then(last)).with_base(base) }
    }

    /// An elementwise layer, then `T` planar steps.
    pub fn planar(
        params: &mut Params<T>,
        name: &str,
        d: usize,
        config: &HypernetConfig,
        rng: &mut impl Rng,
    ) -> Self {
        let base = config.base.registered(params, &format!("{name}.base"));
        let (mut flow, anchor) = config.elementwise(params, name, d, rng);
        for t in 0..config.couplings {
            flow = flow.then(Planar::new(params, &format!("{name}.planar.{t}"), d, rng));
        }
        Self { anchor, ..Self::new(d, flow).with_base(base) }
    }

    /// `h`.
    pub fn flow(&self) -> &Chain<T> {
        &self.flow
    }
}

impl<T: Scalar> Hypernet<T> {
    /// `ln q(θ)` of any `θ [S, D]`, giving `[S]`: from `θ` back to `ε`.
    pub fn log_prob<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>) -> Var<'t, T> {
        let (eps, log_det) = self.flow.inverse(p, theta);
        self.base.log_prob(eps) + log_det
    }
}

impl<T: Scalar> Posterior<T> for Hypernet<T> {
    fn draw<'t>(
        &self,
        p: &BoundParams<'t, T>,
        tape: &'t Tape<T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T> {
        let eps = tape.constant(self.base.sample::<T>([samples, self.d], rng));
        tape.spent_on("noise", samples * self.d * size_of::<T>());
        let (theta, log_det) = self.flow.forward(p, eps);
        Draw { theta, log_q: Some(self.base.log_prob(eps) - log_det), kl: None }
    }

    fn flow(&self) -> Option<&dyn Bijector<T>> {
        Some(&self.flow)
    }

    fn density<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>) -> Option<Var<'t, T>> {
        Some(self.log_prob(p, theta))
    }

    /// So that `h(0)` is `theta`: one shift within `h` moves by what the maps behind it, permutations
    /// among them, leave of the difference.
    ///
    /// # Panics
    /// If no shift is known, as for a flow of one's own.
    fn recentre(&self, params: &mut Params<T>, theta: &[f64]) {
        let (n, shift) = self.anchor.expect("recentre: a flow without a shift that is known");
        let tape = Tape::default();
        let p = params.freeze(&tape);
        let theta = Owned::from_shape_fn(vec![1, self.d], |i| T::of(theta[i[1]]));
        let aim = self.flow.inverse_to(n, &p, tape.constant(theta)).value();
        let found = self.flow.forward_through(n, &p, tape.constant(Owned::zeros(vec![1, self.d]))).value();
        let moved = params.get(shift).iter().zip(&aim).zip(&found);
        let moved: Vec<_> = moved.map(|((b, aim), y)| (*b + *aim - *y).f64()).collect();
        super::set(params.get_mut(shift), &moved);
    }
}
