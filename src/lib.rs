//! Bayesian hypernetworks (Krueger et al. 2017, arXiv 1710.04759) on an autodiff engine written from
//! scratch.
//!
//! # The model
//!
//! A network trained in the usual way is one value of its parameters `θ`. A Bayesian one is a
//! distribution over them, `p(θ|D) ∝ p(D|θ) p(θ)`, which nobody can compute; so it is approximated
//! by a family `q` that can be sampled and whose density is known:
//!
//! ```text
//! ε ~ N(0, I),  θ = h(ε),  h invertible               the hypernetwork
//! log q(θ) = log N(ε; 0, I) − log|det ∂h/∂ε|          change of variables
//! log p(D) ≥ E_q[log p(D|θ) + log p(θ) − log q(θ)]    the bound that is maximised
//! ```
//!
//! The bound falls short of `log p(D)` by `KL(q(θ) ‖ p(θ|D))`: the higher it is, the better `q`. `h`
//! is a stack of simple maps whose determinants are cheap, so `q` may be correlated and have many
//! modes. A large network has too many weights for that, so only its weight-normalisation scales
//! `g`, one a unit, are random, and the directions `v` are trained as usual:
//!
//! ```text
//! θⱼ = gⱼ vⱼ/‖vⱼ‖                                     784-800-800-10 has 1610 scales
//! p(y|x, D) ≈ (1/S) Σₛ p(y|x, θₛ),  θₛ ~ q            prediction: samples vote
//! ```
//!
//! # All of it in twenty lines
//!
//! ```
//! use bhn::bayes::{Hypernet, HypernetConfig, Likelihood, Model, Noise, Prior, Scale, Targets};
//! use bhn::nn::Params;
//! use bhn::nn::optim::{Clip, Optimiser, Update};
//! use bhn::primary::{Layer, WeightNormed};
//! use bhn::random::{Purpose, stream};
//! use bhn::autodiff::{Owned, Tape};
//!
//! // Is x above zero? 20 examples, and a network with 8 + 2 scales.
//! let x = Owned::from_shape_fn(vec![20, 1], |i| i[0] as f32 / 10. - 0.95);
//! let y = Targets::Classes(x.iter().map(|&x| usize::from(x > 0.)).collect());
//! let (mut params, rng) = (Params::default(), &mut stream(0, Purpose::Init, 0));
//! let primary = Box::new(WeightNormed::new(&mut params, "f", 1, &Layer::mlp(&[8], 2), rng));
//! let config = HypernetConfig { couplings: 2, hidden: 16, ..HypernetConfig::default() };
//! let posterior = Box::new(Hypernet::realnvp(&mut params, "h", 10, &config, rng));
//! let likelihood = Likelihood::Categorical { clip: None };
//! let (prior, noise) = (Prior::default(), Noise::Shared);
//! let mut model = Model { params, primary, posterior, prior, likelihood, noise };
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
//! The folder `examples/` takes it apart, one idea a file, from the tape to MNIST.
//!
//! # Where to read
//!
//! From the bottom up, each resting on those before it:
//!
//! 1. [`autodiff`]: differentiation, its operations and their check. Below it [`kernels`] does the arithmetic.
//! 2. [`nn`]: parameters, layers and Adam.
//! 3. [`flows`]: `h`; [`primary`]: the network that `θ` is for. Neither knows of the other.
//! 4. [`bayes`]: posterior, prior, likelihood and the bound, where they meet.
//! 5. [`data`]; [`metrics`] and [`stats`]; [`predict`]: what a trained model says.
//! 6. [`run`]: a folder with all that a run leaves behind. [`random`] makes it repeatable, [`error`]
//!    says what went wrong.
//! 7. `experiments` (with the command line): the paper's, each with its claims and their verdicts.
pub mod autodiff;
pub mod bayes;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod error;
#[cfg(feature = "cli")]
pub mod experiments;
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
#[cfg(feature = "cli")]
pub mod verify;

/// The README's code runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So does that of the tour of `bhn verify`.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../docs/verify.md")]
struct Tour;
