//! What the outside world can do wrong. A bug in a program panics instead.
use std::path::{Path, PathBuf};

/// An error of the outside world: files, flags, formats, numbers that diverge.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
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
    /// Training produced a value that is not finite.
    #[error(
        "training diverged at step {step} (epoch {epoch}): {node}. {terms}. \
         Lower the learning rate or clip harder; the last good checkpoint is kept."
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

impl Error {
    /// For `map_err`: wraps what the system said about `path`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
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
