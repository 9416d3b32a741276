//! `θ = h(ε)`, `ε ~ N(0, I)`: the Bayesian hypernetwork (Krueger et al. 2017).
use super::{Draw, Posterior};
use crate::flows::{Bijector, Chain, Conditioner, Coupling, Elementwise, Permutation, Stabiliser};
use crate::nn::{Bound, Init, ParamId, Params};
use crate::scalar::Scalar;
use crate::tape::{Owned, Tape};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// An invertible `h`, so that `ln q(θ) = ln N(ε; 0, I) − ln|det ∂h/∂ε|` is known exactly.
///
/// ```
/// use bhn::bayes::{Hypernet, HypernetConfig, Posterior};
/// use bhn::{flows::Bijector, nn::Params, tape::Tape};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let q = Hypernet::realnvp(&mut params, "q", 6, &HypernetConfig::default(), rng);
/// let p = params.bind(&tape);
/// let draw = q.draw(&p, &tape, 3, rng);
/// assert_eq!(draw.theta.shape(), [3, 6]);
/// // The same density, from θ back to ε.
/// let (eps, log_det) = q.flow().inverse(&p, draw.theta);
/// let again = eps.standard_normal_log_prob() + log_det;
/// assert!((again - draw.log_q.unwrap()).abs().sum().item() < 1e-9);
/// ```
pub struct Hypernet<T> {
    d: usize,
    flow: Chain<T>,
    /// How many maps there are up to one that ends by adding a parameter, and that parameter.
    anchor: Option<(usize, ParamId)>,
}

/// The paper's RealNVP hypernet in numbers, which are the authors' code's but for `log_scale` and
/// `shift`.
#[derive(Clone, Copy, Debug)]
pub struct HypernetConfig {
    /// `T`, the number of couplings. 0 leaves the elementwise layer: Bayes by Backprop.
    pub couplings: usize,
    /// Units of each coupling's hidden layer.
    pub hidden: usize,
    /// How a coupling keeps its scale positive.
    pub stabiliser: Stabiliser,
    /// Where the elementwise layer's `w` starts: `s = eʷ + 0.001`. The authors' −7 is a posterior of
    /// std 0.002, which a few epochs leave narrow, far from the best bound and sure of everything;
    /// −2.5, a std of 0.083, is our default (`docs/results/mnist.md` compares them).
    pub log_scale: f64,
    /// Where its shift starts. 1 trains at once; 0 is the authors', who then rescale by data.
    pub shift: f64,
}

impl Default for HypernetConfig {
    fn default() -> Self {
        let stabiliser = Stabiliser::default();
        Self { couplings: 4, hidden: 200, stabiliser, log_scale: -2.5, shift: 1. }
    }
}

impl<T: Scalar + 'static> Hypernet<T> {
    /// A hypernet for `θ` of length `d` through any flow.
    pub fn new(d: usize, flow: Chain<T>) -> Self {
        Self { d, flow, anchor: None }
    }

    /// An elementwise layer, then `T` couplings with a fixed random permutation between them.
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
        let around = |mean| Init::Normal { mean, std: 0.01 };
        let (w, b) = (around(config.log_scale), around(config.shift));
        let first = Elementwise::new(params, &format!("{name}.elementwise"), d, w, b, rng);
        let anchor = Some((1, first.shift()));
        let mut flow = Chain::default().then(first);
        for t in 0..config.couplings {
            if t > 0 {
                flow = flow.then(Permutation::random(d, rng));
            }
            let name = format!("{name}.coupling.{t}");
            let (hidden, stabiliser) = (config.hidden, config.stabiliser);
            let conditioner = Conditioner { hidden, stabiliser, ..Conditioner::default() };
            flow = flow.then(Coupling::new(params, &name, d, conditioner, rng));
        }
        Self { anchor, ..Self::new(d, flow) }
    }

    /// `h`.
    pub fn flow(&self) -> &Chain<T> {
        &self.flow
    }
}

impl<T: Scalar> Posterior<T> for Hypernet<T> {
    fn draw<'t>(
        &self,
        p: &Bound<'t, T>,
        tape: &'t Tape<T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Draw<'t, T> {
        let noise = || T::of(rng.sample(StandardNormal));
        let eps = tape.constant(Owned::from_shape_simple_fn(&[samples, self.d][..], noise));
        tape.spent_on("noise", samples * self.d * size_of::<T>());
        let (theta, log_det) = self.flow.forward(p, eps);
        Draw { theta, log_q: Some(eps.standard_normal_log_prob() - log_det), kl: None }
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
        let aim = self.flow.back_to(n, &p, tape.constant(theta)).value();
        let found = self.flow.first(n, &p, tape.constant(Owned::zeros(vec![1, self.d]))).value();
        let moved = params.get(shift).iter().zip(&aim).zip(&found);
        let moved: Vec<_> = moved.map(|((b, aim), y)| (*b + *aim - *y).f64()).collect();
        super::set(params.get_mut(shift), &moved);
    }
}
