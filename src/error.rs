//! Errors of the outside world. A bug in a program panics instead.
use std::io;
use std::path::{Path, PathBuf};

/// An error of the outside world: files, flags, formats, or a training run that diverges.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("{}: {cause}. {}", path.display(), advice(cause))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// A value or a file is invalid.
    #[error("{what}: found {found}, expected {expected}. {advice}")]
    Invalid {
        /// The file, flag or key.
        what: String,
        /// The value that was found.
        found: String,
        /// The values that are accepted.
        expected: String,
        /// How to correct it.
        advice: String,
    },
    /// Files of a published data set are missing.
    #[error(
        "data set {set}: found {}, expected its files. Get them: `bhn data fetch {set}`.",
        missing(folder.as_deref())
    )]
    Missing {
        /// The name of the data set.
        set: String,
        /// The folder where the files are expected; `None` if there is no data folder.
        folder: Option<PathBuf>,
    },
    /// Training was stopped by [`Trainer::stop`](crate::run::Trainer::stop).
    #[error("training was interrupted after step {step}, in epoch {epoch}. Saved epochs are kept.")]
    Interrupted {
        /// The number of steps taken.
        step: u64,
        /// The epoch, counted from 1.
        epoch: u64,
    },
    /// Training produced a value that is not finite.
    #[error(
        "training diverged at step {step} (epoch {epoch}): {node}. {terms}. Lower the learning \
         rate or clip gradients more strictly. {}",
        kept(*epoch)
    )]
    Diverged {
        /// The step, counted from 0.
        step: u64,
        /// The epoch, counted from 1.
        epoch: u64,
        /// The first value on the tape that is not finite, or the parameter whose gradient is not.
        node: String,
        /// The terms of the bound at this step.
        terms: String,
    },
}

/// A result with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Prefix of the notice for a missing data set, whose name follows.
pub(crate) const SKIPPED: &str = "skipped: bhn data fetch ";

impl Error {
    /// An adapter for `map_err` that adds the path to an error of the operating system.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |cause| Self::Io { path, cause }
    }

    /// The notice that replaces a result if only a data set is missing; `None` for other errors.
    pub fn skipped(&self) -> Option<String> {
        match self {
            Self::Missing { set, .. } => Some(format!("{SKIPPED}{set}")),
            _ => None,
        }
    }

    /// An [`Error::Invalid`], printed as `what: found …, expected …. advice`.
    pub fn invalid(
        what: impl ToString,
        found: impl ToString,
        expected: impl ToString,
        advice: impl ToString,
    ) -> Self {
        Self::Invalid {
            what: what.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
            advice: advice.to_string(),
        }
    }
}

fn missing(folder: Option<&Path>) -> String {
    match folder {
        Some(folder) if folder.is_dir() => {
            format!("only some of its files in {}", folder.display())
        }
        Some(folder) => format!("no folder {}", folder.display()),
        None => "no data folder".into(),
    }
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::NotFound => "Check the name and the folder.",
        io::ErrorKind::PermissionDenied => {
            "Choose a place that you may write to, or change its permissions."
        }
        io::ErrorKind::StorageFull => "Free some space and resume: finished epochs are kept.",
        _ => "Check the file and its disk.",
    }
}

fn kept(epoch: u64) -> String {
    match epoch - 1 {
        0 => "There is no checkpoint yet.".into(),
        last => format!("The checkpoint of epoch {last} is kept."),
    }
}
