//! Gradient descent, clipping, and the schedules of its learning rate and of the KL's weight.
use crate::kernels::vector::{self, AdamStep};
use crate::nn::Params;
use crate::scalar::Scalar;
use crate::tape::{Owned, Tensor};
use serde::{Deserialize, Serialize};

/// How a gradient becomes a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rule {
    /// `u ← μ u + g`, `w ← w − η u`; plain gradient descent for `μ = 0`.
    Sgd {
        /// `μ`.
        momentum: f64,
    },
    /// Adam (Kingma & Ba 2015): `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`,
    /// `w ← w − η m̂ / (√v̂ + ε)` with `m̂ = m / (1−β₁ᵗ)`, `v̂ = v / (1−β₂ᵗ)`.
    Adam {
        /// `β₁`.
        beta1: f64,
        /// `β₂`.
        beta2: f64,
        /// `ε`.
        epsilon: f64,
    },
}

impl Default for Rule {
    /// Adam with 0.9, 0.999 and 10⁻⁸, as the authors' code has it.
    fn default() -> Self {
        Self::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// Bounds on the gradient: its global norm is scaled down to `norm`, then every element is held
/// within `± element`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// The largest global norm.
    pub norm: f64,
    /// The largest element after that.
    pub element: f64,
}

impl Default for Clip {
    /// 10 and 5, as the authors' code does.
    fn default() -> Self {
        Self { norm: 10., element: 5. }
    }
}

impl Clip {
    /// No bounds.
    pub const NONE: Self = Self { norm: f64::INFINITY, element: f64::INFINITY };
}

/// An optimiser: a rule, the steps it has taken, and its moments (one tensor a parameter each).
///
/// ```
/// use bhn::optim::{Clip, Optimiser, Rule};
/// use bhn::{nn::Params, tape::{Owned, Tape}};
/// let mut params = Params::<f64>::default();
/// let w = params.add("w", Owned::ones(&[3][..]));
/// let mut adam = Optimiser::new(Rule::default(), &params);
/// for _ in 0..500 {
///     let tape = Tape::default();
///     let p = params.bind(&tape);
///     let loss = (p[w] - 5.).powi(2).sum();
///     adam.step(&mut params, &p.gradients(loss.backward()), 0.05, Clip::default());
/// }
/// assert!(params.get(w).iter().all(|w| (w - 5.).abs() < 1e-2));
/// ```
#[derive(Clone, Debug)]
pub struct Optimiser<T = f32> {
    rule: Rule,
    steps: u64,
    moments: Vec<(&'static str, Vec<Tensor<T>>)>,
}

impl<T: Scalar> Optimiser<T> {
    /// For these parameters.
    pub fn new(rule: Rule, params: &Params<T>) -> Self {
        let names: &[_] = match rule {
            Rule::Sgd { momentum: 0. } => &[],
            Rule::Sgd { .. } => &["momentum"],
            Rule::Adam { .. } => &["m", "v"],
        };
        let zeros = || params.iter().map(|(_, w)| Tensor::zeros(w.raw_dim())).collect();
        Self { rule, steps: 0, moments: names.iter().map(|&name| (name, zeros())).collect() }
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Continue from a number of steps: what a checkpoint restores beside the moments.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// Each kind of moment by name, a tensor a parameter, in the parameters' order.
    pub fn moments(&self) -> impl Iterator<Item = (&'static str, &[Tensor<T>])> {
        self.moments.iter().map(|(name, moments)| (*name, moments.as_slice()))
    }

    /// The same, to be restored.
    pub fn moments_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut [Tensor<T>])> {
        self.moments.iter_mut().map(|(name, moments)| (*name, moments.as_mut_slice()))
    }

    /// Change `params` by one step along `grads` (in their order; `None` counts as zero) at
    /// `rate = η`. Returns the gradient's global norm before clipping; if that is not finite,
    /// nothing is changed.
    ///
    /// # Panics
    /// Unless gradients and parameters have the same shapes.
    pub fn step(
        &mut self,
        params: &mut Params<T>,
        grads: &[Option<Owned<T>>],
        rate: f64,
        clip: Clip,
    ) -> f64 {
        assert_eq!(grads.len(), params.iter().len(), "a gradient a parameter");
        let squares = |g: &Owned<T>| vector::sum_of_squares(g.as_slice().expect("row-major"));
        let norm = grads.iter().flatten().map(squares).sum::<f64>().sqrt();
        if !norm.is_finite() {
            return norm;
        }
        self.steps += 1;
        let shrink = T::of(if norm > clip.norm { clip.norm / norm } else { 1. });
        let limit = T::of(clip.element);
        for (i, ((name, w), g)) in params.iter_mut().zip(grads).enumerate() {
            let zero;
            let g = match g {
                Some(g) => g,
                None => {
                    zero = Owned::zeros(w.raw_dim());
                    &zero
                }
            };
            assert!(g.shape() == w.shape(), "{name}: gradient {:?} for {:?}", g.shape(), w.shape());
            let g = g.as_slice().expect("a gradient is row-major");
            let w = entries(w);
            match (self.rule, &mut self.moments[..]) {
                (Rule::Adam { beta1, beta2, epsilon }, [(_, m), (_, v)]) => {
                    let t = self.steps as f64;
                    let step = AdamStep {
                        shrink,
                        limit,
                        beta1: T::of(beta1),
                        beta2: T::of(beta2),
                        rate: T::of(rate / (1. - beta1.powf(t))),
                        unbias: T::of(1. / (1. - beta2.powf(t))),
                        epsilon: T::of(epsilon),
                    };
                    vector::adam(step, g, entries(&mut m[i]), entries(&mut v[i]), w);
                }
                (Rule::Sgd { momentum }, moments) => {
                    let (rate, momentum) = (T::of(rate), T::of(momentum));
                    let mut u = moments.first_mut().map(|(_, u)| entries(&mut u[i]));
                    for (j, (w, &g)) in w.iter_mut().zip(g).enumerate() {
                        let mut step = (shrink * g).max(-limit).min(limit);
                        if let Some(u) = &mut u {
                            u[j] = momentum * u[j] + step;
                            step = u[j];
                        }
                        *w -= rate * step;
                    }
                }
                (Rule::Adam { .. }, _) => unreachable!("Adam has two moments"),
            }
        }
        norm
    }
}

fn entries<T: Scalar>(x: &mut Tensor<T>) -> &mut [T] {
    x.as_slice_mut().expect("a parameter is row-major")
}

/// A learning rate over the epochs `e = 0 … E − 1`, as a factor of the initial one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// `1`.
    #[default]
    Constant,
    /// `10^(−e/(E−1))`: down to a tenth, the authors' choice.
    Paper,
    /// `1 − e/E`.
    Linear,
    /// `½ (1 + cos(π e/E))`.
    Cosine,
}

impl Schedule {
    /// The factor at epoch `e` (it may be a fraction) of `epochs`.
    pub fn factor(self, e: f64, epochs: f64) -> f64 {
        match self {
            Self::Constant => 1.,
            Self::Paper => 10_f64.powf(-e / (epochs - 1.).max(1.)),
            Self::Linear => (1. - e / epochs).max(0.),
            Self::Cosine => 0.5 * (1. + (std::f64::consts::PI * e / epochs).cos()),
        }
    }
}

/// The KL's weight at epoch `e`, raised linearly from 0.001 over `anneal` epochs:
/// `min(1, 0.001 + e / anneal)`. The authors' choice is `anneal = E/2`; 0 is no annealing.
pub fn kl_weight(e: f64, anneal: f64) -> f64 {
    if anneal > 0. { (0.001 + e / anneal).min(1.) } else { 1. }
}
