//! An array in a file, read in blocks of rows. The file has a header with the array's shape,
//! followed by the elements.
use super::files;
use crate::error::{Error, Result};
use std::io::Read;
use std::ops::Range;

/// An open file, read up to the end of its header. If the size of the file is known, it fits the
/// shape in the header.
pub(super) struct Blocks<R> {
    pub what: String,
    pub shape: Vec<usize>,
    reader: R,
    /// Number of rows already read.
    row: usize,
}

impl<R: Read> Blocks<R> {
    /// An array of this `shape`, whose elements have the type `kind` and take `width` bytes each.
    /// `present` is the number of bytes after the header; `None` if it is unknown, as it is for
    /// compressed data.
    ///
    /// # Errors
    /// If `present` is not exactly the size of the array, or the array has no elements or no
    /// dimensions.
    pub fn new(
        what: &str,
        reader: R,
        shape: Vec<usize>,
        (kind, width): (&str, usize),
        present: Option<u64>,
    ) -> Result<Self> {
        let claimed = shape.iter().try_fold(width, |n, &length| n.checked_mul(length));
        if matches!(claimed, None | Some(0)) || present.is_some_and(|n| claimed != Some(n as usize))
        {
            let present = present.map_or("data".into(), |bytes| format!("{bytes} bytes"));
            let found = format!("{present} after a header of shape {shape:?}, {kind:?}");
            let expected = "the number of elements in the header, and at least one";
            return Err(Error::invalid(what, found, expected, "Save or copy the file again."));
        }
        if shape.is_empty() {
            let advice = "Save an array with one example in each row.";
            return Err(Error::invalid(what, "a single number", "an array [N, …]", advice));
        }
        Ok(Self { what: what.to_owned(), shape, reader, row: 0 })
    }

    /// The shape of one row.
    pub fn example(&self) -> &[usize] {
        &self.shape[1..]
    }

    /// The next rows, at most `limit`: their number, and the bytes that `read` returns for them;
    /// `None` at the end. The arguments of `read` are the name of the file in messages, the reader
    /// and the range of rows. After the last row, the file must be at its end.
    pub fn next(
        &mut self,
        limit: usize,
        read: impl FnOnce(&str, &mut R, Range<usize>) -> Result<Vec<u8>>,
    ) -> Result<Option<(usize, Vec<u8>)>> {
        let rows = self.row..self.row.saturating_add(limit).min(self.shape[0]);
        if rows.is_empty() {
            return Ok(None);
        }
        let bytes = read(&self.what, &mut self.reader, rows.clone())?;
        self.row = rows.end;
        if rows.end == self.shape[0] {
            files::end(&self.what, &mut self.reader)?;
        }
        Ok(Some((rows.len(), bytes)))
    }
}
