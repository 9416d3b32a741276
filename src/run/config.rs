//! What a run is made of: `config.toml`, and the [`Model`] it describes.
use crate::bayes::{
    Base, Dropout, Ensemble, FlowKind, Hypernet, HypernetConfig, Likelihood, MeanField, Model,
    Noise, Point, Posterior, Prior, Rates,
};
use crate::data::{Augment, Dataset, Task, TaskKind, files};
use crate::error::{Error, Result};
use crate::kernels::scalar::Scalar;
use crate::nn::optim::{Clip, Schedule, Update};
use crate::nn::{Buffers, Init, Params};
use crate::primary::{AllWeights, Layer, Placed, PrimaryNet, Shape, WeightNormed};
use crate::random::{Purpose, stream};
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// The most numbers in all weights, and in one array of a step: 1 GiB.
const LIMIT: usize = 1 << 28;

/// Components of a mixture, each of which has a density of its own.
const MOST_COMPONENTS: usize = 1000;

/// The most bytes of a `config.toml`.
const BYTES: u64 = 1 << 20;

/// The same number of samples of a `θ` of so many `entries`.
///
/// # Errors
/// If memory has no chance to hold them.
pub fn check_samples(samples: usize, entries: usize) -> Result<usize> {
    let most = (LIMIT / entries.max(1)).max(1);
    if samples > most {
        let expected = format!("at most {most} of the {entries} entries of θ");
        return Err(Error::invalid("--samples", samples, expected, "Take fewer."));
    }
    Ok(samples)
}

/// How the posterior over `θ` is represented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// A Bayesian hypernetwork over the weight-normalisation scales.
    #[default]
    Bhn,
    /// A Bayesian hypernetwork over all weights and biases, for small networks.
    FullBhn,
    /// Maximum likelihood: the scales are parameters like any other.
    Mle,
    /// Dropout after every activation; a prediction is one pass without it.
    Dropout,
    /// The same, averaged over masks (Gal & Ghahramani 2016).
    McDropout,
    /// MC dropout with learned rates (Gal, Hron & Kendall 2017).
    ConcreteDropout,
    /// Bayes by Backprop: independent normals over all weights and biases (Blundell et al. 2015).
    Bbb,
    /// A deep ensemble: a few networks trained side by side (Lakshminarayanan et al. 2017).
    Ensemble,
}

impl Method {
    /// Whether `θ` has one value and no density: no KL, and nothing to average over.
    pub fn is_point(self) -> bool {
        matches!(self, Self::Mle | Self::Dropout)
    }

    /// Whether `ln q(θ)` is known, and so the bound.
    pub fn has_density(self) -> bool {
        matches!(self, Self::Bhn | Self::FullBhn | Self::Bbb)
    }

    /// Whether the bound has a KL: those with a density, and concrete dropout, which has one of its own.
    pub fn has_kl(self) -> bool {
        self.has_density() || self == Self::ConcreteDropout
    }

    /// Whether `θ` is all weights and biases; otherwise it is scales, and perhaps masks.
    pub fn is_over_all_weights(self) -> bool {
        matches!(self, Self::FullBhn | Self::Bbb | Self::Ensemble)
    }

    /// Whether `θ` has masks.
    pub fn drops(self) -> bool {
        matches!(self, Self::Dropout | Self::McDropout | Self::ConcreteDropout)
    }

    /// Whether `θ` comes from a flow.
    pub fn has_flow(self) -> bool {
        matches!(self, Self::Bhn | Self::FullBhn)
    }
}

impl fmt::Display for Method {
    /// As in `config.toml`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A run, whole. Serialised it is `config.toml`; keys left out there take these defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A name, such as `mnist`, or a `.csv` or `.npz` file.
    pub data: String,
    /// The CSV column to predict; the last if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Classification or regression; guessed from the target if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskKind>,
    /// Whether rows of a file with a missing value are left out; an error otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop_missing: bool,
    /// How many of the training examples to use, from the first; all if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<usize>,
    /// How the posterior is represented.
    pub method: Method,
    /// A run folder, of `mle` for instance, from whose network training starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<PathBuf>,
    /// Decides everything random.
    pub seed: u64,
    /// The network that predicts.
    pub primary: Primary,
    /// The hypernet.
    pub flow: HypernetConfig,
    /// Of `bbb`.
    pub mean_field: MeanFieldConfig,
    /// Of the methods with dropout.
    pub dropout: DropoutConfig,
    /// Of `ensemble`.
    pub ensemble: EnsembleConfig,
    /// `p(θ)`.
    pub prior: Prior,
    /// `p(y | x, θ)`.
    pub likelihood: LikelihoodConfig,
    /// How it is trained.
    pub train: Train,
}

/// `[primary]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Primary {
    /// Layers in words; by default 800 and 800 ReLUs for images, 50 and 50 for tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<Layer>>,
}

/// `[mean_field]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeanFieldConfig {
    /// Where the logarithm of every standard deviation starts.
    pub log_std: f64,
    /// Whether training samples activations in place of weights (local reparametrisation); needs a
    /// Gaussian prior. A network with convolutions has its weights sampled all the same.
    pub local: bool,
}

/// `[dropout]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropoutConfig {
    /// The probability of dropping a unit, where it starts if it is learned; for layers that
    /// primary.layers does not give one.
    pub rate: f64,
}

/// `[ensemble]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnsembleConfig {
    /// Networks.
    pub members: usize,
}

/// `[likelihood]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LikelihoodConfig {
    /// Classification: hold probabilities within `[clip, 1 − clip]` in the loss, as the paper does
    /// with 0.001; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Regression: the noise's precision in standardised units; learned by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
}

/// `[train]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// Passes over the training examples.
    pub epochs: usize,
    /// Examples a step.
    pub batch: usize,
    /// `S`, the noise samples a step, each on all of its examples; the members of an ensemble.
    pub samples: usize,
    /// Change images at random before each step; not if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<Augment>,
    /// Whether a minibatch shares them (the paper's way) or each example has its own; by default shared,
    /// but for dropout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<Noise>,
    /// Start with activations normalised over the last 64 training examples (Salimans & Kingma
    /// 2016), as the authors do; networks of scales alone.
    pub data_init: bool,
    /// Posterior samples for a validation.
    pub validation_samples: usize,
    /// Epochs from one validation and checkpoint to the next; there are both after the last.
    pub validate_every: usize,
    /// The learning rate at the start.
    pub learning_rate: f64,
    /// What becomes of it.
    pub schedule: Schedule,
    /// Epochs over which the KL's weight rises from 0.001 to 1; 0 for none.
    pub kl_anneal_epochs: f64,
    /// The largest global norm of the gradient.
    pub clip_norm: f64,
    /// The largest element of it after that.
    pub clip_element: f64,
    /// How a gradient becomes a step.
    pub optimiser: Update,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "mnist".into(),
            target: None,
            task: None,
            drop_missing: false,
            subset: None,
            method: Method::default(),
            warm_start: None,
            seed: 0,
            primary: Primary::default(),
            flow: HypernetConfig::default(),
            mean_field: MeanFieldConfig::default(),
            dropout: DropoutConfig::default(),
            ensemble: EnsembleConfig::default(),
            prior: Prior::default(),
            likelihood: LikelihoodConfig::default(),
            train: Train::default(),
        }
    }
}

impl Default for MeanFieldConfig {
    fn default() -> Self {
        Self { log_std: -4., local: true }
    }
}

impl Default for DropoutConfig {
    fn default() -> Self {
        Self { rate: 0.5 }
    }
}

impl Default for EnsembleConfig {
    fn default() -> Self {
        Self { members: 5 }
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
            data_init: false,
            validation_samples: 20,
            validate_every: 1,
            learning_rate: 1e-3,
            schedule: Schedule::Paper,
            kl_anneal_epochs: 0.,
            clip_norm: clip.norm,
            clip_element: clip.element,
            optimiser: Update::default(),
        }
    }
}

impl Config {
    /// Read `config.toml`.
    ///
    /// # Errors
    /// If the file cannot be read, or a key or value in it is not one of ours.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&path.display().to_string(), &files::text(path, BYTES)?)
    }

    /// The same of `text`, called `what`.
    ///
    /// # Errors
    /// If a key or value in it is not one of ours.
    pub fn parse(what: &str, text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let expected = "keys and values like those of `config.toml` in any run folder";
            Error::invalid(
                what,
                error.to_string().trim_end().trim_end_matches('.'),
                expected,
                "Mend that line.",
            )
        })
    }

    /// As TOML, every value written out.
    #[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is valid TOML")
    }

    /// Fill in what depends on the data, and check that all of it makes sense together.
    ///
    /// # Errors
    /// If a size is zero, a number out of its range, or the network does not fit the data.
    pub fn resolve(mut self, data: &Dataset) -> Result<Self> {
        let outputs = data.task.outputs();
        let hidden: &[usize] = if data.image.is_some() { &[800, 800] } else { &[50, 50] };
        let layers = self.primary.layers.get_or_insert_with(|| Layer::mlp(hidden, outputs));
        if layers.last() != Some(&Layer::Dense(outputs)) {
            let found = layers.last().map_or("nothing".into(), |l| format!("`{l}`"));
            let expected = format!("`dense {outputs}`, one unit for each output of {}", data.name);
            return Err(Error::invalid(
                "last layer of primary.layers",
                found,
                expected,
                "Mend it.",
            ));
        }
        self.check_numbers()?;
        if let Some(augment) = self.train.augment {
            augment.check(data.image)?;
        }
        self.resolve_method()?;
        let entries = self.entries(data)?;
        let realnvp = self.method.has_flow() && self.flow.kind == FlowKind::Realnvp;
        if realnvp && self.flow.couplings > 0 && entries < 2 {
            let advice = "Use --couplings 0 or a larger network.";
            return Err(Error::invalid(
                "the network",
                "1 unit",
                "2 or more for a coupling",
                advice,
            ));
        }
        Ok(self)
    }

    /// What the method asks of other settings.
    fn resolve_method(&mut self) -> Result<()> {
        let layers = self.primary.layers.as_mut().expect("filled in");
        let dropped = layers.iter().find(|layer| layer.is_mask());
        match (dropped, self.method.drops()) {
            (Some(layer), false) => {
                let advice = "Take the layer out, or use --method mc-dropout.";
                let (found, expected) = (format!("`{layer}`"), "none with this method");
                return Err(Error::invalid("primary.layers", found, expected, advice));
            }
            (None, true) => *layers = Layer::with_dropout(layers, self.dropout.rate),
            _ => {}
        }
        if self.method.drops() {
            check_masks(self.method, layers)?;
        }
        if self.method == Method::ConcreteDropout
            && let Some(layer) = layers.iter().find(|layer| layer.rate() == Some(0.))
        {
            let (found, expected) =
                (format!("`{layer}`"), "a rate above 0, from which it is learned");
            return Err(Error::invalid("primary.layers", found, expected, "Change the rate."));
        }
        if self.method == Method::ConcreteDropout && !matches!(self.prior, Prior::Gaussian { .. }) {
            let advice = "Leave it out, or take a Gaussian prior: its KL is known with no other.";
            return Err(Error::invalid("prior", "another", "a Gaussian one", advice));
        }
        if self.method == Method::Ensemble {
            self.train.samples = self.ensemble.members;
        }
        let each = self.train.noise == Some(Noise::PerExample);
        if each && self.method.is_over_all_weights() {
            let (what, found) = ("train.noise", "per-example");
            let advice = "Leave it out: with local reparametrisation `bbb` has noise of its own.";
            return Err(Error::invalid(what, found, "shared, with weights as θ", advice));
        }
        let normal = matches!(self.prior, Prior::Gaussian { .. });
        if self.method == Method::Bbb && self.mean_field.local && !normal {
            let (what, expected) = ("mean_field.local", "false with such a prior");
            let advice = "Set it to false, or take a Gaussian prior.";
            return Err(Error::invalid(what, "true", expected, advice));
        }
        if self.train.data_init && self.method.is_over_all_weights() {
            let (what, expected) = ("train.data_init", "a network whose θ is its scales");
            return Err(Error::invalid(what, "true", expected, "Leave it out."));
        }
        Ok(())
    }

    /// That every number is within its range.
    fn check_numbers(&self) -> Result<()> {
        let need = |what: &str, found: f64, fits: bool, expected: &str| match fits {
            true => Ok(()),
            false => Err(Error::invalid(what, found, expected, "Change it and start again.")),
        };
        let count = |what, n: usize| need(what, n as f64, n > 0, "a whole number above 0");
        let single = "a number above 0, neither too small nor too large for single precision";
        let positive = |what, x: f64| need(what, x, x > 0. && (x as f32).is_normal(), single);
        let share = |what, x| need(what, x, (0. ..1.).contains(&x), "from 0 to below 1");
        let finite = |what, x: f64| need(what, x, (x as f32).is_finite(), "a number");

        let t = &self.train;
        count("train.epochs", t.epochs)?;
        count("train.batch", t.batch)?;
        count("train.samples", t.samples)?;
        count("train.validation_samples", t.validation_samples)?;
        count("train.validate_every", t.validate_every)?;
        positive("train.learning_rate", t.learning_rate)?;
        let anneal = t.kl_anneal_epochs;
        need("train.kl_anneal_epochs", anneal, (0. ..f64::MAX).contains(&anneal), "0 or more")?;
        positive("train.clip_norm", t.clip_norm)?;
        positive("train.clip_element", t.clip_element)?;
        match t.optimiser {
            Update::Sgd { momentum } => share("sgd: momentum", momentum)?,
            Update::Adam { beta1, beta2, epsilon } => {
                share("adam: beta1", beta1)?;
                share("adam: beta2", beta2)?;
                positive("adam: epsilon", epsilon)?;
            }
        }
        count("flow.hidden", self.flow.hidden)?;
        count("ensemble.members", self.ensemble.members)?;
        finite("mean_field.log_std", self.mean_field.log_std)?;
        share("dropout.rate", self.dropout.rate)?;
        count("flow.layers", self.flow.layers)?;
        if let Base::Mixture { components, distance, .. } = self.flow.base {
            let fits = (1..=MOST_COMPONENTS).contains(&components);
            let expected = format!("1 to {MOST_COMPONENTS}");
            need("flow.base: components", components as f64, fits, &expected)?;
            finite("flow.base: distance", distance)?;
        }
        finite("flow.log_scale", self.flow.log_scale)?;
        finite("flow.shift", self.flow.shift)?;
        match self.prior {
            Prior::Gaussian { precision } => positive("prior: precision", precision)?,
            Prior::Laplace { scale } => positive("prior: scale", scale)?,
            Prior::ScaleMixture { weight, stds: [a, b] } => {
                need("prior: weight", weight, weight > 0. && weight < 1., "between 0 and 1")?;
                positive("prior: first std", a)?;
                positive("prior: second std", b)?;
            }
        }
        if let Some(clip) = self.likelihood.clip {
            need("likelihood.clip", clip, clip > 0. && clip < 0.5, "between 0 and 0.5")?;
        }
        self.likelihood.precision.map_or(Ok(()), |x| positive("likelihood.precision", x))
    }

    /// `D`, the length of `θ`.
    ///
    /// # Errors
    /// If memory has no chance to hold the networks or a step.
    ///
    /// # Panics
    /// If it was not resolved.
    pub fn entries(&self, data: &Dataset) -> Result<usize> {
        let product = |sizes: [usize; 3]| sizes.into_iter().fold(1, usize::saturating_mul);
        let placed = Layer::place(self.primary.layers.as_ref().expect("filled in"), data.shape())?;
        let (mut units, mut weights, mut masks) = (0_usize, 0_usize, 0_usize);
        for placed in &placed {
            if let Some([n, k]) = placed.weights() {
                units = units.saturating_add(n);
                weights = weights.saturating_add(product([n, k, 1]));
            }
            masks = masks.saturating_add(placed.mask());
        }
        let mut widest = Placed::widest(&placed);
        let entries = match self.method.is_over_all_weights() {
            true => weights.saturating_add(units),
            false => units.saturating_add(masks),
        };
        if self.method.has_flow() {
            let HypernetConfig { kind, couplings, layers, hidden, .. } = self.flow;
            weights = weights.saturating_add(match kind {
                FlowKind::Realnvp | FlowKind::Iaf => product([couplings, hidden, entries]),
                FlowKind::Linear => product([2 * layers.min(LIMIT), entries, entries]),
                FlowKind::Planar => product([couplings, 2, entries]),
            });
            widest = widest.max(hidden);
        }
        if self.method == Method::Ensemble {
            weights = product([weights, self.ensemble.members, 1]);
        }
        widest = widest.max(units);
        let Train { samples, batch, validation_samples, .. } = self.train;
        let step = product([samples, batch.min(data.train.len()), widest]);
        let smaller = "Make primary.layers (--hidden), flow.hidden or flow.couplings smaller.";
        let sizes = [
            ("weights of the networks", weights, smaller),
            ("train.samples × train.batch × units", step, "Make one of them smaller."),
            (
                "train.samples × entries of θ",
                product([samples, entries, 1]),
                "Make one of them smaller.",
            ),
            (
                "train.validation_samples × entries of θ",
                product([validation_samples, entries, 1]),
                "Make one of them smaller.",
            ),
        ];
        match sizes.into_iter().find(|(_, size, _)| *size > LIMIT) {
            None => Ok(entries),
            Some((what, size, advice)) => {
                Err(Error::invalid(what, size, format!("at most {LIMIT}"), advice))
            }
        }
    }

    /// How many posterior samples to predict with where `asked` for so many: fewer if there are no more.
    pub fn samples(&self, asked: usize) -> usize {
        match self.method {
            Method::Mle | Method::Dropout => 1,
            Method::Ensemble => asked.min(self.ensemble.members),
            _ => asked,
        }
    }

    /// The same, of a `θ` of so many `entries`.
    ///
    /// # Errors
    /// If memory has no chance to hold them.
    pub fn samples_that_fit(&self, asked: usize, entries: usize) -> Result<usize> {
        check_samples(self.samples(asked), entries)
    }

    /// The model it describes, at its starting point, for data with such inputs.
    ///
    /// # Panics
    /// If it was not resolved.
    pub fn build<T: Scalar + 'static>(&self, inputs: impl Into<Shape>, task: &Task) -> Model<T> {
        self.build_with(inputs, task, Buffers::new())
    }

    /// The same model with the buffers of a checkpoint in place of those that the seed draws.
    ///
    /// # Panics
    /// If it was not resolved.
    pub fn build_with<T: Scalar + 'static>(
        &self,
        inputs: impl Into<Shape>,
        task: &Task,
        buffers: Buffers,
    ) -> Model<T> {
        let rng = &mut stream(self.seed, Purpose::Init, 0);
        let mut params = Params::with_buffers(buffers);
        let layers = self.primary.layers.as_ref().expect("a resolved configuration");
        let primary: Box<dyn PrimaryNet<T>> = match self.method.is_over_all_weights() {
            true => Box::new(AllWeights::new(inputs, layers)),
            false => Box::new(WeightNormed::new(&mut params, "primary", inputs, layers, rng)),
        };
        let posterior = self.posterior(&mut params, &*primary, rng);
        let likelihood = match (task, self.likelihood.precision) {
            (Task::Classification { .. }, _) => {
                Likelihood::Categorical { clip: self.likelihood.clip }
            }
            (Task::Regression, Some(precision)) => Likelihood::Gaussian { precision },
            (Task::Regression, None) => {
                let start = Init::Constant(0.).sample(&[1], rng);
                Likelihood::LearnedGaussian(params.add("likelihood.log_precision", start))
            }
        };
        let drops = if self.method.drops() { Noise::PerExample } else { Noise::Shared };
        let noise = self.train.noise.unwrap_or(drops);
        Model { params, primary, posterior, prior: self.prior, likelihood, noise }
    }

    fn posterior<T: Scalar + 'static>(
        &self,
        params: &mut Params<T>,
        primary: &dyn PrimaryNet<T>,
        rng: &mut ChaCha8Rng,
    ) -> Box<dyn Posterior<T>> {
        let (name, start) = ("posterior", primary.start(rng));
        let dropout = |params: &mut Params<T>, rates, scaled| {
            Dropout::new(params, name, &start, &primary.masks(), rates, scaled)
        };
        match self.method {
            Method::Mle => Box::new(Point::new(params, name, &start)),
            Method::Dropout => Box::new(dropout(params, Rates::Fixed, true)),
            Method::McDropout => Box::new(dropout(params, Rates::Fixed, false)),
            Method::ConcreteDropout => {
                let precision = match self.prior {
                    Prior::Gaussian { precision } => precision,
                    _ => 1.,
                };
                Box::new(dropout(params, Rates::Learned { precision }, false))
            }
            Method::Bbb => {
                let MeanFieldConfig { log_std, local } = self.mean_field;
                Box::new(MeanField::new(params, name, &start, log_std, local))
            }
            Method::Ensemble => {
                let others = (1..self.ensemble.members).map(|_| primary.start(rng));
                let points: Vec<_> = [start.clone()].into_iter().chain(others).collect();
                Box::new(Ensemble::new(params, name, &points))
            }
            Method::Bhn | Method::FullBhn => {
                let hypernet = Hypernet::of(params, name, start.len(), &self.flow, rng);
                if self.method == Method::FullBhn {
                    hypernet.recentre(params, &start);
                }
                Box::new(hypernet)
            }
        }
    }
}

/// That dropout drops something: without a mask, or with rates of 0 alone, it is maximum likelihood
/// under another name.
fn check_masks(method: Method, layers: &[Layer]) -> Result<()> {
    let rates: Vec<_> = layers.iter().filter_map(Layer::rate).collect();
    let refuse = |found: String, expected: &str, advice: &str| {
        Err(Error::invalid("primary.layers", found, format!("{expected} with {method}"), advice))
    };
    if rates.is_empty() {
        let words: Vec<_> = layers.iter().map(Layer::to_string).collect();
        let advice = "Add a hidden layer (--hidden) or `dropout P`, or use --method mle.";
        let expected = "`dropout P`, or an activation to place it after,";
        return refuse(format!("`{}`", words.join("`, `")), expected, advice);
    }
    if method != Method::ConcreteDropout && rates.iter().all(|&rate| rate == 0.) {
        let advice = "Change dropout.rate or the rates of the layers, or use --method mle.";
        return refuse("dropout rates of 0 alone".into(), "a rate above 0", advice);
    }
    Ok(())
}
