//! What the experiments on digits and unusual inputs share: the data, the networks and their
//! predictions.
use super::trials::{Row, on_digits_in_words};
use super::{Lab, Tier, source};
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
use crate::run::config::{Config, EnsembleConfig, MethodKind};
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
    method: MethodKind,
    couplings: usize,
    /// Whether a hypernet has better settings than the authors' ([`Config::recommend`]).
    is_improved: bool,
}

impl Net {
    /// Maximum likelihood.
    pub const MLE: Self = Self::new("mle", "MLE", Ink::Gray, MethodKind::Mle);
    /// A Bayesian hypernet with four couplings.
    pub const BHN_4: Self = Self::bhn("bhn-4", "BHN, T = 4", 0, 4);
    /// [`BHN_4`](Self::BHN_4) by the better recipe.
    pub const BHN_4_RECIPE: Self = Self::bhn("bhn-4-recipe", "BHN, T = 4, recipe", 6, 4).improved();
    /// A Bayesian hypernet with eight couplings.
    pub const BHN_8: Self = Self::bhn("bhn-8", "BHN, T = 8", 0, 8);
    /// [`BHN_8`](Self::BHN_8) by the better recipe.
    pub const BHN_8_RECIPE: Self = Self::bhn("bhn-8-recipe", "BHN, T = 8, recipe", 6, 8).improved();
    /// A Bayesian hypernet without couplings: Bayes by Backprop on the scales.
    pub const BHN_0: Self = Self::bhn("bhn-0", "BHN, T = 0", 3, 0);
    /// Dropout, predictions averaged over masks.
    pub const MC_DROPOUT: Self =
        Self::new("mc-dropout", "MC dropout", Ink::Series(1), MethodKind::McDropout);
    /// Dropout, predictions without masks.
    pub const DROPOUT: Self = Self::new("dropout", "dropout", Ink::Series(2), MethodKind::Dropout);
    /// Bayes by Backprop on all weights.
    pub const BBB: Self = Self::new("bbb", "BbB", Ink::Series(4), MethodKind::Bbb);
    /// An ensemble with the training time of a hypernet.
    pub const ENSEMBLE: Self =
        Self::new("ensemble", "ensemble", Ink::Series(5), MethodKind::Ensemble);

    const fn new(key: &'static str, name: &'static str, ink: Ink, method: MethodKind) -> Self {
        Self { key, name, ink, method, couplings: 0, is_improved: false }
    }

    const fn bhn(key: &'static str, name: &'static str, series: usize, couplings: usize) -> Self {
        let net = Self::new(key, name, Ink::Series(series), MethodKind::Bhn);
        Self { couplings, ..net }
    }

    const fn improved(self) -> Self {
        Self { is_improved: true, ..self }
    }

    /// Make `config` one of this method.
    pub(super) fn set(&self, config: &mut Config, seed: u64) {
        (config.method, config.seed) = (self.method, seed);
        config.flow.couplings = self.couplings;
        config.train.epochs = self.epochs(config.train.epochs);
        if self.is_improved {
            config.improve(|_| false);
        }
    }

    /// The network 784-256-256-256-`classes` (16 instead of 256 units at the smoke tier) with the
    /// settings of the authors' anomaly runs: batch 128, Adam at 10⁻³, gradients clipped at 100,
    /// reversals between couplings.
    pub fn config(&self, tier: Tier, classes: usize, epochs: usize, seed: u64) -> Config {
        let hidden = tier.pick([16, 256, 256]);
        let mut config = Config::default();
        config.primary.layers = Some(primary::Layer::mlp(&[hidden; 3], classes));
        config.flow.hidden = hidden;
        config.flow.permutation = Order::Reversal;
        config.train.epochs = epochs;
        config.train.batch = 128;
        config.train.learning_rate = 1e-3;
        config.train.schedule = Schedule::Constant;
        (config.train.clip_norm, config.train.clip_element) = (100., 100.);
        self.set(&mut config, seed);
        config
    }

    /// The row of trials that choose a setting of the net for [`Net::config`] with ten classes.
    pub fn row(&self, tier: Tier, settings: &Settings) -> Row {
        let config = self.config(tier, 10, settings.epochs, 0);
        Row {
            key: self.key.into(),
            name: self.name.into(),
            cost: self.cost(settings, 0),
            config: Config { subset: settings.subset, ..config },
        }
    }

    /// The number of epochs of the method if that of others is `epochs`.
    fn epochs(&self, epochs: usize) -> usize {
        match self.method {
            MethodKind::Ensemble => ensemble_epochs(epochs, EnsembleConfig::default().members),
            _ => epochs,
        }
    }

    /// The run `name` of `config`, which is a configuration of this method, trained to the end on
    /// `data`, and the model of its best epoch. MC dropout evaluates the run of dropout at the best
    /// epoch of dropout.
    ///
    /// # Errors
    /// As [`Lab::run`].
    pub fn run(
        &self,
        lab: &Lab<'_>,
        name: &str,
        config: Config,
        data: Dataset,
    ) -> Result<(Run, Trained)> {
        if self.method != MethodKind::McDropout {
            return lab.run(name, &config, data);
        }
        let config = Config { method: MethodKind::Dropout, ..config };
        let (run, trained) = lab.run(source(name), &config, data)?;
        Ok((run, trained.averaged()))
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
            // Its training is that of dropout.
            MethodKind::McDropout => 0.,
            MethodKind::Bbb => 4.,
            MethodKind::Ensemble => 1.6,
            _ => 1.2 + 0.1 * self.couplings as f64,
        };
        let passes = self.config(Tier::Quick, 10, 1, 0).samples(settings.samples) * inputs;
        epoch * settings.epochs as f64 + 2.5e-6 * passes as f64
    }
}

/// The number of epochs in which an ensemble of `members` networks trains as long as a hypernet
/// with `T = 8` in `epochs`, whose steps take about twice as long as those of one network
/// (`docs/results/speed.md`).
pub fn ensemble_epochs(epochs: usize, members: usize) -> usize {
    (2 * epochs).div_ceil(members)
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

/// What the networks share, and in what they differ from the authors'.
pub const ABOUT_NETS: &str = "MC dropout evaluates the runs of dropout at the best epoch of \
    dropout. The ensemble trains as long as a hypernet with T = 8: its M networks (5 if not tuned) \
    have 2/M of the epochs. Networks with \"recipe\" have ten times the learning rate for the \
    posterior, gradients without the score term, and the elementwise layer after the couplings; \
    the other hypernets have the authors' settings.";

/// The description of [`Net::config`].
pub fn protocol(tier: Tier, classes: usize, epochs: usize) -> String {
    let width = tier.pick([16, 256, 256]);
    format!(
        "784-{width}-{width}-{width}-{classes} with ReLUs, {epochs} epochs (paper tier: 100), \
         batch 128, Adam at 10⁻³ without decay, gradients clipped to norm 100 and elements to 100; \
         the epoch with the best validation accuracy is tested. The hypernet's couplings have \
         {width} hidden units and reversals in between. {} {ABOUT_NETS}",
        on_digits_in_words(tier),
    )
}

/// Description of the scores.
pub const ABOUT_SCORES: &str = "Every score is higher for less certain predictions. Max \
    confidence is 1 − max p̄, which the authors' code calls the variation ratio; the variation \
    ratio (votes) is the share of posterior samples that do not vote for the most frequent class. \
    A network without samples has no BALD, mean STD or variation ratio (votes). ± and error bars \
    are one standard error over seeds, unless a table says otherwise.";

/// Mean AUROC as dots side by side: a group per category, a color per layer, with error bars of one
/// standard error. `auroc(layer, category)` returns one value per seed, or `None` for a gap.
pub fn dots<L>(
    [title, x]: [&str; 2],
    layers: impl Iterator<Item = (L, &'static str, Ink)>,
    categories: &[String],
    auroc: impl Fn(&L, usize) -> Option<Vec<f64>>,
) -> Panel {
    let layers: Vec<_> = layers.collect();
    let step = 0.8 / layers.len() as f64;
    let first = 1. - step * (layers.len() - 1) as f64 / 2.;
    let layer = |(n, (of, name, ink)): (usize, &(L, &'static str, Ink))| {
        let dot = |i: usize| {
            let mean = Mean::of(&auroc(of, i)?);
            Some((first + n as f64 * step + i as f64, mean.value, mean.error))
        };
        let dots = (0..categories.len()).filter_map(dot).collect();
        Layer::new(*name, *ink, Mark::Intervals(dots))
    };
    let layers: Vec<_> = layers.iter().enumerate().map(layer).collect();
    let x = Axis::of_names(x, categories.to_vec());
    Panel { title: title.into(), x, y: Axis::new("AUROC"), layers }
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
