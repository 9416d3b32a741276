//! Shared by the benches: the reference case, random inputs, a timer.
use bhn::bayes::Model;
use bhn::data::Task;
use bhn::primary::Layer;
use bhn::random::{Purpose, stream};
use bhn::run::config::{Config, MethodKind};
use bhn::run::train::Trainer;
use ndarray::Array2;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::time::{Duration, Instant};

pub const INPUTS: usize = 784;
pub const BATCH: usize = 128;

/// 784-800-800-10, T = 8 couplings of 200 units, one noise sample.
pub fn reference() -> Config {
    let mut config = Config { method: MethodKind::Bhn, ..Config::default() };
    config.primary.layers = Some(Layer::mlp(&[800, 800], 10));
    config.flow.couplings = 8;
    config.flow.hidden = 200;
    config.train.batch = BATCH;
    config.train.samples = 1;
    config.train.learning_rate = 1e-4;
    config
}

pub fn trainer(config: &Config) -> Trainer {
    Trainer::new(config, INPUTS, &digits(), 50_000)
}

pub fn model(config: &Config) -> Model {
    config.build(INPUTS, &digits())
}

pub fn digits() -> Task {
    Task::Classification { classes: (0..10).map(|c| c.to_string()).collect() }
}

pub fn normal(shape: [usize; 2]) -> Array2<f32> {
    let mut rng = stream(1, Purpose::Sample, 0);
    Array2::from_shape_simple_fn(shape, || rng.sample(StandardNormal))
}

/// Milliseconds of each of three or more runs after a warm-up.
pub fn timed(secs: Duration, warm_up: usize, mut run: impl FnMut(usize)) -> Vec<f64> {
    (0..warm_up).for_each(&mut run);
    let (start, mut times) = (Instant::now(), vec![]);
    while times.len() < 3 || start.elapsed() < secs {
        let at = Instant::now();
        run(times.len());
        times.push(1e3 * at.elapsed().as_secs_f64());
    }
    times
}

pub fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
