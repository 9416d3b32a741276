//! Files that are written completely or not at all.
use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// The prefix of the names of temporary files.
const PREFIX: &str = ".partial-";

/// Write `bytes` to a temporary file beside `path`, flush it to the disk, and rename it to `path`:
/// a crash, a full disk or a killed process leaves either the old file or the new one, complete.
///
/// # Errors
/// If a file operation fails.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    stream(path, |file| file.write_all(bytes).map_err(Error::io(path)))
}

/// As [`write()`], for contents that the function `fill` writes piece by piece.
///
/// # Errors
/// If a file operation or `fill` fails; the temporary file is then removed.
pub fn stream<E: From<Error>>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    // Temporary files are private by default; these get the usual permissions.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let file = builder.tempfile_in(folder).map_err(Error::io(folder))?;
    let mut writer = BufWriter::new(file.as_file());
    fill(&mut writer)?;
    writer.flush().and_then(|()| file.as_file().sync_all()).map_err(Error::io(path))?;
    drop(writer);
    file.persist(path).map_err(|e| Error::io(path)(e.error))?;
    // On Unix a rename is durable only once its folder is flushed.
    #[cfg(unix)]
    File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io(folder))?;
    Ok(())
}

/// Remove the temporary files of killed processes from a folder.
///
/// # Errors
/// If a file operation fails.
pub fn sweep(folder: &Path) -> Result<()> {
    for name in names(folder)?.iter().filter(|name| is_partial(name)) {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(Error::io(&path))?;
    }
    Ok(())
}

/// The names of the files in a folder.
pub(super) fn names(folder: &Path) -> Result<Vec<OsString>> {
    let names = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    names.map_err(Error::io(folder))
}

/// Whether `name` is that of a temporary file.
pub(super) fn is_partial(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(PREFIX)
}
