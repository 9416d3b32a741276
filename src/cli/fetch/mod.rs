//! `bhn data fetch`: a data set from its published addresses, or from local files.
mod copy;
mod download;
#[cfg(test)]
mod tests;

use crate::data::local::Place;
use crate::data::sources::{File, Set};
use crate::error::Result;
use crate::run::lock::Lock;
use copy::copy;
use download::download;
use indicatif::ProgressBar;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A data set in the data folder.
#[derive(Serialize)]
pub struct Fetched {
    pub name: &'static str,
    pub folder: Option<PathBuf>,
    /// What its files are, or that they were there already.
    pub files: &'static str,
}

const PUBLISHED: &str = "as published";
const STAND_IN: &str = "stand-ins: the published examples in another order";

/// Put the files of a set into the data folder `dir`, each verified and written completely or not
/// at all.
///
/// They come from their published addresses, from the address `from`, or from the local folder or
/// file `from`; `None` if that has none of them.
pub fn fetch(
    set: &Set,
    dir: &Path,
    from: Option<&str>,
    bar: &ProgressBar,
) -> Result<Option<Fetched>> {
    let Some(address) = &set.address else {
        let files = "inside the program: nothing to fetch";
        return Ok(Some(Fetched { name: set.name, folder: None, files }));
    };
    let folder = dir.join(set.name);
    let is_intact = |place: Place| {
        let read = |file| place.open(file).and_then(|r| set.whole(file, &place.what(file), r));
        place.files.iter().all(|file| read(file).is_ok())
    };
    let files = if set.place(Some(dir)).is_ok_and(is_intact) {
        Some("there already")
    } else {
        match from {
            None => download(set, address, &folder, bar).map(Some)?,
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                let address = format!("{}/", url.trim_end_matches('/'));
                download(set, &address, &folder, bar).map(Some)?
            }
            Some(path) => copy(set, Path::new(path), &folder)?,
        }
    };
    Ok(files.map(|files| Fetched { name: set.name, folder: Some(folder), files }))
}

/// Fill a folder that this process has locked. If it fails, an empty folder is removed.
fn fill(folder: &Path, with: impl FnOnce() -> Result<()>) -> Result<()> {
    let _lock = Lock::take(folder)?;
    with().inspect_err(|_| Lock::abandon(folder))
}

/// A size in bytes that a file does not exceed, compressed or not.
fn most(file: &File) -> u64 {
    file.bytes + file.bytes / 8 + 4096
}
