//! The library from above: a configuration, a trainer, predictions. A Bayesian hypernetwork learns
//! digits from 5,000 images and knows which of its answers to doubt.
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
    // What is not said here keeps its default; `config.to_toml()` writes all of it out. The default
    // posterior starts with std e⁻⁷, and Adam at a rate of 10⁻³ changes that exponent by about 1 in
    // these 948 steps: a short run that shall end wide has to start wide.
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
        println!("epoch {epoch:2}: ELBO {elbo:6.0} nats, {right:5.1} % of training digits right");
    }

    // Draw 50 networks from the posterior once, and let them all look at the test digits, and at
    // 2,000 images of uniform noise.
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

    // Entropy H[p̄], at most ln 10 = 2.30 nats, is doubt about the answer, whatever its reason; BALD,
    // H[p̄] − mean_s H[p_s], is the part of it on which the samples disagree. Both are high where the
    // answer is wrong, and no label was needed to tell.
    let found = predictions(p.view());
    let (yes, no): (Vec<_>, Vec<_>) = (0..found.len()).partition(|&i| found[i] == labels[i]);
    let mean = |v: &[f32], i: &[usize]| i.iter().map(|&i| v[i]).sum::<f32>() / i.len() as f32;
    let all: Vec<_> = (0..2000).collect();
    let [right_h, wrong_h] = [&yes, &no].map(|rows| mean(&entropy, rows));
    let [right_b, wrong_b] = [&yes, &no].map(|rows| mean(&bald, rows));
    println!("answer is right: entropy {right_h:.3}, BALD {right_b:.3}");
    println!("answer is wrong: entropy {wrong_h:.3}, BALD {wrong_b:.3}");

    // Noise is another matter. Nothing in training punished a sure answer to it, and far from the
    // data each sample may be sure of its own: seeds 0, 1 and 2 give it entropies of 0.28, 0.66 and
    // 0.14 nats, when test digits have 0.16 to 0.19. So here is a number, but no claim.
    let (noise_h, noise_b) = (mean(&noise_entropy, &all), mean(&noise_bald, &all));
    println!("uniform noise:   entropy {noise_h:.3}, BALD {noise_b:.3}");

    assert!(right.value > 0.92);
    assert!(wrong_h > 3. * right_h && wrong_b > 2. * right_b, "wrong answers are doubted");
    Ok(())
}
