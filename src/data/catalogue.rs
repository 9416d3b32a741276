//! The data sets that have a name: what is at hand, and whether it is whole.
use super::{files, mnist};
use crate::error::{Error, Result};
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
    /// What is wrong with it and what to do, or `None` if nothing is.
    pub problem: Option<String>,
}

impl Checked {
    /// Whether it is the published file, to the bit.
    pub fn ok(&self) -> bool {
        self.problem.is_none()
    }
}

/// The data sets that [`load`](super::load) knows by name.
pub fn list(data_dir: Option<&Path>) -> Vec<Listing> {
    let folder = mnist::folder(data_dir).ok().flatten();
    vec![Listing {
        name: "mnist",
        what: "70,000 handwritten digits, 28×28 grey",
        source: "Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits",
        licence: "CC BY-SA 3.0",
        bytes: mnist::FILES.iter().map(mnist::File::packed_bytes).sum(),
        present: Some(folder.map_or("inside the program".into(), |dir| dir.display().to_string())),
    }]
}

/// Unpacks each file of a data set and compares it with the published one.
///
/// # Errors
/// If no data set has that name, or there is no such data folder; what is wrong with a file is
/// in its [`Checked::problem`].
pub fn check(name: &str, data_dir: Option<&Path>) -> Result<Vec<Checked>> {
    if name != "mnist" {
        return Err(Error::invalid("data set", format!("{name:?}"), "mnist", "Name this one."));
    }
    let folder = mnist::folder(data_dir)?;
    let folder = folder.as_deref();
    let checked = mnist::FILES.iter().map(|file| {
        let unpacked = file.unpack(folder);
        let verdict = unpacked.as_ref().map(|bytes| file.verify(folder, bytes));
        Checked {
            file: file.place(folder),
            bytes: unpacked.as_ref().map_or(0, |bytes| bytes.len() as u64),
            sha256: unpacked.as_ref().map_or_else(|_| String::new(), |bytes| files::sha256(bytes)),
            problem: match verdict {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            },
        }
    });
    Ok(checked.collect())
}
