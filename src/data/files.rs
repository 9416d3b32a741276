//! Reading files without trusting them: bounded, block by block, and hashed.
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// The most bytes of what is read whole, such as an array of an archive: 2 GiB.
pub(super) const LIMIT: u64 = 2 << 30;

/// The extension of `path` in lower case, or nothing.
pub(super) fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// The last part of `path`, or its last but the extension.
pub(super) fn name(path: &Path, extension: bool) -> String {
    let part = if extension { path.file_name() } else { path.file_stem() };
    part.unwrap_or_default().to_string_lossy().into_owned()
}

/// Opens a file.
pub(super) fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::invalid(
            path.display(),
            "no such file",
            "a file that can be read",
            "Check the name and the folder.",
        ),
        _ => Error::io(path)(error),
    })
}

/// How many bytes are left, unless it is a pipe, which does not say.
pub(crate) fn left(reader: &mut impl Seek) -> Option<u64> {
    let here = reader.stream_position().ok()?;
    let end = reader.seek(SeekFrom::End(0)).ok()?;
    reader.seek(SeekFrom::Start(here)).ok()?;
    Some(end.saturating_sub(here))
}

/// The next `count` bytes; room is made as they come, so a wrong `count` is not an allocation.
pub(crate) fn exactly(what: &str, reader: impl Read, count: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let found = reader.take(count).read_to_end(&mut bytes).map_err(|e| unreadable(what, &e))?;
    if (found as u64) < count {
        let found = format!("the end after {found} of the next {count} bytes");
        return Err(Error::invalid(what, found, "as many as its header says", AGAIN));
    }
    Ok(bytes)
}

/// Nothing more is in `reader`; what was packed has then been checked to its end.
pub(super) fn end(what: &str, mut reader: impl Read) -> Result<()> {
    match io::copy(&mut reader.by_ref().take(1), &mut io::sink()) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::invalid(what, "more bytes", "no more than its header says", AGAIN)),
        Err(error) => Err(unreadable(what, &error)),
    }
}

/// What to do about a damaged file.
const AGAIN: &str = "Copy or download it again.";

/// The bytes could not be had.
pub(super) fn unreadable(what: &str, error: &io::Error) -> Error {
    let found = format!("data that cannot be read ({error})");
    Error::invalid(what, found, "a whole, undamaged file", AGAIN)
}

/// `size` bytes are few enough to be read whole.
pub(super) fn within(what: &str, size: u64, limit: u64) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::invalid(
        what,
        format!("more than {limit} bytes"),
        format!("at most {limit} bytes"),
        "Check that it is the right file, or divide it.",
    ))
}

/// All that `reader` has, if that is no more than `limit` bytes; never reads beyond `limit + 1`.
pub(crate) fn bounded(what: &str, reader: impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes).map_err(|e| unreadable(what, &e))?;
    within(what, bytes.len() as u64, limit)?;
    Ok(bytes)
}

/// A file of at most `limit` bytes.
pub(crate) fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let what = path.display().to_string();
    let mut file = File::open(path).map_err(Error::io(path))?;
    within(&what, left(&mut file).unwrap_or(0), limit)?;
    bounded(&what, file, limit)
}

/// A file of text, of at most `limit` bytes.
pub(crate) fn text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(bytes(path, limit)?)
        .map_err(|_| Error::invalid(path.display(), "other bytes", "text in UTF-8", AGAIN))
}

/// What a gzip file unpacks to, by [`bounded`].
pub(super) fn gunzip(what: &str, packed: impl BufRead, limit: u64) -> Result<Vec<u8>> {
    bounded(what, MultiGzDecoder::new(packed), limit)
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
