//! Time of a training step and of a prediction, end to end.
//!
//! `cargo bench --bench step -- [CASE…] [--threads N] [--secs S] [--bf16]` prints one JSON line for
//! each case; compare medians. With `--bf16`, the network's products are in bfloat16. The network
//! is 784-800-800-10 with minibatches of 128, unless stated otherwise: `mlp`, maximum likelihood
//! without a hypernet; `bhn`, the bound with all its terms, T = 8 couplings of 200 units, one noise
//! sample, clipping and Adam; `bhn8`, 8 noise samples; `frozen`, as `bhn` with the network's
//! directions and biases frozen; `small` and `small-frozen`, as `bhn` and `frozen` with
//! 784-50-50-10 and T = 4; `predict`, 10,000 images with 100 posterior samples; `cnn`, the paper's
//! network for CIFAR-10 with minibatches of 64.
mod common;

use bhn::autodiff::{Precision, Storage, Tape};
use bhn::bayes::{Model, Targets};
use bhn::data::Split;
use bhn::nn::optim::{Clip, Optimiser, Schedule, Update};
use bhn::nn::{Init, Linear, Params};
use bhn::predict::{draw, predict};
use bhn::primary::{Layer, Shape};
use bhn::random::{Purpose, stream};
use bhn::run::config::Config;
use bhn::run::train::Trainer;
use common::{BATCH, INPUTS, digits, median, model, normal, reference, timed, trainer};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let flag = |name: &str| {
        let at = words.iter().position(|w| w == name)?;
        words.get(at + 1)?.parse::<f64>().ok()
    };
    let secs = Duration::from_secs_f64(flag("--secs").unwrap_or(5.));
    let threads = flag("--threads").map_or(vec![1, 2], |n| vec![n as usize]);
    let precision = match words.iter().any(|word| word == "--bf16") {
        true => Precision::Bf16,
        false => Precision::F32,
    };
    let named = |case: &&&str| words.iter().any(|w| w == **case);
    let cases = ["mlp", "bhn", "bhn8", "frozen", "small", "small-frozen", "predict", "cnn"];
    let some = cases.iter().any(|case| named(&case));
    for threads in threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        for case in cases.iter().filter(|case| !some || named(case)) {
            let times = pool.install(|| run(case, precision, secs));
            let (median, min) = (median(&times), times.iter().copied().fold(f64::MAX, f64::min));
            println!(
                "{{\"case\": \"{case}\", \"threads\": {threads}, \
                 \"bf16\": {}, \"ms_median\": {median:.3}, \
                 \"ms_min\": {min:.3}, \"runs\": {}, \"peak_rss_mb\": {}}}",
                precision == Precision::Bf16,
                times.len(),
                bhn::run::summary::peak_memory().unwrap_or(0) >> 20
            );
        }
    }
}

/// The paper's network for CIFAR-10; the same hypernet computes its 906 scales. Minibatches of 64.
fn photographs() -> Config {
    let network: Config = toml::from_str(include_str!("../networks/cifar-10.toml")).expect("TOML");
    let mut config = reference();
    config.primary = network.primary;
    config.train.batch = 64;
    config
}

/// Milliseconds of each run after a warm-up.
fn run(case: &str, precision: Precision, secs: Duration) -> Vec<f64> {
    let images = normal([if case == "predict" { 10_000 } else { 8 * BATCH }, INPUTS]);
    let rows = |i: usize| images.slice(ndarray::s![i % 8 * BATCH..(i % 8 + 1) * BATCH, ..]);
    let labels: Vec<_> = (0..BATCH).map(|i| i * 7 % 10).collect();
    match case {
        "mlp" => {
            let mut params = Params::<f32>::default();
            let rng = &mut stream(0, Purpose::Init, 0);
            let [first, second, last] = [[INPUTS, 800], [800, 800], [800, 10]]
                .map(|size| Linear::new(&mut params, &format!("{size:?}"), size, Init::He, rng));
            let mut adam = Optimiser::new(Update::default(), &params);
            let mut storage = Storage::default();
            timed(secs, 5, |i| {
                let tape = Tape::reusing(std::mem::take(&mut storage)).in_precision(precision);
                let p = params.bind(&tape);
                let x = tape.constant(rows(i).to_owned().into_dyn());
                let hidden = second.forward(&p, first.forward(&p, x).relu()).relu();
                let logits = last.forward(&p, hidden);
                let loss = -logits.categorical_log_prob(labels.clone()).mean();
                let grads = p.gradients(loss.backward());
                storage = tape.into_storage();
                adam.step(&mut params, &grads, 1e-4, Clip::NONE);
                grads.into_iter().flatten().for_each(|g| storage.keep_gradient(g));
            })
        }
        "predict" => {
            let model = Model { precision, ..model(&reference()) };
            timed(secs, 1, |i| {
                let rng = &mut stream(0, Purpose::Sample, i as u64);
                let (theta, _) = draw(&model, 100, rng);
                predict(&model, &theta, images.view());
            })
        }
        "cnn" => {
            let (mut config, n) = (photographs(), 64);
            config.train.precision = precision;
            let shape = Shape::Image([3, 32, 32]);
            let images = normal([8 * n, shape.len()]);
            let mut trainer = Trainer::new(&config, shape, &digits(), 50_000);
            let y = Targets::Classes(labels[..n].to_vec());
            timed(secs, 5, |i| {
                let rows = images.slice(ndarray::s![i % 8 * n..(i % 8 + 1) * n, ..]);
                trainer.step(rows.to_owned(), &y).expect("a finite step");
            })
        }
        _ => {
            let mut config = reference();
            config.train.precision = precision;
            config.train.samples = if case == "bhn8" { 8 } else { 1 };
            if case.starts_with("small") {
                config.primary.layers = Some(Layer::mlp(&[50, 50], 10));
                config.flow.couplings = 4;
            }
            if !case.ends_with("frozen") {
                let mut trainer = trainer(&config);
                let y = Targets::Classes(labels);
                return timed(secs, 5, |i| {
                    trainer.step(rows(i).to_owned(), &y).expect("a finite step");
                });
            }
            // Epochs of one step each.
            config.train.freeze = vec!["primary.*".into()];
            config.train.schedule = Schedule::Constant;
            let mut trainer = Trainer::new(&config, INPUTS, &digits(), BATCH);
            let data = Split { x: rows(0).to_owned(), y: Targets::Classes(labels) };
            trainer.cache_first_product(&data);
            timed(secs, 5, |_| trainer.epoch(&data, |_, _| ()).expect("a finite step"))
        }
    }
}
