//! Tables in a file: a header, then one example in each row.
use super::columns::{Cell, Column, Encoding, Replaced, is_missing, number};
use super::delimited::Delimited;
use super::records::Records;
use super::target::Targets;
use super::{files, parquet};
use crate::error::{Error, Result, list};
use csv::StringRecord;
use ndarray::Array2;
use std::collections::{HashMap, HashSet};
use std::io::BufRead;
use std::path::Path;

/// An open table and the current block of its rows, whose cells are still text.
pub(super) struct Table<'a> {
    pub path: String,
    /// Names in the header.
    pub columns: Vec<String>,
    /// The current block. Each row has as many cells as the header.
    pub rows: Vec<Row>,
    /// Whether numbers may have a decimal comma: columns are not separated by commas.
    pub decimal_comma: bool,
    /// A note if columns are not separated by commas.
    pub note: Option<String>,
    records: Box<dyn Records + 'a>,
    /// What the number of a row counts: `line` or `row`.
    unit: &'static str,
    /// Number of rows before the block.
    first: usize,
}

/// A row of a table.
pub(super) struct Row {
    /// The number of the line in which it ends, from 1.
    pub line: u64,
    /// The text of each cell.
    pub cells: StringRecord,
}

/// Rows as inputs.
pub(super) struct Encoded {
    /// Inputs before standardisation, `[N, inputs]`.
    pub x: Array2<f64>,
    /// Cells without a value.
    pub missing: Option<Replaced>,
    /// Words that did not occur in training.
    pub unseen: Option<Replaced>,
}

impl<'a> Table<'a> {
    /// Reads the header. A first line that looks like data, or names a column twice, is an error,
    /// as are more than `limit` bytes of text.
    pub fn open(path: &Path, file: impl BufRead + 'a, limit: u64) -> Result<Self> {
        let what = path.display().to_string();
        let table = match &*files::extension(path) {
            "parquet" => {
                let (columns, records) = parquet::open(&what, file)?;
                Self::new(what, records, columns, "row")
            }
            _ => {
                let mut records = Delimited::open(&what, file, limit)?;
                let (separator, mut header) = (records.separator, StringRecord::new());
                records.read(&mut header)?;
                let columns = header.iter().map(str::to_owned).collect();
                let mut table = Self::new(what, Box::new(records), columns, "line");
                let separated = |by| format!("{}: {by} separate the columns", table.path);
                (table.note, table.decimal_comma) = match separator {
                    b';' => (Some(separated("semicolons")), true),
                    b'\t' => (Some(separated("tabs")), true),
                    b'|' => (Some(separated("vertical bars")), true),
                    _ => (None, false),
                };
                table
            }
        };
        table.check_header()?;
        Ok(table)
    }

    fn new(
        path: String,
        records: Box<dyn Records + 'a>,
        columns: Vec<String>,
        unit: &'static str,
    ) -> Self {
        let (rows, note) = (vec![], None);
        Self { path, columns, rows, decimal_comma: false, note, records, unit, first: 0 }
    }

    fn check_header(&self) -> Result<()> {
        let names = &self.columns;
        if names.is_empty() {
            let advice = "Write the file again with a header.";
            return Err(Error::invalid(&self.path, "no text", "a header and rows", advice));
        }
        let numbers: Vec<f64> = names.iter().filter_map(|name| number(name, false)).collect();
        if numbers.len() == names.len() || numbers.iter().any(|n| n.fract() != 0.0) {
            return Err(self.headless("numbers in the first line"));
        }
        let mut seen = HashSet::new();
        match names.iter().find(|name| !seen.insert(*name)) {
            Some(twice) => Err(self.ragged(format!("the column {twice:?} twice"))),
            None => Ok(()),
        }
    }

    /// The error of a file whose first line is an example.
    fn headless(&self, found: impl ToString) -> Error {
        let names = match self.columns.len() {
            count @ ..4 => (1..=count).map(|i| format!("x{i}")).collect::<Vec<_>>().join(","),
            count => format!("x1,x2,…,x{count}"),
        };
        let expected = "a header, a line with a distinct name for each column";
        let advice = format!("Write one above it, such as `{names}`.");
        Error::invalid(&self.path, found, expected, advice)
    }

    /// Checks that the header is not an example. It seems to be one if two of its names occur as
    /// words in their own columns, or one does and another is a number.
    pub fn check_names(&self) -> Result<()> {
        let has_number = self.columns.iter().any(|name| number(name, false).is_some());
        let is_word = |name: &str| !is_missing(name) && number(name, false).is_none();
        let is_value = |i: usize, name: &str| self.rows.iter().any(|row| &row.cells[i] == name);
        let names = self.columns.iter().enumerate();
        let mut odd = names.filter(|&(i, name)| is_word(name) && is_value(i, name));
        match (odd.next(), has_number || odd.next().is_some()) {
            (Some((_, name)), true) => {
                Err(self.headless(format!("the value {name:?} in the first line")))
            }
            _ => Ok(()),
        }
    }

    /// A note if the header looks like data: it has a number, or the target's name is a target.
    pub fn doubt(&self, target: usize, labels: &[String]) -> Option<String> {
        let name = &self.columns[target];
        let odd = self.columns.iter().find(|name| number(name, false).is_some());
        let odd = odd.or_else(|| labels.contains(name).then_some(name))?;
        Some(format!("the first line is the header, with the column {odd:?}; is it data?"))
    }

    /// Reads the next block of at most `limit` rows; `false` at the end.
    pub fn next(&mut self, limit: usize) -> Result<bool> {
        self.first += self.rows.len();
        self.rows.clear();
        while self.rows.len() < limit {
            let mut cells = StringRecord::new();
            let Some(line) = self.records.read(&mut cells)? else { break };
            if cells.len() != self.columns.len() {
                return Err(self.ragged(format!("{} cells in line {line}", cells.len())));
            }
            self.rows.push(Row { line, cells });
        }
        if self.first + self.rows.len() == 0 {
            return Err(self.ragged("no rows below the header"));
        }
        Ok(!self.rows.is_empty())
    }

    fn ragged(&self, found: impl ToString) -> Error {
        let names = self.columns.len();
        let expected =
            format!("a header of {names} distinct names, and a cell for each in every row");
        let advice = "Correct the file, or write it again with a header.";
        Error::invalid(&self.path, found, expected, advice)
    }

    /// Indices of the columns with these names.
    pub fn find<'n>(&self, names: impl IntoIterator<Item = &'n String>) -> Result<Vec<usize>> {
        let index: HashMap<&String, usize> = self.columns.iter().zip(0..).collect();
        let (mut found, mut missing) = (vec![], vec![]);
        for name in names {
            match index.get(name) {
                Some(&at) => found.push(at),
                None => missing.push(name),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        Err(Error::invalid(
            &self.path,
            format!("the columns [{}]", list(self.columns.iter().map(|name| format!("{name:?}")))),
            format!("also [{}]", list(missing.iter().map(|name| format!("{name:?}")))),
            "Correct the name, or add the column.",
        ))
    }

    /// Removes the rows without a value in one of these columns; returns their number.
    pub fn drop_missing(&mut self, columns: &[usize]) -> usize {
        let before = self.rows.len();
        self.rows.retain(|row| !columns.iter().any(|&i| is_missing(&row.cells[i])));
        before - self.rows.len()
    }

    /// The inputs of the current block. `at` are the indices of the `columns` in this file.
    ///
    /// # Errors
    /// If the cell of a number is a word, or a missing value is refused.
    pub fn encode(&self, at: &[usize], columns: &[&Column]) -> Result<Encoded> {
        let width = columns.iter().map(|column| column.encoding.width()).sum();
        let mut inputs = Vec::with_capacity(self.rows.len() * width);
        let (mut missing, mut unseen) = (None, None);
        for row in &self.rows {
            for (&i, column) in at.iter().zip(columns) {
                let found = column.encoding.encode(&row.cells[i], self.decimal_comma, &mut inputs);
                let kind = match found {
                    Some(Cell::Known) => continue,
                    Some(Cell::Missing) => &mut missing,
                    Some(Cell::Unseen) => &mut unseen,
                    None => {
                        let expected = match column.encoding {
                            Encoding::Categories { .. } => "a category",
                            _ => NUMBER,
                        };
                        let advice = "Correct or remove the line";
                        return Err(self.refused(row, i, expected, advice));
                    }
                };
                let first = || format!("{}, {:?}", self.place(row, i), &row.cells[i]);
                kind.get_or_insert_with(|| Replaced { cells: 0, first: first() }).cells += 1;
            }
        }
        let x = Array2::from_shape_vec((self.rows.len(), width), inputs).expect("all cells");
        Ok(Encoded { x, missing, unseen })
    }

    /// The cells of a column of the current block.
    pub fn cells(&self, column: usize) -> Vec<String> {
        self.rows.iter().map(|row| row.cells[column].to_string()).collect()
    }

    /// The targets in a column.
    ///
    /// # Errors
    /// If a target is missing.
    pub fn targets(&self, column: usize) -> Result<Targets> {
        if let Some(row) = self.rows.iter().find(|row| is_missing(&row.cells[column])) {
            let advice = "Correct or remove the line; --missing drop trains without such lines.";
            let found = format!("{:?}", &row.cells[column]);
            return Err(Error::invalid(self.place(row, column), found, "a target", advice));
        }
        let value = |row: &Row| {
            let cell = &row.cells[column];
            number(cell, self.decimal_comma)
                .ok_or_else(|| (self.place(row, column), format!("{cell:?}")))
        };
        Ok(Targets {
            what: format!("{}, target {:?}", self.path, self.columns[column]),
            labels: self.rows.iter().map(|row| row.cells[column].to_owned()).collect(),
            values: self.rows.iter().map(value).collect(),
        })
    }

    /// The place of a cell in messages.
    pub fn place(&self, row: &Row, column: usize) -> String {
        let (line, name) = (row.line, &self.columns[column]);
        format!("{}, {} {line}, column {name:?}", self.path, self.unit)
    }

    /// The error of a cell that has no value, or is no number. `advice` says what may be done about
    /// any such cell.
    pub fn refused(&self, row: &Row, column: usize, expected: &str, advice: &str) -> Error {
        let cell = &row.cells[column];
        let more = match is_missing(cell) {
            true => "; --missing drop trains without such lines",
            false => "",
        };
        let decimals = match self.decimal_comma && cell.contains(',') {
            true => ", with a point or a comma before its decimals",
            false => "",
        };
        let (expected, advice) = (format!("{expected}{decimals}"), format!("{advice}{more}."));
        Error::invalid(self.place(row, column), format!("{cell:?}"), expected, advice)
    }
}

/// What a cell of a column of numbers is expected to be.
pub(super) const NUMBER: &str = "a finite number";
