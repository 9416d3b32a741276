//! Defends: an epoch visits every example once, in an order of its own; each step has its own
//! noise; metrics are in their stated units.
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
