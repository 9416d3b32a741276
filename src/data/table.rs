//! CSV: a header, then one example in each record.
use super::dataset::{Dataset, Options};
use super::examples::{Examples, divide};
use super::files;
use super::preprocess::Preprocess;
use super::target::{Targets, is_missing};
use crate::error::{Error, Result, list};
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Trim};
use ndarray::Array2;
use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, Read};
use std::path::Path;

/// Longest record in bytes. If there were no limit, a quote that is never closed would make the
/// rest of the file one record.
const RECORD: usize = 1 << 26;

/// Reads a table, guesses the task if it is not given, and splits and standardises the rows.
pub(super) fn load(path: &Path, file: impl BufRead, options: &Options) -> Result<Dataset> {
    let mut table = Table::open(path, file)?;
    table.next(usize::MAX)?;
    let target = match &options.target {
        None => table.columns.len() - 1,
        Some(name) => table.find(std::slice::from_ref(name))?[0],
    };
    // A first column without a name is the index of a data frame.
    let has_index = table.columns[0].is_empty() && target != 0;
    let features = usize::from(has_index)..table.columns.len();
    let features: Vec<usize> = features.filter(|&i| i != target).collect();
    if features.is_empty() {
        let expected = "a target and at least one feature, with commas between them";
        let advice = "Write the file with commas, or add columns.";
        return Err(Error::invalid(path.display(), "a single column", expected, advice));
    }
    let dropped = if options.drop_missing { table.drop_missing() } else { 0 };
    let targets = table.targets(target)?;
    let index = has_index.then(|| "the first column, without a name, is left out".to_string());
    let notes = index.into_iter().chain(table.doubt(target, &targets.labels)).collect();
    let chosen = targets.choose(options.task)?;
    let x = table.numbers(&features)?;
    let parts = divide(&table.path, x.nrows(), 0..0, options)?;
    let (x, fitted) = Preprocess::fit_transform(&table.path, &x, &parts[0])?;
    let columns = features.iter().map(|&i| table.columns[i].clone()).collect();
    let (columns, target) = (Some(columns), Some(table.columns[target].clone()));
    let preprocess = Preprocess { columns, target, ..fitted };
    let (what, name) = (&*table.path, files::name(path, false));
    Examples { what, name, image: None, x, chosen, dropped, notes, preprocess }.split(&parts)
}

/// An open CSV file and the current block of its records, whose cells are still text.
pub(super) struct Table<R> {
    path: String,
    /// Names in the header.
    pub columns: Vec<String>,
    reader: Reader<Lines<R>>,
    /// The current block. Each record has as many cells as the header, and is stored with the
    /// number (from 1) of the line in which it ends.
    rows: Vec<(u64, StringRecord)>,
    /// Number of rows before the block.
    first: usize,
}

impl<R: BufRead> Table<R> {
    /// Reads the header. A first line that looks like data, or names a column twice, is an error.
    pub fn open(path: &Path, file: R) -> Result<Self> {
        let lines = Lines { file, line: 0, last: b'\n', length: 0 };
        let reader = ReaderBuilder::new().trim(Trim::All).flexible(true).from_reader(lines);
        let path = path.display().to_string();
        let mut table = Self { path, columns: vec![], reader, rows: vec![], first: 0 };
        let header = table.reader.headers().cloned().map_err(|error| table.broken(error))?;
        table.columns = header.iter().map(str::to_owned).collect();
        if header.is_empty() {
            let advice = "Write the file again with a header.";
            return Err(Error::invalid(&table.path, "no text", "a header and rows", advice));
        }
        let mut seen = HashSet::new();
        let numbers: Vec<f64> = header.iter().filter_map(finite).collect();
        if numbers.len() == header.len() || numbers.iter().any(|n| n.fract() != 0.0) {
            return Err(table.ragged("numbers in the first line"));
        }
        match table.columns.iter().find(|name| !seen.insert(*name)) {
            Some(twice) => Err(table.ragged(format!("the column {twice:?} twice"))),
            None => Ok(table),
        }
    }

    /// Reads the next block of at most `limit` rows; `false` at the end.
    pub fn next(&mut self, limit: usize) -> Result<bool> {
        self.first += self.rows.len();
        self.rows.clear();
        while self.rows.len() < limit {
            let mut row = StringRecord::new();
            self.reader.get_mut().length = 0;
            if !self.reader.read_record(&mut row).map_err(|error| self.broken(error))? {
                break;
            }
            let line = self.reader.get_ref().line;
            if row.len() != self.columns.len() {
                return Err(self.ragged(format!("{} cells in line {line}", row.len())));
            }
            self.rows.push((line, row));
        }
        if self.first + self.rows.len() == 0 {
            return Err(self.ragged("no rows below the header"));
        }
        Ok(!self.rows.is_empty())
    }

    /// A note if the header looks like data: it has a number, or the target's name is a target.
    fn doubt(&self, target: usize, labels: &[String]) -> Option<String> {
        let name = &self.columns[target];
        let number = self.columns.iter().find(|name| finite(name).is_some());
        let odd = number.or_else(|| labels.contains(name).then_some(name))?;
        Some(format!("the first line is the header, with the column {odd:?}; is it data?"))
    }

    fn ragged(&self, found: impl ToString) -> Error {
        let names = self.columns.len();
        let expected =
            format!("a header of {names} distinct names, and a cell for each in every row");
        let advice = "Correct the file, or write it again with a header.";
        Error::invalid(&self.path, found, expected, advice)
    }

    fn broken(&self, error: csv::Error) -> Error {
        let line = format!("{}, line {}", self.path, self.reader.get_ref().line);
        match error.into_kind() {
            ErrorKind::Io(error) => files::unreadable(&line, &error),
            _ => Error::invalid(line, "other text", "UTF-8", "Save the file as UTF-8."),
        }
    }

    /// Indices of the columns with these names.
    pub fn find(&self, names: &[String]) -> Result<Vec<usize>> {
        let index: HashMap<&String, usize> = self.columns.iter().zip(0..).collect();
        let missing: Vec<&String> = names.iter().filter(|name| !index.contains_key(name)).collect();
        if missing.is_empty() {
            return Ok(names.iter().map(|name| index[name]).collect());
        }
        Err(Error::invalid(
            &self.path,
            format!("the columns [{}]", list(self.columns.iter().map(|name| format!("{name:?}")))),
            format!("also [{}]", list(missing.iter().map(|name| format!("{name:?}")))),
            "Correct the name, or add the column.",
        ))
    }

    /// Removes rows with a missing value; returns their number.
    fn drop_missing(&mut self) -> usize {
        let before = self.rows.len();
        self.rows.retain(|(_, row)| !row.iter().any(is_missing));
        before - self.rows.len()
    }

    /// The numbers in the given columns, `[N, columns]`.
    ///
    /// # Errors
    /// If a cell is not a finite number.
    pub fn numbers(&self, columns: &[usize]) -> Result<Array2<f64>> {
        let cells = self.rows.iter().flat_map(|row| columns.iter().map(move |&i| (row, i)));
        let parse = |(row, i): (&(u64, StringRecord), usize)| {
            finite(&row.1[i]).ok_or_else(|| self.cell(row, i, "a finite number"))
        };
        let values = cells.map(parse).collect::<Result<_>>()?;
        Ok(Array2::from_shape_vec((self.rows.len(), columns.len()), values).expect("all cells"))
    }

    /// The targets in a column.
    ///
    /// # Errors
    /// If a target is missing.
    fn targets(&self, column: usize) -> Result<Targets> {
        if let Some(row) = self.rows.iter().find(|(_, row)| is_missing(&row[column])) {
            return Err(self.cell(row, column, "a target"));
        }
        let value = |(line, row): &(u64, StringRecord)| {
            finite(&row[column])
                .ok_or_else(|| (self.place(*line, column), format!("{:?}", &row[column])))
        };
        Ok(Targets {
            what: format!("{}, target {:?}", self.path, self.columns[column]),
            labels: self.rows.iter().map(|(_, row)| row[column].to_owned()).collect(),
            values: self.rows.iter().map(value).collect(),
        })
    }

    fn place(&self, line: u64, column: usize) -> String {
        format!("{}, line {line}, column {:?}", self.path, self.columns[column])
    }

    fn cell(&self, (line, row): &(u64, StringRecord), column: usize, expected: &str) -> Error {
        let advice = match is_missing(&row[column]) {
            true => "Correct or remove the line; --drop-missing trains without such lines.",
            false => "Correct or remove the line.",
        };
        Error::invalid(self.place(*line, column), format!("{:?}", &row[column]), expected, advice)
    }
}

/// Parses a cell as a finite number.
fn finite(cell: &str) -> Option<f64> {
    cell.parse().ok().filter(|value: &f64| value.is_finite())
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
        self.file.consume(count);
        Ok(count)
    }
}
