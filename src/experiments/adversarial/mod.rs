//! The fast gradient sign: how accuracy falls under attack, and whether uncertainty detects it.
pub mod attack;
mod report;

use super::digits::{Net, Settings, digits, predictions, probabilities, random_rows};
use super::{Cell, Experiment, Lab};
use crate::autodiff::Tape;
use crate::error::Result;
use crate::metrics::{self, auroc};
use crate::random::{Purpose, stream};
use crate::report::experiment::Report;
use crate::run::Trained;
use ndarray::{Array2, ArrayView2};
use report::{Attacked, Found, NETS, Size};

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
    let (settings, size) = lab.tier.pick([
        (Settings { subset: Some(600), epochs: 1, samples: 5 }, Size { images: 60, steps: 4 }),
        (Settings { subset: None, epochs: 10, samples: 50 }, Size { images: 1000, steps: 20 }),
        (Settings { subset: None, epochs: 100, samples: 100 }, Size { images: 10_000, steps: 20 }),
    ]);
    let data = digits(lab, settings.subset)?;
    let train = |net: &Net, seed, name: &str| {
        net.train(lab, &settings, 10, (seed, name), data.clone()).map(|(_, trained)| trained)
    };
    lab.repeat("source", lab.seeds, |seed| {
        train(&Net::MLE, SOURCE + seed, &format!("source-{seed}")).map(drop)
    })?;
    let rows = NETS.map(|net| {
        let cost = net.cost(&settings, size.images * (2 * size.steps + 10));
        Cell { key: net.key.into(), cost, input: net }
    });
    let grid = lab.grid(rows, |net, seed, name| {
        let source = Trained::load(&lab.dir.join("runs").join(format!("source-{seed}")))?;
        let (x, y) = data.test.batch(&random_rows(data.test.len(), size.images, seed, 1));
        let networks = [&train(net, seed, name)?, &source];
        Ok(measure(net, settings.samples, networks, &size.epsilons(), x.view(), y.classes()))
    })?;
    Ok(report::report(lab.tier, &settings, &size, &grid))
}

/// Attack `trained` with its own gradient and with that of `source`.
fn measure(
    net: &Net,
    samples: usize,
    [trained, source]: [&Trained; 2],
    epsilons: &[f64],
    x: ArrayView2<'_, f32>,
    y: &[usize],
) -> Found {
    let clean = predictions(trained, samples, x);
    let attack = |from: &Trained| {
        let gradient = gradient(from, samples, x, y);
        let step = |&epsilon: &f64| {
            let moved = attack::moved(x, &gradient, epsilon);
            let predicted = predictions(trained, samples, moved.view());
            let right = rights(probabilities(&predicted), y);
            let aurocs = net.scores().iter().map(|score| {
                let scores = score.of(&predicted);
                (auroc(&scores, &score.of(&clean)).value, wrong_above_right(&scores, &right))
            });
            let (attacked, wrong) = aurocs.unzip();
            Attacked { accuracy: fraction(&right), attacked, wrong }
        };
        epsilons.iter().map(step).collect()
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
