//! The UCI regression sets in the splits of Gal and Ghahramani, "Dropout as a Bayesian
//! approximation", ICML 2016.
use super::dataset::{Dataset, Options, Task, TaskKind};
use super::examples::Examples;
use super::files;
use super::preprocess::Preprocess;
use super::sources::{self, Set};
use super::target::Chosen;
use crate::error::{Error, Result};
use ndarray::{Array2, Axis};
use std::path::Path;

/// A standard split of the UCI regression set `name`, such as `yacht`: 90 % of the rows to train
/// and 10 % to test. The last fifth of the rows to train is kept for validation; features and
/// target are standardised by their means and standard deviations over the other four fifths.
/// `split` counts from 0: see [`uci_splits`].
///
/// # Errors
/// If there is no such set or split, or its files are missing ([`Error::Missing`]) or differ from
/// the published ones.
pub fn uci(name: &str, split: usize, data_dir: Option<&Path>) -> Result<Dataset> {
    load(&format!("uci/{name}/{split}"), &Options::default(), data_dir)
}

/// Number of standard splits of a UCI set: 20, or 5 for `protein-tertiary-structure`.
///
/// # Errors
/// If there is no such set.
pub fn uci_splits(name: &str) -> Result<usize> {
    Ok(splits(&find(&format!("uci/{name}"))?.0))
}

fn splits(set: &Set) -> usize {
    set.files.iter().filter(|file| file.name.starts_with("index_train_")).count()
}

/// The set and the split named by `uci/NAME` (the first split) or `uci/NAME/SPLIT`.
fn find(source: &str) -> Result<(Set, usize)> {
    let (name, split) = match source.rsplit_once('/') {
        Some((name, split)) if name != "uci" => (name, split),
        _ => (source, "0"),
    };
    let mut sets = sources::select("uci")?;
    let Some(at) = sets.iter().position(|set| set.name == name) else {
        let names: Vec<&str> = sets.iter().map(|set| set.name).collect();
        let expected = format!("one of {}", names.join(", "));
        let advice = "Choose one of these names.";
        return Err(Error::invalid("data set", format!("{source:?}"), expected, advice));
    };
    let set = sets.swap_remove(at);
    match split.parse().ok().filter(|&split: &usize| split < splits(&set)) {
        Some(split) => Ok((set, split)),
        None => Err(Error::invalid(
            format!("split of {name}"),
            format!("{split:?}"),
            format!("0 to {}", splits(&set) - 1),
            "Choose one of these, or leave it out for the first.",
        )),
    }
}

/// Loads `uci/NAME` or `uci/NAME/SPLIT`.
pub(super) fn load(source: &str, options: &Options, data_dir: Option<&Path>) -> Result<Dataset> {
    let (set, split) = find(source)?;
    if options.task == Some(TaskKind::Classification) {
        let expected = format!("regression, the task of {}", set.name);
        return Err(Error::invalid("task", "classification", expected, "Leave the task out."));
    }
    divide(source, split, options, |name| {
        let (what, bytes) = set.read(name, data_dir)?;
        Table::parse(what, &bytes)
    })
}

/// Selects rows and columns by the index files of a split.
fn divide(
    source: &str,
    split: usize,
    options: &Options,
    read: impl Fn(&str) -> Result<Table>,
) -> Result<Dataset> {
    let table = read("data.txt")?;
    let [rows, columns] = [table.cells.nrows(), table.cells.ncols()];
    let features = read("index_features.txt")?.indices(columns)?;
    let target = read("index_target.txt")?.indices(columns)?[0];
    let mut train = read(&format!("index_train_{split}.txt"))?.indices(rows)?;
    let held_out = read(&format!("index_test_{split}.txt"))?;
    let test = held_out.indices(rows)?;
    if let Some(both) = test.iter().find(|row| train.contains(row)) {
        return Err(held_out.not_distinct(format!("row {both}, which is also for training")));
    }
    let validation = train.split_off(train.len() * 4 / 5);
    train.truncate(options.keep(train.len())?);
    let x = table.cells.select(Axis(1), &features);
    let (x, preprocess) = Preprocess::fit_transform(&table.what, &x, &train)?;
    let y = table.cells.column(target).to_vec();
    let examples = Examples {
        what: &table.what,
        name: source.replace('/', "-"),
        image: None,
        x,
        chosen: Chosen { task: Task::Regression, y, guess: None },
        notes: vec![],
        preprocess,
    };
    // The contents of a published set are known, so notes on constant features would not help.
    Ok(Dataset { notes: vec![], ..examples.split(&[train, validation, test])? })
}

/// A file of numbers separated by white space.
struct Table {
    what: String,
    cells: Array2<f64>,
}

impl Table {
    fn parse(what: String, bytes: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(bytes);
        let mut cells = vec![];
        let mut rows = 0;
        let invalid = |found: String, expected| damaged(&what, found, expected);
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let before = cells.len();
            for word in line.split_whitespace() {
                let value = word.parse().ok().filter(|value: &f64| value.is_finite());
                let found = || format!("{word:?} in line {}", number + 1);
                cells.push(value.ok_or_else(|| invalid(found(), "finite numbers"))?);
            }
            rows += 1;
            if (cells.len() - before) * rows != cells.len() {
                let found = format!("another number of columns in line {}", number + 1);
                return Err(invalid(found, "equally many in each line"));
            }
        }
        if rows == 0 {
            return Err(invalid("no numbers".into(), "at least one line"));
        }
        let shape = (rows, cells.len() / rows);
        Ok(Self { what, cells: Array2::from_shape_vec(shape, cells).expect("all cells") })
    }

    /// The cells as indices, which must be distinct and less than `count`.
    fn indices(&self, count: usize) -> Result<Vec<usize>> {
        let mut seen = vec![false; count];
        let index = |&value: &f64| match value as usize {
            index if index as f64 != value || index >= count => {
                let expected = format!("whole numbers from 0 to {}", count - 1);
                Err(damaged(&self.what, value, &expected))
            }
            index if std::mem::replace(&mut seen[index], true) => {
                Err(self.not_distinct(format!("{index} twice")))
            }
            index => Ok(index),
        };
        self.cells.iter().map(index).collect()
    }

    fn not_distinct(&self, found: String) -> Error {
        damaged(&self.what, found, "each number once")
    }
}

fn damaged(what: &str, found: impl ToString, expected: &str) -> Error {
    Error::invalid(what, found, expected, files::fetch_again("uci"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;

    /// A data set of 20 rows with two features, one of them constant, and a target. `changed` gives
    /// names of files and the texts that replace theirs.
    fn with(changed: &[(&str, &str)]) -> Result<Dataset> {
        let list =
            |rows: std::ops::Range<usize>| rows.map(|i| format!("{i}\n")).collect::<String>();
        let line = |i: usize| format!(" {i}.0\t{} 7e0\n", 10 * i);
        let files = [
            ("data.txt", (0..20).map(line).collect::<String>() + "\n"),
            ("index_features.txt", "0 2".into()),
            ("index_target.txt", "1\n".into()),
            ("index_train_3.txt", list(2..20)),
            ("index_test_3.txt", list(0..2)),
        ];
        divide("uci/small/3", 3, &Options::default(), |name| {
            let own = files.iter().map(|(name, text)| (*name, text.as_str()));
            let mut all = changed.iter().copied().chain(own);
            let (name, text) = all.find(|file| file.0 == name).expect("such a file");
            Table::parse(format!("small/{name}"), text.as_bytes())
        })
    }

    #[test]
    fn index_files_select_rows_and_training_rows_set_the_scale() {
        let data = with(&[]).unwrap();
        assert_eq!(data.name, "uci-small-3");
        assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [14, 4, 2]);
        // 2 to 15 are for training: mean 8.5, variance (14² − 1)/12.
        let std = (195_f64 / 12.).sqrt();
        let scale = data.preprocess.x.clone().unwrap();
        assert_eq!((scale.mean, scale.std[1]), (vec![8.5, 7.], 1.));
        assert!((scale.std[0] - std).abs() < 1e-12);
        let first = ((0. - 8.5) / std) as f32;
        assert_eq!((data.test.x[[0, 0]], data.test.x[[0, 1]]), (first, 0.));
        assert_eq!(data.preprocess.in_units(0.), 85.);
        let Targets::Values(y) = data.validation.y else { panic!("classes") };
        assert!((data.preprocess.in_units(y[0].into()) - 160.).abs() < 1e-4);
    }

    #[test]
    fn errors_name_the_file_and_the_fault() {
        let cases: [(&str, &str, &str); 12] = [
            ("data.txt", "", "no numbers"),
            ("data.txt", "1 2 3\n4 five 6\n", "\"five\" in line 2"),
            ("data.txt", "1 2 3\n\n4 NaN 6\n", "\"NaN\" in line 3"),
            ("data.txt", "1 2 3\n4 1e999 6\n", "\"1e999\" in line 2"),
            ("data.txt", "1 2 3\n4 5\n", "columns in line 2"),
            ("index_features.txt", "0 3\n", "found 3, expected whole numbers from 0 to 2"),
            ("index_target.txt", "-1", "found -1"),
            ("index_train_3.txt", "2\n2.5\n", "found 2.5"),
            (
                "index_train_3.txt",
                "2\n99999999999999999999\n",
                "expected whole numbers from 0 to 19",
            ),
            ("index_train_3.txt", "2\n3\n2\n", "2 twice"),
            ("index_test_3.txt", "0\n1\n2\n", "row 2, which is also for training"),
            ("index_test_3.txt", "\u{0}\u{fffd}", "in line 1"),
        ];
        for (file, text, part) in cases {
            let error = with(&[(file, text)]).unwrap_err().to_string();
            for part in [part, file, "bhn data fetch uci"] {
                assert!(error.contains(part), "{part:?} is not in: {error}");
            }
        }
    }
}
