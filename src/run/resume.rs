//! A run in training: how it is started, written to its folder, and resumed.
//!
//! A [`Run`] holds the lock of its folder, so that no other process writes to it. `config.toml` is
//! written first and never changes; `last.safetensors` follows, with the initial parameters: a run
//! without it is one that has lost it. Each epoch appends a line to `metrics.jsonl`. An epoch
//! with a validation then writes `best.safetensors`, if its scores are the best so far, and always
//! `last.safetensors`, or keeps them in memory if files were written less than
//! [`Run::checkpoint_interval`] ago. A run that was killed at any moment resumes from
//! `last.safetensors` and discards the lines of later epochs. Each line has a checksum: a damaged
//! line is missing from the curves, but does not prevent the run from resuming. `summary.json` and
//! `report.html` are written at the end.
use crate::autodiff::profile::Phase;
use crate::data::{Dataset, Task};
use crate::error::{Error, Result, quoted};
use crate::nn::Params;
use crate::nn::optim::Optimiser;
use crate::predict::evaluate::{Scores, validate};
use crate::run::config::Select;
use crate::run::lock::Lock;
use crate::run::machine::Machine;
use crate::run::missing::{allow_no_last, no_best};
use crate::run::target::Target;
use crate::run::train::{Step, Trainer};
use crate::run::trained::{Trained, find_data, read_config, same_config, same_data, warm_start};
use crate::run::{Checkpoint, Config, Epoch, Header, Method, atomic, checkpoint, read_metrics};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const BEST: &str = "best.safetensors";
const METRICS: &str = "metrics.jsonl";
const CONFIG: &str = "config.toml";
/// The default of [`Run::checkpoint_interval`].
const INTERVAL: Duration = Duration::from_secs(1);
/// The checkpoint that training resumes from.
const LAST: &str = "last.safetensors";

/// A run in training.
pub struct Run {
    /// The run folder.
    pub dir: PathBuf,
    /// The resolved configuration.
    pub config: Config,
    /// The data.
    pub data: Dataset,
    /// The model, its optimiser and the position in training.
    pub trainer: Trainer,
    /// The records of finished epochs, in order; incomplete if `metrics.jsonl` was damaged.
    pub history: Vec<Epoch>,
    /// Checkpoints are written at most once in this time, 1 s by default, since writing takes most
    /// of the time of training on a small table; and when training ends, by an error too.
    pub checkpoint_interval: Duration,
    best: Option<(usize, Scores)>,
    unsaved: Unsaved,
    /// When checkpoints were last written.
    saved: Instant,
    fingerprint: String,
    lock: Lock,
}

/// Checkpoints that are not written yet.
#[derive(Default)]
struct Unsaved {
    best: Option<(Header, Params<f32>)>,
    last: Option<(Header, Params<f32>, Optimiser)>,
}

/// Events of training.
pub enum Progress<'a> {
    /// A step was taken.
    Step(&'a Step),
    /// An epoch was finished; the flag tells whether it is the best so far.
    Epoch(&'a Epoch, bool),
}

impl Run {
    /// Start a run in a new folder. `config` must be resolved.
    ///
    /// # Errors
    /// If the folder is not empty, is in use or cannot be created, or the run in
    /// `config.warm_start` cannot be loaded or does not fit.
    pub fn create(dir: &Path, config: Config, data: Dataset) -> Result<Self> {
        if !Lock::is_vacant(dir)? {
            let mut advice = "Choose another folder with --out, or remove it.".to_string();
            if dir.join(CONFIG).exists() {
                let run = quoted(dir.display());
                advice = format!("Continue it with `bhn train --resume {run}`. {advice}");
            }
            return Err(Error::invalid(dir.display(), "a folder that exists", "a new one", advice));
        }
        let mut run = Self::initial(Lock::take(dir)?, dir, config, data);
        run.begin().inspect_err(|_| {
            for file in [LAST, CONFIG] {
                fs::remove_file(dir.join(file)).ok();
            }
            Lock::abandon(dir);
        })?;
        Ok(run)
    }

    /// Write the first files of a new run.
    fn begin(&mut self) -> Result<()> {
        warm_start(&mut self.trainer.model, &self.config, self.data.shape())?;
        atomic::write(&self.dir.join(CONFIG), self.config.to_toml().as_bytes())?;
        self.save_last(&self.header(0))
    }

    /// Resume a run from its last checkpoint.
    ///
    /// # Errors
    /// If the folder is not that of a run or is in use, a checkpoint is damaged or missing, or its
    /// data have changed.
    pub fn resume(dir: &Path, data_dir: Option<&Path>) -> Result<Self> {
        Self::resume_on(dir, find_data(dir, &read_config(dir)?, data_dir)?)
    }

    /// As [`Run::resume`], with the `data` that were given to [`Run::create`] instead of data
    /// loaded from a file.
    ///
    /// # Errors
    /// As [`Run::resume`].
    pub fn resume_on(dir: &Path, data: Dataset) -> Result<Self> {
        let config = read_config(dir)?.resolve_for(&(&data).into())?;
        let lock = Lock::take(dir)?;
        let last = dir.join(LAST);
        // The checkpoint is checked before a model is built.
        let saved = last.exists().then(|| Checkpoint::load(&last)).transpose()?;
        if let Some(saved) = &saved {
            same_config(dir, &saved.header, &config)?;
            saved.check()?;
        }
        config.check_frozen(&data)?;
        let mut run = Self::initial(lock, dir, config, data);
        match saved {
            Some(saved) => run.restore(saved)?,
            None => {
                allow_no_last(dir, &run.config)?;
                run.save_last(&run.header(0))?;
            }
        }
        let lines: Vec<_> = run.history.iter().flat_map(Epoch::line).collect();
        atomic::write(&dir.join(METRICS), &lines)?;
        Ok(run)
    }

    /// The run in `dir`, trained to the end, and the model of its best epoch. The run is created if
    /// `dir` holds none, resumed if it is incomplete, and read if it is complete. `config` need not
    /// be resolved.
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
        let mut run = if dir.join(CONFIG).exists() {
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

    /// The untrained run.
    fn initial(lock: Lock, dir: &Path, config: Config, data: Dataset) -> Self {
        let mut trainer = Trainer::new(&config, data.shape(), &data.task, data.train.len());
        if config.train.data_init {
            trainer.model.init_from_data(data.train.x.view());
        }
        let (fingerprint, dir) = (data.fingerprint(), dir.to_path_buf());
        Self {
            dir,
            config,
            data,
            trainer,
            history: vec![],
            checkpoint_interval: INTERVAL,
            best: None,
            unsaved: Unsaved::default(),
            saved: Instant::now(),
            fingerprint,
            lock,
        }
    }

    /// Continue from a checkpoint of this run.
    fn restore(&mut self, saved: Checkpoint) -> Result<()> {
        let unchecked = same_data(&saved.header, &self.data, &self.fingerprint)?;
        check_position(&self.dir.join(LAST), &saved.header, self.data.train.len())?;
        let best = saved.header.best.as_ref().map(|(epoch, _)| *epoch);
        let is_lost = best.is_some() && !self.dir.join(BEST).exists();
        if is_lost && best != Some(saved.header.epoch) {
            return Err(no_best(&self.dir));
        }
        let (here, other) = (Machine::here(), saved.header.machine.as_ref());
        let other = other.filter(|other| !other.has_bits_of(&here)).map(|other| {
            format!(
                "this run began with {other} and continues with {here}: the last bits may differ \
                 from those of a run on one machine"
            )
        });
        self.data.notes = unchecked.into_iter().chain(other).collect();
        let trainer = &mut self.trainer;
        trainer.model = saved.model()?;
        saved.restore_optimiser(&trainer.model.params, &mut trainer.optimiser)?;
        if is_lost {
            checkpoint::save(&self.dir.join(BEST), &saved.header, &trainer.model.params, None)?;
        }
        self.history = read_metrics(&self.dir)?;
        self.history.retain(|e| (1..=saved.header.epoch).contains(&e.epoch));
        self.history.sort_by_key(|e| e.epoch);
        self.history.dedup_by_key(|e| e.epoch);
        self.best = saved.header.best;
        Ok(())
    }

    /// The best epoch by validation so far, and its scores.
    pub fn best(&self) -> Option<&(usize, Scores)> {
        self.best.as_ref()
    }

    /// The number of finished epochs whose records are lost, because `metrics.jsonl` was damaged.
    pub fn unrecorded(&self) -> usize {
        self.epoch() - self.history.len()
    }

    /// The duration of all epochs in seconds, validation included. Epochs without a record count as
    /// the mean of the others; 0 if there are no records.
    pub fn seconds(&self) -> f64 {
        let sum: f64 = self.history.iter().map(|e| e.seconds).sum();
        match (self.history.len(), self.epoch()) {
            (0, _) => 0.,
            (found, all) if found < all => sum / found as f64 * all as f64,
            _ => sum,
        }
    }

    /// The number of finished epochs.
    pub fn epoch(&self) -> usize {
        (self.trainer.steps() / self.trainer.steps_per_epoch()) as usize
    }

    /// Whether training is over: after all epochs, or with the validation that is `train.patience`
    /// epochs or more after the best.
    pub fn is_done(&self) -> bool {
        let (epoch, settings) = (self.epoch(), &self.config.train);
        let is_stale = |(best, _): &(usize, Scores)| epoch >= best + settings.patience;
        let may_stop = settings.patience > 0 && epoch.is_multiple_of(settings.validate_every);
        let is_stopped = may_stop && self.best.as_ref().is_some_and(is_stale);
        epoch >= settings.epochs || is_stopped
    }

    /// Train to the end, with a validation every `train.validate_every` epochs, and load the model
    /// of the best epoch. Checkpoints are written after validations.
    ///
    /// # Errors
    /// If training diverges or a file cannot be written; the last checkpoint is kept.
    pub fn train(&mut self, mut progress: impl FnMut(Progress<'_>)) -> Result<Trained> {
        if !self.is_done() {
            self.trainer.cache_first_product(&self.data.train);
        }
        while !self.is_done() {
            if let Err(error) = self.train_epoch(&mut progress) {
                return self.write().and(Err(error));
            }
        }
        Trained::load(&self.dir)
    }

    /// Train, validate, save and record one epoch.
    fn train_epoch(&mut self, progress: &mut impl FnMut(Progress<'_>)) -> Result<()> {
        let start = Instant::now();
        let mut batches = vec![];
        self.trainer.epoch(&self.data.train, |n, step| {
            progress(Progress::Step(&step));
            batches.push((n, step));
        })?;
        let (epoch, settings) = (self.epoch(), &self.config.train);
        let is_classification = matches!(self.data.task, Task::Classification { .. });
        let mut record = Epoch::new(epoch, self.trainer.steps(), &batches, is_classification);
        if epoch == settings.epochs || epoch.is_multiple_of(settings.validate_every) {
            record.validation = Some(self.validate()?);
        }
        self.trainer.spent("validation", Phase::Between, 0);
        // Before the last epoch there may be no posterior whose scores could be compared.
        let counts = epoch == settings.epochs || !Method::from(&self.config).needs_all_epochs();
        let best = record.validation.as_ref().filter(|_| counts);
        let best = best.filter(|new| {
            self.best.as_ref().is_none_or(|(_, old)| better(settings.select, new, old))
        });
        let is_best = best.is_some();
        self.best = best.map(|scores| (epoch, scores.clone())).or(self.best.take());
        record.seconds = start.elapsed().as_secs_f64();
        self.save(&record, is_best)?;
        self.trainer.spent("saving", Phase::Between, 0);
        progress(Progress::Epoch(&record, is_best));
        self.history.push(record);
        Ok(())
    }

    /// The validation scores.
    ///
    /// Each step checks its loss and gradient before it changes the parameters, so the parameters
    /// after the last step are checked only here.
    ///
    /// # Errors
    /// If a parameter or a score is not finite.
    fn validate(&self) -> Result<Scores> {
        let (model, Dataset { validation, preprocess, .. }) = (&self.trainer.model, &self.data);
        let samples = self.config.samples(self.config.train.validation_samples);
        let position = (self.config.seed, self.epoch());
        let scores = validate(model, validation, preprocess, samples, position);
        let bad = model.params.iter().find_map(|(name, w)| {
            let value = w.iter().find(|w| !w.is_finite())?;
            Some(format!("parameter `{name}` contains {value}"))
        });
        let finite = scores.nll.is_finite() && scores.rmse.is_none_or(f64::is_finite);
        let unscored = (!finite).then(|| "the network's outputs overflow".to_string());
        let Some(node) = bad.or(unscored) else { return Ok(scores) };
        let terms = format!("Found in validation: NLL {} nats per example", scores.nll);
        let (step, epoch) = (self.trainer.steps() - 1, self.epoch() as u64);
        Err(Error::Diverged { step, epoch, node, terms })
    }

    /// The metadata of a checkpoint after `epoch` epochs.
    fn header(&self, epoch: usize) -> Header {
        Header {
            steps: self.trainer.steps(),
            epoch,
            best: self.best.clone(),
            ..Header::new(self.config.clone(), &self.data, self.fingerprint.clone())
        }
    }

    /// Record an epoch, and write the checkpoints if they are due.
    fn save(&mut self, record: &Epoch, is_best: bool) -> Result<()> {
        self.lock.check()?;
        let metrics = self.dir.join(METRICS);
        Target::own(&metrics)?;
        let file = OpenOptions::new().create(true).append(true).open(&metrics);
        file.and_then(|mut file| file.write_all(&record.line())).map_err(Error::io(&metrics))?;
        if record.validation.is_none() {
            return Ok(());
        }
        let Trainer { model, optimiser, .. } = &self.trainer;
        let (header, params) = (self.header(record.epoch), &model.params);
        if is_best {
            self.unsaved.best = Some((header.clone(), params.clone()));
        }
        self.unsaved.last = Some((header, params.clone(), optimiser.clone()));
        match self.saved.elapsed() >= self.checkpoint_interval || self.is_done() {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// Write the checkpoints that are not written yet.
    fn write(&mut self) -> Result<()> {
        let Unsaved { best, last } = std::mem::take(&mut self.unsaved);
        let Some((header, params, optimiser)) = last else { return Ok(()) };
        self.lock.check()?;
        let metrics = self.dir.join(METRICS);
        File::open(&metrics).and_then(|file| file.sync_all()).map_err(Error::io(&metrics))?;
        if let Some((header, params)) = best {
            checkpoint::save(&self.dir.join(BEST), &header, &params, None)?;
        }
        checkpoint::save(&self.dir.join(LAST), &header, &params, Some(&optimiser))?;
        self.saved = Instant::now();
        Ok(())
    }

    fn save_last(&self, header: &Header) -> Result<()> {
        let Trainer { model, optimiser, .. } = &self.trainer;
        checkpoint::save(&self.dir.join(LAST), header, &model.params, Some(optimiser))
    }
}

/// Check that the position in training and the best epoch of the checkpoint `path` belong to a run
/// on `examples` examples.
fn check_position(path: &Path, header: &Header, examples: usize) -> Result<()> {
    let Header { config, epoch, steps, best, task, .. } = header;
    let bad = |found: String, expected: String| {
        let advice = "Use another checkpoint of the run, or train again.";
        Err(Error::invalid(path.display(), found, expected, advice))
    };
    if header.examples != examples {
        let found = format!("{} training examples", header.examples);
        return bad(found, format!("{examples}, as in the data"));
    }
    let each = examples.div_ceil(config.train.batch) as u64;
    let is_whole = (*epoch as u64).checked_mul(each) == Some(*steps);
    if !is_whole || *epoch > config.train.epochs {
        let found = format!("{epoch} epochs and {steps} steps");
        return bad(found, format!("up to {} epochs of {each} steps", config.train.epochs));
    }
    let classifies = matches!(task, Task::Classification { .. });
    let fits = match best {
        Some((at, scores)) => (1..=*epoch).contains(at) && scores.accuracy.is_some() == classifies,
        None => *epoch < config.train.epochs,
    };
    if !fits {
        let found = best.as_ref().map_or("no best epoch".into(), |(at, _)| {
            format!("the best epoch {at}, or scores of another task")
        });
        return bad(found, format!("a best epoch from 1 to {epoch}, with its scores"));
    }
    Ok(())
}

/// Whether `a` is better than `b`: it has a higher accuracy or, if the accuracies are equal, absent
/// or not what is selected by, a lower NLL.
fn better(select: Select, a: &Scores, b: &Scores) -> bool {
    match select {
        Select::Accuracy => (a.accuracy, -a.nll) > (b.accuracy, -b.nll),
        Select::Nll => a.nll < b.nll,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_is_higher_accuracy_then_lower_nll_or_lower_nll_alone() {
        let scores = |accuracy, nll| Scores { accuracy, nll, ece: None, rmse: None };
        let by_accuracy = |a, b| better(Select::Accuracy, &a, &b);
        assert!(by_accuracy(scores(Some(0.9), 2.), scores(Some(0.8), 1.)));
        assert!(by_accuracy(scores(Some(0.9), 1.), scores(Some(0.9), 2.)));
        assert!(!by_accuracy(scores(Some(0.9), 2.), scores(Some(0.9), 1.)));
        assert!(by_accuracy(scores(None, 1.), scores(None, 2.)));
        assert!(!by_accuracy(scores(None, 1.), scores(None, 1.)));
        assert!(!better(Select::Nll, &scores(Some(0.9), 2.), &scores(Some(0.8), 1.)));
        assert!(better(Select::Nll, &scores(Some(0.8), 1.), &scores(Some(0.9), 2.)));
    }
}
