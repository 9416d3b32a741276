//! What the experiments on odd inputs share: digits, networks that tell them apart, and how scores of
//! uncertainty are shown.
use super::{Lab, Tier};
use crate::data::Dataset;
use crate::error::Result;
use crate::flows::Order;
use crate::metrics::Detection;
use crate::nn::optim::Schedule;
use crate::predict::score::Score;
use crate::predict::{Predictive, draw, predict};
use crate::primary::Layer;
use crate::random::{Purpose, stream};
use crate::report::chart::{Axis, Ink, Layer as Drawn, Mark, Panel};
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::{Config, MethodKind};
use crate::run::{Trained, load_data};
use ndarray::ArrayView2;

/// One number of a comparison of scores.
pub type Measure = fn(&Detection) -> f64;

/// MNIST, with the first so many training examples; at the smoke tier of everything.
///
/// # Errors
/// If there are not so many, or the files are damaged.
pub fn digits(lab: &Lab<'_>, subset: Option<usize>) -> Result<Dataset> {
    let config = Config { subset, ..Config::default() };
    let mut data = load_data(&config, lab.data_dir.as_deref())?;
    if lab.tier == Tier::Smoke {
        data.validation = data.validation.subset(500);
        data.test = data.test.subset(500);
    }
    Ok(data)
}

/// A way to train the same network, in the order of tables and figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Net {
    /// Part of a cell's key.
    pub key: &'static str,
    /// What tables call it.
    pub words: &'static str,
    /// Its color.
    pub ink: Ink,
    method: MethodKind,
    couplings: usize,
}

impl Net {
    /// Maximum likelihood.
    pub const MLE: Self = Self::new("mle", "MLE", Ink::Gray, MethodKind::Mle, 0);
    /// A Bayesian hypernet with four couplings.
    pub const BHN_4: Self = Self::new("bhn-4", "BHN, T = 4", Ink::Series(0), MethodKind::Bhn, 4);
    /// The same with eight.
    pub const BHN_8: Self = Self::new("bhn-8", "BHN, T = 8", Ink::Series(0), MethodKind::Bhn, 8);
    /// Bayes by Backprop on the scales.
    pub const BHN_0: Self = Self::new("bhn-0", "BHN, T = 0", Ink::Series(3), MethodKind::Bhn, 0);
    /// Dropout, averaged over masks.
    pub const MC_DROPOUT: Self =
        Self::new("mc-dropout", "MC dropout", Ink::Series(1), MethodKind::McDropout, 0);
    /// Dropout, one pass without it.
    pub const DROPOUT: Self =
        Self::new("dropout", "dropout", Ink::Series(2), MethodKind::Dropout, 0);
    /// Bayes by Backprop on all weights.
    pub const BBB: Self = Self::new("bbb", "BbB", Ink::Series(4), MethodKind::Bbb, 0);
    /// Five networks side by side.
    pub const ENSEMBLE: Self =
        Self::new("ensemble", "ensemble of 5", Ink::Series(5), MethodKind::Ensemble, 0);

    const fn new(
        key: &'static str,
        words: &'static str,
        ink: Ink,
        method: MethodKind,
        couplings: usize,
    ) -> Self {
        Self { key, words, ink, method, couplings }
    }

    /// 784-256-256-256-`classes`, trained as in the authors' anomaly runs: batch 128, Adam at 10⁻³,
    /// gradients clipped at 100, reversals between couplings.
    pub fn config(&self, tier: Tier, classes: usize, epochs: usize, seed: u64) -> Config {
        let hidden = tier.pick([16, 256, 256]);
        let mut config = Config { method: self.method, seed, ..Config::default() };
        config.primary.layers = Some(Layer::mlp(&[hidden; 3], classes));
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

    /// The scores that are not the same for all inputs: of a point, those without spread.
    pub fn scores(&self) -> &'static [Score] {
        let is_single = self.config(Tier::Smoke, 10, 1, 0).samples(2) == 1;
        if is_single { &Score::ALL[..2] } else { &Score::ALL }
    }

    /// Seconds, roughly, of so many epochs on 50,000 digits, and of predictions for so many inputs.
    pub fn cost(&self, epochs: usize, inputs: usize, samples: usize) -> f64 {
        let epoch = match self.method {
            MethodKind::Mle => 0.7,
            MethodKind::Dropout => 1.7,
            MethodKind::McDropout => 1.9,
            MethodKind::Bbb | MethodKind::Ensemble => 4.,
            _ => 1.2 + 0.1 * self.couplings as f64,
        };
        let passes = self.config(Tier::Quick, 10, 1, 0).samples(samples) * inputs;
        epoch * epochs as f64 + 2.5e-6 * passes as f64
    }
}

/// Predictions for `x [N, inputs]` with at most so many samples, the same for each call.
///
/// # Panics
/// If there is no row, or it does not fit the network.
pub fn look(trained: &Trained, samples: usize, x: ArrayView2<'_, f32>) -> Predictive {
    let config = &trained.header.config;
    let rng = &mut stream(config.seed, Purpose::Evaluation, 0);
    let (theta, _) = draw(&trained.model, config.samples(samples), rng);
    predict(&trained.model, &theta, x)
}

/// The probabilities `p̄ [N, K]` of classes.
///
/// # Panics
/// If what is predicted are numbers.
pub fn probabilities(predictive: &Predictive) -> ArrayView2<'_, f32> {
    match predictive {
        Predictive::Classes { p, .. } => p.view(),
        Predictive::Values { .. } => panic!("probabilities: numbers were predicted"),
    }
}

/// A claim that something is above zero, one value a seed.
pub fn positive(claim: impl Into<String>, quantity: impl Into<String>, seeds: &[f64]) -> Verdict {
    let (claim, quantity) = (claim.into(), quantity.into());
    Verdict { claim, quantity, mean: Mean::of(seeds), range: 0. ..=f64::INFINITY }
}

/// `a − b`, seed by seed.
pub fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// The mean of each position over several rows, such as over sets for each seed.
///
/// # Panics
/// If there is no row.
pub fn mean_of(rows: &[Vec<f64>]) -> Vec<f64> {
    let mean = |i: usize| rows.iter().map(|row| row[i]).sum::<f64>() / rows.len() as f64;
    (0..rows[0].len()).map(mean).collect()
}

/// A mean over seeds in per cent, `98.4 ± 0.1`.
pub fn percent(seeds: &[f64]) -> String {
    let mean = Mean::of(seeds);
    let value = 100. * mean.value;
    match mean.error.is_finite() {
        true => format!("{value:.1} ± {:.1}", 100. * mean.error),
        false => format!("{value:.1}"),
    }
}

/// Bars of AUROC over scores, a color a net; `auroc` gives one value a seed. Scores that a net does not
/// have leave a gap.
pub fn bars(title: &str, nets: &[Net], auroc: impl Fn(&Net, Score) -> Vec<f64>) -> Panel {
    let layer = |net: &Net| {
        let bar = |score: Score| {
            let name = score.name().to_string();
            if !net.scores().contains(&score) {
                return (name, f64::NAN, f64::NAN);
            }
            let mean = Mean::of(&auroc(net, score));
            (name, mean.value, mean.error)
        };
        let bars = Score::ALL.into_iter().map(bar).collect();
        Drawn { name: net.words.into(), ink: net.ink, mark: Mark::Bars(bars) }
    };
    Panel {
        title: title.into(),
        x: Axis::new(""),
        y: Axis::new("AUROC").range(0., 1.),
        layers: nets.iter().map(layer).collect(),
    }
}
