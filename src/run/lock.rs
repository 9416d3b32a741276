//! Locks that let one process at a time write to a folder.
use crate::error::{Error, Result};
use crate::run::atomic;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::Path;

/// The file that is locked. It stays when the lock is released: if it were removed, two processes
/// could lock two different files. Only [`Lock::abandon`] removes it, together with the folder.
const NAME: &str = ".lock";

/// The exclusive right to write to a folder, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Lock a folder, creating it if it does not exist, and remove the temporary files of killed
    /// processes from it. On a file system without locks, the folder is not locked and there is no
    /// error.
    ///
    /// # Errors
    /// If another process holds the lock, or a file operation fails.
    pub fn take(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let path = folder.join(NAME);
        let mut options = File::options();
        let file = options.create(true).append(true).open(&path).map_err(Error::io(&path))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let found = "a folder that another bhn is writing in";
            let advice = "Wait until it has ended, or choose another folder.";
            return Err(Error::invalid(folder.display(), found, "one that is not in use", advice));
        }
        atomic::sweep(folder)?;
        Ok(Self { _file: file })
    }

    /// Whether a folder does not exist, or holds nothing but its lock file and the temporary files
    /// of killed processes.
    ///
    /// # Errors
    /// If a file operation fails.
    pub fn is_vacant(folder: &Path) -> Result<bool> {
        let is_unused = |name: &OsString| name == NAME || atomic::is_partial(name);
        Ok(!folder.exists() || atomic::names(folder)?.iter().all(is_unused))
    }

    /// Remove a folder if it is vacant.
    pub fn abandon(folder: &Path) {
        if Self::is_vacant(folder).unwrap_or(false) {
            fs::remove_file(folder.join(NAME)).ok();
            fs::remove_dir(folder).ok();
        }
    }
}
