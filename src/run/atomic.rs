//! Files that are written completely or not at all.
use crate::data::temporary::Temporary;
use crate::error::{Error, Result};
use crate::run::target::{Target, parent};
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::Path;

/// Write `bytes` to `path`, which the program names in a folder of its own, see [`Target::own`] and
/// [`write_to`].
///
/// # Errors
/// If `path` cannot be written, or a file operation fails.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_to(&Target::own(path)?, bytes)
}

/// Write `bytes` to a temporary file beside the target, flush it to the disk, and rename it: a
/// crash, a full disk or a killed process leaves either the old file or the new one, complete.
///
/// A new file has the usual permissions; a file that is replaced keeps its own and, if the system
/// allows that, its owner. Other hard links to it keep the old contents. What is not a regular
/// file, see [`Target::Stream`], is written in place.
///
/// # Errors
/// If a file operation fails.
pub fn write_to(target: &Target, bytes: &[u8]) -> Result<()> {
    stream(target, |out| out.write_all(bytes).map_err(Error::io(target.name())))
}

/// As [`write_to()`], for contents that the function `fill` writes piece by piece.
///
/// # Errors
/// If a file operation or `fill` fails; the temporary file is then removed.
pub fn stream<E: From<Error>>(
    target: &Target,
    fill: impl FnOnce(&mut dyn Write) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let failed = || Error::io(target.name());
    let out: Box<dyn Write> = match target {
        Target::File { path, .. } => return replace(target, path, fill),
        Target::Stdout if io::stdout().is_terminal() => Box::new(Visible(io::stdout())),
        Target::Stdout => Box::new(io::stdout()),
        Target::Stream(path) => {
            let mut options = File::options();
            let file = options.write(true).create(true).truncate(true).open(path);
            Box::new(file.map_err(failed())?)
        }
    };
    let mut out = BufWriter::new(out);
    fill(&mut out)?;
    Ok(out.flush().map_err(failed())?)
}

/// A terminal, which would obey control characters in names: they are written as `\u{1b}`.
struct Visible<W>(W);

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|&byte| is_control(byte)) {
            match piece.split_last() {
                Some((&last, text)) if is_control(last) => {
                    self.0.write_all(text)?;
                    write!(self.0, "\\u{{{last:x}}}")?;
                }
                _ => self.0.write_all(piece)?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !b"\n\t".contains(&byte)
}

/// Write a temporary file and rename it to `path`, the path of a target without links.
fn replace<E: From<Error>>(
    target: &Target,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let (folder, failed) = (parent(path), || Error::io(target.name()));
    let old = match fs::metadata(path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed()(error).into()),
    };
    let mode = old.is_none().then_some(0o666);
    let file = Temporary::new(folder, mode).map_err(Error::io(folder))?;
    old.map_or(Ok(()), |old| keep_access(file.file(), &old)).map_err(failed())?;
    let mut writer = BufWriter::new(file.file());
    fill(&mut writer)?;
    writer.flush().and_then(|()| file.file().sync_all()).map_err(failed())?;
    drop(writer);
    file.rename(path).map_err(failed())?;
    // On Unix a rename is durable only once its folder is flushed.
    #[cfg(unix)]
    File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io(folder))?;
    Ok(())
}

/// Give `file` the owner, if that is allowed, and the permissions of the file that it replaces.
#[cfg(unix)]
fn keep_access(file: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let (own, mut mode) = (file.metadata()?, old.mode() & 0o777);
    if own.uid() != old.uid() {
        fchown(file, Some(old.uid()), None).ok();
    }
    // The permissions of one group are not those of another.
    if own.gid() != old.gid() && fchown(file, None, Some(old.gid())).is_err() {
        mode &= !0o070;
    }
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn keep_access(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_shows_control_characters_as_escapes() {
        let mut out = Visible(vec![]);
        out.write_all("a\x1b[2J\nπ\t\x7f".as_bytes()).unwrap();
        assert_eq!(out.0, "a\\u{1b}[2J\nπ\t\\u{7f}".as_bytes());
    }
}
