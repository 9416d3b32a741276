//! The auxiliary distribution `r(z|w)` of multiplicative normalizing flows.
use super::{Hypernet, HypernetConfig, Posterior};
use crate::autodiff::Var;
use crate::flows::Bijector;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, ParamId, Params};
use crate::primary::{Block, BlockKind};
use rand::Rng;

/// `ln r(z|w) = ln N(h⁻¹(z); μ̃(w), σ̃(w)²) + ln|det ∂h⁻¹/∂z|`.
pub(super) struct Auxiliary<T> {
    /// The hypernet of `h`. Its base distribution is not used.
    flow: Hypernet<T>,
    layers: Vec<Features>,
}

/// The parameters by which `μ̃` and `σ̃` depend on a layer's weights.
struct Features {
    block: Block,
    /// `c`, `b₁` and `b₂`, each with one entry per multiplier.
    params: [ParamId; 3],
}

/// The initial standard deviation of `b₁` and `b₂`. It is small, so that `r` starts near the
/// pushforward of `N(0, I)`.
const START: f64 = 0.01;

impl<T: Scalar> Auxiliary<T> {
    /// `r` of the multipliers of `blocks`, with a flow that `config` describes.
    pub fn new(
        params: &mut Params<T>,
        name: &str,
        blocks: &[Block],
        config: &HypernetConfig,
        rng: &mut impl Rng,
    ) -> Self {
        let u = blocks.iter().map(Block::factors).sum();
        let flow = Hypernet::new(params, &format!("{name}.flow"), u, config, rng);
        let mut features = |(i, &block): (usize, &Block)| {
            let parts = [("c", 1.), ("b1", START), ("b2", START)];
            let params = parts.map(|(part, std)| {
                let start = Init::Normal { mean: 0., std }.sample(&[block.factors()], rng);
                params.add(format!("{name}.{i}.{part}"), start)
            });
            Features { block, params }
        };
        let layers = blocks.iter().enumerate().map(&mut features).collect();
        Self { flow, layers }
    }

    /// `ln r(z|w) [S]` for `z [S, U]` and `w [S, D]`.
    pub fn log_prob<'t>(&self, p: &BoundParams<'t, T>, z: Var<'t, T>, w: Var<'t, T>) -> Var<'t, T> {
        let (base, ln_det) = self.flow.flow().inverse(p, z);
        let (means, log_variances): (Vec<_>, Vec<_>) =
            self.layers.iter().map(|layer| layer.normals(p, w)).unzip();
        let [mean, log_variance] = [means, log_variances].map(|parts| Var::concat(&parts, 1));
        base.normal_log_prob(mean, -log_variance).sum_axis(1) + ln_det
    }

    /// Centres `h` at `z`.
    pub fn recentre(&self, params: &mut Params<T>, z: &[f64]) {
        self.flow.recentre(params, z);
    }
}

impl Features {
    /// `μ̃ = b₁ a` and `ln σ̃² = b₂ a`, each `[S, U]`, where `a` is the mean over `i` of
    /// `tanh(Σⱼ cⱼ wᵢⱼ)`.
    fn normals<'t, T: Scalar>(
        &self,
        p: &BoundParams<'t, T>,
        w: Var<'t, T>,
    ) -> (Var<'t, T>, Var<'t, T>) {
        let (s, Block { outputs, inputs, kind, .. }) = (w.shape()[0], self.block);
        let [c, b1, b2] = self.params.map(|id| p[id]);
        let w = w.slice(1, self.block.weights()).reshape(&[s, outputs, inputs]);
        let products = match kind {
            BlockKind::Dense => (w * c).sum_axis(2),
            BlockKind::Conv => (w * c.reshape(&[outputs, 1])).sum_axis(1),
        };
        let a = products.tanh().mean_axis(1).reshape(&[s, 1]);
        (a * b1, a * b2)
    }
}
