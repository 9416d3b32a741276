//! `bhn data check`: compares the files of a data set with their published checksums.
use super::files;
use super::local::Place;
use super::sources::{File, Set, select};
use crate::error::Result;
use serde::Serialize;
use std::path::Path;

/// The result of comparing one file with the published one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Path of the file.
    pub file: String,
    /// Decompressed size in bytes; 0 if the file cannot be decompressed.
    pub bytes: u64,
    /// SHA-256 of the decompressed bytes in hexadecimal; empty if the file cannot be decompressed.
    pub sha256: String,
    /// Whether the file replaces a published one: the same examples in another order.
    pub stand_in: bool,
    /// The fault and its remedy; `None` for a correct file.
    pub problem: Option<String>,
}

impl Checked {
    /// Whether the file equals the published one, or the known stand-in, byte for byte.
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
        checked.extend(place.files.iter().map(|file| check_file(&set, &place, file)));
    }
    Ok(checked)
}

fn check_file(set: &Set, place: &Place, file: &File) -> Checked {
    let what = place.what(file);
    let unpacked = place.open(file).and_then(|reader| file.unpack(&what, reader));
    let (bytes, sha256, verdict) = match unpacked {
        Err(error) => (0, String::new(), Err(error)),
        Ok(bytes) => {
            let verdict = file.verify(&what, &bytes, &set.advice());
            (bytes.len() as u64, files::sha256(&bytes), verdict)
        }
    };
    let problem = verdict.err().map(|error| error.to_string());
    Checked { file: what, bytes, sha256, stand_in: place.stand_in, problem }
}
