//! The loss of a whole model: its gradient with respect to all parameters at once, for a trained
//! run.
use super::gradients::measurement;
use super::suite::{Instance, Measurement, Property};
use crate::autodiff::gradcheck::{Report, Verdict, gradcheck, randn};
use crate::autodiff::{Owned, Tape, Var};
use crate::bayes::{Draw, Elbo, Kl, Model, Posterior, Scale, Targets, Terms};
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, ParamId, Params};
use crate::primary::PrimaryNet;
use ndarray::Array2;
use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};

/// A loss in `f64` on a few examples, with the same noise in every evaluation.
pub struct Loss {
    /// The model, at the parameters where the gradient is taken.
    model: Model<f64>,
    /// Inputs of shape `[B, inputs]`.
    x: Array2<f64>,
    /// The targets of the `B` examples.
    y: Targets<f64>,
    /// `S`, the number of samples of `θ`.
    samples: usize,
    /// `N`, the number of training examples. The KL has the weight `β/N`.
    data: usize,
    /// `β`.
    beta: f64,
    setting: Setting,
    /// The length of the step along the gradient that, to first order, changes the loss by
    /// [`CHANGE`].
    reach: f64,
    /// A direction in which the sound loss increases. Faults are measured along the same direction.
    uphill: Vec<Owned<f64>>,
}

/// The examples and parameters at which finite differences resolve the gradient. The default is the
/// first examples at the run's parameters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Setting {
    /// The index of the first example.
    pub(super) first: usize,
    /// Whether the targets are replaced by others, which is done if no examples' loss responds with
    /// their own targets.
    pub(super) other_targets: bool,
    /// The seed of a step away from the run's parameters, if any. It is needed if a ReLU has no
    /// bias and its inputs are all 0: the ReLU is then exactly at its kink along every direction.
    pub(super) moved: Option<u64>,
}

/// The smallest magnitude of the log-likelihood, in nats per example, for which examples are
/// chosen. The checker's step of `10⁻⁴` then changes the loss by `10⁻⁴` times [`CHANGE`] times at
/// least this log-likelihood, or `10⁻⁷`. The rounding error with logits of 10 is `10⁻¹⁵`, so that
/// differences are accurate to `10⁻⁸`.
const LEAST: f64 = 0.1;
/// Examples are chosen only if a step of at most this length along the gradient changes the loss by
/// [`CHANGE`].
const REACH: f64 = 10.;
/// If a longer step than this is needed to change the loss by [`CHANGE`], the gradient is lost in
/// the rounding error of the loss.
const FAR: f64 = 1e6;
/// The smallest change of the gradient that differences resolve, relative to its norm.
const RESOLUTION: f64 = 1e-5;
/// The step across which a kink is looked for, and the smallest jump of the gradient, relative to
/// its norm, that indicates a kink.
const NUDGE: f64 = 1e-9;
const JUMP: f64 = 1e-5;
/// The standard deviation of the step of [`Setting::moved`], relative to the root mean square of a
/// tensor's entries or, if that is below 0.1, to 0.1.
const MOVE: f64 = 1e-2;
/// `β` is reduced so that `β` times the KL is at most this multiple of the log-likelihood. With a
/// million weights and a thousand examples, the likelihood's gradient would otherwise be lost in
/// the rounding error of the KL.
const KL: f64 = 10.;
/// The change of the loss along a direction at `t = 1`, relative to the size of its terms. The
/// change is as small as differences can resolve: a longer step moves so many entries at once that
/// some ReLU would cross its kink.
const CHANGE: f64 = 1e-2;
/// The standard deviation of an entry of the random part, relative to the norm of the uphill
/// direction. The values are tried in this order until differences resolve the gradient.
const SHARES: [f64; 3] = [1e-2, 1e-3, 1e-4];
/// The number of random parts drawn for each of [`SHARES`].
const TRIES: u64 = 2;

/// The gradient of the loss against finite differences.
pub(super) const WHOLE_LOSS: Property<Loss> = Property::new(
    "whole loss",
    "the gradient of the loss with respect to every parameter agrees with finite differences, with its own likelihood, prior and posterior",
    Loss::differences,
);

impl Loss {
    /// The loss of `model` on the examples of `setting`.
    pub(super) fn new(
        mut model: Model<f64>,
        (x, y): (Array2<f64>, Targets<f64>),
        samples: usize,
        data: usize,
        setting: Setting,
    ) -> Self {
        for (i, (_, w)) in model.params.iter_mut().enumerate() {
            if let Some(seed) = setting.moved {
                let size = (squares(&w.to_owned()) / w.len() as f64).sqrt().max(0.1);
                *w = (&*w + &(randn(w.shape(), seed + i as u64) * (MOVE * size))).into();
            }
        }
        let mut loss =
            Self { model, x, y, samples, data, beta: 1., setting, reach: 0., uphill: vec![] };
        let Terms { log_likelihood, kl, .. } = loss.terms();
        if log_likelihood.abs() >= LEAST * data as f64 {
            loss.beta = (KL * (log_likelihood / kl).abs()).min(1.);
        }
        // The size of the terms and not that of the loss, in which they may cancel.
        let size = (log_likelihood.abs() + loss.beta * kl.abs()) / data as f64;
        let gradient = loss.gradient(loss.beta);
        let norm = gradient.iter().map(squares).sum::<f64>().sqrt();
        loss.reach = CHANGE * size / norm;
        let likelihood = loss.gradient(0.);
        // The direction has the same length in every tensor. A tensor with a small fraction of the
        // gradient's norm then contributes that fraction to the slope, and not its square. The
        // likelihood's gradient is added because it may be orthogonal to the gradient of the loss.
        let unit = |g: &Owned<f64>, length: f64| {
            let norm = squares(g).sqrt();
            g * if norm > 0. { length / norm } else { 0. }
        };
        let uphill = gradient.iter().zip(&likelihood);
        let uphill = uphill.map(|(g, l)| unit(g, loss.reach) + unit(l, loss.reach / 2.));
        loss.uphill = uphill.collect();
        loss
    }

    /// Whether the gradient jumps within a step of [`NUDGE`]. At a kink a backward rule may return
    /// the slope of one side, whereas differences return the mean of both slopes.
    pub(super) fn is_at_kink(&mut self) -> bool {
        let before = self.gradient(self.beta);
        for (i, (_, w)) in self.model.params.iter_mut().enumerate() {
            *w = (&*w + &(randn(w.shape(), 7 + i as u64) * NUDGE)).into();
        }
        relative_difference(&before, &self.gradient(self.beta)) > JUMP
    }

    fn terms(&self) -> Terms {
        let tape = Tape::default();
        self.elbo(&self.model.params.freeze(&tape), self.beta).terms
    }

    /// Whether the log-likelihood is at least [`LEAST`] in magnitude, and a step of at most
    /// [`REACH`] changes the loss by [`CHANGE`].
    pub(super) fn responds(&self) -> bool {
        let likelihood = self.terms().log_likelihood.abs() / self.data as f64;
        likelihood >= LEAST && self.reach <= REACH
    }

    /// The reason why a fault is equivalent, if differences cannot distinguish its gradient from
    /// that of the sound loss.
    pub(super) fn equivalent(sound: &Self, fault: &Self) -> Option<String> {
        let [a, b] = [sound, fault].map(|loss| loss.gradient(loss.beta));
        let share = relative_difference(&a, &b);
        (share < RESOLUTION).then(|| match share {
            0. => "with it the gradient is the same".into(),
            _ => format!(
                "it changes the gradient by {share:.0e} of its length, and differences tell from \
                 {RESOLUTION:.0e} on"
            ),
        })
    }

    fn elbo<'t>(&self, p: &BoundParams<'t, f64>, beta: f64) -> Elbo<'t, f64> {
        let x = p.tape().constant(self.x.clone().into_dyn());
        let scale = Scale { data: self.data, batch: self.x.nrows(), beta };
        let rng = &mut ChaCha8Rng::seed_from_u64(5);
        self.model.pass(p, x, &self.y, self.samples, scale, rng).elbo
    }

    /// The gradient by backpropagation, as in training, with the KL weighted by `beta`.
    fn gradient(&self, beta: f64) -> Vec<Owned<f64>> {
        let (params, tape) = (&self.model.params, Tape::default());
        let p = params.bind(&tape);
        let gradients = p.gradients(self.elbo(&p, beta).loss.backward());
        let dense = params.iter().zip(gradients).map(|((_, w), gradient)| match gradient {
            Some(gradient) => gradient.to_dense(w).into_owned(),
            None => Owned::zeros(w.shape()),
        });
        dense.collect()
    }

    /// Checks `∂f/∂tₖ = ⟨∂loss/∂wₖ, vₖ⟩` of `f(t) = loss(w₁ + t₁ v₁, …, w_P + t_P v_P)` at `t = 0`,
    /// with one `tₖ` for each of `P` tensors.
    ///
    /// `v` is the uphill direction of each tensor, which differences resolve best, plus a random
    /// part. The check evaluates the loss about twenty times, however many entries there are.
    fn along(&self, share: f64, seed: u64) -> Report {
        let params = &self.model.params;
        let squares = self.uphill.iter().flatten().map(|v| v * v).sum::<f64>();
        let random = share * squares.sqrt();
        let directions: Vec<_> = (seed..)
            .zip(&self.uphill)
            .map(|(seed, v)| randn(v.shape(), seed) * random + v)
            .collect();
        let slopes = self.gradient(self.beta);
        let slopes = slopes.iter().zip(&directions).map(|(g, v)| (g * v).sum()).collect();
        let slopes = Owned::from_shape_vec(vec![directions.len()], slopes).expect("one axis");
        gradcheck(&[Owned::zeros(slopes.shape())], |t| {
            let (t, tape, slopes) = (t[0], Tape::default(), slopes.clone());
            let by = t.value();
            let moved = params.iter().zip(&directions).zip(&by);
            let moved = moved.map(|(((_, w), v), &t)| tape.constant(w + &(v * t))).collect();
            let loss = self.elbo(&BoundParams::from_vars(&tape, moved), self.beta).loss.value();
            Var::record("loss", &[t], loss, move |c, sink| sink.add(0, || &slopes * c.g.sum()))
        })
    }

    /// The gradient check along the first random direction without a kink.
    pub(super) fn differences(&self) -> Measurement {
        if self.reach.is_nan() || self.reach > FAR {
            let why = "the loss has no gradient: neither its examples' likelihood, within \
                likelihood.clip if there is one, nor a KL depends on a parameter";
            return Measurement::not_judged(why);
        }
        let tries = SHARES.iter().flat_map(|&share| (0..TRIES).map(move |i| (share, 1000 * i)));
        let reports = tries.map(|(share, seed)| self.along(share, seed));
        let resolved = |report: &Report| !matches!(report.0[0], Verdict::NotCheckable { .. });
        let mut found = reports.filter(resolved).map(|report| measurement(&report));
        let Some(first) = found.next() else {
            return Measurement::not_judged(
                "kinks, or rounding, along every direction that was tried, at the run's parameters \
                 and next to them",
            );
        };
        // The error of differences is only estimated, so a mismatch counts only if other directions
        // confirm it.
        let mut all = vec![first];
        if !all[0].passed() {
            all.extend(found.take(2));
            all.sort_by(|a, b| a.measured.total_cmp(&b.measured));
        }
        let Setting { first, other_targets, moved } = self.setting;
        let mut at = format!("all tensors at once, on examples from {first} on");
        at += if other_targets { " with other targets" } else { "" };
        at += if moved.is_some() { ", next to the run's parameters" } else { "" };
        Measurement { at, ..all.swap_remove(all.len() / 2) }
    }
}

fn squares(g: &Owned<f64>) -> f64 {
    g.iter().map(|g| g * g).sum()
}

/// `‖a − b‖/‖a‖` over all tensors.
fn relative_difference(a: &[Owned<f64>], b: &[Owned<f64>]) -> f64 {
    let difference: f64 = a.iter().zip(b).map(|(a, b)| squares(&(a - b))).sum();
    (difference / a.iter().map(squares).sum::<f64>()).sqrt()
}

/// A posterior whose draws are changed.
struct Changed<T> {
    posterior: Box<dyn Posterior<T>>,
    change: for<'t> fn(Draw<'t, T>) -> Draw<'t, T>,
}

impl<T: Scalar> Posterior<T> for Changed<T> {
    fn draw<'t>(&self, p: &BoundParams<'t, T>, samples: usize, rng: &mut dyn Rng) -> Draw<'t, T> {
        (self.change)(self.posterior.draw(p, samples, rng))
    }

    fn recentre(&self, params: &mut Params<T>, theta: &[f64]) {
        self.posterior.recentre(params, theta);
    }
}

/// A network whose outputs have a gradient a thousandth too large.
struct Steep<T>(Box<dyn PrimaryNet<T>>);

impl<T: Scalar> PrimaryNet<T> for Steep<T> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn widest(&self) -> usize {
        self.0.widest()
    }

    fn parts(&self) -> Vec<(String, usize)> {
        self.0.parts()
    }

    fn point_estimates(&self) -> Vec<[ParamId; 2]> {
        self.0.point_estimates()
    }

    fn forward<'t>(&self, p: &BoundParams<'t, T>, theta: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
        steep(self.0.forward(p, theta, x))
    }

    fn forward_normal<'t>(
        &self,
        theta: [Var<'t, T>; 2],
        x: Var<'t, T>,
        samples: usize,
        rng: &mut dyn Rng,
    ) -> Option<Var<'t, T>> {
        self.0.forward_normal(theta, x, samples, rng).map(steep)
    }
}

fn steep<T: Scalar>(y: Var<'_, T>) -> Var<'_, T> {
    Var::record("steep", &[y], y.value(), |c, sink| sink.add(0, || c.g.mapv(|g| g * T::of(1.001))))
}

/// Losses with a wrong gradient; faults of the KL are included only if the sound loss has a KL.
pub(super) fn faults(sound: &dyn Fn() -> Loss, has_kl: bool) -> Vec<Instance<Loss>> {
    let fault = |name, change: fn(Model<f64>) -> Model<f64>| {
        let mut loss = sound();
        loss.model = change(loss.model);
        Instance::new(name, loss)
    };
    let mut all = vec![
        fault("θ has no gradient", |model| {
            with_draws(model, |draw| Draw { theta: draw.theta.detach(), ..draw })
        }),
        fault("the network's outputs have a gradient a thousandth too large", |model| Model {
            primary: Box::new(Steep(model.primary)),
            ..model
        }),
    ];
    if has_kl {
        all.push(fault("ln q(θ) has no gradient", |model| {
            with_draws(model, |draw| Draw {
                kl: match draw.kl {
                    Kl::Sampled { log_q } => Kl::Sampled { log_q: log_q.detach() },
                    Kl::Exact(kl) => Kl::Exact(kl.detach()),
                    Kl::Absent => Kl::Absent,
                },
                ..draw
            })
        }));
    }
    all
}

fn with_draws(model: Model<f64>, change: for<'t> fn(Draw<'t, f64>) -> Draw<'t, f64>) -> Model<f64> {
    Model { posterior: Box::new(Changed { posterior: model.posterior, change }), ..model }
}
