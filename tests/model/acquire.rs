//! Defends: the inputs acquired are those of the acquisition function; active learning acquires
//! each image once, and can be resumed.
#![cfg(feature = "cli")]
use bhn::autodiff::gradcheck::randn;
use bhn::data::{Dataset, Options, Task, load};
use bhn::experiments::active::{Learner, Protocol, area, labels_to, learn};
use bhn::predict::acquire::{Acquisition, Pool, batch_bald};
use bhn::predict::score::Score;
use bhn::predict::{Mixture, Predictive, chunk, draw, predict};
use bhn::primary::Layer;
use bhn::random::{Purpose, stream};
use bhn::run::config::{Config, MethodKind};
use ndarray::{Array2, Array3, Axis, arr3};
use rand::RngExt;
use rstest::rstest;
use std::collections::HashSet;
use std::fs;

fn rng(index: u64) -> rand::rngs::ChaCha8Rng {
    stream(5, Purpose::Pool, index)
}

/// `p [S, N, K]`, samples that disagree.
fn votes(shape: [usize; 3], seed: u64) -> Array3<f64> {
    let mut p: Array3<f64> =
        randn(&shape, seed).mapv(|x| (2. * x).exp()).into_dimensionality().unwrap();
    p.lanes_mut(Axis(2)).into_iter().for_each(|mut row| row /= row.sum());
    p
}

/// `I[y₁ … yₙ; θ]` from its definition: every configuration of labels.
fn information(p: &Array3<f64>, inputs: &[usize]) -> f64 {
    let (samples, _, classes) = p.dim();
    let (mut joint, mut each) = (0., 0.);
    for mut code in 0..classes.pow(inputs.len() as u32) {
        let mut under = vec![1.; samples];
        for &n in inputs {
            let label = code % classes;
            code /= classes;
            under.iter_mut().enumerate().for_each(|(s, q)| *q *= p[[s, n, label]]);
        }
        let mean = under.iter().sum::<f64>() / samples as f64;
        joint -= mean * mean.ln();
        each -= under.iter().map(|q| q * q.ln()).sum::<f64>() / samples as f64;
    }
    joint - each
}

/// Each chosen input has the largest gain of all that are left, computed as a sum over all
/// configurations of labels.
#[test]
fn batch_bald_greedily_maximises_joint_information() {
    let p = votes([5, 9, 3], 1);
    let found = batch_bald(p.view(), 4, &mut rng(0));
    let (mut chosen, mut known) = (vec![], 0.);
    for pick in &found {
        let with = |n: usize| information(&p, &[&chosen[..], &[n]].concat());
        let left: Vec<_> = (0..9).filter(|n| !chosen.contains(n)).collect();
        let best = left.into_iter().max_by(|a, b| with(*a).total_cmp(&with(*b))).unwrap();
        assert_eq!(pick.index, best);
        // Some 81 terms of order one, rounded.
        assert!((pick.value.unwrap() - (with(best) - known)).abs() < 1e-12, "{pick:?}");
        known = with(best);
        chosen.push(best);
    }
}

/// At 4⁷ configurations, 4096 of them are sampled instead. The mean over 40 seeds of the
/// information in all eight inputs is within four of its standard errors of the sum over all 4⁸
/// configurations. The estimate from one configuration varies by some 2 nats, so the standard error
/// is about 2/√(40 · 4096) = 0.005.
#[test]
fn batch_bald_estimate_is_unbiased() {
    let p = votes([4, 8, 4], 2);
    let exact = information(&p, &[0, 1, 2, 3, 4, 5, 6, 7]);
    let total = |seed| -> f64 {
        batch_bald(p.view(), 8, &mut rng(seed)).iter().map(|pick| pick.value.unwrap()).sum()
    };
    let totals: Vec<_> = (0..40).map(total).collect();
    let mean = totals.iter().sum::<f64>() / 40.;
    let error = (totals.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / 39. / 40.).sqrt();
    assert!((mean - exact).abs() < 4. * error, "{mean} ± {error}, and {exact}");
    assert!(error > 0. && error < 1e-2, "the seventh is drawn, and well: {error}");
}

/// Forty gains, most of them estimates: none is negative and their sum is at most `ln 20`, the
/// entropy of 20 samples. The inputs are ten copies of each of six, so that the copies chosen late
/// add almost nothing.
#[test]
fn batch_bald_gains_are_bounded_by_sample_entropy() {
    for seed in 0..20 {
        let few = votes([20, 6, 10], seed);
        let p = Array3::from_shape_fn([20, 60, 10], |(s, n, c)| few[[s, n % 6, c]]);
        let found = batch_bald(p.view(), 40, &mut rng(seed));
        let values: Vec<_> = found.iter().map(|pick| pick.value.unwrap()).collect();
        assert!(values.iter().all(|v| v.is_sign_positive()), "{values:?}");
        let total: f64 = values.iter().sum();
        // Forty sums, each rounded.
        assert!(total < 20_f64.ln() + 1e-14, "{total} {values:?}");
        assert!(total > 0.95 * 20_f64.ln() && values[39] < 0.02, "{total} {values:?}");
        let distinct: HashSet<_> = found.iter().map(|pick| pick.index).collect();
        assert_eq!(distinct.len(), 40);
    }
}

/// Gains of three copies of each of three inputs are compared with a sum over all 3⁹
/// configurations. These are more than are enumerated, so the last gain is an estimate, within four
/// standard errors. BALD under one configuration is between 0 and about 0.3 nats, so the mean over
/// 4096 has a standard error below 0.15/64 = 0.0024.
#[test]
fn batch_bald_gains_match_exact_information() {
    let few = votes([6, 3, 3], 7);
    let p = Array3::from_shape_fn([6, 9, 3], |(s, n, c)| few[[s, n % 3, c]]);
    for seed in 0..5 {
        let found = batch_bald(p.view(), 9, &mut rng(seed));
        let chosen: Vec<_> = found.iter().map(|pick| pick.index).collect();
        let mut known = 0.;
        for (n, pick) in found.iter().enumerate() {
            let now = information(&p, &chosen[..=n]);
            let error = (pick.value.unwrap() - (now - known)).abs();
            assert!(error < if n < 8 { 1e-12 } else { 4. * 0.0024 }, "{n}: {error}");
            known = now;
        }
    }
}

/// With one posterior sample all gains are 0, whatever the rounding.
#[test]
fn batch_bald_of_one_sample_is_zero() {
    let p = votes([1, 9, 3], 3);
    let found = batch_bald(p.view(), 9, &mut rng(0));
    for (i, pick) in found.iter().enumerate() {
        assert_eq!((pick.index, pick.value.map(f64::to_bits)), (i, Some(0)));
    }
}

/// Two copies of the most disputed input: BALD takes both, BatchBALD one of them, since the other
/// adds little.
#[test]
fn batch_bald_avoids_duplicate_inputs() {
    // Sixteen samples. Samples agree on the first input. On the second and its copy they form two
    // halves; on the last, two other halves that are less certain.
    let sure = |s: usize, n: usize| match n {
        0 => 0.5,
        1 | 2 => [0.01, 0.99][s % 2],
        _ => [0.1, 0.9][s / 2 % 2],
    };
    let p = Array3::from_shape_fn([16, 4, 2], |(s, n, c)| [sure(s, n), 1. - sure(s, n)][c]);
    let found = batch_bald(p.view(), 4, &mut rng(0));
    assert_eq!(found.iter().map(|pick| pick.index).collect::<Vec<_>>(), [1, 3, 2, 0]);
    // Gains of independent halves add up; the copy adds only what one label leaves uncertain; an
    // input on which samples agree adds nothing.
    let told: Vec<_> = found.iter().map(|pick| pick.value.unwrap()).collect();
    let alone = information(&p, &[3]);
    assert!((told[1] - alone).abs() < 1e-12 && told[2] < 0.1 * told[0] && told[3].abs() < 1e-12);
}

fn model(method: MethodKind, task: &Task) -> (Config, bhn::bayes::Model) {
    let mut config = Config { method, ..Config::default() };
    config.primary.layers = Some(Layer::mlp(&[6], task.outputs()));
    config.flow.log_scale = -1.;
    let model = config.build(4, task);
    (config, model)
}

fn classes() -> Task {
    Task::Classification { classes: ["a", "b", "c"].map(String::from).to_vec() }
}

/// Inputs are in the order of the score, whether they are added in blocks or at once.
#[rstest]
#[case(Acquisition::Bald, Score::Bald)]
#[case(Acquisition::MaxEntropy, Score::Entropy)]
#[case(Acquisition::VariationRatio, Score::VariationRatio)]
#[case(Acquisition::LeastConfidence, Score::MaxConfidence)]
#[case(Acquisition::MeanStd, Score::MeanStd)]
fn pool_selects_highest_scores(#[case] acquisition: Acquisition, #[case] score: Score) {
    let (_, model) = model(MethodKind::Bhn, &classes());
    let (theta, _) = draw(&model, 16, &mut rng(1));
    let rows = 2 * chunk(&model, 16) + 3;
    let x: Array2<f32> = randn(&[rows, 4], 1).mapv(|x| x as f32).into_dimensionality().unwrap();
    let scores = score.of(&predict(&model, &theta, x.view()));
    let choose = |k| {
        let mut pool = Pool::new(&model, &theta, acquisition);
        x.axis_chunks_iter(Axis(0), chunk(&model, 16)).for_each(|block| pool.add(block).unwrap());
        pool.choose(k, &mut rng(2))
    };
    assert_eq!(choose(rows + 1).len(), rows);
    let picks = choose(40);
    let mut order: Vec<_> = (0..rows).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    assert_eq!(picks.iter().map(|pick| pick.index).collect::<Vec<_>>(), order[..40]);
    assert!(picks.iter().all(|pick| pick.value == Some(scores[pick.index])));
}

#[test]
fn random_acquisition_is_uniform_without_replacement() {
    let (_, model) = model(MethodKind::Bhn, &classes());
    let (theta, _) = draw(&model, 1, &mut rng(1));
    let mut counts = [0_i32; 8];
    for seed in 0..800 {
        let mut pool = Pool::new(&model, &theta, Acquisition::Random);
        pool.add(Array2::zeros([8, 4]).view()).unwrap();
        let picks = pool.choose(3, &mut rng(seed));
        let distinct: HashSet<_> = picks.iter().map(|pick| pick.index).collect();
        assert_eq!((distinct.len(), picks.len()), (3, 3));
        distinct.iter().for_each(|&i| counts[i] += 1);
    }
    // 800 trials of probability 3/8: a standard deviation of 13.7.
    assert!(counts.iter().all(|count| (count - 300).abs() < 55), "{counts:?}");
}

#[rstest]
#[case(Acquisition::Bald)]
#[case(Acquisition::BatchBald)]
#[case(Acquisition::Random)]
fn pool_smaller_than_k_is_selected_whole(#[case] acquisition: Acquisition) {
    let (_, model) = model(MethodKind::Bhn, &classes());
    let (theta, _) = draw(&model, 3, &mut rng(1));
    let pool = |rows| {
        let mut pool = Pool::new(&model, &theta, acquisition);
        if rows > 0 {
            pool.add(Array2::ones([rows, 4]).view()).unwrap();
        }
        let mut picks: Vec<_> = pool.choose(5, &mut rng(0)).iter().map(|p| p.index).collect();
        picks.sort_unstable();
        picks
    };
    assert_eq!(pool(3), [0, 1, 2]);
    assert_eq!(pool(0), [0; 0]);
}

/// BALD of a point estimate is exactly 0, neither −0 nor a rounding error; so is that of several
/// equal samples.
#[test]
fn bald_of_identical_samples_is_exactly_zero() {
    let (config, model) = model(MethodKind::Mle, &classes());
    let (theta, _) = draw(&model, config.samples(20), &mut rng(1));
    let x: Array2<f32> = randn(&[200, 4], 1).mapv(|x| x as f32).into_dimensionality().unwrap();
    for samples in [1, 3] {
        let theta = theta.select(Axis(0), &vec![0; samples]).into();
        let scores = Score::Bald.of(&predict(&model, &theta, x.view()));
        assert!(scores.iter().all(|score| score.to_bits() == 0), "{scores:?}");
    }
}

/// The uncertainty of a certain prediction is 0 and not −0, which JSON would print.
#[test]
fn no_score_is_negative_zero() {
    let sure = Predictive::Classes {
        p: ndarray::array![[1., 0.], [0., 1.]],
        entropy: vec![0.; 2],
        bald: vec![0.; 2],
        mean_std: vec![0.; 2],
        variation_ratio: vec![0.; 2],
    };
    let single = Predictive::Classes {
        p: ndarray::array![[1.]],
        entropy: vec![0.],
        bald: vec![0.],
        mean_std: vec![0.],
        variation_ratio: vec![0.],
    };
    for (predictive, score) in [sure, single].iter().flat_map(|p| Score::ALL.map(|s| (p, s))) {
        let found = score.of(predictive);
        assert!(found.iter().all(|score| score.to_bits() == 0), "{score:?} {found:?}");
    }
    let agreed: Predictive = Mixture::new(arr3(&[[[1.]], [[1.]]]).view(), Some(4.)).into();
    for score in [Score::Bald, Score::MeanStd] {
        assert_eq!(score.of(&agreed)[0].to_bits(), 0, "{score:?}");
    }
}

/// Scores in regression, where `std² = 1/τ + spread²`: BALD is `½ ln(1 + τ spread²)`.
#[test]
fn regression_scores_match_formulas() {
    let (precision, spread) = (4_f64, 0.75_f64);
    let std = (1. / precision + spread * spread).sqrt();
    let found = Mixture::new(arr3(&[[[9.75]], [[8.25]]]).view(), Some(precision)).into();
    let bald = 0.5 * (1. + precision * spread * spread).ln();
    let entropy = 0.5 * (std::f64::consts::TAU * std::f64::consts::E).ln() + std.ln();
    for (score, expected) in
        [(Score::Bald, bald), (Score::Entropy, entropy), (Score::MeanStd, 0.75)]
    {
        assert!((score.of(&found)[0] - expected).abs() < 1e-14, "{score:?}");
    }
    assert!(Acquisition::Bald.fits(&Task::Regression));
    assert!(!Acquisition::BatchBald.fits(&Task::Regression));
}

fn digits() -> Dataset {
    let options = Options { train_subset: Some(400), ..Options::default() };
    let mut data = load("mnist", &options, None).unwrap();
    data.test = data.test.subset(50);
    data
}

const PROTOCOL: Protocol = Protocol {
    per_class: 2,
    set_aside: 100,
    candidates: 40,
    bought: 5,
    rounds: 4,
    samples: 3,
    test_every: 3,
};

fn learner(warm: bool, acquisition: Acquisition) -> Learner {
    let mut config = Config { seed: 3, ..Config::default() };
    config.primary.layers = Some(Layer::mlp(&[8], 10));
    config.flow.hidden = 6;
    config.train.epochs = 3;
    Learner { config, warm, acquisition }
}

/// Labels are acquired once and only from the pool; resumed after the first round, active learning
/// ends with the same result.
#[rstest]
fn active_learning_resumes_to_same_result(
    #[values(true, false)] warm: bool,
    #[values(Acquisition::Bald, Acquisition::BatchBald, Acquisition::Random)] how: Acquisition,
) {
    let (data, learner) = (digits(), learner(warm, how));
    let folder = tempfile::tempdir().unwrap();
    let (whole, part) = (folder.path().join("whole"), folder.path().join("part"));
    let copy = |round| {
        if round == 1 {
            fs::create_dir(&part).unwrap();
            for file in fs::read_dir(&whole).unwrap().map(|file| file.unwrap()) {
                fs::copy(file.path(), part.join(file.file_name())).unwrap();
            }
            fs::write(part.join(".bhn-partial-0123456789ab"), "killed while it wrote").unwrap();
        }
    };
    let rounds = learn(&whole, &learner, &PROTOCOL, &data, copy).unwrap();
    let mut others = vec![];
    let resumed = learn(&part, &learner, &PROTOCOL, &data, |round| others.push(round)).unwrap();
    assert_eq!((&resumed, others), (&rounds, vec![2, 3, 4]));
    let again = learn(&whole, &learner, &PROTOCOL, &data, |_| panic!("learned twice")).unwrap();
    assert_eq!(again, rounds);

    assert_eq!(rounds.iter().map(|r| r.labels).collect::<Vec<_>>(), [20, 25, 30, 35, 40]);
    let tested: Vec<_> = rounds.iter().map(|r| r.accuracy.is_some()).collect();
    assert_eq!(tested, [true, false, false, true, true]);
    let bought: Vec<_> = rounds.iter().flat_map(|r| r.bought.clone()).collect();
    let distinct: HashSet<_> = bought.iter().collect();
    assert_eq!((bought.len(), distinct.len()), (20, 20));
    assert!(bought.iter().all(|&row| row < 300), "the last 100 rows are set aside");
    let networks = fs::read_dir(&whole).unwrap().count() - 1;
    assert_eq!(networks, usize::from(warm), "of a warm start the last network is kept");
}

/// A flipped bit anywhere in the file is an error, so that it cannot change what was acquired.
#[test]
fn flipped_bit_in_rounds_json_is_detected() {
    let (data, learner) = (digits(), learner(false, Acquisition::Random));
    let folder = tempfile::tempdir().unwrap();
    let rounds = learn(folder.path(), &learner, &PROTOCOL, &data, |_| ()).unwrap();
    let again = || learn(folder.path(), &learner, &PROTOCOL, &data, |_| panic!("learned twice"));
    let (path, draws) = (folder.path().join("rounds.json"), &mut rng(3));
    let whole = fs::read(&path).unwrap();
    for _ in 0..200 {
        let (mut bytes, at) = (whole.clone(), draws.random_range(0..whole.len()));
        bytes[at] ^= 1 << draws.random_range(0..8);
        fs::write(&path, &bytes).unwrap();
        let error = again().unwrap_err().to_string();
        assert!(error.contains("rounds.json: found") && error.contains("Remove"), "{at}: {error}");
    }
    // The format of earlier versions.
    fs::write(&path, serde_json::to_vec(&rounds).unwrap()).unwrap();
    assert_eq!(again().unwrap(), rounds);
}

/// A warm start continues to train the last round's network: if the labels are the same and there
/// is nothing to learn, the result is that network.
#[test]
fn warm_start_continues_training() {
    let (data, folder) = (digits(), tempfile::tempdir().unwrap());
    let start = |warm| {
        let mut learner = learner(warm, Acquisition::Random);
        learner.config.train.epochs = 60;
        let protocol = Protocol { test_every: 1, rounds: 3, ..PROTOCOL };
        let dir = folder.path().join(format!("{warm}"));
        let rounds = learn(&dir, &learner, &protocol, &data, |_| ()).unwrap();
        (rounds[0].clone(), rounds[3].accuracy.unwrap())
    };
    let ((first, warm), (same, cold)) = (start(true), start(false));
    assert_eq!(first, same, "the first round knows no difference");
    // 240 epochs against 60, with few labels: the test images show it by more than their noise.
    assert!(warm > cold, "{warm} {cold}");
}

#[test]
fn learning_curve_area_and_labels_to_accuracy() {
    let curve = [(20, 50.), (30, 70.), (50, 90.)];
    assert_eq!(area(&curve), (10. * 60. + 20. * 80.) / 30.);
    assert_eq!([70., 71., 95.].map(|goal| labels_to(&curve, goal)), [Some(30), Some(50), None]);
}

#[test]
fn too_few_rows_set_aside_is_an_error() {
    let (data, folder) = (digits(), tempfile::tempdir().unwrap());
    let protocol = Protocol { set_aside: 12, ..PROTOCOL };
    let learner = learner(false, Acquisition::Random);
    let error = learn(folder.path(), &learner, &protocol, &data, |_| ()).unwrap_err().to_string();
    assert!(error.contains("first labels") && error.contains("expected 20"), "{error}");
}
