//! Reading files without trusting them: bounded, and hashed.
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

/// The most bytes that one file, or one array of an archive, may unpack to: 2 GiB.
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

/// All of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    bounded(&path.display().to_string(), open(path)?, LIMIT)
}

/// All that `reader` has, if that is no more than `limit` bytes; never reads beyond `limit + 1`.
pub(super) fn bounded(what: &str, reader: impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes).map_err(|error| {
        Error::invalid(
            what,
            format!("data that cannot be read ({error})"),
            "a whole, undamaged file",
            "Copy or download it again.",
        )
    })?;
    if bytes.len() as u64 > limit {
        return Err(Error::invalid(
            what,
            format!("more than {limit} bytes"),
            format!("at most {limit} bytes"),
            "Check that it is the right file, or divide it.",
        ));
    }
    Ok(bytes)
}

/// What a gzip file unpacks to, by [`bounded`].
pub(super) fn gunzip(what: &str, packed: impl BufRead, limit: u64) -> Result<Vec<u8>> {
    bounded(what, MultiGzDecoder::new(packed), limit)
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
