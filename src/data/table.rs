//! CSV: a header, and one example a line.
use super::preprocess::moments;
use super::split::{Rows, divide};
use super::{Dataset, Options, Preprocess, Standardise, Task, TaskKind, files};
use crate::error::{Error, Result};
use csv::{ReaderBuilder, StringRecord, Trim};
use ndarray::Array2;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

/// A CSV file whose lines have as many cells as its header, not yet parsed.
pub(super) struct Table {
    path: String,
    text: String,
    /// The header.
    pub columns: Vec<String>,
    rows: Vec<StringRecord>,
}

/// Reads, guesses the task if it is not given, divides and standardises.
pub(super) fn load(path: &Path, options: &Options) -> Result<Dataset> {
    let table = Table::read(path)?;
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
    let (task, y) = table.target(target, options.task)?;
    let x = table.numbers(&features, "Mend or remove the line.")?;
    let (train, [validation, test]) = divide(&table.path, y.len(), options)?;
    let scale = Standardise::fit(&x, &train);
    let y_scale = (task == Task::Regression).then(|| moments(train.iter().map(|&row| y[row])));
    let rows = Rows { x: scale.apply(&table.path, &x)?, y };
    Ok(Dataset {
        name: files::name(path, false),
        task,
        image: None,
        preprocess: Preprocess {
            inputs: features.len(),
            x: Some(scale),
            y: y_scale,
            columns: Some(features.iter().map(|&i| table.columns[i].clone()).collect()),
            target: Some(table.columns[target].clone()),
        },
        train: rows.split(&train, y_scale),
        validation: rows.split(&validation, y_scale),
        test: rows.split(&test, y_scale),
    })
}

impl Table {
    /// The whole file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path)?;
        let path = path.display().to_string();
        let mut text = String::from_utf8(bytes).map_err(|error| {
            let line = line(error.as_bytes(), error.utf8_error().valid_up_to());
            let advice = "Save the file as UTF-8.";
            Error::invalid(format!("{path}, line {line}"), "other text", "UTF-8", advice)
        })?;
        if text.starts_with('\u{feff}') {
            text.drain(..3);
        }
        let mut reader =
            ReaderBuilder::new().trim(Trim::All).flexible(true).from_reader(text.as_bytes());
        let broken =
            |error: csv::Error| Error::invalid(&path, error, "a CSV file", "Write the file again.");
        let header = reader.headers().map_err(broken)?.clone();
        let rows = reader.records().collect::<csv::Result<Vec<_>>>().map_err(broken)?;
        let columns: Vec<String> = header.iter().map(str::to_owned).collect();
        let table = Self { path, text, columns, rows };
        let mut seen = HashSet::new();
        let numbers: Vec<f64> = header.iter().filter_map(|name| name.parse().ok()).collect();
        let found = if numbers.len() == header.len() || numbers.iter().any(|n| n.fract() != 0.0) {
            "numbers in the first line".to_owned()
        } else if let Some(twice) = table.columns.iter().find(|name| !seen.insert(*name)) {
            format!("the column {twice:?} twice")
        } else if table.rows.is_empty() {
            "no rows below the header".to_owned()
        } else if let Some(row) = table.rows.iter().find(|row| row.len() != header.len()) {
            format!("{} cells in line {}", row.len(), table.line(row))
        } else {
            return Ok(table);
        };
        let expected = format!(
            "a header of {} distinct names, and a cell under each in every row",
            header.len()
        );
        Err(Error::invalid(
            table.path,
            found,
            expected,
            "Mend the file, or write it again with a header.",
        ))
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

    /// `[N, columns]`: the finite numbers in some columns.
    pub fn numbers(&self, columns: &[usize], advice: &str) -> Result<Array2<f64>> {
        let cells = self.rows.iter().flat_map(|row| columns.iter().map(move |&i| (row, i)));
        let parse = |(row, i): (&StringRecord, usize)| match row[i].parse::<f64>() {
            Ok(value) if (value as f32).is_finite() => Ok(value),
            _ => Err(self.cell(row, i, "a finite number", advice)),
        };
        let values = cells.map(parse).collect::<Result<_>>()?;
        Ok(Array2::from_shape_vec((self.rows.len(), columns.len()), values).expect("every cell"))
    }

    /// The task and `[N]` class numbers or values.
    fn target(&self, column: usize, task: Option<TaskKind>) -> Result<(Task, Vec<f64>)> {
        let labels = self.labels(column)?;
        let distinct: BTreeSet<&str> = labels.iter().map(String::as_str).collect();
        let mut names: Vec<&str> = distinct.into_iter().collect();
        let number = |name: &str| name.parse::<f64>().ok();
        let numeric = names.iter().all(|name| number(name).is_some());
        let whole = names.iter().all(|name| number(name).is_some_and(|v| v.fract() == 0.0));
        let few = 2 * names.len() < labels.len() && (!numeric || whole && names.len() <= 20);
        let guess = if few { TaskKind::Classification } else { TaskKind::Regression };
        if task.unwrap_or(guess) == TaskKind::Regression {
            let advice = "Mend the line, or force classification if these are classes.";
            return Ok((Task::Regression, self.numbers(&[column], advice)?.into_iter().collect()));
        }
        if names.len() < 2 {
            return Err(Error::invalid(
                format!("{}, target {:?}", self.path, self.columns[column]),
                format!("only the class {:?}", names[0]),
                "at least two classes",
                "Choose another target, or force regression.",
            ));
        }
        if numeric {
            names.sort_by(|a, b| number(a).partial_cmp(&number(b)).expect("finite"));
        }
        let place: HashMap<&str, usize> = names.iter().copied().zip(0..).collect();
        let y = labels.iter().map(|label| place[label.as_str()] as f64).collect();
        let classes = names.into_iter().map(str::to_owned).collect();
        Ok((Task::Classification { classes }, y))
    }

    /// `[N]`: the target's cells, numbers in one spelling, so that `1` and `1.0` are one class.
    fn labels(&self, column: usize) -> Result<Vec<String>> {
        let label = |row: &StringRecord| match row[column].parse::<f64>() {
            Ok(value) if value.is_finite() => Ok((value + 0.0).to_string()),
            Err(_) if !row[column].is_empty() => Ok(row[column].to_owned()),
            _ => Err(self.cell(row, column, "a target", "Mend or remove the line.")),
        };
        self.rows.iter().map(label).collect()
    }

    fn cell(&self, row: &StringRecord, column: usize, expected: &str, advice: &str) -> Error {
        let what =
            format!("{}, line {}, column {:?}", self.path, self.line(row), self.columns[column]);
        Error::invalid(what, format!("{:?}", &row[column]), expected, advice)
    }

    /// Counted here, since the position of a record includes the line ends before it.
    fn line(&self, row: &StringRecord) -> usize {
        let text = self.text.as_bytes();
        let start = row.position().map_or(0, |position| position.byte() as usize);
        let ends = text[start..].iter().take_while(|byte| b"\r\n".contains(byte)).count();
        line(text, start + ends)
    }
}

fn line(text: &[u8], at: usize) -> usize {
    1 + text[..at].iter().filter(|&&byte| byte == b'\n').count()
}
