//! Defends: the bound is in nats over the data set with all its terms, however the data are divided
//! into minibatches; priors are normalised; sharing computation between samples changes nothing.
use bhn::autodiff::gradcheck::{gradcheck, randn};
use bhn::autodiff::{Precision, Tape, Tensor, Var};
use bhn::bayes::{
    Draw, Estimator, Hypernet, HypernetConfig, Kl, Likelihood, Model, Noise, Point, PointPrior,
    Posterior, Prior, Scale, Targets, elbo,
};
use bhn::nn::{BoundParams, Init, ParamId, Params};
use bhn::primary::{Layer, PrimaryNet, Shape, WeightNormed};
use bhn::verify::gradients::at_smooth_point;
use bhn::verify::{bound, densities};
use ndarray::{Ix2, s};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rstest::rstest;
use std::f64::consts::TAU;

const LAYERS: [Layer; 5] =
    [Layer::Dense(6), Layer::Relu, Layer::Dense(5), Layer::Tanh, Layer::Dense(3)];

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A network on 4 inputs with a hypernet of `couplings`, every parameter of order one.
fn model(couplings: usize, likelihood: Likelihood) -> Model<f64> {
    let mut params = Params::default();
    let primary = WeightNormed::new(&mut params, "primary", 4, &LAYERS, &mut rng(1));
    let config = HypernetConfig { couplings, hidden: 5, ..HypernetConfig::default() };
    let posterior = Hypernet::new(&mut params, "posterior", 14, &config, &mut rng(2));
    for ((_, w), seed) in params.iter_mut().zip(50..) {
        *w = (randn(w.shape(), seed) * 0.5).into();
    }
    let (primary, posterior) = (Box::new(primary), Box::new(posterior));
    let (prior, point_prior) = (Prior::default(), PointPrior::default());
    let (noise, gradient) = (Noise::Shared, Estimator::Total);
    let precision = Precision::F32;
    Model { params, primary, posterior, prior, point_prior, likelihood, noise, gradient, precision }
}

const EXACT: Likelihood = Likelihood::Categorical { clip: None };

fn labels(n: usize) -> Vec<usize> {
    (0..n).map(|i| i * i % 3).collect()
}

/// Over the minibatches of an epoch, the last one ragged, the bounds weighted by |B|/N average to
/// that of the whole data set.
#[test]
fn minibatch_bounds_average_to_full_batch_bound() {
    let x = randn(&[bound::N, 4], 3).into_dimensionality().unwrap();
    let elbo = bound::of_model(model(2, EXACT), x, Targets::Classes(labels(bound::N)));
    bound::minibatches(&elbo).assert();
    bound::terms(&elbo).assert();
}

/// One weight, one example, and no flow but the elementwise layer.
///
/// θ = s ε + b; y = 1 observed as N(θ x, 1/τ). ELBO = ln N(1; θx, 1/τ) + ln N(θ; 0, 1/λ) − ln q(θ).
#[test]
fn elbo_matches_manual_computation() {
    let tape = Tape::<f64>::default();
    let (eps, s, b, x, tau, lambda) = (0.3_f64, 0.5_f64, 1.2_f64, 2.0_f64, 4.0_f64, 3.0_f64);
    let number = |x: f64| tape.leaf(Tensor::from_elem(vec![1, 1], x));
    let theta = number(s * eps + b);
    let ln_normal = |x: f64, precision: f64| {
        0.5 * (precision / std::f64::consts::TAU).ln() - 0.5 * precision * x * x
    };
    let log_q = number(ln_normal(eps, 1.) - s.ln()).reshape(&[1]);
    let draw = Draw { theta, kl: Kl::Sampled { log_q } };
    let likelihood = Likelihood::Gaussian { precision: tau };
    let outputs = (theta * x).reshape(&[1, 1, 1]);
    let p = Params::default().bind(&tape);
    let log_likelihood = likelihood.log_prob(&p, outputs, &Targets::Values(vec![1.]));
    let prior = Prior::Gaussian { precision: lambda };
    let scale = Scale { data: 50, batch: 1, beta: 0.5 };
    let found = elbo(&draw, prior, log_likelihood, scale);
    let t = s * eps + b;
    let (lik, log_p) = (ln_normal(1. - t * x, tau), ln_normal(t, lambda));
    let log_q = ln_normal(eps, 1.) - s.ln();
    assert!((found.terms.total - (50. * lik + log_p - log_q)).abs() < 1e-12);
    assert!((found.loss.item() - (-lik + 0.5 * (log_q - log_p) / 50.)).abs() < 1e-12);
}

/// With T = 0 the posterior is a Gaussian and its KL known: the Monte-Carlo mean must agree.
#[test]
fn sampled_kl_of_elementwise_flow_matches_gaussian_kl() {
    let (d, samples, lambda) = (14, 20_000, 2.0_f64);
    let model = model(0, EXACT);
    let tape = Tape::default();
    let p = model.params.freeze(&tape);
    let draw = model.posterior.draw(&p, samples, &mut rng(5));
    let prior = Prior::Gaussian { precision: lambda };
    let kl = (draw.log_q().unwrap() - prior.log_prob(draw.theta)).value();
    let find = |name: &str| model.params.iter().find(|(n, _)| n.ends_with(name)).unwrap().1;
    let (w, b) = (find("elementwise.w"), find("elementwise.b"));
    let exact: f64 = w
        .iter()
        .zip(b)
        .map(|(w, b)| {
            let variance = (w.exp() + 0.001).powi(2);
            0.5 * (lambda * (variance + b * b) - 1. - (lambda * variance).ln())
        })
        .sum();
    let mean = kl.mean().unwrap();
    let error = kl.std(1.) / (samples as f64).sqrt();
    assert!((mean - exact).abs() < 4. * error, "{mean} ± {error}, exactly {exact}, D = {d}");
}

#[rstest]
#[case(Prior::Gaussian { precision: 4. })]
#[case(Prior::Laplace { scale: 0.7 })]
#[case(Prior::ScaleMixture { weight: 0.3, stds: [1.5, 0.2] })]
fn priors_integrate_to_one(#[case] prior: Prior) {
    densities::integral(&densities::of_prior(prior)).assert();
    // Independent over entries.
    let tape = Tape::default();
    let pair = tape.leaf(randn(&[1, 2], 1));
    let single = |i| prior.log_prob(pair.slice(1, i..i + 1)).item();
    assert!((prior.log_prob(pair).item() - single(0) - single(1)).abs() < 1e-12);
}

#[rstest]
#[case(Prior::Gaussian { precision: 4. })]
#[case(Prior::Laplace { scale: 0.7 })]
#[case(Prior::ScaleMixture { weight: 0.3, stds: [1.5, 0.2] })]
fn prior_log_prob_passes_gradcheck(#[case] prior: Prior) {
    gradcheck(&[randn(&[3, 4], 1)], |x| prior.log_prob(x[0])).assert();
}

/// With respect to all parameters at once.
#[rstest]
#[case(EXACT, Targets::Classes(labels(7)))]
#[case(Likelihood::Categorical { clip: Some(0.2) }, Targets::Classes(labels(7)))]
fn full_loss_passes_gradcheck(#[case] likelihood: Likelihood, #[case] y: Targets<f64>) {
    let model = model(2, likelihood);
    let inputs: Vec<_> = model.params.iter().map(|(_, w)| w.to_owned()).collect();
    at_smooth_point(3..20, |seed| {
        gradcheck(&inputs, |vars| {
            let p = BoundParams::from_vars(vars[0].tape(), vars.to_vec());
            let x = vars[0].tape().constant(randn(&[7, 4], seed));
            let scale = Scale { data: 21, batch: 7, beta: 0.7 };
            model.pass(&p, x, &y, 2, scale, &mut rng(9)).elbo.loss
        })
    })
    .assert();
}

#[test]
fn learned_precision_passes_gradcheck() {
    let mut params = Params::<f64>::default();
    let id: ParamId = params.add("log_precision", randn(&[1], 1));
    let y = Targets::Values(vec![0.3, -0.2, 1.]);
    gradcheck(&[randn(&[1], 1), randn(&[2, 3, 1], 2)], |v| {
        let p = BoundParams::from_vars(v[0].tape(), vec![v[0]]);
        assert!(
            (Likelihood::LearnedGaussian(id).precision(&p).unwrap().ln() - v[0].item()).abs()
                < 1e-12
        );
        Likelihood::LearnedGaussian(id).log_prob(&p, v[1], &y)
    })
    .assert();
}

/// `ln N(y; f₁, 1/τ) = ½ (f₂ − ln 2π − e^f₂ (y − f₁)²)` with `ln τ = f₂`.
#[test]
fn precision_that_depends_on_the_input_matches_its_formula() {
    let (outputs, y) = (randn(&[2, 3, 2], 2), [0.3, -0.2, 1.]);
    fn log_prob(outputs: Var<'_, f64>) -> Var<'_, f64> {
        let p = BoundParams::from_vars(outputs.tape(), vec![]);
        Likelihood::InputGaussian.log_prob(&p, outputs, &Targets::Values(vec![0.3, -0.2, 1.]))
    }
    let tape = Tape::default();
    let found = log_prob(tape.constant(outputs.clone())).value();
    for (s, n) in [(0, 0), (0, 2), (1, 1)] {
        let [mean, log] = [outputs[[s, n, 0]], outputs[[s, n, 1]]];
        let expected = 0.5 * (log - TAU.ln() - log.exp() * (y[n] - mean).powi(2));
        assert!((found[[s, n]] - expected).abs() < 1e-12, "{s} {n}");
    }
    gradcheck(&[outputs], |v| log_prob(v[0])).assert();
}

/// `S` samples as one product, scales after the product and the first layer's product shared: the
/// same outputs as `S` networks whose weights are materialised.
#[test]
fn batched_samples_equal_networks_with_materialised_weights() {
    let mut params = Params::<f64>::default();
    let net = WeightNormed::new(&mut params, "n", 4, &LAYERS, &mut rng(1));
    for ((_, w), seed) in params.iter_mut().zip(30..) {
        *w = randn(w.shape(), seed).into();
    }
    let tape = Tape::default();
    let p = params.bind(&tape);
    let (theta, x) = (tape.constant(randn(&[3, 14], 2)), tape.constant(randn(&[7, 4], 3)));
    let found = net.forward(&p, theta, x);
    assert_eq!(found.shape(), [3, 7, 3]);
    let leaves: Vec<Var<f64>> = params.iter().map(|(_, w)| tape.leaf(w.clone())).collect();
    for s in 0..3 {
        let g = |a: usize, b: usize| theta.slice(0, s..s + 1).slice(1, a..b).reshape(&[b - a]);
        let dense = |h, k: usize, g| Var::linear(h, leaves[k].weight_norm(g), leaves[k + 1]);
        let h = dense(x, 0, g(0, 6)).relu();
        let h = dense(h, 2, g(6, 11)).tanh();
        let expected = dense(h, 4, g(11, 14)).value();
        let found = found.slice(0, s..s + 1).reshape(&[7, 3]).value();
        assert!((&found - &expected).iter().all(|e| e.abs() < 1e-12));
    }
}

/// From the first layer's product, the outputs are those of the inputs, bitwise. There is no such
/// product if the first layer is not dense.
#[test]
fn outputs_from_first_product_equal_outputs_from_inputs() {
    let mut params = Params::<f64>::default();
    let net = WeightNormed::new(&mut params, "n", 4, &LAYERS, &mut rng(1));
    let tape = Tape::default();
    let p = params.bind(&tape);
    let (theta, x) = (tape.constant(randn(&[3, 14], 2)), tape.constant(randn(&[7, 4], 3)));
    let product = net.first_product(&p, x).expect("a dense layer");
    assert_eq!(product.shape(), [7, 6]);
    let found = net.forward_from(&p, theta, product);
    assert_eq!(found.value(), net.forward(&p, theta, x).value());
    for words in [["tanh", "dense 3"], ["dropout 0.5", "dense 3"], ["conv 2 2x2", "flatten"]] {
        let layers: Vec<Layer> = words.map(|word| word.parse().unwrap()).to_vec();
        let mut params = Params::<f64>::default();
        let net =
            WeightNormed::new(&mut params, "n", Shape::Image([1, 2, 2]), &layers, &mut rng(1));
        assert!(net.first_product(&params.bind(&tape), x).is_none(), "{words:?}");
    }
}

/// Computations that all samples share are done once if no gradient is needed, with the same
/// outputs.
#[test]
fn computation_shared_before_first_mask_preserves_outputs() {
    let words = [
        "channel-dropout 0.5",
        "conv 4 2x2",
        "relu",
        "dropout 0.5",
        "conv 3 2x2",
        "pool 2",
        "flatten",
        "dense 5",
        "tanh",
        "dropout 0.5",
        "dense 3",
    ];
    let layers: Vec<Layer> = words.iter().map(|word| word.parse().unwrap()).collect();
    let mut params = Params::<f64>::default();
    let net = WeightNormed::new(&mut params, "n", Shape::Image([2, 6, 6]), &layers, &mut rng(1));
    let masks = PrimaryNet::<f64>::masks(&net);
    let shape = [4, PrimaryNet::<f64>::dim(&net)];
    for apart in 0..=masks.len() {
        // Samples differ in this mask and those after it.
        let theta = randn(&[1, shape[1]], 2).into_dimensionality::<Ix2>().unwrap();
        let mut theta = theta.broadcast(shape).unwrap().to_owned();
        for (range, _) in &masks[apart..] {
            let mask = randn(&[4, range.len()], 3).into_dimensionality::<Ix2>().unwrap();
            theta.slice_mut(s![.., range.clone()]).assign(&mask);
        }
        for images in [1, 3] {
            let run = |is_leaf: bool| {
                let tape = Tape::default();
                let (p, x) = (params.freeze(&tape), tape.leaf(randn(&[images, 72], 4)));
                let theta = theta.clone().into_dyn();
                let theta = if is_leaf { tape.leaf(theta) } else { tape.constant(theta) };
                let y = net.forward(&p, theta, x);
                let dx = (y * tape.constant(randn(&[4, images, 3], 5))).sum().backward();
                let rows = format!("conv2d [{images}, 4, 4, 3]");
                (y.value(), dx.wrt(x).unwrap().clone(), tape.to_string().contains(&rows))
            };
            let [(once, by_once, is_once), (each, by_each, is_each)] = [false, true].map(run);
            assert_eq!((is_once, is_each), (apart >= 2, false), "{apart}");
            assert_eq!(once.shape(), [4, images, 3]);
            assert!((&once - &each).iter().all(|e| e.abs() < 1e-12), "{apart}");
            assert!((&by_once - &by_each).iter().all(|e| e.abs() < 1e-12), "{apart}");
        }
    }
}

/// The output has an axis of samples also if the network ends in an image, which all samples share.
#[test]
fn shared_image_output_keeps_sample_axis() {
    let layers: Vec<Layer> = vec!["conv 3 2x2".parse().unwrap()];
    let mut params = Params::<f64>::default();
    let net = WeightNormed::new(&mut params, "n", Shape::Image([1, 6, 5]), &layers, &mut rng(1));
    let tape = Tape::default();
    let (p, x) = (params.freeze(&tape), tape.constant(randn(&[7, 30], 2)));
    let y = net.forward(&p, tape.constant(Tensor::ones(&[2, 3][..])), x);
    assert_eq!(y.shape(), [2, 7, 5, 4, 3]);
}

/// Maximum likelihood is the same code with no KL: its loss is the mean NLL.
#[test]
fn point_posterior_has_no_kl() {
    let mut params = Params::<f64>::default();
    let point = Point::new(&mut params, "q", &[1.; 4]);
    let tape = Tape::default();
    let draw = point.draw(&params.bind(&tape), 2, &mut rng(1));
    assert_eq!((draw.theta.shape(), draw.log_q().is_none()), (vec![2, 4], true));
    let log_likelihood = tape.leaf(randn(&[2, 5], 1));
    let scale = Scale { data: 10, batch: 5, beta: 1. };
    let found = elbo(&draw, Prior::default(), log_likelihood, scale);
    assert_eq!(found.terms.kl, 0.);
    assert!((found.loss.item() + log_likelihood.value().mean().unwrap()).abs() < 1e-15);
    assert!((found.terms.total + 10. * found.loss.item()).abs() < 1e-12);
}

/// The paper's normal initialisation, He's, and a constant.
#[test]
fn init_samples_have_expected_moments() {
    let moments = |init: Init| {
        let x = init.sample::<f64>(&[300, 200], &mut rng(1));
        (x.mean().unwrap(), x.std(0.))
    };
    let near = |(mean, std): (f64, f64), m: f64, s: f64| {
        // 60,000 draws: four standard errors of the mean and of the standard deviation.
        (mean - m).abs() <= 4. * s / 245. && (std - s).abs() <= 4. * s / 346.
    };
    assert!(near(moments(Init::Normal { mean: -7., std: 0.01 }), -7., 0.01));
    assert!(near(moments(Init::He), 0., 0.1));
    assert_eq!(moments(Init::Constant(2.)), (2., 0.));
}

/// The loss and the terms are means over two samples.
#[test]
fn elbo_averages_over_samples() {
    let tape = Tape::<f64>::default();
    let of = |shape: &[usize], x: &[f64]| {
        tape.leaf(Tensor::from_shape_vec(shape.to_vec(), x.to_vec()).unwrap())
    };
    let kl = Kl::Sampled { log_q: of(&[2], &[1., 3.]) };
    let draw = Draw { theta: of(&[2, 1], &[0.5, 2.5]), kl };
    let prior = Prior::Laplace { scale: 0.5 }; // ln p(θ) = −2 |θ|
    let log_likelihood = of(&[2, 2], &[-1., -2., -3., -4.]);
    let scale = Scale { data: 10, batch: 2, beta: 0.5 };
    let found = elbo(&draw, prior, log_likelihood, scale);
    let t = found.terms;
    assert_eq!([t.log_likelihood, t.log_prior, t.log_q, t.kl, t.total], [-25., -3., 2., 5., -30.]);
    assert_eq!(found.loss.item(), 2.5 + 0.5 * 5. / 10.);
}

/// `π` is the weight of `σ₁`.
#[test]
fn scale_mixture_prior_matches_formula() {
    let tape = Tape::<f64>::default();
    let theta = tape.constant(Tensor::zeros(vec![1, 1]));
    let prior = Prior::ScaleMixture { weight: 0.25, stds: [1., 0.5] };
    let expected = (0.25 + 0.75 / 0.5_f64).ln() - 0.5 * std::f64::consts::TAU.ln();
    assert!((prior.log_prob(theta).item() - expected).abs() < 1e-12);
}
