//! What the outside world can do wrong. A bug in a program panics instead.
use std::io;
use std::path::{Path, PathBuf};

/// An error of the outside world: files, flags, formats, numbers that diverge.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file.
    #[error("{}: {cause}. {}", path.display(), advice(cause))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Something is not as it must be.
    #[error("{what}: found {found}, expected {expected}. {advice}")]
    Invalid {
        /// The file, flag or key.
        what: String,
        /// What is there.
        found: String,
        /// What must be there.
        expected: String,
        /// What to do about it.
        advice: String,
    },
    /// A data set that has a name is not at hand.
    #[error(
        "data set {set}: found {}, expected its files. Get them: `bhn data fetch {set}`.",
        absent(folder.as_deref())
    )]
    Missing {
        /// Its name.
        set: String,
        /// Where it should be, if there is a data folder.
        folder: Option<PathBuf>,
    },
    /// Training produced a value that is not finite.
    #[error(
        "training diverged at step {step} (epoch {epoch}): {node}. {terms}. Lower the learning rate \
         or clip harder. {}", kept(*epoch)
    )]
    Diverged {
        /// The step, counted from 0.
        step: u64,
        /// The epoch, counted from 1.
        epoch: u64,
        /// The first value on the tape that is not finite, or the gradient that is not.
        node: String,
        /// The terms of the bound at this step.
        terms: String,
    },
}

/// A result with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What is said of a data set that is not at hand, before its name.
pub(crate) const SKIPPED: &str = "skipped: bhn data fetch ";

impl Error {
    /// For `map_err`: wraps what the system said about `path`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |cause| Self::Io { path, cause }
    }

    /// What to say instead of a result if this is only a data set that is not at hand.
    pub fn skipped(&self) -> Option<String> {
        match self {
            Self::Missing { set, .. } => Some(format!("{SKIPPED}{set}")),
            _ => None,
        }
    }

    /// `what: found …, expected …. advice`.
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

fn absent(folder: Option<&Path>) -> String {
    match folder {
        Some(folder) if folder.is_dir() => format!("only a part of it in {}", folder.display()),
        Some(folder) => format!("no folder {}", folder.display()),
        None => "no data folder".into(),
    }
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::NotFound => "Check the name and the folder.",
        io::ErrorKind::PermissionDenied => "Choose a place that you may use, or change its rights.",
        io::ErrorKind::StorageFull => "Free some space and go on: finished epochs are kept.",
        _ => "Check the file and its disk.",
    }
}

fn kept(epoch: u64) -> String {
    match epoch - 1 {
        0 => "There is no checkpoint yet.".into(),
        last => format!("The checkpoint of epoch {last} is kept."),
    }
}
