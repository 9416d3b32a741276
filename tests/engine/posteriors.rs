//! Defends: every method is what it says it is. Whole losses have right gradients; the networks
//! compute what formed weights would; noise has the distribution that the formulas give it.
use bhn::autodiff::gradcheck::{Verdict, gradcheck, randn};
use bhn::autodiff::{Tape, Tensor};
use bhn::bayes::{
    Dropout, Ensemble, FlowKind, MeanField, Model, Noise, Posterior, Prior, Rates, Scale, Targets,
};
use bhn::data::Task;
use bhn::nn::{BoundParams, Params};
use bhn::primary::{AllWeights, Layer, PrimaryNet, Shape, WeightNormed};
use bhn::run::config::{Config, Method, MethodKind};
use rand::{SeedableRng, rngs::ChaCha8Rng};
use rstest::rstest;

const LAYERS: [Layer; 3] = [Layer::Dense(4), Layer::Tanh, Layer::Dense(3)];

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn task() -> Task {
    Task::Classification { classes: ["a", "b", "c"].map(String::from).to_vec() }
}

/// The model of a method on 3 inputs, its parameters of order one and smooth in them.
fn model(method: MethodKind, change: impl Fn(&mut Config)) -> Model<f64> {
    model_on(Shape::Flat(3), LAYERS.to_vec(), method, change)
}

/// The same on images [2, 5, 4], with every layer there is for them.
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
    config.ensemble.members = 2;
    change(&mut config);
    let mut model = config.build::<f64>(inputs, &task());
    for ((_, w), seed) in model.params.iter_mut().zip(50..) {
        *w = (&*w + randn(w.shape(), seed) * 0.3).into();
    }
    model
}

/// The whole loss of each method, all parameters at once, at fixed noise.
#[rstest]
#[case::full_bhn(model(MethodKind::FullBhn, |_| ()))]
#[case::iaf(model(MethodKind::Bhn, |c| c.flow.kind = FlowKind::Iaf))]
#[case::linear(model(MethodKind::FullBhn, |c| c.flow.kind = FlowKind::Linear))]
#[case::planar(model(MethodKind::Bhn, |c| c.flow.kind = FlowKind::Planar))]
#[case::plain(model(MethodKind::Bhn, |c| c.flow.weight_norm = false))]
#[case::mle(model(MethodKind::Mle, |_| ()))]
#[case::dropout(model(MethodKind::Dropout, |_| ()))]
#[case::mc_dropout(model(MethodKind::McDropout, |c| c.train.noise = Some(Noise::Shared)))]
#[case::concrete_dropout(model(MethodKind::ConcreteDropout, |_| ()))]
#[case::bbb(model(MethodKind::Bbb, |c| c.mean_field.local = false))]
#[case::bbb_local(model(MethodKind::Bbb, |c| c.prior = Prior::Gaussian { precision: 2. }))]
#[case::bbb_with_another_prior(model(MethodKind::Bbb, |c| c.prior = Prior::Laplace { scale: 0.7 }))]
#[case::ensemble(model(MethodKind::Ensemble, |_| ()))]
#[case::noise_per_example(model(MethodKind::Bhn, |c| c.train.noise = Some(Noise::PerExample)))]
fn gradients_of_the_whole_loss(#[case] model: Model<f64>) {
    gradients(&model, 5, 3);
}

#[rstest]
#[case::bhn(model_of_images(MethodKind::Bhn, |_| ()))]
#[case::full_bhn(model_of_images(MethodKind::FullBhn, |c| c.flow.couplings = 0))]
#[case::noise_per_example(model_of_images(MethodKind::Bhn, |c| c.train.noise = Some(Noise::PerExample)))]
#[case::mle(model_of_images(MethodKind::Mle, |_| ()))]
#[case::mc_dropout(model_of_images(MethodKind::McDropout, |_| ()))]
#[case::channel_dropout(model_of_images(MethodKind::McDropout, |c| {
    let layers = c.primary.layers.as_mut().unwrap();
    layers.retain(|layer| !matches!(layer, Layer::Dropout(_)));
    layers.insert(2, Layer::ChannelDropout(0.4));
    layers.splice(7.., [Layer::GlobalPool, Layer::Dense(3)]);
}))]
#[case::bbb(model_of_images(MethodKind::Bbb, |_| ()))]
fn gradients_of_the_whole_loss_on_images(#[case] model: Model<f64>) {
    gradients(&model, 2, 40);
}

/// Noise at each position of its own would be another bound: convolutions have their weights drawn.
#[test]
fn local_reparametrisation_stops_at_convolutions() {
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
    let check = |seed| {
        gradcheck(&inputs, |vars| {
            let p = BoundParams::from_vars(vars.to_vec());
            let x = vars[0].tape().constant(randn(&[batch, width], seed));
            let scale = Scale { data: 20, batch, beta: 0.7 };
            model.pass(&p, x, &y, 2, scale, &mut rng(9)).elbo.loss
        })
    };
    let smooth = |r: &bhn::autodiff::gradcheck::Report| {
        !r.0.iter().any(|v| matches!(v, Verdict::NotCheckable { .. }))
    };
    (3..20).map(check).find(smooth).expect("a smooth point").assert();
}

/// The bound's scale, for every method with a KL: over the minibatches of an epoch, the last one ragged,
/// estimates weighted by |B|/N average to the full-batch value. Noise that differs by the batch is
/// switched off by a narrow posterior.
#[rstest]
#[case(MethodKind::FullBhn)]
#[case(MethodKind::Bbb)]
fn minibatches_average_to_the_full_batch(#[case] method: MethodKind) {
    let (model, n) = (model(method, |c| c.mean_field.local = false), 10);
    let (x, y) = (randn(&[n, 3], 3), Targets::Classes((0..n).map(|i| i * i % 3).collect()));
    let at = |rows: std::ops::Range<usize>| {
        let tape = Tape::default();
        let p = model.params.bind(&tape);
        let part = x.slice_axis(ndarray::Axis(0), rows.clone().into()).to_owned();
        let y = y.select(&rows.clone().collect::<Vec<_>>());
        let scale = Scale { data: n, batch: rows.len(), beta: 1. };
        model.pass(&p, tape.constant(part), &y, 3, scale, &mut rng(7)).elbo.terms.total
    };
    let (full, parts) = (at(0..n), [0..4, 4..8, 8..10]);
    let mean: f64 = parts.map(|rows| rows.len() as f64 / n as f64 * at(rows)).iter().sum();
    assert!((mean - full).abs() < 1e-10 * full.abs(), "{mean} {full}");
}

/// `S` networks at once equal `S` networks one by one.
#[test]
fn a_network_of_given_weights_is_that_network() {
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

/// A convolution whose scales multiply after the product is one whose weights were formed before, for
/// every sample and whether or not examples have noise of their own.
#[rstest]
#[case("conv 3 3x2,relu,pool 2,flatten,dense 4,tanh,dense 2")]
#[case("pool 2,conv 3 2x2,tanh,global-pool,dense 2")]
#[case("tanh,avg-pool 2 stride 1,flatten,dense 2")]
#[case("flatten,dense 2")]
fn a_network_of_scales_is_one_of_the_weights_they_make(#[case] words: &str) {
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

/// Examples with noise of their own that happens to be the same are a batch that shares it.
#[test]
fn noise_per_example_is_noise() {
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

/// `KL(N(m, s²) ‖ N(0, 1/λ))` by hand: m = 1, s = 2, λ = 3 gives ½ (3·5 − 1 − ln 12).
#[test]
fn the_kl_of_normals_by_hand() {
    let mut params = Params::<f64>::default();
    let q = MeanField::new(&mut params, "q", &[1.], 2_f64.ln(), true);
    let tape = Tape::default();
    let normals = Posterior::normals(&q, &params.bind(&tape)).expect("local");
    let kl = |prior: Prior| prior.kl_of_normals(&normals).map(|kl| kl.item());
    let found = kl(Prior::Gaussian { precision: 3. }).unwrap();
    assert!((found - 0.5 * (14. - 12_f64.ln())).abs() < 1e-12);
    assert_eq!(kl(Prior::Laplace { scale: 1. }), None);
}

/// One layer under local and plain reparametrisation: the same mean and variance of every output, those
/// of the formula, within four standard errors.
#[rstest]
#[case(true)]
#[case(false)]
fn both_reparametrisations_have_the_same_outputs(#[case] local: bool) {
    let samples = 20_000;
    let net = AllWeights::new(3, &[Layer::Dense(2)]);
    let mut params = Params::<f64>::default();
    let means: Vec<_> = randn(&[8], 1).into_iter().collect();
    let q = MeanField::new(&mut params, "q", &means, -1., local);
    let tape = Tape::default();
    let (p, x) = (params.freeze(&tape), tape.constant(randn(&[4, 3], 2)));
    let outputs = match Posterior::<f64>::normals(&q, &p) {
        Some(n) => net.forward_normal([n.mean, n.std], x, samples, &mut rng(3)).unwrap(),
        None => net.forward(&p, q.draw(&p, &tape, samples, &mut rng(3)).theta, x),
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

#[test]
fn masks_have_their_rates_and_means() {
    let (d, samples, rate) = (50, 2_000, 0.3);
    let mut params = Params::<f64>::default();
    let q = Dropout::new(&mut params, "q", &vec![5.; d], &[(10..50, rate)], Rates::Fixed, false);
    let tape = Tape::default();
    let theta = q.draw(&params.bind(&tape), &tape, samples, &mut rng(1)).theta.value();
    let (scales, masks) = theta.view().split_at(ndarray::Axis(1), 10);
    assert!(scales.iter().all(|&scale| scale == 5.));
    let dropped = masks.iter().filter(|&&mask| mask == 0.).count() as f64;
    let n = masks.len() as f64;
    assert!((dropped / n - rate).abs() < 4. * (rate * (1. - rate) / n).sqrt(), "{}", dropped / n);
    assert!(masks.iter().all(|&mask| mask == 0. || (mask - 1. / 0.7).abs() < 1e-12));
}

/// A concrete mask is near 0 or `1/(1 − p)`, the first with probability `p`; its penalty by hand.
#[test]
fn concrete_masks_learn_their_rates() {
    let (samples, rate, precision) = (20_000, 0.2, 3.);
    let mut params = Params::<f64>::default();
    let rates = Rates::Learned { precision };
    let q = Dropout::new(&mut params, "q", &[1., 1., 2., -1.], &[(0..2, rate)], rates, false);
    let tape = Tape::default();
    let draw = q.draw(&params.bind(&tape), &tape, samples, &mut rng(1));
    let masks = draw.theta.slice(1, 0..2).value();
    let n = masks.len() as f64;
    // P(mask below a half of its top) = P(ln u/(1−u) > −ln p/(1−p)) = p exactly.
    let dropped = masks.iter().filter(|&&mask| mask < 0.5 / 0.8).count() as f64 / n;
    assert!((dropped - rate).abs() < 4. * (rate * 0.8 / n).sqrt(), "{dropped}");
    // How many are between a tenth and nine tenths of their top is the temperature's doing: of the logistic
    // noise L there is P(−ln 9 < (L + ln 4)/… < ln 9) with the temperature t = 0.1 as P(|L − ln 4| < t ln 9).
    let share = |l: f64| 1. / (1. + (-l).exp());
    let (centre, half) = (4_f64.ln(), 0.1 * 9_f64.ln());
    let between = share(centre + half) - share(centre - half);
    let found = masks.iter().filter(|&&mask| (0.1..0.9).contains(&(0.8 * mask))).count() as f64 / n;
    assert!((found - between).abs() < 4. * (between / n).sqrt(), "{found} for {between}");
    let entropy = -(rate * rate.ln() + 0.8 * 0.8_f64.ln());
    let expected = precision / 2. * 5. / 0.8 - 2. * entropy;
    assert!((draw.kl.unwrap().item() - expected).abs() < 1e-12);
}

/// Each mask acts on the scales up to the next, and the penalty adds up.
#[test]
fn every_concrete_mask_has_scales_of_its_own() {
    let kl = |masks: &[(std::ops::Range<usize>, f64)], point: &[f64]| {
        let mut params = Params::<f64>::default();
        let rates = Rates::Learned { precision: 3. };
        let q = Dropout::new(&mut params, "q", point, masks, rates, false);
        let tape = Tape::default();
        q.draw(&params.bind(&tape), &tape, 1, &mut rng(1)).kl.unwrap().item()
    };
    let (first, second) = ([7., 7., 1., 2.], [9., 3., 4., 5.]);
    let one = kl(&[(1..2, 0.2)], &first) + kl(&[(0..1, 0.4)], &second);
    let both = kl(&[(1..2, 0.2), (4..5, 0.4)], &[first, second].concat());
    assert!((one - both).abs() < 1e-12, "{one} {both}");
}

/// To predict, dropout takes masks of 1; MC dropout draws them.
#[rstest]
#[case(true)]
#[case(false)]
fn dropout_predicts_without_masks(#[case] scaled: bool) {
    let mut params = Params::<f64>::default();
    let q = Dropout::new(&mut params, "q", &[5.; 40], &[(10..30, 0.5)], Rates::Fixed, scaled);
    let tape = Tape::default();
    let theta = q.predictive(&params.bind(&tape), &tape, 3, &mut rng(1)).theta.value();
    let masks = theta.slice(ndarray::s![.., 10..30]);
    assert_eq!(masks.iter().all(|&mask| mask == 1.), scaled);
    assert_eq!(masks.iter().any(|&mask| mask == 0.), !scaled);
    assert_eq!(theta.iter().filter(|&&x| x == 5.).count(), 3 * 20);
}

/// Sample `s` of an ensemble is member `s mod M`, and to move it moves all.
#[test]
fn samples_of_an_ensemble_are_its_members() {
    let mut params = Params::<f64>::default();
    let q = Ensemble::new(&mut params, "q", &[vec![1., 2.], vec![3., 4.], vec![5., 6.]]);
    let draw = |params: &Params<f64>, n| {
        let tape = Tape::default();
        q.draw(&params.bind(&tape), &tape, n, &mut rng(1))
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

/// What has a density says so, the one it draws from; what comes through a flow shows it.
#[rstest]
#[case(MethodKind::Mle, false, false)]
#[case(MethodKind::McDropout, false, false)]
#[case(MethodKind::Ensemble, false, false)]
#[case(MethodKind::Bbb, true, false)]
#[case(MethodKind::Bhn, true, true)]
#[case(MethodKind::FullBhn, true, true)]
fn densities_are_those_of_the_draws(
    #[case] method: MethodKind,
    #[case] dense: bool,
    #[case] flows: bool,
) {
    let model = model(method, |c| c.mean_field.log_std = -1.);
    let tape = Tape::default();
    let p = model.params.bind(&tape);
    let draw = model.posterior.draw(&p, &tape, 4, &mut rng(1));
    let density = model.posterior.density(&p, draw.theta);
    assert_eq!((density.is_some(), model.posterior.flow().is_some()), (dense, flows));
    if let (Some(density), Some(log_q)) = (density, draw.log_q) {
        let off = (density - log_q).abs().value();
        assert!(off.iter().all(|&off| off < 1e-9), "{off}");
    }
    assert_eq!(draw.log_q.is_some(), dense);
}

/// Every posterior can be put around a `θ`: what it is drawn around is that.
#[rstest]
fn posteriors_are_centred(
    #[values(MethodKind::Mle, MethodKind::Dropout, MethodKind::ConcreteDropout, MethodKind::Bbb)]
    method: MethodKind,
) {
    let mut model = model(method, |c| c.mean_field.log_std = -60.);
    let centre: Vec<_> = randn(&[model.primary.dim()], 4).into_iter().collect();
    model.posterior.recentre(&mut model.params, &centre);
    if method == MethodKind::Bbb {
        for (_, w) in model.params.iter_mut().filter(|(name, _)| name.ends_with("log_std")) {
            w.view_mut().fill(-60.);
        }
    }
    let tape = Tape::default();
    let p = model.params.bind(&tape);
    let theta = model.posterior.draw(&p, &tape, 1, &mut rng(1)).theta.value();
    let is_mask = |i: usize| model.primary.masks().iter().any(|(range, _)| range.contains(&i));
    for (i, (found, expected)) in theta.iter().zip(&centre).enumerate() {
        assert!(is_mask(i) || (found - expected).abs() < 1e-12, "{i}: {found} for {expected}");
    }
}

/// The local bound is the plain one, but for its noise: the KL alike in closed form and in the mean of draws, and the
/// loss that of its parts.
#[test]
fn the_local_bound_by_hand() {
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
    // 40,000 draws: the KL's spread over draws is about √(D/2) = 4 nats, the likelihood's less than 50.
    let (local, plain) = (of(true, 40_000), of(false, 40_000));
    assert!((local.kl - plain.kl).abs() < 4. * 4. / 200., "{} {}", local.kl, plain.kl);
    let off = (local.log_likelihood - plain.log_likelihood).abs();
    assert!(off < 4. * 50. * 2_f64.sqrt() / 200., "{off}");
}

/// Of many rows the last 64 count.
#[test]
fn data_dependent_initialisation_takes_the_last_64_rows() {
    let x: ndarray::Array2<f64> = randn(&[100, 3], 5).into_dimensionality().unwrap() * 3. + 1.;
    let fitted = |x: ndarray::ArrayView2<'_, f64>| {
        let mut model = model(MethodKind::Mle, |_| ());
        model.init_from_data(x);
        model
            .params
            .iter()
            .flat_map(|(_, w)| w.iter().copied().collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let all = fitted(x.view());
    assert_eq!(all, fitted(x.slice(ndarray::s![36.., ..])));
    assert_ne!(all, fitted(x.slice(ndarray::s![37.., ..])));
    assert_ne!(all, fitted(x.slice(ndarray::s![..64, ..])));
}

#[test]
fn targets_are_counted() {
    for (n, y) in [(0, Targets::<f64>::Classes(vec![])), (2, Targets::Values(vec![1., 2.]))] {
        assert_eq!((y.len(), y.is_empty()), (n, n == 0));
    }
}

/// An ensemble's members do not feel each other: each has the gradient it would have alone, over `M`.
#[test]
fn members_of_an_ensemble_train_alone() {
    let net = AllWeights::new(3, &LAYERS);
    let points: Vec<Vec<f64>> = (0..2).map(|m| randn(&[31], m).into_iter().collect()).collect();
    let y = Targets::Classes(vec![0, 2, 1, 1, 0]);
    let gradient = |points: &[Vec<f64>]| -> Tensor<f64> {
        let mut params = Params::default();
        let posterior = Box::new(Ensemble::new(&mut params, "q", points));
        let likelihood = bhn::bayes::Likelihood::Categorical { clip: None };
        let (prior, noise) = (Prior::default(), Noise::Shared);
        let primary = Box::new(net.clone());
        let model = Model { params, primary, posterior, prior, likelihood, noise };
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

/// `h(0)` is the centre asked for, through couplings and permutations.
#[rstest]
#[case(MethodKind::Bhn, FlowKind::Realnvp)]
#[case(MethodKind::FullBhn, FlowKind::Realnvp)]
#[case(MethodKind::Bhn, FlowKind::Iaf)]
#[case(MethodKind::Bhn, FlowKind::Linear)]
#[case(MethodKind::Bhn, FlowKind::Planar)]
fn a_hypernet_is_centred_through_its_permutations(
    #[case] method: MethodKind,
    #[case] kind: FlowKind,
) {
    let mut model = model(method, |c| (c.flow.kind, c.flow.couplings) = (kind, 3));
    let d = model.primary.dim();
    let centre: Vec<_> = randn(&[d], 4).into_iter().collect();
    // A narrow posterior is its centre: of the noise, s = e⁻⁶⁰ + 0.001 is left.
    let narrow = if kind == FlowKind::Linear { "linear.3.w" } else { "elementwise.w" };
    for (_, w) in model.params.iter_mut().filter(|(name, _)| name.ends_with(narrow)) {
        w.view_mut().fill(-60.);
    }
    model.posterior.recentre(&mut model.params, &centre);
    let tape = Tape::default();
    let p = model.params.bind(&tape);
    let theta = model.posterior.draw(&p, &tape, 1, &mut rng(1)).theta.value();
    let off = theta.iter().zip(&centre).map(|(a, b)| (a - b).abs()).fold(0., f64::max);
    assert!(off < 0.05, "{off}");
    assert!(centre.iter().any(|x| x.abs() > 1.), "the test would pass at 0");
}

/// After data-dependent initialisation every activation's input has mean 0 and variance 1.
#[test]
fn data_dependent_initialisation_normalises_every_layer() {
    let x = randn(&[40, 3], 5).into_dimensionality().unwrap() * 3. + 1.;
    for depth in 1..=LAYERS.len() {
        let Layer::Dense(units) = LAYERS[depth - 1] else { continue };
        let mut params = Params::<f64>::default();
        let mut config = Config { method: MethodKind::Mle, ..Config::default() };
        config.primary.layers = Some(LAYERS[..depth].to_vec());
        let mut model = config.build::<f64>(3, &task());
        model.init_from_data(x.view());
        std::mem::swap(&mut params, &mut model.params);
        let tape = Tape::default();
        let p = params.bind(&tape);
        let theta = model.posterior.draw(&p, &tape, 1, &mut rng(1)).theta;
        let out = model.primary.forward(&p, theta, tape.constant(x.clone().into_dyn())).value();
        assert_eq!(out.shape(), [1, 40, units]);
        let out = out.index_axis(ndarray::Axis(0), 0);
        for unit in out.columns() {
            assert!(unit.mean().unwrap().abs() < 1e-12 && (unit.var(0.) - 1.).abs() < 1e-12);
        }
    }
}

/// Of a convolution every channel, over its positions.
#[test]
fn data_dependent_initialisation_normalises_every_channel() {
    let x = randn(&[40, 30], 5).into_dimensionality().unwrap() * 3. + 1.;
    let mut config = Config { method: MethodKind::Mle, ..Config::default() };
    config.primary.layers = Some(vec!["conv 3 2x2".parse().unwrap()]);
    let mut model = config.build::<f64>(Shape::Image([1, 6, 5]), &task());
    model.init_from_data(x.view());
    let tape = Tape::default();
    let p = model.params.bind(&tape);
    let theta = model.posterior.draw(&p, &tape, 1, &mut rng(1)).theta;
    let out = model.primary.forward(&p, theta, tape.constant(x.into_dyn())).value();
    assert_eq!(out.shape(), [1, 40, 5, 4, 3]);
    for channel in out.axis_iter(ndarray::Axis(4)) {
        assert!(channel.mean().unwrap().abs() < 1e-12 && (channel.var(0.) - 1.).abs() < 1e-12);
    }
}

/// Long `θ` goes through the network in groups: the same predictions.
#[test]
fn predictions_in_groups_of_samples_are_the_same() {
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
