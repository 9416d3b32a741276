//! Gradient descent and clipping.
pub use super::schedule::{Schedule, kl_weight};

use crate::autodiff::Tensor;
use crate::autodiff::gradient::{Gradient, rows_at_a_time, width};
use crate::kernels::scalar::Scalar;
use crate::kernels::vector::{self, AdamStep};
use crate::nn::Params;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The update rule of an optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Update {
    /// SGD with momentum: `u ← μ u + g`, `w ← w − η u`; plain gradient descent for `μ = 0`.
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
    /// Adam with `β₁ = 0.9`, `β₂ = 0.999` and `ε = 10⁻⁸`, as in the code of Krueger et al. (2017).
    fn default() -> Self {
        Self::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// Gradient clipping: the gradient is scaled down to a global norm of at most `norm`, then every
/// element is clipped to `± element`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// The largest global norm.
    pub norm: f64,
    /// The largest absolute value of an element.
    pub element: f64,
}

impl Default for Clip {
    /// A global norm of at most 10 and elements of at most 5, as in the code of Krueger et al.
    /// (2017).
    fn default() -> Self {
        Self { norm: 10., element: 5. }
    }
}

impl Clip {
    /// No clipping.
    pub const NONE: Self = Self { norm: f64::INFINITY, element: f64::INFINITY };
}

/// An optimiser: an update rule, a factor of the learning rate for each parameter, the moments
/// (tensors shaped like the parameters), and the number of steps taken.
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
    update: Update,
    /// The factor of the learning rate of each parameter.
    factors: Vec<f64>,
    steps: u64,
    moments: Vec<(&'static str, Vec<Tensor<T>>)>,
}

impl<T: Scalar> Optimiser<T> {
    /// An optimiser of these parameters.
    pub fn new(update: Update, params: &Params<T>) -> Self {
        let names: &[_] = match update {
            Update::Sgd { momentum: 0. } => &[],
            Update::Sgd { .. } => &["momentum"],
            Update::Adam { .. } => &["m", "v"],
        };
        let zeros = || params.iter().map(|(_, w)| Tensor::zeros(w.raw_dim())).collect();
        let moments = names.iter().map(|&name| (name, zeros())).collect();
        Self { update, factors: vec![1.; params.iter().len()], steps: 0, moments }
    }

    /// The optimiser with the learning rate `η · factor(name)` for the parameter `name` of
    /// `params`, in place of `η`.
    pub fn with_factors(self, params: &Params<T>, factor: impl Fn(&str) -> f64) -> Self {
        Self { factors: params.iter().map(|(name, _)| factor(name)).collect(), ..self }
    }

    /// The number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Set the number of steps, to restore a checkpoint.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// The moments by name, each with a tensor per parameter in the order of the parameters.
    pub fn moments(&self) -> impl Iterator<Item = (&'static str, &[Tensor<T>])> {
        self.moments.iter().map(|(name, moments)| (*name, moments.as_slice()))
    }

    /// The moments, mutable, to restore a checkpoint.
    pub fn moments_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut [Tensor<T>])> {
        self.moments.iter_mut().map(|(name, moments)| (*name, moments.as_mut_slice()))
    }

    /// Update `params` by one step with the gradients `grads`, in the order of the parameters, and
    /// the learning rate `rate = η`, times the parameter's [factor](Optimiser::with_factors). A
    /// parameter without a gradient (`None`) is left unchanged, and so are its moments. Returns the
    /// gradient's global norm before clipping; if it is not finite, nothing is changed.
    ///
    /// # Panics
    /// Unless there is one entry of `grads` per parameter, and every dense gradient has the shape
    /// of its parameter.
    pub fn step(
        &mut self,
        params: &mut Params<T>,
        grads: &[Option<Gradient<T>>],
        rate: f64,
        clip: Clip,
    ) -> f64 {
        assert_eq!(grads.len(), params.iter().len(), "one gradient per parameter");
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
        type Apply<T> = Box<dyn Fn(&mut Vec<T>, Part<'_, T>) + Sync>;
        let apply: Apply<T> = match self.update {
            Update::Adam { beta1, beta2, epsilon } => {
                let unbias = 1. - beta1.powf(t);
                let step = move |rate: f64| AdamStep {
                    shrink,
                    limit,
                    beta1: T::of(beta1),
                    beta2: T::of(beta2),
                    rate: T::of(rate / unbias),
                    unbias: T::of(1. / (1. - beta2.powf(t))),
                    epsilon: T::of(epsilon),
                };
                Box::new(move |space, part| adam(step(part.rate), part, space))
            }
            Update::Sgd { momentum } => {
                let momentum = T::of(momentum);
                Box::new(move |space, part| {
                    let rate = T::of(part.rate);
                    let g = part.grad.form(part.first, part.w, part.width, space);
                    for (j, (w, &g)) in part.w.iter_mut().zip(g).enumerate() {
                        let mut step = (shrink * g).max(-limit).min(limit);
                        if let Some(u) = part.m.get_mut(j) {
                            *u = momentum * *u + step;
                            step = *u;
                        }
                        *w -= rate * step;
                    }
                })
            }
        };
        self.parts(params, grads, rate).into_par_iter().for_each_init(Vec::new, |space, part| {
            apply(space, part);
        });
        norm
    }

    /// The parameters with a gradient, their gradients, moments and learning rates, in blocks of a
    /// few rows, to be updated in parallel.
    fn parts<'a>(
        &'a mut self,
        params: &'a mut Params<T>,
        grads: &'a [Option<Gradient<T>>],
        rate: f64,
    ) -> Vec<Part<'a, T>> {
        let mut parts = vec![];
        let mut moments = self.moments.iter_mut().map(|(_, moments)| moments.iter_mut());
        let [mut m, mut v] = [moments.next(), moments.next()];
        for (((_, w), g), factor) in params.iter_mut().zip(grads).zip(&self.factors) {
            let [m, v] = [&mut m, &mut v].map(|moments| moments.as_mut().and_then(Iterator::next));
            let Some(grad) = g else { continue };
            let (rows, width, rate) = (rows_at_a_time(w.shape()), width(w.shape()), rate * factor);
            let [mut m, mut v] = [m, v].map(|moments| {
                moments.map_or(&mut [][..], Tensor::as_slice_mut).chunks_mut(rows * width)
            });
            for (i, w) in w.as_slice_mut().chunks_mut(rows * width).enumerate() {
                let [m, v] = [&mut m, &mut v].map(|moments| moments.next().unwrap_or_default());
                parts.push(Part { grad, first: i * rows, width, rate, w, m, v });
            }
        }
        parts
    }
}

/// A few rows of a parameter, its gradient, its learning rate, and its moments (empty if the update
/// rule has none).
struct Part<'a, T> {
    grad: &'a Gradient<T>,
    first: usize,
    width: usize,
    rate: f64,
    w: &'a mut [T],
    m: &'a mut [T],
    v: &'a mut [T],
}

/// Rows of this length are worth a call of a kernel each.
const LONG: usize = 128;

/// Adam's update of a few rows. Long rows of gradients of one noise sample or of eight are not
/// formed first.
fn adam<T: Scalar>(step: AdamStep<T>, part: Part<'_, T>, space: &mut Vec<T>) {
    let Part { grad, first, width, w, m, v, .. } = part;
    let is_low_rank =
        grad.row_of_rank::<1>(first).is_some() || grad.row_of_rank::<8>(first).is_some();
    if !is_low_rank || width < LONG {
        return vector::adam(step, grad.form(first, w, width, space), m, v, w);
    }
    let moments = m.chunks_exact_mut(width).zip(v.chunks_exact_mut(width));
    for (i, (w, (m, v))) in (first..).zip(w.chunks_exact_mut(width).zip(moments)) {
        if let Some(g) = grad.row_of_rank::<1>(i) {
            vector::adam_combined(step, g, m, v, w);
        } else if let Some(g) = grad.row_of_rank::<8>(i) {
            vector::adam_combined(step, g, m, v, w);
        }
    }
}
