//! The fast gradient sign: how accuracy falls under attack, and whether uncertainty detects it.
pub mod attack;
mod report;

use super::digits::{Net, digits, predictions, probabilities, random_rows};
use super::{Cell, Experiment, Lab};
use crate::autodiff::Tape;
use crate::data::Dataset;
use crate::error::Result;
use crate::metrics::{self, auroc};
use crate::random::{Purpose, stream};
use crate::report::experiment::Report;
use crate::run::Trained;
use crate::run::config::Config;
use ndarray::{Array2, ArrayView2};
use report::{Attacked, Found, NETS, Settings};

/// `bhn reproduce adversarial`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "adversarial",
    place: "the second version's section on adversarial examples",
    claim: "A Bayesian hypernet defends better than dropout against the fast gradient sign.",
    version: 2,
    seeds: [1, 3, 3],
    seconds: [1., 145., 1500.],
    run,
};

/// Offset of the seeds of the networks that attacks are transferred from, so that no network
/// attacks itself.
const SOURCE: u64 = 1000;

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = lab.tier.pick([
        Settings { subset: Some(600), epochs: 1, images: 60, samples: 5, steps: 4 },
        Settings { subset: None, epochs: 10, images: 1000, samples: 50, steps: 20 },
        Settings { subset: None, epochs: 100, images: 10_000, samples: 100, steps: 20 },
    ]);
    let Settings { subset, epochs, images, samples, steps } = settings;
    let data = digits(lab, subset)?;
    let train = |net: &Net, seed, name: &str| {
        let config = Config { subset, ..net.config(lab.tier, 10, epochs, seed) };
        lab.run(name, &config, data.clone()).map(|(_, trained)| trained)
    };
    lab.repeat("source", lab.seeds, |seed| {
        train(&Net::MLE, SOURCE + seed, &format!("source-{seed}")).map(drop)
    })?;
    let rows = NETS.map(|net| {
        let cost = net.cost(epochs, images * (2 * steps + 10), samples);
        Cell { key: net.key.into(), cost, input: net }
    });
    let grid = lab.grid(rows, |net, seed, name| {
        let source = Trained::load(&lab.dir.join("runs").join(format!("source-{seed}")))?;
        Ok(measure(&settings, net, &train(net, seed, name)?, &source, seed, &data))
    })?;
    Ok(report::report(lab.tier, &settings, &grid))
}

/// Attack a network with its own gradient and with that of `source`.
fn measure(
    settings: &Settings,
    net: &Net,
    trained: &Trained,
    source: &Trained,
    seed: u64,
    data: &Dataset,
) -> Found {
    let samples = settings.samples;
    let (x, y) = data.test.batch(&random_rows(data.test.len(), settings.images, seed, 1));
    let y = y.classes();
    let clean = predictions(trained, samples, x.view());
    let clean_scores: Vec<_> = net.scores().iter().map(|score| score.of(&clean)).collect();
    let attack = |from: &Trained| {
        let gradient = gradient(from, samples, x.view(), y);
        let step = |epsilon: f64| {
            let moved = attack::moved(x.view(), &gradient, epsilon);
            let predicted = predictions(trained, samples, moved.view());
            let right = rights(probabilities(&predicted), y);
            let scores: Vec<_> = net.scores().iter().map(|score| score.of(&predicted)).collect();
            let pairs = scores.iter().zip(&clean_scores);
            Attacked {
                accuracy: fraction(&right),
                attacked: pairs.map(|(attacked, clean)| auroc(attacked, clean).value).collect(),
                wrong: scores.iter().map(|scores| wrong_above_right(scores, &right)).collect(),
            }
        };
        settings.epsilons().into_iter().map(step).collect()
    };
    let accuracy = fraction(&rights(probabilities(&clean), y));
    Found { accuracy, attacks: [attack(trained), attack(source)] }
}

/// `∇ₓ` of the loss of the averaged prediction, in `f64`, with the attacker's own posterior
/// samples.
fn gradient(from: &Trained, samples: usize, x: ArrayView2<'_, f32>, y: &[usize]) -> Array2<f64> {
    let config = &from.header.config;
    let (params, task) = (&from.model.params, &from.header.task);
    let mut model = config.build_with::<f64>(x.ncols(), task, params.buffers().clone());
    model.params = params.cast();
    let tape = Tape::default();
    let rng = &mut stream(config.seed, Purpose::Evaluation, 2);
    let p = model.params.freeze(&tape);
    let theta = model.posterior.predictive(&p, config.samples(samples), rng).theta;
    attack::gradient(&model, &theta.value(), x.mapv(f64::from).view(), y)
}

/// Whether each prediction is right.
fn rights(p: ArrayView2<'_, f32>, y: &[usize]) -> Vec<bool> {
    metrics::predictions(p).iter().zip(y).map(|(found, label)| found == label).collect()
}

fn fraction(right: &[bool]) -> f64 {
    right.iter().filter(|right| **right).count() as f64 / right.len() as f64
}

/// AUROC of wrong (positive) against right predictions; `None` if all are of one kind.
fn wrong_above_right(scores: &[f64], right: &[bool]) -> Option<f64> {
    let of = |kind: bool| -> Vec<f64> {
        scores.iter().zip(right).filter(|(_, right)| **right == kind).map(|(s, _)| *s).collect()
    };
    let (wrong, right) = (of(false), of(true));
    (!wrong.is_empty() && !right.is_empty()).then(|| auroc(&wrong, &right).value)
}
