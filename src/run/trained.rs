//! A trained model, loaded from its run folder, and the checks that configuration, checkpoint and
//! data belong to one run.
use crate::autodiff::Tensor;
use crate::bayes::Model;
use crate::data::{self, Dataset, Options, files};
use crate::error::{Error, Result};
use crate::predict::{Widths, draw};
use crate::primary::{Layer, Shape};
use crate::random::{Purpose, stream};
use crate::run::config::MethodKind;
use crate::run::missing::no_best;
use crate::run::{Checkpoint, Config, Header, Method};
use std::collections::HashMap;
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
            return Err(no_best(dir));
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

    /// This network, trained with dropout, as MC dropout: its predictions average over masks.
    ///
    /// # Panics
    /// If another method trained it.
    #[must_use]
    pub fn averaged(self) -> Self {
        let Self { model, mut header, dir } = self;
        assert_eq!(header.config.method, MethodKind::Dropout, "averaged: the method");
        header.config.method = MethodKind::McDropout;
        let buffers = model.params.buffers().clone();
        let built = header.config.build_with(header.shape(), &header.task, buffers);
        Self { model: Model { params: model.params, ..built }, header, dir }
    }

    /// The widths of the posterior. `None` if `θ` has no continuous distribution, or the prior is
    /// not Gaussian.
    pub fn widths(&self) -> Option<Widths> {
        let config = &self.header.config;
        Method::from(config).is_continuous().then(|| Widths::of(&self.model, config.seed)).flatten()
    }
}

/// If `config` names a run to start from, copy the parameters of its network and likelihood into
/// `model`, and centre the posterior on a sample of that run's `θ` and the prior of directions on
/// that run's.
pub(super) fn warm_start(model: &mut Model, config: &Config, inputs: Shape) -> Result<()> {
    let Some(dir) = &config.warm_start else { return Ok(()) };
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
    // Parameters of the posterior have a meaning only together with its permutations.
    let others = model.params.iter_mut().filter(|(name, _)| !name.starts_with("posterior."));
    let sources: HashMap<&str, &Tensor<f32>> = from.params.iter().collect();
    for (name, w) in others {
        if let Some(&source) = sources.get(name).filter(|v| v.shape() == w.shape()) {
            *w = source.clone();
        }
    }
    let (theta, _) = draw(&from, 1, &mut stream(0, Purpose::Init, 1));
    let theta: Vec<_> = theta.iter().map(|&theta| theta.into()).collect();
    model.posterior.recentre(&mut model.params, &theta);
    model.centre_point_prior();
    Ok(())
}

/// Load the data set that a configuration names.
///
/// # Errors
/// As [`data::load`].
pub fn load_data(config: &Config, data_dir: Option<&Path>) -> Result<Dataset> {
    let options = Options {
        target: config.target.clone(),
        task: config.task,
        missing: config.missing,
        drop: config.drop.clone(),
        split: config.split.clone(),
        validation: config.validation.as_ref().map(PathBuf::from),
        test: config.test.as_ref().map(PathBuf::from),
        validation_rows: config.validation_rows,
        size: config.size,
        train_subset: config.subset,
        seed: config.seed,
    };
    data::load(&config.data, &options, data_dir)
}

/// As [`load_data`] for the run in `dir`, with advice if its data file was moved.
pub(super) fn find_data(dir: &Path, config: &Config, data_dir: Option<&Path>) -> Result<Dataset> {
    let own = (!data::is_named(&config.data)).then_some(("data", &config.data));
    let others = [("validation", &config.validation), ("test", &config.test)];
    let others = others.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?)));
    for (key, path) in own.into_iter().chain(others) {
        let file = Path::new(path);
        if file.exists() {
            files::regular(file)?;
        } else {
            let config_toml = dir.join("config.toml");
            let advice = format!("If it was moved, correct `{key}` in {}.", config_toml.display());
            return Err(Error::invalid(path, "no such file", "the data of the run", advice));
        }
    }
    load_data(config, data_dir)
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

/// Check that a checkpoint belongs to the run in `dir`. The paths of data may differ, since the
/// files may have been moved; [`same_data`] compares the contents. So may the number of epochs, see
/// [`extend`](super::extend()).
pub(super) fn same_config(dir: &Path, header: &Header, config: &Config) -> Result<()> {
    let own = header.config.clone();
    let mut saved = Config {
        data: config.data.clone(),
        validation: own.validation.and(config.validation.clone()),
        test: own.test.and(config.test.clone()),
        ..own
    };
    (saved.train.epochs, saved.train.patience) = (config.train.epochs, config.train.patience);
    if saved == *config {
        return Ok(());
    }
    let advice = "Undo the change to config.toml, restore the run's own checkpoint, or start a new \
                  run with --config.";
    let found = "a config.toml and a checkpoint of different runs";
    Err(Error::invalid(dir.display(), found, "those of one run", advice))
}

/// Check that the data of a run have not changed in values, names or units. The checkpoints of
/// older versions do not hold all names and units: the result is then a note for the user, which
/// says what was not checked.
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
