//! The keys of `config.toml`, their types and their defaults.
use super::choices::{NoiseLevel, Select};
use crate::autodiff::Precision;
use crate::bayes::{Estimator, Hessian, HypernetConfig, MnfConfig, Noise, Prior, SwagConfig};
use crate::data::{Augment, Missing, TaskKind, files};
use crate::error::{Error, Result};
use crate::nn::optim::{Clip, Schedule, Update};
use crate::primary::Layer;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// The maximum size of a `config.toml` in bytes.
const BYTES: u64 = 1 << 20;

/// The configuration of a run. Serialised, it is `config.toml`; omitted keys take their default
/// values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name of a data set, such as `mnist`, or the path of a table or an `.npz` file.
    pub data: String,
    /// The column of a table to predict; by default the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Classification or regression; by default inferred from the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskKind>,
    /// Missing values of a file: `impute`, `drop` the rows or `refuse` the file. Older versions
    /// wrote `drop_missing = true`.
    #[serde(alias = "drop_missing", skip_serializing_if = "is_imputed")]
    pub missing: Missing,
    /// The columns of a table that are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// The column of a table that tells the part of each row: `train`, `validation` or `test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// The path of a table of validation rows; by default they are taken from `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<String>,
    /// The path of a table of test rows; by default they are taken from `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// The least number of validation rows that are taken from a file, up to a fifth of its rows.
    /// By default 0: a tenth of the rows, however few these are.
    #[serde(skip_serializing_if = "is_none")]
    pub validation_rows: usize,
    /// Height and width in pixels that the pictures of a folder are resampled to; by default their
    /// own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// Use only the first `subset` training examples; by default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<usize>,
    /// The method: which posterior, over which parameters.
    pub method: MethodKind,
    /// The folder of a run with the same layers, for instance of `mle`. The parameters of its
    /// network and likelihood are the initial ones of this run, and the posterior is centred on a
    /// sample of its `θ`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<PathBuf>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The primary network.
    pub primary: Primary,
    /// The flow of `bhn` and `full-bhn`.
    pub flow: HypernetConfig,
    /// The posterior of `bbb`.
    pub mean_field: MeanFieldConfig,
    /// The posterior of `mnf`.
    pub mnf: MnfConfig,
    /// The masks of `dropout`, `mc-dropout` and `concrete-dropout`.
    pub dropout: DropoutConfig,
    /// The networks of `ensemble`.
    pub ensemble: EnsembleConfig,
    /// The Gaussian of `laplace`.
    pub laplace: LaplaceConfig,
    /// The snapshots of `swag`.
    pub swag: SwagConfig,
    /// `p(θ)`.
    pub prior: Prior,
    /// `p(y | x, θ)`.
    pub likelihood: LikelihoodConfig,
    /// The optimisation.
    pub train: Train,
}

/// The values of `method`; a [`Method`](super::Method) adds the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// A Bayesian hypernetwork over the weight-normalisation scales.
    #[default]
    Bhn,
    /// A Bayesian hypernetwork over all weights and biases, for small networks.
    FullBhn,
    /// Maximum likelihood: the scales are parameters like any other.
    Mle,
    /// Dropout, by default after every activation; a prediction is one pass without masks.
    Dropout,
    /// Dropout with predictions averaged over masks (Gal & Ghahramani 2016).
    McDropout,
    /// MC dropout with learned rates (Gal, Hron & Kendall 2017).
    ConcreteDropout,
    /// Bayes by Backprop: independent normals over all weights and biases (Blundell et al. 2015).
    Bbb,
    /// Multiplicative normalizing flows over all weights and biases (Louizos & Welling 2017).
    Mnf,
    /// A deep ensemble (Lakshminarayanan et al. 2017).
    Ensemble,
    /// A Laplace approximation over the weight-normalisation scales (MacKay 1992).
    Laplace,
    /// SWAG over the weight-normalisation scales (Maddox et al. 2019).
    Swag,
}

/// `[primary]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Primary {
    /// The layers; by default two hidden layers of ReLUs, with 800 units each for images and 50
    /// each for tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<Layer>>,
}

/// `[mean_field]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeanFieldConfig {
    /// The initial logarithm of every standard deviation.
    pub log_std: f64,
    /// Whether to train by local reparametrisation, which samples pre-activations instead of
    /// weights; needs a Gaussian prior. A network with convolutions is trained on sampled weights
    /// in any case.
    pub local: bool,
}

/// `[dropout]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropoutConfig {
    /// The probability of dropping a unit; if rates are learned, their initial value. It is used
    /// only if `primary.layers` has no dropout layers.
    pub rate: f64,
}

/// `[ensemble]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnsembleConfig {
    /// The number of networks.
    pub members: usize,
}

/// `[laplace]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaplaceConfig {
    /// How the Hessian is computed.
    pub hessian: Hessian,
}

/// `[likelihood]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LikelihoodConfig {
    /// Classification: clip probabilities in the loss to `[clip, 1 − clip]`, as the paper does with
    /// 0.001; by default they are not clipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Regression: the precision of the observation noise in standardised units; by default
    /// learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// Regression: `constant`, one noise level for all inputs; or `input`, a noise level that
    /// depends on the input, the network's second output.
    #[serde(skip_serializing_if = "is_constant")]
    pub noise: NoiseLevel,
}

/// Whether there is one noise level, as by default.
fn is_constant(noise: &NoiseLevel) -> bool {
    *noise == NoiseLevel::Constant
}

/// `[train]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// The number of passes over the training examples.
    pub epochs: usize,
    /// The minibatch size.
    pub batch: usize,
    /// `S`, the number of posterior samples at which a step evaluates each example; for `ensemble`,
    /// the number of members.
    pub samples: usize,
    /// Random augmentation of images in each step; by default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<Augment>,
    /// Whether the examples of a minibatch share posterior samples, as in the paper, or each
    /// example has its own; by default shared, except for dropout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// The estimator of the bound's gradient: `total`, as in the paper, or `path`, whose variance
    /// vanishes as the posterior approaches the exact one; needs a density with a fast inverse. By
    /// default `total`.
    pub gradient: Estimator,
    /// The precision of the factors of the network's products, in training and in the predictions
    /// of the run: `f32`, or `bf16`, bfloat16 with sums in `f32`. Products of a hypernetwork, and
    /// convolutions that are faster in `f32`, stay in `f32`.
    #[serde(skip_serializing_if = "is_single")]
    pub precision: Precision,
    /// Data-dependent initialisation on the last 64 training examples (Salimans & Kingma 2016), as
    /// in the authors' code; needs a posterior over scales.
    pub data_init: bool,
    /// The parameters that are held fixed, by name: `*` stands for any characters, as in
    /// `["primary.*"]`. Useful after `warm_start`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// The number of posterior samples for a validation.
    pub validation_samples: usize,
    /// Validate and write a checkpoint every `validate_every` epochs, and after the last.
    pub validate_every: usize,
    /// What the best epoch is chosen by on validation: `accuracy`, or `nll` if probabilities matter
    /// more than classes. A regression has the NLL alone.
    #[serde(skip_serializing_if = "is_accuracy")]
    pub select: Select,
    /// Training ends when the best epoch is this many epochs ago; 0 never ends it early. `laplace`
    /// and `swag` need all epochs.
    #[serde(skip_serializing_if = "is_none")]
    pub patience: usize,
    /// The initial learning rate.
    pub learning_rate: f64,
    /// The factor of the learning rate of the posterior's own parameters, whose names start with
    /// `posterior.`. Adam moves each log-deviation of `q` by at most about the sum of its learning
    /// rates; with a factor above 1 they reach their optimum in a short training.
    pub posterior_rate: f64,
    /// The factor of the learning rate of the likelihood's own parameters, whose names start with
    /// `likelihood.`: the logarithm of the noise's precision, which has to move by several units.
    #[serde(skip_serializing_if = "is_one")]
    pub likelihood_rate: f64,
    /// The learning-rate schedule.
    pub schedule: Schedule,
    /// The number of epochs over which the weight of the KL rises from 0.001 to 1; 0 disables
    /// annealing.
    pub kl_anneal_epochs: f64,
    /// The weight of the KL in the loss, times that of annealing. Below 1 the posterior is tempered
    /// ("cold"): narrower, as if each example had been observed `1/kl_weight` times. The reported
    /// bound has the weight 1. No effect on a method without a KL: `mle`, `ensemble`, `dropout`,
    /// `mc-dropout`.
    #[serde(skip_serializing_if = "is_one")]
    pub kl_weight: f64,
    /// The concentration `κ` of a von Mises-Fisher prior of each direction `V` around its initial
    /// one, after a warm start if there is one. Directions stay point estimates, and the reported
    /// bound does not include their prior ([`PointPrior`](crate::bayes::PointPrior)). 0 is the
    /// uniform distribution; needs a posterior over scales.
    #[serde(skip_serializing_if = "is_zero")]
    pub kappa: f64,
    /// The precision `λ` of a Gaussian prior of the biases, which stay point estimates as the
    /// directions do. 0 is no prior; needs a posterior over scales.
    #[serde(skip_serializing_if = "is_zero")]
    pub bias_precision: f64,
    /// The maximum global norm of the gradient.
    pub clip_norm: f64,
    /// The maximum magnitude of a gradient entry, applied after `clip_norm`.
    pub clip_element: f64,
    /// The optimiser.
    pub optimiser: Update,
}

/// Whether the best epoch is chosen by accuracy, as by default.
fn is_accuracy(select: &Select) -> bool {
    *select == Select::Accuracy
}

/// Whether missing values are imputed, as by default.
fn is_imputed(missing: &Missing) -> bool {
    *missing == Missing::Impute
}

/// Whether `n` is 0, for a limit that is not set.
fn is_none(n: &usize) -> bool {
    *n == 0
}

/// Whether products are in single precision, as by default.
fn is_single(precision: &Precision) -> bool {
    *precision == Precision::F32
}

/// Whether `x` is 1, as a factor is by default.
fn is_one(x: &f64) -> bool {
    *x == 1.
}

/// Whether `x` is 0, as for no prior.
fn is_zero(x: &f64) -> bool {
    *x == 0.
}

impl Train {
    /// The factor of the learning rate of the parameter `name`.
    pub fn rate_factor(&self, name: &str) -> f64 {
        match name.split('.').next() {
            Some("posterior") => self.posterior_rate,
            Some("likelihood") => self.likelihood_rate,
            _ => 1.,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "mnist".into(),
            target: None,
            task: None,
            missing: Missing::Impute,
            drop: vec![],
            split: None,
            validation: None,
            test: None,
            validation_rows: 0,
            size: None,
            subset: None,
            method: MethodKind::default(),
            warm_start: None,
            seed: 0,
            primary: Primary::default(),
            flow: HypernetConfig::default(),
            mean_field: MeanFieldConfig { log_std: -4., local: true },
            mnf: MnfConfig::default(),
            dropout: DropoutConfig { rate: 0.5 },
            ensemble: EnsembleConfig { members: 5 },
            laplace: LaplaceConfig::default(),
            swag: SwagConfig::default(),
            prior: Prior::default(),
            likelihood: LikelihoodConfig::default(),
            train: Train::default(),
        }
    }
}

impl Default for MeanFieldConfig {
    fn default() -> Self {
        Config::default().mean_field
    }
}

impl Default for DropoutConfig {
    fn default() -> Self {
        Config::default().dropout
    }
}

impl Default for EnsembleConfig {
    fn default() -> Self {
        Config::default().ensemble
    }
}

impl Default for Train {
    fn default() -> Self {
        let clip = Clip::default();
        Self {
            epochs: 10,
            batch: 128,
            samples: 1,
            augment: None,
            noise: None,
            gradient: Estimator::Total,
            precision: Precision::F32,
            data_init: false,
            freeze: vec![],
            validation_samples: 20,
            validate_every: 1,
            select: Select::Accuracy,
            patience: 0,
            learning_rate: 1e-3,
            posterior_rate: 1.,
            likelihood_rate: 1.,
            schedule: Schedule::Paper,
            kl_anneal_epochs: 0.,
            kl_weight: 1.,
            kappa: 0.,
            bias_precision: 0.,
            clip_norm: clip.norm,
            clip_element: clip.element,
            optimiser: Update::default(),
        }
    }
}

impl fmt::Display for MethodKind {
    /// The name in `config.toml`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl Config {
    /// Read the `config.toml` of a run folder.
    ///
    /// # Errors
    /// If the file cannot be read, is a pipe, or has an unknown key or a value of the wrong type.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &files::regular_text(path, BYTES)?)
    }

    /// The text of a `config.toml`, which may be a pipe.
    pub(super) fn text(path: &Path) -> Result<String> {
        files::text(path, BYTES)
    }

    /// Parse the text of a `config.toml`; errors refer to it by the name `what`.
    ///
    /// # Errors
    /// If it has an unknown key or a value of the wrong type.
    pub fn parse(what: &str, text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let found = error.to_string();
            let found = found.trim_end().trim_end_matches('.');
            let expected = "keys and values like those of `config.toml` in any run folder";
            Error::invalid(what, found, expected, "Correct that line.")
        })
    }

    /// The configuration as TOML, with every value written out.
    #[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is valid TOML")
    }
}
