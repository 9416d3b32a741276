//! Likelihoods of targets given a network's outputs.
use crate::autodiff::{Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, ParamId};
use std::sync::Arc;

/// The targets of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets<T = f32> {
    /// Class indices `[B]`.
    Classes(Vec<usize>),
    /// Real values `[B]`.
    Values(Vec<T>),
}

impl<T> Targets<T> {
    /// The number of targets `B`.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(y) => y.len(),
            Self::Values(y) => y.len(),
        }
    }

    /// Whether `B` is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Class indices `[B]`.
    ///
    /// # Panics
    /// If the targets are real values.
    pub fn classes(&self) -> &[usize] {
        match self {
            Self::Classes(y) => y,
            Self::Values(_) => panic!("Targets::classes: the targets are numbers"),
        }
    }

    /// The targets in another precision.
    pub fn cast<U: Scalar>(&self) -> Targets<U>
    where
        T: Scalar,
    {
        match self {
            Self::Classes(y) => Targets::Classes(y.clone()),
            Self::Values(y) => Targets::Values(y.iter().map(|y| U::of(y.f64())).collect()),
        }
    }

    /// The targets of the examples with these indices, in the same order.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn select(&self, examples: &[usize]) -> Self
    where
        T: Copy,
    {
        match self {
            Self::Classes(y) => Self::Classes(examples.iter().map(|&i| y[i]).collect()),
            Self::Values(y) => Self::Values(examples.iter().map(|&i| y[i]).collect()),
        }
    }
}

/// `p(y | x, θ)`, parametrised by the network's outputs.
///
/// ```
/// use bhn::{bayes::{Likelihood, Targets}, nn::Params, autodiff::{Tape, Tensor}};
/// let (params, tape) = (Params::<f64>::default(), Tape::default());
/// let p = params.freeze(&tape);
/// let logits = tape.constant(Tensor::zeros(&[1, 2, 4][..])); // S = 1, B = 2, K = 4
/// let exact = Likelihood::Categorical { clip: None };
/// let log_p = exact.log_prob(&p, logits, &Targets::Classes(vec![0, 3]));
/// assert_eq!(log_p.shape(), [1, 2]);
/// assert!((log_p.value()[[0, 1]] - 0.25_f64.ln()).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Likelihood {
    /// A softmax over logits. `clip = ε`, as in the paper, clips the probabilities to `[ε, 1 − ε]`
    /// in the loss. An example with `p(y)` outside this interval has no gradient.
    Categorical {
        /// `ε`; `None` is the exact log-softmax, which needs no clipping.
        clip: Option<f64>,
    },
    /// `N(y; f(x), 1/τ)` with a fixed precision.
    Gaussian {
        /// `τ`.
        precision: f64,
    },
    /// `N(y; f(x), 1/τ)` with a trained parameter `ln τ` of shape `[1]`.
    LearnedGaussian(ParamId),
    /// `N(y; f₁(x), 1/τ(x))` with `ln τ(x) = f₂(x)`: the noise level depends on the input, and the
    /// network has two outputs.
    InputGaussian,
}

impl Likelihood {
    /// `ln p(yᵦ | xᵦ, θₛ) [S, B]` for `outputs [S, B, K]`.
    ///
    /// # Panics
    /// If the targets are not those of the likelihood (classes for a categorical one, values for a
    /// Gaussian), or their number is not `B`.
    pub fn log_prob<'t, T: Scalar>(
        self,
        p: &BoundParams<'t, T>,
        outputs: Var<'t, T>,
        targets: &Targets<T>,
    ) -> Var<'t, T> {
        let shape = outputs.shape();
        let output = |k: usize| outputs.slice(2, k..k + 1).reshape(&shape[..2]);
        let gaussian = |log_precision: Var<'t, T>, y: &[T]| {
            let k = if matches!(self, Self::InputGaussian) { 2 } else { 1 };
            assert!(shape[1..] == [y.len(), k], "outputs {shape:?} for {} values", y.len());
            let y = Tensor::from_shape_vec(vec![y.len()], y.to_vec()).expect("a vector");
            let y = outputs.tape().named_constant("y", y);
            let mean = if k == 2 { output(0) } else { outputs.reshape(&shape[..2]) };
            y.normal_log_prob(mean, log_precision)
        };
        match (self, targets) {
            (Self::Categorical { clip }, Targets::Classes(y)) => {
                let labels: Arc<[usize]> = y.as_slice().into();
                match clip {
                    None => outputs.categorical_log_prob(labels),
                    Some(epsilon) => outputs.clipped_categorical_log_prob(labels, T::of(epsilon)),
                }
            }
            (Self::Gaussian { precision }, Targets::Values(y)) => {
                let log = Tensor::from_elem(vec![1], T::of(precision.ln()));
                gaussian(outputs.tape().constant(log), y)
            }
            (Self::LearnedGaussian(id), Targets::Values(y)) => gaussian(p[id], y),
            (Self::InputGaussian, Targets::Values(y)) => gaussian(output(1), y),
            (likelihood, _) => panic!("{likelihood:?}: targets of the other kind"),
        }
    }

    /// `τ`, if the likelihood is Gaussian with one noise level.
    pub fn precision<T: Scalar>(self, p: &BoundParams<'_, T>) -> Option<f64> {
        match self {
            Self::Categorical { .. } | Self::InputGaussian => None,
            Self::Gaussian { precision } => Some(precision),
            Self::LearnedGaussian(id) => Some(p[id].item().f64().exp()),
        }
    }
}
