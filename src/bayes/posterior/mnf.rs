//! Multiplicative normalizing flows (Louizos & Welling 2017): normal weights whose means are
//! multiplied by random factors from a flow.
use super::auxiliary::Auxiliary;
use super::{Draw, Hypernet, HypernetConfig, Kl, Posterior};
use crate::autodiff::{Owned, Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use crate::primary::Block;
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `q(w|z) = Π N(wᵢⱼ; zⱼ μᵢⱼ, σᵢⱼ²)`, `z ~ q(z)` from a flow; `q(w) = ∫ q(w|z) q(z) dz`.
///
/// There is one multiplier `z` per input unit of a dense layer and per output channel of a
/// convolution; biases have none. One [`Hypernet`] over the multipliers `z [U]` of all layers is
/// simpler than one per layer: a layer with a single input needs no exception, although a coupling
/// needs two entries. It also lets multipliers of different layers depend on each other.
///
/// `q(w)` has no closed form. An auxiliary distribution `r(z|w)`, trained with the same loss,
/// bounds the ELBO from below:
/// `E[ln p(D|w) + ln p(w) − ln q(w|z) − ln q(z) + ln r(z|w)] =
/// ln p(D) − KL(q(w) ‖ p(w|D)) − E KL(q(z|w) ‖ r(z|w))`. Hence
///
/// * `log_q` of a [`Draw`] is `ln q(w|z) + ln q(z) − ln r(z|w)`: that of the augmented space
///   `(w, z)`, whose target is `p(w, D) r(z|w)`. The bound and the importance weights follow as for
///   any posterior, and `E[p(w, D) r(z|w) / (q(w|z) q(z))] = p(D)` for every `r`.
/// * [`Posterior::density`] is `None`, since `q(w)` of a given `w` is unknown.
/// * `r` is a density of the model and has a gradient of its own: a gradient estimator that drops
///   the score of `q` must keep that of `r`.
///
/// `r(z|w)` is the pushforward, by a second flow `h`, of normals that depend on `w` (equations 9 to
/// 11 of the paper, with `a` for the mean): `ln r(z|w) = ln N(h⁻¹(z); μ̃, σ̃²) + ln|det ∂h⁻¹/∂z|`.
/// For each layer `μ̃ = b₁ a` and `ln σ̃² = b₂ a` with trained vectors `b₁`, `b₂` and `c`, and `a`
/// the mean over `i` of `tanh(Σⱼ cⱼ wᵢⱼ)`, where `j` is the index of the multipliers.
///
/// Both flows start at `z ≈ 1`, and `b₁`, `b₂` near 0, so that `r` starts near `q(z)`, and `q(w)`
/// as nearly independent normals around the network's own initial weights. As long as `r` does not
/// depend on `w`, the spread of `z` lowers the bound: training may shrink it and end at independent
/// normals although the family has better ones, see `tests/model/oracles/mnf.rs`.
///
/// ```
/// use bhn::bayes::{Mnf, MnfConfig, Posterior};
/// use bhn::primary::{AllWeights, Layer, PrimaryNet};
/// use bhn::{nn::Params, autodiff::Tape};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// let net: Box<dyn PrimaryNet<f64>> = Box::new(AllWeights::new(4, &Layer::mlp(&[3], 2)));
/// let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let start = net.start(rng);
/// let q = Mnf::new(&mut params, "q", &start, &net.blocks(), &MnfConfig::default(), rng);
/// let p = params.bind(&tape);
/// let sample = q.sample(&p, 5, rng);
/// assert_eq!((sample.w.shape(), sample.z.shape()), (vec![5, 23], vec![5, 4 + 3]));
/// assert!(q.density(&p, sample.w).is_none());
/// ```
pub struct Mnf<T> {
    mean: ParamId,
    log_std: ParamId,
    multipliers: Hypernet<T>,
    auxiliary: Auxiliary<T>,
    /// `U`.
    units: usize,
    /// The index in `z` of the multiplier of each entry of `w`; `U` if it has none.
    index: Arc<[usize]>,
}

/// The settings of [`Mnf`]. The couplings and hidden units are the paper's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MnfConfig {
    /// The number of affine couplings of each of the two flows, after an elementwise layer. With 0,
    /// the multipliers are independent normals.
    pub couplings: usize,
    /// The number of hidden units of each coupling.
    pub hidden: usize,
    /// The initial logarithm of every `σ`.
    pub log_std: f64,
    /// The initial mean of the parameter `v` of the flows' elementwise layers, whose scale, the
    /// initial standard deviation of `z`, is `eᵛ + 0.001`.
    pub log_scale: f64,
}

impl Default for MnfConfig {
    fn default() -> Self {
        let HypernetConfig { log_scale, .. } = HypernetConfig::default();
        Self { couplings: 2, hidden: 50, log_std: -4., log_scale }
    }
}

/// `S` samples of weights and multipliers, and the terms of their log-density.
#[derive(Clone, Copy)]
pub struct Augmented<'t, T = f32> {
    /// `w [S, D]`.
    pub w: Var<'t, T>,
    /// `z [S, U]`.
    pub z: Var<'t, T>,
    /// `ln q(w|z) [S]`.
    pub log_conditional: Var<'t, T>,
    /// `ln q(z) [S]`.
    pub log_multipliers: Var<'t, T>,
    /// `ln r(z|w) [S]`.
    pub log_auxiliary: Var<'t, T>,
}

impl<T: Scalar> Mnf<T> {
    /// Weights with initial means `mean [D]`; those in `blocks` have multipliers.
    ///
    /// # Panics
    /// If a block exceeds `D`, there is no block, or there are couplings and only one multiplier.
    pub fn new(
        params: &mut Params<T>,
        name: &str,
        mean: &[f64],
        blocks: &[Block],
        config: &MnfConfig,
        rng: &mut impl Rng,
    ) -> Self {
        let units = blocks.iter().map(Block::factors).sum();
        assert!(units > 0, "Mnf: no weights with multipliers");
        let mut index = vec![units; mean.len()];
        let mut first = 0;
        for block in blocks {
            for (i, index) in index[block.weights()].iter_mut().enumerate() {
                *index = first + block.factor(i);
            }
            first += block.factors();
        }
        let log_stds = Owned::from_elem(vec![mean.len()], T::of(config.log_std));
        let mean = params.add(format!("{name}.mean"), super::vector(mean));
        let log_std = params.add(format!("{name}.log_std"), log_stds);
        let MnfConfig { couplings, hidden, log_scale, .. } = *config;
        let flow =
            HypernetConfig { couplings, hidden, log_scale, shift: 1., ..HypernetConfig::default() };
        let multipliers = Hypernet::new(params, &format!("{name}.multipliers"), units, &flow, rng);
        let auxiliary = Auxiliary::new(params, &format!("{name}.auxiliary"), blocks, &flow, rng);
        Self { mean, log_std, multipliers, auxiliary, units, index: index.into() }
    }

    /// `q(z)`.
    pub fn multipliers(&self) -> &Hypernet<T> {
        &self.multipliers
    }

    /// The means `[S, D]` of `q(w|z)` for `z [S, U]`.
    fn means<'t>(&self, p: &BoundParams<'t, T>, z: Var<'t, T>) -> Var<'t, T> {
        let one = p.tape().constant(Tensor::ones(vec![z.shape()[0], 1]));
        Var::concat(&[z, one], 1).gather(1, self.index.clone()) * p[self.mean]
    }

    /// `ln q(w|z) [S]` of any `w [S, D]` and `z [S, U]`.
    pub fn log_conditional<'t>(
        &self,
        p: &BoundParams<'t, T>,
        w: Var<'t, T>,
        z: Var<'t, T>,
    ) -> Var<'t, T> {
        w.normal_log_prob(self.means(p, z), p[self.log_std] * T::of(-2.)).sum_axis(1)
    }

    /// `ln r(z|w) [S]` of any `z [S, U]` and `w [S, D]`.
    pub fn log_auxiliary<'t>(
        &self,
        p: &BoundParams<'t, T>,
        z: Var<'t, T>,
        w: Var<'t, T>,
    ) -> Var<'t, T> {
        self.auxiliary.log_prob(p, z, w)
    }

    /// `samples` samples of weights and multipliers.
    pub fn sample<'t>(
        &self,
        p: &BoundParams<'t, T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Augmented<'t, T> {
        let Draw { theta: z, kl } = self.multipliers.draw(p, samples, rng);
        let Kl::Sampled { log_q: log_multipliers } = kl else { unreachable!("a hypernet") };
        let (log_std, shape) = (p[self.log_std], [samples, self.index.len()]);
        let eps =
            p.tape().named_constant("ε", Init::STANDARD_NORMAL.sample(&shape, &mut &mut *rng));
        let w = self.means(p, z) + log_std.exp() * eps;
        Augmented {
            w,
            z,
            log_conditional: eps.standard_normal_log_prob() - log_std.sum(),
            log_multipliers,
            log_auxiliary: self.log_auxiliary(p, z, w),
        }
    }
}

impl<T: Scalar> Posterior<T> for Mnf<T> {
    /// The samples of [`Mnf::sample`], with `log_q = ln q(w|z) + ln q(z) − ln r(z|w)`.
    fn draw<'t>(&self, p: &BoundParams<'t, T>, samples: usize, rng: &mut dyn Rng) -> Draw<'t, T> {
        let Augmented { w, log_conditional, log_multipliers, log_auxiliary, .. } =
            self.sample(p, samples, rng);
        let log_q = log_conditional + log_multipliers - log_auxiliary;
        Draw { theta: w, kl: Kl::Sampled { log_q } }
    }

    /// Sets the means to `theta`, and centres both flows at 1.
    fn recentre(&self, params: &mut Params<T>, theta: &[f64]) {
        super::set(params.get_mut(self.mean), theta);
        let one = vec![1.; self.units];
        self.multipliers.recentre(params, &one);
        self.auxiliary.recentre(params, &one);
    }
}
