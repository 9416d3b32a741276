//! Whether configuration, checkpoint and data belong to the same run.
use crate::data::{self, Dataset, Options};
use crate::error::{Error, Result};
use crate::run::checkpoint::Header;
use crate::run::config::Config;
use std::path::Path;

/// Load the data set that a configuration names.
///
/// # Errors
/// As [`data::load`].
pub fn load_data(config: &Config, data_dir: Option<&Path>) -> Result<Dataset> {
    let options = Options {
        target: config.target.clone(),
        task: config.task,
        drop_missing: config.drop_missing,
        train_subset: config.subset,
        seed: config.seed,
    };
    data::load(&config.data, &options, data_dir)
}

/// As [`load_data`] for the run in `dir`, with advice if its data file was moved.
pub(super) fn find_data(dir: &Path, config: &Config, data_dir: Option<&Path>) -> Result<Dataset> {
    load_data(config, data_dir).map_err(|error| {
        if data::is_named(&config.data) || Path::new(&config.data).exists() {
            return error;
        }
        let config_toml = dir.join("config.toml");
        let advice = format!("If it was moved, correct `data` in {}.", config_toml.display());
        Error::invalid(&config.data, "no such file", "the data of the run", advice)
    })
}

/// Read the configuration of the run in `dir`.
pub(super) fn read_config(dir: &Path) -> Result<Config> {
    let config = dir.join("config.toml");
    if !config.exists() {
        let found = if dir.exists() { "no config.toml" } else { "no such folder" };
        let advice = "Use the folder that `bhn train` printed.";
        return Err(Error::invalid(dir.display(), found, "a run folder", advice));
    }
    Config::read(&config)
}

/// Check that a checkpoint belongs to the run in `dir`. `data` may differ, since a file may be
/// moved; [`same_data`] recognises its contents.
pub(super) fn same_config(dir: &Path, header: &Header, config: &Config) -> Result<()> {
    let saved = Config { data: config.data.clone(), ..header.config.clone() };
    if saved == *config {
        return Ok(());
    }
    let advice = "Undo the change to config.toml, restore the run's own checkpoint, or start a new \
                  run with --config.";
    let found = "a config.toml and a checkpoint of different runs";
    Err(Error::invalid(dir.display(), found, "those of one run", advice))
}

/// Check that the data of a run have not changed in values, names or units. Runs of older versions
/// did not save all of these; a note for the user then says what was not checked.
pub(super) fn same_data(
    header: &Header,
    data: &Dataset,
    fingerprint: &str,
) -> Result<Option<String>> {
    let name = &data.name;
    let advice = "Restore the file that the run was trained on, or train again.";
    let is_older = header.preprocess.seen.is_none() && data.preprocess.seen.is_some();
    if !is_older && let Some((found, expected)) = data.difference(&header.task, &header.preprocess)
    {
        let found = format!("data that have changed: {found}");
        return Err(Error::invalid(name, found, expected, advice));
    }
    if header.data_sha256 != fingerprint {
        return Err(Error::invalid(name, "data that have changed", "those of the run", advice));
    }
    Ok(is_older.then(|| {
        format!(
            "an older version trained this run: whether names and units of {name} are those of the \
             training data is not checked"
        )
    }))
}
