//! Defends: the bound is in nats over the data set with all its terms, however the data are cut
//! into minibatches; densities are normalised; sharing work between samples changes nothing.
use bhn::autodiff::gradcheck::{Verdict, gradcheck, randn};
use bhn::autodiff::profile::Profile;
use bhn::autodiff::{Tape, Tensor, Var};
use bhn::bayes::{
    Axes, Base, Draw, Hypernet, HypernetConfig, Likelihood, Model, Noise, Point, Posterior, Prior,
    Scale, Targets, elbo,
};
use bhn::flows::Chain;
use bhn::nn::{BoundParams, Init, ParamId, Params};
use bhn::primary::{Layer, PrimaryNet, Shape, WeightNormed};
use ndarray::{Ix2, s};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use rstest::rstest;

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
    let posterior = Hypernet::realnvp(&mut params, "posterior", 14, &config, &mut rng(2));
    for ((_, w), seed) in params.iter_mut().zip(50..) {
        *w = (randn(w.shape(), seed) * 0.5).into();
    }
    let (primary, posterior) = (Box::new(primary), Box::new(posterior));
    let (prior, noise) = (Prior::default(), Noise::Shared);
    Model { params, primary, posterior, prior, likelihood, noise }
}

const EXACT: Likelihood = Likelihood::Categorical { clip: None };

fn labels(n: usize) -> Vec<usize> {
    (0..n).map(|i| i * i % 3).collect()
}

/// The scale of the bound: over minibatches of one epoch, the last one ragged, with the same noise,
/// the estimates weighted by |B|/N average to the full-batch value. Dividing the KL by the batch,
/// or forgetting N/|B|, fails here.
#[test]
fn minibatches_average_to_the_full_batch() {
    let (model, n) = (model(2, EXACT), 10);
    let (x, y) = (randn(&[n, 4], 3), Targets::Classes(labels(n)));
    let at = |rows: std::ops::Range<usize>| {
        let tape = Tape::default();
        let p = model.params.bind(&tape);
        let part = x.slice_axis(ndarray::Axis(0), rows.clone().into()).to_owned();
        let y = y.select(&rows.clone().collect::<Vec<_>>());
        let scale = Scale { data: n, batch: rows.len(), beta: 1. };
        let e = model.pass(&p, tape.constant(part), &y, 3, scale, &mut rng(7)).elbo;
        (e.terms.total, e.loss.item())
    };
    let (full, full_loss) = at(0..n);
    let parts = [0..4, 4..8, 8..10].map(|rows| (rows.len() as f64 / n as f64, at(rows)));
    let mean: f64 = parts.iter().map(|(w, (total, _))| w * total).sum();
    let mean_loss: f64 = parts.iter().map(|(w, (_, loss))| w * loss).sum();
    assert!((mean - full).abs() < 1e-10 * full.abs(), "{mean} {full}");
    assert!((mean_loss - full_loss).abs() < 1e-12 * full_loss.abs(), "{mean_loss} {full_loss}");
    // With β = 1 the loss is minus the bound, an example.
    assert!((full + n as f64 * full_loss).abs() < 1e-10 * full.abs());
}

/// A bound by hand: one weight, one example, no flow but the elementwise layer.
///
/// θ = s ε + b; y = 1 observed as N(θ x, 1/τ). ELBO = ln N(1; θx, 1/τ) + ln N(θ; 0, 1/λ) − ln q(θ).
#[test]
fn the_bound_by_hand() {
    let tape = Tape::<f64>::default();
    let (eps, s, b, x, tau, lambda) = (0.3_f64, 0.5_f64, 1.2_f64, 2.0_f64, 4.0_f64, 3.0_f64);
    let number = |x: f64| tape.leaf(Tensor::from_elem(vec![1, 1], x));
    let theta = number(s * eps + b);
    let ln_normal = |x: f64, precision: f64| {
        0.5 * (precision / std::f64::consts::TAU).ln() - 0.5 * precision * x * x
    };
    let log_q = number(ln_normal(eps, 1.) - s.ln()).reshape(&[1]);
    let draw = Draw { theta, log_q: Some(log_q), kl: None };
    let likelihood = Likelihood::Gaussian { precision: tau };
    let outputs = (theta * x).reshape(&[1, 1, 1]);
    let p = Params::default().bind(&tape);
    let log_likelihood = likelihood.log_prob(&p, outputs, &Targets::Values(vec![1.]));
    let prior = Prior::Gaussian { precision: lambda };
    let scale = Scale { data: 50, batch: 1, beta: 0.5 };
    let found = elbo(&draw, prior.log_prob(theta), log_likelihood, scale);
    let t = s * eps + b;
    let (lik, log_p) = (ln_normal(1. - t * x, tau), ln_normal(t, lambda));
    let log_q = ln_normal(eps, 1.) - s.ln();
    assert!((found.terms.total - (50. * lik + log_p - log_q)).abs() < 1e-12);
    assert!((found.loss.item() - (-lik + 0.5 * (log_q - log_p) / 50.)).abs() < 1e-12);
}

/// With T = 0 the posterior is a Gaussian and its KL known: the Monte-Carlo mean must agree.
#[test]
fn the_kl_of_the_elementwise_layer_is_the_gaussians() {
    let (d, samples, lambda) = (14, 20_000, 2.0_f64);
    let model = model(0, EXACT);
    let tape = Tape::default();
    let p = model.params.freeze(&tape);
    let draw = model.posterior.draw(&p, &tape, samples, &mut rng(5));
    let prior = Prior::Gaussian { precision: lambda };
    let kl = (draw.log_q.unwrap() - prior.log_prob(draw.theta)).value();
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

/// `∫ p(θ) dθ = 1` by the trapezium rule, which is exact far beyond 10⁻⁶ for these densities.
#[rstest]
#[case(Prior::Gaussian { precision: 4. })]
#[case(Prior::Laplace { scale: 0.7 })]
#[case(Prior::ScaleMixture { weight: 0.3, stds: [1.5, 0.2] })]
fn priors_integrate_to_one(#[case] prior: Prior) {
    let (n, width) = (200_001, 20.);
    let grid: Vec<f64> = (0..n).map(|i| width * (2. * i as f64 / (n - 1) as f64 - 1.)).collect();
    let tape = Tape::default();
    let theta = tape.constant(Tensor::from_shape_vec(vec![n, 1], grid).unwrap());
    let mass = prior.log_prob(theta).exp().sum().item() * 2. * width / (n - 1) as f64;
    assert!((mass - 1.).abs() < 1e-6, "{prior:?}: {mass}");
    // Independent over entries.
    let pair = tape.leaf(randn(&[1, 2], 1));
    let single = |i| prior.log_prob(pair.slice(1, i..i + 1)).item();
    assert!((prior.log_prob(pair).item() - single(0) - single(1)).abs() < 1e-12);
}

#[rstest]
#[case(Prior::Gaussian { precision: 4. })]
#[case(Prior::Laplace { scale: 0.7 })]
#[case(Prior::ScaleMixture { weight: 0.3, stds: [1.5, 0.2] })]
fn prior_gradients(#[case] prior: Prior) {
    gradcheck(&[randn(&[3, 4], 1)], |x| prior.log_prob(x[0])).assert();
}

type Make = fn(&mut Params<f64>, &str, usize, &HypernetConfig, &mut ChaCha8Rng) -> Hypernet<f64>;

/// A hypernet with every parameter at random.
fn hypernet(make: Make, d: usize, base: Base) -> (Params<f64>, Hypernet<f64>) {
    let mut params = Params::<f64>::default();
    let config = HypernetConfig { couplings: 3, hidden: 6, base, ..Default::default() };
    let hypernet = make(&mut params, "h", d, &config, &mut rng(3));
    for ((_, w), seed) in params.iter_mut().zip(20..) {
        *w = (randn(w.shape(), seed) * 0.4).into();
    }
    (params, hypernet)
}

const TWO_MODES: Base = Base::Mixture { components: 2, distance: 2., axes: Axes::First };
const GRID_OF_MODES: Base = Base::Mixture { components: 3, distance: 3., axes: Axes::All };

/// In two dimensions `q` of a whole hypernet integrates to one, by inverting it over a grid.
#[rstest]
#[case::realnvp(Hypernet::realnvp, Base::Normal)]
#[case::iaf(Hypernet::iaf, Base::Normal)]
#[case::linear(Hypernet::linear, Base::Normal)]
#[case::planar(Hypernet::planar, Base::Normal)]
#[case::mixture(Hypernet::realnvp, TWO_MODES)]
fn the_hypernets_density_integrates_to_one(#[case] make: Make, #[case] base: Base) {
    let (params, hypernet) = hypernet(make, 2, base);
    let (n, width) = (801, 16.);
    let at = |i: usize| width * (2. * i as f64 / (n - 1) as f64 - 1.);
    let grid: Vec<f64> = (0..n * n).flat_map(|i| [at(i / n), at(i % n)]).collect();
    let tape = Tape::default();
    let p = params.freeze(&tape);
    let theta = tape.constant(Tensor::from_shape_vec(vec![n * n, 2], grid).unwrap());
    let density = hypernet.log_prob(&p, theta).exp();
    let mass = density.sum().item() * (2. * width / (n - 1) as f64).powi(2);
    // Flows with ReLUs are piecewise smooth, so the rule's error falls with the square of the step.
    assert!((mass - 1.).abs() < 1e-3, "{mass}");
}

/// The samples of a draw and their `log_q` belong together: `q` evaluated at them by the inverse.
#[rstest]
#[case::realnvp(Hypernet::realnvp, Base::Normal)]
#[case::iaf(Hypernet::iaf, Base::Normal)]
#[case::linear(Hypernet::linear, Base::Normal)]
#[case::planar(Hypernet::planar, Base::Normal)]
#[case::mixture_first(Hypernet::iaf, TWO_MODES)]
#[case::mixture_all(Hypernet::planar, GRID_OF_MODES)]
fn log_q_is_the_density_at_the_samples(#[case] make: Make, #[case] base: Base) {
    let (params, hypernet) = hypernet(make, 5, base);
    let tape = Tape::default();
    let p = params.freeze(&tape);
    let draw = hypernet.draw(&p, &tape, 50, &mut rng(4));
    let density = hypernet.log_prob(&p, draw.theta).value();
    for (a, b) in density.iter().zip(&draw.log_q.unwrap().value()) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }
}

/// `θ` starts where `shift` says, nearly as narrow as `log_scale` says, whatever the flow.
#[rstest]
fn hypernets_start_where_they_are_told(
    #[values(Hypernet::realnvp, Hypernet::iaf, Hypernet::linear, Hypernet::planar)] make: Make,
    #[values(true, false)] weight_norm: bool,
) {
    let (d, mut params) = (8, Params::<f64>::default());
    let config = HypernetConfig { shift: 3., weight_norm, ..Default::default() };
    let hypernet = make(&mut params, "h", d, &config, &mut rng(3));
    let tape = Tape::default();
    let draw = hypernet.draw(&params.freeze(&tape), &tape, 4000, &mut rng(4));
    let std = (-2.5_f64).exp() + 0.001;
    for entry in draw.theta.value().columns() {
        // 0.01, the start's own, and what two kinks of 0.9 move; 4000 samples add little.
        assert!((entry.mean().unwrap() - 3.).abs() < 0.07, "{entry}");
        assert!((0.85..1.1).contains(&(entry.std(1.) / std)), "{}", entry.std(1.) / std);
    }
}

/// With reversal, IAF steps take the entries forwards and backwards in turn: one step leaves the first
/// entry to itself, two let every entry see all.
#[rstest]
#[case(1, [1, 2, 3])]
#[case(2, [3, 3, 3])]
fn reversed_orders_alternate(#[case] couplings: usize, #[case] expected: [usize; 3]) {
    let (d, mut params) = (3, Params::<f64>::default());
    let permutation = bhn::flows::Order::Reversal;
    let config = HypernetConfig { couplings, hidden: 8, permutation, ..Default::default() };
    let hypernet = Hypernet::iaf(&mut params, "h", d, &config, &mut rng(3));
    for ((_, w), seed) in params.iter_mut().zip(20..) {
        *w = randn(w.shape(), seed).into();
    }
    let tape = Tape::default();
    let (p, eps) = (params.freeze(&tape), tape.leaf(randn(&[50, d], 1)));
    let theta = bhn::flows::Bijector::forward(hypernet.flow(), &p, eps).0;
    let seen = [0, 1, 2].map(|i| {
        let grads = theta.slice(1, i..i + 1).sum().backward();
        let columns = grads.wrt(eps).unwrap().columns().into_iter();
        columns.filter(|column| column.iter().any(|&g| g != 0.)).count()
    });
    assert_eq!(seen, expected);
}

/// Samples of a mixture against its own density: the largest distance between the empirical and the
/// integrated distribution function, which for n samples exceeds 2.5/√n with probability 7·10⁻⁶
/// (Kolmogorov). And the density integrates to one.
#[rstest]
#[case(Base::Normal)]
#[case(TWO_MODES)]
#[case(GRID_OF_MODES)]
#[case(Base::Mixture { components: 1, distance: 2., axes: Axes::All })]
fn noise_fits_its_density(#[case] base: Base) {
    let (n, cells, width) = (20_000, 40_000, 20.);
    let tape = Tape::<f64>::default();
    let edge = |i: usize| width * (2. * i as f64 / cells as f64 - 1.);
    let middles = (0..cells).map(|i| (edge(i) + edge(i + 1)) / 2.).collect();
    let middles = tape.constant(Tensor::from_shape_vec(vec![cells, 1], middles).unwrap());
    let mut below = vec![0.];
    for density in &base.log_prob(middles).exp().value() {
        below.push(below.last().unwrap() + density * 2. * width / cells as f64);
    }
    assert!((below[cells] - 1.).abs() < 1e-12, "{}", below[cells]);

    let mut samples: Vec<f64> = base.sample([n, 1], &mut rng(6)).into_iter().collect();
    samples.sort_by(f64::total_cmp);
    let distribution = |x: f64| {
        let at = (x / width + 1.) / 2. * cells as f64;
        let i = at as usize;
        below[i] + (at - i as f64) * (below[i + 1] - below[i])
    };
    let distance = |(i, &x): (usize, &f64)| (distribution(x) - (i as f64 + 0.5) / n as f64).abs();
    let worst = samples.iter().enumerate().map(distance).fold(0., f64::max);
    assert!(worst < 2.5 / (n as f64).sqrt(), "{worst}");
}

/// Its density in more dimensions is the product over entries, of which `axes` names the mixtures.
#[rstest]
#[case(Axes::First, [true, false, false])]
#[case(Axes::All, [true, true, true])]
fn axes_of_a_mixture(#[case] axes: Axes, #[case] mixed: [bool; 3]) {
    let base = Base::Mixture { components: 2, distance: 4., axes };
    let (n, tape) = (5000, Tape::<f64>::default());
    let samples = base.sample([n, 3], &mut rng(6));
    let eps = tape.constant(samples.clone());
    let each = (0..3).map(|j| {
        let entry = eps.slice(1, j..j + 1);
        if mixed[j] { base.log_prob(entry) } else { entry.standard_normal_log_prob() }
    });
    let product = each.reduce(|a, b| a + b).unwrap();
    assert!((product - base.log_prob(eps)).abs().value().iter().all(|e| *e < 1e-12));
    for (column, mixed) in samples.columns().into_iter().zip(mixed) {
        // Var[ε²] is 2 for a normal, 2 + 4·16 for the mixture: four standard errors of the mean square.
        let (square, error) = if mixed { (17., 8.1) } else { (1., 1.42) };
        let found = column.iter().map(|x| x * x).sum::<f64>() / n as f64;
        assert!((found - square).abs() < 4. * error / (n as f64).sqrt(), "{found} {square}");
    }
}

#[rstest]
fn gradients_of_the_noises_density(#[values(Base::Normal, TWO_MODES, GRID_OF_MODES)] base: Base) {
    gradcheck(&[randn(&[3, 4], 1)], |x| base.log_prob(x[0])).assert();
}

/// The whole loss, all parameters at once.
#[rstest]
#[case(EXACT, Targets::Classes(labels(7)))]
#[case(Likelihood::Categorical { clip: Some(0.2) }, Targets::Classes(labels(7)))]
fn gradients_of_the_whole_model(#[case] likelihood: Likelihood, #[case] y: Targets<f64>) {
    let model = model(2, likelihood);
    let inputs: Vec<_> = model.params.iter().map(|(_, w)| w.to_owned()).collect();
    let check = |seed| {
        gradcheck(&inputs, |vars| {
            let p = BoundParams::from_vars(vars.to_vec());
            let x = vars[0].tape().constant(randn(&[7, 4], seed));
            let scale = Scale { data: 21, batch: 7, beta: 0.7 };
            model.pass(&p, x, &y, 2, scale, &mut rng(9)).elbo.loss
        })
    };
    let smooth = |r: &bhn::autodiff::gradcheck::Report| {
        !r.0.iter().any(|v| matches!(v, Verdict::NotCheckable { .. }))
    };
    (3..20).map(check).find(smooth).expect("a smooth point").assert();
}

#[test]
fn gradients_of_a_learned_precision() {
    let mut params = Params::<f64>::default();
    let id: ParamId = params.add("log_precision", randn(&[1], 1));
    let y = Targets::Values(vec![0.3, -0.2, 1.]);
    gradcheck(&[randn(&[1], 1), randn(&[2, 3, 1], 2)], |v| {
        let p = BoundParams::from_vars(vec![v[0]]);
        assert!(
            (Likelihood::LearnedGaussian(id).precision(&p).unwrap().ln() - v[0].item()).abs()
                < 1e-12
        );
        Likelihood::LearnedGaussian(id).log_prob(&p, v[1], &y)
    })
    .assert();
}

/// `S` samples as one product, scales after the product and the first layer's product shared: the
/// same outputs as `S` networks whose weights are formed.
#[test]
fn batched_samples_equal_networks_with_formed_weights() {
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

/// What samples have in common is computed once where no gradient asks: the same outputs either way.
#[test]
fn samples_that_are_alike_up_to_a_mask_equal_samples_apart() {
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

/// A network that ends in an image has the axis of samples that are alike, too.
#[test]
fn alike_samples_of_images() {
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
fn a_point_has_no_kl() {
    let mut params = Params::<f64>::default();
    let point = Point::new(&mut params, "q", &[1.; 4]);
    let tape = Tape::default();
    let draw = point.draw(&params.bind(&tape), &tape, 2, &mut rng(1));
    assert_eq!((draw.theta.shape(), draw.log_q.is_none()), (vec![2, 4], true));
    let log_likelihood = tape.leaf(randn(&[2, 5], 1));
    let log_prior = Prior::default().log_prob(draw.theta);
    let found = elbo(&draw, log_prior, log_likelihood, Scale { data: 10, batch: 5, beta: 1. });
    assert_eq!(found.terms.kl, 0.);
    assert!((found.loss.item() + log_likelihood.value().mean().unwrap()).abs() < 1e-15);
    assert!((found.terms.total + 10. * found.loss.item()).abs() < 1e-12);
}

/// The paper's initialisation, and every shape of starting value.
#[test]
fn parameters_start_where_they_should() {
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
    assert!(near(moments(Init::Glorot), 0., (2. / 500_f64).sqrt()));
    assert_eq!(moments(Init::Constant(2.)), (2., 0.));
}

/// Over samples the bound is a mean, in its loss as in its terms.
#[test]
fn the_bound_of_two_samples_by_hand() {
    let tape = Tape::<f64>::default();
    let of = |shape: &[usize], x: &[f64]| {
        tape.leaf(Tensor::from_shape_vec(shape.to_vec(), x.to_vec()).unwrap())
    };
    let draw = Draw { theta: of(&[2, 1], &[0., 0.]), log_q: Some(of(&[2], &[1., 3.])), kl: None };
    let log_likelihood = of(&[2, 2], &[-1., -2., -3., -4.]);
    let scale = Scale { data: 10, batch: 2, beta: 0.5 };
    let found = elbo(&draw, of(&[2], &[-1., -5.]), log_likelihood, scale);
    let t = found.terms;
    assert_eq!([t.log_likelihood, t.log_prior, t.log_q, t.kl, t.total], [-25., -3., 2., 5., -30.]);
    assert_eq!(found.loss.item(), 2.5 + 0.5 * 5. / 10.);
}

/// `π` is the weight of `σ₁`.
#[test]
fn a_mixture_by_hand() {
    let tape = Tape::<f64>::default();
    let theta = tape.constant(Tensor::zeros(vec![1, 1]));
    let prior = Prior::ScaleMixture { weight: 0.25, stds: [1., 0.5] };
    let expected = (0.25 + 0.75 / 0.5_f64).ln() - 0.5 * std::f64::consts::TAU.ln();
    assert!((prior.log_prob(theta).item() - expected).abs() < 1e-12);
}

/// As wide as described, not only where: the spread of starting values, within a tenth.
#[test]
fn starting_values_have_their_spread() {
    let (d, mut params) = (400, Params::<f64>::default());
    let config = HypernetConfig { couplings: 1, hidden: 50, layers: 2, ..Default::default() };
    let makes: [(Make, &str); 4] = [
        (Hypernet::realnvp, "a"),
        (Hypernet::iaf, "b"),
        (Hypernet::linear, "c"),
        (Hypernet::planar, "d"),
    ];
    for (make, name) in makes {
        make(&mut params, name, d, &config, &mut rng(3));
    }
    let weights = |name: &str| {
        let found = params.iter().find(|(n, _)| *n == name);
        found.unwrap_or_else(|| panic!("no {name} in {params:?}")).1.clone()
    };
    // Of n numbers the standard deviation is within four of its errors, σ/√2n.
    let spread = |name: &str, std: f64| {
        let w = weights(name);
        let off = (w.std(0.) / std - 1.).abs();
        assert!(off < 4. / (2. * w.len() as f64).sqrt(), "{name}: {} and not {std}", w.std(0.));
    };
    for name in ["a.elementwise.w", "a.elementwise.b", "b.elementwise.b", "c.linear.2.b"] {
        spread(name, 0.01);
    }
    for name in ["a.coupling.0.scale.r", "a.coupling.0.trunk.r", "b.iaf.0.shift.r"] {
        spread(name, 1e-4);
    }
    spread("a.coupling.0.scale.v", 1.);
    spread("c.linear.1.lv", 0.01 / 20.);
    spread("c.linear.1.w", 0.01);
    // α = sigmoid(a) starts at 0.9.
    assert!(weights("c.kink.1.a").iter().all(|a| (1. / (1. + (-a).exp()) - 0.9).abs() < 1e-12));
    // w ~ N(0, 1/D); u is along w what makes û 0, and 10⁻⁴ of noise.
    spread("d.planar.0.w", 400_f64.powf(-0.5));
    let (w, u) = (weights("d.planar.0.w"), weights("d.planar.0.u"));
    let along = (std::f64::consts::E - 1.).ln() / w.iter().map(|w| w * w).sum::<f64>();
    let noise = &u - &(&w * along);
    assert!((noise.std(0.) / 1e-4 - 1.).abs() < 4. / 800_f64.sqrt(), "{}", noise.std(0.));
}

/// A coupling conditions half of `θ` on the other: of one coupling, without a permutation before it, the first
/// half stays what the elementwise layer made of it.
#[test]
fn nothing_is_permuted_before_the_first_coupling() {
    let (d, mut params) = (9, Params::<f64>::default());
    let config = HypernetConfig { couplings: 1, hidden: 6, ..Default::default() };
    let hypernet = Hypernet::realnvp(&mut params, "h", d, &config, &mut rng(3));
    for ((_, w), seed) in params.iter_mut().zip(20..) {
        *w = randn(w.shape(), seed).into();
    }
    let (tape, eps) = (Tape::default(), randn(&[1, d], 1));
    let p = params.freeze(&tape);
    let flow = hypernet.flow();
    let theta = bhn::flows::Bijector::forward(flow, &p, tape.constant(eps.clone())).0.value();
    let find = |name: &str| params.iter().find(|(n, _)| n.ends_with(name)).unwrap().1.clone();
    let first = eps * find("elementwise.w").mapv(|w| w.exp() + 0.001) + &find("elementwise.b");
    let same: Vec<_> = theta.iter().zip(&first).map(|(a, b)| a == b).collect();
    assert_eq!(same, [true, true, true, true, false, false, false, false, false]);
}

#[rstest]
#[case(1, 1, 3, "Coupling: D = 1")]
#[case(4, 1, 0, "Hypernet::linear: no layers")]
fn what_cannot_be_built(
    #[case] d: usize,
    #[case] couplings: usize,
    #[case] layers: usize,
    #[case] said: &str,
) {
    let make: Make = if layers == 0 { Hypernet::linear } else { Hypernet::realnvp };
    let config = HypernetConfig { couplings, layers, ..Default::default() };
    let build = || make(&mut Params::default(), "h", d, &config, &mut rng(3));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(build)).map(drop);
    let panic = panic.expect_err("refused");
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or(panic.downcast_ref::<&str>().map(|s| s.to_string())).expect("a message");
    assert!(text.starts_with(said), "{text}");
}

/// Scales and shifts start where they are told, and a permutation brings the entries that one
/// coupling leaves alone under the next.
#[test]
fn the_hypernet_is_put_together_as_described() {
    let (d, mut params) = (64, Params::<f64>::default());
    let config = HypernetConfig { couplings: 2, hidden: 6, ..Default::default() };
    let hypernet = Hypernet::realnvp(&mut params, "h", d, &config, &mut rng(3));
    let find = |params: &Params<f64>, name: &str| {
        params.iter().find(|(n, _)| n.ends_with(name)).unwrap().1.clone()
    };
    let near = |name, mean: f64| find(&params, name).iter().all(|x| (x - mean).abs() < 0.05);
    assert!(near("elementwise.w", -2.5) && near("elementwise.b", 1.));
    for ((_, w), seed) in params.iter_mut().zip(20..) {
        *w = randn(w.shape(), seed).into();
    }
    let (tape, eps) = (Tape::default(), randn(&[1, d], 1));
    let flow = hypernet.flow();
    let theta =
        bhn::flows::Bijector::forward(flow, &params.freeze(&tape), tape.constant(eps.clone()));
    let first = eps * find(&params, "elementwise.w").mapv(|w| w.exp() + 0.001)
        + &find(&params, "elementwise.b");
    let alone = theta.0.value().iter().filter(|x| first.iter().any(|y| y == *x)).count();
    assert!((1..26).contains(&alone), "{alone} of {d} untouched: 16 expected, 32 if not permuted");
}

#[test]
fn noise_is_counted_in_bytes() {
    let (profile, params) = (Profile::start(), Params::default());
    let tape = Tape::<f64>::default().profiled(Some(profile.clone()));
    let hypernet = Hypernet::<f64>::new(5, Chain::default());
    hypernet.draw(&params.bind(&tape), &tape, 3, &mut rng(0));
    let noise = profile.rows().into_iter().find(|row| row.name == "noise");
    assert_eq!(noise.expect("a row of its own").bytes, 3. * 5. * 8.);
}

#[test]
fn a_hypernet_begins_with_its_base() {
    let (tape, params) = (Tape::default(), Params::default());
    let (p, eps) = (params.bind(&tape), tape.constant(randn(&[4, 2], 0)));
    let base = Base::Mixture { components: 2, distance: 3., axes: Axes::First };
    let hypernet = Hypernet::<f64>::new(2, Chain::default()).with_base(base);
    assert_eq!(hypernet.log_prob(&p, eps).value(), base.log_prob(eps).value());
}

/// Centres are at equal distances from −c to c; one alone is at 0.
#[rstest]
#[case(1, &[0.])]
#[case(2, &[-2., 2.])]
#[case(3, &[-2., 0., 2.])]
fn mixtures_have_their_centres(#[case] components: usize, #[case] centres: &[f64]) {
    let (tape, x) = (Tape::default(), 1.5_f64);
    let base = Base::Mixture { components, distance: 2., axes: Axes::First };
    let found = base.log_prob(tape.constant(Tensor::from_elem(vec![1, 1], x))).item();
    let each = centres.iter().map(|centre| (-0.5 * (x - centre).powi(2)).exp());
    let density = each.sum::<f64>() / components as f64 / std::f64::consts::TAU.sqrt();
    assert!((found - density.ln()).abs() < 1e-14, "{found}, not {}", density.ln());
}
