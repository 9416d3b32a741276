//! The folder of an experiment: every result is computed once and cached.
//!
//! `lab.json` identifies the experiment. A *cell* is one cached result, the file `cells/KEY.json`;
//! the page is drawn from cells alone. A *part* is an intermediate result that cells are computed
//! from, the file `parts/KEY.json`. A *run* is a training that can be resumed, the folder
//! `runs/KEY`. Cells and parts are written atomically and runs resume, so an interrupted experiment
//! continues where it stopped. Each cell carries a checksum, except cells that earlier versions
//! wrote; the lab counts these.
use super::identity::{Identity, identify};
use super::tier::Tier;
use super::workers::{on_workers, single_thread};
use crate::data::{Dataset, files, temporary};
use crate::error::{Error, Result};
use crate::report::experiment::Report;
use crate::run::config::Config;
use crate::run::lock::Lock;
use crate::run::record::Epoch;
use crate::run::seal::{self, BLANK, DAMAGED};
use crate::run::summary::cpu;
use crate::run::{self, Run, Trained, atomic};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{self, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// An experiment of `bhn reproduce`.
pub struct Experiment {
    /// Name on the command line.
    pub name: &'static str,
    /// Source of the claim: a table, figure or section of the paper, or the authors' code;
    /// `not in the paper` for a claim of ours.
    pub place: &'static str,
    /// The claim that the experiment tests.
    pub claim: &'static str,
    /// Version of the protocol. It is increased when a change of the code changes a result, or what
    /// a cell keeps. [`Lab::open`] rejects folders of other versions.
    pub version: u32,
    /// The oldest version whose cells [`Lab::read`] accepts: its results are the same, but cells
    /// lack what later ones keep.
    pub readable: u32,
    /// Default number of seeds by tier.
    pub seeds: [u64; 3],
    /// Duration in seconds by tier, with the default numbers of seeds, on two cores of an AMD EPYC
    /// (Zen 5), whose peak in `f32` is 5·10¹¹ FLOP/s.
    pub seconds: [f64; 3],
    /// Computes every result and returns the report.
    pub run: fn(&Lab<'_>) -> Result<Report>,
}

/// Why a lock is not poisoned.
const UNPOISONED: &str = "no panic while it is held";

/// Largest accepted size of a JSON file, in bytes.
const BYTES: u64 = 1 << 30;

/// The folder in which an experiment computes and caches its results.
pub struct Lab<'a> {
    /// Extent of the experiment.
    pub tier: Tier,
    /// Number of seeds `n`: the seeds are `0` to `n − 1`.
    pub seeds: u64,
    /// The folder.
    pub dir: PathBuf,
    /// Folder of the data sets; the default folder if `None`.
    pub data_dir: Option<PathBuf>,
    /// Whether a cell or part that is not cached is computed. Otherwise it is an error.
    pub computes: bool,
    /// Version of the protocol that the folder's cells follow.
    pub version: u32,
    listener: &'a (dyn Fn(Progress<'_>) + Sync),
    ledger: Mutex<Ledger>,
    /// A lock for each run that [`Lab::alone`] was called for, by name.
    runs: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
    _lock: Lock,
}

/// The folders of cached results.
#[derive(Clone, Copy)]
enum Folder {
    Cells,
    Parts,
}

/// Progress reported while an experiment runs.
pub enum Progress<'a> {
    /// Cells were requested.
    Cells {
        /// Number of cells.
        count: usize,
        /// Number of cells that are cached.
        kept: usize,
        /// Total cost of the cells that are not cached.
        cost: f64,
    },
    /// The computation of a cell started.
    Begun {
        /// Name of the cell.
        key: &'a str,
        /// Cost of the cell.
        cost: f64,
    },
    /// The computation of a cell finished.
    Cell {
        /// Name of the cell.
        key: &'a str,
    },
    /// An epoch or a round of a run finished.
    Part {
        /// Name of the run: `KEY-SEED`, the name of its cell without a suffix, if the cell has one
        /// run.
        key: &'a str,
        /// `epoch` or `round`.
        what: &'a str,
        /// Number of finished parts.
        done: usize,
        /// Total number of parts.
        of: usize,
    },
}

/// A result to compute and to cache under a name.
#[derive(Clone, Debug)]
pub struct Cell<K> {
    /// Name of the cell. Within an experiment and tier, the name identifies everything that the
    /// result depends on.
    pub key: String,
    /// Expected computing time, in a unit that is the same for all cells.
    pub cost: f64,
    /// Argument of the computation.
    pub input: K,
}

/// `cells/KEY.json` or `parts/KEY.json`. Fields that depend on the machine are separate from the
/// result.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept<R> {
    result: R,
    seconds: f64,
    commit: String,
    /// `None` in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    processor: Option<String>,
    /// SHA-256 of the file with [`BLANK`] in this field; `None` in files of earlier versions.
    sha256: Option<String>,
}

/// Computing time and provenance of all cells used so far.
#[derive(Default)]
struct Ledger {
    seconds: f64,
    commits: BTreeSet<String>,
    processors: BTreeSet<String>,
    /// For each cell, by name, whether it has a checksum.
    cells: BTreeMap<String, bool>,
}

impl<'a> Lab<'a> {
    /// Create the folder, or continue in a folder of the same experiment, version and tier.
    ///
    /// # Errors
    /// If the folder belongs to something else, is locked by another process, cannot be read or
    /// written, or has a path that is not UTF-8.
    pub fn open(
        dir: &Path,
        experiment: &Experiment,
        extent: (Tier, u64),
        data_dir: Option<&Path>,
        listener: &'a (dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Self> {
        Self::begin(dir, experiment, extent, data_dir, listener, true)
    }

    /// Opens the folder to draw its page, and [computes](Self::computes) nothing. The folder may be
    /// of an earlier [readable](Experiment::readable) version.
    ///
    /// # Errors
    /// As [`Lab::open`].
    pub fn read(
        dir: &Path,
        experiment: &Experiment,
        extent: (Tier, u64),
        data_dir: Option<&Path>,
        listener: &'a (dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Self> {
        Self::begin(dir, experiment, extent, data_dir, listener, false)
    }

    fn begin(
        dir: &Path,
        experiment: &Experiment,
        (tier, seeds): (Tier, u64),
        data_dir: Option<&Path>,
        listener: &'a (dyn Fn(Progress<'_>) + Sync),
        computes: bool,
    ) -> Result<Self> {
        // Runs that start from another keep its path in their config.toml.
        let absolute = path::absolute(dir).map_err(Error::io(dir))?;
        if absolute.to_str().is_none() {
            let (found, expected) = ("a path that is not UTF-8", "a path in UTF-8");
            let advice = "Choose another folder with --out: configurations store its path.";
            return Err(Error::invalid(absolute.display(), found, expected, advice));
        }
        let Experiment { name, version, readable, .. } = *experiment;
        let own = Identity::new(name, version, tier);
        let (lock, version) = identify(dir, &own, readable, computes)?;
        let (cells, parts) = (dir.join("cells"), dir.join("parts"));
        fs::create_dir_all(&cells).map_err(Error::io(&cells))?;
        for folder in [cells, parts].iter().filter(|folder| folder.exists()) {
            temporary::sweep(folder)?;
        }
        let (dir, data_dir) = (absolute, data_dir.map(Path::to_path_buf));
        let (ledger, runs) = (Mutex::default(), Mutex::default());
        Ok(Self {
            tier,
            seeds,
            dir,
            data_dir,
            computes,
            version,
            listener,
            ledger,
            runs,
            _lock: lock,
        })
    }

    /// The cached result of the cell `key`; computed and cached on first use.
    ///
    /// A new result is also read back from its file, so the first call and all later calls return
    /// bitwise identical results.
    ///
    /// # Errors
    /// If `compute` fails, the result contains a non-finite number, the file is damaged or cannot
    /// be read or written, or there is none and the lab does not [compute](Self::computes).
    pub fn cell<R: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        compute: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        self.cached(Folder::Cells, key, compute)
    }

    /// Like [`Lab::cell`], for an intermediate result: the page does not need it.
    ///
    /// # Errors
    /// Those of [`Lab::cell`].
    pub fn part<R: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        compute: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        self.cached(Folder::Parts, key, compute)
    }

    /// Whether the cell `key` is cached.
    pub fn has(&self, key: &str) -> bool {
        self.path(Folder::Cells, key).exists()
    }

    fn cached<R: Serialize + DeserializeOwned>(
        &self,
        folder: Folder,
        key: &str,
        compute: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let path = self.path(folder, key);
        if !path.exists() {
            if !self.computes {
                let advice = "Compute it by the same command without --cached.";
                return Err(Error::invalid(path.display(), "no file", "a cached result", advice));
            }
            let start = Instant::now();
            let result = compute()?;
            let seconds = start.elapsed().as_secs_f64();
            let (commit, sha256) = (env!("BHN_COMMIT").into(), Some(BLANK.into()));
            let kept = Kept { result, seconds, commit, processor: Some(cpu()), sha256 };
            let json = serde_json::to_string_pretty(&kept).map_err(|e| e.to_string());
            let json = json.and_then(|json| {
                let again = serde_json::from_str::<Kept<R>>(&json).map(drop);
                again.map(|()| json).map_err(|e| e.to_string())
            });
            let bad = |e| {
                let advice = "Represent a failure by a value of its own, such as `None`.";
                Error::invalid(format!("cell {key}"), e, "numbers that are finite", advice)
            };
            let folder = path.parent().expect("a folder of the lab");
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
            atomic::write(&path, &seal::seal(json.map_err(bad)?.into_bytes()))?;
        }
        let bytes = files::bytes(&path, BYTES)?;
        let bad = |found: String| {
            let advice = "Remove it: it will be computed again.";
            Error::invalid(path.display(), found, "a cell of this experiment", advice)
        };
        let kept: Kept<R> = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
        if kept.sha256.as_ref().is_some_and(|sum| !seal::is_intact(&bytes, sum)) {
            return Err(bad(DAMAGED.into()));
        }
        // The time of a part is that of the cell that needed it.
        if matches!(folder, Folder::Cells) {
            let mut ledger = self.ledger();
            if ledger.cells.insert(key.into(), kept.sha256.is_some()).is_none() {
                ledger.seconds += kept.seconds;
            }
            ledger.commits.insert(kept.commit);
            ledger.processors.extend(kept.processor);
        }
        Ok(kept.result)
    }

    /// The results of many cells, in the order of `cells`. The cells are computed in parallel, each
    /// on a single thread, the most expensive first.
    ///
    /// # Errors
    /// The first error of [`Lab::cell`] in the order of `cells`, or an error if a thread cannot be
    /// started. After an error no cell is started; those in progress are finished and cached.
    pub fn cells<K: Sync, R: Serialize + DeserializeOwned + Send>(
        &self,
        cells: &[Cell<K>],
        compute: impl Fn(&K) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        self.all(Folder::Cells, cells, compute)
    }

    /// Like [`Lab::cells`], for [parts](Self::part).
    ///
    /// # Errors
    /// Those of [`Lab::cells`].
    pub fn parts<K: Sync, R: Serialize + DeserializeOwned + Send>(
        &self,
        parts: &[Cell<K>],
        compute: impl Fn(&K) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        self.all(Folder::Parts, parts, compute)
    }

    fn all<K: Sync, R: Serialize + DeserializeOwned + Send>(
        &self,
        folder: Folder,
        cells: &[Cell<K>],
        compute: impl Fn(&K) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let is_kept = |cell: &&Cell<K>| self.path(folder, &cell.key).exists();
        let kept = cells.iter().filter(is_kept).count();
        let cost = cells.iter().filter(|cell| !is_kept(cell)).map(|cell| cell.cost).sum();
        (self.listener)(Progress::Cells { count: cells.len(), kept, cost });
        let mut order: Vec<_> = (0..cells.len()).collect();
        order.sort_by(|&i, &j| cells[j].cost.total_cmp(&cells[i].cost));
        let (next, results) = (AtomicUsize::new(0), Mutex::new(vec![]));
        let worker = || {
            while let Some(&i) = order.get(next.fetch_add(1, Relaxed)) {
                let Cell { key, cost, input } = &cells[i];
                let is_new = !self.path(folder, key).exists();
                if is_new {
                    (self.listener)(Progress::Begun { key, cost: *cost });
                }
                let result = self.cached(folder, key, || compute(input));
                if result.is_err() {
                    next.store(order.len(), Relaxed);
                } else if is_new {
                    (self.listener)(Progress::Cell { key });
                }
                results.lock().expect(UNPOISONED).push((i, result));
            }
        };
        let workers = rayon::current_num_threads().min(cells.len());
        on_workers(workers, single_thread, worker)
            .inspect_err(|_| next.store(order.len(), Relaxed))?;
        let mut results = results.into_inner().expect("no panic while it was held");
        results.sort_by_key(|(i, _)| *i);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// The run `key`, trained to the end, and the model of its best epoch. The run is created if it
    /// does not exist, resumed if it is incomplete, and read if it is complete. Training uses all
    /// threads of the current pool. Inside a cell, the time of a run counts towards the cell.
    ///
    /// # Errors
    /// If the run was started with another configuration or other data, training diverges, or a
    /// file cannot be read or written.
    pub fn run(&self, key: &str, config: &Config, data: Dataset) -> Result<(Run, Trained)> {
        check_key(key);
        let of = config.train.epochs;
        Run::complete(&self.dir.join("runs").join(key), config.clone(), data, |progress| {
            if let run::Progress::Epoch(Epoch { epoch, .. }, _) = progress {
                (self.listener)(Progress::Part { key, what: "epoch", done: *epoch, of });
            }
        })
    }

    /// `compute()`, which uses the run `key`, while no other call of this function uses it: others
    /// wait.
    pub(super) fn alone<R>(&self, key: &str, compute: impl FnOnce() -> R) -> R {
        let run = Arc::clone(self.runs.lock().expect(UNPOISONED).entry(key.into()).or_default());
        let _alone = run.lock().expect(UNPOISONED);
        compute()
    }

    /// Report that the run `key` has finished `done` of `of` rounds.
    pub fn round(&self, key: &str, done: usize, of: usize) {
        (self.listener)(Progress::Part { key, what: "round", done, of });
    }

    /// Computing time in seconds of all cells used so far, including those computed earlier.
    pub fn seconds(&self) -> f64 {
        self.ledger().seconds
    }

    /// Commits of the builds that computed the cells used so far.
    pub fn commits(&self) -> Vec<String> {
        let ledger = self.ledger();
        ledger.commits.iter().cloned().collect()
    }

    /// Processors that computed the cells used so far, as far as these say.
    pub fn processors(&self) -> Vec<String> {
        self.ledger().processors.iter().cloned().collect()
    }

    /// Of the cells used so far, the number without a checksum, and the number of all.
    pub fn unsealed(&self) -> (usize, usize) {
        let ledger = self.ledger();
        (ledger.cells.values().filter(|sealed| !**sealed).count(), ledger.cells.len())
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect(UNPOISONED)
    }

    fn path(&self, folder: Folder, key: &str) -> PathBuf {
        check_key(key);
        let name = match folder {
            Folder::Cells => "cells",
            Folder::Parts => "parts",
        };
        self.dir.join(name).join(format!("{key}.json"))
    }
}

/// Panics unless `key` is a portable file name.
fn check_key(key: &str) {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    assert!(!key.is_empty() && !key.starts_with('.') && key.chars().all(fits), "key {key:?}");
}
