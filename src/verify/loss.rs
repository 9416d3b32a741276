//! The whole loss of a model: its gradient with respect to every parameter at once.
use super::gradients;
use super::suite::Finding;
use crate::bayes::{Elbo, Model, Scale, Targets};
use crate::gradcheck::{Report, TOLERANCE, Verdict, gradcheck, randn};
use crate::nn::Bound;
use crate::tape::{Owned, Tape, Var};
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
    /// A direction along the gradient of the sound loss, which broken twins are measured along too.
    uphill: Vec<Owned<f64>>,
}

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
    /// At the parameters of `model`.
    pub(super) fn new(
        model: Model<f64>,
        (x, y): (Array2<f64>, Targets<f64>),
        samples: usize,
        data: usize,
    ) -> Self {
        let mut loss = Self { model, x, y, samples, data, beta: 1., uphill: vec![] };
        let tape = Tape::default();
        let terms = loss.of(&loss.model.params.freeze(&tape), &tape).terms;
        loss.beta = (KL * (terms.log_likelihood / terms.kl).abs()).min(1.);
        // Not the loss, of which one term may take away what the other adds.
        let size = (terms.log_likelihood.abs() + loss.beta * terms.kl.abs()) / data as f64;
        let mut gradient = loss.gradient();
        let squares = |g: &Owned<f64>| g.iter().map(|g| g * g).sum::<f64>();
        let norm = gradient.iter().map(squares).sum::<f64>().sqrt();
        let length = CHANGE * size / norm;
        gradient.iter_mut().for_each(|g| *g *= length / norm);
        loss.uphill = gradient;
        loss
    }

    fn of<'t>(&self, p: &Bound<'t, f64>, tape: &'t Tape<f64>) -> Elbo<'t, f64> {
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
            Some(gradient) => gradient.to_dense(w),
            None => Owned::zeros(w.shape()),
        });
        dense.collect()
    }

    /// `f(t) = loss(w₁ + t₁ v₁, …, w_P + t_P v_P)` at `t = 0`, one `tₖ` for each of `P` tensors: `∂f/∂tₖ = ⟨∂loss/∂wₖ, vₖ⟩`.
    /// `v` is uphill, where differences see most, and a random part. A dozen losses, however many entries there are.
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
            let loss = self.of(&Bound::from_vars(moved), &tape).loss.value();
            Var::record("loss", &[t], loss, move |c, sink| sink.add(0, || &slopes * c.g.sum()))
        })
    }

    /// At the first random part along which there is no kink.
    pub(super) fn differences(&self) -> Finding {
        let tries = SHARES.iter().flat_map(|&share| (0..TRIES).map(move |i| (share, 1000 * i)));
        let mut reports = tries.map(|(share, seed)| self.along(share, seed));
        let tells = |report: &Report| !matches!(report.0[0], Verdict::NotCheckable { .. });
        match reports.find(tells) {
            Some(report) => {
                Finding { at: "all tensors at once".into(), ..gradients::finding(&report) }
            }
            None => Finding::new(f64::NAN, TOLERANCE, "kinks along every direction that was tried"),
        }
    }
}
