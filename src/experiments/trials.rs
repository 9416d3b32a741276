//! One setting of each method, chosen on validation by short trials. Every method has the same
//! number of trials.
use super::grid::source;
use super::lab::{Cell, Lab};
use super::tier::Tier;
use crate::bayes::Prior;
use crate::data::Dataset;
use crate::error::Result;
use crate::predict::evaluate::Scores;
use crate::report::experiment::Table;
use crate::run::config::{Config, MethodKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::f64::consts::E;

/// A setting that a trial tries.
pub struct Setting {
    /// Part of the name of a cell.
    key: &'static str,
    /// Description in a table.
    name: &'static str,
    change: fn(&mut Config),
}

/// The settings that are tried for a method, the default first.
pub type Settings = [Setting; 3];

/// A row whose setting is chosen.
pub struct Row {
    /// Name of the row.
    pub key: String,
    /// Name in tables.
    pub name: String,
    /// Cost of a run of the row.
    pub cost: f64,
    /// Configuration of a run, with any seed.
    pub config: Config,
}

/// The seed of all trials, which is not among those of an experiment.
const SEED: u64 = 1000;

/// Result of one trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Trial {
    /// The best validation accuracy.
    accuracy: f64,
    /// Its epoch.
    epoch: usize,
}

const fn setting(key: &'static str, name: &'static str, change: fn(&mut Config)) -> Setting {
    Setting { key, name, change }
}

/// What the paper leaves open of a method on digits: the precision `λ` of the prior of a hypernet,
/// the prior of Bayes by Backprop, with the scale mixtures of Blundell et al. (2015), the rate of
/// dropout, the members of an ensemble, or the initial learning rate.
pub fn on_digits(config: &Config) -> Settings {
    match config.method {
        MethodKind::Bhn => [
            setting("1", "λ = 1", |c| c.prior = Prior::Gaussian { precision: 1. }),
            setting("10", "λ = 10", |c| c.prior = Prior::Gaussian { precision: 10. }),
            setting("01", "λ = 0.1", |c| c.prior = Prior::Gaussian { precision: 0.1 }),
        ],
        MethodKind::Bbb => [
            setting("1", "λ = 1", |c| c.prior = Prior::Gaussian { precision: 1. }),
            setting("mixture-0-6", "mixture: π = 1/2, stds 1 and e⁻⁶", |c| {
                mixture(c, 0.5, [0., 6.])
            }),
            setting("mixture-1-7", "mixture: π = 1/4, stds e⁻¹ and e⁻⁷", |c| {
                mixture(c, 0.25, [1., 7.]);
            }),
        ],
        MethodKind::Dropout => [
            setting("50", "rate 0.5", |c| c.dropout.rate = 0.5),
            setting("35", "rate 0.35", |c| c.dropout.rate = 0.35),
            setting("20", "rate 0.2", |c| c.dropout.rate = 0.2),
        ],
        MethodKind::Ensemble => [
            setting("5", "5 members", |c| members(c, 5)),
            setting("3", "3 members", |c| members(c, 3)),
            setting("10", "10 members", |c| members(c, 10)),
        ],
        _ => [
            setting("1e-3", "learning rate 10⁻³", |c| c.train.learning_rate = 1e-3),
            setting("3e-4", "learning rate 3·10⁻⁴", |c| c.train.learning_rate = 3e-4),
            setting("3e-3", "learning rate 3·10⁻³", |c| c.train.learning_rate = 3e-3),
        ],
    }
}

/// Batch sizes and initial learning rates: ours, and those of the authors' two scripts for
/// CIFAR-10.
pub fn batch_and_rate(_: &Config) -> Settings {
    [
        setting("64-1e-3", "batch 64, learning rate 10⁻³", |c| rates(c, 64, 1e-3)),
        setting("20-1e-3", "batch 20, learning rate 10⁻³", |c| rates(c, 20, 1e-3)),
        setting("32-1e-4", "batch 32, learning rate 10⁻⁴", |c| rates(c, 32, 1e-4)),
    ]
}

/// A prior with standard deviations `exp(−a)`; weights are then sampled, as the KL is not known.
fn mixture(config: &mut Config, weight: f64, a: [f64; 2]) {
    config.prior = Prior::ScaleMixture { weight, stds: a.map(|a| E.powf(-a)) };
    config.mean_field.local = false;
}

fn rates(config: &mut Config, batch: usize, rate: f64) {
    (config.train.batch, config.train.learning_rate) = (batch, rate);
}

/// An ensemble of `members` networks with the training time of `config`.
fn members(config: &mut Config, members: usize) {
    let epochs = config.train.epochs * config.ensemble.members;
    (config.ensemble.members, config.train.epochs) = (members, epochs.div_ceil(members));
}

/// The setting that trials chose for each row.
#[derive(Default)]
pub struct Chosen(BTreeMap<String, fn(&mut Config)>);

impl Chosen {
    /// Give `config` the setting of the row `key`, or that of the row whose run it evaluates. Does
    /// nothing if there were no trials.
    pub fn set(&self, key: &str, config: &mut Config) {
        if let Some(change) = self.0.get(source(key)) {
            change(config);
        }
    }
}

/// The share of the epochs that a trial on digits takes, by tier; `None` for no trials.
pub const SHARE: [Option<f64>; 3] = [Some(1.), None, Some(0.2)];

/// What the page says of trials on digits.
pub fn on_digits_in_words(tier: Tier) -> &'static str {
    match tier.pick(SHARE) {
        Some(_) => {
            "One setting is chosen for each row by three trials on validation, with another seed \
             and at the paper tier a fifth of the epochs."
        }
        None => "No setting is tuned.",
    }
}

/// For each row the setting of the best validation accuracy in trials of `share` of the epochs; and
/// the table of all trials. Nothing is chosen, and there is no table, if `share` is `None`. The
/// learning rate decays over a trial, and the KL is annealed, as over a run. Of equal accuracies
/// the first is chosen. Rows that evaluate the run of another row ([`source`]) have no trials. A
/// lab that does not [compute](Lab::computes) leaves out rows whose trials are not all cached.
///
/// # Errors
/// As [`Lab::cells`].
pub fn choose(
    lab: &Lab<'_>,
    data: &Dataset,
    rows: impl IntoIterator<Item = Row>,
    settings: fn(&Config) -> Settings,
    share: Option<f64>,
) -> Result<(Chosen, Option<Table>)> {
    let Some(share) = share else { return Ok((Chosen::default(), None)) };
    let trials = |row: &Row| {
        settings(&row.config).map(|setting| {
            let mut config = row.config.clone();
            (setting.change)(&mut config);
            let train = &mut config.train;
            train.epochs = (train.epochs as f64 * share).ceil() as usize;
            train.kl_anneal_epochs *= share;
            config.seed = SEED;
            let key = format!("trial-{}-{}", row.key, setting.key);
            Cell { key: key.clone(), cost: row.cost * share, input: (key, config) }
        })
    };
    let is_available = |cell: &Cell<_>| lab.computes || lab.has(&cell.key);
    let tried = rows.into_iter().filter(|row| source(&row.key) == row.key);
    let tried = tried.map(|row| (trials(&row), row));
    let tried = tried.filter(|(trials, _)| trials.iter().all(is_available));
    let (trials, rows): (Vec<_>, Vec<_>) = tried.unzip();
    let found = lab.cells(&trials.concat(), |(key, config)| {
        let (run, _) = lab.run(key, config, data.clone())?;
        let best = run.best().map(|(epoch, Scores { accuracy, .. })| (*epoch, *accuracy));
        let (epoch, accuracy) = best.expect("a validation");
        Ok(Trial { accuracy: accuracy.expect("a classification"), epoch })
    })?;
    let header = ["method", "setting", "best validation", "at epoch", "chosen"];
    let mut table = Table::new("trials", CAPTION, header);
    let mut all = Chosen::default();
    for (row, trials) in rows.into_iter().zip(found.chunks(3)) {
        let (settings, chosen) = (settings(&row.config), best(trials));
        for (i, (Trial { accuracy, epoch }, setting)) in trials.iter().zip(&settings).enumerate() {
            let accuracy = format!("{:.2}", 100. * accuracy);
            let is_chosen = if i == chosen { "yes" } else { "" };
            table.row(&[&row.name, &setting.name, &accuracy, epoch, &is_chosen]);
        }
        all.0.insert(row.key, settings[chosen].change);
    }
    Ok((all, Some(table)))
}

const CAPTION: &str = "Trials. Best validation accuracy in per cent of each setting; one seed, \
    which no other run has.";

/// The index of the highest accuracy, the first of equal ones.
fn best(trials: &[Trial]) -> usize {
    let better = |best: usize, i: usize| {
        if trials[i].accuracy > trials[best].accuracy { i } else { best }
    };
    (0..trials.len()).reduce(better).expect("a trial")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_of_the_highest_accuracies_is_chosen() {
        let trials = |accuracies: [f64; 3]| accuracies.map(|accuracy| Trial { accuracy, epoch: 1 });
        assert_eq!(best(&trials([0.5, 0.7, 0.6])), 1);
        assert_eq!(best(&trials([0.7, 0.5, 0.7])), 0);
        assert_eq!(best(&trials([0.1, 0.5, 0.7])), 2);
    }

    /// The first setting is the default, the others differ, and all can be trained.
    #[test]
    fn settings_are_distinct_and_valid() {
        let data = crate::data::load("mnist", &Default::default(), None).unwrap();
        let methods = ["bhn", "mle", "dropout", "bbb", "ensemble"];
        for (method, settings) in methods
            .iter()
            .flat_map(|method| [on_digits, batch_and_rate].map(|settings| (method, settings)))
        {
            let text = format!("method = \"{method}\"\n[train]\nbatch = 64");
            let default = Config::parse("test", &text).unwrap();
            let configs = settings(&default).map(|setting| {
                let mut config = default.clone();
                (setting.change)(&mut config);
                config
            });
            assert_eq!(configs[0], default);
            assert!(configs[1] != configs[0] && configs[2] != configs[0]);
            assert_ne!(configs[1], configs[2]);
            for config in configs {
                config.resolve(&data).unwrap();
            }
        }
    }

    /// An ensemble of any size trains for as many passes of a network.
    #[test]
    fn members_share_the_time() {
        let mut config = Config { method: MethodKind::Ensemble, ..Config::default() };
        config.train.epochs = 40;
        let [mut few, mut many] = [config.clone(), config];
        members(&mut few, 3);
        members(&mut many, 10);
        assert_eq!((few.ensemble.members, few.train.epochs), (3, 67));
        assert_eq!((many.ensemble.members, many.train.epochs), (10, 20));
    }
}
