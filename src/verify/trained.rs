//! What a run rests on: the engine's checks, of a trained network at its own parameters.
use super::bound::{self, Bound, Sound};
use super::densities::{self, Density, Hyper};
use super::faults;
use super::flows::{Flow, invertible, same, singular, volume};
use super::loss::{Loss, Setting};
use super::machine::{Computation, Keeper, means, numbers, same_bits};
use super::suite::{Absent, Finding, OfRun, Property, Subject, Suite, Verify};
use crate::autodiff::{Owned, Tape, Tensor, Var};
use crate::bayes::{Model, Noise, Posterior, Targets};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::flows::Bijector;
use crate::nn::BoundParams as Bind;
use crate::nn::optim::Optimiser;
use crate::predict::{draw, predict};
use crate::random::{Purpose, stream};
use crate::run::Trained;
use crate::run::config::Method;
use ndarray::{Array2, Axis};
use std::sync::{Arc, OnceLock};

/// A trained network and some of the examples it was trained on.
pub struct Case {
    /// It.
    pub trained: Trained,
    some: Split,
    setting: OnceLock<Setting>,
}

/// A suite to be made, by its name.
pub type Named = (&'static str, Box<dyn Fn() -> Box<dyn Verify>>);

/// Examples of the loss whose gradient is taken: the more, the more kinks.
const DIFFERENTIATED: usize = 3;
/// Places at which examples are looked for that teach the network something, and steps from kinks.
const PLACES: usize = 8;
const MOVES: u64 = 4;
/// Examples whose predictions are compared between threads.
const PREDICTED: usize = 256;
/// The largest Jacobian that is built, `D` to a side; at one draw only beyond [`SMALL`].
const JACOBIAN: usize = 4096;
const SMALL: usize = 64;
/// Draws through the flow and back.
const DRAWS: usize = 4;

impl Case {
    /// Of a run and its training set.
    pub fn new(trained: Trained, train: &Split) -> Arc<Self> {
        let some = train.subset(train.len().min(PREDICTED));
        Arc::new(Self { trained, some, setting: OnceLock::new() })
    }

    /// The model in `f64`; with `shared` noise, which every minibatch can be given again.
    fn model(&self, shared: bool) -> Model<f64> {
        let header = &self.trained.header;
        let mut config = header.config.clone();
        // Local reparametrisation has noise of its own for each example.
        config.mean_field.local &= !shared;
        let params = &self.trained.model.params;
        let buffers = params.buffers().clone();
        let mut model = config.build_with(header.shape(), &header.task, buffers);
        model.params = params.cast();
        if shared {
            model.noise = Noise::Shared;
        }
        model
    }

    /// The model in `f64`, as it is.
    pub fn precise(&self) -> Model<f64> {
        self.model(false)
    }

    /// Whether the bound has a KL: not a matter of the method alone.
    fn has_kl(&self) -> bool {
        let (model, tape) = (&self.trained.model, Tape::default());
        let rng = &mut stream(0, Purpose::Sample, 0);
        let draw = model.posterior.draw(&model.params.freeze(&tape), &tape, 1, rng);
        draw.log_q.is_some() || draw.kl.is_some()
    }

    /// Whether the optimiser keeps moments.
    fn has_moments(&self) -> bool {
        let Trained { model, header, .. } = &self.trained;
        let optimiser = Optimiser::new(header.config.train.optimiser, &model.params);
        optimiser.moments().next().is_some()
    }

    /// `count` examples from the `first` on, from the start again after the last.
    fn examples(&self, first: usize, count: usize) -> (Array2<f64>, Targets<f64>) {
        let rows: Vec<_> = (first..first + count).map(|n| n % self.some.len()).collect();
        let (x, y) = self.some.batch(&rows);
        let y = match y {
            Targets::Classes(y) => Targets::Classes(y),
            Targets::Values(y) => Targets::Values(y.into_iter().map(f64::from).collect()),
        };
        (x.mapv(f64::from), y)
    }

    fn loss(&self) -> Loss {
        self.loss_at(*self.setting.get_or_init(|| self.setting()))
    }

    fn loss_at(&self, setting: Setting) -> Loss {
        let header = &self.trained.header;
        let samples = header.config.train.samples.clamp(2, 8);
        let (x, mut y) = self.examples(setting.first, DIFFERENTIATED);
        if setting.other_targets {
            y = match y {
                Targets::Classes(y) => {
                    let classes = header.task.outputs();
                    Targets::Classes(y.into_iter().map(|y| (y + 1) % classes).collect())
                }
                Targets::Values(y) => Targets::Values(y.into_iter().map(|y| y + 1.).collect()),
            };
        }
        Loss::new(self.precise(), (x, y), samples, header.examples, setting)
    }

    /// The first examples that teach the network something, with other targets if there are none;
    /// next to the run's parameters if there are kinks at these.
    fn setting(&self) -> Setting {
        let firsts = || (0..self.some.len()).step_by(DIFFERENTIATED).take(PLACES);
        let places = [false, true].into_iter().flat_map(|other_targets| {
            firsts().map(move |first| Setting { first, other_targets, moved: None })
        });
        let place = places.into_iter().find(|&place| self.loss_at(place).responds());
        let place = place.unwrap_or_default();
        let steps = [None].into_iter().chain((0..MOVES).map(|seed| Some(1000 * (seed + 1))));
        let mut settings = steps.map(|moved| Setting { moved, ..place });
        let tells = |&setting: &Setting| {
            self.loss_at(setting).differences().judged && !self.loss_at(setting).is_at_kink()
        };
        settings.find(tells).unwrap_or(Setting { moved: Some(1000 * MOVES), ..place })
    }

    fn bound(&self) -> Sound {
        let (x, y) = self.examples(0, bound::N);
        Sound { model: self.model(true), x, y }
    }

    fn density(&self) -> Box<dyn Density> {
        let Model { params, posterior, primary, .. } = self.model(true);
        Box::new(Hyper { d: primary.dim(), params, posterior })
    }

    fn flow(&self) -> Flow {
        let Model { params, posterior, .. } = self.model(true);
        Flow { params, map: Box::new(Own(posterior)) }
    }

    /// The noise of the posterior's own samples, `[S, D]`.
    fn noise(&self) -> Owned<f64> {
        let (model, tape) = (self.model(true), Tape::default());
        let p = model.params.freeze(&tape);
        let rng = &mut stream(self.trained.header.config.seed, Purpose::Sample, 0);
        let theta = model.posterior.draw(&p, &tape, DRAWS, rng).theta;
        model.posterior.flow().expect("a flow").inverse(&p, theta).0.value().to_owned()
    }

    fn predictions(&self) -> Vec<f32> {
        let Trained { model, header, .. } = &self.trained;
        let rng = &mut stream(header.config.seed, Purpose::Evaluation, 0);
        let (theta, _) = draw(model, header.config.samples(5), rng);
        means(predict(model, &theta, self.some.x.view()))
    }

    /// Written and read again into a network at its start. The moments are made up: a run's best epoch keeps none.
    fn round_trip(&self, keeper: &Keeper) -> Finding {
        let Trained { model, header, .. } = &self.trained;
        let rule = header.config.train.optimiser;
        let mut optimiser = Optimiser::new(rule, &model.params);
        optimiser.set_steps(header.steps);
        for ((_, moments), k) in optimiser.moments_mut().zip(1_u8..) {
            let made_up = |w: &Tensor<f32>| w.mapv(|w| w * f32::from(k)).into();
            moments.iter_mut().zip(model.params.iter()).for_each(|(m, (_, w))| *m = made_up(w));
        }
        let buffers = model.params.buffers().clone();
        let mut params = header.config.build_with(header.shape(), &header.task, buffers).params;
        let mut restored = Optimiser::new(rule, &params);
        let mut there_and_back = || -> Result<()> {
            let folder = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
            let path = folder.path().join("best.safetensors");
            (keeper.save)(&path, header, &model.params, &optimiser)?;
            (keeper.load)(&path, &mut params, &mut restored)
        };
        match there_and_back() {
            Err(error) => Finding::of(false, error.to_string()),
            Ok(()) => {
                let (before, after) =
                    (numbers(&model.params, &optimiser), numbers(&params, &restored));
                let apart = before.iter().zip(&after).filter(|(a, b)| a != b).count();
                Finding::new(apart as f64, 0., "numbers that differ")
            }
        }
    }
}

/// The flow of a posterior.
struct Own(Box<dyn Posterior<f64>>);

impl Bijector<f64> for Own {
    fn forward<'t>(&self, p: &Bind<'t, f64>, x: Var<'t, f64>) -> (Var<'t, f64>, Var<'t, f64>) {
        self.0.flow().expect("a flow").forward(p, x)
    }

    fn inverse<'t>(&self, p: &Bind<'t, f64>, y: Var<'t, f64>) -> (Var<'t, f64>, Var<'t, f64>) {
        self.0.flow().expect("a flow").inverse(p, y)
    }
}

/// A flow and noise to send through it.
struct Sampled {
    flow: Flow,
    eps: Owned<f64>,
}

/// A way to keep what a run keeps.
struct Kept {
    case: Arc<Case>,
    keeper: Keeper,
}

/// Every suite that applies to a run, and what does not.
pub fn suites(case: &Arc<Case>) -> (Vec<Named>, Vec<Absent>) {
    let config = &case.trained.header.config;
    let method = config.method;
    let d = case.trained.model.primary.dim();
    let mut absent = vec![];
    let mut none = |suite, property, why: String| absent.push(Absent { suite, property, why });
    let (has_kl, has_moments) = (case.has_kl(), case.has_moments());
    let mut all: Vec<Named> =
        vec![named("gradients", case, move |case| Box::new(gradients(case, has_kl)))];
    if let Method::Hypernet(..) = Method::from(config) {
        let jacobian = d <= JACOBIAN;
        if !jacobian {
            let why = format!(
                "D = {d}, and no Jacobian beyond {JACOBIAN} is built: `inverse` compares the way there with the way back, and the engine's `flows` has the Jacobian of this kind of flow for D = 5"
            );
            none("flows", "log-determinant", why);
        }
        all.push(named("flows", case, move |case| Box::new(flows(case, jacobian))));
    } else {
        let why = format!("{method} has no flow");
        none("flows", "inverse", why.clone());
        none("flows", "log-determinant", why);
    }
    if Method::from(config).has_density() {
        all.push(named("densities", case, |case| Box::new(densities(case))));
    } else {
        none("densities", "draws", format!("{method} has no density q(θ)"));
    }
    if !has_kl {
        none("bound", "annealing", format!("{method} has no KL, so no β"));
    }
    if !has_moments {
        none("checkpoints", "moments", "sgd without momentum keeps none".into());
    }
    all.push(named("bound", case, move |case| Box::new(bounds(case, has_kl))));
    all.push(named("threads", case, |case| Box::new(threads(case))));
    all.push(named("checkpoints", case, move |case| Box::new(checkpoints(case, has_moments))));
    (all, absent)
}

fn named(
    name: &'static str,
    case: &Arc<Case>,
    suite: impl Fn(&Arc<Case>) -> Box<dyn Verify> + 'static,
) -> Named {
    let case = case.clone();
    (name, Box::new(move || suite(&case)))
}

fn subject<S>(it: S) -> Vec<Subject<S>> {
    vec![Subject { name: "the run".into(), it }]
}

fn gradients(case: &Arc<Case>, has_kl: bool) -> OfRun<Loss> {
    let suite = Suite {
        properties: vec![Property {
            name: "whole loss",
            proves: "the gradient of the loss by every parameter is that of differences, with its own likelihood, prior and posterior",
            measure: Loss::differences,
        }],
        subjects: subject(case.loss()),
        faults: faults::losses(&|| case.loss(), has_kl),
    };
    OfRun { suite, same: Loss::same, engine: None }
}

fn flows(case: &Arc<Case>, jacobian: bool) -> OfRun<Sampled> {
    let eps = case.noise();
    let sampled =
        |Subject { name, it }| Subject { name, it: Sampled { flow: it, eps: eps.clone() } };
    let mut properties: Vec<Property<Sampled>> = vec![Property {
        name: "inverse",
        proves: "h⁻¹(h(ε)) = ε at its own samples, and the log-determinants there and back cancel",
        measure: |s| {
            let judged = || invertible(&s.flow, s.eps.clone());
            singular(&s.flow, &s.eps).unwrap_or_else(judged)
        },
    }];
    let mut faults = faults::ways(&|| case.flow());
    if jacobian {
        properties.push(Property {
            name: "log-determinant",
            proves: "ln|det ∂h/∂ε| is that of the Jacobian built row by row, at its own samples",
            measure: |s| {
                if let Some(found) = singular(&s.flow, &s.eps) {
                    return found;
                }
                let draws = if s.eps.shape()[1] > SMALL { 1 } else { DRAWS };
                let rows = s.eps.axis_iter(Axis(0)).take(draws);
                let each = rows.map(|x| x.into_dimensionality().expect("[D]"));
                Finding::worst(each.map(|x| volume(&s.flow, x)))
            },
        });
        faults.extend(faults::volumes(&|| case.flow()));
    }
    let subjects = subject(case.flow()).into_iter().map(sampled).collect();
    let suite = Suite { properties, subjects, faults: faults.into_iter().map(sampled).collect() };
    let same = |sound: &Sampled, broken: &Sampled| {
        let (a, b) =
            (sound.flow.there_and_back(&sound.eps), broken.flow.there_and_back(&broken.eps));
        let apart = Finding::worst(a.iter().zip(&b).map(|(a, b)| same(a, b)));
        apart.passed().then(|| {
            let Finding { measured, allowed, .. } = apart;
            format!(
                "it changes h and its log-determinants by {measured:.0e}, less than {allowed:.0e}"
            )
        })
    };
    OfRun { suite, same, engine: Some(|| super::flows::suite().verify("flows")) }
}

fn densities(case: &Arc<Case>) -> OfRun<Box<dyn Density>> {
    let suite = Suite {
        properties: vec![densities::DRAWS],
        subjects: subject(case.density()),
        faults: faults::draws(&|| case.density()),
    };
    OfRun { suite, same: |_, _| None, engine: None }
}

fn bounds(case: &Arc<Case>, has_kl: bool) -> OfRun<Box<dyn Bound>> {
    let mut properties = vec![bound::MINIBATCHES, bound::TERMS];
    if has_kl {
        properties.push(bound::ANNEALING);
    }
    let suite = Suite {
        properties,
        subjects: subject(Box::new(case.bound()) as Box<dyn Bound>),
        faults: faults::bounds(&|| case.bound(), has_kl),
    };
    OfRun { suite, same: bound::same, engine: Some(|| bound::suite().verify("bound")) }
}

fn threads(case: &Arc<Case>) -> Suite<Computation> {
    let (sound, broken) = (case.clone(), case.clone());
    let bits = move || sound.predictions().into_iter().map(f32::to_bits).collect();
    Suite {
        properties: vec![Property {
            name: "same bits",
            proves: "its predictions are the same to the last bit on 1, 2 and 3 threads",
            measure: |c| same_bits(c, &[2, 3]),
        }],
        subjects: subject(Computation(Box::new(bits))),
        // Many of every size: a few equal predictions add up to the same in any parts.
        faults: faults::computations(move || {
            let found = broken.predictions();
            let many = found.iter().cycle().zip(1..=10_000_u16);
            many.map(|(x, i)| (1. + x.abs()) / f32::from(i)).collect()
        }),
    }
}

fn checkpoints(case: &Arc<Case>, has_moments: bool) -> Suite<Kept> {
    let kept = |keeper| Kept { case: case.clone(), keeper };
    let faults = faults::forgetful(has_moments).into_iter();
    Suite {
        properties: vec![Property {
            name: "round trip",
            proves: "its parameters, moments beside them and the position come back to the bit",
            measure: |kept| kept.case.round_trip(&kept.keeper),
        }],
        subjects: subject(kept(Keeper::SOUND)),
        faults: faults.map(|Subject { name, it }| Subject { name, it: kept(it) }).collect(),
    }
}
