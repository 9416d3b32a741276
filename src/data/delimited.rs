//! Text files with one row of a table in each line: CSV and its relatives, plain or gzip.
use super::files;
use super::idx::GZIP;
use super::records::Records;
use crate::error::{Error, Result};
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Cursor, Read};

/// Longest record in bytes. If there were no limit, a quote that is never closed would make the
/// rest of the file one record.
const RECORD: usize = 1 << 26;

/// The start of a file, in bytes, from which its separator is recognised.
const HEAD: u64 = 1 << 16;

/// The number of records from which the separator is recognised.
const RECORDS: usize = 20;

/// The separators of columns. Of two that fit equally well, the first is chosen.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// An open file of records.
pub(super) struct Delimited<'a> {
    what: String,
    /// Maximum number of bytes, unpacked.
    limit: u64,
    reader: Reader<Lines<Box<dyn BufRead + 'a>>>,
    /// The byte between two columns.
    pub separator: u8,
}

impl<'a> Delimited<'a> {
    /// Skips a byte-order mark and recognises the separator. More than `limit` bytes, unpacked, are
    /// an error as they are read. `what` names the file in messages.
    pub fn open(what: &str, mut file: impl BufRead + 'a, limit: u64) -> Result<Self> {
        let broken = |error: io::Error| files::unreadable(what, &error);
        let is_packed = file.fill_buf().map_err(broken)?.starts_with(&GZIP);
        let mut file: Box<dyn BufRead + 'a> = match is_packed {
            true => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        let mut head = vec![];
        file.by_ref().take(HEAD).read_to_end(&mut head).map_err(broken)?;
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
            return Err(not_utf8(what, "text in UTF-16", "utf-16"));
        }
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).to_vec();
        let separator = separator(&text, head.len() as u64 == HEAD);
        let file: Box<dyn BufRead + 'a> = Box::new(Cursor::new(text).chain(file));
        let lines = Lines { file, line: 0, last: b'\n', length: 0, left: limit, is_over: false };
        let mut reader = ReaderBuilder::new();
        reader.delimiter(separator).has_headers(false).trim(Trim::All).flexible(true);
        let reader = reader.from_reader(lines);
        Ok(Self { what: what.to_owned(), limit, reader, separator })
    }

    fn broken(&self, error: csv::Error) -> Error {
        if self.reader.get_ref().is_over
            && let Err(error) = files::within(&self.what, u64::MAX, self.limit)
        {
            return error;
        }
        let line = format!("{}, line {}", self.what, self.reader.get_ref().line);
        match error.into_kind() {
            ErrorKind::Io(error) => files::unreadable(&line, &error),
            _ => not_utf8(&line, "text in another encoding", "windows-1252"),
        }
    }
}

impl Records for Delimited<'_> {
    fn read(&mut self, cells: &mut StringRecord) -> Result<Option<u64>> {
        self.reader.get_mut().length = 0;
        match self.reader.read_record(cells).map_err(|error| self.broken(error))? {
            true => Ok(Some(self.reader.get_ref().line)),
            false => Ok(None),
        }
    }
}

/// The error of a file in another encoding, which is `probably` this one.
fn not_utf8(what: &str, found: &str, probably: &str) -> Error {
    let advice = format!(
        "Save the file as UTF-8, in a spreadsheet or by `iconv -f {probably} -t utf-8 FILE > NEW`."
    );
    Error::invalid(what, found, "UTF-8", advice)
}

/// The separator with which most of the first records have as many cells as the header, of those
/// the one with most cells; a comma if the header has a single cell with each. `is_cut` tells
/// whether the file continues after `head`, whose last record is then incomplete.
fn separator(head: &[u8], is_cut: bool) -> u8 {
    let fit = |&separator: &u8| {
        let mut reader = ReaderBuilder::new();
        reader.delimiter(separator).has_headers(false).flexible(true);
        let reader = reader.from_reader(head);
        let records = reader.into_byte_records().map_while(std::result::Result::ok);
        let mut counts: Vec<_> = records.take(RECORDS + 1).map(|cells| cells.len()).collect();
        if is_cut && (2..=RECORDS).contains(&counts.len()) {
            counts.pop();
        }
        let header = counts.first().copied().unwrap_or(0);
        (header > 1).then(|| (counts.iter().filter(|&&count| count == header).count(), header))
    };
    // `max_by_key` would take the last of equal ones.
    SEPARATORS.into_iter().rev().max_by_key(fit).filter(|s| fit(s).is_some()).unwrap_or(b',')
}

/// A reader that returns at most one line at a time. So the parser never buffers text beyond the
/// line that it parses, and `line` is the number of that line.
struct Lines<R> {
    file: R,
    /// Number of the current line, from 1.
    line: u64,
    /// The last byte returned. A line ends with `\n`, `\r` or `\r\n`.
    last: u8,
    /// Bytes returned since the start of the record.
    length: usize,
    /// Bytes that may still be returned.
    left: u64,
    /// Whether there were more.
    is_over: bool,
}

impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let found = self.file.fill_buf()?;
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let end = found.iter().position(is_end).map_or(found.len(), |at| at + 1);
        let part = &found[..end.min(buffer.len())];
        buffer[..part.len()].copy_from_slice(part);
        let is_second_half = self.last == b'\r' && part == b"\n";
        if is_end(&self.last) && !part.is_empty() && !is_second_half {
            self.line += 1;
        }
        self.last = part.last().copied().unwrap_or(self.last);
        self.length += part.len();
        if self.length > RECORD {
            return Err(io::Error::other("a line that is too long; a quote may not be closed"));
        }
        let count = part.len();
        self.is_over = count as u64 > self.left;
        if self.is_over {
            return Err(io::Error::other("too many bytes"));
        }
        self.left -= count as u64;
        self.file.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacked_bytes_are_limited() {
        let text = b"a,b\n1,2\n3,4\n";
        let count = |limit| {
            let mut file = Delimited::open("t.csv", &text[..], limit).unwrap();
            let mut cells = StringRecord::new();
            while file.read(&mut cells)?.is_some() {}
            Ok::<_, Error>(())
        };
        assert!(count(12).is_ok());
        let error = count(11).unwrap_err().to_string();
        assert!(error.contains("more than 11 bytes") && error.contains("split it"), "{error}");
    }

    #[test]
    fn separator_is_the_one_with_equal_counts() {
        for (text, expected) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2,5\n", b';'),
            ("\"a;1\",\"b;2\"\n1,2\n", b','),
            ("\"a,1\";\"b,2\"\n1;2\n", b';'),
            ("a\tb c\n1\t2, 3\n", b'\t'),
            ("a|b|c\n1|2|x;y\n", b'|'),
            ("length (cm; mm),weight\n1,2\n3,4\n", b','),
            ("a;b\n1;2;3\n4\n", b';'),
            ("a\n1\n", b','),
            ("a\n3,14\n", b','),
            ("", b','),
        ] {
            assert_eq!(separator(text.as_bytes(), false) as char, expected as char, "{text:?}");
        }
        assert_eq!(separator(b"a;b;c\n1,1;2;3\n1,", true), b';');
    }
}
