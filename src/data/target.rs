//! Targets of a file, whatever its container: names of classes, or real values.
use super::preprocess::moments;
use super::{Task, TaskKind};
use crate::error::{Error, Result};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// More distinct numbers than this are values.
const CLASSES: usize = 20;

/// Spellings of a value that is missing: those of pandas, and `?` of UCI's files.
const MISSING: [&str; 18] = [
    "", "?", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NULL", "Null", "null", "None", "none",
    "NaN", "nan", "NAN", "-NaN", "-nan",
];

/// Whether a cell says that there is no value.
pub(super) fn is_missing(cell: &str) -> bool {
    MISSING.contains(&cell)
}

/// Targets in the order of their rows.
pub(super) struct Targets {
    /// What they are called in messages.
    pub what: String,
    /// `[N]`: the text of each. Two targets are one class if their texts are equal.
    pub labels: Vec<String>,
    /// `[N]`: the number in each, or the first row that has none and where it is.
    pub values: std::result::Result<Vec<f64>, (String, String)>,
}

/// A task, the class number or value of each row, and how the task was guessed.
pub(super) struct Chosen {
    pub task: Task,
    pub y: Vec<f64>,
    pub guess: Option<String>,
}

impl Targets {
    /// Classes if there are fewer than half as many distinct targets as rows, and at most
    /// [`CLASSES`] or not all of them numbers; unless `task` says what they are.
    pub fn choose(self, task: Option<TaskKind>) -> Result<Chosen> {
        let mut distinct: BTreeMap<&str, usize> =
            self.labels.iter().map(|label| (label.as_str(), 0)).collect();
        let (count, numeric) = (distinct.len(), self.values.is_ok());
        let is_few = 2 * count < self.labels.len() && (!numeric || count <= CLASSES);
        let guess = if is_few { TaskKind::Classification } else { TaskKind::Regression };
        let (rows, what) = (self.labels.len(), &self.what);
        let said = |guess, other| {
            let count = format!("{count} distinct values in {rows} rows");
            (task.is_none() && numeric)
                .then(|| format!("{what}, {count}: {guess}, unless --task {other}"))
        };
        if task.unwrap_or(guess) == TaskKind::Regression {
            let y = self.values.map_err(|(place, found)| {
                let advice = "Mend the line, or force classification if these are classes.";
                Error::invalid(place, found, "a finite number", advice)
            })?;
            let guess = said("regression", "classification");
            return Ok(Chosen { task: Task::Regression, y, guess });
        }
        let mut names: Vec<&str> = distinct.keys().copied().collect();
        if names.len() < 2 {
            return Err(Error::invalid(
                what,
                format!("only the class {:?}", names[0]),
                "at least two classes",
                "Choose another target, or force regression.",
            ));
        }
        names.sort_by(|a, b| order(a, b));
        names.iter().zip(0..).for_each(|(name, class)| {
            distinct.insert(name, class);
        });
        let y = self.labels.iter().map(|label| distinct[label.as_str()] as f64).collect();
        let classes = names.into_iter().map(str::to_owned).collect();
        let guess = said("classification", "regression");
        Ok(Chosen { task: Task::Classification { classes }, y, guess })
    }
}

/// Numbers by size and before words, equal numbers and words by their text.
fn order(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

/// `(mean, std)` of the training targets of a regression; a constant has a deviation of 1.
pub(super) fn scale(task: &Task, y: &[f64], train: &[usize]) -> Option<(f64, f64)> {
    let moments = || moments(train.iter().map(|&row| y[row]));
    (*task == Task::Regression).then(moments)
}
