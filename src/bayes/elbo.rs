//! The evidence lower bound (Krueger et al. 2017), with its scale in one place.
use super::Draw;
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// How a minibatch stands for the data set.
///
/// The KL counts once for the whole data set, so an example carries `1/N` of it: not `1/B`, not one
/// part a layer, and no mean over the weights. With `N = 50,000`, `B = 128`, a minibatch
/// log-likelihood of −64 nats and a KL of 3,000 nats: `ELBO = (50,000/128)(−64) − 3,000 = −28,000`
/// nats, and the loss is `64/128 + 3,000/50,000 = 0.56` nats an example: `−ELBO/N`.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// `N`, the number of training examples.
    pub data: usize,
    /// `|B|`, how many of them are in this minibatch.
    pub batch: usize,
    /// `β`, the KL's weight: 1 but while annealing.
    pub beta: f64,
}

/// The bound and its terms on a tape, means over the samples.
#[derive(Clone, Copy)]
pub struct Elbo<'t, T = f32> {
    /// What is minimised, in nats an example: `−(1/|B|) Σ_B ln p(y|x,θ) + β KL / N`.
    pub loss: Var<'t, T>,
    /// The numbers, over the whole data set.
    pub terms: Terms,
}

/// The bound and its terms in nats over the whole data set, averaged over the samples of `θ`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// `log_likelihood − kl`, whatever `β` was in training.
    pub total: f64,
    /// `(N/|B|) Σ_B ln p(y|x,θ)`.
    pub log_likelihood: f64,
    /// `ln p(θ)`; the negative KL where that is taken in closed form, and not from draws.
    pub log_prior: f64,
    /// `ln q(θ)`; 0 then.
    pub log_q: f64,
    /// `log_q − log_prior`; 0 for a point estimate.
    pub kl: f64,
}

impl Terms {
    /// The bound from its terms.
    pub fn new(log_likelihood: f64, log_prior: f64, log_q: f64) -> Self {
        let kl = log_q - log_prior;
        Self { total: log_likelihood - kl, log_likelihood, log_prior, log_q, kl }
    }
}

/// `ELBO = E_q[(N/|B|) Σ_B ln p(y|x,θ) + ln p(θ) − ln q(θ)]` by Monte Carlo over the samples drawn,
/// from `ln p(θ) [S]` and `ln p(yᵦ|xᵦ,θₛ) [S, B]`.
///
/// A draw without a density (a point estimate) has no KL, but for one that it brings itself. If
/// examples have samples of their own, there are `S·B` priors.
///
/// ```
/// use bhn::{bayes::{Draw, Scale, elbo}, autodiff::{Tape, Tensor}};
/// let tape = Tape::<f64>::default();
/// let of = |shape: &[usize], x: f64| tape.leaf(Tensor::from_elem(shape, x));
/// // One sample: ln q = −100, ln p = −3100, and 128 of 50,000 examples at −½ nat each.
/// let draw = Draw { theta: of(&[1, 10], 0.), log_q: Some(of(&[1], -100.)), kl: None };
/// let scale = Scale { data: 50_000, batch: 128, beta: 1. };
/// let bound = elbo(&draw, of(&[1], -3100.), of(&[1, 128], -0.5), scale);
/// assert_eq!((bound.terms.kl, bound.terms.total), (3000., -28_000.));
/// assert!((bound.loss.item() - 0.56).abs() < 1e-12);
/// ```
///
/// # Panics
/// Unless the shapes agree with each other and with `scale.batch`.
pub fn elbo<'t, T: Scalar>(
    draw: &Draw<'t, T>,
    log_prior: Var<'t, T>,
    log_likelihood: Var<'t, T>,
    scale: Scale,
) -> Elbo<'t, T> {
    let (draws, shape) = (draw.theta.shape()[0], log_likelihood.shape());
    let each = log_prior.shape() == [draws] && [shape[0], shape[0] * scale.batch].contains(&draws);
    let fits = shape.len() == 2 && shape[1] == scale.batch && (draw.kl.is_some() || each);
    assert!(fits, "elbo: {draws} draws, log-likelihoods {shape:?}, {scale:?}");
    let n = scale.data as f64;
    let per_example = log_likelihood.mean();
    let log_lik = n * per_example.item().f64();
    let (kl, terms) = match (draw.log_q, draw.kl) {
        (Some(log_q), _) => {
            let (log_q, log_prior) = (log_q.mean(), log_prior.mean());
            let [q, p] = [log_q, log_prior].map(|x| x.item().f64());
            (log_q - log_prior, Terms::new(log_lik, p, q))
        }
        (None, Some(kl)) => (kl, Terms::new(log_lik, 0. - kl.item().f64(), 0.)),
        (None, None) => {
            return Elbo { loss: -per_example, terms: Terms::new(log_lik, 0., 0.) };
        }
    };
    Elbo { loss: kl * T::of(scale.beta / n) - per_example, terms }
}
