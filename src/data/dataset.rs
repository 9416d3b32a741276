//! A data set that is ready for a network, its comparison with the data of a run, and the options
//! that it is loaded with.
use super::files;
use super::preprocess::Preprocess;
use super::scaler::StandardScaler;
use crate::bayes::Targets;
use crate::error::{Error, Result};
use crate::primary::Shape;
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// A task and its examples.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Name of the set, such as `mnist` or `uci-yacht`, or of the file without its extension.
    pub name: String,
    /// Classification or regression: [`Options::task`], or guessed from the targets.
    pub task: Task,
    /// `[C, H, W]` if each row of `x` is an image.
    pub image: Option<[usize; 3]>,
    /// The transformation from raw values to `x` and `y`.
    pub preprocess: Preprocess,
    /// Notes for the user: how many rows were left out, how the task was guessed, and which
    /// features are ignored.
    pub notes: Vec<String>,
    /// Training examples.
    pub train: Split,
    /// Validation examples, for the choice of a model.
    pub validation: Split,
    /// Test examples, for the final scores.
    pub test: Split,
}

impl Dataset {
    /// The shape of a network's input.
    pub fn shape(&self) -> Shape {
        Shape::of(self.preprocess.inputs, self.image)
    }

    /// SHA-256 of all inputs and targets of the three splits, in order. A run stores it, so that a
    /// file that has changed is detected before training is resumed or a model evaluated.
    #[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for Split { x, y } in [&self.train, &self.validation, &self.test] {
            hash.update(bytemuck::cast_slice(x.as_slice().expect("row-major")));
            match y {
                Targets::Classes(y) => {
                    y.iter().for_each(|&y| hash.update((y as u64).to_le_bytes()))
                }
                Targets::Values(y) => hash.update(bytemuck::cast_slice(y)),
            }
        }
        files::hex(&hash.finalize())
    }

    /// The first property that differs from the data of a run, as `(found, expected)`; `None` if
    /// there is none. The properties are those that can differ while the network's inputs and
    /// targets are equal: names of classes and columns, and units.
    pub(crate) fn difference(
        &self,
        task: &Task,
        preprocess: &Preprocess,
    ) -> Option<(String, String)> {
        let [found, expected] =
            [(&self.task, &self.preprocess), (task, preprocess)].map(|(t, p)| properties(t, p));
        let differ = |(found, expected): &(String, String)| found != expected;
        found.into_iter().zip(expected).find(differ).map(around_difference)
    }
}

/// Two different texts from shortly before their first difference on, if that is far from their
/// beginning: a long list would be cut before it.
fn around_difference((a, b): (String, String)) -> (String, String) {
    const BEFORE: usize = 100;
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    if same < 2 * BEFORE {
        return (a, b);
    }
    let rest = |text: String| text.chars().skip(same - BEFORE).collect::<String>();
    (format!("… {}", rest(a)), format!("… {}", rest(b)))
}

/// All properties in which two data sets with the same numbers can differ, the most informative
/// first.
fn properties(task: &Task, preprocess: &Preprocess) -> Vec<String> {
    let Preprocess { x, y, columns, target, seen, .. } = preprocess;
    let task = match task {
        Task::Classification { classes } => format!("the classes {classes:?}"),
        Task::Regression => "regression".into(),
    };
    let (names, target) = (columns.as_deref().unwrap_or_default(), target.as_deref());
    let (mean, std) = y.unwrap_or((0., 1.));
    let mut all = vec![
        task,
        format!("the columns {names:?} and the target {:?}", target.unwrap_or_default()),
        format!("targets of mean {mean} and standard deviation {std}"),
    ];
    match x {
        None => all.push("features as they are".into()),
        Some(StandardScaler { mean, std, constant }) => {
            all.extend(mean.iter().zip(std).enumerate().map(|(i, (mean, std))| {
                let name = names.get(i).map_or(i.to_string(), String::clone);
                format!("the feature {name} with mean {mean} and standard deviation {std}")
            }));
            all.push(format!("the constant features {constant:?}"));
        }
    }
    all.push(seen.as_ref().map_or("no range of training values".into(), |range| {
        let unit = if range.bytes { " / 255" } else { "" };
        format!("training values{unit} from {:?} to {:?}", range.low, range.high)
    }));
    all
}

/// Inputs and targets of `N` examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Inputs `[N, inputs]`, row-major.
    pub x: Array2<f32>,
    /// Targets `[N]`.
    pub y: Targets,
}

impl Split {
    /// Number of examples `N`.
    pub fn len(&self) -> usize {
        self.x.nrows()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `n` examples.
    ///
    /// # Panics
    /// If `n` exceeds the number of examples.
    pub fn subset(&self, n: usize) -> Self {
        let (x, y) = self.batch(&(0..n).collect::<Vec<_>>());
        Self { x, y }
    }

    /// The examples at the given indices, in that order: `(x [B, inputs], y [B])`.
    ///
    /// # Panics
    /// If an index is out of bounds.
    pub fn batch(&self, rows: &[usize]) -> (Array2<f32>, Targets) {
        (self.x.select(Axis(0), rows), self.y.select(rows))
    }
}

/// What a model predicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// One of `K` classes.
    Classification {
        /// Names of the classes `0..K`.
        classes: Vec<String>,
    },
    /// A real number.
    Regression,
}

impl Task {
    /// Number of network outputs: `K` for classification, 1 for regression.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classification { classes } => classes.len(),
            Self::Regression => 1,
        }
    }
}

/// The kind of a [`Task`] as a user requests it, before the classes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// Targets are names of classes.
    Classification,
    /// Targets are real numbers.
    Regression,
}

/// What happens to missing values of a file: an empty cell, `NA`, `NaN`, `?`, ….
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "Spelling")]
pub enum Missing {
    /// A row without a target is left out. A missing number becomes the median of the training
    /// rows, with an indicator as one more input; a missing category is a category of its own.
    #[default]
    Impute,
    /// A row with a missing value is left out.
    Drop,
    /// A missing value is an error.
    Refuse,
}

/// A [`Missing`] as it may be spelled in a file.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"impute\", \"drop\" or \"refuse\"")]
enum Spelling {
    Word(Word),
    /// Whether rows are dropped, as in older files.
    Drop(bool),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Impute,
    Drop,
    Refuse,
}

impl From<Spelling> for Missing {
    fn from(spelling: Spelling) -> Self {
        match spelling {
            Spelling::Word(Word::Impute) => Self::Impute,
            Spelling::Word(Word::Drop) | Spelling::Drop(true) => Self::Drop,
            Spelling::Word(Word::Refuse) | Spelling::Drop(false) => Self::Refuse,
        }
    }
}

/// Options of [`load`](super::load()).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Target column of a table; `None` for the last.
    pub target: Option<String>,
    /// The task; `None` to guess it from the targets.
    pub task: Option<TaskKind>,
    /// What happens to the rows of a file that have a missing value.
    pub missing: Missing,
    /// Columns of a table that are left out.
    pub drop: Vec<String>,
    /// The column of a table that tells the part of each row: `train`, `validation` or `test`.
    pub split: Option<String>,
    /// A table of validation rows.
    pub validation: Option<PathBuf>,
    /// A table of test rows.
    pub test: Option<PathBuf>,
    /// Least number of validation rows that are taken from a file, up to a fifth of its rows; 0 for
    /// a tenth of the rows, however few these are.
    pub validation_rows: usize,
    /// Height and width that the pictures of a folder are resampled to; `None` for their own.
    pub size: Option<[usize; 2]>,
    /// Number of training rows to keep, the first ones; `None` for all.
    pub train_subset: Option<usize>,
    /// Seed of the shuffle of a CSV or NPZ file's rows.
    pub seed: u64,
}

impl Options {
    /// Checks that the requested task, if any, is classification.
    pub(super) fn only_classes(&self, source: &str) -> Result<()> {
        if self.task != Some(TaskKind::Regression) {
            return Ok(());
        }
        let expected = format!("classification, the task of {source}");
        Err(Error::invalid("task", "regression", expected, "Leave the task out."))
    }

    /// Checks that no option is set that only a table has, which `source` is not.
    pub(super) fn no_table(&self, source: &str) -> Result<()> {
        let set = [
            ("target column", self.target.is_some()),
            ("columns to drop", !self.drop.is_empty()),
            ("split column", self.split.is_some()),
            ("validation file", self.validation.is_some()),
            ("test file", self.test.is_some()),
        ];
        let Some((what, _)) = set.into_iter().find(|(_, is_set)| *is_set) else { return Ok(()) };
        let expected = "one only for a table, such as a CSV file";
        let advice = "Leave it out; an NPZ file may have x_test and y_test, x_val and y_val.";
        Err(Error::invalid(what, format!("one for {source:?}"), expected, advice))
    }

    /// Checks that the parts of the rows are given in one way.
    pub(super) fn one_split(&self) -> Result<()> {
        let (column, files) =
            (self.split.is_some(), self.validation.as_ref().or(self.test.as_ref()));
        match files.filter(|_| column) {
            None => Ok(()),
            Some(file) => Err(Error::invalid(
                "split",
                format!("a column, and the file {}", file.display()),
                "a column, or files",
                "Leave one of them out.",
            )),
        }
    }

    /// Number of training rows to keep of `available` ones. An error if the requested number is 0
    /// or larger than `available`.
    pub(super) fn keep(&self, available: usize) -> Result<usize> {
        match self.train_subset {
            None => Ok(available),
            Some(n) if (1..=available).contains(&n) => Ok(n),
            Some(n) => Err(Error::invalid(
                "training subset",
                n,
                format!("1 to {available} rows"),
                "Choose fewer rows, or leave the subset out to use all of them.",
            )),
        }
    }
}
