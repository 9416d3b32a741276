//! What a run rests on: predictions of a model, the optimiser, dropout's masks, threads, checkpoints.
use super::faults;
use super::scores::Uncertain;
use super::suite::{Finding, Property, Subject, Suite, largest};
use crate::autodiff::Gradient;
use crate::autodiff::gradcheck::randn;
use crate::autodiff::{Owned, Tape, Tensor, Var};
use crate::bayes::{
    Base, Dropout, Hypernet, HypernetConfig, Likelihood, Model, Noise, Posterior, Prior, Rates,
};
use crate::data::{Preprocess, Split, Targets, Task};
use crate::error::Result;
use crate::nn::optim::{Clip, Optimiser, Update};
use crate::nn::{BoundParams, Params};
use crate::predict::{Predictive, draw, predict};
use crate::primary::{Layer, PrimaryNet};
use crate::random::{Purpose, stream};
use crate::run::checkpoint::{self, Checkpoint, Header};
use crate::run::config::Config;
use crate::run::train::Trainer;
use ndarray::{Array2, Array3};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use std::path::Path;

/// A network whose outputs are given: `θ` is the logits of all inputs, and an input is its number.
struct Echo {
    inputs: usize,
    classes: usize,
}

impl PrimaryNet<f32> for Echo {
    fn dim(&self) -> usize {
        self.inputs * self.classes
    }

    fn widest(&self) -> usize {
        self.dim()
    }

    fn parts(&self) -> Vec<(String, usize)> {
        vec![("logits".into(), self.dim())]
    }

    fn forward<'t>(
        &self,
        _: &BoundParams<'t, f32>,
        theta: Var<'t, f32>,
        x: Var<'t, f32>,
    ) -> Var<'t, f32> {
        let samples = theta.shape()[0];
        let rows: Vec<usize> = x.value().iter().map(|&x| x as usize).collect();
        theta.reshape(&[samples, self.inputs, self.classes]).gather(1, rows)
    }
}

/// What [`predict`] says of these logits `[S, N, K]`.
pub(super) fn uncertain(logits: &Array3<f32>) -> Vec<Uncertain> {
    let (samples, inputs, classes) = logits.dim();
    let (mut params, rng) = (Params::default(), &mut ChaCha8Rng::seed_from_u64(0));
    let config = HypernetConfig { couplings: 0, base: Base::Normal, ..HypernetConfig::default() };
    let posterior = Hypernet::of(&mut params, "q", inputs * classes, &config, rng);
    let model = Model {
        params,
        primary: Box::new(Echo { inputs, classes }),
        posterior: Box::new(posterior),
        prior: Prior::default(),
        likelihood: Likelihood::Categorical { clip: None },
        noise: Noise::Shared,
    };
    let theta = logits.to_shape([samples, inputs * classes]).expect("as many").into_owned();
    let x = Array2::from_shape_fn((inputs, 1), |(n, _)| n as f32);
    let found = predict(&model, &theta.into(), x.view());
    let Predictive::Classes { p, entropy, bald, mean_std, .. } = found else {
        unreachable!("a classification")
    };
    let of = |n: usize| Uncertain {
        p: p[[n, 0]].into(),
        entropy: entropy[n].into(),
        bald: bald[n].into(),
        mean_std: mean_std[n].into(),
    };
    (0..inputs).map(of).collect()
}

/// Where gradients, one after another, move parameters to from where they are.
type Descend = fn(Update, Clip, &[Vec<f64>], &[f64]) -> Vec<f64>;

/// How gradients move a parameter.
#[derive(Clone, Copy)]
pub struct Descent(pub Descend);

pub(super) fn descend(rule: Update, clip: Clip, gradients: &[Vec<f64>], from: &[f64]) -> Vec<f64> {
    let mut params = Params::<f64>::default();
    let tensor = |v: &[f64]| Owned::from_shape_vec(vec![v.len()], v.to_vec()).expect("one axis");
    params.add("w", tensor(from));
    let mut optimiser = Optimiser::new(rule, &params);
    for g in gradients {
        optimiser.step(&mut params, &[Some(Gradient::from(tensor(g)))], 0.1, clip);
    }
    params.iter().next().expect("w").1.iter().copied().collect()
}

/// Seven gradients of three numbers, one of them steep.
fn slopes() -> Vec<Vec<f64>> {
    (0..7)
        .map(|i| randn(&[3], 60 + i).iter().map(|x| if i == 2 { 40. * x } else { *x }).collect())
        .collect()
}

fn descends(found: &[f64], expected: &[f64]) -> Finding {
    Finding::worst(found.iter().zip(expected).map(|(f, e)| {
        // A few dozen roundings of numbers of order one.
        Finding::new((f - e).abs(), 1e-13, format!("{f} and {e}"))
    }))
}

/// The optimisers.
pub fn descents() -> Suite<Descent> {
    Suite {
        properties: vec![
            Property {
                name: "Adam",
                proves: "w ← w − η m̂/(√v̂ + ε), with the moments' bias corrected, for every step",
                measure: |d| {
                    let (mut w, mut m, mut v) = ([1., -2., 0.5], [0.; 3], [0.; 3]);
                    let start = w;
                    for (t, g) in (1..).zip(slopes()) {
                        for i in 0..3 {
                            m[i] = 0.9 * m[i] + 0.1 * g[i];
                            v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
                            let [m, v] =
                                [m[i] / (1. - 0.9_f64.powi(t)), v[i] / (1. - 0.999_f64.powi(t))];
                            w[i] -= 0.1 * m / (v.sqrt() + 1e-8);
                        }
                    }
                    descends(&(d.0)(Update::default(), Clip::NONE, &slopes(), &start), &w)
                },
            },
            Property {
                name: "clipping",
                proves: "the global norm is brought to its bound first, then each element to its own",
                measure: |d| {
                    let start = [1., -2., 0.5];
                    let mut w = start;
                    for g in slopes() {
                        let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
                        let scale = (2. / norm).min(1.);
                        (0..3).for_each(|i| w[i] -= 0.1 * (scale * g[i]).clamp(-0.9, 0.9));
                    }
                    let clip = Clip { norm: 2., element: 0.9 };
                    descends(&(d.0)(Update::Sgd { momentum: 0. }, clip, &slopes(), &start), &w)
                },
            },
        ],
        subjects: vec![Subject { name: "Optimiser".into(), it: Descent(descend) }],
        faults: faults::descents(),
    }
}

/// Masks of a dropout of 0.3, `[S, D]`.
#[derive(Clone, Copy)]
pub struct Masks(pub fn(samples: usize) -> Array2<f64>);

pub(super) fn masks(samples: usize) -> Array2<f64> {
    let (mut params, tape) = (Params::<f64>::default(), Tape::default());
    let q = Dropout::new(&mut params, "q", &[1.; 12], &[(4..12, 0.3)], Rates::Fixed, false);
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let theta = q.draw(&params.freeze(&tape), &tape, samples, rng).theta.value();
    theta.slice(ndarray::s![.., 4..]).to_owned().into_dimensionality().expect("[S, D]")
}

/// Dropout.
pub fn dropouts() -> Suite<Masks> {
    Suite {
        properties: vec![
            Property {
                name: "mean",
                proves: "a mask is 1 in the mean, within four standard errors, so that one pass without it is its mean",
                measure: |m| {
                    let found = (m.0)(20_000);
                    let n = found.len() as f64;
                    // Var = p/(1 − p).
                    let error = (0.3 / 0.7 / n).sqrt();
                    let mean = found.sum() / n;
                    Finding::new((mean - 1.).abs(), 4. * error, format!("{mean:.5} ± {error:.5}"))
                },
            },
            Property {
                name: "rate",
                proves: "it is 0 with probability p, within four standard errors, and else 1/(1 − p)",
                measure: |m| {
                    let found = (m.0)(20_000);
                    let n = found.len() as f64;
                    let (error, zeros) =
                        ((0.21 / n).sqrt(), found.iter().filter(|x| **x == 0.).count());
                    let share = zeros as f64 / n;
                    let others = found.iter().filter(|x| **x != 0.);
                    let off = largest(others.map(|x| (x - 1. / 0.7).abs()));
                    Finding::worst([
                        Finding::new(
                            (share - 0.3).abs(),
                            4. * error,
                            format!("{share:.5} ± {error:.5}"),
                        ),
                        Finding::new(off, 1e-12, "the others"),
                    ])
                },
            },
        ],
        subjects: vec![Subject { name: "Dropout".into(), it: Masks(masks) }],
        faults: faults::masks(),
    }
}

/// Something computed with as many threads as there are, to its bits.
pub struct Computation(pub Box<dyn Fn() -> Vec<u32> + Send + Sync>);

fn classes() -> Task {
    Task::Classification { classes: (0..3).map(|c| c.to_string()).collect() }
}

fn trainer(layers: &[&str]) -> Trainer {
    let mut config = Config::default();
    config.primary.layers =
        Some(layers.iter().map(|word| word.parse::<Layer>().expect("a layer")).collect());
    (config.flow.couplings, config.flow.hidden) = (2, 40);
    (config.train.batch, config.train.epochs) = (32, 1);
    Trainer::new(&config, crate::primary::Shape::Image([1, 10, 10]), &classes(), 96)
}

fn examples() -> Split {
    let x = randn(&[96, 100], 1).mapv(|x| x as f32).into_dimensionality().expect("[N, 100]");
    Split { x, y: Targets::Classes((0..96).map(|n| n % 3).collect()) }
}

/// An epoch of training, and predictions.
fn learn(layers: &[&str]) -> Vec<u32> {
    let (mut trainer, data) = (trainer(layers), examples());
    trainer.epoch(&data, |_, _| {}).expect("it does not diverge");
    let (theta, _) = draw(&trainer.model, 5, &mut stream(0, Purpose::Evaluation, 0));
    let p = means(predict(&trainer.model, &theta, data.x.view()));
    let params =
        trainer.model.params.iter().flat_map(|(_, w)| w.iter().copied().collect::<Vec<_>>());
    params.chain(p).map(f32::to_bits).collect()
}

/// The probabilities or numbers that were predicted.
pub(super) fn means(found: Predictive) -> Vec<f32> {
    match found {
        Predictive::Classes { p, .. } => p.into_iter().collect(),
        Predictive::Values { mean, .. } => mean.into_iter().map(|m| m as f32).collect(),
    }
}

/// Training on one thread and on more.
pub fn threads() -> Suite<Computation> {
    let subject = |name: &str, layers: &'static [&str]| Subject {
        name: name.into(),
        it: Computation(Box::new(|| learn(layers))),
    };
    Suite {
        properties: vec![Property {
            name: "same bits",
            proves: "an epoch and its predictions are the same to the last bit on 1, 2, 3 and 5 threads",
            measure: |c| same_bits(c, &[2, 3, 5]),
        }],
        subjects: vec![
            subject("dense layers", &["dense 300", "relu", "dense 200", "relu", "dense 3"]),
            subject(
                "convolutions",
                &[
                    "conv 16 3x3",
                    "relu",
                    "conv 32 3x3 pad 1",
                    "relu",
                    "pool 2",
                    "flatten",
                    "dense 3",
                ],
            ),
        ],
        faults: faults::computations(|| (0..10_000).map(|i| 1. / (1. + i as f32)).collect()),
    }
}

/// How many numbers differ from those of one thread, with other numbers of threads.
pub(super) fn same_bits(computation: &Computation, threads: &[usize]) -> Finding {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads can be started").install(|| (computation.0)())
    };
    let one = with(1);
    Finding::worst(threads.iter().map(|&threads| {
        let other = with(threads);
        let apart = one.iter().zip(&other).filter(|(a, b)| a != b).count();
        Finding::new(apart as f64, 0., format!("numbers that differ on {threads} threads"))
    }))
}

/// How checkpoints are written and read.
#[derive(Clone, Copy)]
pub struct Keeper {
    /// Parameters and the moments of an optimiser to a file.
    pub save: fn(&Path, &Header, &Params, &Optimiser) -> Result<()>,
    /// And back into others of the same shapes.
    pub load: fn(&Path, &mut Params, &mut Optimiser) -> Result<()>,
}

impl Keeper {
    pub(super) const SOUND: Self = Self {
        save: |path, header, params, optimiser| {
            checkpoint::save(path, header, params, Some(optimiser))
        },
        load: |path, params, optimiser| {
            let saved = Checkpoint::load(path)?;
            saved.restore(params)?;
            saved.restore_optimiser(params, optimiser)
        },
    };
}

/// A trained model's checkpoint in a folder of its own, and what is in the model.
fn kept<R>(keeper: &Keeper, then: impl FnOnce(&Path, &Trainer) -> R) -> R {
    let mut trainer = trainer(&["dense 8", "relu", "dense 3"]);
    trainer.epoch(&examples(), |_, _| {}).expect("it does not diverge");
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("last.safetensors");
    let header = Header {
        config: Config::default(),
        task: classes(),
        image: Some([1, 10, 10]),
        preprocess: Preprocess { inputs: 100, ..Preprocess::default() },
        examples: 96,
        data_sha256: String::new(),
        steps: trainer.steps(),
        epoch: 1,
        best: None,
        machine: None,
    };
    let written = (keeper.save)(&path, &header, &trainer.model.params, &trainer.optimiser);
    written.expect("a folder for temporary files that can be written to");
    then(&path, &trainer)
}

/// All that a checkpoint keeps, to its bits.
pub(super) fn numbers(params: &Params, optimiser: &Optimiser) -> Vec<u32> {
    let bits = |w: &Tensor<f32>| w.iter().map(|w| w.to_bits()).collect::<Vec<_>>();
    let weights = params.iter().flat_map(|(_, w)| bits(w));
    let moments = optimiser.moments().flat_map(|(_, moments)| moments.iter().flat_map(bits));
    weights.chain(moments).chain([optimiser.steps() as u32]).collect()
}

/// Checkpoints.
#[expect(clippy::missing_panics_doc, reason = "no thread, or nowhere to write")]
pub fn checkpoints() -> Suite<Keeper> {
    Suite {
        properties: vec![
            Property {
                name: "round trip",
                proves: "parameters, moments and position come back to the bit",
                measure: |keeper| {
                    kept(keeper, |path, before| {
                        let mut after = trainer(&["dense 8", "relu", "dense 3"]);
                        let loaded =
                            (keeper.load)(path, &mut after.model.params, &mut after.optimiser);
                        let same = numbers(&before.model.params, &before.optimiser)
                            == numbers(&after.model.params, &after.optimiser);
                        Finding::of(loaded.is_ok() && same, "its numbers")
                    })
                },
            },
            Property {
                name: "damage",
                proves: "a flipped bit anywhere and a cut at any length are refused, with an error and not a panic",
                measure: |keeper| {
                    kept(keeper, |path, before| {
                        let whole = std::fs::read(path).expect("it was written");
                        let rng = &mut ChaCha8Rng::seed_from_u64(3);
                        let mut accepted = 0;
                        for i in 0..200 {
                            let mut bytes = whole.clone();
                            let at = rng.random_range(0..bytes.len());
                            match i % 4 {
                                0 => bytes.truncate(at),
                                _ => bytes[at] ^= 1 << rng.random_range(0..8),
                            }
                            std::fs::write(path, bytes).expect("it was written before");
                            let mut after = trainer(&["dense 8", "relu", "dense 3"]);
                            let loaded =
                                (keeper.load)(path, &mut after.model.params, &mut after.optimiser);
                            // What a flipped bit does not change is no damage.
                            let same = numbers(&before.model.params, &before.optimiser)
                                == numbers(&after.model.params, &after.optimiser);
                            accepted += usize::from(loaded.is_ok() && !same);
                        }
                        Finding::new(accepted as f64, 0., "damaged files of 200 that were taken")
                    })
                },
            },
        ],
        subjects: vec![Subject { name: "Checkpoint".into(), it: Keeper::SOUND }],
        faults: faults::keepers(),
    }
}
