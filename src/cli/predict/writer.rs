//! The formats that predictions are written in.
use super::columns::Columns;
use super::parquet;
use crate::error::{Error, Result};
use serde::Serializer;
use std::io::{self, Cursor, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The format of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A header, and a record for each input.
    Csv,
    /// A JSON object on a line for each input.
    Json,
    /// A NumPy archive with an array for each column.
    Npz,
    /// A Parquet file, if this program was built with the feature `parquet`.
    Parquet,
}

impl Format {
    /// Whether this program can write it.
    ///
    /// # Errors
    /// If it cannot.
    pub fn check(self) -> Result<()> {
        if self == Self::Parquet && !cfg!(feature = "parquet") {
            let expected = "csv, json or npz, since this bhn was built without the feature parquet";
            let advice = "Use one of them, or build with `--features parquet`.";
            return Err(Error::invalid("--format", "parquet", expected, advice));
        }
        Ok(())
    }
}

/// A writer of columns, block by block.
pub struct Writer {
    format: Format,
    count: usize,
    /// The columns so far, for a format that is written as a whole.
    kept: Columns,
}

impl Writer {
    pub fn new(format: Format) -> Self {
        Self { format, count: 0, kept: vec![] }
    }

    /// The number of rows so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Write or keep the next block.
    pub fn write(&mut self, columns: Columns, rows: usize, out: &mut dyn Write) -> io::Result<()> {
        match self.format {
            Format::Csv => {
                let mut csv = csv::Writer::from_writer(vec![]);
                if self.count == 0 {
                    csv.write_record(columns.iter().map(|(name, _)| name))?;
                }
                for row in 0..rows {
                    csv.write_record(columns.iter().map(|(_, column)| column.text(row)))?;
                }
                out.write_all(&csv.into_inner().map_err(csv::IntoInnerError::into_error)?)?;
            }
            Format::Json => {
                for row in 0..rows {
                    let pairs = columns.iter().map(|(name, column)| (name, column.value(row)));
                    serde_json::Serializer::new(&mut *out).collect_map(pairs)?;
                    out.write_all(b"\n")?;
                }
            }
            Format::Npz | Format::Parquet if self.kept.is_empty() => self.kept = columns,
            Format::Npz | Format::Parquet => {
                let kept = self.kept.iter_mut().zip(columns);
                kept.for_each(|((_, all), (_, more))| all.append(more));
            }
        }
        self.count += rows;
        Ok(())
    }

    /// Write what is kept.
    pub fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match self.format {
            Format::Csv | Format::Json => {}
            Format::Npz => {
                let mut zip = ZipWriter::new(Cursor::new(vec![]));
                let stored =
                    SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
                for (name, column) in &self.kept {
                    zip.start_file(format!("{}.npy", name.replace('/', "_")), stored)?;
                    zip.write_all(&column.npy())?;
                }
                out.write_all(&zip.finish()?.into_inner())?;
            }
            Format::Parquet => out.write_all(&parquet::file(&self.kept)?)?,
        }
        out.flush()
    }
}
