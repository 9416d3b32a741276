//! The folder of an experiment: every result is computed once, and kept.
//!
//! `lab.json` says whose folder it is. A cell, a result that costs seconds or minutes, is
//! `cells/KEY.json`; a run, which costs more, is a run folder `runs/KEY`. Cells are written whole or
//! not at all and runs resume, so an experiment that was killed goes on where it was. A cell has a
//! checksum; those that earlier versions wrote without one are counted.
use super::{Experiment, Tier};
use crate::data::{Dataset, files};
use crate::error::{Error, Result};
use crate::run::atomic;
use crate::run::config::Config;
use crate::run::lock::Lock;
use crate::run::record::Epoch;
use crate::run::seal::{self, BLANK, DAMAGED};
use crate::run::{self, Run, Trained, load_data};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

/// The version of what is in the folder.
const FORMAT: u32 = 1;

/// The most bytes of one of its JSON files.
const BYTES: u64 = 1 << 30;

/// Where an experiment works.
pub struct Lab<'a> {
    /// How much is to be done.
    pub tier: Tier,
    /// Seeds: 0 to one less.
    pub seeds: u64,
    /// The folder.
    pub dir: PathBuf,
    /// Where data sets are kept.
    pub data_dir: Option<PathBuf>,
    listener: &'a (dyn Fn(Progress<'_>) + Sync),
    ledger: Mutex<Ledger>,
    _lock: Lock,
}

/// What a lab tells while it works.
pub enum Progress<'a> {
    /// Cells are asked for, so many of which are kept from before, and the cost of the others.
    Cells {
        /// How many.
        count: usize,
        /// How many of them are there.
        kept: usize,
        /// Of those that are not.
        cost: f64,
    },
    /// One of the others is begun.
    Begun {
        /// Its name.
        key: &'a str,
        /// Its cost.
        cost: f64,
    },
    /// One of them was computed.
    Cell {
        /// Its name.
        key: &'a str,
    },
    /// An epoch of a run was finished, or a round.
    Part {
        /// The name of the run: its cell's, if that is all there is to the cell.
        key: &'a str,
        /// `epoch` or `round`.
        what: &'a str,
        /// Which, counted from 1.
        done: usize,
        /// Of how many.
        of: usize,
    },
}

/// Something to compute, and to keep under a name.
#[derive(Clone, Debug)]
pub struct Cell<K> {
    /// The name: it says all that the result depends on, within one experiment and tier.
    pub key: String,
    /// How long it takes, in any unit that is the same for all cells.
    pub cost: f64,
    /// What to compute.
    pub input: K,
}

/// `lab.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Identity {
    format: u32,
    experiment: String,
    version: u32,
    tier: Tier,
}

/// `cells/KEY.json`. What depends on the machine is kept apart from the result.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept<R> {
    result: R,
    seconds: f64,
    commit: String,
    /// SHA-256 of the file with this [`BLANK`]; none in those of earlier versions.
    sha256: Option<String>,
}

/// What all results that were used took, and which builds made them.
#[derive(Default)]
struct Ledger {
    seconds: f64,
    commits: BTreeSet<String>,
    /// Cells by name, and whether they have a checksum.
    cells: BTreeMap<String, bool>,
}

impl<'a> Lab<'a> {
    /// Begin in a new folder, or go on in one of the same experiment and tier.
    ///
    /// # Errors
    /// If the folder is something else's, or in use.
    pub fn open(
        dir: &Path,
        experiment: &Experiment,
        (tier, seeds): (Tier, u64),
        data_dir: Option<&Path>,
        listener: &'a (dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Self> {
        let (name, version) = (experiment.name.to_string(), experiment.version);
        let lock = identify(dir, &Identity { format: FORMAT, experiment: name, version, tier })?;
        let cells = dir.join("cells");
        fs::create_dir_all(&cells).map_err(Error::io(&cells))?;
        atomic::sweep(&cells)?;
        let (dir, data_dir) = (dir.to_path_buf(), data_dir.map(Path::to_path_buf));
        Ok(Self { tier, seeds, dir, data_dir, listener, ledger: Mutex::default(), _lock: lock })
    }

    /// The cell `key`: computed by `compute`, or as it was.
    ///
    /// What is returned went through JSON either way, so that it is the same to the bit.
    ///
    /// # Errors
    /// If `compute` fails, the result holds a number that JSON has not, or a file cannot be read or
    /// written, or has changed since.
    pub fn cell<R: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        compute: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let path = self.path(key);
        if !path.exists() {
            let start = Instant::now();
            let result = compute()?;
            let seconds = start.elapsed().as_secs_f64();
            let (commit, sha256) = (env!("BHN_COMMIT").into(), Some(BLANK.into()));
            let kept = Kept { result, seconds, commit, sha256 };
            let json = serde_json::to_string_pretty(&kept).map_err(|e| e.to_string());
            let json = json.and_then(|json| {
                let again = serde_json::from_str::<Kept<R>>(&json).map(drop);
                again.map(|()| json).map_err(|e| e.to_string())
            });
            let bad = |e| {
                let advice = "An experiment must say in its own words what went wrong.";
                Error::invalid(format!("cell {key}"), e, "numbers that are finite", advice)
            };
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
        let mut ledger = self.ledger();
        ledger.cells.insert(key.into(), kept.sha256.is_some());
        ledger.seconds += kept.seconds;
        ledger.commits.insert(kept.commit);
        Ok(kept.result)
    }

    /// Many cells, as many at a time as there are threads, each on one thread; the most costly are
    /// begun first. Their results are in the order of `cells`.
    ///
    /// # Errors
    /// As [`Lab::cell`]: the first in that order. Cells that were begun are finished and kept.
    #[expect(clippy::missing_panics_doc, reason = "only if a computation panics")]
    pub fn cells<K: Sync, R: Serialize + DeserializeOwned + Send>(
        &self,
        cells: &[Cell<K>],
        compute: impl Fn(&K) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let is_kept = |cell: &&Cell<K>| self.path(&cell.key).exists();
        let kept = cells.iter().filter(is_kept).count();
        let cost = cells.iter().filter(|cell| !is_kept(cell)).map(|cell| cell.cost).sum();
        (self.listener)(Progress::Cells { count: cells.len(), kept, cost });
        let mut order: Vec<_> = (0..cells.len()).collect();
        order.sort_by(|&i, &j| cells[j].cost.total_cmp(&cells[i].cost));
        let (next, results) = (AtomicUsize::new(0), Mutex::new(vec![]));
        let work = || {
            while let Some(&i) = order.get(next.fetch_add(1, Relaxed)) {
                let Cell { key, cost, input } = &cells[i];
                let is_new = !self.path(key).exists();
                if is_new {
                    (self.listener)(Progress::Begun { key, cost: *cost });
                }
                let result = self.cell(key, || compute(input));
                if result.is_err() {
                    next.store(order.len(), Relaxed);
                } else if is_new {
                    (self.listener)(Progress::Cell { key });
                }
                results.lock().expect("no panic while it is held").push((i, result));
            }
        };
        // Pools of one thread each: within a shared pool, a cell that waits would begin another.
        thread::scope(|scope| {
            for _ in 0..rayon::current_num_threads().min(cells.len()) {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                let pool = pool.expect("a thread can be started");
                let work = &work;
                scope.spawn(move || pool.install(work));
            }
        });
        let mut results = results.into_inner().expect("no panic while it was held");
        results.sort_by_key(|(i, _)| *i);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// The run `key`, trained to its end on all threads: begun, continued, or as it was. With it, its
    /// best epoch's model. In a cell, its time is the cell's.
    ///
    /// # Errors
    /// If it was begun with another configuration, training diverges, or a file cannot be read or
    /// written.
    pub fn run(&self, key: &str, config: &Config) -> Result<(Run, Trained)> {
        self.run_on(key, config, load_data(config, self.data_dir.as_deref())?)
    }

    /// The same on data that no name stands for. They must be the same each time.
    ///
    /// # Errors
    /// As [`Lab::run`], or if the run was begun with other data.
    pub fn run_on(&self, key: &str, config: &Config, data: Dataset) -> Result<(Run, Trained)> {
        check_key(key);
        let of = config.train.epochs;
        Run::complete(&self.dir.join("runs").join(key), config.clone(), data, |progress| {
            if let run::Progress::Epoch(Epoch { epoch, .. }, _) = progress {
                (self.listener)(Progress::Part { key, what: "epoch", done: *epoch, of });
            }
        })
    }

    /// Tell that the run `key` has done so many rounds.
    pub fn round(&self, key: &str, done: usize, of: usize) {
        (self.listener)(Progress::Part { key, what: "round", done, of });
    }

    /// Seconds that all cells used so far took, over all sittings.
    pub fn seconds(&self) -> f64 {
        self.ledger().seconds
    }

    /// The commits of the builds that computed the cells used so far.
    pub fn commits(&self) -> Vec<String> {
        let ledger = self.ledger();
        ledger.commits.iter().cloned().collect()
    }

    /// Of the cells used so far, how many have no checksum, and how many there are.
    pub fn unsealed(&self) -> (usize, usize) {
        let ledger = self.ledger();
        (ledger.cells.values().filter(|sealed| !**sealed).count(), ledger.cells.len())
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no panic while it is held")
    }

    fn path(&self, key: &str) -> PathBuf {
        check_key(key);
        self.dir.join("cells").join(format!("{key}.json"))
    }
}

/// A key is the name of a file.
fn check_key(key: &str) {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    assert!(!key.is_empty() && !key.starts_with('.') && key.chars().all(fits), "key {key:?}");
}

/// Make `dir` this lab's, or check that it is, and lock it.
fn identify(dir: &Path, own: &Identity) -> Result<Lock> {
    let path = dir.join("lab.json");
    let words = |of: &Identity| {
        let Identity { format, experiment, version, tier } = of;
        format!("experiment `{experiment}` (version {version}.{format}) at tier {tier}")
    };
    let refuse = |found: String| {
        let advice = "Choose another folder with --out, or remove it.";
        Err(Error::invalid(dir.display(), found, words(own), advice))
    };
    if path.exists() {
        let text = files::text(&path, BYTES)?;
        return match serde_json::from_str::<Identity>(&text) {
            Ok(found) if found == *own => Lock::take(dir),
            Ok(found) => refuse(words(&found)),
            Err(_) => refuse("a lab.json of another kind".into()),
        };
    }
    if !Lock::is_vacant(dir)? {
        return refuse("a folder with other files".into());
    }
    let lock = Lock::take(dir)?;
    let json = serde_json::to_string_pretty(own).expect("numbers and text") + "\n";
    atomic::write(&path, json.as_bytes())?;
    Ok(lock)
}
