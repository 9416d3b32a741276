//! Defends: `bhn verify RUN` passes on every sound run, whatever its settings, network and data;
//! what a run cannot show is reported, and is never a failure.
#![cfg(feature = "cli")]
use bhn::bayes::{Axes, Base, FlowKind, Noise, Prior};
use bhn::data::TaskKind;
use bhn::flows::{KinkShape, Order, Stabiliser};
use bhn::nn::optim::{Schedule, Update};
use bhn::primary::Layer;
use bhn::run::config::{Config, MethodKind};
use bhn::run::{Run, Trained, load_data};
use bhn::verify::trained::{Case, suites};
use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rstest::rstest;
use std::fs;
use std::path::Path;

/// A table: its name, its text, its task and its outputs.
type Table = (&'static str, String, TaskKind, usize);

/// Tables with classes that are far apart, mixed and rare; a line; a constant target; and a dozen
/// rows.
fn tables() -> Vec<Table> {
    use TaskKind::{Classification, Regression};
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    let mut table = |rows: usize, y: &dyn Fn(usize, [f64; 2]) -> ([f64; 2], String)| {
        let mut text = "a,b,y\n".to_string();
        for i in 0..rows {
            let x = [rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0)];
            let ([a, b], y) = y(i, x);
            text += &format!("{a:.4},{b:.4},{y}\n");
        }
        text
    };
    let class = |i: usize| ["x", "y", "z"][i % 3].to_string();
    let apart =
        table(60, &|i, [a, b]| ([a + 9. * (i % 3) as f64, b - 9. * (i % 3) as f64], class(i)));
    let mixed = table(60, &|_, [a, b]| ([a, b], class((a + b > 0.).into())));
    let few = table(14, &|i, x| (x, class(i)));
    let rare = table(60, &|i, x| (x, class((i == 30).into())));
    let line =
        table(60, &|_, [a, b]| ([a, b], format!("{:.4}", 3. * a - b + 0.1 * (a * 40.).sin())));
    let constant = table(60, &|_, x| (x, "2.5".to_string()));
    let short = table(14, &|_, [a, b]| ([a, b], format!("{:.3}", a * b)));
    vec![
        ("apart", apart, Classification, 3),
        ("mixed", mixed, Classification, 2),
        ("few", few, Classification, 3),
        ("rare", rare, Classification, 2),
        ("line", line, Regression, 1),
        ("constant", constant, Regression, 1),
        ("short", short, Regression, 1),
    ]
}

/// Random layers: networks that are narrow, dead, deep or without a hidden layer, with masks in
/// random places.
fn layers(method: MethodKind, outputs: usize, rng: &mut ChaCha8Rng) -> Vec<Layer> {
    use Layer::{Dense, Dropout, Relu, Tanh};
    let act = if rng.random_bool(0.7) { Relu } else { Tanh };
    let mut all = match rng.random_range(0..7) {
        0 => vec![],
        1 => vec![Dense(1), act],
        2 => vec![Dense(2), act, Dense(2), act],
        3 => (0..5).flat_map(|_| [Dense(3), Relu]).collect(),
        4 => (0..9).flat_map(|_| [Dense(4), act]).collect(),
        5 => vec![Dense(8), Relu, Relu, Dense(5), Tanh],
        _ => vec![Dense(9), act],
    };
    let drops =
        [MethodKind::Dropout, MethodKind::McDropout, MethodKind::ConcreteDropout].contains(&method);
    if drops && rng.random_bool(0.5) {
        for rate in [0.0, 0.3, 0.5] {
            let at = rng.random_range(0..=all.len());
            all.insert(at, Dropout(rate));
        }
    }
    all.push(Dense(outputs));
    all
}

fn pick<T: Copy>(rng: &mut ChaCha8Rng, of: &[T]) -> T {
    *of.choose(rng).unwrap()
}

/// A configuration with random settings, some of which are refused.
fn at_random(data: &Path, (_, _, task, outputs): &Table, rng: &mut ChaCha8Rng) -> Config {
    use MethodKind::{Bbb, Bhn, ConcreteDropout, Dropout, Ensemble, FullBhn, McDropout, Mle, Mnf};
    let methods =
        [Bhn, Bhn, Bhn, FullBhn, Mle, Mle, Dropout, McDropout, ConcreteDropout, Bbb, Mnf, Ensemble];
    let mut c = Config { method: pick(rng, &methods), ..Config::default() };
    c.data = data.display().to_string();
    c.task = Some(*task);
    c.seed = rng.random_range(0..1000);
    c.primary.layers = Some(layers(c.method, *outputs, rng));
    c.flow.kind =
        pick(rng, &[FlowKind::Realnvp, FlowKind::Iaf, FlowKind::Linear, FlowKind::Planar]);
    c.flow.couplings = rng.random_range(0..4);
    c.flow.layers = rng.random_range(1..4);
    c.flow.hidden = pick(rng, &[1, 3, 10]);
    c.flow.stabiliser = pick(rng, &[Stabiliser::Exp, Stabiliser::Tanh, Stabiliser::Sigmoid]);
    c.flow.weight_norm = rng.random();
    c.flow.permutation = pick(rng, &[Order::Random, Order::Reversal]);
    c.flow.kink = pick(rng, &[KinkShape::Smooth, KinkShape::Prelu]);
    c.flow.log_scale = pick(rng, &[-7., -2.5, 0.]);
    let mixture = |axes| Base::Mixture { components: 2, distance: 2., axes };
    c.flow.base =
        pick(rng, &[Base::Normal, Base::Normal, mixture(Axes::First), mixture(Axes::All)]);
    c.mean_field.local = rng.random();
    c.mean_field.log_std = pick(rng, &[-4., -1.]);
    c.mnf.couplings = rng.random_range(0..4);
    c.mnf.hidden = pick(rng, &[1, 3, 10]);
    c.dropout.rate = pick(rng, &[0.1, 0.5, 0.9]);
    c.ensemble.members = rng.random_range(1..4);
    c.prior = pick(
        rng,
        &[
            Prior::Gaussian { precision: 1. },
            Prior::Gaussian { precision: 100. },
            Prior::Laplace { scale: 0.5 },
            Prior::ScaleMixture { weight: 0.5, stds: [1., 0.05] },
        ],
    );
    c.likelihood.clip = pick(rng, &[None, Some(0.001), Some(0.2)]);
    c.likelihood.precision = pick(rng, &[None, Some(1.), Some(400.)]);
    let t = &mut c.train;
    t.epochs = pick(rng, &[1, 3, 20]);
    t.batch = pick(rng, &[1, 7, 128]);
    t.samples = rng.random_range(1..4);
    t.noise = pick(rng, &[None, Some(Noise::Shared), Some(Noise::PerExample)]);
    t.data_init = rng.random_bool(0.2);
    t.validation_samples = 2;
    t.validate_every = 10;
    t.learning_rate = pick(rng, &[1e-3, 1e-2, 0.3]);
    t.schedule = pick(rng, &[Schedule::Paper, Schedule::Constant]);
    t.kl_anneal_epochs = pick(rng, &[0., 2.]);
    let adam = Update::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    t.optimiser = pick(rng, &[adam, Update::Sgd { momentum: 0. }, Update::Sgd { momentum: 0.9 }]);
    c
}

/// The results of `verify` for `count` runs from number `first` on: failures, and the numbers of
/// checks and faults that were judged and that were not.
fn verified(first: u64, count: u64) -> (Vec<String>, [usize; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let tables = tables();
    let (mut failures, mut counts, mut done) = (vec![], [0, 0], 0);
    for number in first.. {
        if done == count {
            break;
        }
        let rng = &mut ChaCha8Rng::seed_from_u64(number);
        let table = &tables[rng.random_range(0..tables.len())];
        let csv = folder.path().join(format!("{}.csv", table.0));
        fs::write(&csv, &table.1).unwrap();
        let config = at_random(&csv, table, rng);
        let data = load_data(&config, None).unwrap();
        let Ok(config) = config.resolve(&data) else { continue };
        let dir = folder.path().join(number.to_string());
        let mut run = Run::create(&dir, config.clone(), data).unwrap();
        // A run that diverges reports it, and leaves nothing to verify.
        if run.train(|_| {}).is_err() {
            continue;
        }
        drop(run);
        done += 1;
        let trained = Trained::load(&dir).unwrap();
        let data = trained.data(None).unwrap();
        let case = Case::new(trained, &data.train);
        for (name, suite) in suites(&case).0 {
            let outcome = suite().verify(name);
            let idle = outcome.checks.iter().filter(|c| c.not_judged.is_some()).count()
                + outcome.equivalent().count();
            counts[0] += outcome.checks.len() + outcome.faults.len() - idle;
            counts[1] += idle;
            let unjudged =
                outcome.checks.iter().filter_map(|c| Some((c.property, c.not_judged.as_deref()?)));
            for (what, why) in unjudged.chain(outcome.equivalent()) {
                println!("run {number}, {name}: {what}: {why}");
            }
            let failed = outcome.checks.iter().filter(|check| check.failed());
            let failed = failed.map(|check| format!("{}: {:?}", check.property, check.worst));
            let all: Vec<_> =
                failed.chain(outcome.survivors().map(|f| format!("not noticed: {f}"))).collect();
            if !all.is_empty() {
                failures.push(format!("run {number}, {name}: {all:?}\n{}", config.to_toml()));
            }
        }
    }
    (failures, counts)
}

#[test]
fn verify_passes_on_random_runs() {
    let (failures, [judged, not]) = verified(0, 48);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(not * 10 < judged, "{not} not judged, {judged} judged");
}

/// Runs that once failed, each for another reason: a flow that is singular up to rounding, one that
/// is nearly singular, finite differences less accurate than their own estimate, and a likelihood's
/// gradient orthogonal to the gradient of the loss.
#[rstest]
fn verify_passes_on_former_failures(#[values(1263, 1947, 2015, 2135)] number: u64) {
    let (failures, _) = verified(number, 1);
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
#[ignore = "a thousand runs"]
fn verify_passes_on_a_thousand_random_runs() {
    let (failures, [judged, not]) = verified(1000, 1000);
    assert!(failures.is_empty(), "{} runs:\n{}", failures.len(), failures.join("\n\n"));
    assert!(not * 10 < judged, "{not} not judged, {judged} judged");
}
