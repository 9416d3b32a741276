//! Defends: an epoch visits every example once, in an order of its own; each step has its own
//! noise; metrics are in their stated units. Frozen parameters do not change, and the cached first
//! product replaces the inputs.
use bhn::autodiff::Tensor;
use bhn::autodiff::gradcheck::randn;
use bhn::bayes::Targets;
use bhn::data::{Augment, Split, Task};
use bhn::primary::{Layer, Shape};
use bhn::random::{Purpose, stream};
use bhn::run::config::Config;
use bhn::run::train::{Step, Trainer};
use ndarray::Array2;
use rand::Rng;

const N: usize = 10;

fn data() -> Split {
    let x = randn(&[N, 4], 1).mapv(|x| x as f32).into_dimensionality().unwrap();
    Split { x, y: Targets::Classes((0..N).map(|n| n % 2).collect()) }
}

/// A trainer with three minibatches per epoch, and a learning rate that changes no parameter.
fn trainer() -> Trainer {
    let task = Task::Classification { classes: ["a", "b"].map(String::from).to_vec() };
    let mut config = Config::default();
    config.primary.layers = Some(Layer::mlp(&[6], 2));
    (config.train.batch, config.train.epochs, config.train.learning_rate) = (4, 2, 1e-30);
    Trainer::new(&config, 4, &task, N)
}

fn epoch(trainer: &mut Trainer) -> Vec<(usize, Step)> {
    let mut steps = vec![];
    trainer.epoch(&data(), |n, step| steps.push((n, step))).unwrap();
    steps
}

#[test]
fn epoch_visits_every_example_once() {
    let mut trainer = trainer();
    let steps = epoch(&mut trainer);
    assert_eq!(steps.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [4, 4, 2]);
    assert_eq!((trainer.steps(), trainer.steps_per_epoch()), (3, 3));
    let orders = [trainer.order(0), trainer.order(1), (0..N).collect()];
    for (i, order) in orders.iter().enumerate() {
        assert!(orders[..i].iter().all(|other| other != order), "two orders are the same");
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, orders[2]);
    }
}

/// An image of one colour does not change if it is flipped, and does if it is shifted.
#[test]
fn images_are_augmented_in_training() {
    let task = Task::Classification { classes: ["a", "b"].map(String::from).to_vec() };
    let x = Array2::from_shape_fn((N, 12), |(n, _)| 1. + n as f32);
    let data = Split { x, y: data().y };
    let train = |augment| {
        let mut config = Config::default();
        config.primary.layers = Some(Layer::mlp(&[6], 2));
        config.train.augment = augment;
        let mut trainer = Trainer::new(&config, Shape::Image([1, 4, 3]), &task, N);
        trainer.epoch(&data, |_, _| {}).unwrap();
        trainer.model.params.iter().map(|(_, w)| w.clone()).collect::<Vec<_>>()
    };
    let plain = train(None);
    assert!(train(Some(Augment { shift: 0, flip: true })) == plain);
    let shifted = Some(Augment { shift: 2, flip: false });
    assert!(train(shifted) != plain && train(shifted) == train(shifted));
}

/// A trainer of 4-6-2 that freezes the parameters of these names. The directions of the first layer
/// are multiples of 1/64.
fn freezing(patterns: &[&str]) -> Trainer {
    let task = Task::Classification { classes: ["a", "b"].map(String::from).to_vec() };
    let mut config = Config::default();
    config.primary.layers = Some(Layer::mlp(&[6], 2));
    (config.train.batch, config.train.samples) = (4, 2);
    config.train.freeze = patterns.iter().map(|pattern| pattern.to_string()).collect();
    let mut trainer = Trainer::new(&config, 4, &task, N);
    let (_, v) = trainer.model.params.iter_mut().find(|(name, _)| *name == "primary.0.v").unwrap();
    *v = v.mapv(|v| (64. * v).round() / 64.).into();
    trainer
}

/// Whole numbers, so that their products with the directions of [`freezing`] are exact in any
/// order.
fn whole_numbers() -> Split {
    Split { x: data().x.mapv(|x| (4. * x).round()), ..data() }
}

type Named = Vec<(String, Vec<u32>)>;

/// The bits of parameters and of moments, by the name of the parameter.
fn state(trainer: &Trainer) -> (Named, Named) {
    let bits = |(name, w): (&str, &Tensor<f32>)| {
        (name.to_string(), w.iter().map(|w| w.to_bits()).collect::<Vec<_>>())
    };
    let names = || trainer.model.params.iter().map(|(name, _)| name);
    let moments = trainer.optimiser.moments().flat_map(|(_, moments)| names().zip(moments));
    (trainer.model.params.iter().map(bits).collect(), moments.map(bits).collect())
}

/// Frozen parameters keep their bits and their moments stay 0; all others are trained.
#[test]
fn frozen_parameters_do_not_change() {
    let mut trainer = freezing(&["primary.0.*", "*.elementwise.b"]);
    let (before, _) = state(&trainer);
    (0..2).for_each(|_| drop(epoch(&mut trainer)));
    let (after, moments) = state(&trainer);
    let frozen = ["primary.0.v", "primary.0.b", "posterior.elementwise.b"];
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before == after, frozen.contains(&&*before.0), "{}", before.0);
    }
    for (name, moments) in &moments {
        assert_eq!(moments.iter().all(|&m| m == 0), frozen.contains(&&**name), "{name}");
    }
}

/// `train.posterior_rate` is a factor of the learning rate of `posterior.*`, and of no other.
#[test]
fn posterior_rate_scales_steps_of_the_posterior() {
    let step = |rate: f64, posterior_rate: f64| {
        let task = Task::Classification { classes: ["a", "b"].map(String::from).to_vec() };
        let mut config = Config::default();
        config.primary.layers = Some(Layer::mlp(&[6], 2));
        (config.train.learning_rate, config.train.posterior_rate) = (rate, posterior_rate);
        let mut trainer = Trainer::new(&config, 4, &task, N);
        trainer.step(data().x, &data().y).unwrap();
        state(&trainer).0
    };
    let [slow, fast, mixed] = [(1e-3, 1.), (8e-3, 1.), (1e-3, 8.)].map(|(a, b)| step(a, b));
    for ((slow, fast), mixed) in slow.iter().zip(&fast).zip(&mixed) {
        let is_posterior = mixed.0.starts_with("posterior.");
        assert_eq!(mixed, if is_posterior { fast } else { slow });
    }
    assert!(slow.iter().zip(&fast).all(|(slow, fast)| slow != fast));
}

/// Training from the cached product is training from the inputs, bitwise if the products are exact,
/// and does not read the inputs again.
#[test]
fn cached_first_product_replaces_the_inputs() {
    let data = whole_numbers();
    let train = |trainer: &mut Trainer, data: &Split| {
        trainer.epoch(data, |_, _| ()).unwrap();
        state(trainer)
    };
    let expected = train(&mut freezing(&["primary.0.v"]), &data);
    let unread = Split { x: Array2::from_elem((N, 4), f32::NAN), ..data.clone() };
    let mut trainer = freezing(&["primary.0.v"]);
    trainer.cache_first_product(&data);
    assert!(train(&mut trainer, &unread) == expected);
    // If the directions are trained, there is nothing to cache, and the inputs are read.
    let mut trainer = freezing(&["primary.0.b"]);
    trainer.cache_first_product(&data);
    assert!(trainer.epoch(&unread, |_, _| ()).is_err());
}

/// A frozen parameter that is replaced from outside, as by a checkpoint, is used from then on, and
/// the product of its former value is not.
#[test]
fn replaced_frozen_parameters_are_used() {
    let data = whole_numbers();
    let [mut cached, mut plain] = [(); 2].map(|()| freezing(&["primary.*"]));
    cached.cache_first_product(&data);
    cached.epoch(&data, |_, _| ()).unwrap();
    plain.epoch(&data, |_, _| ()).unwrap();
    for trainer in [&mut cached, &mut plain] {
        let mut params = trainer.model.params.iter_mut();
        let (_, v) = params.find(|(name, _)| *name == "primary.0.v").unwrap();
        *v = v.mapv(|v| v + 0.5).into();
    }
    let [a, b] = [&mut cached, &mut plain].map(|trainer| {
        trainer.epoch(&data, |_, _| ()).unwrap();
        state(trainer)
    });
    assert!(a == b);
    let mut never = freezing(&["primary.*"]);
    (0..2).for_each(|_| never.epoch(&data, |_, _| ()).unwrap());
    assert!(state(&never) != a);
}

#[test]
fn step_terms_are_totals_over_the_data_set() {
    let mut trainer = trainer();
    let mut densities = vec![];
    for expected in [1., 1., 1., 0.1, 0.1, 0.1] {
        let rows: Vec<_> = (0..4).collect();
        let (x, y) = data().batch(&rows);
        let step = trainer.step(x, &y).unwrap();
        let total = step.terms.total;
        assert!((total + N as f64 * step.loss).abs() < 1e-4 * total.abs(), "{step:?}");
        assert!((step.learning_rate - 1e-30 * expected).abs() < 1e-42);
        densities.push(step.terms.log_q);
    }
    let distinct = |i: usize| densities[..i].iter().all(|other| *other != densities[i]);
    assert!((0..6).all(distinct), "two steps have the same noise: {densities:?}");
}

/// `train.kl_weight` multiplies the weight of annealing and changes the loss alone: the terms and
/// the bound are, bit for bit, those at weight 1.
#[test]
fn kl_weight_multiplies_annealing_in_the_loss_alone() {
    let first = |weight: f64, anneal: f64| {
        let mut config = Config::default();
        config.primary.layers = Some(Layer::mlp(&[6], 2));
        (config.train.kl_weight, config.train.kl_anneal_epochs) = (weight, anneal);
        let task = Task::Classification { classes: ["a", "b"].map(String::from).to_vec() };
        Trainer::new(&config, 4, &task, N).step(data().x, &data().y).unwrap()
    };
    let plain = first(1., 0.);
    for (weight, anneal, beta) in [(1., 0., 1.), (0.25, 0., 0.25), (0.25, 2., 0.25 * 0.001)] {
        let Step { loss, terms, beta: found, .. } = first(weight, anneal);
        assert_eq!((found, terms), (beta, plain.terms));
        let expected = (beta * terms.kl - terms.log_likelihood) / N as f64;
        // A few roundings in single precision, relative to the largest term.
        let size = (terms.kl.abs() + terms.log_likelihood.abs()) / N as f64;
        let tolerance = 8. * f64::from(f32::EPSILON) * size;
        assert!((loss - expected).abs() < tolerance, "{loss} {expected}");
    }
}

#[test]
fn random_streams_are_distinct() {
    let purposes = [Purpose::Init, Purpose::Batches, Purpose::Noise, Purpose::Evaluation];
    let of = |(purpose, index)| stream(7, purpose, index).next_u64();
    let mut first: Vec<_> = purposes.into_iter().flat_map(|p| [0, 1].map(|i| of((p, i)))).collect();
    first.push(stream(8, Purpose::Init, 0).next_u64());
    first.sort_unstable();
    first.dedup();
    assert_eq!(first.len(), 9);
}
