//! Gradient descent, clipping, and the schedules of its learning rate and of the KL's weight.
use crate::autodiff::Tensor;
use crate::autodiff::gradient::{Gradient, rows_at_a_time, width};
use crate::kernels::scalar::Scalar;
use crate::kernels::vector::{self, AdamStep};
use crate::nn::Params;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How a gradient becomes a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Update {
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

impl Default for Update {
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
/// use bhn::nn::optim::{Clip, Optimiser, Update};
/// use bhn::{nn::Params, autodiff::{Owned, Tape}};
/// let mut params = Params::<f64>::default();
/// let w = params.add("w", Owned::ones(&[3][..]));
/// let mut adam = Optimiser::new(Update::default(), &params);
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
    rule: Update,
    steps: u64,
    moments: Vec<(&'static str, Vec<Tensor<T>>)>,
}

impl<T: Scalar> Optimiser<T> {
    /// For these parameters.
    pub fn new(rule: Update, params: &Params<T>) -> Self {
        let names: &[_] = match rule {
            Update::Sgd { momentum: 0. } => &[],
            Update::Sgd { .. } => &["momentum"],
            Update::Adam { .. } => &["m", "v"],
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
        grads: &[Option<Gradient<T>>],
        rate: f64,
        clip: Clip,
    ) -> f64 {
        assert_eq!(grads.len(), params.iter().len(), "a gradient a parameter");
        let squares = params.iter().zip(grads).map(|((name, w), g)| {
            let g = g.as_ref()?;
            let found = g.dense().map_or(w.shape(), |g| g.shape());
            assert!(found == w.shape(), "{name}: gradient {found:?} for {:?}", w.shape());
            Some(g.squares(w))
        });
        let norm = squares.flatten().sum::<f64>().sqrt();
        if !norm.is_finite() {
            return norm;
        }
        self.steps += 1;
        let shrink = T::of(if norm > clip.norm { clip.norm / norm } else { 1. });
        let limit = T::of(clip.element);
        let t = self.steps as f64;
        let adam = |beta1: f64, beta2: f64, epsilon| AdamStep {
            shrink,
            limit,
            beta1: T::of(beta1),
            beta2: T::of(beta2),
            rate: T::of(rate / (1. - beta1.powf(t))),
            unbias: T::of(1. / (1. - beta2.powf(t))),
            epsilon: T::of(epsilon),
        };
        let update = match self.rule {
            Update::Adam { beta1, beta2, epsilon } => Step::Adam(adam(beta1, beta2, epsilon)),
            Update::Sgd { momentum } => Step::Sgd(T::of(momentum)),
        };
        let rate = T::of(rate);
        let each = |g: &[T], part: Part<'_, T>| match update {
            Step::Adam(step) => vector::adam(step, g, part.m, part.v, part.w),
            Step::Sgd(momentum) => {
                for (j, (w, &g)) in part.w.iter_mut().zip(g).enumerate() {
                    let mut step = (shrink * g).max(-limit).min(limit);
                    if let Some(u) = part.m.get_mut(j) {
                        *u = momentum * *u + step;
                        step = *u;
                    }
                    *w -= rate * step;
                }
            }
        };
        let zero = Gradient::default();
        self.parts(params, grads, &zero).into_par_iter().for_each_init(Vec::new, |space, part| {
            each(part.grad.form(part.first, part.w, part.width, space), part);
        });
        norm
    }

    /// All parameters and moments in parts of a few rows.
    fn parts<'a>(
        &'a mut self,
        params: &'a mut Params<T>,
        grads: &'a [Option<Gradient<T>>],
        zero: &'a Gradient<T>,
    ) -> Vec<Part<'a, T>> {
        let mut parts = vec![];
        let mut moments = self.moments.iter_mut().map(|(_, moments)| moments.iter_mut());
        let [mut m, mut v] = [moments.next(), moments.next()];
        for ((_, w), g) in params.iter_mut().zip(grads) {
            let (rows, width) = (rows_at_a_time(w.shape()), width(w.shape()));
            let [mut m, mut v] = [&mut m, &mut v].map(|moments| {
                let moments = moments.as_mut().and_then(Iterator::next);
                moments.map_or(&mut [][..], entries).chunks_mut(rows * width)
            });
            for (i, w) in entries(w).chunks_mut(rows * width).enumerate() {
                let [m, v] = [&mut m, &mut v].map(|moments| moments.next().unwrap_or_default());
                let grad = g.as_ref().unwrap_or(zero);
                parts.push(Part { grad, first: i * rows, width, w, m, v });
            }
        }
        parts
    }
}

/// A [`Update`] at one step, for every part of it.
enum Step<T> {
    Adam(AdamStep<T>),
    /// `μ`.
    Sgd(T),
}

/// A few rows of a parameter, of its gradient, and of such moments as there are.
struct Part<'a, T> {
    grad: &'a Gradient<T>,
    first: usize,
    width: usize,
    w: &'a mut [T],
    m: &'a mut [T],
    v: &'a mut [T],
}

fn entries<T: Scalar>(x: &mut Tensor<T>) -> &mut [T] {
    x.as_slice_mut()
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
    /// `min(1, (1 − e/E) / 0.9)`: down linearly after the first tenth, as in the authors' toy.
    LateLinear,
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
            Self::LateLinear => ((1. - e / epochs) / 0.9).clamp(0., 1.),
            Self::Cosine => 0.5 * (1. + (std::f64::consts::PI * e / epochs).cos()),
        }
    }
}

/// The KL's weight at epoch `e`, raised linearly from 0.001 over `anneal` epochs:
/// `min(1, 0.001 + e / anneal)`. The authors' choice is `anneal = E/2`; 0 is no annealing.
pub fn kl_weight(e: f64, anneal: f64) -> f64 {
    if anneal > 0. { (0.001 + e / anneal).min(1.) } else { 1. }
}
