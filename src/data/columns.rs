//! The columns of a table, and the inputs that each of them becomes.
use crate::error::list;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Spellings of a missing value: common ones that pandas recognises, other capitalisations of
/// these, and `?`, as in UCI's files.
const MISSING: [&str; 18] = [
    "", "?", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NULL", "Null", "null", "None", "none",
    "NaN", "nan", "NAN", "-NaN", "-nan",
];

/// Whether a cell marks a missing value.
pub(super) fn is_missing(cell: &str) -> bool {
    MISSING.contains(&cell)
}

/// A column of the table that a model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The name in the header.
    pub name: String,
    /// The inputs that it becomes.
    pub encoding: Encoding,
}

/// How the cells of a column become inputs, before these are standardised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// The value and, if values are `missing` in the training rows, an indicator: 1 where the value
    /// is missing, otherwise 0.
    Number {
        /// Median of the training rows, which replaces a missing value; `None` if a missing value
        /// is refused.
        median: Option<f64>,
        /// Number of training rows without a value.
        missing: usize,
        /// Whether training cells were written with a decimal comma, as `3,14`.
        decimal_comma: bool,
    },
    /// One input per level: 1 for the level of the cell, otherwise 0. An unseen level gives zeros.
    Categories {
        /// The levels that occur in the training rows, sorted.
        levels: Vec<String>,
        /// Number of training rows without a value: if there are any, "missing" is one more level,
        /// otherwise a missing value gives zeros. `None` if a missing value is refused.
        missing: Option<usize>,
    },
    /// No input.
    LeftOut {
        /// The reason.
        why: String,
    },
}

/// What replaced a cell by inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// Its own value.
    Known,
    /// The cell has no value.
    Missing,
    /// The value is none of the levels.
    Unseen,
}

/// Cells of a file that have no value of their own for the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Number of such cells.
    pub cells: usize,
    /// The place and the text of the first.
    pub first: String,
}

impl Column {
    /// A column of numbers without missing values.
    pub(super) fn number(name: &str) -> Self {
        let encoding = Encoding::Number { median: None, missing: 0, decimal_comma: false };
        Self { name: name.to_owned(), encoding }
    }

    /// Names of the inputs: `NAME` and `NAME missing`, or `NAME=LEVEL` for each level.
    pub(super) fn inputs(&self) -> Vec<String> {
        let Self { name, encoding } = self;
        let mut names = match encoding {
            Encoding::Number { .. } => vec![name.clone()],
            Encoding::Categories { levels, .. } => {
                levels.iter().map(|level| format!("{name}={level}")).collect()
            }
            Encoding::LeftOut { .. } => vec![],
        };
        if encoding.has_indicator() {
            names.push(format!("{name} missing"));
        }
        names
    }
}

impl Encoding {
    /// Number of inputs.
    pub(super) fn width(&self) -> usize {
        let own = match self {
            Self::Number { .. } => 1,
            Self::Categories { levels, .. } => levels.len(),
            Self::LeftOut { .. } => 0,
        };
        own + usize::from(self.has_indicator())
    }

    /// Whether the last input tells that the value is missing.
    fn has_indicator(&self) -> bool {
        match self {
            Self::Number { missing, .. } | Self::Categories { missing: Some(missing), .. } => {
                *missing > 0
            }
            Self::Categories { missing: None, .. } | Self::LeftOut { .. } => false,
        }
    }

    /// Appends the inputs of a cell to `inputs`; `None` if the column cannot have such a cell.
    /// `decimal_comma` tells whether numbers of the file may have one.
    pub(super) fn encode(
        &self,
        cell: &str,
        decimal_comma: bool,
        inputs: &mut Vec<f64>,
    ) -> Option<Cell> {
        let one_if = |is: bool| f64::from(u8::from(is));
        let found = match self {
            Self::Number { median, .. } => match number(cell, decimal_comma) {
                Some(value) => {
                    inputs.push(value);
                    Cell::Known
                }
                None => {
                    inputs.push(median.filter(|_| is_missing(cell))?);
                    Cell::Missing
                }
            },
            Self::Categories { levels, missing } => {
                let level = levels.iter().position(|level| level == cell);
                inputs.extend((0..levels.len()).map(|i| one_if(level == Some(i))));
                match (level, is_missing(cell)) {
                    (None, true) => missing.map(|_| Cell::Missing)?,
                    (None, false) => Cell::Unseen,
                    (Some(_), _) => Cell::Known,
                }
            }
            Self::LeftOut { .. } => Cell::Known,
        };
        if self.has_indicator() {
            inputs.push(one_if(found == Cell::Missing));
        }
        Some(found)
    }
}

impl fmt::Display for Encoding {
    /// For the user: the kind of the column, and what happens to its missing values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { median, missing, decimal_comma } => {
                f.write_str(if *decimal_comma { "number, decimal comma" } else { "number" })?;
                match median {
                    Some(median) if *missing > 0 => {
                        write!(f, ", {missing} missing → median {median} + indicator")
                    }
                    _ => Ok(()),
                }
            }
            Self::Categories { levels, missing } => {
                let names = levels.iter().cloned();
                let missing = missing.filter(|&missing| missing > 0);
                let count = levels.len() + usize::from(missing.is_some());
                let noun = if count == 1 { "category" } else { "categories" };
                let names = list(names.chain(missing.map(|n| format!("missing ({n})"))));
                write!(f, "{count} {noun}: {names}")
            }
            Self::LeftOut { why } => write!(f, "left out: {why}"),
        }
    }
}

impl Replaced {
    /// The cells of `self` and `next`, which come after them.
    pub(super) fn chain(this: Option<Self>, next: Option<Self>) -> Option<Self> {
        match (this, next) {
            (Some(this), Some(next)) => Some(Self { cells: this.cells + next.cells, ..this }),
            (this, next) => this.or(next),
        }
    }
}

/// Parses a cell as a finite number. If `decimal_comma`, the point may be a comma.
pub(super) fn number(cell: &str, decimal_comma: bool) -> Option<f64> {
    let finite = |text: &str| text.parse().ok().filter(|value: &f64| value.is_finite());
    finite(cell).or_else(|| {
        let (whole, fraction) = cell.split_once(',').filter(|_| decimal_comma)?;
        finite(&format!("{whole}.{fraction}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(encoding: &Encoding, cell: &str) -> Option<(Vec<f64>, Cell)> {
        let mut inputs = vec![];
        encoding.encode(cell, false, &mut inputs).map(|found| (inputs, found))
    }

    #[test]
    fn numbers_have_median_and_indicator() {
        let with = Encoding::Number { median: Some(2.5), missing: 3, decimal_comma: false };
        assert_eq!(encoded(&with, "7"), Some((vec![7., 0.], Cell::Known)));
        assert_eq!(encoded(&with, "NA"), Some((vec![2.5, 1.], Cell::Missing)));
        assert_eq!(encoded(&with, "seven"), None);
        assert_eq!(with.to_string(), "number, 3 missing → median 2.5 + indicator");
        let without = Encoding::Number { median: Some(2.5), missing: 0, decimal_comma: false };
        assert_eq!(encoded(&without, ""), Some((vec![2.5], Cell::Missing)));
        assert_eq!(encoded(&Column::number("x").encoding, ""), None);
    }

    #[test]
    fn categories_are_one_hot() {
        let levels = ["a", "b"].map(String::from).to_vec();
        let of = |missing| Encoding::Categories { levels: levels.clone(), missing };
        assert_eq!(encoded(&of(Some(1)), "b"), Some((vec![0., 1., 0.], Cell::Known)));
        assert_eq!(encoded(&of(Some(1)), "?"), Some((vec![0., 0., 1.], Cell::Missing)));
        assert_eq!(encoded(&of(Some(0)), "?"), Some((vec![0., 0.], Cell::Missing)));
        assert_eq!(encoded(&of(Some(0)), "c"), Some((vec![0., 0.], Cell::Unseen)));
        assert_eq!(encoded(&of(None), "?"), None);
        assert_eq!(of(Some(1)).to_string(), "3 categories: a, b, missing (1)");
        let column = Column { name: "x".into(), encoding: of(Some(1)) };
        assert_eq!(column.inputs(), ["x=a", "x=b", "x missing"]);
        assert_eq!(column.encoding.width(), 3);
    }

    #[test]
    fn decimal_commas_are_numbers_where_they_are_allowed() {
        assert_eq!(number("-3,25", true), Some(-3.25));
        assert_eq!(number("3,25", false), None);
        for cell in ["1.234,5", "1,234,5", "1,2.5", "a,5", "inf", "1e999"] {
            assert_eq!(number(cell, true), None, "{cell}");
        }
    }
}
