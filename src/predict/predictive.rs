//! Prediction: the mean over posterior samples, and what their disagreement says.
use crate::autodiff::profile::Profile;
use crate::autodiff::{Storage, Tape, Tensor, Var};
use crate::bayes::{Likelihood, Model, Terms};
use crate::data::{Preprocess, Split};
use crate::error::{Error, Result};
use crate::nn::BoundParams;
use ndarray::{Array2, Array3, ArrayView1, ArrayView2, ArrayView3, Axis};
use rand::Rng;
use rayon::prelude::*;
use std::mem;

/// Rows `S·B` of a chunk, and entries of a layer's activations: they stay in the cache.
const ROWS: usize = 2048;
const ACTIVATIONS: usize = 1 << 21;
/// Entries of `θ` that go through the network together, and so share a chunk's inputs.
const ENTRIES: usize = 1 << 21;

/// Predictions for `N` inputs. Entropies are in nats.
#[derive(Clone, Debug)]
pub enum Predictive {
    /// Of classes.
    Classes {
        /// `p̄ = mean_s p_s` `[N, K]`, with `p_s` the softmax under posterior sample `s`.
        p: Array2<f32>,
        /// `H[p̄]` `[N]`: total uncertainty.
        entropy: Vec<f32>,
        /// `H[p̄] − mean_s H[p_s]` `[N]`: what knowing `θ` would tell about `y`.
        bald: Vec<f32>,
        /// `mean_c std_s p_{s,c}` `[N]`.
        mean_std: Vec<f32>,
        /// `1 − (count of the most frequent argmax_c p_{s,c})/S` `[N]`: the share of samples outvoted.
        variation_ratio: Vec<f32>,
    },
    /// Of one number, standardised, or by [`Predictive::in_units`] in the units of the target.
    Values {
        /// `mean_s f_s` `[N]`.
        mean: Vec<f64>,
        /// `√(1/τ + var_s f_s)` `[N]`: aleatoric and epistemic uncertainty.
        std: Vec<f64>,
        /// `√(var_s f_s)` `[N]`: epistemic uncertainty alone.
        spread: Vec<f64>,
    },
}

/// Posterior samples `θ [S, D]` and, unless the posterior is a point, `ln q(θ) [S]`.
pub fn draw(
    model: &Model,
    samples: usize,
    rng: &mut dyn Rng,
) -> (Tensor<f32>, Option<Tensor<f32>>) {
    let tape = Tape::default();
    let draw = model.posterior.predictive(&model.params.freeze(&tape), &tape, samples, rng);
    (draw.theta.value(), draw.log_q.map(|q| q.value()))
}

/// How many rows are computed together for so many samples. What is predicted in blocks has the
/// same bits as the whole if all blocks but the last are multiples of it: products of other shapes
/// may take other routes, which round differently.
///
/// # Panics
/// If there is no sample.
pub fn chunk(model: &Model, samples: usize) -> usize {
    assert!(samples > 0, "chunk: no sample");
    let rows = ROWS.min(ACTIVATIONS / model.primary.widest());
    (rows / group(model, samples)).max(1)
}

/// How many samples go through the network together: all, unless `θ` or what is between layers is
/// very long.
fn group(model: &Model, samples: usize) -> usize {
    let most = (ENTRIES / model.primary.dim()).min(ACTIVATIONS / model.primary.widest());
    samples.min(most).max(1)
}

/// `each(p, first row, outputs [S, B, K])` for chunks of the rows of `x [N, inputs]`, in parallel;
/// results in order. What a chunk holds does not depend on the number of threads.
fn chunks<R: Send>(
    model: &Model,
    theta: &Tensor<f32>,
    x: ArrayView2<'_, f32>,
    profile: Option<&Profile>,
    each: impl for<'t> Fn(&BoundParams<'t, f32>, usize, Var<'t, f32>) -> R + Sync,
) -> Vec<R> {
    assert!(theta.shape()[0] > 0, "predict: theta {:?} holds no sample", theta.shape());
    let samples = theta.shape()[0];
    let (rows, group) = (chunk(model, samples), group(model, samples));
    let params = model.params.frozen();
    let chunks: Vec<_> = x.axis_chunks_iter(Axis(0), rows).enumerate().collect();
    let groups: Vec<Tensor<f32>> = match group == samples {
        true => vec![theta.clone()],
        false => {
            theta.axis_chunks_iter(Axis(0), group).map(|part| part.to_shared().into()).collect()
        }
    };
    let run = |storage: &mut Storage<f32>, (i, x): (usize, ArrayView2<'_, f32>)| {
        let (last, others) = groups.split_last().expect("a sample");
        let mut parts = vec![];
        for theta in others {
            let tape = Tape::reusing(mem::take(storage)).profiled(profile.cloned());
            let x = tape.constant(x.to_owned().into_dyn());
            let theta = tape.constant(theta.clone());
            parts.push(model.primary.forward(&params.bind(&tape), theta, x).value());
            *storage = tape.into_storage();
        }
        let tape = Tape::reusing(mem::take(storage)).profiled(profile.cloned());
        let p = params.bind(&tape);
        let bytes = 2 * size_of::<f32>() * x.len();
        let x = tape.constant(x.to_owned().into_dyn());
        tape.spent_on("minibatch", bytes);
        let mut outputs = model.primary.forward(&p, tape.constant(last.clone()), x);
        if !parts.is_empty() {
            parts.push(outputs.value());
            let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
            outputs = tape.constant(ndarray::concatenate(Axis(0), &views).expect("one batch"));
        }
        let found = each(&p, i * rows, outputs);
        tape.spent_on("mean and entropies", size_of::<f32>() * outputs.value().len());
        *storage = tape.into_storage();
        found
    };
    chunks.into_par_iter().map_init(Storage::default, run).collect()
}

/// Predict `x [N, inputs]`, at least one row, with the samples `theta [S, D]`.
///
/// # Panics
/// If there is no row, or the shapes do not fit the model.
pub fn predict(model: &Model, theta: &Tensor<f32>, x: ArrayView2<'_, f32>) -> Predictive {
    predict_profiled(model, theta, x, None)
}

/// The same, read by a stopwatch after each operation: of use in a pool of one thread, which does
/// one thing at a time.
///
/// # Panics
/// As [`predict`].
pub fn predict_profiled(
    model: &Model,
    theta: &Tensor<f32>,
    x: ArrayView2<'_, f32>,
    profile: Option<&Profile>,
) -> Predictive {
    let parts =
        chunks(model, theta, x, profile, |p, _, outputs| match model.likelihood.precision(p) {
            None => classes(cube(&outputs.value())),
            Some(precision) => values(cube(&outputs.value()), precision),
        });
    parts.into_iter().reduce(Predictive::and).expect("predict: no input")
}

/// The network's outputs `[S, N, K]` for `x [N, inputs]` under each of the samples `theta [S, D]`.
///
/// # Panics
/// As [`predict`].
pub fn logits(model: &Model, theta: &Tensor<f32>, x: ArrayView2<'_, f32>) -> Array3<f32> {
    let parts = chunks(model, theta, x, None, |_, _, outputs| outputs.value());
    let views: Vec<_> = parts.iter().map(cube).collect();
    ndarray::concatenate(Axis(1), &views).expect("one shape but for the rows")
}

/// `ln p(yₙ | xₙ, θₛ)`, unclipped, as `[S, N]`.
///
/// # Panics
/// If there is no example, or it does not fit the model.
pub fn log_prob(model: &Model, theta: &Tensor<f32>, data: &Split) -> Array2<f32> {
    let likelihood = match model.likelihood {
        Likelihood::Categorical { .. } => Likelihood::Categorical { clip: None },
        other => other,
    };
    let parts = chunks(model, theta, data.x.view(), None, |p, start, outputs| {
        let rows: Vec<_> = (start..start + outputs.shape()[1]).collect();
        likelihood.log_prob(p, outputs, &data.y.select(&rows)).value()
    });
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    let all = ndarray::concatenate(Axis(1), &views).expect("one shape but for the rows");
    all.into_dimensionality().expect("[S, N]")
}

/// The bound's terms on `data` for each of the samples `theta [S, D]` with densities `log_q [S]` (`None` for a
/// point): what [`bound`] is the mean of.
///
/// # Panics
/// As [`log_prob`].
pub fn terms(
    model: &Model,
    theta: &Tensor<f32>,
    log_q: Option<&Tensor<f32>>,
    data: &Split,
) -> Vec<Terms> {
    let likelihoods = log_prob(model, theta, data).mapv(f64::from).sum_axis(Axis(1));
    let tape = Tape::default();
    let priors = model.prior.log_prob(tape.constant(theta.mapv(f64::from)));
    let of = |s: usize| match log_q {
        None => Terms::new(likelihoods[s], 0., 0.),
        Some(q) => Terms::new(likelihoods[s], priors.value()[s], q[s].into()),
    };
    (0..likelihoods.len()).map(of).collect()
}

/// The bound on `data`, an estimate from the samples `theta [S, D]` with densities `log_q [S]`
/// (`None` for a point), and its standard error over the samples.
///
/// # Panics
/// As [`log_prob`].
pub fn bound(
    model: &Model,
    theta: &Tensor<f32>,
    log_q: Option<&Tensor<f32>>,
    data: &Split,
) -> (Terms, f64) {
    estimate(&terms(model, theta, log_q, data))
}

/// The mean over samples, and the standard error of the bound.
pub(crate) fn estimate(terms: &[Terms]) -> (Terms, f64) {
    let n = terms.len() as f64;
    let mean = |f: fn(&Terms) -> f64| terms.iter().map(f).sum::<f64>() / n;
    let mean = Terms::new(mean(|t| t.log_likelihood), mean(|t| t.log_prior), mean(|t| t.log_q));
    let squares: f64 = terms.iter().map(|t| (t.total - mean.total).powi(2)).sum();
    (mean, (squares / (n - 1.).max(1.) / n).sqrt())
}

impl Predictive {
    /// `μ + σ y` for the mean, `σ y` for the deviations, with `(μ, σ)` those of the training
    /// targets: standardised values in the units of the target.
    pub fn in_units(self, preprocess: &Preprocess) -> Self {
        let Self::Values { mean, std, spread } = self else { return self };
        let (shift, unit) = preprocess.y.unwrap_or((0., 1.));
        let map = |v: Vec<f64>, shift: f64| -> Vec<f64> {
            v.into_iter().map(|x| shift + unit * x).collect()
        };
        Self::Values { mean: map(mean, shift), std: map(std, 0.), spread: map(spread, 0.) }
    }

    /// The first input that is not predicted, since the network's outputs overflow on it.
    pub fn overflow(&self) -> Option<usize> {
        match self {
            Self::Classes { p, .. } => {
                p.rows().into_iter().position(|p| p.iter().any(|p| p.is_nan()))
            }
            Self::Values { mean, std, .. } => {
                mean.iter().zip(std).position(|(mean, std)| !(mean + std).is_finite())
            }
        }
    }

    /// That every input is predicted; `name` is what to call one of them.
    ///
    /// # Errors
    /// If the network's outputs overflow on one.
    pub fn check(&self, name: impl Fn(usize) -> String) -> Result<()> {
        match self.overflow() {
            None => Ok(()),
            Some(i) => Err(overflows(name(i))),
        }
    }

    /// The predictions of this and then of the other.
    fn and(mut self, other: Self) -> Self {
        use Predictive::{Classes, Values};
        match (&mut self, other) {
            (
                Classes { p, entropy, bald, mean_std, variation_ratio },
                Classes { p: q, entropy: e, bald: b, mean_std: m, variation_ratio: v },
            ) => {
                p.append(Axis(0), q.view()).expect("the same classes");
                entropy.extend(e);
                bald.extend(b);
                mean_std.extend(m);
                variation_ratio.extend(v);
            }
            (Values { mean, std, spread }, Values { mean: m, std: s, spread: d }) => {
                mean.extend(m);
                std.extend(s);
                spread.extend(d);
            }
            _ => unreachable!("one model predicts one kind"),
        }
        self
    }
}

/// From logits `x_s [S, B, K]`: `p_s = eˣ⁻ᵐ / Z` and `H[p_s] = ln Z − Σ p_s (x_s − m)`, with `m` the
/// largest; the first class that has it gets the sample's vote.
fn classes(x: ArrayView3<'_, f32>) -> Predictive {
    // In double precision: of what is nearly sure, `1 − p` is what counts.
    let mut p = x.mapv(f64::from);
    let (samples, inputs, k) = x.dim();
    let mut conditional = vec![0.; inputs];
    let mut votes = Array2::<usize>::zeros([inputs, k]);
    for mut sample in p.outer_iter_mut() {
        let each = conditional.iter_mut().zip(votes.rows_mut());
        for (mut row, (sum, mut votes)) in sample.rows_mut().into_iter().zip(each) {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if let Some(class) = row.iter().position(|&x| x == max) {
                votes[class] += 1;
            }
            let (mut z, mut along) = (0., 0.);
            row.mapv_inplace(|x| {
                let e = f64::from(((x - max) as f32).exp());
                z += e;
                if e > 0. {
                    along += e * (x - max);
                }
                e
            });
            row.mapv_inplace(|e| e / z);
            *sum += z.ln() - along / z;
        }
    }
    let mean = p.mean_axis(Axis(0)).expect("a sample");
    let entropy: Vec<_> = mean.rows().into_iter().map(nats).collect();
    let mean_std = p.std_axis(Axis(0), 0.).mean_axis(Axis(1)).expect("a class");
    // BALD is not negative (Jensen), and 0 where samples agree; rounded entropies may differ so.
    let told = |((h, sum), &std): ((&f64, f64), &f64)| match std == 0. {
        true => 0.,
        false => (h - sum / samples as f64).max(0.) as f32,
    };
    let bald = entropy.iter().zip(conditional).zip(&mean_std).map(told).collect();
    let mean_std = mean_std.mapv(|s| s as f32).to_vec();
    let entropy = entropy.into_iter().map(|entropy| entropy as f32).collect();
    let most = |votes: ArrayView1<'_, usize>| votes.iter().copied().max().expect("a class");
    let outvoted = |votes| (samples - most(votes)) as f32 / samples as f32;
    let variation_ratio = votes.rows().into_iter().map(outvoted).collect();
    let p = mean.mapv(|p| p as f32);
    Predictive::Classes { p, entropy, bald, mean_std, variation_ratio }
}

/// From means `f_s [S, B, 1]` and the noise's precision `τ`.
fn values(f: ArrayView3<'_, f32>, precision: f64) -> Predictive {
    let f = f.index_axis(Axis(2), 0).mapv(f64::from);
    let mean = f.mean_axis(Axis(0)).expect("a sample").to_vec();
    let spread = f.std_axis(Axis(0), 0.).to_vec();
    let std = spread.iter().map(|s| (1. / precision + s * s).sqrt()).collect();
    Predictive::Values { mean, std, spread }
}

/// What to say of an input on which a network's outputs are not finite.
pub(crate) fn overflows(what: String) -> Error {
    let expected = "values like those that it was trained on";
    Error::invalid(what, "an input on which the network overflows", expected, "Mend or remove it.")
}

/// `H[p] = −Σ p ln p`.
fn nats(p: ArrayView1<'_, f64>) -> f64 {
    let term = |&p: &f64| if p > 0. { p * p.ln() } else { 0. };
    // Certainty is 0 and not −0.
    0. - p.iter().map(term).sum::<f64>()
}

fn cube(x: &Tensor<f32>) -> ArrayView3<'_, f32> {
    x.view().into_dimensionality().expect("[S, B, K]")
}
