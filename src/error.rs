//! Errors of the outside world. A bug in a program panics instead.
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// An error of the outside world: files, flags, formats, or a training run that diverges.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("{}: {cause}. {}", cut(&path.display().to_string()), advice(cause))]
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
        "data set {set}: found {}, expected its files. Get them: `bhn data fetch {set}{}`.",
        missing(folder.as_deref()),
        data_dir(set, folder.as_deref())
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

    /// The error of threads that the system does not start.
    pub(crate) fn threads(cause: impl Display) -> Self {
        let advice =
            "Use fewer (--threads), or raise the system's limits (`ulimit -u`, `ulimit -v`).";
        Self::invalid(
            "threads",
            format!("an error ({cause})"),
            "threads that can be started",
            advice,
        )
    }

    /// The notice that replaces a result if only a data set is missing; `None` for other errors.
    pub fn skipped(&self) -> Option<String> {
        match self {
            Self::Missing { set, .. } => Some(format!("{SKIPPED}{set}")),
            _ => None,
        }
    }

    /// An [`Error::Invalid`], printed as `what: found …, expected …. advice`. Each part is cut
    /// after 2000 characters.
    pub fn invalid(
        what: impl ToString,
        found: impl ToString,
        expected: impl ToString,
        advice: impl ToString,
    ) -> Self {
        Self::Invalid {
            what: cut(&what.to_string()),
            found: cut(&found.to_string()),
            expected: cut(&expected.to_string()),
            advice: cut(&advice.to_string()),
        }
    }
}

/// The maximum number of characters in a part of a message.
const CHARACTERS: usize = 2000;

/// The maximum number of items of a list in a message.
const ITEMS: usize = 20;

/// `text`, cut after 2000 characters: a file may hold names of any length.
fn cut(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS) {
        None => text.into(),
        Some((end, _)) => {
            format!("{} … and {} more characters", &text[..end], text[end..].chars().count())
        }
    }
}

/// The first 20 items, comma-separated, followed by a count of the rest.
pub(crate) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let mut items = items.into_iter();
    let first: Vec<_> = items.by_ref().take(ITEMS).map(|item| item.to_string()).collect();
    match items.count() {
        0 => first.join(", "),
        more => format!("{}, … and {more} more", first.join(", ")),
    }
}

/// A word of a command that a user may paste into a shell: in single quotes if it contains other
/// characters than letters, digits and those of common paths.
pub(crate) fn quoted(word: impl ToString) -> String {
    let word = word.to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "_@%+=:,./-".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// The flag for the data folder that holds the `folder` of a set, which may be in a folder of a
/// group, as `uci/yacht` is.
fn data_dir(set: &str, folder: Option<&Path>) -> String {
    let dir = folder.and_then(|folder| folder.ancestors().nth(set.split('/').count()));
    dir.map_or(String::new(), |dir| format!(" --data-dir {}", quoted(dir.display())))
}

fn missing(folder: Option<&Path>) -> String {
    match folder {
        Some(folder) if folder.is_dir() => {
            format!("only some of its files in {}", cut(&folder.display().to_string()))
        }
        Some(folder) => format!("no folder {}", cut(&folder.display().to_string())),
        None => "no data folder".into(),
    }
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::NotFound => "Check the name and the folder.",
        io::ErrorKind::PermissionDenied => {
            "Choose a place that you may write to, or change its permissions."
        }
        io::ErrorKind::OutOfMemory => MEMORY,
        io::ErrorKind::StorageFull => "Free some space, and repeat or resume.",
        io::ErrorKind::NotADirectory => "A part of the path is a file: choose another.",
        io::ErrorKind::ResourceBusy => "It is in use by the system: choose another.",
        _ => "Check the file and its disk.",
    }
}

/// Advice if memory runs out.
pub(crate) const MEMORY: &str = "Free some memory, or use a smaller file.";

fn kept(epoch: u64) -> String {
    match epoch - 1 {
        0 => "There is no checkpoint yet.".into(),
        last => format!("The checkpoint of epoch {last} is kept."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded() {
        assert_eq!(list(["a", "b"]), "a, b");
        assert!(list(0..200_000).ends_with("18, 19, … and 199980 more"));
        let error = Error::invalid("x".repeat(1 << 20), "é".repeat(1 << 20), "a", "b").to_string();
        assert!(error.len() < 10_000 && error.contains(" … and 1046576 more characters"));
    }

    #[test]
    fn words_of_commands_are_quoted() {
        for (word, expected) in [
            ("runs/a-b_0.5", "runs/a-b_0.5"),
            ("--seed=7", "--seed=7"),
            ("données/ß", "données/ß"),
            ("my data/my table.csv", "'my data/my table.csv'"),
            ("it's", "'it'\\''s'"),
            ("a;rm -rf $HOME", "'a;rm -rf $HOME'"),
            ("*", "'*'"),
            ("~/runs", "'~/runs'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
