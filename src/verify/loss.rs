//! The whole loss of a model: its gradient with respect to every parameter at once.
use super::gradients;
use super::suite::Finding;
use crate::autodiff::gradcheck::{Report, Verdict, gradcheck, randn};
use crate::autodiff::{Owned, Tape, Var};
use crate::bayes::{Elbo, Model, Scale, Targets, Terms};
use crate::nn::BoundParams;
use ndarray::Array2;
use rand::{SeedableRng, rngs::ChaCha8Rng};

/// A loss in `f64` on a few examples, with the same noise each time.
pub struct Loss {
    /// Its parameters are where the gradient is taken.
    pub(super) model: Model<f64>,
    /// `[B, inputs]`.
    x: Array2<f64>,
    /// `[B]`.
    y: Targets<f64>,
    /// `S`.
    samples: usize,
    /// `N`, of which the KL's weight is one part.
    data: usize,
    /// `β`.
    beta: f64,
    setting: Setting,
    /// How far along the gradient, to first order, the loss changes by [`CHANGE`].
    reach: f64,
    /// A direction along the gradient of the sound loss, which broken twins are measured along too.
    uphill: Vec<Owned<f64>>,
}

/// Where differences tell the loss's gradient: on the first examples and at the run's parameters if
/// they do there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Setting {
    /// The first of the examples.
    pub(super) first: usize,
    /// Whether they have other targets than their own, which are predicted for sure.
    pub(super) other_targets: bool,
    /// The seed of a step away from the run's parameters, if there is one: a dead unit leaves those
    /// behind it exactly at their kink, whatever the direction.
    pub(super) moved: Option<u64>,
}

/// The least log-likelihood in nats an example: logits of 10 round by `10⁻¹⁵`, so that differences
/// over `10⁻⁴` of [`CHANGE`] of it are known to `10⁻⁸`.
const LEAST: f64 = 0.1;
/// The longest step along the gradient that changes the loss by [`CHANGE`].
const REACH: f64 = 10.;
/// Beyond it, a gradient is lost in the rounding of the loss.
const FAR: f64 = 1e6;
/// The part of the gradient's length from which differences tell a change of it.
const TELLS: f64 = 1e-5;
/// How far a kink is looked for, and the least jump of the gradient there, relative to it.
const NUDGE: f64 = 1e-9;
const JUMP: f64 = 1e-5;
/// How far each entry is moved, beside the root mean square of its tensor or a tenth of one.
const MOVE: f64 = 1e-2;
/// The KL is at most so many times the log-likelihood: `β` sees to it. A network of a million weights and a thousand
/// examples has a KL beside which the likelihood's gradient is lost in rounding.
const KL: f64 = 10.;
/// By which part of its terms the loss changes along a direction for `t = 1`: the least that differences do not lose in
/// rounding. A step along so many entries crosses the kink of some ReLU unless it is short.
const CHANGE: f64 = 1e-2;
/// How large an entry's random part is beside the steepest direction, of length 1, from the first on until differences can tell.
const SHARES: [f64; 3] = [1e-2, 1e-3, 1e-4];
/// Random parts drawn for each.
const TRIES: u64 = 2;

impl Loss {
    /// Of these examples, which are those of `setting`.
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
        // Not the loss, of which one term may take away what the other adds.
        let size = (log_likelihood.abs() + loss.beta * kl.abs()) / data as f64;
        let gradient = loss.gradient();
        let norm = gradient.iter().map(squares).sum::<f64>().sqrt();
        loss.reach = CHANGE * size / norm;
        let beta = std::mem::take(&mut loss.beta);
        let likelihood = loss.gradient();
        loss.beta = beta;
        // As far in each tensor: a small part of the gradient counts for its share, not its square.
        // And along the likelihood's gradient, which may be orthogonal to the whole, or opposite.
        let unit = |g: &Owned<f64>, length: f64| {
            let norm = squares(g).sqrt();
            g * if norm > 0. { length / norm } else { 0. }
        };
        let uphill = gradient.iter().zip(&likelihood);
        let uphill = uphill.map(|(g, l)| unit(g, loss.reach) + unit(l, loss.reach / 2.));
        loss.uphill = uphill.collect();
        loss
    }

    /// Whether the gradient jumps: at a kink a rule may take one side, and differences the mean.
    pub(super) fn is_at_kink(&mut self) -> bool {
        let before = self.gradient();
        for (i, (_, w)) in self.model.params.iter_mut().enumerate() {
            *w = (&*w + &(randn(w.shape(), 7 + i as u64) * NUDGE)).into();
        }
        let apart: f64 = before.iter().zip(&self.gradient()).map(|(a, b)| squares(&(a - b))).sum();
        apart.sqrt() > JUMP * before.iter().map(squares).sum::<f64>().sqrt()
    }

    fn terms(&self) -> Terms {
        let tape = Tape::default();
        self.of(&self.model.params.freeze(&tape), &tape).terms
    }

    /// Whether the likelihood counts, and a step that is not too long changes the loss.
    pub(super) fn responds(&self) -> bool {
        let likelihood = self.terms().log_likelihood.abs() / self.data as f64;
        likelihood >= LEAST && self.reach <= REACH
    }

    /// Why the gradient with a fault is as good as the sound one, if it is.
    pub(super) fn same(sound: &Self, broken: &Self) -> Option<String> {
        let (sound, broken) = (sound.gradient(), broken.gradient());
        let apart: f64 = sound.iter().zip(&broken).map(|(a, b)| squares(&(a - b))).sum();
        let share = (apart / sound.iter().map(squares).sum::<f64>()).sqrt();
        (share < TELLS).then(|| match share {
            0. => "with it the gradient is the same".into(),
            _ => format!(
                "it changes the gradient by {share:.0e} of its length, and differences tell from \
                 {TELLS:.0e} on"
            ),
        })
    }

    fn of<'t>(&self, p: &BoundParams<'t, f64>, tape: &'t Tape<f64>) -> Elbo<'t, f64> {
        let x = tape.constant(self.x.clone().into_dyn());
        let scale = Scale { data: self.data, batch: self.x.nrows(), beta: self.beta };
        let rng = &mut ChaCha8Rng::seed_from_u64(5);
        self.model.pass(p, x, &self.y, self.samples, scale, rng).elbo
    }

    /// As training forms it.
    fn gradient(&self) -> Vec<Owned<f64>> {
        let (params, tape) = (&self.model.params, Tape::default());
        let p = params.bind(&tape);
        let gradients = p.gradients(self.of(&p, &tape).loss.backward());
        let dense = params.iter().zip(gradients).map(|((_, w), gradient)| match gradient {
            Some(gradient) => gradient.to_dense(w).into_owned(),
            None => Owned::zeros(w.shape()),
        });
        dense.collect()
    }

    /// `f(t) = loss(w₁ + t₁ v₁, …, w_P + t_P v_P)` at `t = 0`, one `tₖ` for each of `P` tensors: `∂f/∂tₖ = ⟨∂loss/∂wₖ, vₖ⟩`.
    /// `v` is uphill in each tensor, where differences see most, and a random part. A dozen losses,
    /// however many entries there are.
    fn along(&self, share: f64, seed: u64) -> Report {
        let params = &self.model.params;
        let squares = self.uphill.iter().flatten().map(|v| v * v).sum::<f64>();
        let random = share * squares.sqrt();
        let directions: Vec<_> = (seed..)
            .zip(&self.uphill)
            .map(|(seed, v)| randn(v.shape(), seed) * random + v)
            .collect();
        let slopes = self.gradient();
        let slopes = slopes.iter().zip(&directions).map(|(g, v)| (g * v).sum()).collect();
        let slopes = Owned::from_shape_vec(vec![directions.len()], slopes).expect("one axis");
        gradcheck(&[Owned::zeros(slopes.shape())], |t| {
            let (t, tape, slopes) = (t[0], Tape::default(), slopes.clone());
            let by = t.value();
            let moved = params.iter().zip(&directions).zip(&by);
            let moved = moved.map(|(((_, w), v), &t)| tape.constant(w + &(v * t))).collect();
            let loss = self.of(&BoundParams::from_vars(moved), &tape).loss.value();
            Var::record("loss", &[t], loss, move |c, sink| sink.add(0, || &slopes * c.g.sum()))
        })
    }

    /// At the first random part along which there is no kink.
    pub(super) fn differences(&self) -> Finding {
        if self.reach.is_nan() || self.reach > FAR {
            let why = "the loss has no gradient: neither its examples' likelihood, within \
                likelihood.clip if there is one, nor a KL depends on a parameter";
            return Finding::not_judged(why);
        }
        let tries = SHARES.iter().flat_map(|&share| (0..TRIES).map(move |i| (share, 1000 * i)));
        let reports = tries.map(|(share, seed)| self.along(share, seed));
        let tells = |report: &Report| !matches!(report.0[0], Verdict::NotCheckable { .. });
        let mut found = reports.filter(tells).map(|report| gradients::finding(&report));
        let Some(first) = found.next() else {
            return Finding::not_judged(
                "kinks, or rounding, along every direction that was tried, at the run's parameters \
                 and next to them",
            );
        };
        // The differences' error is estimated: a mismatch counts if other directions have it too.
        let mut all = vec![first];
        if !all[0].passed() {
            all.extend(found.take(2));
            all.sort_by(|a, b| a.measured.total_cmp(&b.measured));
        }
        let Setting { first, other_targets, moved } = self.setting;
        let mut at = format!("all tensors at once, on examples from {first} on");
        at += if other_targets { " with other targets" } else { "" };
        at += if moved.is_some() { ", next to the run's parameters" } else { "" };
        Finding { at, ..all.swap_remove(all.len() / 2) }
    }
}

fn squares(g: &Owned<f64>) -> f64 {
    g.iter().map(|g| g * g).sum()
}
