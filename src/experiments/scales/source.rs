//! The networks whose directions and biases are held fixed, and the protocol's sizes.
use super::target::FixedDirections;
use crate::autodiff::Tensor;
use crate::bayes::{Estimator, Model};
use crate::data::Dataset;
use crate::error::Result;
use crate::experiments::annealing::Annealing;
use crate::experiments::digits::{digits, probabilities};
use crate::experiments::fit::Training;
use crate::experiments::nuts::Nuts;
use crate::experiments::{Lab, Tier};
use crate::metrics::{accuracy, nll};
use crate::predict::{draw, predict};
use crate::primary::Layer;
use crate::random::{Purpose, stream};
use crate::run::config::{Config, MethodKind};
use crate::run::{Header, Trained};
use crate::stats::Estimate;
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The size of the experiment at a tier.
pub(super) struct Settings {
    /// Training digits.
    pub examples: usize,
    /// The primary network.
    pub layers: Vec<Layer>,
    /// Hidden units of a coupling.
    pub hidden: usize,
    pub nuts: Nuts,
    pub chains: u64,
    pub annealing: Annealing,
    /// Training of a posterior; a recipe changes it.
    pub training: Training,
    /// Learning rates of a search for flows with couplings, and for Gaussians. Without a search,
    /// the rate is that of `training`, and for Gaussians twice that.
    pub rates: &'static [f64],
    pub gaussian_rates: &'static [f64],
    /// Whether the families or recipes that ask for it are fitted at all rates, and repeated with
    /// more time.
    pub searches: bool,
    /// Draws on which L-BFGS maximises the bound of independent Gaussians. The optimum on `K` draws
    /// is about `D/K` nats below the best.
    pub fixed_draws: usize,
    /// Number of parts, and samples per part, that a bound is measured with.
    pub measured: (u64, usize),
    /// Posterior samples of a prediction.
    pub predicted: usize,
    /// Epochs of SWAG, a quarter of which collect snapshots.
    pub swag_epochs: usize,
}

impl Settings {
    pub fn new(tier: Tier) -> Self {
        let units = tier.pick([4, 20, 50]);
        let nuts = |warmup, draws| Nuts { warmup, draws, thin: 1, depth: 8, accept: 0.8 };
        Self {
            examples: tier.pick([100, 1000, 5000]),
            layers: Layer::mlp(&[units, units], 10),
            hidden: tier.pick([8, 64, 200]),
            // With 1000 draws for 110 scales R̂ is 1.015.
            nuts: tier.pick([nuts(50, 50), nuts(1000, 1000), Nuts { thin: 2, ..nuts(1000, 4000) }]),
            chains: 4,
            annealing: Annealing {
                temperatures: tier.pick([20, 1000, 4000]),
                particles: tier.pick([4, 16, 16]),
                leapfrogs: tier.pick([2, 5, 5]),
            },
            training: Training {
                steps: tier.pick([30, 2000, 4000]),
                samples: tier.pick([4, 16, 32]),
                rate: 5e-3,
                decay: 1.,
                anneal: 0.,
                gradient: Estimator::Path,
            },
            rates: tier.pick([&[2e-3, 5e-3, 1e-2], &[2e-3, 5e-3, 1e-2], &[1e-3, 2e-3, 5e-3]]),
            gaussian_rates: &[4e-3, 1e-2, 2e-2],
            searches: true,
            fixed_draws: tier.pick([64, 512, 4096]),
            measured: tier.pick([(1, 100), (20, 200), (100, 100)]),
            predicted: tier.pick([10, 200, 400]),
            swag_epochs: tier.pick([8, 100, 100]),
        }
    }

    /// The size at which recipes are compared: at the paper tier that of the quick tier, where a
    /// fit takes a minute.
    pub fn of_recipes(tier: Tier) -> Self {
        let size = tier.pick([Tier::Smoke, Tier::Quick, Tier::Quick]);
        Self { searches: tier != Tier::Quick, ..Self::new(size) }
    }
}

/// A network whose `V` and `b` are used.
pub(super) struct Source {
    pub key: &'static str,
    pub name: &'static str,
    method: MethodKind,
    couplings: usize,
    pub epochs: usize,
}

impl Source {
    pub const fn mle(key: &'static str, name: &'static str, epochs: usize) -> Self {
        Self { key, name, method: MethodKind::Mle, couplings: 0, epochs }
    }

    pub const fn bhn(
        key: &'static str,
        name: &'static str,
        couplings: usize,
        epochs: usize,
    ) -> Self {
        Self { key, name, method: MethodKind::Bhn, couplings, epochs }
    }
}

/// The networks, in the order of the tables. After 60 epochs the widths of a posterior are still
/// near their start; after 500 they have converged.
const SOURCES: [Source; 6] = [
    Source::mle("mle", "maximum likelihood", 60),
    Source::bhn("t0", "T = 0", 0, 60),
    Source::bhn("t8", "T = 8", 8, 60),
    Source::mle("mle-500", "maximum likelihood, 500 epochs", 500),
    Source::bhn("t0-500", "T = 0, 500 epochs", 0, 500),
    Source::bhn("t8-500", "T = 8, 500 epochs", 8, 500),
];

/// The networks of a tier; the first is of maximum likelihood.
pub(super) fn sources(tier: Tier) -> &'static [Source] {
    &SOURCES[..tier.pick([3, 3, SOURCES.len()])]
}

/// The network of the recipes, where it is not the first of [`sources`].
pub(super) const SMALL: Source = Source::mle("small", "maximum likelihood, small network", 60);

/// A trained network, and the posterior over its scales.
pub(super) struct Net {
    /// Part of the keys of its cells.
    pub key: String,
    pub data: Dataset,
    pub model: Model,
    /// The run that trained it.
    pub run: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// The scales of the trained network: for a hypernet, one sample of them.
    pub scales: Vec<f64>,
    pub joint: FixedDirections,
    /// What the network predicts as it was trained.
    pub trained: Tested,
}

/// Predictions for the test digits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Tested {
    /// Fraction classified correctly, with its standard error over digits.
    pub accuracy: Estimate,
    /// `−ln p̄(y|x)` in nats per digit, with its standard error over digits.
    pub nll: Estimate,
}

impl Source {
    /// The name of the cell with its truth.
    pub fn cell(&self) -> String {
        format!("truth-{}", self.key)
    }

    fn config(&self, settings: &Settings, tier: Tier) -> Config {
        let mut config = Config { method: self.method, ..Config::default() };
        config.subset = Some(settings.examples);
        config.primary.layers = Some(settings.layers.clone());
        config.flow.couplings = self.couplings;
        config.flow.hidden = settings.hidden;
        config.train.epochs = tier.pick([2, self.epochs, self.epochs]);
        config.train.batch = 32;
        config
    }
}

/// The trained network of a source.
pub(super) fn net(lab: &Lab<'_>, settings: &Settings, source: &Source) -> Result<Net> {
    let data = digits(lab, Some(settings.examples))?;
    let config = source.config(settings, lab.tier);
    let run = format!("net-{}", source.key);
    Net::train(lab, &run, source.key, &config, data, settings.predicted)
}

/// Scales of a trained network: posterior samples `[S, D]`, or the only value of a point estimate.
fn sample(trained: &Trained, samples: usize) -> Tensor<f32> {
    let config = &trained.header.config;
    let rng = &mut stream(config.seed, Purpose::Evaluation, 0);
    draw(&trained.model, config.samples(samples), rng).0
}

/// The class probabilities `p̄ [N, K]` of the test digits, averaged over `theta [S, D]`.
pub(super) fn mean_prediction(model: &Model, theta: &Tensor<f32>, data: &Dataset) -> Array2<f32> {
    probabilities(&predict(model, theta, data.test.x.view())).to_owned()
}

impl Net {
    /// The network of the run `run`. Only this function trains one.
    pub fn train(
        lab: &Lab<'_>,
        run: &str,
        key: &str,
        config: &Config,
        data: Dataset,
        predicted: usize,
    ) -> Result<Self> {
        let train = || lab.run(run, config, data.clone());
        let tested = lab.part(run, || {
            let (_, trained) = train()?;
            let theta = sample(&trained, predicted);
            Ok(Tested::new(mean_prediction(&trained.model, &theta, &data).view(), &data))
        })?;
        let (_, trained) = train()?;
        let scales = sample(&trained, 1).iter().map(|&g| g.into()).collect();
        let Header { config, task, .. } = &trained.header;
        let model = config.precise(&trained.model, data.shape(), task);
        Ok(Self {
            key: key.into(),
            joint: FixedDirections::new(model, &data.train),
            run: lab.dir.join("runs").join(run),
            config: config.clone(),
            data,
            model: trained.model,
            scales,
            trained: tested,
        })
    }

    /// The trained network in double precision.
    pub fn precise(&self) -> Model<f64> {
        self.config.precise(&self.model, self.data.shape(), &self.data.task)
    }

    /// The configuration of a posterior that is trained on minibatches at this network's `V` and
    /// `b`.
    pub fn frozen(&self, method: MethodKind) -> Config {
        let mut config =
            Config { method, warm_start: Some(self.run.clone()), ..self.config.clone() };
        config.train.freeze = vec!["primary.*".into()];
        config
    }
}

impl Tested {
    /// Scores of the class probabilities `p [N, K]` of the test digits.
    pub fn new(p: ArrayView2<'_, f32>, data: &Dataset) -> Self {
        let labels = data.test.y.classes();
        Self { accuracy: accuracy(p, labels), nll: nll(p, labels) }
    }
}
