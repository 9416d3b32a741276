//! One split: choose hyperparameters on validation rows, train on all training rows, test.
use crate::bayes::{FlowKind, Model, Prior, Targets};
use crate::data::{Dataset, Split, uci};
use crate::error::{Error, Result};
use crate::experiments::{Lab, Tier};
use crate::metrics::gaussian_mixture_log_likelihood;
use crate::predict::evaluate::evaluate;
use crate::predict::{draw, logits};
use crate::primary::Layer;
use crate::random::{Purpose, stream};
use crate::run::config::{Config, MethodKind};
use crate::run::train::fit;
use ndarray::{Axis, concatenate};
use serde::{Deserialize, Serialize};

/// A data set with its protocol, and the RMSE and log-likelihood of MC dropout: as published (Gal &
/// Ghahramani 2016), and after ten times as many epochs (readme of its authors' code).
pub(super) struct Known {
    pub name: &'static str,
    hidden: usize,
    epochs: usize,
    pub splits: usize,
    pub published: [f64; 2],
    pub longer: [f64; 2],
}

/// A method, applied to the same splits as the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    /// A Bayesian hypernet of four IAF steps.
    T4,
    /// Bayes by Backprop on the scales.
    T0,
    /// MC dropout.
    McDropout,
}

impl Way {
    /// All methods, ours first.
    pub const ALL: [Self; 3] = [Self::T4, Self::T0, Self::McDropout];

    /// End of the name of a row, and the name in tables.
    pub fn names(self) -> [&'static str; 2] {
        match self {
            Self::T4 => ["t4", "T = 4"],
            Self::T0 => ["t0", "T = 0"],
            Self::McDropout => ["mc-dropout", "MC dropout"],
        }
    }

    /// Time of a step, relative to that of T = 4.
    pub fn cost(self) -> f64 {
        match self {
            Self::T4 => 1.,
            Self::T0 | Self::McDropout => 0.4,
        }
    }
}

const fn known(name: &'static str, published: [f64; 2], longer: [f64; 2]) -> Known {
    Known { name, hidden: 50, epochs: 400, splits: 20, published, longer }
}

/// Number of splits that are used of a large set: its splits differ little. For power-plant five
/// splits were inconclusive, so all of its splits are used.
pub(super) const FEW: usize = 5;

pub(super) const SETS: [Known; 9] = [
    known("bostonHousing", [2.97, -2.46], [2.80, -2.39]),
    known("concrete", [5.23, -3.04], [4.81, -2.94]),
    known("energy", [1.66, -1.99], [1.09, -1.72]),
    Known { splits: FEW, ..known("kin8nm", [0.10, 0.95], [0.09, 0.97]) },
    Known { splits: FEW, ..known("naval-propulsion-plant", [0.01, 3.80], [0.00, 3.92]) },
    known("power-plant", [4.02, -2.80], [4.00, -2.79]),
    Known {
        hidden: 100,
        epochs: 200,
        ..known("protein-tertiary-structure", [4.36, -2.89], [4.27, -2.87])
    },
    known("wine-quality-red", [0.62, -0.93], [0.61, -0.92]),
    known("yacht", [1.11, -1.55], [0.72, -1.38]),
];

/// The hyperparameter search: learning rates, strengths of the regularisation, and fractions of the
/// epochs. Every method has the same number of trials.
pub(super) struct Search {
    pub rates: &'static [f64],
    /// Prior precisions of the hypernets.
    pub precisions: &'static [f64],
    /// Rates of MC dropout, as many as there are precisions.
    pub dropout: &'static [f64],
    pub shares: &'static [f64],
    /// Maximum number of epochs; each set has a maximum of its own too.
    pub epochs: usize,
    /// Maximum number of steps of a run, which limits its epochs.
    steps: usize,
    pub samples: usize,
}

impl Search {
    /// The fractions of `epochs` to try on a set of `examples` examples. Fractions below 1 guard
    /// against overfitting. They are left out if a run takes more than [`SHORT`] steps: such a set
    /// has so many examples that overfitting is unlikely.
    pub fn shares_for(&self, examples: usize, epochs: usize) -> &[f64] {
        if steps(examples, epochs) <= SHORT { self.shares } else { &[1.] }
    }
}

/// Maximum number of steps of a run for which fractions of its epochs are tried too.
pub(super) const SHORT: usize = 20_000;

pub(super) const BATCH: usize = 32;

fn steps(examples: usize, epochs: usize) -> usize {
    epochs * examples.div_ceil(BATCH)
}

/// The search at a tier.
pub(super) fn search(tier: Tier) -> Search {
    let (rates, precisions, dropout, shares): (&[f64], &[f64], &[f64], &[f64]) = tier.pick([
        (&[0.01], &[1.], &[0.05], &[1.]),
        (&[0.01], &[0.01, 1.], &[0.01, 0.1], &[0.1, 0.3, 1.]),
        (&[0.01, 0.001], &[0.01, 1.], &[0.01, 0.1], &[0.1, 0.3, 1.]),
    ]);
    Search {
        rates,
        precisions,
        dropout,
        shares,
        epochs: tier.pick([3, 400, 400]),
        steps: tier.pick([100, SHORT, usize::MAX]),
        samples: tier.pick([10, 200, 1000]),
    }
}

/// A hyperparameter setting.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Setting {
    pub learning_rate: f64,
    /// Prior precision, or the rate of dropout.
    pub strength: f64,
    pub epochs: usize,
    /// Noise precision `τ` of standardised targets; learned if `None`.
    pub noise: Option<f64>,
}

/// Results of one split.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    pub rmse: f64,
    pub log_likelihood: f64,
    pub setting: Setting,
    /// Ratio of the numbers of test and training rows.
    pub test_per_train: f64,
}

/// Maximum number of epochs for a set with `examples` examples.
pub(super) fn epochs(search: &Search, set: &Known, examples: usize) -> usize {
    set.epochs.min(search.epochs).min(search.steps / steps(examples, 1)).max(1)
}

/// Choose the setting with the best validation score, train with it on all training rows, and test.
/// If this training diverges, take the next best setting.
pub(super) fn one(
    lab: &Lab<'_>,
    search: &Search,
    (set, way): (&Known, Way),
    split: usize,
) -> Result<Found> {
    let data = uci(set.name, split, lab.data_dir.as_deref())?;
    let all = Dataset { train: join(&data.train, &data.validation), ..data.clone() };
    let most = epochs(search, set, data.train.len());
    let mut tried: Vec<(f64, Setting)> = vec![];
    let strengths = if way == Way::McDropout { search.dropout } else { search.precisions };
    for &learning_rate in search.rates {
        for &strength in strengths {
            for share in search.shares_for(data.train.len(), most) {
                let epochs = (share * most as f64).ceil() as usize;
                let setting = Setting { learning_rate, strength, epochs, noise: None };
                if let Some(model) = train(lab.tier, (set, way), &data, setting)? {
                    let (score, tau) = best_noise(&model, &data.validation, search.samples);
                    tried.push((score, Setting { noise: Some(tau), ..setting }));
                }
            }
        }
    }
    tried.sort_by(|a, b| b.0.total_cmp(&a.0));
    // A setting that trains on four fifths of the rows may diverge on all of them.
    for (_, setting) in tried {
        if let Some(model) = train(lab.tier, (set, way), &all, setting)? {
            let scores = evaluate(&model, &all, search.samples, 0)?.test;
            let rmse = scores.rmse.expect("a regression");
            let test_per_train = data.test.len() as f64 / all.train.len() as f64;
            return Ok(Found { rmse, log_likelihood: -scores.nll, setting, test_per_train });
        }
    }
    let expected = "one setting that does not diverge";
    Err(Error::invalid(set.name, "none that trains", expected, "Please report it."))
}

/// `max_τ (1/N) Σₙ ln[(1/S) Σ_s N(yₙ; f(xₙ; θ_s), 1/τ)]` over `split` in nats per example of
/// standardised targets, and the `τ` that attains it. `τ` is a power of `2^¼` from `2⁻²` to `2¹⁶`.
///
/// `split` must not be training data: the network is fitted to these, so their residuals are
/// smaller than the noise.
fn best_noise(model: &Model, split: &Split, samples: usize) -> (f64, f64) {
    let (theta, _) = draw(model, samples, &mut stream(0, Purpose::Evaluation, 0));
    let means = logits(model, &theta, split.x.view());
    let Targets::Values(y) = &split.y else { unreachable!("regression") };
    let score = |tau: f64| {
        let precisions = vec![tau as f32; samples];
        gaussian_mixture_log_likelihood(means.index_axis(Axis(2), 0), &precisions, y).value
    };
    let tried = (-8..=64).map(|i| 2_f64.powf(f64::from(i) / 4.)).map(|tau| (score(tau), tau));
    tried.max_by(|a, b| a.0.total_cmp(&b.0)).expect("some")
}

/// The model with the hyperparameters `setting`, trained on `data.train`; `None` if training
/// diverges.
fn train(
    tier: Tier,
    (set, way): (&Known, Way),
    data: &Dataset,
    setting: Setting,
) -> Result<Option<Model>> {
    let Setting { learning_rate, strength, epochs, noise } = setting;
    let mut config = Config::default();
    match way {
        Way::T4 | Way::T0 => config.prior = Prior::Gaussian { precision: strength },
        Way::McDropout => {
            config.method = MethodKind::McDropout;
            config.dropout.rate = strength;
        }
    }
    config.primary.layers = Some(Layer::mlp(&[set.hidden], 1));
    config.likelihood.precision = noise;
    config.flow.kind = FlowKind::Iaf;
    config.flow.couplings = if way == Way::T4 { 4 } else { 0 };
    config.flow.hidden = tier.pick([20, 200, 200]);
    config.train.batch = BATCH;
    config.train.learning_rate = learning_rate;
    config.train.epochs = epochs;
    match fit(config, data) {
        Err(Error::Diverged { .. }) => Ok(None),
        model => model.map(Some),
    }
}

/// The examples of `a` followed by those of `b`.
fn join(a: &Split, b: &Split) -> Split {
    let x = concatenate(Axis(0), &[a.x.view(), b.x.view()]).expect("the same features");
    let y = match (&a.y, &b.y) {
        (Targets::Values(a), Targets::Values(b)) => Targets::Values([&a[..], b].concat()),
        _ => unreachable!("regression"),
    };
    Split { x, y }
}
