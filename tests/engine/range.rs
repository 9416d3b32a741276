//! Defends: at the ends of the numerical range, and for the smallest shapes, a result is finite or
//! a named error; no NaN goes unreported.
use bhn::autodiff::{Tape, Tensor, Var};
use bhn::bayes::Targets;
use bhn::data::{Dataset, Options, Preprocess, Split, Task, load_from};
use bhn::error::Error;
use bhn::flows::{Bijector, Chain, Conditioner, Iaf, Kink, KinkShape, Lu, Permutation, Planar};
use bhn::metrics::{self, BINS, Detection};
use bhn::nn::{Init, Params};
use bhn::predict::evaluate::evaluate;
use bhn::predict::score::Score;
use bhn::predict::{Predictive, draw, predict};
use bhn::random::{Purpose, stream};
use bhn::run::config::Config;
use bhn::run::train::Trainer;
use ndarray::{Array2, array};
use rstest::rstest;
use std::io::Cursor;
use std::path::Path;

const TINY: f32 = f32::MIN_POSITIVE / 8.;
const EXTREMES: [f32; 15] =
    [0., -0., TINY, -TINY, 1e-20, -1e-20, 1., -1., 88., -104., 1e4, -1e4, 1e20, -1e20, f32::MAX];

type Op = for<'t> fn(Var<'t, f32>) -> Var<'t, f32>;

/// Functions that are defined for all numbers have a value and a slope, perhaps infinite, at each.
#[test]
fn elementwise_ops_are_never_nan() {
    let all: [Op; 8] = [
        |x| x.exp(),
        |x| x.abs(),
        |x| x.relu(),
        |x| x.tanh(),
        |x| x.sigmoid(),
        |x| x.softplus(),
        |x| x.clamp(-1., 1.),
        |x| x.powi(2),
    ];
    for (i, op) in all.into_iter().enumerate() {
        let tape = Tape::default();
        let x = Tensor::from_shape_vec(vec![EXTREMES.len()], EXTREMES.to_vec());
        let x = tape.leaf(x.unwrap());
        let y = op(x);
        assert!(y.value().iter().all(|y| !y.is_nan()), "{i}: {}", y.value());
        let slopes = y.sum().backward().wrt(x).unwrap().to_owned();
        assert!(slopes.iter().all(|slope| !slope.is_nan()), "{i}: {slopes}");
    }
}

/// Values and slopes are finite for any pair of logits and for a single class.
#[test]
fn logit_ops_are_finite() {
    let all: [Op; 5] = [
        |x| x.log_softmax(),
        |x| x.log_sum_exp(1),
        |x| x.max_axis(1),
        |x| x.categorical_log_prob(vec![0; x.shape()[0]]),
        |x| x.clipped_categorical_log_prob(vec![0; x.shape()[0]], 0.001),
    ];
    let finite: Vec<f32> = EXTREMES.into_iter().filter(|x| x.abs() < 1e30).collect();
    let pairs: Vec<f32> =
        finite.iter().flat_map(|&a| finite.iter().flat_map(move |&b| [a, b])).collect();
    for (i, op) in all.into_iter().enumerate() {
        for classes in [1, 2] {
            let tape = Tape::default();
            let shape = vec![pairs.len() / classes, classes];
            let x = tape.leaf(Tensor::from_shape_vec(shape, pairs.clone()).unwrap());
            let y = op(x);
            assert!(y.value().iter().all(|y| y.is_finite()), "{i}: {}", y.value());
            let slopes = y.sum().backward().wrt(x).unwrap().to_owned();
            assert!(slopes.iter().all(|slope| slope.is_finite()), "{i}: {slopes}");
        }
    }
}

/// `n` rows of `inputs` numbers, all of about the size of `x`, and a target.
fn dataset(n: usize, inputs: usize, classes: usize, x: f32) -> Dataset {
    let split = |n: usize| Split {
        x: Array2::from_shape_fn((n, inputs), |(i, j)| {
            x * (1 + i + j) as f32 / (n + inputs) as f32
        }),
        y: match classes {
            0 => Targets::Values((0..n).map(|i| i as f32 - 1.).collect()),
            _ => Targets::Classes((0..n).map(|i| i % classes.min(2)).collect()),
        },
    };
    Dataset {
        name: "set".into(),
        task: match classes {
            0 => Task::Regression,
            _ => Task::Classification { classes: (0..classes).map(|c| c.to_string()).collect() },
        },
        image: None,
        preprocess: Preprocess { inputs, ..Preprocess::default() },
        notes: vec![],
        train: split(n),
        validation: split(1),
        test: split(1),
    }
}

const METHODS: [&str; 12] = [
    "method = 'bhn'",
    "method = 'bhn'\nflow = { kind = 'iaf', couplings = 2, hidden = 3 }",
    "method = 'bhn'\nflow = { kind = 'planar', couplings = 2 }",
    "method = 'bhn'\nflow = { kind = 'linear' }",
    "method = 'bhn'\nflow = { couplings = 0 }",
    "method = 'full-bhn'\nflow = { couplings = 1, hidden = 3 }",
    "method = 'bbb'",
    "method = 'mnf'\nmnf = { couplings = 1, hidden = 3 }",
    "method = 'concrete-dropout'",
    "method = 'mc-dropout'",
    "method = 'ensemble'",
    "method = 'mle'",
];

/// The trainer after a few steps; `None` if they diverged.
fn trained(config: &str, data: &Dataset) -> Option<Trainer> {
    let config: Config = toml::from_str(config).unwrap();
    let config = config.resolve(data).unwrap();
    let inputs = data.preprocess.inputs;
    let mut trainer = Trainer::new(&config, inputs, &data.task, data.train.len());
    for _ in 0..3 {
        let found = trainer.epoch(&data.train, |_, step| {
            let terms = step.terms;
            let all = [step.loss, terms.total, terms.kl, terms.log_likelihood, step.gradient_norm];
            assert!(all.into_iter().all(f64::is_finite), "{all:?}");
        });
        match found {
            Ok(()) => {}
            Err(Error::Diverged { node, .. }) => {
                assert!(!node.is_empty());
                return None;
            }
            Err(other) => panic!("{other}"),
        }
    }
    Some(trainer)
}

/// An error, unless every number of a test is finite.
fn tested(trainer: &Trainer, data: &Dataset) -> Result<(), Error> {
    let found = evaluate(&trainer.model, data, 3, 0)?;
    let (test, terms) = (&found.test, found.elbo.terms);
    let all = [test.nll, test.nll_error, terms.total, terms.kl, found.elbo.error.unwrap_or(0.)];
    let some = [test.accuracy, test.brier, test.ece, test.rmse].into_iter().flatten();
    let all: Vec<f64> = all.into_iter().chain(some).collect();
    assert!(all.iter().all(|x| x.is_finite()), "{all:?}");
    Ok(())
}

/// One input, one unit, one example, a batch of one; an odd number of units; a class without
/// examples.
#[rstest]
#[case(1, 1, 0, "dense 1")]
#[case(1, 1, 1, "dense 1")]
#[case(3, 2, 0, "dense 2', 'relu', 'dense 1")]
#[case(3, 1, 4, "dense 3', 'tanh', 'dense 4")]
fn smallest_shapes_train_and_evaluate(
    #[case] examples: usize,
    #[case] inputs: usize,
    #[case] classes: usize,
    #[case] layers: &str,
    #[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)] method: usize,
) {
    let data = dataset(examples, inputs, classes, 1.);
    let config = format!(
        "{}\nprimary = {{ layers = ['{layers}'] }}\ntrain = {{ batch = 1 }}",
        METHODS[method]
    );
    let resolved = toml::from_str::<Config>(&config).unwrap().resolve(&data);
    // A coupling divides θ into two, and dropout needs a unit to drop.
    if let Err(error) = resolved {
        let text = error.to_string();
        let said = ["2 or more for a coupling", "an activation to place it after"];
        assert!(layers == "dense 1" && said.iter().any(|part| text.contains(part)), "{error}");
        return;
    }
    let trainer = trained(&config, &data).expect("nothing is out of range");
    tested(&trainer, &data).unwrap();
}

/// Inputs of any size, in training and after it.
#[rstest]
fn extreme_inputs_give_finite_predictions_or_an_error(
    #[values(TINY, 1e-20, 1e4, 1e20, f32::MAX)] x: f32,
    #[values(0, 3)] classes: usize,
    #[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)] method: usize,
) {
    let layers =
        format!("primary = {{ layers = ['dense 3', 'relu', 'dense {}'] }}", classes.max(1));
    let config = format!("{}\n{layers}", METHODS[method]);
    let data = dataset(4, 2, classes, x);
    if let Some(trainer) = trained(&config, &data) {
        tested(&trainer, &data).ok();
    }
    let trainer = trained(&config, &dataset(4, 2, classes, 1.)).expect("nothing is out of range");
    tested(&trainer, &data).ok();
    let (theta, _) = draw(&trainer.model, 3, &mut stream(0, Purpose::Evaluation, 0));
    let found = predict(&trainer.model, &theta, data.train.x.view());
    let judged = |score: Score| score.of(&found).iter().all(|score| score.is_finite());
    match &found {
        _ if found.check(|row| row.to_string()).is_err() => {}
        Predictive::Classes { p, entropy, .. } => {
            assert!(p.rows().into_iter().all(|p| (p.sum() - 1.).abs() < 1e-5));
            assert!(entropy.iter().all(|h| h.is_finite() && h.is_sign_positive()));
            assert!(Score::ALL.into_iter().all(judged));
        }
        Predictive::Values { std, spread, .. } => {
            assert!(spread.iter().zip(std).all(|(spread, std)| spread <= std && *std > 0.));
            assert!([Score::Entropy, Score::Bald, Score::MeanStd].into_iter().all(judged));
        }
    }
}

/// Settings at the ends of what single precision can hold train, diverge by name or are refused by
/// name.
#[rstest]
#[case("flow = { log_scale = -1e30 }")]
#[case("flow = { log_scale = 80.0 }")]
#[case("flow = { shift = 1e20 }")]
#[case("flow = { shift = 1e300 }")]
#[case("mean_field = { log_std = -1e4 }\nmethod = 'bbb'")]
#[case("mean_field = { log_std = 80.0 }\nmethod = 'bbb'")]
#[case("mnf = { log_std = 80.0 }\nmethod = 'mnf'")]
#[case("mnf = { log_scale = -1e30 }\nmethod = 'mnf'")]
#[case("prior = { gaussian = { precision = 1e-30 } }")]
#[case("prior = { gaussian = { precision = 1e-300 } }")]
#[case("prior = { gaussian = { precision = 1e30 } }")]
#[case("prior = { laplace = { scale = 1e-30 } }")]
#[case("prior = { scale-mixture = { weight = 0.5, stds = [1e-30, 1e-30] } }")]
#[case("prior = { scale-mixture = { weight = 1e-12, stds = [1e18, 1e-18] } }")]
#[case("likelihood = { clip = 1e-30 }")]
#[case("likelihood = { clip = 1e-300 }")]
#[case("train = { learning_rate = 1e30 }")]
#[case("train = { optimiser = { adam = { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-300 } } }")]
#[case("train = { optimiser = { adam = { beta1 = 0.9, beta2 = 0.9999999999, epsilon = 1e-30 } } }")]
#[case("train = { optimiser = { sgd = { momentum = 0.9999999999 } }, learning_rate = 1e10 }")]
#[case("train = { clip_norm = 1e-30, clip_element = 1e-30 }")]
#[case("dropout = { rate = 0.99999999 }\nmethod = 'mc-dropout'")]
#[case("dropout = { rate = 0.0 }\nmethod = 'concrete-dropout'")]
fn extreme_settings_train_diverge_or_are_rejected(#[case] settings: &str) {
    let config = format!("{settings}\nprimary = {{ layers = ['dense 3', 'relu', 'dense 3'] }}");
    let data = dataset(4, 2, 3, 1.);
    match toml::from_str::<Config>(&config).unwrap().resolve(&data) {
        Err(error) => assert!(error.to_string().contains("found"), "{error}"),
        Ok(_) => {
            if let Some(trainer) = trained(&config, &data) {
                tested(&trainer, &data).ok();
            }
        }
    }
}

/// Certain forecasts, right and wrong, of one example; a class that nobody has.
#[test]
fn scores_of_certain_predictions_are_finite() {
    for (p, labels) in [
        (array![[1_f32, 0.]], vec![0]),
        (array![[1., 0.]], vec![1]),
        (array![[1., 0., 0.], [0., 1., 0.], [TINY, 1., 0.]], vec![0, 0, 1]),
    ] {
        let p = p.view();
        let parts = metrics::brier_parts(p, &labels, BINS);
        for found in [
            metrics::nll(p, &labels).value,
            metrics::nll(p, &labels).error,
            metrics::accuracy(p, &labels).error,
            metrics::brier(p, &labels).value,
            metrics::ece(p, &labels, BINS),
            metrics::ece_equal_mass(p, &labels, BINS),
            parts.reliability + parts.resolution + parts.uncertainty + parts.within,
        ] {
            assert!(found.is_finite(), "{found} of {p} for {labels:?}");
        }
    }
    let Detection { auroc, aupr_in, aupr_out, fpr95 } = Detection::of(&[0.], &[f64::INFINITY]);
    assert_eq!([auroc.value, aupr_in, aupr_out, fpr95], [1., 1., 1., 0.]);
    assert_eq!(metrics::aurc(&[0.], &[1.]), 1.);
}

/// Columns and targets from the smallest numbers to the largest, equal ones, and ones far from all
/// others.
#[test]
fn tables_of_any_magnitude_are_standardised() {
    let read = |column: &dyn Fn(usize) -> String, target: &dyn Fn(usize) -> String| {
        let rows: String = (0..40).map(|i| format!("{},{}\n", column(i), target(i))).collect();
        let table = Cursor::new(format!("x,y\n{rows}"));
        load_from(Path::new("a.csv"), table, &Options::default())
    };
    let plain = |i: usize| format!("{i}.5");
    for exponent in [-320, -310, -200, -40, 0, 20, 36] {
        let extreme = |i: usize| format!("{}e{exponent}", i + 1);
        for data in [read(&extreme, &plain), read(&plain, &extreme)] {
            let data = data.unwrap();
            let Targets::Values(y) = &data.train.y else { panic!("classes") };
            assert!(data.train.x.iter().chain(y).all(|x| x.is_finite() && x.abs() < 10.));
        }
    }
    let alone = |i: usize| if i == 7 { "3e38".into() } else { format!("{i}e-30") };
    for data in [read(&alone, &plain), read(&plain, &alone)] {
        // If the value is among the training rows, it determines the scale itself.
        if let Err(error) = data {
            assert!(error.to_string().contains("nearer to the training mean"), "{error}");
        }
    }
}

/// Inverses that are found as roots, and others, far outside their intended domain.
#[rstest]
fn inverses_at_extreme_inputs_are_finite_or_reported(
    #[values(1, 3)] d: usize,
    #[values(TINY, 1e-20, 1., 1e4, 1e20)] y: f32,
) {
    let rng = &mut stream(0, Purpose::Init, 0);
    let mut params = Params::<f32>::default();
    let flow = Chain::default()
        .then(Kink::new(&mut params, "smooth", d, KinkShape::Smooth))
        .then(Kink::new(&mut params, "prelu", d, KinkShape::Prelu))
        .then(Planar::new(&mut params, "planar", d, rng))
        .then(Lu::new(&mut params, "lu", d, Init::Constant(0.), Init::Constant(0.), rng))
        .then(Iaf::new(
            &mut params,
            "iaf",
            Permutation::random(d, rng),
            Conditioner::default(),
            rng,
        ));
    let tape = Tape::default();
    let p = params.freeze(&tape);
    for y in [y, -y] {
        let y = tape.constant(Tensor::from_elem(vec![1, d], y));
        let (x, log_det) = flow.inverse(&p, y);
        let (back, _) = flow.forward(&p, x);
        let all = x.value().iter().chain(&log_det.value()).all(|x| x.is_finite());
        assert!(all || tape.first_non_finite().is_some());
        assert!(
            !all || (back - y)
                .value()
                .iter()
                .zip(&y.value())
                .all(|(e, y)| e.abs() <= 1e-3 * y.abs().max(1.))
        );
    }
}
