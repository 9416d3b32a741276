//! The high-level interface: a configuration, a trainer, predictions. A Bayesian hypernetwork
//! learns digits from 5,000 images, and its uncertainty is higher where its predictions are wrong.
//!
//! `cargo run --release --example 06_mnist`
use bhn::bayes::HypernetConfig;
use bhn::data::Targets;
use bhn::metrics::{accuracy, predictions};
use bhn::predict::{Predictive, draw, predict};
use bhn::primary::Layer;
use bhn::random::{Purpose, stream};
use bhn::run::config::{Config, Primary, Train};
use bhn::run::load_data;
use bhn::run::train::Trainer;
use ndarray::Array2;
use rand::RngExt;

fn main() -> bhn::error::Result<()> {
    // Other settings keep their defaults; `config.to_toml()` shows all of them. Adam at a rate of
    // 10⁻³ changes the logarithm of the posterior's std by about 1 in these 948 steps, so a short
    // run has to start with a wide posterior.
    let config = Config {
        subset: Some(5000),
        primary: Primary { layers: Some(Layer::mlp(&[200, 200], 10)) },
        flow: HypernetConfig { couplings: 4, hidden: 100, log_scale: -1., ..Default::default() },
        train: Train { epochs: 12, batch: 64, ..Train::default() },
        ..Config::default()
    };
    let data = load_data(&config, None)?;
    let config = config.resolve(&data)?;

    let n = data.train.len();
    let mut trainer = Trainer::new(&config, data.preprocess.inputs, &data.task, n);
    for epoch in 1..=config.train.epochs {
        let (mut elbo, mut correct) = (0., 0);
        trainer.epoch(&data.train, |examples, step| {
            elbo += step.terms.total * examples as f64 / n as f64;
            correct += step.correct;
        })?;
        let right = 100. * correct as f64 / n as f64;
        println!("epoch {epoch:2}: ELBO {elbo:6.0} nats, {right:5.1} % of training digits correct");
    }

    // Sample 50 networks from the posterior, and average their predictions for the test digits and
    // for 2,000 images of uniform noise.
    let theta = draw(&trainer.model, 50, &mut stream(config.seed, Purpose::Evaluation, 0)).0;
    let rng = &mut stream(config.seed, Purpose::Sample, 0);
    let noise = Array2::from_shape_simple_fn((2000, 784), || rng.random::<f32>());
    let on_digits = predict(&trainer.model, &theta, data.test.x.view());
    let on_noise = predict(&trainer.model, &theta, noise.view());

    let (
        Predictive::Classes { p, entropy, bald, .. },
        Predictive::Classes { entropy: noise_entropy, bald: noise_bald, .. },
        Targets::Classes(labels),
    ) = (on_digits, on_noise, &data.test.y)
    else {
        unreachable!("digits are classes")
    };
    let right = accuracy(p.view(), labels);
    println!("test accuracy {right:.3}");

    // The entropy H[p̄], at most ln 10 = 2.30 nats, is the total uncertainty; the mutual
    // information I[y; θ] = H[p̄] − mean_s H[p_s] (BALD) is its epistemic part, the disagreement of
    // the samples. Both are higher where the prediction is wrong.
    let found = predictions(p.view());
    let (yes, no): (Vec<_>, Vec<_>) = (0..found.len()).partition(|&i| found[i] == labels[i]);
    let mean = |v: &[f32], i: &[usize]| i.iter().map(|&i| v[i]).sum::<f32>() / i.len() as f32;
    let all: Vec<_> = (0..2000).collect();
    let [right_h, wrong_h] = [&yes, &no].map(|rows| mean(&entropy, rows));
    let [right_b, wrong_b] = [&yes, &no].map(|rows| mean(&bald, rows));
    println!("correct predictions: entropy {right_h:.3}, BALD {right_b:.3}");
    println!("wrong predictions:   entropy {wrong_h:.3}, BALD {wrong_b:.3}");

    // On uniform noise, uncertainty need not be high: training does not penalise confident
    // predictions far from the data. Seeds 0, 1 and 2 give mean entropies of 0.28, 0.66 and 0.14
    // nats on noise, and of 0.16 to 0.19 nats on test digits.
    let (noise_h, noise_b) = (mean(&noise_entropy, &all), mean(&noise_bald, &all));
    println!("uniform noise:       entropy {noise_h:.3}, BALD {noise_b:.3}");

    assert!(right.value > 0.92);
    assert!(wrong_h > 3. * right_h && wrong_b > 2. * right_b, "wrong predictions are uncertain");
    Ok(())
}
