//! Checks of a configuration: no value is out of range, no settings contradict each other, and no
//! array is too large. The defaults that depend on the data or the method are filled in.
use super::choices::NoiseLevel;
use super::method::{DropoutKind, Method, Theta};
use super::schema::{Config, DropoutConfig, MeanFieldConfig, MethodKind, Train};
use super::sizes::Problem;
use crate::bayes::{Base, Estimator, FlowKind, Hessian, HypernetConfig, Model, Noise, Prior};
use crate::data::{Dataset, Task};
use crate::error::{Error, Result};
use crate::nn::optim::Update;
use crate::primary::Layer;

/// The maximum number of components of a mixture. Time and memory grow with the number, because
/// every draw needs the density of every component.
const MOST_COMPONENTS: usize = 1000;

/// The maximum number of couplings, linear layers or rank-one maps of a flow. Each has tensors of
/// its own, so time and memory grow with the number even if they are small.
const MOST_MAPS: usize = 10_000;

/// The maximum number of epochs.
const MOST_EPOCHS: usize = 1_000_000_000;

/// The maximum `D` for which an exact Hessian is computed, by `2D` gradients on the training set.
const EXACT: usize = 2000;

/// The number of pixels of an image, 16 × 16, up to which hidden layers are smaller by default.
const SMALL: usize = 256;

impl Config {
    /// Fill in the defaults that depend on the data or the method, and check the result.
    ///
    /// # Errors
    /// If a value is out of its range, settings contradict each other, or the network does not fit
    /// the data or memory.
    pub fn resolve(self, data: &Dataset) -> Result<Self> {
        let config = self.resolve_for(&data.into())?;
        config.check_frozen(data)?;
        Ok(config)
    }

    /// The number of outputs of a network for `task`: those of the task, and one for the noise
    /// level if it depends on the input.
    pub fn outputs(&self, task: &Task) -> usize {
        match (task, self.likelihood.noise) {
            (Task::Regression, NoiseLevel::Input) => 2,
            _ => task.outputs(),
        }
    }

    /// Check that a noise level that depends on the input has a meaning.
    fn check_noise(&self, task: &Task) -> Result<()> {
        let reason = match (task, self.likelihood.precision) {
            _ if self.likelihood.noise == NoiseLevel::Constant => return Ok(()),
            (Task::Classification { .. }, _) => "constant in a classification, which has no noise",
            (_, Some(_)) => "constant with likelihood.precision",
            _ if matches!(Method::from(self), Method::Laplace(_)) => {
                "constant with laplace, whose Hessian is that of one noise level"
            }
            _ => return Ok(()),
        };
        Err(Error::invalid("likelihood.noise", "input", reason, "Remove it."))
    }

    /// As [`Config::resolve`], without a model: `train.freeze` is not checked.
    pub(crate) fn resolve_for(mut self, data: &Problem<'_>) -> Result<Self> {
        if let Some(dir) = self.warm_start.as_ref().filter(|dir| dir.to_str().is_none()) {
            let (found, expected) = ("a path that is not UTF-8", "one in UTF-8, as all of TOML");
            let advice = "Rename the folder, or give a link to it.";
            return Err(Error::invalid(dir.display(), found, expected, advice));
        }
        let outputs = self.outputs(data.task);
        self.check_noise(data.task)?;
        let hidden: &[usize] = match data.image {
            None => &[50, 50],
            Some([_, height, width]) if height * width <= SMALL => &[200, 200],
            Some(_) => &[800, 800],
        };
        let layers = self.primary.layers.get_or_insert_with(|| Layer::mlp(hidden, outputs));
        if layers.last() != Some(&Layer::Dense(outputs)) {
            let what = "last layer of primary.layers";
            let found = layers.last().map_or("nothing".into(), |l| format!("`{l}`"));
            let expected = format!("`dense {outputs}`, one unit for each output of {}", data.name);
            return Err(Error::invalid(what, found, expected, "Correct it."));
        }
        self.check_numbers()?;
        if let Some(augment) = self.train.augment {
            augment.check(data.image)?;
        }
        self.resolve_method()?;
        let entries = self.sizes(data)?.entries;
        if let Method::Laplace(laplace) = Method::from(&self)
            && laplace.hessian == Hessian::Exact
            && entries > EXACT
        {
            let found = format!("exact, with {entries} entries of θ");
            let expected = format!("at most {EXACT} entries, as it takes two gradients for each");
            let advice = "Use laplace.hessian = \"ggn\".";
            return Err(Error::invalid("laplace.hessian", found, expected, advice));
        }
        let (alone, advice) = match Method::from(&self) {
            Method::Hypernet(_, flow) => (
                (flow.kind, entries) == (FlowKind::Realnvp, 1) && flow.couplings > 0,
                "Use --couplings 0 or a larger network.",
            ),
            Method::Mnf(mnf) => (
                self.multipliers(data)? == 1 && mnf.couplings > 0,
                "Set mnf.couplings to 0 or use a larger network.",
            ),
            _ => (false, ""),
        };
        if alone {
            let (what, expected) = ("the network", "2 or more for a coupling");
            return Err(Error::invalid(what, "1 unit", expected, advice));
        }
        Ok(self)
    }

    /// Check `train.freeze` against the names of the parameters; builds the model if it is used.
    pub(crate) fn check_frozen(&self, data: &Dataset) -> Result<()> {
        if self.train.freeze.is_empty() {
            return Ok(());
        }
        let Model { params, .. } = self.build::<f32>(data.shape(), &data.task);
        self.train.check_freeze(params.iter().map(|(name, _)| name))
    }

    /// Check what the method requires of other settings, and fill in the settings that it
    /// determines.
    fn resolve_method(&mut self) -> Result<()> {
        let method = Method::from(&*self);
        let layers = self.primary.layers.as_mut().expect("filled in");
        let mask = layers.iter().find(|layer| layer.is_mask());
        let has_gaussian_prior = matches!(self.prior, Prior::Gaussian { .. });
        if let Method::Dropout(kind, DropoutConfig { rate }) = method {
            if mask.is_none() {
                *layers = Layer::with_dropout(layers, rate);
            }
            check_masks(self.method, layers)?;
            if kind == DropoutKind::Concrete && !has_gaussian_prior {
                let advice = "Remove it, or use a Gaussian prior: no other has a known KL.";
                return Err(Error::invalid("prior", "another", "a Gaussian one", advice));
            }
        } else if let Some(layer) = mask {
            let advice = "Remove the layer, or use --method mc-dropout.";
            let (found, expected) = (format!("`{layer}`"), "none with this method");
            return Err(Error::invalid("primary.layers", found, expected, advice));
        }
        if self.train.gradient == Estimator::Path {
            check_path(&method)?;
        }
        if let Method::Ensemble(ensemble) = method {
            self.train.samples = ensemble.members;
        }
        if matches!(method, Method::Laplace(_)) {
            if !has_gaussian_prior {
                let advice = "Remove it, or use a Gaussian prior: no other has a constant Hessian.";
                return Err(Error::invalid("prior", "another", "a Gaussian one", advice));
            }
            if let Some(clip) = self.likelihood.clip {
                let expected =
                    "none with laplace, whose Hessian is 0 where probabilities are clipped";
                return Err(Error::invalid("likelihood.clip", clip, expected, "Remove it."));
            }
            if self.train.kl_weight != 1. {
                let expected = "1 with laplace, whose Hessian is that of the posterior";
                let found = self.train.kl_weight;
                return Err(Error::invalid("train.kl_weight", found, expected, "Remove it."));
            }
        }
        if let Method::Swag(swag) = method {
            let (found, epochs) = (swag.snapshots(self.train.epochs), self.train.epochs);
            if found < 2 {
                let what = format!("snapshots of swag in {epochs} epochs");
                let advice =
                    "Increase train.epochs (--epochs), or decrease swag.start or swag.every.";
                return Err(Error::invalid(what, found, "at least 2", advice));
            }
        }
        if method.needs_all_epochs() && self.train.patience > 0 {
            let (found, expected) = (self.train.patience, "0: this method needs all epochs");
            return Err(Error::invalid("train.patience", found, expected, "Remove it."));
        }
        if method.theta() == Theta::Weights {
            if self.train.noise == Some(Noise::PerExample) {
                let advice = "Remove it: `bbb` with local reparametrisation has noise per example.";
                let expected = "shared, with weights as θ";
                return Err(Error::invalid("train.noise", "per-example", expected, advice));
            }
            if matches!(method, Method::MeanField(q) if q.local) && !has_gaussian_prior {
                let advice = "Set it to false, or use a Gaussian prior.";
                let expected = "false with such a prior";
                return Err(Error::invalid("mean_field.local", "true", expected, advice));
            }
            if self.train.data_init {
                let expected = "a network whose θ is its scales";
                return Err(Error::invalid("train.data_init", "true", expected, "Remove it."));
            }
            let Train { kappa, bias_precision, .. } = self.train;
            let priors = [("train.kappa", kappa), ("train.bias_precision", bias_precision)];
            if let Some((what, found)) = priors.into_iter().find(|(_, x)| *x != 0.) {
                let expected = "0 with weights as θ, whose prior is [prior]";
                let advice = "Remove it, or use a method whose θ is the scales, such as bhn.";
                return Err(Error::invalid(what, found, expected, advice));
            }
        }
        Ok(())
    }

    /// Check that every number is within its range.
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
        let at_most = |what, n: usize, least: usize, most: usize| {
            let expected = format!("{least} to {most}");
            need(what, n as f64, (least..=most).contains(&n), &expected)
        };
        count("train.epochs", t.epochs)?;
        at_most("train.epochs", t.epochs, 1, MOST_EPOCHS)?;
        count("train.batch", t.batch)?;
        count("train.samples", t.samples)?;
        count("train.validation_samples", t.validation_samples)?;
        count("train.validate_every", t.validate_every)?;
        positive("train.learning_rate", t.learning_rate)?;
        positive("train.posterior_rate", t.posterior_rate)?;
        let most = f64::from(f32::MAX);
        let at_least_0 = |what, x| need(what, x, (0. ..most).contains(&x), "0 or more");
        let anneal = t.kl_anneal_epochs;
        need("train.kl_anneal_epochs", anneal, (0. ..f64::MAX).contains(&anneal), "0 or more")?;
        positive("train.kl_weight", t.kl_weight)?;
        at_least_0("train.kappa", t.kappa)?;
        at_least_0("train.bias_precision", t.bias_precision)?;
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
        count("mnf.hidden", self.mnf.hidden)?;
        finite("mnf.log_std", self.mnf.log_std)?;
        finite("mnf.log_scale", self.mnf.log_scale)?;
        share("dropout.rate", self.dropout.rate)?;
        at_most("flow.layers", self.flow.layers, 1, MOST_MAPS)?;
        at_most("flow.couplings", self.flow.couplings, 0, MOST_MAPS)?;
        at_most("flow.rank", self.flow.rank, 0, MOST_MAPS)?;
        at_most("mnf.couplings", self.mnf.couplings, 0, MOST_MAPS)?;
        share("swag.start", self.swag.start)?;
        positive("swag.rate", self.swag.rate)?;
        count("swag.every", self.swag.every)?;
        let rank = self.swag.rank;
        need("swag.rank", rank as f64, rank > 1, "a whole number above 1")?;
        if let Base::Mixture { components, distance, .. } = self.flow.base {
            at_most("flow.base: components", components, 1, MOST_COMPONENTS)?;
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
}

/// Check that the method has a density whose path gradient can be computed fast.
fn check_path(method: &Method) -> Result<()> {
    let why = match method {
        Method::MeanField(MeanFieldConfig { local: true, .. }) => {
            "mean_field.local is true, so the KL is in closed form and has no path"
        }
        Method::Hypernet(_, HypernetConfig { kind: FlowKind::Iaf, .. }) => {
            "an IAF's density takes a pass for each entry of θ"
        }
        Method::Mnf(_) => "the density of mnf at a given θ has no closed form",
        Method::Laplace(_) => "laplace trains a point and has no density before the last epoch",
        method if !method.has_density() => "the method has no density",
        _ => return Ok(()),
    };
    let found = format!("path, but {why}");
    let expected = "total, or `bbb` with mean_field.local = false, or a hypernet other than iaf";
    Err(Error::invalid("train.gradient", found, expected, "Use total."))
}

/// Check that some layer drops units at a rate above 0: without one, dropout would be maximum
/// likelihood. Concrete dropout learns the logit of each rate, so all of its rates must start above
/// 0.
fn check_masks(method: MethodKind, layers: &[Layer]) -> Result<()> {
    let rates: Vec<_> = layers.iter().filter_map(Layer::rate).collect();
    let (found, expected, advice) = if rates.is_empty() {
        let words: Vec<_> = layers.iter().map(Layer::to_string).collect();
        (
            format!("`{}`", words.join("`, `")),
            format!("`dropout P`, or an activation to place it after, with {method}"),
            "Add a hidden layer (--hidden) or `dropout P`, or use --method mle.",
        )
    } else if method == MethodKind::ConcreteDropout {
        let zero = layers.iter().find(|layer| layer.rate() == Some(0.));
        let Some(layer) = zero else { return Ok(()) };
        let expected = "a rate above 0, from which it is learned";
        (format!("`{layer}`"), expected.into(), "Change the rate.")
    } else if rates.iter().all(|&rate| rate == 0.) {
        let advice = "Change dropout.rate or the rates of the layers, or use --method mle.";
        ("dropout rates of 0 alone".into(), format!("a rate above 0 with {method}"), advice)
    } else {
        return Ok(());
    };
    Err(Error::invalid("primary.layers", found, expected, advice))
}
