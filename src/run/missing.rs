//! Files that are missing from a run folder: what can be rebuilt from the others, and what cannot.
use crate::error::{Error, Result, quoted};
use crate::run::{Checkpoint, Config};
use std::path::Path;

/// Check that a run without `last.safetensors` was never trained: every run has one from its start
/// on, except runs of earlier versions and runs that were killed in their first moments. Such a run
/// can start anew, unless it starts from another run, which may have changed.
///
/// # Errors
/// If the run was trained, or starts from another.
pub(super) fn allow_no_last(dir: &Path, config: &Config) -> Result<()> {
    let reason = match trace(dir) {
        Some(file) => format!("has {file}"),
        None if config.warm_start.is_some() => "starts from another run".into(),
        None => return Ok(()),
    };
    let found = format!("no last.safetensors in a run that {reason}");
    let expected = "the checkpoint that training continues from";
    Err(Error::invalid(dir.display(), found, expected, train_again(dir)))
}

/// The error for a run without `best.safetensors`.
pub(super) fn no_best(dir: &Path) -> Error {
    let (run, last) = (quoted(dir.display()), Checkpoint::load(&dir.join("last.safetensors")));
    let last = last.map(|last| (last.header.epoch, last.header.best.map(|(epoch, _)| epoch)));
    let unfinished =
        || ("no best.safetensors", format!("Finish it with `bhn train --resume {run}`."));
    let (found, advice) = match last {
        Ok((_, None)) => unfinished(),
        Err(_) if trace(dir).is_none() => unfinished(),
        Ok((last, Some(best))) if last == best => (
            "no best.safetensors, which equals last.safetensors without the optimiser's moments",
            format!("Write it again with `bhn train --resume {run}`."),
        ),
        _ => ("no best.safetensors in a run that had one", train_again(dir)),
    };
    Error::invalid(dir.display(), found, "a run with the model of its best epoch", advice)
}

/// A file that exists only after an epoch of training.
fn trace(dir: &Path) -> Option<&'static str> {
    let files = ["metrics.jsonl", "best.safetensors", "summary.json", "report.html"];
    let has = |file: &&str| dir.join(file).metadata().is_ok_and(|file| file.len() > 0);
    files.into_iter().find(has)
}

fn train_again(dir: &Path) -> String {
    let config = dir.join("config.toml");
    format!(
        "Restore the file from a copy, or train again: `bhn train --config {} --out NEW`.",
        quoted(config.display())
    )
}
