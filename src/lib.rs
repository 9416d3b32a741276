//! Bayesian hypernetworks (Krueger et al. 2017, [arXiv 1710.04759]) on an autodiff engine written
//! from scratch.
//!
//! # From noise to the loss
//!
//! Three symbols have the same meaning everywhere. `w` denotes all weights and biases of the
//! primary network, which maps inputs `x` to predictions. `g` denotes the weight-normalisation
//! scales of this network, one per unit. `θ` is the vector over which the posterior is defined: `g`
//! by default, `w` with [`primary::AllWeights`]. `ln` is the natural logarithm, so every bound and
//! entropy is in nats.
//!
//! **1. The bound.** The posterior `p(θ|D) = p(D|θ) p(θ) / p(D)` is intractable, and is
//! approximated by a density `q(θ)` from a tractable family. For every `q`,
//!
//! ```text
//! ln p(D) = E_q[ln p(D|θ) + ln p(θ) − ln q(θ)] + KL(q(θ) ‖ p(θ|D))
//! ```
//!
//! The KL divergence is not negative, so the first term, the evidence lower bound (ELBO), is at
//! most `ln p(D)`, and maximising it over `q` minimises the divergence.
//!
//! **2. The hypernetwork** is an invertible, differentiable map `h` from noise to parameters. The
//! change of variables gives the density of its samples exactly ([`bayes::Hypernet`]):
//!
//! ```text
//! ε ~ N(0, I),   θ = h(ε),   ln q(θ) = ln N(ε; 0, I) − ln|det ∂h/∂ε|
//! ```
//!
//! `h` is a [`flows::Chain`] of [`flows::Bijector`]s whose log-determinants add up. An affine
//! coupling ([`flows::Coupling`]) passes one half of its input through and transforms the other,
//! `y₁ = x₁`, `y₂ = s(x₁) ⊙ x₂ + m(x₁)`: the Jacobian is triangular, and its log-determinant is
//! `Σ ln s`. With stacked couplings, `q` can be correlated and multimodal. If there are none, `q`
//! is a factorised Gaussian, as in Bayes by Backprop.
//!
//! **3. The scales.** A large network has too many weights for a hypernetwork to emit. So each unit
//! `j` has a direction `vⱼ` and a scale `gⱼ` (weight normalisation), and only the scales are random
//! ([`primary::WeightNormed`]):
//!
//! ```text
//! wⱼ = gⱼ vⱼ/‖vⱼ‖,   z ← g ⊙ (V z)/‖V‖ + b,   θ = g          784-800-800-10 has D = 1610
//! ```
//!
//! Directions and biases are point estimates, trained with the same loss. The KL is taken between
//! `q(g)` and the prior `p(g) = N(0, 1/λ)`, and the ELBO bounds `ln p(D | V, b)`.
//!
//! **4. The estimate.** Samples `θₛ = h(εₛ)` are differentiable in the parameters of `h`
//! (reparametrisation), and a minibatch `B` stands for all `N` examples ([`elbo`](fn@bayes::elbo)):
//!
//! ```text
//! ELBO ≈ (1/S) Σₛ { (N/|B|) Σ_B ln p(y|x, θₛ) − [ln q(θₛ) − ln p(θₛ)] }
//! ```
//!
//! **5. The loss** is `−ELBO/N`, in nats per example, with a weight `β` on the KL that is 1 except
//! while it is annealed. This is the scalar that [`backward`](autodiff::Var::backward)
//! differentiates:
//!
//! ```text
//! loss = −(1/(S|B|)) Σₛ Σ_B ln p(y|x, h(εₛ))
//!        + (β/(SN)) Σₛ [ln N(εₛ; 0, I) − ln|det ∂h/∂εₛ| − ln p(h(εₛ))]
//! ```
//!
//! Gradients reach `h` through the likelihood and the prior, which depend on `θₛ`, and through the
//! log-determinant; they reach `V` and `b` through the likelihood alone, unless these have a prior
//! of their own ([`bayes::PointPrior`]). `ln N(ε; 0, I)` changes the value of the loss and not its
//! gradient.
//!
//! **6. Prediction** averages over samples of the posterior ([`predict`](fn@predict::predict)):
//!
//! ```text
//! p(y|x, D) ≈ (1/S) Σₛ p(y|x, θₛ),   θₛ ~ q
//! ```
//!
//! [arXiv 1710.04759]: https://arxiv.org/abs/1710.04759
//!
//! # A model, trained
//!
//! ```
//! use bhn::bayes::{
//!     Estimator, Hypernet, HypernetConfig, Likelihood, Model, Noise, PointPrior, Prior, Scale,
//!     Targets,
//! };
//! use bhn::nn::Params;
//! use bhn::nn::optim::{Clip, Optimiser, Update};
//! use bhn::primary::{Layer, WeightNormed};
//! use bhn::random::{Purpose, stream};
//! use bhn::autodiff::{Owned, Precision, Tape};
//!
//! // Classify the sign of x: 20 examples, a network with 8 + 2 scales.
//! let x = Owned::from_shape_fn(vec![20, 1], |i| i[0] as f32 / 10. - 0.95);
//! let y = Targets::Classes(x.iter().map(|&x| usize::from(x > 0.)).collect());
//! let (mut params, rng) = (Params::default(), &mut stream(0, Purpose::Init, 0));
//! let primary = Box::new(WeightNormed::new(&mut params, "f", 1, &Layer::mlp(&[8], 2), rng));
//! let config = HypernetConfig { couplings: 2, hidden: 16, ..HypernetConfig::default() };
//! let posterior = Box::new(Hypernet::new(&mut params, "h", 10, &config, rng));
//! let likelihood = Likelihood::Categorical { clip: None };
//! let (prior, point_prior) = (Prior::default(), PointPrior::default());
//! let (noise, gradient) = (Noise::Shared, Estimator::Total);
//! let precision = Precision::F32;
//! let mut model = Model {
//!     params, primary, posterior, prior, point_prior, likelihood, noise, gradient, precision,
//! };
//!
//! let mut adam = Optimiser::new(Update::default(), &model.params);
//! let mut bounds = vec![];
//! for step in 0..200 {
//!     let tape = Tape::default();
//!     let (p, x) = (model.params.bind(&tape), tape.constant(x.clone()));
//!     let scale = Scale { data: 20, batch: 20, beta: 1. };
//!     let pass = model.pass(&p, x, &y, 1, scale, &mut stream(0, Purpose::Noise, step));
//!     bounds.push(pass.elbo.terms.total);
//!     let grads = p.gradients(pass.elbo.loss.backward());
//!     adam.step(&mut model.params, &grads, 0.01, Clip::default());
//! }
//! assert!(bounds[199] > bounds[0] + 20., "the bound rises, in nats: {bounds:?}");
//! ```
//!
//! The numbered files in `examples/` show one idea each, from the tape to MNIST.
//!
//! # Modules, from the bottom up
//!
//! 1. [`error`]: errors of the outside world. [`random`]: random numbers as a function of (seed,
//!    purpose, index).
//! 2. [`kernels`]: numerical loops over slices. [`kernels::plain`] defines each; the other modules
//!    compute the same values, fast.
//! 3. [`autodiff`]: the tape, its operations, gradient checks.
//! 4. [`nn`]: parameters, layers, optimisers.
//! 5. [`flows`]: bijectors; [`primary`]: the network that `θ` parametrises. Neither module uses the
//!    other.
//! 6. [`bayes`]: posterior, prior, likelihood and ELBO, which combine a flow and a network.
//! 7. [`stats`], [`metrics`] and [`data`].
//! 8. [`predict`]: posterior predictive, uncertainty scores, acquisition.
//! 9. [`run`]: a training run, from its configuration to its folder.
//! 10. [`verify`]; with the feature `cli`: `report`, `experiments`, `explore` and `cli`.
//!
//! `docs/equations.md` maps every equation of the paper to the item that implements it.
pub mod autodiff;
pub mod bayes;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod error;
#[cfg(feature = "cli")]
pub mod experiments;
#[cfg(feature = "cli")]
pub mod explore;
pub mod flows;
pub mod kernels;
pub mod metrics;
pub mod nn;
pub mod predict;
pub mod primary;
pub mod random;
#[cfg(feature = "cli")]
pub mod report;
pub mod run;
pub mod stats;
pub mod verify;

/// The Rust code in README.md, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The Rust code in docs/guide.md, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
struct Guide;

/// The Rust code in docs/verify.md, as doctests.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../docs/verify.md")]
struct Tour;
