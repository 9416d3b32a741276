//! The recipe of `bhn train`: better settings than the authors' for a hypernet over scales.
use super::schema::{Config, MethodKind};
use crate::bayes::{Estimator, FlowKind, Place};
use crate::data::Dataset;
use crate::error::Result;
use std::path::Path;

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

    /// Change the settings of a hypernet over the scales of an image classifier from the authors'
    /// to those with better bounds and the same accuracy (`docs/results/mnist.md`), except for
    /// keys that `is_set`:
    ///
    /// | key | authors | recipe |
    /// |---|---|---|
    /// | `train.posterior_rate` | 1 | 10 |
    /// | `train.gradient` | `total` | `path`, if the flow has a fast inverse |
    /// | `flow.elementwise` | `first` | `last`, for RealNVP |
    ///
    /// On small tables the bounds improve too, but predictions become worse.
    pub fn recommend(&mut self, data: &Dataset, is_set: impl Fn(&str) -> bool) {
        if self.method == MethodKind::Bhn && data.image.is_some() {
            self.improve(is_set);
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
        let table = Dataset { image: None, ..digits.clone() };
        assert_eq!(recommended(Config::default(), &table, &[]), authors);
        let mle = Config { method: MethodKind::Mle, ..Config::default() };
        assert_eq!(recommended(mle, &digits, &[]), authors);
        let mut iaf = Config::default();
        iaf.flow.kind = FlowKind::Iaf;
        assert_eq!(recommended(iaf, &digits, &[]), (10., Estimator::Total, Place::First));
    }
}
