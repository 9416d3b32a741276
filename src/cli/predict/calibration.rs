//! `--calibrate` and `--level`: a temperature and prediction sets, from examples of the run.
use super::Args;
use super::round::significant;
use crate::autodiff::Tensor;
use crate::bayes::Model;
use crate::cli::{Context, show};
use crate::data::{Dataset, Split, Task};
use crate::error::{Error, quoted};
use crate::predict::calibrate::{Sets, temperature, tempered};
use crate::predict::{Predictive, draw, predict};
use crate::random::{Purpose, stream};
use crate::run::folds::{FOLDS, Fold, fold};
use crate::run::{Progress, Trained};
use anyhow::Result;
use ndarray::{Array2, ArrayView2};

/// Fewer examples than this calibrate sets by cross-validation.
const ENOUGH: usize = 100;

/// What calibrates the probabilities of a run.
#[derive(Default)]
pub struct Calibration {
    /// The temperature of the run's probabilities.
    temperature: Option<f64>,
    sets: Option<Sets>,
    /// The networks of the folds, if they calibrate the sets.
    folds: Vec<Member>,
}

/// A network of a fold.
struct Member {
    model: Model,
    theta: Tensor<f32>,
    temperature: Option<f64>,
}

impl Calibration {
    /// The calibration that the flags ask for, from the validation and test examples of the run.
    pub fn new(
        args: &Args,
        trained: &Trained,
        theta: &Tensor<f32>,
        context: &Context,
    ) -> Result<Self> {
        if !args.calibrate && args.level.is_none() {
            return Ok(Self::default());
        }
        let Task::Classification { .. } = trained.header.task else {
            let flag = if args.calibrate { "--calibrate" } else { "--level" };
            let advice = "Leave it out: the columns q2.5 to q97.5 are quantiles.";
            return Err(Error::invalid(flag, "a regression", "a classification", advice).into());
        };
        let data = trained.data(context.data_dir.as_deref())?;
        let of = |split: &Split, temperature: Option<f64>| {
            let p = probabilities(&trained.model, theta, split.x.view());
            (scaled(p, temperature), split.y.classes().to_vec())
        };
        let fit = |split: &Split| {
            let (p, labels) = of(split, None);
            temperature(p.view(), &labels)
        };
        let t = args.calibrate.then(|| fit(&data.validation));
        if let Some(t) = t {
            let examples = show::count(data.validation.len(), "validation example");
            context.say(format!("temperature {t:.3}, from {examples}"));
        }
        let Some(level) = args.level else {
            return Ok(Self { temperature: t, ..Self::default() });
        };
        let percent = significant(100. * level, 6);
        if data.test.len() >= ENOUGH {
            let (p, labels) = of(&data.test, t);
            let examples = show::count(labels.len(), "test example");
            context.say(format!(
                "sets contain the class with a probability of {percent} % or more, by split \
                 conformal prediction with {examples}"
            ));
            let sets = Some(Sets::new(level, vec![Sets::scores(p.view(), &labels)]));
            return Ok(Self { temperature: t, sets, folds: vec![] });
        }
        let (folds, scores) = crossed(args, trained, &data, theta.shape()[0], context)?;
        let sets = Sets::new(level, scores);
        context.say(format!(
            "sets contain the class with a probability of {} % or more, and usually of about \
             {percent} %, by CV+ with {FOLDS} folds of {} examples",
            significant(100. * (2. * level - 1.), 6),
            sets.examples()
        ));
        Ok(Self { temperature: t, sets: Some(sets), folds })
    }

    /// `found` with calibrated probabilities, and the set of each input.
    pub fn apply(
        &self,
        found: Predictive,
        x: ArrayView2<'_, f32>,
    ) -> (Predictive, Option<Vec<Vec<usize>>>) {
        let Predictive::Classes { p, bald, mean_std, variation_ratio, entropy } = found else {
            return (found, None);
        };
        let (p, entropy) = match self.temperature {
            None => (p, entropy),
            Some(t) => {
                let p = tempered(p.view(), t);
                let entropy = p.outer_iter().map(|p| entropy_of(p.iter())).collect();
                (p, entropy)
            }
        };
        let sets = self.sets.as_ref().map(|sets| match &self.folds[..] {
            [] => sets.of(p.view(), &[p.view()]),
            folds => {
                let each = folds.iter().map(|fold| {
                    scaled(probabilities(&fold.model, &fold.theta, x), fold.temperature)
                });
                let each: Vec<_> = each.collect();
                sets.of(p.view(), &each.iter().map(|p| p.view()).collect::<Vec<_>>())
            }
        });
        (Predictive::Classes { p, entropy, bald, mean_std, variation_ratio }, sets)
    }
}

/// `H[p]` in nats.
fn entropy_of<'a>(p: impl Iterator<Item = &'a f32>) -> f32 {
    let nats = p.map(|&p| f64::from(p)).map(|p| if p > 0. { -p * p.ln() } else { 0. });
    nats.sum::<f64>() as f32
}

/// The networks of the folds, and the scores of each fold's examples under its network.
fn crossed(
    args: &Args,
    trained: &Trained,
    data: &Dataset,
    samples: usize,
    context: &Context,
) -> Result<(Vec<Member>, Vec<Vec<f64>>)> {
    let (few, dir) = (data.test.len(), quoted(args.dir.display()));
    context.say(format!(
        "{few} test examples are fewer than {ENOUGH}: {FOLDS} networks for cross-validation, in \
         {dir}/folds"
    ));
    let (mut members, mut scores) = (vec![], vec![]);
    for k in 0..FOLDS {
        let mut epochs = 0;
        let progress = |event: Progress<'_>| {
            if let Progress::Epoch(epoch, _) = event {
                epochs = epoch.epoch;
            }
        };
        let Fold { trained, data } = fold((&args.dir, trained), data, k, progress)?;
        if epochs > 0 {
            context.say(format!("fold {} of {FOLDS}: {epochs} epochs", k + 1));
        }
        let seed = trained.header.config.seed;
        let model = trained.model;
        let (theta, _) = draw(&model, samples, &mut stream(seed, Purpose::Evaluation, 0));
        let of = |split: &Split| probabilities(&model, &theta, split.x.view());
        let labels = data.validation.y.classes();
        let t = args.calibrate.then(|| temperature(of(&data.validation).view(), labels));
        let p = scaled(of(&data.test), t);
        scores.push(Sets::scores(p.view(), data.test.y.classes()));
        members.push(Member { model, theta, temperature: t });
    }
    Ok((members, scores))
}

fn probabilities(model: &Model, theta: &Tensor<f32>, x: ArrayView2<'_, f32>) -> Array2<f32> {
    match predict(model, theta, x) {
        Predictive::Classes { p, .. } => p,
        Predictive::Values { .. } => unreachable!("a classification"),
    }
}

fn scaled(p: Array2<f32>, temperature: Option<f64>) -> Array2<f32> {
    temperature.map_or_else(|| p.clone(), |t| tempered(p.view(), t))
}
