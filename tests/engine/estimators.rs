//! Defends: the path gradient is the total gradient without the score, in the model as in the
//! suite, and the bound has the same value with both.
use bhn::autodiff::Tape;
use bhn::autodiff::gradcheck::randn;
use bhn::bayes::{Estimator, FlowKind, HypernetConfig, Model, Noise, Pass, Point, Scale, Targets};
use bhn::data::Task;
use bhn::nn::{BoundParams, Params};
use bhn::primary::Layer;
use bhn::random::{Purpose, stream};
use bhn::run::config::{Config, MethodKind};
use bhn::verify::estimators;
use bhn::verify::suite::Verify;
use rstest::rstest;

const BATCH: usize = 5;
const DATA: usize = 20;
const BETA: f64 = 0.7;

/// A classifier whose parameters are of order one.
fn model(method: MethodKind, couplings: usize, kind: FlowKind, noise: Noise) -> Model<f64> {
    let mut config = Config { method, ..Config::default() };
    config.flow = HypernetConfig { couplings, kind, hidden: 5, ..config.flow };
    config.primary.layers = Some(Layer::mlp(&[4], 3));
    (config.mean_field.local, config.train.noise) = (false, Some(noise));
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    let mut model: Model<f64> = config.build(2, &Task::Classification { classes });
    for ((_, w), seed) in model.params.iter_mut().zip(20..) {
        *w = (&*w + &(randn(w.shape(), seed) * 0.3)).into();
    }
    model
}

fn pass<'t>(model: &Model<f64>, p: &BoundParams<'t, f64>, samples: usize) -> Pass<'t, f64> {
    let y = Targets::Classes((0..BATCH).map(|n| n % 3).collect());
    let scale = Scale { data: DATA, batch: BATCH, beta: BETA };
    let rng = &mut stream(0, Purpose::Noise, 0);
    model.pass(p, p.tape().constant(randn(&[BATCH, 2], 3)), &y, samples, scale, rng)
}

/// The bound's terms, the loss and its gradient, tensor by tensor.
fn evaluate(model: &Model<f64>, samples: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let tape = Tape::default();
    let p = model.params.bind(&tape);
    let elbo = pass(model, &p, samples).elbo;
    let t = elbo.terms;
    let values = [elbo.loss.item(), t.total, t.log_likelihood, t.log_prior, t.log_q, t.kl];
    (values.to_vec(), dense(&model.params, p.gradients(elbo.loss.backward())))
}

fn dense(
    params: &Params<f64>,
    gradients: Vec<Option<bhn::autodiff::Gradient<f64>>>,
) -> Vec<Vec<f64>> {
    let each = params.iter().zip(gradients);
    each.map(|((_, w), g)| g.map_or(vec![0.; w.len()], |g| g.to_dense(w).iter().copied().collect()))
        .collect()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < tolerance * expected.abs().max(1.),
            "{found} {expected}"
        );
    }
}

/// The score enters the loss with the weight `β/N`. The network's directions and biases, on which
/// `ln q` does not depend, have the same gradient.
#[rstest]
fn path_gradient_in_a_model_is_total_without_score(
    #[values(Noise::Shared, Noise::PerExample)] noise: Noise,
    #[values(
        (MethodKind::Bhn, 0, FlowKind::Realnvp),
        (MethodKind::Bhn, 2, FlowKind::Realnvp),
        (MethodKind::Bhn, 2, FlowKind::Planar),
        (MethodKind::FullBhn, 2, FlowKind::Linear),
        (MethodKind::Bbb, 0, FlowKind::Realnvp)
    )]
    case: (MethodKind, usize, FlowKind),
) {
    let (method, couplings, kind) = case;
    if noise == Noise::PerExample && method != MethodKind::Bhn {
        return; // Weights are shared by a batch.
    }
    let samples = 3;
    let model = model(method, couplings, kind, noise);
    let (values, total) = evaluate(&model, samples);
    let tape = Tape::default();
    let p = model.params.bind(&tape);
    let draws = if noise == Noise::Shared { samples } else { samples * BATCH };
    let theta = model.posterior.draw(&p, draws, &mut stream(0, Purpose::Noise, 0)).theta.detach();
    let score = model.posterior.density(&p, theta).expect("a density").mean();
    let score = dense(&model.params, p.gradients(score.backward()));
    let model = Model { gradient: Estimator::Path, ..model };
    let (path_values, path) = evaluate(&model, samples);
    assert_close(&path_values, &values, 1e-9);
    let mut moved = 0.;
    for (((path, total), score), (name, _)) in
        path.iter().zip(&total).zip(&score).zip(model.params.iter())
    {
        let expected: Vec<_> =
            total.iter().zip(score).map(|(total, s)| total - BETA / DATA as f64 * s).collect();
        assert_close(path, &expected, 1e-7);
        let largest = score.iter().fold(0., |m: f64, s| m.max(s.abs()));
        assert_eq!(largest > 0., name.starts_with("posterior."), "{name}");
        moved += largest;
    }
    assert!(moved > 0.1, "the score is too small to be noticed: {moved}");
}

/// Every property of the suite on every posterior, and every fault is noticed.
#[test]
fn suite_passes() {
    let outcome = estimators::suite().verify("estimators");
    assert!(outcome.passed(), "{outcome:#?}");
}

#[test]
#[should_panic(expected = "without a density")]
fn path_gradient_needs_a_density() {
    let mut params = Params::<f64>::default();
    let point = Point::new(&mut params, "q", &[1.]);
    let tape = Tape::default();
    Estimator::Path.draw(&point, &params.bind(&tape), 1, &mut stream(0, Purpose::Noise, 0));
}
