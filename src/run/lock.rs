//! Locks that let one process at a time write to a folder.
use crate::data::temporary;
use crate::error::{Error, Result};
use crate::run::target::Target;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file that is locked. It stays when the lock is released: if it were removed, two processes
/// could lock two different files. Only [`Lock::abandon`] removes it, together with the folder.
const NAME: &str = ".lock";

/// The exclusive right to write to a folder, until it is dropped or the process ends.
///
/// On Unix the folder itself is locked, too: the file may be removed, and the folder stays locked.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    folder: Option<File>,
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
        Target::own(&path)?;
        let mut options = File::options();
        let file = options.create(true).append(true).open(&path).map_err(Error::io(&path))?;
        let itself = File::open(folder).ok();
        for file in itself.iter().chain([&file]) {
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                let found = "a folder that another bhn is writing in";
                let advice = "Wait until it has ended, or choose another folder.";
                let expected = "one that is not in use";
                return Err(Error::invalid(folder.display(), found, expected, advice));
            }
        }
        temporary::sweep(folder)?;
        Ok(Self { path: folder.to_path_buf(), folder: itself, _file: file })
    }

    /// Check that the path of the folder still leads to the folder that was locked.
    ///
    /// # Errors
    /// If the folder was moved, removed or replaced.
    pub fn check(&self) -> Result<()> {
        let now = fs::metadata(&self.path).map_err(Error::io(&self.path))?;
        let Some(folder) = &self.folder else { return Ok(()) };
        if is_same(folder, &now).map_err(Error::io(&self.path))? {
            return Ok(());
        }
        let found = "another folder than the one that was locked";
        let advice = "It was moved or replaced while bhn was writing in it, and nothing more is \
                      written. Resume from the folder that was moved.";
        Err(Error::invalid(self.path.display(), found, "the same folder", advice))
    }

    /// Whether a folder does not exist, or holds nothing but its lock file and temporary files.
    ///
    /// # Errors
    /// If a file operation fails.
    pub fn is_vacant(folder: &Path) -> Result<bool> {
        if folder.exists() && !folder.is_dir() {
            let advice = "Choose another path.";
            return Err(Error::invalid(folder.display(), "a file", "a folder, or none", advice));
        }
        let is_unused = |name: &OsString| name == NAME || temporary::is_temporary(name);
        Ok(!folder.exists() || temporary::names(folder)?.iter().all(is_unused))
    }

    /// Remove a folder if it is vacant.
    pub fn abandon(folder: &Path) {
        if Self::is_vacant(folder).unwrap_or(false) {
            fs::remove_file(folder.join(NAME)).ok();
            fs::remove_dir(folder).ok();
        }
    }
}

#[cfg(unix)]
fn is_same(open: &File, found: &fs::Metadata) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let open = open.metadata()?;
    Ok((open.dev(), open.ino()) == (found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn is_same(_: &File, _: &fs::Metadata) -> io::Result<bool> {
    Ok(true)
}
