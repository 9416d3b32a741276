//! What the experiments on digits and unusual inputs share: the data, the networks and their
//! predictions.
use super::{Lab, Tier};
use crate::data::Dataset;
use crate::error::Result;
use crate::flows::Order;
use crate::nn::optim::Schedule;
use crate::predict::score::Score;
use crate::predict::{Predictive, draw, predict};
use crate::primary;
use crate::random::{Purpose, stream};
use crate::report::chart::{Axis, Ink, Layer, Mark, Panel};
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::{Config, MethodKind};
use crate::run::{Run, Trained, load_data};
use ndarray::ArrayView2;
use rand::seq::SliceRandom;

/// MNIST with its first `subset` training examples (all if `None`). At the smoke tier there are 500
/// validation and 500 test examples.
///
/// # Errors
/// If MNIST has fewer training examples, or its files are damaged.
pub fn digits(lab: &Lab<'_>, subset: Option<usize>) -> Result<Dataset> {
    let config = Config { subset, ..Config::default() };
    let mut data = load_data(&config, lab.data_dir.as_deref())?;
    if lab.tier == Tier::Smoke {
        data.validation = data.validation.subset(500);
        data.test = data.test.subset(500);
    }
    Ok(data)
}

/// The size of an experiment at a tier.
pub struct Settings {
    /// Training images; `None` for all.
    pub subset: Option<usize>,
    /// Epochs of training.
    pub epochs: usize,
    /// Posterior samples.
    pub samples: usize,
}

/// A method, applied to the network 784-256-256-256-K.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Net {
    /// Part of a cell's key.
    pub key: &'static str,
    /// Name in tables and figures.
    pub name: &'static str,
    /// Color in figures.
    pub ink: Ink,
    pub(super) method: MethodKind,
    pub(super) couplings: usize,
}

impl Net {
    /// Maximum likelihood.
    pub const MLE: Self = Self::new("mle", "MLE", Ink::Gray, MethodKind::Mle, 0);
    /// A Bayesian hypernet with four couplings.
    pub const BHN_4: Self = Self::new("bhn-4", "BHN, T = 4", Ink::Series(0), MethodKind::Bhn, 4);
    /// A Bayesian hypernet with eight couplings.
    pub const BHN_8: Self = Self::new("bhn-8", "BHN, T = 8", Ink::Series(0), MethodKind::Bhn, 8);
    /// A Bayesian hypernet without couplings: Bayes by Backprop on the scales.
    pub const BHN_0: Self = Self::new("bhn-0", "BHN, T = 0", Ink::Series(3), MethodKind::Bhn, 0);
    /// Dropout, predictions averaged over masks.
    pub const MC_DROPOUT: Self =
        Self::new("mc-dropout", "MC dropout", Ink::Series(1), MethodKind::McDropout, 0);
    /// Dropout, predictions without masks.
    pub const DROPOUT: Self =
        Self::new("dropout", "dropout", Ink::Series(2), MethodKind::Dropout, 0);
    /// Bayes by Backprop on all weights.
    pub const BBB: Self = Self::new("bbb", "BbB", Ink::Series(4), MethodKind::Bbb, 0);
    /// An ensemble of five networks.
    pub const ENSEMBLE: Self =
        Self::new("ensemble", "ensemble of 5", Ink::Series(5), MethodKind::Ensemble, 0);

    const fn new(
        key: &'static str,
        name: &'static str,
        ink: Ink,
        method: MethodKind,
        couplings: usize,
    ) -> Self {
        Self { key, name, ink, method, couplings }
    }

    /// The network 784-256-256-256-`classes` (16 instead of 256 units at the smoke tier) with the
    /// settings of the authors' anomaly runs: batch 128, Adam at 10⁻³, gradients clipped at 100,
    /// reversals between couplings.
    pub fn config(&self, tier: Tier, classes: usize, epochs: usize, seed: u64) -> Config {
        let hidden = tier.pick([16, 256, 256]);
        let mut config = Config { method: self.method, seed, ..Config::default() };
        config.primary.layers = Some(primary::Layer::mlp(&[hidden; 3], classes));
        config.flow.couplings = self.couplings;
        config.flow.hidden = hidden;
        config.flow.permutation = Order::Reversal;
        config.train.epochs = epochs;
        config.train.batch = 128;
        config.train.learning_rate = 1e-3;
        config.train.schedule = Schedule::Constant;
        (config.train.clip_norm, config.train.clip_element) = (100., 100.);
        config
    }

    /// The run `name`, trained to the end on `data` with `classes` classes, and the model of its
    /// best epoch.
    ///
    /// # Errors
    /// As [`Lab::run`].
    pub fn train(
        &self,
        lab: &Lab<'_>,
        settings: &Settings,
        classes: usize,
        (seed, name): (u64, &str),
        data: Dataset,
    ) -> Result<(Run, Trained)> {
        let Settings { subset, epochs, .. } = *settings;
        let config = Config { subset, ..self.config(lab.tier, classes, epochs, seed) };
        lab.run(name, &config, data)
    }

    /// The scores that can be computed for the net: all, or for a point estimate those that need no
    /// posterior samples.
    pub fn scores(&self) -> &'static [Score] {
        let is_single = self.config(Tier::Smoke, 10, 1, 0).samples(2) == 1;
        if is_single { &Score::ALL[..2] } else { &Score::ALL }
    }

    /// Approximate time in seconds of training on 50,000 digits and predicting for `inputs` inputs.
    pub fn cost(&self, settings: &Settings, inputs: usize) -> f64 {
        let epoch = match self.method {
            MethodKind::Mle => 0.7,
            MethodKind::Dropout => 1.7,
            MethodKind::McDropout => 1.9,
            MethodKind::Bbb | MethodKind::Ensemble => 4.,
            _ => 1.2 + 0.1 * self.couplings as f64,
        };
        let passes = self.config(Tier::Quick, 10, 1, 0).samples(settings.samples) * inputs;
        epoch * settings.epochs as f64 + 2.5e-6 * passes as f64
    }
}

/// Predictions for `x [N, inputs]` with `samples` posterior samples, or with all if the method has
/// fewer. Every call with the same network uses the same samples.
///
/// # Panics
/// If `x` is empty or does not fit the network.
pub fn predictions(trained: &Trained, samples: usize, x: ArrayView2<'_, f32>) -> Predictive {
    let config = &trained.header.config;
    let rng = &mut stream(config.seed, Purpose::Evaluation, 0);
    let (theta, _) = draw(&trained.model, config.samples(samples), rng);
    predict(&trained.model, &theta, x)
}

/// The class probabilities `p̄ [N, K]`.
///
/// # Panics
/// If the network is a regression.
pub fn probabilities(predictive: &Predictive) -> ArrayView2<'_, f32> {
    match predictive {
        Predictive::Classes { p, .. } => p.view(),
        Predictive::Values { .. } => panic!("probabilities: a regression"),
    }
}

/// The indices of `most` random rows out of `n`, in random order; all indices if `n` is smaller
/// than `most`. They are the same for every seed of an experiment, so that results can be paired
/// by image across seeds. `index` selects a stream of random numbers.
pub fn random_rows(n: usize, most: usize, index: u64) -> Vec<usize> {
    let mut rows: Vec<_> = (0..n).collect();
    rows.shuffle(&mut stream(0, Purpose::Evaluation, index));
    rows.truncate(most);
    rows
}

/// The description of [`Net::config`].
pub fn protocol(tier: Tier, classes: usize, epochs: usize) -> String {
    let width = tier.pick([16, 256, 256]);
    format!(
        "784-{width}-{width}-{width}-{classes} with ReLUs, {epochs} epochs (paper tier: 100), \
         batch 128, Adam at 10⁻³ without decay, gradients clipped to norm 100 and elements to 100; \
         the epoch with the best validation accuracy is tested. The hypernet's couplings have \
         {width} hidden units and reversals in between."
    )
}

/// Description of the scores.
pub const ABOUT_SCORES: &str = "Every score is higher for less certain predictions. Max \
    confidence is 1 − max p̄, which the authors' code calls the variation ratio; the variation \
    ratio (votes) is the share of posterior samples that do not vote for the most frequent class. \
    A network without samples has no BALD, mean STD or variation ratio (votes). ± and error bars \
    are one standard error over seeds, unless a table says otherwise.";

/// Mean AUROC as bars: a group per category, a color per layer, with error bars of one standard
/// error. `auroc(layer, category)` returns one value per seed, or `None` for a gap.
pub fn bars<L>(
    [title, x]: [&str; 2],
    layers: impl Iterator<Item = (L, &'static str, Ink)>,
    categories: &[String],
    auroc: impl Fn(&L, usize) -> Option<Vec<f64>>,
) -> Panel {
    let layer = |(of, name, ink)| {
        let bar = |(i, category): (usize, &String)| {
            let mean = auroc(&of, i).map(|values| Mean::of(&values));
            let (value, error) = mean.map_or((f64::NAN, f64::NAN), |mean| (mean.value, mean.error));
            (category.clone(), value, error)
        };
        Layer::new(name, ink, Mark::Bars(categories.iter().enumerate().map(bar).collect()))
    };
    let y = Axis::new("AUROC").range(0., 1.);
    Panel { title: title.into(), x: Axis::new(x), y, layers: layers.map(layer).collect() }
}

/// `a − b`, seed by seed.
pub fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// The element-wise mean of several rows.
///
/// # Panics
/// If there is no row.
pub fn mean_of(rows: &[Vec<f64>]) -> Vec<f64> {
    let mean = |i: usize| rows.iter().map(|row| row[i]).sum::<f64>() / rows.len() as f64;
    (0..rows[0].len()).map(mean).collect()
}

/// The claim that `mean` is positive.
pub fn positive(claim: impl Into<String>, quantity: impl Into<String>, mean: Mean) -> Verdict {
    Verdict::new(claim, quantity, mean, 0. ..)
}

/// The mean of `values`, one per seed, in per cent: `98.4 ± 0.1`.
pub fn percent(values: &[f64]) -> String {
    percent_of(Mean::of(values))
}

/// A mean in per cent: `98.4 ± 0.1`.
pub fn percent_of(mean: Mean) -> String {
    let value = 100. * mean.value;
    match mean.error.is_finite() {
        true => format!("{value:.1} ± {:.1}", 100. * mean.error),
        false => format!("{value:.1}"),
    }
}
