//! Bounded reading of files whose contents and declared sizes are not trusted.
use crate::error::{Error, MEMORY, Result};
use image::{DynamicImage, ImageFormat, ImageReader, ImageResult, Limits};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// Largest size of data that is read into memory as a whole, such as an array of an archive: 2 GiB.
pub(super) const LIMIT: u64 = 2 << 30;

/// Extensions of text files with one row of a table in each line.
const TEXT: [&str; 3] = ["csv", "tsv", "txt"];

/// The extension of `path` in lower case; empty if there is none. That of a compressed table, such
/// as `t.csv.gz`, is the one before `gz`.
pub(super) fn extension(path: &Path) -> String {
    let last = |path: &Path| path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let (own, inner) = (last(path), last(&path.with_extension("")));
    if own == "gz" && TEXT.contains(&&*inner) { inner } else { own }
}

/// Whether the extension of `path` is that of a table.
pub(super) fn is_table(path: &Path) -> bool {
    let extension = extension(path);
    TEXT.contains(&&*extension) || extension == "parquet"
}

/// The file name of `path`, with or without its extension.
pub(super) fn name(path: &Path, extension: bool) -> String {
    let part = if extension { path.file_name() } else { path.file_stem() };
    let name = part.unwrap_or_default().to_string_lossy().into_owned();
    let is_packed = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"));
    match extension || !is_packed || !is_table(path) {
        true => name,
        false => self::name(Path::new(&name), false),
    }
}

/// Opens a file for buffered reading.
pub(super) fn open(path: &Path) -> Result<BufReader<File>> {
    not_a_folder(path)?;
    File::open(path).map(BufReader::new).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::invalid(
            path.display(),
            "no such file",
            "a readable file",
            "Check the name and the folder.",
        ),
        _ => Error::io(path)(error),
    })
}

/// Opens a file of a folder that this program wrote. A pipe or a device in its place is an error:
/// reading it could wait forever.
pub(crate) fn regular(path: &Path) -> Result<File> {
    let kind = path.metadata().map_err(Error::io(path))?.file_type();
    if kind.is_file() || kind.is_dir() {
        return File::open(path).map_err(Error::io(path));
    }
    let (found, advice) = ("a pipe or a device", "Remove it, or copy the folder again.");
    Err(Error::invalid(path.display(), found, "a file", advice))
}

fn not_a_folder(path: &Path) -> Result<()> {
    match path.is_dir() {
        true => Err(Error::invalid(path.display(), "a folder", "a file", "Name a file in it.")),
        false => Ok(()),
    }
}

/// Number of bytes from the current position to the end; `None` for a pipe.
pub(crate) fn left(reader: &mut impl Seek) -> Option<u64> {
    let here = reader.stream_position().ok()?;
    let end = reader.seek(SeekFrom::End(0)).ok()?;
    reader.seek(SeekFrom::Start(here)).ok()?;
    Some(end.saturating_sub(here))
}

/// Reads exactly `count` bytes. Memory is allocated as bytes arrive, so that a `count` that is too
/// large cannot exhaust it.
pub(crate) fn exactly(what: &str, reader: impl Read, count: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let found = reader.take(count).read_to_end(&mut bytes).map_err(|e| unreadable(what, &e))?;
    if (found as u64) < count {
        let found = format!("the end after {found} of the next {count} bytes");
        return Err(Error::invalid(what, found, "the length declared in the header", COPY_AGAIN));
    }
    Ok(bytes)
}

/// Checks that `reader` is at its end. For compressed data, this also verifies the checksum.
pub(super) fn end(what: &str, mut reader: impl Read) -> Result<()> {
    match io::copy(&mut reader.by_ref().take(1), &mut io::sink()) {
        Ok(0) => Ok(()),
        Ok(_) => {
            let expected = "the end of the file after the declared length";
            Err(Error::invalid(what, "more bytes", expected, COPY_AGAIN))
        }
        Err(error) => Err(unreadable(what, &error)),
    }
}

/// Advice about a damaged file of the user.
const COPY_AGAIN: &str = "Copy or download it again.";

/// Advice about a damaged file of a published data set.
pub(super) fn fetch_again(set: &str) -> String {
    format!("Get it again: `bhn data fetch {set}`.")
}

/// The error of a failed read.
pub(super) fn unreadable(what: &str, error: &io::Error) -> Error {
    if error.kind() == ErrorKind::OutOfMemory {
        return Error::invalid(what, "more data than memory", "a file that fits into it", MEMORY);
    }
    let found = format!("data that cannot be read ({error})");
    Error::invalid(what, found, "an intact file", COPY_AGAIN)
}

/// Checks that `size` bytes do not exceed `limit`.
pub(super) fn within(what: &str, size: u64, limit: u64) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    let (found, expected) = (format!("more than {limit} bytes"), format!("at most {limit} bytes"));
    Err(Error::invalid(what, found, expected, "Check that it is the right file, or split it."))
}

/// Reads `reader` to its end. More than `limit` bytes are an error, and at most `limit + 1` are
/// read.
pub(crate) fn bounded(what: &str, reader: impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes).map_err(|e| unreadable(what, &e))?;
    within(what, bytes.len() as u64, limit)?;
    Ok(bytes)
}

/// Reads a [`regular`] file of at most `limit` bytes.
pub(crate) fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    all(path, regular(path)?, limit)
}

fn all(path: &Path, mut file: File, limit: u64) -> Result<Vec<u8>> {
    let what = path.display().to_string();
    within(&what, left(&mut file).unwrap_or(0), limit)?;
    bounded(&what, file, limit)
}

/// Reads a UTF-8 text file of at most `limit` bytes. It may be a pipe.
pub(crate) fn text(path: &Path, limit: u64) -> Result<String> {
    not_a_folder(path)?;
    utf8(path, all(path, File::open(path).map_err(Error::io(path))?, limit)?)
}

/// Reads a [`regular`] UTF-8 text file of at most `limit` bytes.
pub(crate) fn regular_text(path: &Path, limit: u64) -> Result<String> {
    utf8(path, bytes(path, limit)?)
}

fn utf8(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| Error::invalid(path.display(), "other bytes", "text in UTF-8", COPY_AGAIN))
}

/// Decodes a PNG picture of at most `side` × `side` pixels.
pub(super) fn png(bytes: Vec<u8>, side: u32) -> ImageResult<DynamicImage> {
    decoded(bytes, ImageFormat::Png, side)
}

/// Decodes a PNG or JPEG picture of at most `side` × `side` pixels.
pub(super) fn picture(bytes: Vec<u8>, side: u32) -> ImageResult<DynamicImage> {
    let format = image::guess_format(&bytes)?;
    decoded(bytes, format, side)
}

fn decoded(bytes: Vec<u8>, format: ImageFormat, side: u32) -> ImageResult<DynamicImage> {
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(side), Some(side));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    reader.decode()
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
