//! A run folder: what is in it, in which order it is written, and how it is picked up again.
//!
//! It is locked for as long as there is a [`Run`], so that no other process writes in it.
//! `config.toml` comes first and never changes. Each epoch writes its line of `metrics.jsonl`, then,
//! if it ends with a validation, `best.safetensors` if it is that and `last.safetensors`; a run that
//! was killed anywhere goes on from `last`, forgetting lines beyond it. A line has a checksum; one that
//! is damaged is missing in the curves, and no more. `summary.json` and `report.html` come at the end.
use crate::autodiff::profile::Phase;
use crate::bayes::Model;
use crate::data::{self, Dataset, Options, files};
use crate::error::{Error, Result};
use crate::predict::draw;
use crate::predict::evaluate::Scores;
use crate::predict::evaluate::validate;
use crate::primary::{Layer, Shape};
use crate::random::{Purpose, stream};
use crate::run::checkpoint::{self, BLANK, Checkpoint, Header};
use crate::run::config::Config;
use crate::run::lock::Lock;
use crate::run::machine::Machine;
use crate::run::record::Epoch;
use crate::run::train::{Step, Trainer};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The most bytes of a `metrics.jsonl`, which has a few hundred an epoch.
const METRICS: u64 = 1 << 28;

/// A run in training.
pub struct Run {
    /// Its folder.
    pub dir: PathBuf,
    /// Its configuration, resolved.
    pub config: Config,
    /// Its data.
    pub data: Dataset,
    /// What is trained.
    pub trainer: Trainer,
    /// The records of epochs finished, in order: of all, unless `metrics.jsonl` was damaged.
    pub history: Vec<Epoch>,
    best: Option<(usize, Scores)>,
    fingerprint: String,
    machine: Machine,
    _lock: Lock,
}

/// What a run tells while it goes on.
pub enum Progress<'a> {
    /// A step was taken.
    Step(&'a Step),
    /// An epoch was finished; whether it is the best so far.
    Epoch(&'a Epoch, bool),
}

/// Load the data that a configuration names.
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

impl Run {
    /// Start a run in a new folder. `config` must be resolved.
    ///
    /// # Errors
    /// If there is something in the folder, it is in use or it cannot be made.
    pub fn create(dir: &Path, config: Config, data: Dataset) -> Result<Self> {
        if !Lock::is_vacant(dir)? {
            let advice = format!(
                "Continue it with `bhn train --resume {0}`, choose another with --out, or remove it.",
                dir.display()
            );
            return Err(Error::invalid(dir.display(), "a folder that exists", "a new one", advice));
        }
        let lock = Lock::take(dir)?;
        let begin = || {
            let run = Self::at_start(lock, dir, config, data, true)?;
            let config_toml = dir.join("config.toml");
            checkpoint::write(&config_toml, run.config.to_toml().as_bytes())?;
            Ok(run)
        };
        begin().inspect_err(|_| Lock::abandon(dir))
    }

    /// The run in `dir`, trained to the end, and the model of its best epoch: created if `dir` holds no
    /// run, resumed if it is incomplete, read if it is complete. `config` need not be resolved.
    ///
    /// # Errors
    /// If the run in `dir` has another configuration or other data, training diverges, or a file
    /// cannot be read or written.
    pub fn complete(
        dir: &Path,
        config: Config,
        data: Dataset,
        progress: impl FnMut(Progress<'_>),
    ) -> Result<(Self, Trained)> {
        let config = config.resolve(&data)?;
        let mut run = if dir.join("config.toml").exists() {
            let run = Self::resume_on(dir, data)?;
            if run.config != config {
                let (found, expected) = ("a run with another configuration", "the requested one");
                let advice = "Remove the folder: the run will be trained again.";
                return Err(Error::invalid(dir.display(), found, expected, advice));
            }
            run
        } else {
            Self::create(dir, config, data)?
        };
        let trained = run.train(progress)?;
        Ok((run, trained))
    }

    /// Before its first epoch; `warm`, if it is to be trained from there.
    fn at_start(lock: Lock, dir: &Path, config: Config, data: Dataset, warm: bool) -> Result<Self> {
        let mut trainer = Trainer::new(&config, data.shape(), &data.task, data.train.len());
        if config.train.data_init {
            trainer.model.init_from_data(data.train.x.view());
        }
        if let Some(dir) = config.warm_start.as_ref().filter(|_| warm) {
            warm_start(&mut trainer.model, &config, data.shape(), dir)?;
        }
        let (fingerprint, dir) = (data.fingerprint(), dir.to_path_buf());
        Ok(Self {
            dir,
            config,
            data,
            trainer,
            history: vec![],
            best: None,
            fingerprint,
            machine: Machine::here(),
            _lock: lock,
        })
    }

    /// Pick a run up where it stopped.
    ///
    /// # Errors
    /// If the folder is not a run's, its checkpoint is damaged, or its data have changed.
    pub fn resume(dir: &Path, data_dir: Option<&Path>) -> Result<Self> {
        Self::resume_on(dir, find_data(dir, &read_config(dir)?, data_dir)?)
    }

    /// The same on data that no name stands for: those of [`Run::create`].
    ///
    /// # Errors
    /// As [`Run::resume`].
    pub fn resume_on(dir: &Path, data: Dataset) -> Result<Self> {
        let config = read_config(dir)?.resolve(&data)?;
        let (lock, last) = (Lock::take(dir)?, dir.join("last.safetensors"));
        let saved = last.exists();
        let mut run = Self::at_start(lock, dir, config, data, !saved)?;
        if saved {
            let saved = Checkpoint::load(&last)?;
            same_config(dir, &saved.header, &run.config)?;
            let unchecked = same_data(&saved.header, &run.data, &run.fingerprint)?;
            let other = saved.header.machine.as_ref();
            let other = other.filter(|other| !other.has_bits_of(&run.machine)).map(|other| {
                format!(
                    "this run began with {other} and goes on with {}: the last bits may differ \
                     from those of a run on one machine",
                    run.machine
                )
            });
            run.data.notes = unchecked.into_iter().chain(other).collect();
            let trainer = &mut run.trainer;
            trainer.model = saved.model()?;
            saved.restore_optimiser(&trainer.model.params, &mut trainer.optimiser)?;
            run.best = saved.header.best;
            run.history = read_metrics(dir)?;
            run.history.retain(|e| (1..=saved.header.epoch).contains(&e.epoch));
            run.history.sort_by_key(|e| e.epoch);
            run.history.dedup_by_key(|e| e.epoch);
        }
        let lines: String = run.history.iter().map(line).collect();
        checkpoint::write(&dir.join("metrics.jsonl"), lines.as_bytes())?;
        Ok(run)
    }

    /// The epoch with the best validation so far, and that.
    pub fn best(&self) -> Option<&(usize, Scores)> {
        self.best.as_ref()
    }

    /// Epochs finished of which no record is left, since `metrics.jsonl` was damaged.
    pub fn unrecorded(&self) -> usize {
        self.epoch() - self.history.len()
    }

    /// Seconds of training over all sittings, validation included. An epoch without a record counts
    /// as the mean of the others; 0 if there is no record.
    pub fn seconds(&self) -> f64 {
        let sum: f64 = self.history.iter().map(|e| e.seconds).sum();
        match (self.history.len(), self.epoch()) {
            (0, _) => 0.,
            (found, all) if found < all => sum / found as f64 * all as f64,
            _ => sum,
        }
    }

    /// Epochs finished.
    pub fn epoch(&self) -> usize {
        (self.trainer.steps() / self.trainer.steps_per_epoch()) as usize
    }

    /// Seconds that the whole of it will take, from a few steps and a small validation on a copy.
    ///
    /// # Errors
    /// If even these diverge.
    pub fn estimate(&self) -> Result<f64> {
        let (data, settings) = (&self.data, &self.config.train);
        let mut copy = Trainer::new(&self.config, data.shape(), &data.task, data.train.len());
        let rows: Vec<_> = (0..data.train.len().min(settings.batch)).collect();
        let mut step = || {
            let (x, y) = data.train.batch(&rows);
            copy.step(x, &y)
        };
        (0..3).try_for_each(|_| step().map(drop))?;
        let start = Instant::now();
        (0..5).try_for_each(|_| step().map(drop))?;
        let step = start.elapsed().as_secs_f64() / 5.;
        let n = data.validation.len().min(500);
        let part = data.validation.subset(n);
        let start = Instant::now();
        let samples = self.config.samples(settings.validation_samples);
        validate(&copy.model, &part, &data.preprocess, samples, (0, 0));
        let validation = start.elapsed().as_secs_f64() * data.validation.len() as f64 / n as f64;
        let epochs = (settings.epochs - self.epoch()) as f64;
        let training = self.trainer.steps_per_epoch() as f64 * step;
        Ok(epochs * (training + validation / settings.validate_every as f64))
    }

    /// Train to the end, with a validation and a checkpoint every `train.validate_every` epochs, and
    /// return the model of the best epoch.
    ///
    /// # Errors
    /// If training diverges or a file cannot be written; the last checkpoint is kept.
    pub fn train(&mut self, mut progress: impl FnMut(Progress<'_>)) -> Result<Trained> {
        while self.epoch() < self.config.train.epochs {
            self.train_epoch(&mut progress)?;
        }
        Trained::load(&self.dir)
    }

    fn train_epoch(&mut self, progress: &mut impl FnMut(Progress<'_>)) -> Result<()> {
        let start = Instant::now();
        let mut sums = Sums::default();
        self.trainer.epoch(&self.data.train, |n, step| {
            sums.add(n, &step);
            progress(Progress::Step(&step));
        })?;
        let epoch = self.epoch();
        let settings = &self.config.train;
        let is_due = epoch == settings.epochs || epoch.is_multiple_of(settings.validate_every);
        let scores = if is_due { Some(self.validate()?) } else { None };
        self.trainer.spent("validation", Phase::Between, 0);
        let beaten =
            |scores: &&Scores| self.best.as_ref().is_none_or(|(_, best)| better(scores, best));
        let new = scores.as_ref().filter(beaten).map(|scores| (epoch, scores.clone()));
        let is_best = new.is_some();
        self.best = new.or(self.best.take());
        let seconds = start.elapsed().as_secs_f64();
        let classes = matches!(self.data.task, data::Task::Classification { .. });
        let record = sums.epoch(epoch, self.trainer.steps(), classes, scores, seconds);
        self.save(&record, is_best)?;
        self.trainer.spent("saving", Phase::Between, 0);
        progress(Progress::Epoch(&record, is_best));
        self.history.push(record);
        Ok(())
    }

    fn validate(&self) -> Result<Scores> {
        let (model, Dataset { validation, preprocess, .. }) = (&self.trainer.model, &self.data);
        let samples = self.config.samples(self.config.train.validation_samples);
        let position = (self.config.seed, self.epoch());
        let scores = validate(model, validation, preprocess, samples, position);
        self.check_finite(&scores)?;
        Ok(scores)
    }

    /// A last step may overflow what no later step looks at.
    fn check_finite(&self, scores: &Scores) -> Result<()> {
        let mut params = self.trainer.model.params.iter();
        let bad = params.find_map(|(name, w)| {
            let value = w.iter().find(|w| !w.is_finite())?;
            Some(format!("parameter `{name}` holds {value}"))
        });
        let finite = scores.nll.is_finite() && scores.rmse.is_none_or(f64::is_finite);
        let unscored = (!finite).then(|| "the network's outputs overflow".to_string());
        let Some(node) = bad.or(unscored) else { return Ok(()) };
        let terms = format!("Found in validation: NLL {} nats an example", scores.nll);
        let (step, epoch) = (self.trainer.steps() - 1, self.epoch() as u64);
        Err(Error::Diverged { step, epoch, node, terms })
    }

    fn save(&self, record: &Epoch, is_best: bool) -> Result<()> {
        let metrics = self.dir.join("metrics.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&metrics);
        file.and_then(|mut f| f.write_all(line(record).as_bytes()).and_then(|()| f.sync_all()))
            .map_err(Error::io(&metrics))?;
        if record.validation.is_none() {
            return Ok(());
        }
        let header = Header {
            config: self.config.clone(),
            task: self.data.task.clone(),
            image: self.data.image,
            preprocess: self.data.preprocess.clone(),
            examples: self.data.train.len(),
            data_sha256: self.fingerprint.clone(),
            steps: self.trainer.steps(),
            epoch: record.epoch,
            best: self.best.clone(),
            machine: Some(self.machine.clone()),
        };
        let Trainer { model, optimiser, .. } = &self.trainer;
        if is_best {
            checkpoint::save(&self.dir.join("best.safetensors"), &header, &model.params, None)?;
        }
        let last = self.dir.join("last.safetensors");
        checkpoint::save(&last, &header, &model.params, Some(optimiser))
    }
}

/// A trained model as its run folder keeps it.
pub struct Trained {
    /// The model of the best epoch.
    pub model: Model,
    /// What its checkpoint says.
    pub header: Header,
    dir: PathBuf,
}

impl Trained {
    /// Read `best.safetensors` of a run folder.
    ///
    /// # Errors
    /// If there is none, or it is damaged or another run's.
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

    /// Load the data it was trained on.
    ///
    /// # Errors
    /// If they are not there or have changed.
    pub fn data(&self, data_dir: Option<&Path>) -> Result<Dataset> {
        let mut data = find_data(&self.dir, &self.header.config, data_dir)?;
        let unchecked = same_data(&self.header, &data, &data.fingerprint())?;
        data.notes = unchecked.into_iter().collect();
        Ok(data)
    }
}

/// Put the network of the run in `dir` in the place of this one's, with the posterior around its `θ`.
fn warm_start(model: &mut Model, config: &Config, inputs: Shape, dir: &Path) -> Result<()> {
    let Trained { model: from, header, .. } = Trained::load(dir)?;
    let words = |model: &Model, config: &Config, inputs: Shape| {
        let layers = config.primary.layers.iter().flatten().map(Layer::to_string);
        let parts = model.primary.parts().into_iter().map(|(name, n)| format!("{name} {n}"));
        let [layers, parts] = [layers.collect::<Vec<_>>(), parts.collect()].map(|w| w.join(", "));
        format!("{layers} on {inputs}, with {parts}")
    };
    let found = words(&from, &header.config, header.shape());
    let expected = words(model, config, inputs);
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

fn read_config(dir: &Path) -> Result<Config> {
    let config = dir.join("config.toml");
    if !config.exists() {
        let found = if dir.exists() { "no config.toml" } else { "no such folder" };
        let advice = "Give the folder that `bhn train` printed.";
        return Err(Error::invalid(dir.display(), found, "a run folder", advice));
    }
    Config::read(&config)
}

/// As [`load_data`], with advice for a file that is not where it was.
fn find_data(dir: &Path, config: &Config, data_dir: Option<&Path>) -> Result<Dataset> {
    load_data(config, data_dir).map_err(|error| {
        if data::is_named(&config.data) || Path::new(&config.data).exists() {
            return error;
        }
        let config_toml = dir.join("config.toml");
        let advice = format!("If it was moved, mend `data` in {}.", config_toml.display());
        Error::invalid(&config.data, "no such file", "the data of the run", advice)
    })
}

/// Whether a checkpoint is of this run. `data` may differ: a file may move, and
/// [`same_data`] knows it again.
fn same_config(dir: &Path, header: &Header, config: &Config) -> Result<()> {
    let began = Config { data: config.data.clone(), ..header.config.clone() };
    if began == *config {
        return Ok(());
    }
    let advice = "Undo the change to config.toml, put the run's own checkpoint back, or start a new \
                  run with --config.";
    let found = "a config.toml and a checkpoint of different runs";
    Err(Error::invalid(dir.display(), found, "those of one run", advice))
}

/// That the data of a run have not changed, in numbers or meaning; of an older version's run, what
/// to say of what cannot be compared.
fn same_data(header: &Header, data: &Dataset, fingerprint: &str) -> Result<Option<String>> {
    let name = &data.name;
    let advice = "Restore the file it was trained on, or train again.";
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
            "an older version trained this run: whether names and units of {name} are those of \
             the training data is not checked"
        )
    }))
}

/// Higher accuracy; at a tie, or in regression, lower NLL.
fn better(a: &Scores, b: &Scores) -> bool {
    (a.accuracy, -a.nll) > (b.accuracy, -b.nll)
}

/// A line of `metrics.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: &'a Epoch,
    /// SHA-256 of the line with this [`BLANK`].
    sha256: &'a str,
}

fn line(record: &Epoch) -> String {
    let line = serde_json::to_string(&Line { record, sha256: BLANK }).expect("finite numbers");
    checkpoint::seal(&line) + "\n"
}

/// The record of a line, unless that is damaged. Those of earlier versions have no checksum.
fn record(line: &[u8]) -> Option<Epoch> {
    let mut keys: Map<String, Value> = serde_json::from_slice(line).ok()?;
    if let Some(sha256) = keys.remove("sha256")
        && !checkpoint::is_intact(line, sha256.as_str()?)
    {
        return None;
    }
    serde_json::from_value(keys.into()).ok()
}

/// The records of `metrics.jsonl` without lines that are damaged or that a crash cut short; none if
/// there is no such file.
///
/// # Errors
/// If the file cannot be read.
pub fn read_metrics(dir: &Path) -> Result<Vec<Epoch>> {
    let path = dir.join("metrics.jsonl");
    if !path.exists() {
        return Ok(vec![]);
    }
    let bytes = files::bytes(&path, METRICS)?;
    Ok(bytes.split(|&byte| byte == b'\n').filter_map(|l| record(l.trim_ascii_end())).collect())
}

/// Means over an epoch, weighted by examples: `(N/|B|) Σ_B` weighted by `|B|/N` is the full sum.
#[derive(Default)]
struct Sums {
    examples: usize,
    correct: usize,
    /// `loss, elbo, log_likelihood, kl`.
    terms: [f64; 4],
    last: Option<(f64, f64)>,
}

impl Sums {
    fn add(&mut self, n: usize, step: &Step) {
        self.examples += n;
        self.correct += step.correct;
        let t = &step.terms;
        let terms = [step.loss, t.total, t.log_likelihood, t.kl];
        self.terms.iter_mut().zip(terms).for_each(|(sum, x)| *sum += n as f64 * x);
        self.last = Some((step.learning_rate, step.beta));
    }

    fn epoch(
        &self,
        epoch: usize,
        steps: u64,
        classes: bool,
        validation: Option<Scores>,
        seconds: f64,
    ) -> Epoch {
        let n = self.examples as f64;
        let (learning_rate, beta) = self.last.expect("an epoch has a step");
        let [loss, elbo, log_likelihood, kl] = self.terms.map(|sum| sum / n);
        let train_accuracy = classes.then_some(self.correct as f64 / n);
        Epoch {
            epoch,
            steps,
            learning_rate,
            beta,
            loss,
            elbo,
            log_likelihood,
            kl,
            train_accuracy,
            validation,
            seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_decides_and_then_the_lower_nll() {
        let scores = |accuracy, nll| Scores { accuracy, nll, ece: None, rmse: None };
        assert!(better(&scores(Some(0.9), 2.), &scores(Some(0.8), 1.)));
        assert!(better(&scores(Some(0.9), 1.), &scores(Some(0.9), 2.)));
        assert!(!better(&scores(Some(0.9), 2.), &scores(Some(0.9), 1.)));
        assert!(better(&scores(None, 1.), &scores(None, 2.)));
        assert!(!better(&scores(None, 1.), &scores(None, 1.)));
    }
}
