//! Defends: the prior of directions and biases has the value of its formula and its gradient, and
//! changes the loss alone. Its mode is the directions at step 0, also after a warm start and after
//! an interruption.
use bhn::autodiff::gradcheck::{gradcheck, randn};
use bhn::autodiff::{Tape, Tensor};
use bhn::bayes::{Elbo, Model, PointPrior, Scale, Targets};
use bhn::data::{Split, Task, TaskKind};
use bhn::kernels::scalar::Scalar;
use bhn::nn::optim::{Schedule, Update};
use bhn::nn::{BoundParams, Buffer, Buffers, Params};
use bhn::primary::Layer;
use bhn::run::config::{Config, MethodKind};
use bhn::run::train::Trainer;
use bhn::run::{Progress, Run, Trained, load_data};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The number of training examples.
const N: usize = 21;
const KAPPA: f64 = 30.;
const LAMBDA: f64 = 2.;

/// A smooth network on 4 inputs with a smooth posterior, for three classes.
fn config(kappa: f64, bias_precision: f64) -> Config {
    let mut config = Config::default();
    config.primary.layers = Some(vec![Layer::Dense(6), Layer::Tanh, Layer::Dense(3)]);
    config.flow.couplings = 0;
    (config.train.kappa, config.train.bias_precision) = (kappa, bias_precision);
    config
}

fn task() -> Task {
    Task::Classification { classes: ["a", "b", "c"].map(String::from).to_vec() }
}

/// The model of [`config`], its parameters far from the initial ones.
fn model(kappa: f64, bias_precision: f64) -> Model<f64> {
    let mut model: Model<f64> = config(kappa, bias_precision).build(4, &task());
    for ((_, w), seed) in model.params.iter_mut().zip(50..) {
        *w = (&*w + &(randn(w.shape(), seed) * 0.2)).into();
    }
    model
}

/// The bound on 7 examples, with the same noise in every call.
fn elbo<'t>(model: &Model<f64>, p: &BoundParams<'t, f64>) -> Elbo<'t, f64> {
    let x = p.tape().constant(randn(&[7, 4], 3));
    let y = Targets::Classes((0..7).map(|n| n % 3).collect());
    let scale = Scale { data: N, batch: 7, beta: 0.7 };
    model.pass(p, x, &y, 2, scale, &mut ChaCha8Rng::seed_from_u64(9)).elbo
}

fn parameter<'a, T: Scalar>(params: &'a Params<T>, name: &str) -> &'a Tensor<T> {
    params.iter().find(|(n, _)| *n == name).unwrap().1
}

/// The buffer of the initial directions of a layer.
fn initial<'a>(buffers: &'a Buffers, name: &str) -> &'a [f32] {
    let Buffer::Numbers(numbers) = &buffers[name] else { panic!("{name} has indices") };
    numbers
}

/// The cosine of each row `[k]` of `v` with that of `start`.
fn cosines(v: &[f64], start: &[f64], k: usize) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let rows = v.chunks(k).zip(start.chunks(k));
    rows.map(|(a, b)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).collect()
}

/// The loss differs from that without a prior by `−ln p(V, b)/N`, computed by hand; the terms of
/// the bound are the same.
#[test]
fn loss_has_the_log_density_of_the_formula() {
    let model = model(KAPPA, LAMBDA);
    let tape = Tape::default();
    let with = elbo(&model, &model.params.freeze(&tape));
    let mut log_prior = 0.;
    for (layer, k) in [(0, 4), (2, 6)] {
        let [v, b] = ["v", "b"].map(|part| format!("primary.{layer}.{part}"));
        let start = initial(model.params.buffers(), &v).iter().map(|&v| v.into());
        let start: Vec<f64> = start.collect();
        let cosines = cosines(parameter(&model.params, &v).as_slice(), &start, k);
        assert!(cosines.iter().any(|cos| *cos < 0.9), "far from the mode");
        log_prior += cosines.iter().map(|cos| KAPPA * (cos - 1.)).sum::<f64>();
        let squares: f64 = parameter(&model.params, &b).iter().map(|b| b * b).sum();
        log_prior -= 0.5 * LAMBDA * squares;
    }
    let uniform = Model { point_prior: PointPrior::default(), ..model };
    let without = elbo(&uniform, &uniform.params.freeze(&tape));
    assert_eq!(with.terms, without.terms);
    let found = N as f64 * (without.loss.item() - with.loss.item());
    assert!(log_prior < -1. && (found - log_prior).abs() < 1e-11, "{found} {log_prior}");
}

/// With respect to all parameters at once.
#[test]
fn whole_loss_passes_gradcheck() {
    let model = model(KAPPA, LAMBDA);
    let inputs: Vec<_> = model.params.iter().map(|(_, w)| w.to_owned()).collect();
    let check = gradcheck(&inputs, |vars| {
        elbo(&model, &BoundParams::from_vars(vars[0].tape(), vars.to_vec())).loss
    });
    check.assert();
}

/// The likelihood pulls a direction away by an angle of at most about `N/κ`, so that
/// `1 − cos < (N/κ)²/2 = 2·10⁻⁸`. Without the prior, the same training moves directions further.
#[test]
fn directions_stay_at_the_initial_ones_for_large_kappa() {
    let x = randn(&[N, 4], 3).mapv(|x| x as f32).into_dimensionality().unwrap();
    let data = Split { x, y: Targets::Classes((0..N).map(|n| n % 3).collect()) };
    let lowest = |kappa: f64| {
        let mut config = config(kappa, 0.);
        // The curvature is `κ/(N ‖v‖²)` with `‖v‖ ≈ 0.1`: descent converges for a rate below
        // `2 N ‖v‖²/κ ≈ 4·10⁻⁶`. The rate is a twentieth of that, for shorter rows.
        config.train.optimiser = Update::Sgd { momentum: 0. };
        config.train.schedule = Schedule::Constant;
        (config.train.learning_rate, config.train.epochs) = (2e-7, 3000);
        let mut trainer = Trainer::new(&config, 4, &task(), N);
        let directions = |trainer: &Trainer| -> Vec<f64> {
            let v = parameter(&trainer.model.params, "primary.0.v");
            v.iter().map(|&v| v.into()).collect()
        };
        let start = directions(&trainer);
        (0..config.train.epochs).for_each(|_| trainer.epoch(&data, |_, _| ()).unwrap());
        cosines(&directions(&trainer), &start, 4).into_iter().fold(1., f64::min)
    };
    let [held, free] = [lowest(1e5), lowest(0.)];
    assert!(held > 1. - 1e-6 && free < 1. - 1e-5, "{:e} {:e}", 1. - held, 1. - free);
}

/// Neither a buffer nor a term, so that former runs stay the same.
#[test]
fn uniform_directions_have_no_buffer() {
    assert!(model(0., LAMBDA).params.buffers().is_empty());
    assert_eq!(model(KAPPA, 0.).params.buffers().len(), 2);
}

/// A run on a table, in a new folder.
fn run(folder: &Path, name: &str, change: impl Fn(&mut Config)) -> (PathBuf, Run) {
    let table = folder.join("table.csv");
    let rows: String = (0..60).map(|i| format!("{i},{},{}\n", i * i % 7, i % 9)).collect();
    fs::write(&table, format!("a,b,t\n{rows}")).unwrap();
    let mut config = Config { data: table.display().to_string(), ..Config::default() };
    config.task = Some(TaskKind::Regression);
    config.primary.layers = Some(Layer::mlp(&[6], 1));
    (config.train.epochs, config.train.batch, config.flow.couplings) = (2, 16, 2);
    change(&mut config);
    let data = load_data(&config, None).unwrap();
    let dir = folder.join(name);
    (dir.clone(), Run::create(&dir, config.resolve(&data).unwrap(), data).unwrap())
}

/// After a warm start, the mode is the other run's directions; after an interruption, it is still
/// those of step 0, and the run ends with the same file, bit for bit.
#[test]
fn mode_is_the_directions_of_step_0() {
    let folder = tempfile::tempdir().unwrap();
    let (from, mut first) = run(folder.path(), "mle", |config| config.method = MethodKind::Mle);
    first.train(|_| ()).unwrap();
    let (dir, mut warm) = run(folder.path(), "warm", |config| {
        config.warm_start = Some(from.clone());
        (config.seed, config.train.kappa, config.train.bias_precision) = (1, KAPPA, LAMBDA);
    });
    let source = Trained::load(&from).unwrap().model.params;
    for name in ["primary.0.v", "primary.2.v"] {
        let found = initial(warm.trainer.model.params.buffers(), name);
        assert_eq!(found, parameter(&source, name).as_slice());
    }
    let [last, kept] = ["last.safetensors", "first.safetensors"].map(|file| dir.join(file));
    let step_0 = warm.trainer.model.params.buffers().clone();
    warm.checkpoint_interval = Duration::ZERO;
    warm.train(|progress| {
        if let Progress::Epoch(epoch, _) = progress
            && epoch.epoch == 1
        {
            fs::copy(&last, &kept).unwrap();
        }
    })
    .unwrap();
    let moved = parameter(&warm.trainer.model.params, "primary.0.v");
    assert!(moved.as_slice() != initial(&step_0, "primary.0.v"), "directions are trained");
    drop(warm);
    let whole = fs::read(&last).unwrap();
    fs::rename(&kept, &last).unwrap();
    let mut resumed = Run::resume(&dir, None).unwrap();
    assert_eq!(resumed.epoch(), 1);
    assert_eq!(resumed.trainer.model.params.buffers(), &step_0);
    resumed.train(|_| ()).unwrap();
    assert!(fs::read(&last).unwrap() == whole);
}
