//! CSV: a header, and one example a line.
use super::split::{Rows, divide};
use super::target::{self, Targets, is_missing};
use super::{Dataset, Options, Preprocess, Seen, Standardise, files};
use crate::error::{Error, Result};
use csv::{ErrorKind, Position, Reader, ReaderBuilder, StringRecord, Trim};
use ndarray::Array2;
use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, Read};
use std::path::Path;

/// No line that we read is longer; a quote that is never closed makes one of all that follows.
const LINE: usize = 1 << 26;

/// A CSV file and some of its lines, which have as many cells as the header, not yet parsed.
pub(super) struct Table<R> {
    path: String,
    /// The header.
    pub columns: Vec<String>,
    lines: Reader<Lines<R>>,
    rows: Vec<StringRecord>,
    /// How many rows came before these.
    first: usize,
}

/// Reads, guesses the task if it is not given, divides and standardises.
pub(super) fn load(path: &Path, file: impl BufRead, options: &Options) -> Result<Dataset> {
    let mut table = Table::open(path, file)?;
    table.next(usize::MAX)?;
    let target = match &options.target {
        None => table.columns.len() - 1,
        Some(name) => table.find(std::slice::from_ref(name))?[0],
    };
    let features: Vec<usize> = (0..table.columns.len()).filter(|&i| i != target).collect();
    if features.is_empty() {
        return Err(Error::invalid(
            path.display(),
            "a single column",
            "a target and at least one feature, with commas between them",
            "Write the file with commas, or add columns.",
        ));
    }
    let dropped = options.drop_missing.then(|| table.drop_missing());
    let target::Chosen { task, y, guess } = table.targets(target)?.choose(options.task)?;
    let x = table.numbers(&features)?;
    let (train, [validation, test]) = divide(&table.path, y.len(), options)?;
    let (scale, seen) = (Standardise::fit(&x, &train), Seen::of(&x, &train));
    let y_scale = target::scale(&task, &y, &train);
    let columns: Vec<String> = features.iter().map(|&i| table.columns[i].clone()).collect();
    let dropped = dropped
        .filter(|&rows| rows > 0)
        .map(|rows| format!("{rows} rows with missing values left out"));
    let notes = dropped.into_iter().chain(guess).chain(scale.ignored(Some(&columns))).collect();
    let rows = Rows { x: scale.apply(&table.path, x.view(), 0)?, y };
    Ok(Dataset {
        name: files::name(path, false),
        task,
        image: None,
        preprocess: Preprocess {
            inputs: features.len(),
            x: Some(scale),
            y: y_scale,
            columns: Some(columns),
            target: Some(table.columns[target].clone()),
            seen: Some(seen),
        },
        notes,
        train: rows.split(&table.path, &train, y_scale)?,
        validation: rows.split(&table.path, &validation, y_scale)?,
        test: rows.split(&table.path, &test, y_scale)?,
    })
}

impl<R: BufRead> Table<R> {
    /// The header alone.
    pub fn open(path: &Path, file: R) -> Result<Self> {
        let lines = Lines { file, line: 0, ended: true, length: 0 };
        let lines = ReaderBuilder::new().trim(Trim::All).flexible(true).from_reader(lines);
        let path = path.display().to_string();
        let mut table = Self { path, columns: vec![], lines, rows: vec![], first: 0 };
        let header = table.lines.headers().cloned().map_err(|error| table.broken(error))?;
        table.columns = header.iter().map(str::to_owned).collect();
        let mut seen = HashSet::new();
        let numbers: Vec<f64> = header.iter().filter_map(|name| name.parse().ok()).collect();
        if numbers.len() == header.len() || numbers.iter().any(|n| n.fract() != 0.0) {
            return Err(table.ragged("numbers in the first line"));
        }
        match table.columns.iter().find(|name| !seen.insert(*name)) {
            Some(twice) => Err(table.ragged(format!("the column {twice:?} twice"))),
            None => Ok(table),
        }
    }

    /// Goes on to the next rows, `most` or as many as are left; `false` if there are none.
    pub fn next(&mut self, most: usize) -> Result<bool> {
        self.first += self.rows.len();
        self.rows.clear();
        while self.rows.len() < most {
            let mut row = StringRecord::new();
            self.lines.get_mut().length = 0;
            if !self.lines.read_record(&mut row).map_err(|error| self.broken(error))? {
                break;
            }
            let line = self.lines.get_ref().line;
            if row.len() != self.columns.len() {
                return Err(self.ragged(format!("{} cells in line {line}", row.len())));
            }
            // The parser's own count does not see the empty lines before a record.
            row.set_position(Some(Position::new().set_line(line).clone()));
            self.rows.push(row);
        }
        if self.first + self.rows.len() == 0 {
            return Err(self.ragged("no rows below the header"));
        }
        Ok(!self.rows.is_empty())
    }

    fn ragged(&self, found: impl ToString) -> Error {
        let names = self.columns.len();
        let expected =
            format!("a header of {names} distinct names, and a cell under each in every row");
        let advice = "Mend the file, or write it again with a header.";
        Error::invalid(&self.path, found, expected, advice)
    }

    fn broken(&self, error: csv::Error) -> Error {
        let line = format!("{}, line {}", self.path, self.lines.get_ref().line);
        match error.into_kind() {
            ErrorKind::Io(error) => files::unreadable(&line, &error),
            _ => Error::invalid(line, "other text", "UTF-8", "Save the file as UTF-8."),
        }
    }

    /// Where these columns are.
    pub fn find(&self, names: &[String]) -> Result<Vec<usize>> {
        let place: HashMap<&String, usize> = self.columns.iter().zip(0..).collect();
        let missing: Vec<&String> = names.iter().filter(|name| !place.contains_key(name)).collect();
        if missing.is_empty() {
            return Ok(names.iter().map(|name| place[name]).collect());
        }
        Err(Error::invalid(
            &self.path,
            format!("the columns {:?}", self.columns),
            format!("also {missing:?}"),
            "Correct the name, or add the column.",
        ))
    }

    /// Leave out rows with a missing value, and say how many.
    fn drop_missing(&mut self) -> usize {
        let before = self.rows.len();
        self.rows.retain(|row| !row.iter().any(is_missing));
        before - self.rows.len()
    }

    /// `[N, columns]`: the finite numbers in some columns.
    pub fn numbers(&self, columns: &[usize]) -> Result<Array2<f64>> {
        let cells = self.rows.iter().flat_map(|row| columns.iter().map(move |&i| (row, i)));
        let parse = |(row, i): (&StringRecord, usize)| match finite(&row[i]) {
            Some(value) => Ok(value),
            None => Err(self.cell(row, i, "a finite number")),
        };
        let values = cells.map(parse).collect::<Result<_>>()?;
        Ok(Array2::from_shape_vec((self.rows.len(), columns.len()), values).expect("every cell"))
    }

    /// What is in the column of the targets; that one is missing is an error.
    fn targets(&self, column: usize) -> Result<Targets> {
        if let Some(row) = self.rows.iter().find(|row| is_missing(&row[column])) {
            return Err(self.cell(row, column, "a target"));
        }
        let value = |row: &StringRecord| match finite(&row[column]) {
            Some(value) => Ok(value),
            None => Err((self.place(row, column), format!("{:?}", &row[column]))),
        };
        Ok(Targets {
            what: format!("{}, target {:?}", self.path, self.columns[column]),
            labels: self.rows.iter().map(|row| row[column].to_owned()).collect(),
            values: self.rows.iter().map(value).collect(),
        })
    }

    fn place(&self, row: &StringRecord, column: usize) -> String {
        format!("{}, line {}, column {:?}", self.path, line(row), self.columns[column])
    }

    fn cell(&self, row: &StringRecord, column: usize, expected: &str) -> Error {
        let advice = match is_missing(&row[column]) {
            true => "Mend or remove the line; --drop-missing trains without such lines.",
            false => "Mend or remove the line.",
        };
        Error::invalid(self.place(row, column), format!("{:?}", &row[column]), expected, advice)
    }
}

/// The finite number in a cell.
fn finite(cell: &str) -> Option<f64> {
    cell.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The number of the line on which a record ends.
fn line(row: &StringRecord) -> u64 {
    row.position().map_or(0, Position::line)
}

/// A file, handed out a line at a time, so that the line which was handed out last is the one that
/// the parser is at.
struct Lines<R> {
    file: R,
    /// The number of that line, from 1.
    line: u64,
    /// Whether all of it was handed out.
    ended: bool,
    /// The bytes handed out since this was set to 0.
    length: usize,
}

impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let found = self.file.fill_buf()?;
        let end = found.iter().position(|&byte| byte == b'\n').map_or(found.len(), |at| at + 1);
        let part = &found[..end.min(into.len())];
        into[..part.len()].copy_from_slice(part);
        if self.ended && !part.is_empty() {
            self.line += 1;
        }
        self.ended = part.ends_with(b"\n");
        self.length += part.len();
        if self.length > LINE {
            return Err(io::Error::other("a line without end: is a quote not closed?"));
        }
        let count = part.len();
        self.file.consume(count);
        Ok(count)
    }
}
