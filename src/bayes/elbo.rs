//! The evidence lower bound (Krueger et al. 2017). Only this file scales it to the data set.
use super::{Draw, Kl, Prior};
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// How a minibatch is scaled to the data set.
///
/// The KL counts once for the whole data set, so each example carries `1/N` of it: not `1/|B|`, not
/// once per layer, and not averaged over weights. For example, let `N = 50,000` and `|B| = 128`,
/// let the log-likelihoods of the minibatch sum to −64 nats, and let the KL be 3,000 nats. Then
/// `ELBO = (50,000/128)(−64) − 3,000 = −28,000` nats, and the loss is
/// `−ELBO/N = 64/128 + 3,000/50,000 = 0.56` nats per example.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// `N`, the number of training examples.
    pub data: usize,
    /// `|B|`, the number of examples in the minibatch.
    pub batch: usize,
    /// `β`, the weight of the KL: 1 unless it is annealed or the posterior is tempered. The loss
    /// is least for the `q` closest to `p(θ) p(D|θ)^(1/β)`, normalised, which is the posterior for
    /// `β = 1` and narrower ("cold") for `β < 1`.
    pub beta: f64,
}

/// The bound on a tape, averaged over the samples of `θ`.
#[derive(Clone, Copy)]
pub struct Elbo<'t, T = f32> {
    /// The loss to minimise, in nats per example: `−(1/|B|) Σ_B ln p(y|x,θ) + β KL / N`.
    pub loss: Var<'t, T>,
    /// The values of the bound and its terms.
    pub terms: Terms,
}

/// The bound and its terms in nats over the whole data set, averaged over the samples of `θ`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// `log_likelihood − kl`, whatever the `β` used in training.
    pub total: f64,
    /// `(N/|B|) Σ_B ln p(y|x,θ)`.
    pub log_likelihood: f64,
    /// `ln p(θ)`; for a KL in closed form, the negative KL.
    pub log_prior: f64,
    /// `ln q(θ)`; for a KL in closed form, 0.
    pub log_q: f64,
    /// `log_q − log_prior`; 0 if there is no KL, as for a point estimate.
    pub kl: f64,
}

impl<'t, T: Scalar> Elbo<'t, T> {
    /// The bound with `−ln p(V, b)/N` added to the loss, for a prior of the network's point
    /// estimates. The terms stay those of the bound on `ln p(D|V, b)`.
    pub(super) fn with_point_prior(self, log_prior: Var<'t, T>, scale: Scale) -> Self {
        Self { loss: self.loss - log_prior * T::of(1. / scale.data as f64), ..self }
    }
}

impl Terms {
    /// The bound from its terms.
    pub fn new(log_likelihood: f64, log_prior: f64, log_q: f64) -> Self {
        let kl = log_q - log_prior;
        Self { total: log_likelihood - kl, log_likelihood, log_prior, log_q, kl }
    }
}

/// `ELBO = (N/|B|) Σ_B ln p(y|x,θ) − KL(q ‖ p)`, both terms averaged over the samples of `θ`, given
/// `ln p(yᵦ|xᵦ,θₛ) [S, B]`.
///
/// If the density of the samples is known, `KL(q ‖ p)` is estimated by the mean of
/// `ln q(θ) − ln p(θ)` over the `S` samples, or over `S·B` samples if each example has its own.
/// Otherwise the KL is in closed form, or absent; see [`Kl`].
///
/// ```
/// use bhn::{bayes::{Draw, Kl, Prior, Scale, elbo}, autodiff::{Tape, Tensor}};
/// let tape = Tape::<f64>::default();
/// let of = |shape: &[usize], x: f64| tape.leaf(Tensor::from_elem(shape, x));
/// // One sample of 10 scales with ln q = −100, and 128 of 50,000 examples at −½ nat each.
/// let draw = Draw { theta: of(&[1, 10], 155.), kl: Kl::Sampled { log_q: of(&[1], -100.) } };
/// let prior = Prior::Laplace { scale: 0.5 }; // ln p(θ) = −2 Σ |θⱼ| = −3100
/// let scale = Scale { data: 50_000, batch: 128, beta: 1. };
/// let bound = elbo(&draw, prior, of(&[1, 128], -0.5), scale);
/// assert_eq!((bound.terms.kl, bound.terms.total), (3000., -28_000.));
/// assert!((bound.loss.item() - 0.56).abs() < 1e-12);
/// ```
///
/// # Panics
/// Unless the shapes agree with each other and with `scale.batch`.
// ANCHOR: elbo
pub fn elbo<'t, T: Scalar>(
    draw: &Draw<'t, T>,
    prior: Prior,
    log_likelihood: Var<'t, T>,
    scale: Scale,
) -> Elbo<'t, T> {
    let (n, shape) = (scale.data as f64, log_likelihood.shape());
    let fits = shape.len() == 2 && shape[1] == scale.batch;
    assert!(fits, "elbo: log-likelihoods {shape:?}, {scale:?}");
    let per_example = log_likelihood.mean();
    let log_lik = n * per_example.item().f64();
    let (kl, terms) = match draw.kl {
        Kl::Sampled { log_q } => {
            let (draws, found) = (draw.theta.shape()[0], log_q.shape());
            let fits = found == [draws] && [shape[0], shape[0] * scale.batch].contains(&draws);
            assert!(fits, "elbo: {draws} samples, densities {found:?}, log-likelihoods {shape:?}");
            let (log_q, log_p) = (log_q.mean(), prior.log_prob(draw.theta).mean());
            let [q, p] = [log_q, log_p].map(|x| x.item().f64());
            (log_q - log_p, Terms::new(log_lik, p, q))
        }
        Kl::Exact(kl) => (kl, Terms::new(log_lik, 0. - kl.item().f64(), 0.)),
        Kl::Absent => {
            return Elbo { loss: -per_example, terms: Terms::new(log_lik, 0., 0.) };
        }
    };
    Elbo { loss: kl * T::of(scale.beta / n) - per_example, terms }
}
// ANCHOR_END: elbo
