//! The base distribution of a flow: that of the noise `ε`.
use crate::autodiff::{Owned, Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{Buffer, Params};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

/// `p(ε)` with independent entries; `ln q(θ) = ln p(ε) − ln|det ∂h/∂ε|`.
///
/// ```
/// use bhn::{bayes::Base, autodiff::{Tape, Tensor}};
/// let tape = Tape::<f64>::default();
/// let base = Base::Mixture { components: 2, distance: 3., axes: Default::default() };
/// let eps = tape.constant(Tensor::from_elem(&[1, 1][..], 3.)); // one sample, D = 1
/// // ½ N(3; −3, 1) + ½ N(3; 3, 1)
/// let expected = (0.5 * ((-18_f64).exp() + 1.)).ln() - 0.5 * std::f64::consts::TAU.ln();
/// assert!((base.log_prob(eps).item() - expected).abs() < 1e-14);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Base {
    /// `N(0, I)`.
    #[default]
    Normal,
    /// `(1/K) Σ N(μₖ, 1)` with centres `μₖ` spaced equally from `−c` to `c`. It has several modes,
    /// which smooth flows do not easily produce from a base with only one.
    Mixture {
        /// The number of components `K`.
        components: usize,
        /// The outermost centre `c`.
        distance: f64,
        /// Which entries are mixtures; the others are `N(0, 1)`.
        #[serde(default)]
        axes: Axes,
    },
}

/// Which entries of `ε` are mixtures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axes {
    /// The first entry: `K` modes.
    #[default]
    First,
    /// Every entry independently: `Kᴰ` modes.
    All,
}

impl Base {
    /// `μ₁ … μ_K`; 0 if `K = 1`.
    fn centres(components: usize, distance: f64) -> impl Iterator<Item = f64> {
        let step = 2. / (components.max(2) - 1) as f64;
        let first = if components < 2 { 0. } else { -1. };
        (0..components).map(move |k| distance * (first + step * k as f64))
    }

    /// The base distribution, with its centres `μ₁ … μ_K` registered as the buffer `NAME.centres`.
    /// The centres are always computed from `K` and `c`; those in a checkpoint must agree.
    pub(super) fn registered<T: Scalar>(self, params: &mut Params<T>, name: &str) -> Self {
        if let Self::Mixture { components, distance, .. } = self {
            let centres = Self::centres(components, distance).map(|centre| centre as f32).collect();
            params.buffer(format!("{name}.centres"), Buffer::Numbers(centres), |_| false);
        }
        self
    }

    /// The number of entries, out of `d`, that are mixtures.
    fn mixed(self, d: usize) -> usize {
        match self {
            Self::Normal => 0,
            Self::Mixture { axes: Axes::First, .. } => d.min(1),
            Self::Mixture { axes: Axes::All, .. } => d,
        }
    }

    /// Samples `ε [S, D]`.
    ///
    /// # Panics
    /// If a mixture has no components.
    pub fn sample<T: Scalar>(self, [s, d]: [usize; 2], rng: &mut dyn Rng) -> Owned<T> {
        let normal = || T::of(rng.sample(StandardNormal));
        let mut eps = Owned::from_shape_simple_fn(&[s, d][..], normal);
        if let Self::Mixture { components, distance, .. } = self {
            let centres: Vec<_> = Self::centres(components, distance).map(T::of).collect();
            for mut row in eps.rows_mut() {
                for eps in row.iter_mut().take(self.mixed(d)) {
                    *eps += centres[rng.random_range(0..components)];
                }
            }
        }
        eps
    }

    /// `ln p(ε) [S]` for `ε [S, D]`, including the normalising constant.
    ///
    /// # Panics
    /// If `ε` is not a matrix, or a mixture has no components.
    pub fn log_prob<'t, T: Scalar>(self, eps: Var<'t, T>) -> Var<'t, T> {
        let Self::Mixture { components, distance, .. } = self else {
            return eps.standard_normal_log_prob();
        };
        let (shape, tape) = (eps.shape(), eps.tape());
        assert!(shape.len() == 2, "Base: {shape:?} is not [S, D]");
        let d = shape[1];
        let constant = |x: f64| tape.constant(Tensor::from_elem(vec![1], T::of(x)));
        let (mixed, zero) = (self.mixed(d), constant(0.));
        let part = eps.slice(1, 0..mixed);
        let near = |centre| part.normal_log_prob(constant(centre), zero);
        let each: Vec<_> = Self::centres(components, distance).map(near).collect();
        let mixture = Var::stack(&each, 0).log_sum_exp(0) - T::of((components as f64).ln());
        mixture.sum_axis(1) + eps.slice(1, mixed..d).standard_normal_log_prob()
    }
}
