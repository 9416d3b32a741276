//! The list of published data sets: where each is published, and the checksums of its files.
use crate::error::{Error, Result};
use serde::Deserialize;

/// A published data set.
#[derive(Clone, Debug, Deserialize)]
pub struct Set {
    /// Its name, such as `mnist` or `uci/yacht`.
    pub name: &'static str,
    /// Its contents, in one line.
    pub what: &'static str,
    /// Authors and year.
    pub source: &'static str,
    /// Licence of the data.
    pub licence: &'static str,
    /// Base URL of its files; `None` for the set that is compiled into the program.
    pub(crate) address: Option<String>,
    /// The published files.
    pub(crate) files: Vec<File>,
    /// Files with the same examples in another order, for machines that cannot reach the published
    /// ones; often empty.
    #[serde(default)]
    pub(crate) stand_ins: Vec<File>,
}

/// A file of a data set.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct File {
    /// Name in the data folder, and the last part of its URL.
    pub name: &'static str,
    /// Size of a gzip file of which `bytes` and `sha256` describe the decompressed contents: the
    /// compressed bytes depend on the encoder. `None` for other files.
    pub compressed: Option<u64>,
    /// Size.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: &'static str,
}

/// All published data sets, as listed in `datasets/sets.toml`.
#[expect(clippy::missing_panics_doc, reason = "the list is part of the program")]
pub fn sets() -> Vec<Set> {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'static"))]
    struct List {
        set: Vec<Set>,
    }
    let list: List = toml::from_str(include_str!("../../datasets/sets.toml")).expect("valid TOML");
    list.set
}

impl Set {
    /// Total size of the published files in bytes, compressed as they are published.
    pub fn packed(&self) -> u64 {
        self.files.iter().map(|file| file.compressed.unwrap_or(file.bytes)).sum()
    }
}

/// The sets selected by a name: a single set, a family such as `uci`, or `all`. `cifar-5` selects
/// `cifar-10`.
///
/// # Errors
/// If the name selects nothing.
pub(crate) fn select(name: &str) -> Result<Vec<Set>> {
    let mut sets = sets();
    let names: Vec<&str> = sets.iter().map(|set| set.name).collect();
    let expected = format!("one of {}, uci or all", names.join(", "));
    let name = if name == "cifar-5" { "cifar-10" } else { name };
    let family = format!("{name}/");
    sets.retain(|set| name == "all" || set.name == name || set.name.starts_with(&family));
    if sets.is_empty() {
        let advice = "Choose one of these names.";
        return Err(Error::invalid("data set", format!("{name:?}"), expected, advice));
    }
    Ok(sets)
}

/// The set with this name.
///
/// # Panics
/// If there is no such set.
pub(super) fn set(name: &str) -> Set {
    sets().into_iter().find(|set| set.name == name).expect("a set in the table")
}
