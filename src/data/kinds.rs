//! The kind of each column of a table, recognised from its cells, and the encoding that is fitted
//! to the training rows.
use super::columns::{Encoding, is_missing, number};
use super::table::{NUMBER, Row, Table};
use crate::error::{Error, Result};
use std::collections::{BTreeSet, HashSet};

/// The maximum number of levels of a column of categories.
const LEVELS: usize = 50;

/// The kind of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// All values are numbers.
    Number {
        /// Whether they are written with a decimal comma.
        decimal_comma: bool,
    },
    /// Words, or words and numbers.
    Words,
    /// The column has no inputs, for this reason.
    LeftOut(String),
}

impl Kind {
    /// Recognises the kind of a column from all of its cells that have a value:
    ///
    /// * all are numbers: a number;
    /// * at least 90 % are numbers: an error, since the others seem to be mistakes;
    /// * at least 90 % are dates: an error;
    /// * there are more than 50 different words, or half as many as rows: left out, since it
    ///   identifies rows or is free text;
    /// * otherwise words.
    ///
    /// # Errors
    /// Names the line of the first mistake, or of the first number with another decimal separator
    /// than the others.
    pub fn of(table: &Table<'_>, column: usize) -> Result<Self> {
        let (name, comma) = (&table.columns[column], table.decimal_comma);
        let values = || table.rows.iter().filter(|row| !is_missing(&row.cells[column]));
        let is_number = |row: &&Row| number(&row.cells[column], comma).is_some();
        let all = values().count();
        if all == 0 {
            return Ok(Self::LeftOut("no values".into()));
        }
        let leave_out = format!("or leave the column out: --drop {name:?}");
        let numbers = values().filter(is_number).count();
        if numbers == all {
            return decimals(table, column, &leave_out);
        }
        if 10 * numbers >= 9 * all
            && let Some(row) = values().find(|row| !is_number(row))
        {
            let advice = format!("Correct the line, {leave_out}");
            return Err(table.refused(row, column, NUMBER, &advice));
        }
        let dates = values().filter(|row| is_date(&row.cells[column]));
        if 10 * dates.count() >= 9 * all
            && let Some(row) = values().find(|row| is_date(&row.cells[column]))
        {
            let found = format!("the date {:?}", &row.cells[column]);
            let expected = "a number or a category";
            let advice = format!("Write dates as numbers, such as days, {leave_out}.");
            return Err(Error::invalid(table.place(row, column), found, expected, advice));
        }
        let words: HashSet<&str> = values().map(|row| &row.cells[column]).collect();
        let (words, rows) = (words.len(), table.rows.len());
        Ok(match words > LEVELS || 2 * words >= rows {
            true => Self::LeftOut(format!("{words} different words in {rows} rows")),
            false => Self::Words,
        })
    }

    /// The encoding of a column, fitted to the `cells` of the training rows. `refuse` tells whether
    /// a missing value is an error.
    pub fn fit<'c>(self, cells: impl Iterator<Item = &'c str> + Clone, refuse: bool) -> Encoding {
        let missing = cells.clone().filter(|cell| is_missing(cell)).count();
        let values = cells.filter(|cell| !is_missing(cell));
        match self {
            Self::Number { decimal_comma } => {
                let values = values.filter_map(|cell| number(cell, decimal_comma)).collect();
                let median = (!refuse).then(|| median(values));
                Encoding::Number { median, missing, decimal_comma }
            }
            Self::Words => {
                let levels = values.collect::<BTreeSet<_>>().into_iter().map(str::to_owned);
                let levels = levels.collect();
                Encoding::Categories { levels, missing: (!refuse).then_some(missing) }
            }
            Self::LeftOut(why) => Encoding::LeftOut { why },
        }
    }
}

/// The kind of a column of numbers: some have a decimal comma, or none has.
fn decimals(table: &Table<'_>, column: usize, leave_out: &str) -> Result<Kind> {
    let mut rows = table.rows.iter();
    let has = |row: &Row, separator| row.cells[column].contains(separator);
    let Some(comma) = rows.find(|row| has(row, ',')) else {
        return Ok(Kind::Number { decimal_comma: false });
    };
    match table.rows.iter().find(|row| has(row, '.')) {
        None => Ok(Kind::Number { decimal_comma: true }),
        Some(point) => {
            let place = table.place(point, column);
            let found = format!("the decimal point of {:?}", &point.cells[column]);
            let comma = format!("{:?} in line {}", &comma.cells[column], comma.line);
            let expected = format!("decimal commas alone, as in {comma}");
            let advice = format!("Write all of them in one way, {leave_out}.");
            Err(Error::invalid(place, found, expected, advice))
        }
    }
}

/// The median; 0 if there are no values, as the column is then constant and ignored.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => 0.,
        (half, 0) => values[half - 1] / 2. + values[half] / 2.,
        (half, _) => values[half],
    }
}

/// Whether a cell is a date such as `2020-01-31`, `31.12.2020` or `12/31/2020`, perhaps with a time
/// after a space or a `T`.
fn is_date(cell: &str) -> bool {
    let (date, time) = cell.split_once([' ', 'T']).unwrap_or((cell, ""));
    let parts = |separator: char| -> Vec<usize> {
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> = date.split(separator).collect();
        match parts.iter().all(|part| digits(part)) {
            true => parts.iter().map(|part| part.len()).collect(),
            false => vec![],
        }
    };
    let fits = |separator| matches!(*parts(separator), [4, 1 | 2, 1 | 2] | [1 | 2, 1 | 2, 4]);
    ['-', '/', '.'].into_iter().any(fits) && (time.is_empty() || time.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(median(vec![3., 1., 2.]), 2.);
        assert_eq!(median(vec![4., 1., 3., 2.]), 2.5);
        assert_eq!(median(vec![f64::MAX, f64::MAX]), f64::MAX);
        assert_eq!(median(vec![]), 0.);
    }

    #[test]
    fn dates_are_recognised() {
        for date in ["2020-01-31", "31.12.2020", "12/31/2020", "2020-1-3T10:30:00Z"] {
            assert!(is_date(date), "{date}");
        }
        for word in ["2020-01", "1.2.3", "10:30", "2020-01-31 late", "a-b-2020", "192.168.1.1"] {
            assert!(!is_date(word), "{word}");
        }
    }
}
