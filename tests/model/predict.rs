//! Defends: predictions are means over samples and uncertainties are their definitions, for any
//! size of chunks; the bound on a data set is the mean of single samples' bounds.
use bhn::autodiff::gradcheck::randn;
use bhn::autodiff::{Precision, Tape, Tensor, Var};
use bhn::bayes::{Likelihood, Targets, Terms};
use bhn::data::{Preprocess, Split, Task};
use bhn::nn::{BoundParams, Params};
use bhn::predict::evaluate::validate;
use bhn::predict::score::Score;
use bhn::predict::{Mixture, Predictive, bound, chunk, draw, log_prob, logits, predict, terms};
use bhn::primary::{Layer, PrimaryNet, Shape};
use bhn::random::{Purpose, stream};
use bhn::run::config::Config;
use ndarray::{Array2, Array3, ArrayView2, Axis, arr3, s};

const N: usize = 700; // several chunks

/// The preprocessing of targets that were standardised with this mean and unit.
fn units(mean: f64, unit: f64) -> Preprocess {
    Preprocess { inputs: 4, y: Some((mean, unit)), ..Preprocess::default() }
}

fn model(task: &Task) -> bhn::bayes::Model {
    let mut config = Config::default();
    config.primary.layers = Some(Layer::mlp(&[6], task.outputs()));
    config.flow.log_scale = -1.;
    let mut model: bhn::bayes::Model = config.build(4, task);
    scale_up(&mut model.params);
    model
}

/// Parameters of order one, so that samples disagree.
fn scale_up(params: &mut Params) {
    for ((_, w), seed) in params.iter_mut().zip(70..) {
        let noise = randn(w.shape(), seed).mapv(|x| 0.3 * x as f32);
        *w = (&*w + &noise).into();
    }
}

fn classification() -> Task {
    Task::Classification { classes: ["a", "b", "c"].map(String::from).to_vec() }
}

fn inputs() -> Array2<f32> {
    randn(&[N, 4], 1).mapv(|x| x as f32).into_dimensionality().unwrap()
}

/// `f(xₙ, θ_s)` one sample and one input at a time.
fn outputs(model: &bhn::bayes::Model, theta: &Tensor<f32>, s: usize, n: usize) -> Vec<f64> {
    let tape = Tape::default();
    let row = theta.slice_axis(Axis(0), (s..s + 1).into()).to_owned();
    let x = inputs().slice_axis(Axis(0), (n..n + 1).into()).to_owned().into_dyn();
    let p = model.params.freeze(&tape);
    let y = model.primary.forward(&p, tape.constant(row), tape.constant(x)).value();
    y.iter().map(|&y| y.into()).collect()
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let sum: f64 = x.iter().map(|x| x.exp()).sum();
    x.iter().map(|x| x.exp() / sum).collect()
}

fn entropy(p: &[f64]) -> f64 {
    -p.iter().map(|p| p * p.ln()).sum::<f64>()
}

#[test]
fn class_predictions_match_definitions() {
    let model = model(&classification());
    let (theta, _) = draw(&model, 8, &mut stream(0, Purpose::Sample, 0));
    let found = predict(&model, &theta, inputs().view());
    let Predictive::Classes { p, entropy: h, bald, mean_std, variation_ratio } = found else {
        panic!("classes")
    };
    assert_eq!(p.dim(), (N, 3));
    for n in [0, 255, 256, 511, 699] {
        let each: Vec<_> = (0..8).map(|s| softmax(&outputs(&model, &theta, s, n))).collect();
        let mean: Vec<f64> = (0..3).map(|c| each.iter().map(|p| p[c]).sum::<f64>() / 8.).collect();
        let std =
            |c: usize| (each.iter().map(|p| (p[c] - mean[c]).powi(2)).sum::<f64>() / 8.).sqrt();
        let disagreement = entropy(&mean) - each.iter().map(|p| entropy(p)).sum::<f64>() / 8.;
        let close = |found: f32, expected: f64| {
            // Sums of a dozen f32 numbers of order one.
            assert!((f64::from(found) - expected).abs() < 3e-6, "{found} {expected} at {n}");
        };
        (0..3).for_each(|c| close(p[[n, c]], mean[c]));
        close(h[n], entropy(&mean));
        close(bald[n], disagreement);
        close(mean_std[n], (std(0) + std(1) + std(2)) / 3.);
        let votes = |c| each.iter().filter(|p| (0..3).all(|k| p[k] <= p[c])).count();
        let outvoted = 8 - votes(0).max(votes(1)).max(votes(2));
        assert_eq!(variation_ratio[n], outvoted as f32 / 8.);
        assert!(bald[n] > 1e-4, "samples disagree, so a wrong sign would show");
    }
    assert!(bald.iter().all(|&b| b >= 0.));
    assert!(variation_ratio.iter().any(|&v| v > 0.), "some vote for another class");
}

#[test]
fn regression_predictions_match_definitions() {
    let mut model = model(&Task::Regression);
    model.likelihood = Likelihood::Gaussian { precision: 4. };
    let (theta, _) = draw(&model, 8, &mut stream(0, Purpose::Sample, 0));
    let found = predict(&model, &theta, inputs().view());
    let Predictive::Values { mean, std, spread, .. } = found else { panic!("values") };
    for n in [0, 300, 699] {
        let each: Vec<_> = (0..8).map(|s| outputs(&model, &theta, s, n)[0]).collect();
        let m = each.iter().sum::<f64>() / 8.;
        let variance = each.iter().map(|f| (f - m).powi(2)).sum::<f64>() / 8.;
        assert!((mean[n] - m).abs() < 3e-6);
        assert!((spread[n] - variance.sqrt()).abs() < 3e-6);
        assert!((std[n] - (variance + 0.25).sqrt()).abs() < 3e-6);
    }
}

/// Predictions in blocks of whole chunks are bitwise identical to those of one call. Other blocks
/// need not be: a product with few rows uses another algorithm.
#[test]
fn predictions_in_blocks_are_bitwise_equal() {
    let model = model(&classification());
    for samples in [5, 8, 100, 3000] {
        let (theta, _) = draw(&model, samples, &mut stream(0, Purpose::Sample, 0));
        let bits = |x: ArrayView2<f32>| -> Vec<Vec<u32>> {
            let Predictive::Classes { p, entropy, bald, mean_std, variation_ratio } =
                predict(&model, &theta, x)
            else {
                panic!("classes")
            };
            let uncertain = |i| [&entropy[i], &bald[i], &mean_std[i], &variation_ratio[i]];
            let row = |i: usize| p.row(i).into_iter().chain(uncertain(i));
            (0..p.nrows()).map(|i| row(i).map(|x: &f32| x.to_bits()).collect()).collect()
        };
        let x = inputs().slice_move(s![..N.min(40_000 / samples), ..]);
        for block in [1, 7].map(|n| n * chunk(&model, samples)) {
            let blocks = x.axis_chunks_iter(Axis(0), block);
            assert_eq!(blocks.flat_map(bits).collect::<Vec<_>>(), bits(x.view()));
        }
    }
}

/// Wide images are evaluated one at a time, for some samples at a time, on more threads than there
/// are weights to pack. The predictions are those of one evaluation of all together.
#[test]
fn grouped_samples_on_wide_images_give_same_predictions() {
    let mut config = Config::default();
    let words = "conv 64 1x1,relu,pool 4,conv 3 1x1,global-pool,dense 3";
    config.primary.layers = Some(words.split(',').map(|word| word.parse().unwrap()).collect());
    config.flow.log_scale = -1.;
    let mut model: bhn::bayes::Model = config.build(Shape::Image([1, 64, 64]), &classification());
    scale_up(&mut model.params);
    let x: Array2<f32> = randn(&[12, 4096], 1).mapv(|x| x as f32).into_dimensionality().unwrap();
    let (theta, _) = draw(&model, 20, &mut stream(0, Purpose::Sample, 0));
    assert_eq!(chunk(&model, 20), 1);
    let found = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        match pool.install(|| predict(&model, &theta, x.view())) {
            Predictive::Classes { p, .. } => p,
            Predictive::Values { .. } => panic!("classes"),
        }
    };
    let one = found(1);
    (0..5).for_each(|_| assert!(found(4) == one));
    let tape = Tape::default();
    let [inputs, all] = [x.clone().into(), theta.clone()].map(|x| tape.constant(x));
    let outputs = model.primary.forward(&model.params.freeze(&tape), all, inputs);
    let mean = outputs.log_softmax().exp().mean_axis(0).value();
    assert!(one.iter().zip(&mean).all(|(p, q)| (p - q).abs() < 1e-5));
    assert!(one.iter().any(|&p| p > 0.4), "a uniform prediction says nothing");
}

/// Test scores and the bound do not clip probabilities as the paper's loss does.
#[test]
fn log_prob_ignores_likelihood_clipping() {
    let mut model = model(&classification());
    let (theta, _) = draw(&model, 3, &mut stream(0, Purpose::Sample, 0));
    let labels: Vec<_> = (0..N).map(|n| n % 3).collect();
    let data = Split { x: inputs(), y: Targets::Classes(labels.clone()) };
    let exact = log_prob(&model, &theta, &data);
    assert_eq!(exact.dim(), (3, N));
    for (s, n) in [(0, 0), (1, 640), (2, 699)] {
        let expected = softmax(&outputs(&model, &theta, s, n))[labels[n]].ln();
        assert!((f64::from(exact[[s, n]]) - expected).abs() < 1e-5 * expected.abs().max(1.));
    }
    model.likelihood = Likelihood::Categorical { clip: Some(0.3) };
    assert_eq!(log_prob(&model, &theta, &data), exact);
}

#[test]
fn bound_is_mean_over_samples() {
    let model = model(&classification());
    let (theta, log_q) = draw(&model, 5, &mut stream(0, Purpose::Sample, 0));
    let labels: Vec<_> = (0..N).map(|n| n % 3).collect();
    let data = Split { x: inputs(), y: Targets::Classes(labels) };
    let one = |s: usize| -> Terms {
        let part = |x: &Tensor<f32>| x.slice_axis(Axis(0), (s..s + 1).into()).to_shared().into();
        bound(&terms(&model, &part(&theta), log_q.as_ref().map(part).as_ref(), &data)).0
    };
    let each: Vec<_> = (0..5).map(one).collect();
    let (found, error) = bound(&terms(&model, &theta, log_q.as_ref(), &data));
    let mean = each.iter().map(|t| t.total).sum::<f64>() / 5.;
    let variance = each.iter().map(|t| (t.total - mean).powi(2)).sum::<f64>() / 4.;
    assert!((found.total - mean).abs() < 1e-9 * mean.abs());
    assert!((error - (variance / 5.).sqrt()).abs() < 1e-9 * error);
    assert!((found.total - (found.log_likelihood + found.log_prior - found.log_q)).abs() < 1e-9);
    let log_q = log_q.unwrap().iter().map(|&q| f64::from(q)).sum::<f64>() / 5.;
    assert!((found.log_q - log_q).abs() < 1e-9 * log_q.abs());
    // A point has a log-likelihood and no KL.
    assert_eq!(bound(&terms(&model, &theta, None, &data)).0.kl, 0.);
}

#[test]
fn in_units_shifts_only_the_mean() {
    let found: Predictive = Mixture::new(arr3(&[[[0.5]], [[1.5]]]).view(), Some(4.)).into();
    let Predictive::Values { mean, std, spread, mixture } = found.in_units(&units(5., 2.)) else {
        panic!("values")
    };
    assert_eq!((mean, std, spread), (vec![7.], vec![2. * 0.5_f64.sqrt()], vec![1.]));
    assert!((mixture.quantiles(&[0.5])[[0, 0]] - 7.).abs() < 1e-6);
}

/// `ln p(y) = ln p((y − m)/u) − ln u`.
#[test]
fn validation_scores_are_in_target_units() {
    let model = model(&Task::Regression);
    let y = randn(&[N], 2).iter().map(|&y| y as f32).collect();
    let data = Split { x: inputs(), y: Targets::Values(y) };
    let of = |preprocess| validate(&model, &data, &preprocess, 3, (0, 1));
    let (own, other) = (of(units(0., 1.)), of(units(5., 2.)));
    assert!((other.nll - own.nll - 2_f64.ln()).abs() < 1e-12);
    assert!((other.rmse.unwrap() - 2. * own.rmse.unwrap()).abs() < 1e-12);
}

/// Outputs and probabilities of the data are the same whether weights are packed once for all
/// chunks or not at all, and whether norms are computed once or each time.
#[test]
fn cached_parameters_give_same_predictions() {
    for task in [classification(), Task::Regression] {
        let mut config = Config::default();
        config.primary.layers = Some(Layer::mlp(&[150, 40], task.outputs()));
        let mut model: bhn::bayes::Model = config.build(4, &task);
        scale_up(&mut model.params);
        let (theta, _) = draw(&model, 6, &mut stream(0, Purpose::Sample, 0));
        let y = match task {
            Task::Regression => Targets::Values(vec![0.5; N]),
            _ => Targets::Classes((0..N).map(|n| n % 3).collect()),
        };
        let data = Split { x: inputs(), y };
        if let Likelihood::Categorical { clip } = &mut model.likelihood {
            *clip = None;
        }
        let tape = Tape::default();
        let p = model.params.freeze(&tape);
        let x = tape.constant(inputs().into_dyn());
        let outputs = model.primary.forward(&p, tape.constant(theta.clone()), x);
        let close = |found: f32, expected: f32| {
            // Sums of 150 products of f32, in any order.
            assert!(
                (found - expected).abs() <= 2e-5 * expected.abs().max(1.),
                "{found} {expected}"
            );
        };
        let plain = model.likelihood.log_prob(&p, outputs, &data.y).value();
        log_prob(&model, &theta, &data).iter().zip(&plain).for_each(|(&x, &y)| close(x, y));
        match predict(&model, &theta, data.x.view()) {
            Predictive::Classes { p, .. } => {
                let plain = outputs.log_softmax().exp().mean_axis(0).value();
                p.iter().zip(&plain).for_each(|(&x, &y)| close(x, y));
            }
            Predictive::Values { mean, .. } => {
                let plain = outputs.mean_axis(0).value();
                mean.iter().zip(&plain).for_each(|(&x, &y)| close(x as f32, y));
            }
        }
    }
}

/// A network whose outputs are `θ`, whatever its inputs are.
struct Constant(usize);

impl PrimaryNet<f32> for Constant {
    fn dim(&self) -> usize {
        self.0
    }

    fn widest(&self) -> usize {
        1
    }

    fn parts(&self) -> Vec<(String, usize)> {
        vec![]
    }

    fn forward<'t>(&self, _: &BoundParams<'t>, theta: Var<'t>, x: Var<'t>) -> Var<'t> {
        let s = theta.shape()[0];
        theta.reshape(&[s, 1, self.0]).broadcast_to(&[s, x.shape()[0], self.0])
    }
}

/// `H = −Σ p ln p` and its mean over samples in `f64`, for probabilities that vanish too.
#[test]
fn entropies_are_accurate_for_extreme_logits() {
    const BIG: f32 = 1e4;
    let sure = |c: usize| [0, 1, 2, 3].map(|k| if k == c { BIG } else { -BIG });
    let cases = [
        [sure(0), sure(0), sure(0)],
        [sure(0), sure(2), sure(3)],
        [[BIG; 4], [-BIG; 4], [0.; 4]],
        [[BIG, BIG, -BIG, -BIG], [-BIG, -BIG, BIG, BIG], [0., -BIG, 0., BIG]],
        [[0., -20., -90., 5.], [1., 2., 3., 4.], [0.1, 0., -0.1, -103.]],
    ];
    let mut model = model(&classification());
    model.primary = Box::new(Constant(4));
    for logits in cases {
        let theta = Tensor::from_shape_vec(vec![3, 4], logits.concat()).unwrap();
        let found = predict(&model, &theta, inputs().slice(s![..2, ..]));
        let Predictive::Classes { entropy: h, bald, variation_ratio, .. } = found else {
            panic!("classes")
        };
        // If logits are equal, the vote is for the first class.
        let vote = |x: &[f32; 4]| (1..4).fold(0, |best, c| if x[c] > x[best] { c } else { best });
        let votes = logits.each_ref().map(vote);
        let most = votes.iter().map(|v| votes.iter().filter(|w| *w == v).count()).max().unwrap();
        assert_eq!(variation_ratio[1], (3 - most) as f32 / 3.);
        let each = logits.map(|x| {
            let max = f64::from(x.into_iter().fold(f32::MIN, f32::max));
            softmax(&x.map(|x| f64::from(x) - max))
        });
        let nats = |p: &[f64]| -p.iter().filter(|p| **p > 0.).map(|p| p * p.ln()).sum::<f64>();
        let mean: Vec<_> = (0..4).map(|c| each.iter().map(|p| p[c]).sum::<f64>() / 3.).collect();
        let disagreement = nats(&mean) - each.iter().map(|p| nats(p)).sum::<f64>() / 3.;
        for (found, expected) in [(h[1], nats(&mean)), (bald[1], disagreement)] {
            // Four probabilities in f32.
            assert!(
                (f64::from(found) - expected).abs() < 1e-6,
                "{found} {expected} for {logits:?}"
            );
            assert!(found >= 0.);
        }
    }
}

/// BALD of a hundred samples that are almost certain is as large as their disagreement, however
/// small that is.
#[test]
fn bald_is_accurate_for_nearly_certain_samples() {
    let mut model = model(&classification());
    model.primary = Box::new(Constant(2));
    for size in [8_f32, 12., 16., 20.] {
        let logits: Vec<_> = (0..100).map(|s| size + 0.01 * s as f32).collect();
        let theta =
            Tensor::from_shape_vec(vec![100, 2], logits.iter().flat_map(|&x| [x, 0.]).collect());
        let found = predict(&model, &theta.unwrap(), inputs().slice(s![..1, ..]));
        let Predictive::Classes { bald, mean_std, .. } = found else { panic!("classes") };
        // 1 − p, and −Σ p ln p to its first order.
        let rest: Vec<_> = logits.iter().map(|&x| 1. / (1. + f64::from(x).exp())).collect();
        let mean = rest.iter().sum::<f64>() / 100.;
        let nats = |q: f64| -q * q.ln() - (1. - q) * (-q).ln_1p();
        let expected = nats(mean) - rest.iter().map(|&q| nats(q)).sum::<f64>() / 100.;
        let std = (rest.iter().map(|q| (q - mean).powi(2)).sum::<f64>() / 100.).sqrt();
        for (found, expected) in [(bald[0], expected), (mean_std[0], std)] {
            let error = (f64::from(found) / expected - 1.).abs();
            assert!(error < 1e-3, "{found} for {expected} at {size}");
        }
    }
}

/// Every score is higher for samples that disagree than for samples that are certain, and has the
/// value of its definition.
#[test]
fn every_score_increases_with_uncertainty() {
    let mut model = model(&classification());
    model.primary = Box::new(Constant(2));
    let of = |logits: [[f32; 2]; 3]| {
        let theta = Tensor::from_shape_vec(vec![3, 2], logits.concat()).unwrap();
        let found = predict(&model, &theta, inputs().slice(s![..1, ..]));
        Score::ALL.map(|score| score.of(&found)[0])
    };
    // p_s = (1, 0), (1, 0) and (0, 1): p̄ = (2/3, 1/3), each p_{s,c} has standard deviation √2/3.
    let apart = of([[0., -1e4], [0., -1e4], [-1e4, 0.]]);
    let h = entropy(&[2. / 3., 1. / 3.]);
    for (found, expected) in apart.into_iter().zip([1. / 3., h, h, 2_f64.sqrt() / 3., 1. / 3.]) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }
    assert_eq!(of([[0., -1e4]; 3]), [0.; 5]);
    // Confidences that are 1 in f32 are still distinguished.
    let doubt = |odds: f32| of([[0., odds]; 3])[0];
    assert!(doubt(-30.) > doubt(-31.) && doubt(-31.) > doubt(-90.));
    assert!((doubt(-30.) / (-30_f64).exp() - 1.).abs() < 1e-5);
    let names = Score::ALL.map(Score::name);
    assert_eq!(names, ["max confidence", "entropy", "BALD", "mean STD", "variation ratio (votes)"]);
}

#[test]
#[should_panic(expected = "Score::of: VariationRatio is defined for classes only")]
fn class_score_of_regression_panics() {
    Score::VariationRatio.of(&Mixture::new(arr3(&[[[0.]]]).view(), Some(1.)).into());
}

/// In bfloat16, outputs change in the third digit, and `θ` and `ln q(θ)` not at all.
#[test]
fn bfloat16_rounds_the_network_and_not_the_posterior() {
    let mut config = Config::default();
    config.primary.layers = Some(Layer::mlp(&[150, 40], 3));
    let mut model: bhn::bayes::Model = config.build(4, &classification());
    scale_up(&mut model.params);
    let mut run = |precision| {
        model.precision = precision;
        let (theta, log_q) = draw(&model, 6, &mut stream(0, Purpose::Sample, 0));
        let outputs = logits(&model, &theta, inputs().view());
        (outputs, (theta, log_q.unwrap()))
    };
    let [(single, drawn), (rounded, same)] = [Precision::F32, Precision::Bf16].map(&mut run);
    assert!(drawn == same);
    let norm = |x: &Array3<f32>| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let error = norm(&(&rounded - &single)) / norm(&single);
    // Each of the two factors of three products is rounded by at most 2⁻⁹ of itself.
    assert!((1e-4..6. * 2_f64.powi(-9)).contains(&error), "{error}");
}
