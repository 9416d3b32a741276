//! The suites of a run: the engine's properties, measured on a trained network at its own
//! parameters.
use super::bound::{self, Elbo};
use super::checkpoints::{self, Format, numbers};
use super::flows::{self, Flow};
use super::hypernets::{self, Density};
use super::loss::{self, Loss, Setting};
use super::suite::{Absent, Instance, Measurement, Outcome, Property, RunSuite, Suite, Verify};
use super::threads::{self, Computation, means, same_bits};
use super::widths;
use crate::autodiff::{Owned, Tape, Tensor};
use crate::bayes::{Estimator, Kl, Model, Noise, PointPrior, Prior, Targets};
use crate::data::Split;
use crate::data::temporary::Folder;
use crate::error::Result;
use crate::flows::Bijector;
use crate::nn::optim::Optimiser;
use crate::predict::{Widths, draw, predict};
use crate::random::{Purpose, stream};
use crate::run::Trained;
use crate::run::config::Method;
use ndarray::{Array2, Axis, Slice};
use std::sync::{Arc, LazyLock, OnceLock};

/// A trained network and its first training examples.
pub struct Case {
    /// The network.
    pub trained: Trained,
    examples: Split,
    setting: OnceLock<Setting>,
    widths: OnceLock<Option<Widths>>,
}

/// A suite's name, and what makes it.
pub type MakeSuite = (&'static str, Box<dyn Fn() -> Box<dyn Verify>>);

/// The number of examples in the loss whose gradient is checked. It is small because the loss of
/// more examples has more kinks.
const DIFFERENTIATED: usize = 3;
/// The number of groups of examples that are tried until the loss responds, and the number of steps
/// away from a kink that are tried.
const PLACES: usize = 8;
const MOVES: u64 = 4;
/// The number of examples whose predictions are compared across numbers of threads.
const PREDICTED: usize = 256;
/// The largest `D` for which a Jacobian is built. If `D` is above [`SMALL`], it is built at a
/// single sample only.
const JACOBIAN: usize = 4096;
const SMALL: usize = 64;
/// The number of samples that are mapped through the flow and back.
const SAMPLES: usize = 4;

impl Case {
    /// A run and its training set.
    pub fn new(trained: Trained, train: &Split) -> Arc<Self> {
        let examples = train.subset(train.len().min(PREDICTED));
        Arc::new(Self { trained, examples, setting: OnceLock::new(), widths: OnceLock::new() })
    }

    /// The model in `f64`; if `shared`, its noise depends on the seed and not on the minibatch.
    fn model(&self, shared: bool) -> Model<f64> {
        let header = &self.trained.header;
        let mut config = header.config.clone();
        // Local reparametrisation draws separate noise for each example of a batch.
        config.mean_field.local &= !shared;
        // Finite differences and densities are those of the bound itself.
        config.train.gradient = Estimator::Total;
        let mut model = config.precise(&self.trained.model, header.shape(), &header.task);
        if shared {
            model.noise = Noise::Shared;
        }
        model
    }

    /// The model in `f64`, otherwise as trained.
    pub fn precise(&self) -> Model<f64> {
        self.model(false)
    }

    /// The run's [`Trained::widths`].
    pub fn widths(&self) -> Option<&Widths> {
        self.widths.get_or_init(|| self.trained.widths()).as_ref()
    }

    /// `D`, the number of entries of `θ`.
    fn dim(&self) -> usize {
        self.trained.model.primary.dim()
    }

    /// Whether the bound has a KL. A draw decides, since concrete dropout has a KL although it has
    /// no density.
    fn has_kl(&self) -> bool {
        let (model, tape) = (&self.trained.model, Tape::default());
        let rng = &mut stream(0, Purpose::Sample, 0);
        let draw = model.posterior.draw(&model.params.freeze(&tape), 1, rng);
        !matches!(draw.kl, Kl::Absent)
    }

    /// Whether `ln q(θ)` of any `θ` can be computed. Multiplicative normalizing flows have only the
    /// `ln q` of their own samples.
    fn has_density(&self) -> bool {
        let (model, tape) = (&self.trained.model, Tape::default());
        let p = model.params.freeze(&tape);
        let theta = model.posterior.draw(&p, 1, &mut stream(0, Purpose::Sample, 0)).theta;
        model.posterior.density(&p, theta).is_some()
    }

    /// Whether the optimiser keeps moments.
    fn has_moments(&self) -> bool {
        let Trained { model, header, .. } = &self.trained;
        let optimiser = Optimiser::new(header.config.train.optimiser, &model.params);
        optimiser.moments().next().is_some()
    }

    /// `count` examples from `first` on, cyclically.
    fn batch(&self, first: usize, count: usize) -> (Array2<f64>, Targets<f64>) {
        let rows: Vec<_> = (first..first + count).map(|n| n % self.examples.len()).collect();
        let (x, y) = self.examples.batch(&rows);
        (x.mapv(f64::from), y.cast())
    }

    fn loss(&self) -> Loss {
        self.loss_at(*self.setting.get_or_init(|| self.setting()))
    }

    fn loss_at(&self, setting: Setting) -> Loss {
        let header = &self.trained.header;
        let samples = header.config.train.samples.clamp(2, 8);
        let (x, mut y) = self.batch(setting.first, DIFFERENTIATED);
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

    /// The first examples whose loss responds to the parameters; if there are none, the first whose
    /// loss responds with other targets. If the run's parameters are at a kink, they are moved
    /// away.
    fn setting(&self) -> Setting {
        let firsts = || (0..self.examples.len()).step_by(DIFFERENTIATED).take(PLACES);
        let places = [false, true].into_iter().flat_map(|other_targets| {
            firsts().map(move |first| Setting { first, other_targets, moved: None })
        });
        let place = places.into_iter().find(|&place| self.loss_at(place).responds());
        let place = place.unwrap_or_default();
        let steps = [None].into_iter().chain((0..MOVES).map(|seed| Some(1000 * (seed + 1))));
        let mut settings = steps.map(|moved| Setting { moved, ..place });
        let resolved = |&setting: &Setting| {
            self.loss_at(setting).differences().judged && !self.loss_at(setting).is_at_kink()
        };
        settings.find(resolved).unwrap_or(Setting { moved: Some(1000 * MOVES), ..place })
    }

    fn elbo(&self) -> Elbo {
        let (x, y) = self.batch(0, bound::N);
        // The loss of a bound is `−ELBO/N`, without a prior of point estimates.
        let model = Model { point_prior: PointPrior::default(), ..self.model(true) };
        bound::of_model(model, x, y)
    }

    fn density(&self) -> Density {
        let Model { params, posterior, .. } = self.model(true);
        Density::new(self.dim(), params, posterior)
    }

    fn flow(&self) -> Flow {
        let Model { params, posterior, .. } = self.model(true);
        Flow { params, map: Box::new(posterior.flow().expect("a flow").clone()) }
    }

    /// The noise `ε [S, D]` of samples drawn from the posterior.
    fn noise(&self) -> Owned<f64> {
        let (model, tape) = (self.model(true), Tape::default());
        let p = model.params.freeze(&tape);
        let rng = &mut stream(self.trained.header.config.seed, Purpose::Sample, 0);
        let theta = model.posterior.draw(&p, SAMPLES, rng).theta;
        model.posterior.flow().expect("a flow").inverse(&p, theta).0.value().to_owned()
    }

    fn predictions(&self) -> Vec<f32> {
        let Trained { model, header, .. } = &self.trained;
        let rng = &mut stream(header.config.seed, Purpose::Evaluation, 0);
        let (theta, _) = draw(model, header.config.samples(5), rng);
        means(predict(model, &theta, self.examples.x.view()))
    }

    /// Writes the run's checkpoint and reads it into an untrained network. The moments are made up,
    /// since the checkpoint of the best epoch has none.
    fn round_trip(&self, format: &Format) -> Measurement {
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
            let folder = Folder::new()?;
            let path = folder.path().join("best.safetensors");
            (format.save)(&path, header, &model.params, &optimiser)?;
            (format.load)(&path, &mut params, &mut restored)
        };
        match there_and_back() {
            Err(error) => Measurement::holds(false, error.to_string()),
            Ok(()) => {
                let (before, after) =
                    (numbers(&model.params, &optimiser), numbers(&params, &restored));
                let differ = before.iter().zip(&after).filter(|(a, b)| a != b).count();
                Measurement::new(differ as f64, 0., "numbers that differ")
            }
        }
    }
}

/// Every suite that applies to a run, and the properties that do not apply.
pub fn suites(case: &Arc<Case>) -> (Vec<MakeSuite>, Vec<Absent>) {
    let config = &case.trained.header.config;
    let (method, d) = (config.method, case.dim());
    let has_flow = matches!(Method::from(config), Method::Hypernet(..));
    let has_density = case.has_density();
    let has_log_q = Method::from(config).has_density();
    let is_gaussian = matches!(config.prior, Prior::Gaussian { .. });
    type Make = fn(&Arc<Case>) -> Box<dyn Verify>;
    let suites: [(_, _, Make); 7] = [
        ("gradients", true, |case| Box::new(gradients(case))),
        ("flows", has_flow, |case| Box::new(flows(case))),
        ("densities", has_density, |case| Box::new(densities(case))),
        ("bound", true, |case| Box::new(bounds(case))),
        ("widths", has_log_q && is_gaussian, |case| Box::new(widths(case))),
        ("threads", true, |case| Box::new(threads(case))),
        ("checkpoints", true, |case| Box::new(checkpoints(case))),
    ];
    let make = |(name, _, suite): (_, _, Make)| -> MakeSuite {
        let case = case.clone();
        (name, Box::new(move || suite(&case)))
    };
    let no_flow = || format!("{method} has no flow h with θ = h(ε)");
    let large = format!(
        "D = {d}, and no Jacobian beyond {JACOBIAN} is built: `inverse` compares the way there with the way back, and the engine's `flows` has the Jacobian of this kind of flow for D = 5"
    );
    let properties = [
        ("flows", "inverse", has_flow, no_flow()),
        ("flows", "log-determinant", has_flow, no_flow()),
        ("flows", "log-determinant", !has_flow || d <= JACOBIAN, large),
        ("densities", "draws", has_density, format!("{method} has no density q(θ)")),
        ("bound", "annealing", case.has_kl(), format!("{method} has no KL, so no β")),
        ("widths", "lower bound", has_log_q, format!("{method} has no density q(θ), so no KL")),
        ("widths", "lower bound", !has_log_q || is_gaussian, "the prior is not Gaussian".into()),
        ("checkpoints", "moments", case.has_moments(), "sgd without momentum keeps none".into()),
    ];
    let absent = properties.into_iter().filter(|&(_, _, applies, _)| !applies);
    (
        suites.into_iter().filter(|&(_, applies, _)| applies).map(make).collect(),
        absent.map(|(suite, property, _, why)| Absent { suite, property, why }).collect(),
    )
}

/// The engine's outcomes, which say which faults a property is expected to notice.
static FLOWS: LazyLock<Outcome> = LazyLock::new(|| flows::suite().verify("flows"));
static BOUND: LazyLock<Outcome> = LazyLock::new(|| bound::suite().verify("bound"));
static WIDTHS: LazyLock<Outcome> = LazyLock::new(|| widths::suite().verify("widths"));

/// The one instance of a run's suite.
fn the_run<S>(value: S) -> Vec<Instance<S>> {
    vec![Instance::new("the run", value)]
}

fn gradients(case: &Case) -> RunSuite<Loss> {
    let suite = Suite {
        properties: vec![loss::WHOLE_LOSS],
        instances: the_run(case.loss()),
        faults: loss::faults(&|| case.loss(), case.has_kl()),
    };
    RunSuite { suite, equivalent: Loss::equivalent, engine: None }
}

/// A flow and noise `ε [S, D]` to send through it.
type AtNoise = (Flow, Owned<f64>);

fn flows(case: &Case) -> RunSuite<AtNoise> {
    let eps = case.noise();
    let mut properties: Vec<Property<AtNoise>> = vec![Property::new(
        "inverse",
        "h⁻¹(h(ε)) = ε at its own samples, and the log-determinants of both directions cancel",
        |(flow, eps)| flows::singular(flow, eps).unwrap_or_else(|| flows::inverse(flow, eps)),
    )];
    let mut faults = flows::inverse_faults(&|| case.flow());
    if case.dim() <= JACOBIAN {
        properties.push(Property::new(
            "log-determinant",
            "ln|det ∂h/∂ε| is that of the Jacobian built row by row, at its own samples",
            |(flow, eps)| {
                let samples = if eps.shape()[1] > SMALL { 1 } else { SAMPLES };
                let some = eps.slice_axis(Axis(0), Slice::from(..samples)).to_owned();
                flows::singular(flow, eps).unwrap_or_else(|| flows::log_det(flow, &some))
            },
        ));
        faults.extend(flows::log_det_faults(&|| case.flow()));
    }
    let at_noise = |flow| (flow, eps.clone());
    let suite = Suite {
        properties,
        instances: the_run(at_noise(case.flow())),
        faults: faults.into_iter().map(|fault| fault.map(at_noise)).collect(),
    };
    RunSuite {
        suite,
        equivalent: |(run, eps), (fault, _)| flows::equivalent(run, fault, eps),
        engine: Some(&FLOWS),
    }
}

fn densities(case: &Case) -> RunSuite<Density> {
    let suite = Suite {
        properties: vec![hypernets::DRAWS],
        instances: the_run(case.density()),
        faults: hypernets::faults(&|| case.density()),
    };
    RunSuite { suite, equivalent: |_, _| None, engine: None }
}

fn bounds(case: &Case) -> RunSuite<Elbo> {
    let mut properties = vec![bound::MINIBATCHES, bound::TERMS];
    properties.extend(case.has_kl().then_some(bound::ANNEALING));
    let suite = Suite {
        properties,
        instances: the_run(case.elbo()),
        faults: bound::faults(&|| case.elbo(), case.has_kl()),
    };
    RunSuite { suite, equivalent: bound::equivalent, engine: Some(&BOUND) }
}

fn widths(case: &Case) -> RunSuite<Widths> {
    let sound = || case.widths().expect("a density and a Gaussian prior").clone();
    let suite = Suite {
        properties: vec![widths::LOWER_BOUND],
        instances: the_run(sound()),
        faults: widths::faults(&sound, case.trained.header.examples),
    };
    RunSuite { suite, equivalent: widths::equivalent, engine: Some(&WIDTHS) }
}

fn threads(case: &Arc<Case>) -> Suite<Computation> {
    let (run, fault) = (case.clone(), case.clone());
    let bits = move || run.predictions().into_iter().map(f32::to_bits).collect();
    Suite {
        properties: vec![Property::new(
            "same bits",
            "its predictions are the same to the last bit on 1, 2 and 3 threads",
            |computation| same_bits(computation, &[2, 3]),
        )],
        instances: the_run(Box::new(bits)),
        // The terms are many and of different sizes: the sum of a few equal predictions may be the
        // same however it is split into parts.
        faults: threads::faults(move || {
            let found = fault.predictions();
            let many = found.iter().cycle().zip(1..=10_000_u16);
            many.map(|(x, i)| (1. + x.abs()) / f32::from(i)).collect()
        }),
    }
}

fn checkpoints(case: &Arc<Case>) -> Suite<(Arc<Case>, Format)> {
    let saved = |format| (case.clone(), format);
    let faults = checkpoints::lossy(case.has_moments()).into_iter();
    Suite {
        properties: vec![Property::new(
            "round trip",
            "its parameters, moments beside them and the position come back to the bit",
            |(case, format)| case.round_trip(format),
        )],
        instances: the_run(saved(checkpoints::ENGINE)),
        faults: faults.map(|fault| fault.map(saved)).collect(),
    }
}
