//! Parquet, a compressed format of tables by columns. The reader is behind the feature `parquet`.
use super::records::Records;
use crate::error::{Error, Result};
use std::io::Read;

/// The names of the columns, and the rows, whose cells are converted to text. The file is read into
/// memory; its rows are decompressed one after another.
///
/// # Errors
/// If the file is damaged or larger than 2 GiB, or a column holds lists or groups.
#[cfg(feature = "parquet")]
pub(super) fn open(what: &str, file: impl Read) -> Result<(Vec<String>, Box<dyn Records>)> {
    reader::open(what, file)
}

/// The error that this program reads no Parquet files.
#[cfg(not(feature = "parquet"))]
pub(super) fn open(what: &str, _: impl Read) -> Result<(Vec<String>, Box<dyn Records>)> {
    let expected = "a CSV file, since this bhn was built without the feature parquet";
    let advice = "Build it with `cargo build --release --features parquet`, or convert the file.";
    Err(Error::invalid(what, "a Parquet file", expected, advice))
}

#[cfg(feature = "parquet")]
mod reader {
    use super::*;
    use crate::data::files;
    use csv::StringRecord;
    use parquet::errors::ParquetError;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    use parquet::record::reader::RowIter;

    struct Rows {
        what: String,
        rows: RowIter<'static>,
        /// Number of rows read.
        row: u64,
    }

    pub fn open(what: &str, file: impl Read) -> Result<(Vec<String>, Box<dyn Records>)> {
        let bytes = files::bounded(what, file, files::LIMIT)?;
        let broken = |error| unreadable(what, &error);
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).map_err(broken)?;
        let schema = reader.metadata().file_metadata().schema().get_fields().to_vec();
        if let Some(nested) = schema.iter().find(|column| !column.is_primitive()) {
            let found = format!("the column {:?} of lists or groups", nested.name());
            let advice = "Save it without that column.";
            return Err(Error::invalid(what, found, "columns of numbers or text", advice));
        }
        let names = schema.iter().map(|column| column.name().to_owned()).collect();
        let rows = RowIter::from_file_into(Box::new(reader));
        Ok((names, Box::new(Rows { what: what.to_owned(), rows, row: 0 })))
    }

    impl Records for Rows {
        fn read(&mut self, cells: &mut StringRecord) -> Result<Option<u64>> {
            cells.clear();
            let Some(row) = self.rows.next() else { return Ok(None) };
            let row = row.map_err(|error| unreadable(&self.what, &error))?;
            row.get_column_iter().for_each(|(_, field)| cells.push_field(&text(field)));
            self.row += 1;
            Ok(Some(self.row))
        }
    }

    /// The text of a cell. A float has the digits of its value in double precision, so that it is
    /// parsed as the same number.
    fn text(field: &Field) -> String {
        match field {
            Field::Null => String::new(),
            Field::Str(text) => text.trim().to_owned(),
            Field::Float(x) => f64::from(*x).to_string(),
            Field::Double(x) => x.to_string(),
            Field::Bool(x) => x.to_string(),
            other => other.to_string().trim_matches('"').to_owned(),
        }
    }

    fn unreadable(what: &str, error: &ParquetError) -> Error {
        let found = format!("data that cannot be read ({error})");
        Error::invalid(what, found, "an intact Parquet file", "Save it again.")
    }
}
