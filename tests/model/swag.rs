//! Defends: SWAG's statistics are those of its snapshots, samples have its moments, and a run that
//! was interrupted while it collects snapshots resumes to the same bits.
use bhn::autodiff::{Owned, Tape};
use bhn::bayes::{EpochEnd, Kl, Posterior, Prior, Swag, SwagConfig};
use bhn::nn::Params;
use bhn::random::{Purpose, stream};
use bhn::run::config::{Config, MethodKind};
use bhn::run::{Progress, Run, Trained, load_data};
use ndarray::{Array2, array};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

const ALL: SwagConfig = SwagConfig { start: 0., rate: 1e-3, every: 1, rank: 2 };

/// A posterior that has seen these values of `θ` at the ends of epochs.
fn after<const D: usize>(snapshots: &[[f64; D]], config: SwagConfig) -> (Params<f64>, Swag) {
    let mut params = Params::default();
    let swag = Swag::new(&mut params, "q", &[0.; D], Prior::default(), config);
    for (i, theta) in snapshots.iter().enumerate() {
        swag.recentre(&mut params, theta);
        let hessian = &|_, _: &[f64]| unreachable!("SWAG needs no curvature");
        let end = EpochEnd { epoch: i + 1, epochs: snapshots.len(), hessian };
        for (id, value) in swag.after_epoch(&params, &end).unwrap() {
            *params.get_mut(id) = value.into();
        }
    }
    (params, swag)
}

fn named(params: &Params<f64>, name: &str) -> Owned<f64> {
    params.iter().find(|(n, _)| *n == name).unwrap().1.to_owned()
}

/// The running means of (1, 0), (3, 0), (2, 6) are (1, 0), (2, 0), (2, 2); the deviations from them
/// are 0, (1, 0) and (0, 4), of which the last two are kept.
#[test]
fn statistics_of_three_snapshots_by_hand() {
    let (params, swag) = after(&[[1., 0.], [3., 0.], [2., 6.]], ALL);
    assert_eq!(named(&params, "q.count"), array![3.].into_dyn());
    assert_eq!(named(&params, "q.mean"), array![2., 2.].into_dyn());
    assert_eq!(named(&params, "q.squares"), array![2., 24.].into_dyn());
    assert_eq!(named(&params, "q.deviations"), array![[0., 4.], [1., 0.]].into_dyn());
    let moments = swag.moments(&params).unwrap();
    let expected = array![[2. / 3. + 1., 0.], [0., 8. + 16.]] * 0.5;
    assert_eq!(moments.mean, array![2., 2.]);
    assert!((moments.covariance - expected).iter().all(|e| e.abs() < 1e-14));
}

/// With fewer snapshots than `K`, the low-rank part is divided by their number less one; a single
/// snapshot is a point.
#[test]
fn few_snapshots() {
    let config = SwagConfig { rank: 20, ..ALL };
    let (params, swag) = after(&[[1., 0.], [3., 0.], [2., 6.]], config);
    let expected = array![[2. / 3. + 0.5, 0.], [0., 8. + 8.]] * 0.5;
    let found = swag.moments(&params).unwrap().covariance;
    assert!((found - expected).iter().all(|e| e.abs() < 1e-14));
    let (params, swag) = after(&[[1., 5.]], config);
    assert!(swag.moments(&params).is_none());
    let tape = Tape::default();
    let rng = &mut stream(0, Purpose::Sample, 0);
    let draw = swag.predictive(&params.freeze(&tape), 2, rng);
    assert_eq!(draw.theta.value().as_slice(), [1., 5., 1., 5.]);
}

#[test]
fn snapshots_are_due_after_start_and_every_few_epochs() {
    let config = SwagConfig { start: 0.5, every: 2, ..ALL };
    let due: Vec<_> = (1..=10).filter(|&epoch| config.is_due(epoch, 10)).collect();
    assert_eq!((due, config.snapshots(10)), (vec![6, 8, 10], 3));
    assert_eq!([5, 6].map(|epoch| config.is_collecting(epoch, 10)), [false, true]);
    assert_eq!([SwagConfig::default().snapshots(10), ALL.snapshots(4)], [3, 4]);
}

/// Mean and covariance of `S` samples. The variance of an entry of the sample covariance is
/// `(Σᵢᵢ Σⱼⱼ + Σᵢⱼ²)/S`.
#[test]
fn samples_have_the_moments() {
    let snapshots = [[1., 0., 2.], [3., 1., 0.], [2., 6., -1.], [2.5, 3., 1.], [0., 1., 1.]];
    let (params, swag) = after(&snapshots, SwagConfig { rank: 3, ..ALL });
    let (samples, tape) = (40_000, Tape::default());
    let rng = &mut stream(0, Purpose::Sample, 0);
    let draw = swag.predictive(&params.freeze(&tape), samples, rng);
    assert!(matches!(draw.kl, Kl::Absent));
    let theta: Array2<f64> = draw.theta.value().to_owned().into_dimensionality().unwrap();
    let moments = swag.moments(&params).unwrap();
    let (mean, sigma, n) = (moments.mean, moments.covariance, samples as f64);
    for i in 0..3 {
        let found = theta.column(i).sum() / n;
        assert!((found - mean[i]).abs() < 4. * (sigma[[i, i]] / n).sqrt(), "{i}: {found}");
        for j in 0..3 {
            let product = (&theta.column(i) - mean[i]) * (&theta.column(j) - mean[j]);
            let (found, s) = (product.sum() / n, sigma[[i, j]]);
            let error = ((sigma[[i, i]] * sigma[[j, j]] + s * s) / n).sqrt();
            assert!((found - s).abs() < 4. * error, "{i}, {j}: {found} for {s}");
        }
    }
    let off_diagonal = sigma[[0, 1]].abs();
    assert!(off_diagonal > 10. / n.sqrt(), "worth a test: {off_diagonal}");
}

/// The run stops after the second of four snapshots, and goes on in another process's stead.
#[test]
fn interrupted_run_resumes_to_identical_files() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("t.csv");
    let table: String = (0..90).map(|i| format!("{},{},{}\n", i, i * i % 7, i % 3)).collect();
    fs::write(&csv, "a,b,kind\n".to_string() + &table).unwrap();
    let mut config = Config { method: MethodKind::Swag, ..Config::default() };
    config.data = csv.display().to_string();
    config.primary.layers = Some(["dense 5", "tanh", "dense 3"].map(|l| l.parse().unwrap()).into());
    config.swag = SwagConfig { start: 0.3, rate: 1e-2, every: 1, rank: 3 };
    config.train.epochs = 6;
    let data = || load_data(&config, None).unwrap();
    let create = |name: &str| {
        let config = config.clone().resolve(&data()).unwrap();
        Run::create(&folder.path().join(name), config, data()).unwrap()
    };
    create("whole").train(|_| ()).unwrap();
    let mut part = create("part");
    let stopped = catch_unwind(AssertUnwindSafe(|| {
        part.train(|progress| match progress {
            Progress::Epoch(epoch, is_best) => {
                assert!(!is_best, "an epoch before the last is the best");
                assert!(epoch.epoch < 3, "stop");
            }
            Progress::Step(_) => {}
        })
    }));
    assert!(stopped.is_err());
    drop(part);
    let dir = folder.path().join("part");
    assert!(!dir.join("best.safetensors").exists());
    Run::resume(&dir, None).unwrap().train(|_| ()).unwrap();
    for name in ["last.safetensors", "best.safetensors"] {
        let [whole, part] =
            ["whole", "part"].map(|run| fs::read(folder.path().join(run).join(name)));
        assert!(whole.unwrap() == part.unwrap(), "{name} differs");
    }
    let Trained { model, header, .. } = Trained::load(&dir).unwrap();
    assert_eq!(header.epoch, 6);
    // 6 · 0.3 = 1.8: snapshots after epochs 2 to 6.
    let count = model.params.iter().find(|(name, _)| *name == "posterior.count").unwrap().1[0];
    assert_eq!(count, 5.);
    let moments = model.posterior.moments(&model.params).unwrap();
    assert!(moments.covariance.diag().iter().all(|&v| v > 0.), "{}", moments.covariance);
}
