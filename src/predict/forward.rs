//! The network's outputs for many inputs under posterior samples, in parallel chunks.
use crate::autodiff::profile::{Phase, Profile};
use crate::autodiff::{Storage, Tape, Tensor};
use crate::bayes::{Likelihood, Model};
use crate::nn::{Frozen, Params};
use crate::predict::predictive::{Predictive, classes, values};
use ndarray::{Array3, ArrayView2, ArrayView3, Axis};
use rand::Rng;
use rayon::prelude::*;
use std::mem;

/// The maximum number of rows `S·B` in a chunk, and the maximum number of entries in a layer's
/// activations for a chunk: both keep the activations in the cache.
const ROWS: usize = 2048;
const ACTIVATIONS: usize = 1 << 21;
/// The maximum number of entries of `θ`, summed over the posterior samples that are evaluated
/// together on the inputs of a chunk.
const ENTRIES: usize = 1 << 21;

/// Posterior samples `θ [S, D]`, and their log-densities `ln q(θ) [S]` if the posterior has a
/// density.
pub fn draw(
    model: &Model,
    samples: usize,
    rng: &mut dyn Rng,
) -> (Tensor<f32>, Option<Tensor<f32>>) {
    let tape = Tape::default();
    let draw = model.posterior.predictive(&model.params.freeze(&tape), samples, rng);
    (draw.theta.value(), draw.log_q().map(|q| q.value()))
}

/// The number of inputs that are evaluated together under `samples` posterior samples.
///
/// If inputs are predicted in several calls, the predictions are bitwise identical to those of one
/// call provided that the number of inputs in every call but the last is a multiple of the returned
/// number. Otherwise matrix products have other shapes, and may be summed in another order.
///
/// # Panics
/// If there is no sample.
pub fn chunk(model: &Model, samples: usize) -> usize {
    assert!(samples > 0, "chunk: no sample");
    let rows = ROWS.min(ACTIVATIONS / model.primary.widest());
    (rows / group(model, samples)).max(1)
}

/// The number of samples that are evaluated together: all, unless `θ` or the activations are very
/// large.
fn group(model: &Model, samples: usize) -> usize {
    let most = (ENTRIES / model.primary.dim()).min(ACTIVATIONS / model.primary.widest());
    samples.min(most).max(1)
}

/// Calls `each(i, outputs [S, B, K])` for every chunk of the rows of `x [N, inputs]`, where `i` is
/// the index of the chunk's first row, and `params` replace the parameters of `model`. Chunks run
/// in parallel; the results are in the order of the chunks. The size of a chunk does not depend on
/// the number of threads.
pub(super) fn chunks<R: Send>(
    model: &Model,
    params: &Params,
    theta: &Tensor<f32>,
    x: ArrayView2<'_, f32>,
    profile: Option<&Profile>,
    each: impl Fn(usize, Tensor<f32>) -> R + Sync,
) -> Vec<R> {
    let samples = theta.shape()[0];
    assert!(samples > 0, "predict: theta {:?} has no samples", theta.shape());
    let (rows, group) = (chunk(model, samples), group(model, samples));
    let frozen = Frozen::new(params, |_| true);
    let groups: Vec<Tensor<f32>> = match group == samples {
        true => vec![theta.clone()],
        false => {
            theta.axis_chunks_iter(Axis(0), group).map(|part| part.to_shared().into()).collect()
        }
    };
    let run = |storage: &mut Storage<f32>, (i, x): (usize, ArrayView2<'_, f32>)| {
        let mut forward = |theta: &Tensor<f32>| {
            let tape = Tape::reusing(mem::take(storage)).in_precision(model.precision);
            let tape = tape.profiled(profile.cloned());
            let p = frozen.bind(params, &tape);
            let bytes = 2 * size_of::<f32>() * x.len();
            let x = tape.constant(x.to_owned().into_dyn());
            tape.spent_on("minibatch", bytes);
            let outputs = model.primary.forward(&p, tape.constant(theta.clone()), x).value();
            *storage = tape.into_storage();
            outputs
        };
        let outputs = match &groups[..] {
            [theta] => forward(theta),
            groups => {
                let parts: Vec<_> = groups.iter().map(forward).collect();
                let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
                ndarray::concatenate(Axis(0), &views).expect("one batch").into()
            }
        };
        let bytes = size_of::<f32>() * outputs.len();
        let found = each(i * rows, outputs);
        if let Some(profile) = profile {
            profile.spent("mean and entropies", Phase::Around, bytes as f64, 0.);
        }
        found
    };
    let chunks: Vec<_> = x.axis_chunks_iter(Axis(0), rows).enumerate().collect();
    chunks.into_par_iter().map_init(Storage::default, run).collect()
}

/// The predictions for `x [N, inputs]`, averaged over the samples `theta [S, D]`.
///
/// # Panics
/// If there are no inputs, or the shapes do not fit the model.
pub fn predict(model: &Model, theta: &Tensor<f32>, x: ArrayView2<'_, f32>) -> Predictive {
    predict_with(model, &model.params, theta, x, None)
}

/// As [`predict`], with the time of each operation recorded in `profile`. The times are meaningful
/// only in a thread pool of one thread.
///
/// # Panics
/// As [`predict`].
pub fn predict_profiled(
    model: &Model,
    theta: &Tensor<f32>,
    x: ArrayView2<'_, f32>,
    profile: Option<&Profile>,
) -> Predictive {
    predict_with(model, &model.params, theta, x, profile)
}

/// As [`predict_profiled`], with `params` in place of the parameters of `model`.
pub(super) fn predict_with(
    model: &Model,
    params: &Params,
    theta: &Tensor<f32>,
    x: ArrayView2<'_, f32>,
    profile: Option<&Profile>,
) -> Predictive {
    let tape = Tape::default();
    let precision = model.likelihood.precision(&params.freeze(&tape));
    let is_categorical = matches!(model.likelihood, Likelihood::Categorical { .. });
    let parts = chunks(model, params, theta, x, profile, |_, outputs| match is_categorical {
        true => classes(cube(&outputs)),
        false => values(cube(&outputs), precision),
    });
    parts.into_iter().reduce(Predictive::and).expect("predict: no inputs")
}

/// The network's outputs `[S, N, K]` for `x [N, inputs]` under each of the samples `theta [S, D]`.
///
/// # Panics
/// As [`predict`].
pub fn logits(model: &Model, theta: &Tensor<f32>, x: ArrayView2<'_, f32>) -> Array3<f32> {
    let parts = chunks(model, &model.params, theta, x, None, |_, outputs| outputs);
    let views: Vec<_> = parts.iter().map(cube).collect();
    ndarray::concatenate(Axis(1), &views).expect("one shape but for the rows")
}

fn cube(x: &Tensor<f32>) -> ArrayView3<'_, f32> {
    x.view().into_dimensionality().expect("[S, B, K]")
}
