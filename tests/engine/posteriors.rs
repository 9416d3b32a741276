//! Defends: every method computes what its definition says. Whole losses have right gradients;
//! networks equal those of materialised weights; noise has the distribution of its formula.
use bhn::autodiff::gradcheck::{gradcheck, randn};
use bhn::autodiff::{Precision, Tape, Tensor};
use bhn::bayes::{
    Ensemble, Estimator, FlowKind, MeanField, Mnf, MnfConfig, Model, Noise, PointPrior, Posterior,
    Prior, Scale, Targets,
};
use bhn::data::Task;
use bhn::nn::{BoundParams, Params};
use bhn::primary::{AllWeights, Block, BlockKind, Layer, PrimaryNet, Shape, WeightNormed};
use bhn::run::config::{Config, Method, MethodKind};
use bhn::verify::bound;
use bhn::verify::gradients::at_smooth_point;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rstest::rstest;
use std::collections::HashMap;

pub const LAYERS: [Layer; 3] = [Layer::Dense(4), Layer::Tanh, Layer::Dense(3)];

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn task() -> Task {
    Task::Classification { classes: ["a", "b", "c"].map(String::from).to_vec() }
}

/// The model of a method on 3 inputs, its parameters of order one and smooth in them.
pub fn model(method: MethodKind, change: impl Fn(&mut Config)) -> Model<f64> {
    model_on(Shape::Flat(3), LAYERS.to_vec(), method, change)
}

/// The model of a method on images [2, 5, 4], with every kind of layer for images.
fn model_of_images(method: MethodKind, change: impl Fn(&mut Config)) -> Model<f64> {
    let words = "conv 3 2x2 pad 1,tanh,avg-pool 2 stride 1,conv 2 3x2 stride 2x1,tanh,pool 2x1,flatten,dense 3";
    let layers = words.split(',').map(|word| word.parse().unwrap()).collect();
    model_on(Shape::Image([2, 5, 4]), layers, method, change)
}

fn model_on(
    inputs: Shape,
    layers: Vec<Layer>,
    method: MethodKind,
    change: impl Fn(&mut Config),
) -> Model<f64> {
    let mut config = Config { method, ..Config::default() };
    config.primary.layers = Some(match Method::from(&config) {
        Method::Dropout(..) => Layer::with_dropout(&layers, 0.4),
        _ => layers,
    });
    (config.flow.couplings, config.flow.hidden) = (2, 5);
    config.mnf.hidden = 5;
    config.ensemble.members = 2;
    change(&mut config);
    let mut model = config.build::<f64>(inputs, &task());
    for ((_, w), seed) in model.params.iter_mut().zip(50..) {
        *w = (&*w + randn(w.shape(), seed) * 0.3).into();
    }
    model
}

/// For each method, with respect to all parameters at once, at fixed noise.
#[rstest]
#[case::full_bhn(model(MethodKind::FullBhn, |_| ()))]
#[case::iaf(model(MethodKind::Bhn, |c| c.flow.kind = FlowKind::Iaf))]
#[case::linear(model(MethodKind::FullBhn, |c| c.flow.kind = FlowKind::Linear))]
#[case::planar(model(MethodKind::Bhn, |c| c.flow.kind = FlowKind::Planar))]
#[case::cholesky(model(MethodKind::Bhn, |c| c.flow.kind = FlowKind::Cholesky))]
#[case::low_rank(model(MethodKind::Bhn, |c| c.flow.kind = FlowKind::LowRank))]
#[case::plain(model(MethodKind::Bhn, |c| c.flow.weight_norm = false))]
#[case::mle(model(MethodKind::Mle, |_| ()))]
#[case::dropout(model(MethodKind::Dropout, |_| ()))]
#[case::mc_dropout(model(MethodKind::McDropout, |c| c.train.noise = Some(Noise::Shared)))]
#[case::concrete_dropout(model(MethodKind::ConcreteDropout, |_| ()))]
#[case::bbb(model(MethodKind::Bbb, |c| c.mean_field.local = false))]
#[case::bbb_local(model(MethodKind::Bbb, |c| c.prior = Prior::Gaussian { precision: 2. }))]
#[case::bbb_with_another_prior(model(MethodKind::Bbb, |c| c.prior = Prior::Laplace { scale: 0.7 }))]
#[case::mnf(model(MethodKind::Mnf, |_| ()))]
#[case::ensemble(model(MethodKind::Ensemble, |_| ()))]
#[case::laplace(model(MethodKind::Laplace, |_| ()))]
#[case::swag(model(MethodKind::Swag, |c| c.prior = Prior::Laplace { scale: 0.7 }))]
#[case::noise_per_example(model(MethodKind::Bhn, |c| c.train.noise = Some(Noise::PerExample)))]
fn full_loss_passes_gradcheck(#[case] model: Model<f64>) {
    gradients(&model, 5, 3);
}

#[rstest]
#[case::bhn(model_of_images(MethodKind::Bhn, |_| ()))]
#[case::full_bhn(model_of_images(MethodKind::FullBhn, |c| c.flow.couplings = 0))]
#[case::noise_per_example(
    model_of_images(MethodKind::Bhn, |c| c.train.noise = Some(Noise::PerExample))
)]
#[case::mle(model_of_images(MethodKind::Mle, |_| ()))]
#[case::mc_dropout(model_of_images(MethodKind::McDropout, |_| ()))]
#[case::channel_dropout(model_of_images(MethodKind::McDropout, |c| {
    let layers = c.primary.layers.as_mut().unwrap();
    layers.retain(|layer| !matches!(layer, Layer::Dropout(_)));
    layers.insert(2, Layer::ChannelDropout(0.4));
    layers.splice(7.., [Layer::GlobalPool, Layer::Dense(3)]);
}))]
#[case::bbb(model_of_images(MethodKind::Bbb, |_| ()))]
fn full_loss_on_images_passes_gradcheck(#[case] model: Model<f64>) {
    gradients(&model, 2, 40);
}

/// A hypernet without couplings is Bayes by Backprop on the scales, `θ ~ N(b, diag(s²))`. The two
/// have other coordinates, `s = eʷ + 0.001` and `s = exp(log_std)`: with `log_std = ln(eʷ + 0.001)`
/// samples, densities, bounds and gradients agree to rounding.
#[test]
fn hypernet_without_couplings_is_bayes_by_backprop_on_the_scales() {
    let hypernet = model(MethodKind::Bhn, |c| c.flow.couplings = 0);
    let parameter = |name: &str| {
        let named = |(other, _): &(&str, _)| *other == format!("posterior.elementwise.{name}");
        hypernet.params.iter().find(named).unwrap().1.clone()
    };
    let (w, b) = (parameter("w"), parameter("b"));
    let mut params = hypernet.params.clone();
    let q = MeanField::new(&mut params, "q", b.as_slice(), 0., false);
    for (name, values) in params.iter_mut() {
        if name == "q.log_std" {
            *values = w.mapv(|w| (w.exp() + 0.001).ln()).into();
        }
    }
    let normals = Model { params, posterior: Box::new(q), ..model(MethodKind::Bhn, |_| ()) };
    let run = |model: &Model<f64>| {
        let tape = Tape::default();
        let p = model.params.bind(&tape);
        let draw = model.posterior.draw(&p, 4, &mut rng(3));
        let (theta, log_q) = (draw.theta.value(), draw.log_q().unwrap().value());
        let (x, y) = (tape.constant(randn(&[5, 3], 1)), Targets::Classes(vec![0, 2, 1, 1, 0]));
        let scale = Scale { data: 50, batch: 5, beta: 1. };
        let bound = model.pass(&p, x, &y, 4, scale, &mut rng(3)).elbo;
        let gradients = model.params.iter().zip(p.gradients(bound.loss.backward()));
        let gradients: HashMap<_, _> = gradients
            .filter_map(|((name, w), gradient)| Some((name.to_string(), gradient?.to_dense(w))))
            .collect();
        (theta, log_q, bound.terms.total, gradients)
    };
    let (ours, theirs) = (run(&hypernet), run(&normals));
    let agree = |a: &Tensor<f64>, b: &Tensor<f64>| {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-12 * (1. + a.abs())), "{a} {b}");
    };
    agree(&ours.0, &theirs.0);
    agree(&ours.1, &theirs.1);
    assert!((ours.2 - theirs.2).abs() < 1e-10 * ours.2.abs());
    for (name, gradient) in &ours.3 {
        match &**name {
            "posterior.elementwise.b" => agree(gradient, &theirs.3["q.mean"]),
            // d log_std / dw = eʷ / (eʷ + 0.001).
            "posterior.elementwise.w" => {
                let slope = w.mapv(|w| w.exp() / (w.exp() + 0.001));
                agree(gradient, &(&slope * &*theirs.3["q.log_std"]).into());
            }
            _ => agree(gradient, &theirs.3[name]),
        }
    }
}

/// Independent noise at each position would give another bound: convolutions sample their weights
/// instead.
#[test]
fn convolutions_disable_local_reparametrisation() {
    let loss = |local| {
        let (model, tape) =
            (model_of_images(MethodKind::Bbb, |c| c.mean_field.local = local), Tape::default());
        let (p, x) = (model.params.bind(&tape), tape.constant(randn(&[2, 40], 1)));
        let scale = Scale { data: 20, batch: 2, beta: 1. };
        model.pass(&p, x, &Targets::Classes(vec![0, 2]), 2, scale, &mut rng(9)).elbo.loss.item()
    };
    assert_eq!(loss(true), loss(false));
}

fn gradients(model: &Model<f64>, batch: usize, width: usize) {
    let inputs: Vec<_> = model.params.iter().map(|(_, w)| w.to_owned()).collect();
    let y = Targets::Classes([0, 2, 1, 1, 0][..batch].to_vec());
    at_smooth_point(3..20, |seed| {
        gradcheck(&inputs, |vars| {
            let p = BoundParams::from_vars(vars[0].tape(), vars.to_vec());
            let x = vars[0].tape().constant(randn(&[batch, width], seed));
            let scale = Scale { data: 20, batch, beta: 0.7 };
            model.pass(&p, x, &y, 2, scale, &mut rng(9)).elbo.loss
        })
    })
    .assert();
}

#[rstest]
#[case(MethodKind::FullBhn)]
#[case(MethodKind::Bbb)]
#[case(MethodKind::Mnf)]
fn minibatch_bounds_average_to_full_batch_bound(#[case] method: MethodKind) {
    let (x, n) = (randn(&[bound::N, 3], 3).into_dimensionality().unwrap(), bound::N);
    let y = Targets::Classes((0..n).map(|i| i * i % 3).collect());
    let model = model(method, |c| c.mean_field.local = false);
    bound::minibatches(&bound::of_model(model, x, y)).assert();
}

/// `S` networks at once equal `S` networks one by one.
#[test]
fn all_weights_net_equals_explicit_network() {
    let net = AllWeights::new(3, &LAYERS);
    let (tape, d) = (Tape::<f64>::default(), 4 * 3 + 4 + 3 * 4 + 3);
    let p = Params::default().bind(&tape);
    let (theta, x) = (tape.constant(randn(&[2, d], 1)), tape.constant(randn(&[5, 3], 2)));
    let found = net.forward(&p, theta, x).value();
    assert_eq!(found.shape(), [2, 5, 3]);
    for s in 0..2 {
        let own = theta.slice(0, s..s + 1).reshape(&[d]);
        let [w, b] = [own.slice(0, 0..12).reshape(&[4, 3]), own.slice(0, 12..16)];
        let [v, c] = [own.slice(0, 16..28).reshape(&[3, 4]), own.slice(0, 28..31)];
        let expected = x.linear(w, b).tanh().linear(v, c).value();
        let found = found.index_axis(ndarray::Axis(0), s);
        assert!((&found - &*expected).iter().all(|e| e.abs() < 1e-12));
    }
}

/// A network whose scales multiply after the product equals one with materialised weights, for
/// every sample and whether or not each example has its own noise.
#[rstest]
#[case("conv 3 3x2,relu,pool 2,flatten,dense 4,tanh,dense 2")]
#[case("pool 2,conv 3 2x2,tanh,global-pool,dense 2")]
#[case("tanh,avg-pool 2 stride 1,flatten,dense 2")]
#[case("flatten,dense 2")]
fn weight_normed_net_equals_materialised_weights(#[case] words: &str) {
    let image = Shape::Image([2, 6, 5]);
    let layers: Vec<Layer> = words.split(',').map(|word| word.parse().unwrap()).collect();
    let mut params = Params::<f64>::default();
    let net = WeightNormed::new(&mut params, "n", image, &layers, &mut rng(1));
    for ((_, w), seed) in params.iter_mut().zip(2..) {
        *w = randn(w.shape(), seed).into();
    }
    let tape = Tape::default();
    let p = params.bind(&tape);
    let d = PrimaryNet::<f64>::dim(&net);
    let (theta, x) = (tape.constant(randn(&[2, d], 8)), tape.constant(randn(&[3, 60], 9)));
    let (mut formed, mut start) = (vec![], 0);
    for pair in params.iter().map(|(_, w)| tape.constant(w.clone())).collect::<Vec<_>>().chunks(2) {
        let [n, k] = pair[0].shape()[..] else { panic!("a matrix") };
        for s in 0..2 {
            let scales = theta.slice(0, s..s + 1).slice(1, start..start + n).reshape(&[n]);
            formed.push((s, pair[0].weight_norm(scales).reshape(&[n * k])));
            formed.push((s, pair[1]));
        }
        start += n;
    }
    let of = |s| {
        let own: Vec<_> = formed.iter().filter(|(of, _)| *of == s).map(|(_, w)| *w).collect();
        bhn::autodiff::Var::concat(&own, 0)
    };
    let all = AllWeights::new(image, &layers);
    let expected = all.forward(&p, bhn::autodiff::Var::stack(&[of(0), of(1)], 0), x).value();
    let near = |found: Tensor<f64>| (&found - &expected).iter().all(|e| e.abs() < 1e-12);
    assert!(near(net.forward(&p, theta, x).value()));
    let each = theta.reshape(&[2, 1, d]).broadcast_to(&[2, 3, d]);
    assert!(near(net.forward(&p, each, x).value()));
    assert!(expected.iter().any(|y| y.abs() > 0.1));
}

/// If each example has its own noise and all of it is equal, the results are those of a batch that
/// shares it.
#[test]
fn equal_per_example_noise_matches_shared_noise() {
    let layers = Layer::with_dropout(&LAYERS, 0.5);
    let mut params = Params::<f64>::default();
    let net = WeightNormed::new(&mut params, "n", 3, &layers, &mut rng(1));
    let tape = Tape::default();
    let p = params.bind(&tape);
    let (theta, x) = (tape.constant(randn(&[2, 11], 2)), tape.constant(randn(&[5, 3], 3)));
    let shared = net.forward(&p, theta, x).value();
    let each = theta.reshape(&[2, 1, 11]).broadcast_to(&[2, 5, 11]);
    let found = net.forward(&p, each, x).value();
    assert!((&found - &shared).iter().all(|e| e.abs() < 1e-12));
    let masks = PrimaryNet::<f64>::masks(&net);
    assert_eq!(masks, [(4..8, 0.5)]);
    assert_eq!(PrimaryNet::<f64>::parts(&net)[1], ("2.mask".to_string(), 4));
}

/// `KL(N(m, s²) ‖ N(0, 1/λ))`: m = 1, s = 2, λ = 3 gives ½ (3·5 − 1 − ln 12).
#[test]
fn kl_of_normals_matches_closed_form() {
    let mut params = Params::<f64>::default();
    let q = MeanField::new(&mut params, "q", &[1.], 2_f64.ln(), true);
    let tape = Tape::default();
    let normals = Posterior::normals(&q, &params.bind(&tape)).expect("local");
    let kl = |prior: Prior| prior.kl_of_normals(&normals).map(|kl| kl.item());
    let found = kl(Prior::Gaussian { precision: 3. }).unwrap();
    assert!((found - 0.5 * (14. - 12_f64.ln())).abs() < 1e-12);
    assert_eq!(kl(Prior::Laplace { scale: 1. }), None);
}

/// One layer under local and plain reparametrisation: the same mean and variance of every output,
/// those of the formula, within four standard errors.
#[rstest]
#[case(true)]
#[case(false)]
fn reparametrisations_have_same_output_moments(#[case] local: bool) {
    let samples = 20_000;
    let net = AllWeights::new(3, &[Layer::Dense(2)]);
    let mut params = Params::<f64>::default();
    let means: Vec<_> = randn(&[8], 1).into_iter().collect();
    let q = MeanField::new(&mut params, "q", &means, -1., local);
    let tape = Tape::default();
    let (p, x) = (params.freeze(&tape), tape.constant(randn(&[4, 3], 2)));
    let outputs = match Posterior::<f64>::normals(&q, &p) {
        Some(n) => net.forward_normal([n.mean, n.std], x, samples, &mut rng(3)).unwrap(),
        None => net.forward(&p, q.draw(&p, samples, &mut rng(3)).theta, x),
    };
    let (found, x) = (outputs.value(), x.value());
    for (example, unit) in (0..4).flat_map(|b| [(b, 0), (b, 1)]) {
        let own = |j: usize| x[[example, j]];
        let mean = (0..3).map(|j| means[unit * 3 + j] * own(j)).sum::<f64>() + means[6 + unit];
        let variance = (-2_f64).exp() * ((0..3).map(|j| own(j).powi(2)).sum::<f64>() + 1.);
        let outputs = found.slice(ndarray::s![.., example, unit]);
        let n = samples as f64;
        let error = (outputs.mean().unwrap() - mean).abs();
        assert!(error < 4. * (variance / n).sqrt(), "mean off by {error}");
        // The variance of a normal sample's variance is 2σ⁴/n.
        let error = (outputs.var(1.) - variance).abs();
        assert!(error < 4. * variance * (2. / n).sqrt(), "variance off by {error}");
    }
}

/// Sample `s` of an ensemble is member `s mod M`; recentring sets all members.
#[test]
fn ensemble_samples_cycle_through_members() {
    let mut params = Params::<f64>::default();
    let q = Ensemble::new(&mut params, "q", &[vec![1., 2.], vec![3., 4.], vec![5., 6.]]);
    let draw = |params: &Params<f64>, n| {
        let tape = Tape::default();
        q.draw(&params.bind(&tape), n, &mut rng(1))
            .theta
            .value()
            .iter()
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(draw(&params, 3), [1., 2., 3., 4., 5., 6.]);
    assert_eq!(draw(&params, 5), [1., 2., 3., 4., 5., 6., 1., 2., 3., 4.]);
    assert_eq!(draw(&params, 2), [1., 2., 3., 4.]);
    Posterior::<f64>::recentre(&q, &mut params, &[8., 9.]);
    assert_eq!(draw(&params, 3), [8., 9., 8., 9., 8., 9.]);
}

/// A method with a density reports the density that it samples from, and only hypernets have a
/// flow.
#[rstest]
#[case(MethodKind::Mle, false, false)]
#[case(MethodKind::McDropout, false, false)]
#[case(MethodKind::Ensemble, false, false)]
#[case(MethodKind::Swag, false, false)]
#[case(MethodKind::Bbb, true, false)]
#[case(MethodKind::Bhn, true, true)]
#[case(MethodKind::FullBhn, true, true)]
fn density_matches_log_q_of_draws(
    #[case] method: MethodKind,
    #[case] dense: bool,
    #[case] flows: bool,
) {
    let model = model(method, |c| c.mean_field.log_std = -1.);
    let tape = Tape::default();
    let p = model.params.bind(&tape);
    let draw = model.posterior.draw(&p, 4, &mut rng(1));
    let density = model.posterior.density(&p, draw.theta);
    assert_eq!((density.is_some(), model.posterior.flow().is_some()), (dense, flows));
    if let (Some(density), Some(log_q)) = (density, draw.log_q()) {
        let off = (density - log_q).abs().value();
        assert!(off.iter().all(|&off| off < 1e-9), "{off}");
    }
    assert_eq!(draw.log_q().is_some(), dense);
}

/// `q(w) = ∫ q(w|z) q(z) dz` has no closed form, but samples have `ln q` in the augmented space.
#[test]
fn multiplicative_flow_has_log_q_of_samples_alone() {
    let (model, tape) = (model(MethodKind::Mnf, |_| ()), Tape::default());
    let p = model.params.bind(&tape);
    let draw = model.posterior.draw(&p, 4, &mut rng(1));
    assert_eq!(draw.log_q().unwrap().shape(), [4]);
    assert!(model.posterior.density(&p, draw.theta).is_none() && model.posterior.flow().is_none());
}

/// A convolution has one multiplier per output channel: all its other weights are multiplied alike.
#[test]
fn multipliers_scale_rows_of_convolutions_and_columns_of_dense_layers() {
    let blocks = [
        Block { offset: 1, outputs: 2, inputs: 3, kind: BlockKind::Conv },
        Block { offset: 7, outputs: 3, inputs: 2, kind: BlockKind::Dense },
    ];
    let mut params = Params::<f64>::default();
    let config = MnfConfig { log_std: -60., couplings: 0, ..MnfConfig::default() };
    let q = Mnf::new(&mut params, "q", &[1.; 14], &blocks, &config, &mut rng(0));
    let tape = Tape::default();
    let sample = q.sample(&params.freeze(&tape), 1, &mut rng(1));
    let (w, z) = (sample.w.value(), sample.z.value());
    let [a, b, c, d] = [0, 1, 2, 3].map(|i| z[[0, i]]);
    let expected = [1., a, a, a, b, b, b, c, d, c, d, c, d, 1.];
    assert!(w.iter().zip(expected).all(|(w, z)| (w - z).abs() < 1e-12), "{w} {z}");
}

/// The bound with local reparametrisation differs from the plain one only in its noise: the KL in
/// closed form equals the mean over draws, and the loss is the sum of its parts.
#[test]
fn local_bound_agrees_with_plain_bound() {
    let of = |local: bool, samples: usize| {
        let model = model(MethodKind::Bbb, |c| {
            (c.mean_field.local, c.mean_field.log_std) = (local, -1.);
        });
        let tape = Tape::default();
        let p = model.params.bind(&tape);
        let x = tape.constant(randn(&[5, 3], 9));
        let scale = Scale { data: 50, batch: 5, beta: 0.5 };
        let y = Targets::Classes(vec![0, 2, 1, 1, 0]);
        let elbo = model.pass(&p, x, &y, samples, scale, &mut rng(0)).elbo;
        let t = elbo.terms;
        let loss = -t.log_likelihood / 50. + 0.5 * t.kl / 50.;
        assert!((elbo.loss.item() - loss).abs() < 1e-9, "{} {loss}", elbo.loss.item());
        assert!((t.total - (t.log_likelihood - t.kl)).abs() < 1e-9 && t.kl > 0.);
        t
    };
    // 40,000 draws: the KL's spread over draws is about √(D/2) = 4 nats, the likelihood's less than
    // 50.
    let (local, plain) = (of(true, 40_000), of(false, 40_000));
    assert!((local.kl - plain.kl).abs() < 4. * 4. / 200., "{} {}", local.kl, plain.kl);
    let off = (local.log_likelihood - plain.log_likelihood).abs();
    assert!(off < 4. * 50. * 2_f64.sqrt() / 200., "{off}");
}

#[test]
fn targets_report_their_length() {
    for (n, y) in [(0, Targets::<f64>::Classes(vec![])), (2, Targets::Values(vec![1., 2.]))] {
        assert_eq!((y.len(), y.is_empty()), (n, n == 0));
    }
}

/// The members of an ensemble are independent: each has the gradient that it would have alone,
/// divided by `M`.
#[test]
fn ensemble_members_have_independent_gradients() {
    let net = AllWeights::new(3, &LAYERS);
    let points: Vec<Vec<f64>> = (0..2).map(|m| randn(&[31], m).into_iter().collect()).collect();
    let y = Targets::Classes(vec![0, 2, 1, 1, 0]);
    let gradient = |points: &[Vec<f64>]| -> Tensor<f64> {
        let mut params = Params::default();
        let posterior = Box::new(Ensemble::new(&mut params, "q", points));
        let likelihood = bhn::bayes::Likelihood::Categorical { clip: None };
        let (prior, noise) = (Prior::default(), Noise::Shared);
        let primary = Box::new(net.clone());
        let model = Model {
            params,
            primary,
            posterior,
            prior,
            point_prior: PointPrior::default(),
            likelihood,
            noise,
            gradient: Estimator::Total,
            precision: Precision::F32,
        };
        let tape = Tape::default();
        let p = model.params.bind(&tape);
        let scale = Scale { data: 5, batch: 5, beta: 1. };
        let x = tape.constant(randn(&[5, 3], 9));
        let pass = model.pass(&p, x, &y, points.len(), scale, &mut rng(0));
        let grads = p.gradients(pass.elbo.loss.backward());
        grads[0].as_ref().unwrap().dense().unwrap().clone()
    };
    let both = gradient(&points);
    for (m, point) in points.iter().enumerate() {
        let alone = gradient(std::slice::from_ref(point));
        let own = both.index_axis(ndarray::Axis(0), m);
        assert!(own.iter().zip(&alone).all(|(a, b)| (2. * a - b).abs() < 1e-12));
    }
}

/// Samples of a long `θ` are evaluated in groups, with the same predictions.
#[test]
fn grouped_samples_give_same_predictions() {
    let mut config = Config { method: MethodKind::Bbb, ..Config::default() };
    config.primary.layers = Some(Layer::mlp(&[600, 600], 3));
    config.mean_field.log_std = -2.;
    let model = config.build::<f32>(300, &task());
    let draws = |n| bhn::predict::draw(&model, n, &mut rng(1)).0;
    let theta = draws(7);
    assert!(theta.len() > 1 << 21, "one group");
    let x = randn(&[20, 300], 2).mapv(|x| x as f32).into_dimensionality().unwrap();
    let bhn::predict::Predictive::Classes { p: all, .. } =
        bhn::predict::predict(&model, &theta, x.view())
    else {
        panic!("classes")
    };
    let mut mean = ndarray::Array2::<f32>::zeros((20, 3));
    for s in 0..7 {
        let one = theta.slice_axis(ndarray::Axis(0), (s..s + 1).into()).to_shared().into();
        let bhn::predict::Predictive::Classes { p, .. } =
            bhn::predict::predict(&model, &one, x.view())
        else {
            panic!("classes")
        };
        mean = mean + p / 7.;
    }
    assert!((all - mean).iter().all(|e| e.abs() < 1e-6));
}
