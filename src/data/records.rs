//! The interface between a table and the format of its file.
use crate::error::Result;
use csv::StringRecord;

/// The rows of a file, one after another.
pub(super) trait Records {
    /// Reads the cells of the next row, and returns its number for messages: that of the line in
    /// which it ends, from 1; `None` at the end.
    fn read(&mut self, cells: &mut StringRecord) -> Result<Option<u64>>;
}
