//! Targets of a file in any format: names of classes, or real values.
use super::dataset::{Task, TaskKind};
use crate::error::{Error, Result};
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

/// If all targets are numbers and more than this many are distinct, they are guessed to be the
/// values of a regression.
const CLASSES: usize = 20;

/// Targets in the order of their rows.
pub(super) struct Targets {
    /// Name of the targets in messages.
    pub what: String,
    /// The text of each target, `[N]`. Targets with equal texts are one class.
    pub labels: Vec<String>,
    /// The values `[N]`, or the place and the text of the first target that is not a finite number.
    pub values: std::result::Result<Vec<f64>, (String, String)>,
}

/// A task and its targets.
pub(super) struct Chosen {
    pub task: Task,
    /// Class indices or values `[N]`.
    pub y: Vec<f64>,
    /// A note for the user if the task was guessed and all targets are numbers, which could be
    /// labels of classes as well as values of a regression; otherwise `None`.
    pub guess: Option<String>,
}

impl Targets {
    /// Appends the targets of another file or array.
    pub fn extend(&mut self, other: Self) {
        self.labels.extend(other.labels);
        match (&mut self.values, other.values) {
            (Ok(own), Ok(other)) => own.extend(other),
            (values @ Ok(_), Err(first)) => *values = Err(first),
            (Err(_), _) => {}
        }
    }

    /// The targets as classes or as values, according to `task`. If it is `None`, the task is
    /// guessed: classification if the number of distinct targets is less than half the number of
    /// rows and, if all targets are numbers, at most [`CLASSES`]; otherwise regression.
    ///
    /// # Errors
    /// If a target of a regression is not a finite number, or a classification has only one class.
    pub fn choose(self, task: Option<TaskKind>) -> Result<Chosen> {
        let distinct: BTreeSet<&str> = self.labels.iter().map(String::as_str).collect();
        let (count, numeric) = (distinct.len(), self.values.is_ok());
        let is_few = 2 * count < self.labels.len() && (!numeric || count <= CLASSES);
        let guess = if is_few { TaskKind::Classification } else { TaskKind::Regression };
        let (rows, what) = (self.labels.len(), &self.what);
        let note = |guess, other| {
            let count = format!("{count} distinct values in {rows} rows");
            (task.is_none() && numeric)
                .then(|| format!("{what}, {count}: {guess}, unless --task {other}"))
        };
        if task.unwrap_or(guess) == TaskKind::Regression {
            let y = self.values.map_err(|(place, found)| {
                let advice = "Correct the line, or force classification if these are classes.";
                Error::invalid(place, found, "a finite number", advice)
            })?;
            let guess = note("regression", "classification");
            return Ok(Chosen { task: Task::Regression, y, guess });
        }
        let mut names: Vec<&str> = distinct.into_iter().collect();
        if names.len() < 2 {
            return Err(Error::invalid(
                what,
                format!("only the class {:?}", names[0]),
                "at least two classes",
                "Choose another target, or force regression.",
            ));
        }
        names.sort_by(|a, b| order(a, b));
        let index: HashMap<&str, usize> = names.iter().copied().zip(0..).collect();
        let y = self.labels.iter().map(|label| index[label.as_str()] as f64).collect();
        let classes = names.into_iter().map(str::to_owned).collect();
        let guess = note("classification", "regression");
        Ok(Chosen { task: Task::Classification { classes }, y, guess })
    }
}

/// Orders numbers by value, and before all words. Words, and numbers of equal value such as `1` and
/// `1.0`, are ordered by their text.
fn order(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) => x.total_cmp(&y).then_with(|| a.cmp(b)),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}
