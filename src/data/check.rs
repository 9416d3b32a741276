//! The data sets that have a name: what is at hand, and whether it is whole.
use super::files;
use super::sources::{File, Set, select, sets};
use crate::error::Result;
use std::path::Path;

/// A data set that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What to call it.
    pub name: &'static str,
    /// What it holds.
    pub what: &'static str,
    /// Who made it.
    pub source: &'static str,
    /// Under which terms.
    pub licence: &'static str,
    /// The size of its files, packed.
    pub bytes: u64,
    /// Where it is, or `None` if it is not at hand.
    pub present: Option<String>,
}

/// One file of a data set, compared with the published one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Where it is.
    pub file: String,
    /// Its unpacked size; 0 if it cannot be unpacked.
    pub bytes: u64,
    /// The SHA-256 of its unpacked bytes; empty if it cannot be unpacked.
    pub sha256: String,
    /// Whether it stands in for a published file: the same examples, in another order.
    pub stand_in: bool,
    /// What is wrong with it and what to do, or `None` if nothing is.
    pub problem: Option<String>,
}

impl Checked {
    /// Whether it is the published file, to the bit, or the known stand-in.
    pub fn ok(&self) -> bool {
        self.problem.is_none()
    }
}

/// The data sets that have a name.
pub fn list(data_dir: Option<&Path>) -> Vec<Listing> {
    sets()
        .iter()
        .map(|set| Listing {
            name: set.name,
            what: set.what,
            source: set.source,
            licence: set.licence,
            bytes: set.packed,
            present: present(set, data_dir),
        })
        .collect()
}

fn present(set: &Set, data_dir: Option<&Path>) -> Option<String> {
    let folder = match (set.place(data_dir), &set.address) {
        (Ok(place), _) => place.folder,
        (Err(_), None) => None,
        (Err(_), Some(_)) => return None,
    };
    Some(folder.map_or("inside the program".into(), |folder| folder.display().to_string()))
}

/// Unpacks each file of a data set, or of all `uci` sets, and compares it with the published one.
///
/// # Errors
/// If no data set has that name, it is not at hand, or there is no such data folder; what is wrong
/// with a file is in its [`Checked::problem`].
pub fn check(name: &str, data_dir: Option<&Path>) -> Result<Vec<Checked>> {
    let mut checked = vec![];
    for set in select(name)? {
        checked.extend(check_set(&set, data_dir)?);
    }
    Ok(checked)
}

fn check_set(set: &Set, data_dir: Option<&Path>) -> Result<Vec<Checked>> {
    let place = set.place(data_dir)?;
    let check = |file: &File| {
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
    };
    Ok(place.files.iter().map(check).collect())
}
