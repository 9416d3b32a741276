//! A trained model, loaded from its run folder.
use crate::bayes::Model;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::predict::draw;
use crate::primary::{Layer, Shape};
use crate::random::{Purpose, stream};
use crate::run::checkpoint::{Checkpoint, Header};
use crate::run::config::Config;
use crate::run::identity::{find_data, read_config, same_config, same_data};
use std::path::{Path, PathBuf};

/// The model of a run's best epoch.
pub struct Trained {
    /// The model.
    pub model: Model,
    /// The metadata of its checkpoint.
    pub header: Header,
    dir: PathBuf,
}

impl Trained {
    /// Load `best.safetensors` of a run folder.
    ///
    /// # Errors
    /// If it does not exist, is damaged, or belongs to another run.
    pub fn load(dir: &Path) -> Result<Self> {
        let config = read_config(dir)?;
        let path = dir.join("best.safetensors");
        if !path.exists() {
            let found = "a run without a best.safetensors";
            let advice = format!("Finish it with `bhn train --resume {}`.", dir.display());
            let expected = "one that has finished an epoch";
            return Err(Error::invalid(dir.display(), found, expected, advice));
        }
        let saved = Checkpoint::load(&path)?;
        same_config(dir, &saved.header, &config)?;
        let header = Header { config, ..saved.header.clone() };
        Ok(Self { model: saved.model()?, header, dir: dir.to_path_buf() })
    }

    /// Load the data that the model was trained on.
    ///
    /// # Errors
    /// If they are missing or have changed.
    pub fn data(&self, data_dir: Option<&Path>) -> Result<Dataset> {
        let mut data = find_data(&self.dir, &self.header.config, data_dir)?;
        let unchecked = same_data(&self.header, &data, &data.fingerprint())?;
        data.notes = unchecked.into_iter().collect();
        Ok(data)
    }
}

/// Copy the primary network of the run in `dir` into `model`, and centre the posterior on a sample
/// of that run's `θ`.
pub(super) fn warm_start(
    model: &mut Model,
    config: &Config,
    inputs: Shape,
    dir: &Path,
) -> Result<()> {
    let Trained { model: from, header, .. } = Trained::load(dir)?;
    let describe = |model: &Model, config: &Config, inputs: Shape| {
        let layers = config.primary.layers.iter().flatten().map(Layer::to_string);
        let parts = model.primary.parts().into_iter().map(|(name, n)| format!("{name} {n}"));
        let [layers, parts] = [layers.collect::<Vec<_>>(), parts.collect()].map(|w| w.join(", "));
        format!("{layers} on {inputs}, with {parts}")
    };
    let found = describe(&from, &header.config, header.shape());
    let expected = describe(model, config, inputs);
    if found != expected {
        let advice = "Start from a run with the same layers.";
        return Err(Error::invalid(dir.display(), found, expected, advice));
    }
    for (name, w) in model.params.iter_mut().filter(|(name, _)| name.starts_with("primary.")) {
        if let Some((_, source)) = from.params.iter().find(|(other, _)| *other == name) {
            *w = source.clone();
        }
    }
    let (theta, _) = draw(&from, 1, &mut stream(0, Purpose::Init, 1));
    let theta: Vec<_> = theta.iter().map(|&theta| theta.into()).collect();
    model.posterior.recentre(&mut model.params, &theta);
    Ok(())
}
