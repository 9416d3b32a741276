//! Results are bitwise identical for any number of threads.
use super::suite::{Instance, Measurement, Property, Suite};
use crate::autodiff::gradcheck::randn;
use crate::data::{Split, Targets, Task};
use crate::error::{Error, Result};
use crate::predict::{Predictive, draw, predict};
use crate::primary::{Layer, Shape};
use crate::random::{Purpose, stream};
use crate::run::config::Config;
use crate::run::train::Trainer;

/// A computation on the current thread pool; returns the bits of its results.
pub type Computation = Box<dyn Fn() -> Vec<u32> + Send + Sync>;

const DENSE: &[&str] = &["dense 300", "relu", "dense 200", "relu", "dense 3"];
const CONV: &[&str] =
    &["conv 16 3x3", "relu", "conv 32 3x3 pad 1", "relu", "pool 2", "flatten", "dense 3"];

/// The suite of training and prediction.
pub fn suite() -> Suite<Computation> {
    let train = |name, layers| Instance::new(name, Box::new(move || train(layers)) as Computation);
    Suite {
        properties: vec![Property::new(
            "same bits",
            "an epoch and its predictions are the same to the last bit on 1, 2, 3 and 5 threads",
            |computation| same_bits(computation, &[2, 3, 5]),
        )],
        instances: vec![train("dense layers", DENSE), train("convolutions", CONV)],
        faults: faults(|| (0..10_000).map(|i| 1. / (1. + i as f32)).collect()),
    }
}

/// The number of results that differ from those on one thread, for the worst of the numbers of
/// `threads`.
pub(super) fn same_bits(computation: &Computation, threads: &[usize]) -> Measurement {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map(|pool| pool.install(computation)).map_err(Error::threads)
    };
    let compare = || -> Result<_> {
        let one = on(1)?;
        let compared = threads.iter().map(|&threads| {
            let differ = one.iter().zip(&on(threads)?).filter(|(a, b)| a != b).count();
            let at = format!("numbers that differ on {threads} threads");
            Ok(Measurement::new(differ as f64, 0., at))
        });
        Ok(Measurement::worst(compared.collect::<Result<Vec<_>>>()?))
    };
    compare().unwrap_or_else(|error| Measurement::not_judged(error.to_string()))
}

/// The bits of parameters and predictions after one epoch.
fn train(layers: &[&str]) -> Vec<u32> {
    let (mut trainer, data) = (trainer(layers), examples());
    trainer.epoch(&data, |_, _| {}).expect("it does not diverge");
    let (theta, _) = draw(&trainer.model, 5, &mut stream(0, Purpose::Evaluation, 0));
    let p = means(predict(&trainer.model, &theta, data.x.view()));
    let params = trainer.model.params.iter().flat_map(|(_, w)| w.to_owned());
    params.chain(p).map(f32::to_bits).collect()
}

/// A BHN with the given layers, for images of `10 × 10` pixels in three classes.
pub(super) fn trainer(layers: &[&str]) -> Trainer {
    let mut config = Config::default();
    config.primary.layers =
        Some(layers.iter().map(|word| word.parse::<Layer>().expect("a layer")).collect());
    (config.flow.couplings, config.flow.hidden) = (2, 40);
    (config.train.batch, config.train.epochs) = (32, 1);
    Trainer::new(&config, Shape::Image([1, 10, 10]), &classes(), 96)
}

pub(super) fn classes() -> Task {
    Task::Classification { classes: ["0", "1", "2"].map(String::from).into() }
}

/// 96 examples for [`trainer`].
pub(super) fn examples() -> Split {
    let x = randn(&[96, 100], 1).mapv(|x| x as f32).into_dimensionality().expect("[N, 100]");
    Split { x, y: Targets::Classes((0..96).map(|n| n % 3).collect()) }
}

/// The predicted probabilities, or the predicted means.
pub(super) fn means(found: Predictive) -> Vec<f32> {
    match found {
        Predictive::Classes { p, .. } => p.into_iter().collect(),
        Predictive::Values { mean, .. } => mean.into_iter().map(|m| m as f32).collect(),
    }
}

/// Sums of `terms` in as many parts as there are threads, so that the rounding depends on the
/// number of threads.
pub(super) fn faults(
    terms: impl Fn() -> Vec<f32> + Send + Sync + 'static,
) -> Vec<Instance<Computation>> {
    let sums = move || {
        let terms = terms();
        let part = terms.len().div_ceil(rayon::current_num_threads());
        // Several weightings, since a single sum of a few terms may be the same by chance.
        let sum = |weight: f32| -> f32 {
            terms.chunks(part).map(|part| part.iter().map(|x| weight * x).sum::<f32>()).sum()
        };
        (1..=16).map(|i| sum(1. / (2. + i as f32)).to_bits()).collect()
    };
    vec![Instance::new("a sum in as many parts as there are threads", Box::new(sums))]
}
