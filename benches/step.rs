//! The main job's two loops, timed end to end: a training step of the 784-800-800-10 network and a
//! prediction of 10,000 images with 100 posterior samples.
//!
//! `cargo bench --bench step -- [CASE…] [--threads N] [--secs S]` prints one JSON line a case. Cases:
//! `mlp` (plain, maximum likelihood), `bhn` (T = 8 couplings of 200 units, one noise sample a
//! minibatch of 128, the bound with all its terms, clipping, Adam), `bhn8` (the same with 8 noise
//! samples), `predict`. The median is the figure to compare.
use bhn::bayes::Targets;
use bhn::config::{Config, Method};
use bhn::data::Task;
use bhn::nn::{Mlp, Params};
use bhn::optim::{Clip, Optimiser, Rule};
use bhn::predict::{draw, predict};
use bhn::random::{Purpose, stream};
use bhn::tape::Tape;
use bhn::train::Trainer;
use ndarray::Array2;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 128;

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let flag = |name: &str| {
        let at = words.iter().position(|w| w == name)?;
        words.get(at + 1)?.parse::<f64>().ok()
    };
    let secs = Duration::from_secs_f64(flag("--secs").unwrap_or(5.));
    let threads = flag("--threads").map_or(vec![1, 2], |n| vec![n as usize]);
    let named = |case: &&&str| words.iter().any(|w| w == **case);
    let cases = ["mlp", "bhn", "bhn8", "predict"];
    let some = cases.iter().any(|case| named(&case));
    for threads in threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        for case in cases.iter().filter(|case| !some || named(case)) {
            let mut times = pool.install(|| run(case, secs));
            times.sort_by(f64::total_cmp);
            let (median, min) = (times[times.len() / 2], times[0]);
            println!(
                "{{\"case\": \"{case}\", \"threads\": {threads}, \"ms_median\": {median:.3}, \
                 \"ms_min\": {min:.3}, \"runs\": {}}}",
                times.len()
            );
        }
    }
}

/// Milliseconds of each run after a warm-up.
fn run(case: &str, secs: Duration) -> Vec<f64> {
    let images = normal([10_000, 784]);
    let rows = |i: usize| images.slice(ndarray::s![i % 8 * BATCH..(i % 8 + 1) * BATCH, ..]);
    let labels: Vec<_> = (0..BATCH).map(|i| i * 7 % 10).collect();
    match case {
        "mlp" => {
            let mut params = Params::<f32>::default();
            let rng = &mut stream(0, Purpose::Init, 0);
            let net = Mlp::new(&mut params, "mlp", &[784, 800, 800, 10], rng);
            let mut adam = Optimiser::new(Rule::default(), &params);
            timed(secs, 5, |i| {
                let tape = Tape::default();
                let p = params.bind(&tape);
                let x = tape.constant(rows(i).to_owned().into_dyn());
                let loss = -net.forward(&p, x).categorical_log_prob(labels.clone()).mean();
                let grads = p.gradients(loss.backward());
                drop(tape);
                adam.step(&mut params, &grads, 1e-4, Clip::NONE);
            })
        }
        "predict" => {
            let trainer = trainer(1);
            timed(secs, 1, |i| {
                let rng = &mut stream(0, Purpose::Sample, i as u64);
                let (theta, _) = draw(&trainer.model, 100, rng);
                predict(&trainer.model, &theta, images.view());
            })
        }
        _ => {
            let mut trainer = trainer(if case == "bhn8" { 8 } else { 1 });
            let y = Targets::Classes(labels);
            timed(secs, 5, |i| {
                trainer.step(rows(i).to_owned(), &y).expect("a finite step");
            })
        }
    }
}

fn trainer(samples: usize) -> Trainer {
    let mut config = Config { method: Method::Bhn, ..Config::default() };
    config.primary.layers = Some(bhn::primary::Layer::mlp(&[800, 800], 10));
    config.flow.couplings = 8;
    config.train.samples = samples;
    config.train.learning_rate = 1e-4;
    let classes = (0..10).map(|c| c.to_string()).collect();
    Trainer::new(&config, 784, &Task::Classification { classes }, 50_000)
}

fn normal(shape: [usize; 2]) -> Array2<f32> {
    let mut rng = stream(1, Purpose::Sample, 0);
    Array2::from_shape_simple_fn(shape, || rng.sample(StandardNormal))
}

fn timed(secs: Duration, warm_up: usize, mut run: impl FnMut(usize)) -> Vec<f64> {
    (0..warm_up).for_each(&mut run);
    let (start, mut times) = (Instant::now(), vec![]);
    while times.len() < 3 || start.elapsed() < secs {
        let at = Instant::now();
        run(times.len());
        times.push(1e3 * at.elapsed().as_secs_f64());
    }
    times
}
