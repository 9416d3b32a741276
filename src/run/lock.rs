//! One process at a time writes in a folder.
use crate::error::{Error, Result};
use crate::run::atomic;
use std::fs::{self, File, TryLockError};
use std::path::Path;

/// The file that is locked. It stays: to remove it would let two processes lock two files.
const NAME: &str = ".lock";

/// A folder that is this process's to write in, until this is dropped or the process ends in any
/// way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Lock a folder, made if it is not there, and clear it of what a killed process left half
    /// written.
    ///
    /// A file system without locks is taken at its word.
    ///
    /// # Errors
    /// If another process has it, or the file system refuses.
    pub fn take(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let path = folder.join(NAME);
        let mut options = File::options();
        let file = options.create(true).append(true).open(&path).map_err(Error::io(&path))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let found = "a folder that another bhn is writing in";
            let advice = "Wait until that has ended, or choose another folder.";
            return Err(Error::invalid(folder.display(), found, "one that is not in use", advice));
        }
        atomic::sweep(folder)?;
        Ok(Self { _file: file })
    }

    /// Whether there is nothing in a folder but what a lock and killed processes leave, or no
    /// folder.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn is_vacant(folder: &Path) -> Result<bool> {
        if !folder.exists() {
            return Ok(true);
        }
        let names = fs::read_dir(folder).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()
        });
        let names = names.map_err(Error::io(folder))?;
        Ok(names.iter().all(|name| name == NAME || atomic::is_partial(name)))
    }

    /// Give a folder up that nothing came of: it is removed, unless there is something in it.
    pub fn abandon(folder: &Path) {
        if Self::is_vacant(folder).unwrap_or(false) {
            fs::remove_file(folder.join(NAME)).ok();
            fs::remove_dir(folder).ok();
        }
    }
}
