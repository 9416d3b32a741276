//! Temporary files and folders. Their names are recognisable, a file is locked while its process
//! uses it, and both are removed when they are dropped or by [`remove_all`].
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::{Builder, NamedTempFile, TempDir};

/// Prefix of the names of temporary files. `RANDOM` random letters and digits follow.
const PREFIX: &str = ".bhn-partial-";
const RANDOM: usize = 12;

/// The temporary files and folders of this process. It is locked while one of them is created,
/// renamed or removed, so that [`remove_all`] misses none.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn live() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remove the temporary files and folders of this process, which must end then: a thread that
/// creates, renames or drops another one waits for ever.
#[cfg(feature = "cli")]
pub(crate) fn remove_all() {
    let live = live();
    live.iter().for_each(|path| remove(path));
    std::mem::forget(live);
}

/// As [`remove_all`], if no thread is creating, renaming or removing one at this moment.
#[cfg(feature = "cli")]
pub(crate) fn try_remove_all() {
    if let Ok(live) = LIVE.try_lock() {
        live.iter().for_each(|path| remove(path));
        std::mem::forget(live);
    }
}

/// Remove a file or a folder, into which another thread may be writing.
#[cfg(any(feature = "cli", test))]
fn remove(path: &Path) {
    // A file that is created while the others are removed keeps the folder.
    const TRIES: usize = 1000;
    for _ in 0..TRIES {
        let removed = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
        if removed.is_ok() || !path.exists() {
            return;
        }
    }
}

/// A temporary file, to be renamed to its final name.
pub(crate) struct Temporary(Option<NamedTempFile>);

impl Temporary {
    /// An empty file in `folder`, which only its owner may read; `mode` are other permissions on
    /// Unix, of which the process's umask is subtracted.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn new(folder: &Path, mode: Option<u32>) -> io::Result<Self> {
        let mut builder = Builder::new();
        builder.prefix(PREFIX).rand_bytes(RANDOM);
        #[cfg(unix)]
        if let Some(mode) = mode {
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
        }
        #[cfg(not(unix))]
        let _ = mode;
        loop {
            let mut live = live();
            let file = builder.tempfile_in(folder)?;
            // A file system without locks has no `sweep` either.
            file.as_file().lock().ok();
            // Before it was locked, another process may have taken it for an abandoned one.
            if is_linked(file.as_file())? {
                live.insert(file.path().to_path_buf());
                return Ok(Self(Some(file)));
            }
        }
    }

    /// The file, open for writing.
    pub fn file(&self) -> &File {
        self.0.as_ref().expect("not renamed yet").as_file()
    }

    /// Rename the file to `path`, replacing what is there.
    ///
    /// # Errors
    /// If it cannot be renamed; it is removed then.
    pub fn rename(mut self, path: &Path) -> io::Result<()> {
        let mut live = live();
        let file = self.0.take().expect("renamed once");
        live.remove(file.path());
        file.persist(path).map(drop).map_err(|error| error.error)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            let mut live = live();
            live.remove(file.path());
            drop(file);
        }
    }
}

/// Whether an open file still has a name.
#[cfg(unix)]
fn is_linked(file: &File) -> io::Result<bool> {
    Ok(std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) > 0)
}

#[cfg(not(unix))]
fn is_linked(_: &File) -> io::Result<bool> {
    Ok(true)
}

/// A temporary folder in the system's folder for these.
pub(crate) struct Folder(Option<TempDir>);

impl Folder {
    /// An empty folder.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn new() -> Result<Self> {
        let mut live = live();
        let folder = Builder::new().prefix("bhn-").tempdir();
        let folder = folder.map_err(Error::io(std::env::temp_dir()))?;
        live.insert(folder.path().to_path_buf());
        Ok(Self(Some(folder)))
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        self.0.as_ref().expect("not dropped yet").path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let mut live = live();
        if let Some(folder) = self.0.take() {
            live.remove(folder.path());
            drop(folder);
        }
    }
}

/// Remove the temporary files that killed processes have left in `folder`: those that no process
/// has locked. Others that cannot be removed are left.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn sweep(folder: &Path) -> Result<()> {
    for name in names(folder)?.iter().filter(|name| is_temporary(name)) {
        let path = folder.join(name);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        if is_file && File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            fs::remove_file(&path).ok();
        }
    }
    Ok(())
}

/// The names of the files in a folder.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn names(folder: &Path) -> Result<Vec<OsString>> {
    let names = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    names.map_err(Error::io(folder))
}

/// Whether `name` is that of a temporary file.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    rest.is_some_and(|rest| {
        rest.len() == RANDOM && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_removes_abandoned_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let kept = [".partial-notes.txt", ".bhn-partial-notes", ".bhn-partial-0123456789ab.csv"];
        for name in kept.iter().chain(&[".bhn-partial-0123456789ab"]) {
            fs::write(path(name), "text").unwrap();
        }
        let used = Temporary::new(folder.path(), None).unwrap();
        sweep(folder.path()).unwrap();
        assert!(kept.iter().all(|name| path(name).exists()));
        assert!(!path(".bhn-partial-0123456789ab").exists());
        used.rename(&path("done")).unwrap();
        assert!(path("done").exists());
        let names = names(folder.path()).unwrap();
        assert_eq!(names.len(), kept.len() + 1, "{names:?}");
        drop(Temporary::new(folder.path(), None).unwrap());
        assert_eq!(super::names(folder.path()).unwrap().len(), names.len());
    }

    #[test]
    fn remove_wins_against_a_thread_that_writes() {
        for _ in 0..50 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("used");
            fs::create_dir(&path).unwrap();
            std::thread::scope(|scope| {
                let create = |n| File::create(path.join(format!("{n}"))).is_ok();
                assert!((0..20).all(create));
                scope.spawn(move || (20..2000).all(create));
                remove(&path);
            });
            assert!(!path.exists());
        }
    }
}
