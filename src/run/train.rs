//! Training: minibatches, the gradient of the ELBO, optimiser steps.
use crate::autodiff::Gradient;
use crate::autodiff::profile::{Phase, Profile};
use crate::autodiff::{Storage, Tape, Tensor};
use crate::bayes::{EpochEnd, Model, Noise, Scale, Targets, Terms, hessian};
use crate::data::{Dataset, Split, Task};
use crate::error::{Error, Result};
use crate::metrics::predictions;
use crate::nn::Frozen;
use crate::nn::optim::{Clip, Optimiser, kl_weight};
use crate::primary::{Input, Shape};
use crate::random::{Purpose, stream};
use crate::run::config::{Config, LIMIT, Method};
use ndarray::{Array2, ArrayView2, Axis};
use rand::seq::SliceRandom;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The number of inputs whose first product is computed together.
const ROWS: usize = 2048;

/// A model in training. Its state is `model.params`, the optimiser's moments and
/// [`Trainer::steps`]. There is no generator state: random numbers are functions of the seed and
/// the step or epoch.
pub struct Trainer {
    /// The model.
    pub model: Model,
    /// The optimiser and its moments.
    pub optimiser: Optimiser,
    config: Config,
    inputs: Shape,
    task: Task,
    /// `N`, the number of training examples.
    examples: usize,
    storage: Storage<f32>,
    /// The parameters that `train.freeze` matches.
    frozen: Frozen,
    /// The first product `V₁ x [N, n]` of the training set, if it is cached.
    product: Option<Array2<f32>>,
    /// Records the time of each operation, if set; results do not depend on it.
    pub profile: Option<Profile>,
    /// Ends [`Trainer::epoch`] before its next step when it is true.
    pub stop: Option<&'static AtomicBool>,
}

/// The model that `config` describes, trained on `data.train` for all epochs, without a run folder
/// or validation. `config` need not be resolved; its `warm_start` and `train.data_init` are
/// ignored.
///
/// # Errors
/// If `config` does not fit the data, or as [`Trainer::step`].
pub fn fit(config: Config, data: &Dataset) -> Result<Model> {
    let config = config.resolve(data)?;
    let mut trainer = Trainer::new(&config, data.shape(), &data.task, data.train.len());
    trainer.cache_first_product(&data.train);
    while trainer.steps() < config.train.epochs as u64 * trainer.steps_per_epoch() {
        trainer.epoch(&data.train, |_, _| ())?;
    }
    Ok(trainer.model)
}

/// The values of a step, all computed before its update.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The loss in nats per example.
    pub loss: f64,
    /// The terms of the ELBO in nats over the data set.
    pub terms: Terms,
    /// The number of examples that are classified correctly by the mean of the outputs over
    /// samples; 0 in regression.
    pub correct: usize,
    /// The gradient's global norm before clipping.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// `β`, the weight of the KL.
    pub beta: f64,
}

impl Trainer {
    /// The initial model and optimiser for a training set of `examples` examples. `config` must be
    /// resolved.
    pub fn new(config: &Config, inputs: impl Into<Shape>, task: &Task, examples: usize) -> Self {
        let inputs = inputs.into();
        let model = config.build(inputs, task);
        let optimiser = Optimiser::new(config.train.optimiser, &model.params)
            .with_factors(&model.params, |name| config.train.rate_factor(name));
        let storage = Storage::default();
        let frozen = Frozen::new(&model.params, |name| config.train.freezes(name));
        Self {
            model,
            optimiser,
            config: config.clone(),
            inputs,
            task: task.clone(),
            examples,
            storage,
            frozen,
            product: None,
            profile: None,
            stop: None,
        }
    }

    /// The number of steps taken.
    pub fn steps(&self) -> u64 {
        self.optimiser.steps()
    }

    /// Steps per epoch; the last minibatch may be smaller.
    pub fn steps_per_epoch(&self) -> u64 {
        self.examples.div_ceil(self.config.train.batch) as u64
    }

    /// The order of examples in epoch number `epoch`, counted from 0.
    pub fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.examples).collect();
        order.shuffle(&mut stream(self.config.seed, Purpose::Batches, epoch));
        order
    }

    /// Compute the [first product](crate::primary::PrimaryNet::first_product) `V₁ x` of the
    /// training set `data` once for all epochs, if `V₁` is frozen, inputs are not augmented, and
    /// examples share their noise. [`Trainer::epoch`] then selects rows of it in place of inputs,
    /// and must be called with the same `data`. The cache is dropped if a frozen parameter is
    /// changed from outside.
    pub fn cache_first_product(&mut self, data: &Split) {
        self.update_frozen();
        let is_fixed = self.config.train.augment.is_none() && self.model.noise == Noise::Shared;
        self.product = is_fixed.then(|| self.first_product(data.x.view())).flatten();
    }

    /// `V₁ x [N, n]` for `x [N, inputs]`, if `V₁` is frozen and the product takes at most 1 GiB.
    fn first_product(&self, x: ArrayView2<'_, f32>) -> Option<Array2<f32>> {
        let mut rows = vec![];
        for some in x.axis_chunks_iter(Axis(0), ROWS) {
            let tape = Tape::default().in_precision(self.model.precision);
            let p = self.frozen.bind(&self.model.params, &tape);
            let some = tape.constant(some.to_owned().into_dyn());
            let product = self.model.primary.first_product(&p, some)?;
            let entries = product.shape()[1].saturating_mul(x.nrows());
            if !product.is_constant() || entries > LIMIT {
                return None;
            }
            rows.reserve_exact(entries - rows.len());
            rows.extend_from_slice(product.value().as_slice());
        }
        let width = rows.len() / x.nrows().max(1);
        Some(Array2::from_shape_vec([x.nrows(), width], rows).expect("a row for each example"))
    }

    /// Freeze the present values of frozen parameters, if they were changed from outside, as by a
    /// checkpoint.
    fn update_frozen(&mut self) {
        if !self.frozen.is_current(&self.model.params) {
            let settings = &self.config.train;
            self.frozen = Frozen::new(&self.model.params, |name| settings.freezes(name));
            self.product = None;
        }
    }

    /// Train to the end of the current epoch, calling `each` with the size of every minibatch and
    /// the values of its step. Then let the posterior compute what gradients do not train.
    ///
    /// # Errors
    /// As [`Trainer::step`], or [`Posterior::after_epoch`](crate::bayes::Posterior::after_epoch);
    /// or [`Error::Interrupted`] if [`Trainer::stop`] is true.
    ///
    /// # Panics
    /// If `data` is not of the size that the trainer was made for.
    pub fn epoch(&mut self, data: &Split, mut each: impl FnMut(usize, Step)) -> Result<()> {
        let (epoch, start) =
            (self.steps() / self.steps_per_epoch(), self.steps() % self.steps_per_epoch());
        let order = self.order(epoch);
        assert!(data.len() == self.examples, "epoch: {} of {} examples", data.len(), self.examples);
        self.update_frozen();
        for rows in order.chunks(self.config.train.batch).skip(start as usize) {
            if self.stop.is_some_and(|stop| stop.load(Relaxed)) {
                return Err(Error::Interrupted { step: self.steps(), epoch: epoch + 1 });
            }
            let step = if let Some(product) = &self.product {
                let x = product.select(Axis(0), rows);
                self.step_on(Input::Product(x), &data.y.select(rows))?
            } else {
                let (mut x, y) = data.batch(rows);
                let augment = self.config.train.augment;
                if let (Some(augment), Shape::Image(image)) = (augment, self.inputs) {
                    let rng = &mut stream(self.config.seed, Purpose::Augment, self.steps());
                    augment.apply(&mut x, image, rng);
                }
                self.step_on(Input::Examples(x), &y)?
            };
            each(rows.len(), step);
            self.spent("progress", Phase::Between, 0);
        }
        self.end(epoch as usize + 1, data)
    }

    /// End an epoch, numbered from 1.
    fn end(&mut self, epoch: usize, data: &Split) -> Result<()> {
        let Self { model, config, inputs, task, .. } = self;
        let end = EpochEnd {
            epoch,
            epochs: config.train.epochs,
            hessian: &|kind, theta| {
                let precise = config.precise(model, *inputs, task);
                hessian(kind, &precise, theta, data.x.view(), &data.y)
            },
        };
        for (id, value) in model.posterior.after_epoch(&model.params, &end)? {
            *self.model.params.get_mut(id) = value.into();
        }
        self.spent("end of epoch", Phase::Between, 0);
        Ok(())
    }

    /// The learning rate in epoch number `epoch`, counted from 0.
    fn learning_rate(&self, epoch: u64) -> f64 {
        let settings = &self.config.train;
        match Method::from(&self.config) {
            Method::Swag(swag) if swag.is_collecting(epoch as usize + 1, settings.epochs) => {
                swag.rate
            }
            _ => {
                let factor = settings.schedule.factor(epoch as f64, settings.epochs as f64);
                settings.learning_rate * factor
            }
        }
    }

    /// Take an optimiser step on a minibatch.
    ///
    /// # Errors
    /// If the loss or its gradient is not finite; parameters and moments are unchanged then.
    pub fn step(&mut self, x: Array2<f32>, y: &Targets) -> Result<Step> {
        self.update_frozen();
        self.step_on(Input::Examples(x), y)
    }

    /// [`Trainer::step`] on inputs or their first product.
    fn step_on(&mut self, x: Input<Array2<f32>>, y: &Targets) -> Result<Step> {
        let epoch = self.steps() / self.steps_per_epoch();
        let (settings, learning_rate) = (&self.config.train, self.learning_rate(epoch));
        let beta = settings.kl_weight * kl_weight(epoch as f64, settings.kl_anneal_epochs);
        let scale = Scale { data: self.examples, batch: y.len(), beta };
        let mut noise = stream(self.config.seed, Purpose::Noise, self.steps());

        let tape = Tape::reusing(mem::take(&mut self.storage)).profiled(self.profile.clone());
        let p = self.frozen.bind(&self.model.params, &tape);
        let x = x.map(|x| {
            let bytes = 2 * size_of::<f32>() * x.len();
            let x = tape.constant(x.into_dyn());
            tape.spent_on("minibatch", bytes);
            x
        });
        let pass = self.model.pass(&p, x, y, settings.samples, scale, &mut noise);
        let (loss, terms) = (f64::from(pass.elbo.loss.item()), pass.elbo.terms);
        let step = self.steps();
        let diverged = |node: String| Error::Diverged {
            step,
            epoch: epoch + 1,
            node,
            terms: format!(
                "loss {loss} nats per example, log-likelihood {}, KL {} nats",
                terms.log_likelihood, terms.kl
            ),
        };
        if !loss.is_finite() {
            return Err(diverged(tape.first_non_finite().unwrap_or("the loss overflows".into())));
        }
        let correct = match y {
            Targets::Classes(labels) => count_correct(&pass.outputs.value(), labels),
            Targets::Values(_) => 0,
        };
        tape.spent_on("accuracy", size_of::<f32>() * pass.outputs.value().len());
        let grads = p.gradients(pass.elbo.loss.backward());
        self.storage = tape.into_storage();
        self.spent("tape", Phase::Around, 0);
        let clip = Clip { norm: settings.clip_norm, element: settings.clip_element };
        let gradient_norm =
            self.optimiser.step(&mut self.model.params, &grads, learning_rate, clip);
        if !gradient_norm.is_finite() {
            let mut pairs = self.model.params.iter().zip(&grads);
            let bad =
                pairs.find(|((_, w), g)| g.as_ref().is_some_and(|g| !g.squares(w).is_finite()));
            let node = bad.map_or("the gradient's norm overflows".into(), |((name, _), _)| {
                format!("the gradient of `{name}` is not finite")
            });
            return Err(diverged(node));
        }
        let updated = self.model.params.iter().zip(&grads).filter(|(_, g)| g.is_some());
        let updated: usize = updated.map(|((_, w), _)| w.len()).sum();
        let kept = 2 * updated * (1 + self.optimiser.moments().count());
        let read = grads.iter().flatten().map(Gradient::entries).sum::<usize>();
        self.spent("optimiser", Phase::Around, size_of::<f32>() * (kept + read));
        grads.into_iter().flatten().for_each(|g| self.storage.keep_gradient(g));
        Ok(Step { loss, terms, correct, gradient_norm, learning_rate, beta })
    }

    /// Attribute the time since the previous attribution to the operation `name`, if there is a
    /// profile.
    pub(crate) fn spent(&self, name: &str, pass: Phase, bytes: usize) {
        if let Some(profile) = &self.profile {
            profile.spent(name, pass, bytes as f64, 0.);
        }
    }
}

/// The number of examples that the mean over samples of `outputs [S, B, K]` classifies correctly.
fn count_correct(outputs: &Tensor<f32>, labels: &[usize]) -> usize {
    let mean = outputs.sum_axis(Axis(0)).into_dimensionality().expect("[B, K]");
    let classes = predictions(mean.view());
    classes.iter().zip(labels).filter(|(class, label)| class == label).count()
}
