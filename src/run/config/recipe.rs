//! The recipe of `bhn train`: better settings than the authors' for a hypernet over scales.
use super::choices::Select;
use super::method::{Method, Theta};
use super::schema::{Config, MethodKind};
use crate::bayes::{Estimator, FlowKind, Place};
use crate::data::{Dataset, is_named};
use crate::error::Result;
use crate::nn::optim::Schedule;
use std::path::Path;

/// The minimum number of steps on a table.
const STEPS: usize = 2000;

/// The keys that a `config.toml` sets.
#[derive(Clone, Debug, Default)]
pub struct Keys(toml::Table);

impl Keys {
    /// Whether it sets the key, such as `train.batch`.
    pub fn has(&self, key: &str) -> bool {
        let (section, key) = key.split_once('.').unwrap_or(("", key));
        match self.0.get(section) {
            Some(toml::Value::Table(table)) => table.contains_key(key),
            _ => section.is_empty() && self.0.contains_key(key),
        }
    }
}

impl Config {
    /// Read a `config.toml`, and which keys it sets.
    ///
    /// # Errors
    /// As for [`Config::read`], except that it may be a pipe.
    pub fn read_keys(path: &Path) -> Result<(Self, Keys)> {
        let text = Self::text(path)?;
        let config = Self::parse(&path.display().to_string(), &text)?;
        Ok((config, Keys(toml::from_str(&text).unwrap_or_default())))
    }

    /// Change settings from the authors' to better ones for the data, except for keys that
    /// `is_set`.
    ///
    /// For a hypernet over the scales of an image classifier, those with better bounds and the same
    /// accuracy (`docs/results/mnist.md`):
    ///
    /// | key | authors | recipe |
    /// |---|---|---|
    /// | `train.posterior_rate` | 1 | 10 |
    /// | `train.gradient` | `total` | `path`, if the flow has a fast inverse |
    /// | `flow.elementwise` | `first` | `last`, for RealNVP |
    ///
    /// For any method on a user's file, and on any table, a training whose length depends on the
    /// number of steps and not of passes:
    ///
    /// | key | default | recipe |
    /// |---|---|---|
    /// | `train.batch` | 128 | 16; 32 from 1000 rows on, 128 from 10,000 |
    /// | `train.epochs` | 10 | those of 2000 steps, and at least 20 |
    /// | `train.validate_every` | 1 | a hundredth of the epochs |
    /// | `train.select` | `accuracy` | `nll` |
    /// | `train.patience` | 0 | a third of the epochs, if the method allows it |
    ///
    /// and on a table (`docs/results/tables.md`):
    ///
    /// | key | default | recipe |
    /// |---|---|---|
    /// | `train.learning_rate` | 0.001 | 0.005 |
    /// | `train.posterior_rate` | 1 | 3 |
    /// | `train.likelihood_rate` | 1 | 10 |
    /// | `train.schedule` | `paper` | `cosine` |
    /// | `train.kappa` | 0 | 3 for a hypernet over the scales |
    pub fn recommend(&mut self, data: &Dataset, is_set: impl Fn(&str) -> bool) {
        if data.image.is_none() || !is_named(&self.data) {
            self.fit_length(data.train.len(), &is_set);
        }
        if data.image.is_none() {
            if !is_set("train.learning_rate") {
                self.train.learning_rate = 0.005;
            }
            if !is_set("train.posterior_rate") {
                self.train.posterior_rate = 3.;
            }
            if !is_set("train.likelihood_rate") {
                self.train.likelihood_rate = 10.;
            }
            if !is_set("train.schedule") {
                self.train.schedule = Schedule::Cosine;
            }
            let has_scales = matches!(Method::from(&*self), Method::Hypernet(Theta::Scales, _));
            if has_scales && !is_set("train.kappa") {
                self.train.kappa = 3.;
            }
        } else if self.method == MethodKind::Bhn {
            self.improve(is_set);
        }
    }

    /// The changes of [`Config::recommend`] to the length of a training on `rows` examples.
    fn fit_length(&mut self, rows: usize, is_set: impl Fn(&str) -> bool) {
        let needs_all_epochs = Method::from(&*self).needs_all_epochs();
        let train = &mut self.train;
        let unset = |key: &str| !is_set(&format!("train.{key}"));
        if unset("batch") {
            train.batch = match rows {
                0..1000 => 16,
                1000..10_000 => 32,
                _ => 128,
            };
        }
        if unset("epochs") {
            let steps = rows.div_ceil(train.batch.max(1)).max(1);
            train.epochs = STEPS.div_ceil(steps).max(20);
        }
        if unset("validate_every") {
            train.validate_every = train.epochs.div_ceil(100);
        }
        if unset("select") {
            train.select = Select::Nll;
        }
        if unset("patience") && !needs_all_epochs {
            train.patience = train.epochs.div_ceil(3);
        }
    }

    /// The changes of [`Config::recommend`] to the settings of a hypernet.
    pub(crate) fn improve(&mut self, is_set: impl Fn(&str) -> bool) {
        if !is_set("train.posterior_rate") {
            self.train.posterior_rate = 10.;
        }
        let kind = self.flow.kind;
        let has_fast_inverse =
            matches!(kind, FlowKind::Realnvp | FlowKind::Cholesky | FlowKind::LowRank);
        if has_fast_inverse && !is_set("train.gradient") {
            self.train.gradient = Estimator::Path;
        }
        if kind == FlowKind::Realnvp && !is_set("flow.elementwise") {
            self.flow.elementwise = Place::Last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Options, load};

    #[test]
    fn keys_of_a_file_are_found() {
        let keys = Keys(toml::from_str("seed = 3\n[train]\nbatch = 5\n").unwrap());
        let found = ["seed", "train.batch", "train", "batch", "train.seed", "flow.batch"];
        assert_eq!(found.map(|key| keys.has(key)), [true, true, true, false, false, false]);
    }

    #[test]
    fn recipe_leaves_what_is_set() {
        let digits = load("mnist", &Options::default(), None).unwrap();
        let recommended = |mut config: Config, data: &Dataset, keys: &[&str]| {
            config.recommend(data, |key| keys.contains(&key));
            (config.train.posterior_rate, config.train.gradient, config.flow.elementwise)
        };
        let ours = (10., Estimator::Path, Place::Last);
        let authors = (1., Estimator::Total, Place::First);
        let all = ["train.posterior_rate", "train.gradient", "flow.elementwise"];
        assert_eq!(recommended(Config::default(), &digits, &[]), ours);
        assert_eq!(recommended(Config::default(), &digits, &all), authors);
        let mle = Config { method: MethodKind::Mle, ..Config::default() };
        assert_eq!(recommended(mle, &digits, &[]), authors);
        let table = Dataset { image: None, ..digits.clone() };
        let trained = |mut config: Config, keys: &[&str]| {
            config.recommend(&table, |key| keys.contains(&key));
            config.train
        };
        let train = trained(Config::default(), &[]);
        assert_eq!((train.batch, train.epochs, train.select), (128, 20, Select::Nll));
        assert_eq!((train.schedule, train.kappa), (Schedule::Cosine, 3.));
        let bbb = Config { method: MethodKind::Bbb, ..Config::default() };
        assert_eq!(trained(bbb, &[]).kappa, 0.);
        let one = trained(Config::default(), &["train.epochs", "train.learning_rate"]);
        assert_eq!((one.epochs, one.learning_rate, one.batch), (10, 1e-3, 128));
        let swag = Config { method: MethodKind::Swag, ..Config::default() };
        assert_eq!((trained(swag, &[]).patience, train.patience), (0, 7));
        let mut iaf = Config::default();
        iaf.flow.kind = FlowKind::Iaf;
        assert_eq!(recommended(iaf, &digits, &[]), (10., Estimator::Total, Place::First));
    }
}
