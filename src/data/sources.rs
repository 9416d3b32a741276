//! Published data sets: where each is published, where its files are on this machine, and whether
//! they have the published checksums.
use super::files;
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use serde::{Deserialize, Serialize};
use std::io::BufRead;
use std::path::{Path, PathBuf};

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
    /// files; often empty.
    #[serde(default)]
    pub(crate) stand_ins: Vec<File>,
}

/// A file of a data set.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct File {
    /// Name in the data folder, and the last part of its URL.
    pub name: &'static str,
    /// Published size of a gzip file in bytes; `bytes` and `sha256` then describe the decompressed
    /// contents, since the compressed bytes depend on the encoder. `None` for other files and for
    /// archives such as a `.tar.gz`, which are verified as they are.
    pub compressed: Option<u64>,
    /// Size in bytes.
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

impl Set {
    /// Total size of the published files in bytes, compressed as they are published.
    pub fn packed(&self) -> u64 {
        self.files.iter().map(|file| file.compressed.unwrap_or(file.bytes)).sum()
    }

    /// The folder of this set's files, or `inside the program`; `None` if files are missing.
    pub fn present(&self, data_dir: Option<&Path>) -> Option<String> {
        let folder = match self.place(data_dir) {
            Ok(place) => place.folder,
            Err(_) if self.address.is_none() => None,
            Err(_) => return None,
        };
        Some(folder.map_or("inside the program".into(), |folder| folder.display().to_string()))
    }

    /// Finds the published files or, if one of them is missing, the stand-ins. A folder `mnist`
    /// takes precedence over the copy inside the program.
    ///
    /// # Errors
    /// [`Error::Missing`] if neither all published files nor all stand-ins are there. For MNIST, an
    /// error if `data_dir` does not exist.
    pub(crate) fn place(&self, data_dir: Option<&Path>) -> Result<Place<'_>> {
        let folder = data_dir.map(|dir| dir.join(self.name));
        if self.address.is_none() {
            if let Some(dir) = data_dir.filter(|dir| !dir.is_dir()) {
                let advice = "Correct it, or leave it out to use the copy inside the program.";
                let what = dir.display();
                return Err(Error::invalid(what, "no such folder", "the data folder", advice));
            }
            let folder = folder.filter(|folder| folder.exists());
            return Ok(Place { set: self, folder, files: &self.files, stand_in: false });
        }
        let exists = |file: &File| folder.as_ref().is_some_and(|at| at.join(file.name).is_file());
        for (files, stand_in) in [(&self.files, false), (&self.stand_ins, true)] {
            if !files.is_empty() && files.iter().all(exists) {
                return Ok(Place { set: self, folder, files, stand_in });
            }
        }
        Err(Error::Missing { set: self.name.into(), folder })
    }

    /// Reads and verifies a file; returns its name in messages and its decompressed bytes.
    ///
    /// # Errors
    /// If files are missing, or the file differs from the published one.
    ///
    /// # Panics
    /// If the set has no such file.
    pub(super) fn read(&self, name: &str, data_dir: Option<&Path>) -> Result<(String, Vec<u8>)> {
        let place = self.place(data_dir)?;
        let file = place.files.iter().find(|file| file.name == name);
        place.read(file.unwrap_or_else(|| panic!("{} has no file {name}", self.name)))
    }

    /// The decompressed bytes of `file`, verified against the published size and checksum.
    ///
    /// # Errors
    /// If the size or the checksum differs, or the file cannot be decompressed.
    #[cfg(feature = "cli")]
    pub(crate) fn whole(&self, file: &File, what: &str, reader: impl BufRead) -> Result<Vec<u8>> {
        let bytes = file.unpack(what, reader)?;
        file.verify(what, &bytes, &self.advice())?;
        Ok(bytes)
    }

    /// Advice for the user about a damaged file.
    fn advice(&self) -> String {
        match self.address {
            Some(_) => files::fetch_again(self.name),
            None => "Put the published file back, or remove the folder to use the copy inside \
                     the program."
                .into(),
        }
    }
}

impl File {
    /// Decompresses the file if it has a `compressed` size. More bytes than published are an error.
    fn unpack(&self, what: &str, reader: impl BufRead) -> Result<Vec<u8>> {
        match self.compressed {
            Some(_) => files::bounded(what, MultiGzDecoder::new(reader), self.bytes),
            None => files::bounded(what, reader, self.bytes),
        }
    }

    /// Compares decompressed bytes with the published size and SHA-256.
    fn verify(&self, what: &str, bytes: &[u8], advice: &str) -> Result<()> {
        let (size, sum) = (bytes.len() as u64, files::sha256(bytes));
        let unpacked = if self.compressed.is_some() { " unpacked" } else { "" };
        let (found, expected) = if size != self.bytes {
            (format!("{size} bytes{unpacked}"), self.bytes.to_string())
        } else if sum != self.sha256 {
            (format!("SHA-256 {sum}"), self.sha256.to_owned())
        } else {
            return Ok(());
        };
        Err(Error::invalid(what, found, expected, advice))
    }
}

/// All files of a data set in one place.
pub(crate) struct Place<'a> {
    set: &'a Set,
    /// Their folder; `None` if they are compiled into the program.
    folder: Option<PathBuf>,
    /// The published files or the stand-ins.
    pub files: &'a [File],
    /// Whether `files` are the stand-ins.
    pub stand_in: bool,
}

impl Place<'_> {
    /// The name of a file in messages.
    fn what(&self, file: &File) -> String {
        match &self.folder {
            Some(folder) => folder.join(file.name).display().to_string(),
            None => format!("{} (inside the program)", file.name),
        }
    }

    /// Decompressed bytes of a file, of any contents up to the published size.
    fn unpacked(&self, file: &File, what: &str) -> Result<Vec<u8>> {
        match &self.folder {
            Some(folder) => file.unpack(what, files::open(&folder.join(file.name))?),
            None => files::bounded(what, XzReader::new(embedded(file.name), false), file.bytes),
        }
    }

    /// Reads and verifies a file; returns its name in messages and its decompressed bytes.
    ///
    /// # Errors
    /// If the file differs from the published one.
    pub fn read(&self, file: &File) -> Result<(String, Vec<u8>)> {
        let what = self.what(file);
        let bytes = self.unpacked(file, &what)?;
        file.verify(&what, &bytes, &self.set.advice())?;
        Ok((what, bytes))
    }

    /// Compares a file with the published one.
    fn check(&self, file: &File) -> Checked {
        let what = self.what(file);
        let unpacked = self.unpacked(file, &what);
        let summary = unpacked.as_ref().map(|bytes| (bytes.len() as u64, files::sha256(bytes)));
        let (bytes, sha256) = summary.unwrap_or_default();
        let verdict = unpacked.and_then(|bytes| file.verify(&what, &bytes, &self.set.advice()));
        let problem = verdict.err().map(|error| error.to_string());
        Checked { file: what, bytes, sha256, stand_in: self.stand_in, problem }
    }
}

/// The contents, compressed as xz, of the MNIST file published under this name. They are compiled
/// into the program.
///
/// # Panics
/// If MNIST has no file of that name.
fn embedded(name: &str) -> &'static [u8] {
    macro_rules! bytes {
        ($name:literal) => {
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/mnist/", $name))
        };
    }
    match name {
        "train-images-idx3-ubyte.gz" => bytes!("train-images-idx3-ubyte.xz"),
        "train-labels-idx1-ubyte.gz" => bytes!("train-labels-idx1-ubyte.xz"),
        "t10k-images-idx3-ubyte.gz" => bytes!("t10k-images-idx3-ubyte.xz"),
        "t10k-labels-idx1-ubyte.gz" => bytes!("t10k-labels-idx1-ubyte.xz"),
        _ => panic!("MNIST has no file {name}"),
    }
}

/// The result of comparing one file with the published one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Path of the file.
    pub file: String,
    /// Decompressed size in bytes; 0 if the file cannot be decompressed.
    pub bytes: u64,
    /// SHA-256 of the decompressed bytes in hexadecimal; empty if the file cannot be decompressed.
    pub sha256: String,
    /// Whether the file is a stand-in; the stand-ins have the published examples in another order.
    pub stand_in: bool,
    /// The fault and its remedy; `None` for a correct file.
    pub problem: Option<String>,
}

impl Checked {
    /// Whether the decompressed file has the size and the SHA-256 of the published file or, for a
    /// stand-in, those of the known stand-in.
    pub fn ok(&self) -> bool {
        self.problem.is_none()
    }
}

/// Checks every file of a data set, or of all sets of a family such as `uci`.
///
/// # Errors
/// If the name selects no data set, files are missing, or the data folder does not exist. A damaged
/// file is not an error: see [`Checked::problem`].
pub fn check(name: &str, data_dir: Option<&Path>) -> Result<Vec<Checked>> {
    let mut checked = vec![];
    for set in select(name)? {
        let place = set.place(data_dir)?;
        checked.extend(place.files.iter().map(|file| place.check(file)));
    }
    Ok(checked)
}
