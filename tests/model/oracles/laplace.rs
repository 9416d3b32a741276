//! Defends: the Laplace approximation is exact for conjugate models, and its Hessians are those of
//! their definitions.
use bhn::autodiff::gradcheck::randn;
use bhn::autodiff::{Owned, Precision, Tape, Var};
use bhn::bayes::{
    EpochEnd, Estimator, Hessian, Laplace, Likelihood, Model, Noise, PointPrior, Prior, Scale,
    Targets, hessian,
};
use bhn::experiments::oracles::Linear;
use bhn::kernels::cholesky::cholesky;
use bhn::nn::optim::{Clip, Optimiser, Update};
use bhn::nn::{BoundParams, Params};
use bhn::primary::{Layer, PrimaryNet, WeightNormed};
use bhn::random::{Purpose, stream};
use ndarray::{Array1, Array2, Axis};
use rstest::rstest;

/// `f(x) = x·θ`.
struct Product(usize);

impl PrimaryNet<f64> for Product {
    fn dim(&self) -> usize {
        self.0
    }

    fn widest(&self) -> usize {
        self.0
    }

    fn parts(&self) -> Vec<(String, usize)> {
        vec![("θ".into(), self.0)]
    }

    fn forward<'t>(
        &self,
        _: &BoundParams<'t, f64>,
        theta: Var<'t, f64>,
        x: Var<'t, f64>,
    ) -> Var<'t, f64> {
        let (shape, rows) = (theta.shape(), x.shape()[0]);
        let outputs = match shape.len() {
            2 => theta.matmul_t(x),
            _ => (theta * x).sum_axis(2),
        };
        outputs.reshape(&[shape[0], rows, 1])
    }
}

const TAU: f64 = 4.;

/// Conjugate regression as a model, its posterior a point near the origin.
fn regression(linear: &Linear, kind: Hessian) -> Model<f64> {
    let (mut params, d) = (Params::default(), linear.x.ncols());
    let prior = Prior::Gaussian { precision: linear.lambda };
    let posterior = Laplace::new(&mut params, "q", &vec![0.1; d], prior, kind);
    Model {
        params,
        primary: Box::new(Product(d)),
        posterior: Box::new(posterior),
        prior,
        point_prior: PointPrior::default(),
        likelihood: Likelihood::Gaussian { precision: TAU },
        noise: Noise::Shared,
        gradient: Estimator::Total,
        precision: Precision::F32,
    }
}

/// `[ln p(θₛ, D)] [S]` and `ln q(θₛ) [S]` of samples for prediction.
fn weighed(model: &Model<f64>, linear: &Linear) -> [Array1<f64>; 2] {
    let tape = Tape::default();
    let p = model.params.freeze(&tape);
    let draw = model.posterior.predictive(&p, 50, &mut stream(0, Purpose::Sample, 0));
    let x = tape.constant(linear.x.clone().into_dyn());
    let outputs = model.primary.forward(&p, draw.theta, x);
    let y = Targets::Values(linear.y.to_vec());
    let log_p = model.likelihood.log_prob(&p, outputs, &y).sum_axis(1);
    let log_joint = log_p + model.prior.log_prob(draw.theta);
    let log_q = draw.log_q().expect("a density");
    let density = model.posterior.density(&p, draw.theta).expect("a density");
    assert!((density - log_q).abs().value().iter().all(|e| *e < 1e-8));
    [log_joint, log_q].map(|v| v.value().iter().copied().collect())
}

/// In conjugate regression, `−ln p(θ, D)` is quadratic: mode and curvature are the posterior's mean
/// and precision, and `p(θ, D)/q(θ)` is the evidence for every `θ`. The mode is found by gradient
/// descent with momentum, which gains a factor e in some `√135 = 12` steps: the eigenvalues of the
/// loss are between 1/20 and 135/20.
#[rstest]
fn conjugate_regression_is_exact(#[values(Hessian::Ggn, Hessian::Exact)] kind: Hessian) {
    let linear = Linear::polynomial(20, 4, 0);
    assert_eq!(linear.tau, TAU);
    let (mut model, targets) = (regression(&linear, kind), Targets::Values(linear.y.to_vec()));
    let mut descent = Optimiser::new(Update::Sgd { momentum: 0.9 }, &model.params);
    for step in 0..2000 {
        let tape = Tape::default();
        let (p, x) = (model.params.bind(&tape), tape.constant(linear.x.clone().into_dyn()));
        let scale = Scale { data: 20, batch: 20, beta: 1. };
        let pass = model.pass(&p, x, &targets, 1, scale, &mut stream(0, Purpose::Noise, step));
        let grads = p.gradients(pass.elbo.loss.backward());
        descent.step(&mut model.params, &grads, 0.1, Clip::default());
    }
    assert!(model.posterior.moments(&model.params).is_none(), "fitted before the last epoch");
    let of_data = |kind, theta: &[f64]| hessian(kind, &model, theta, linear.x.view(), &targets);
    let [first, last] = [1, 2].map(|epoch| {
        let end = EpochEnd { epoch, epochs: 2, hessian: &of_data };
        model.posterior.after_epoch(&model.params, &end).expect("a minimum")
    });
    assert!(first.is_empty());
    last.into_iter().for_each(|(id, value)| *model.params.get_mut(id) = value.into());
    let (found, expected) = (model.posterior.moments(&model.params).unwrap(), linear.posterior());
    let covariance = expected.factor.dot(&expected.factor.t());
    let largest = |x: Array2<f64>| x.iter().fold(0., |m: f64, x| m.max(x.abs()));
    let mean = (&found.mean - &expected.mean).insert_axis(Axis(0));
    assert!(largest(mean) < 1e-6, "{} and not {}", found.mean, expected.mean);
    assert!(largest(&found.covariance - &covariance) < 1e-6 * largest(covariance));
    let [log_joint, log_q] = weighed(&model, &linear);
    let off = (log_joint - log_q - linear.log_evidence()).mapv(f64::abs);
    assert!(off.iter().all(|&e| e < 1e-6), "{off}");
}

/// A classifier on 3 inputs with some layers, its parameters of order one, and `θ` and 300 examples
/// (more than are evaluated together).
fn classifier(layers: &[&str]) -> (Model<f64>, Vec<f64>, Array2<f64>, Targets<f64>) {
    let mut params = Params::default();
    let layers: Vec<Layer> = layers.iter().map(|layer| layer.parse().unwrap()).collect();
    let rng = &mut super::rng(1);
    let primary = WeightNormed::new(&mut params, "primary", 3, &layers, rng);
    for ((_, w), seed) in params.iter_mut().zip(50..) {
        *w = randn(w.shape(), seed).into();
    }
    let d = PrimaryNet::<f64>::dim(&primary);
    let prior = Prior::Gaussian { precision: 2. };
    let posterior = Laplace::new(&mut params, "q", &vec![1.; d], prior, Hessian::Ggn);
    let model = Model {
        params,
        primary: Box::new(primary),
        posterior: Box::new(posterior),
        prior,
        point_prior: PointPrior::default(),
        likelihood: Likelihood::Categorical { clip: None },
        noise: Noise::Shared,
        gradient: Estimator::Total,
        precision: Precision::F32,
    };
    let x: Array2<f64> = randn(&[300, 3], 7).into_dimensionality().unwrap();
    let theta = randn(&[d], 8).mapv(|x| 1. + 0.3 * x).into_iter().collect();
    (model, theta, x, Targets::Classes((0..300).map(|n| n * n % 4).collect()))
}

fn close(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) {
    let size = b.iter().fold(0., |m: f64, x| m.max(x.abs()));
    let off = (a - b).iter().fold(0., |m: f64, x| m.max(x.abs()));
    assert!(off < tolerance * size, "{off:e} of {size}:\n{a}\n{b}");
}

/// Logits that are linear in `θ` have no curvature of their own: both Hessians are the same, to the
/// error of the differences.
#[test]
fn hessians_agree_where_outputs_are_linear() {
    let (model, theta, x, y) = classifier(&["dense 4"]);
    let of = |kind| hessian(kind, &model, &theta, x.view(), &y);
    close(&of(Hessian::Exact), &of(Hessian::Ggn), 1e-8);
}

/// The outputs `[N, K]` at `theta [D]`.
fn outputs(model: &Model<f64>, theta: &[f64], x: &Array2<f64>) -> Array2<f64> {
    let tape = Tape::default();
    let theta = tape.constant(Owned::from_shape_vec(vec![1, theta.len()], theta.to_vec()).unwrap());
    let x = tape.constant(x.clone().into_dyn());
    let found = model.primary.forward(&model.params.freeze(&tape), theta, x).value().to_owned();
    found.index_axis_move(Axis(0), 0).into_dimensionality().unwrap()
}

/// `theta` with `h` added to entry `i`.
fn moved(theta: &[f64], moves: &[(usize, f64)]) -> Vec<f64> {
    let mut theta = theta.to_vec();
    moves.iter().for_each(|&(i, h)| theta[i] += h);
    theta
}

/// `Σ JᵀΛJ + λI` with `J` by central differences of step 10⁻⁵, whose error is of order 10⁻¹⁰, and
/// `Λ = diag(p) − ppᵀ` entry by entry.
#[test]
fn gauss_newton_matrix_matches_definition() {
    let (model, theta, x, y) = classifier(&["dense 3", "tanh", "dense 4"]);
    let (d, h) = (theta.len(), 1e-5);
    let at = |i, h| outputs(&model, &moved(&theta, &[(i, h)]), &x);
    let jacobian: Vec<_> = (0..d).map(|i| (at(i, h) - at(i, -h)) / (2. * h)).collect();
    let mut p = outputs(&model, &theta, &x).mapv(f64::exp);
    p.rows_mut().into_iter().for_each(|mut row| row /= row.sum());
    let expected = Array2::from_shape_fn((d, d), |(i, j)| {
        let mut sum = if i == j { 2. } else { 0. };
        for n in 0..300 {
            for (a, b) in (0..4).flat_map(|a| (0..4).map(move |b| (a, b))) {
                let lambda = p[[n, a]] * (f64::from(u8::from(a == b)) - p[[n, b]]);
                sum += jacobian[i][[n, a]] * lambda * jacobian[j][[n, b]];
            }
        }
        sum
    });
    close(&hessian(Hessian::Ggn, &model, &theta, x.view(), &y), &expected, 1e-8);
}

/// Second differences of `−ln p(θ, D)` itself, with step 10⁻⁴: their truncation error is of order
/// 10⁻⁸, their rounding error 10⁻¹⁶ · 10³ / 10⁻⁸ = 10⁻⁵ nats of some hundred.
#[test]
fn exact_hessian_matches_second_differences() {
    let (model, theta, x, y) = classifier(&["dense 3", "tanh", "dense 4"]);
    let (d, h) = (theta.len(), 1e-4);
    let energy = |theta: Vec<f64>| {
        let logits = outputs(&model, &theta, &x);
        let rows = logits.rows().into_iter().zip(y.classes());
        let log_p: f64 =
            rows.map(|(f, &y)| f[y] - f.iter().map(|f| f.exp()).sum::<f64>().ln()).sum();
        theta.iter().map(|t| t * t).sum::<f64>() - log_p
    };
    let expected = Array2::from_shape_fn((d, d), |(i, j)| {
        let at = |a: f64, b: f64| energy(moved(&theta, &[(i, a * h), (j, b * h)]));
        (at(1., 1.) - at(1., -1.) - at(-1., 1.) + at(-1., -1.)) / (4. * h * h)
    });
    let found = hessian(Hessian::Exact, &model, &theta, x.view(), &y);
    close(&found, &expected, 1e-6);
    let ggn = hessian(Hessian::Ggn, &model, &theta, x.view(), &y);
    assert!(cholesky(&ggn).is_some());
    let apart = (&ggn - &found).iter().fold(0., |m: f64, x| m.max(x.abs()));
    assert!(apart > 1., "the network's own curvature is missing, or worth no test: {apart}");
}

#[test]
fn indefinite_hessian_is_refused_with_advice() {
    let model = regression(&Linear::polynomial(5, 2, 0), Hessian::Exact);
    let end = EpochEnd { epoch: 1, epochs: 1, hessian: &|_, _| -Array2::<f64>::eye(2) };
    let error = model.posterior.after_epoch(&model.params, &end).expect_err("refused").to_string();
    assert!(error.contains("not positive definite") && error.contains("Train longer"), "{error}");
}
