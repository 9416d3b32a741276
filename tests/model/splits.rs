//! Defends: training, validation and test rows are those that a user gives, in files, in a column
//! or in an archive, and those of small tables are enough to choose an epoch by.
use super::arrays::{Npz, labels, pictures};
use super::data::{Folder, classes, fails, ids, table};
use bhn::data::{Missing, Options};
use std::path::PathBuf;

/// Lines of [`table`] from `first` on.
fn part(first: usize, rows: usize) -> String {
    let all = table(first + rows);
    let lines: Vec<_> = all.lines().skip(1 + first).collect();
    format!("id,square,class\n{}\n", lines.join("\n"))
}

#[test]
fn files_give_validation_and_test_rows() {
    let folder = Folder::new();
    let path = |name: &str, text: String| -> Option<PathBuf> { Some(folder.write(name, text)) };
    // Columns in another order, and one more.
    let swap = |text: String| -> String {
        let line = |line: &str| {
            let cells: Vec<_> = line.split(',').collect();
            format!("{};{};{};note\n", cells[2], cells[1], cells[0])
        };
        text.lines().map(line).collect()
    };
    let test = path("test.csv", swap(part(1000, 7)));
    let validation = path("validation.tsv", part(2000, 5).replace(',', "\t"));
    let options = Options { test: test.clone(), ..Options::default() };
    let data = folder.load("t.csv", table(50), &options).unwrap();
    assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [45, 5, 7]);
    assert_eq!(ids(&data, &data.test), (1000..1007).collect::<Vec<_>>());
    let expected: Vec<_> = (1000..1007).map(|id| id % 3).collect();
    assert_eq!(classes(&data.test), expected);
    assert!(
        data.notes.iter().any(|note| note.contains("test.csv: semicolons")),
        "{:?}",
        data.notes
    );
    let options = Options { test, validation, ..Options::default() };
    let data = folder.load("t.csv", table(50), &options).unwrap();
    assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [50, 5, 7]);
    assert_eq!(ids(&data, &data.validation), (2000..2005).collect::<Vec<_>>());
    let mut own = ids(&data, &data.train);
    own.sort_unstable();
    assert_eq!(own, (0..50).collect::<Vec<_>>());
    let before = data.fingerprint();
    folder.write("test.csv", swap(part(1001, 7)));
    assert_ne!(folder.load("t.csv", table(50), &options).unwrap().fingerprint(), before);
    // A fault is reported with the name of its file.
    folder.write("test.csv", part(1000, 7).replace("1003,", "many,"));
    let error = folder.load("t.csv", table(50), &options);
    fails(error, &["test.csv, line 5, column \"id\"", "\"many\"", "finite number"]);
    folder.write("test.csv", "id,class\n1,2\n");
    fails(folder.load("t.csv", table(50), &options), &["test.csv", "also [\"square\"]"]);
    let options = Options { test: Some("t.npz".into()), ..Options::default() };
    fails(folder.load("t.csv", table(50), &options), &["t.npz", "a table"]);
    let options =
        Options { split: Some("part".into()), test: Some("a.csv".into()), ..Options::default() };
    fails(folder.load("t.csv", table(50), &options), &["a column", "a.csv", "Leave one"]);
}

/// [`table`] with a column of parts.
fn with_parts(rows: usize, part: impl Fn(usize) -> &'static str) -> String {
    let text = table(rows);
    let mut lines = text.lines();
    let header = format!("part,{}\n", lines.next().unwrap());
    header + &lines.enumerate().map(|(i, l)| format!("{},{l}\n", part(i))).collect::<String>()
}

#[test]
fn column_tells_the_part_of_each_row() {
    let folder = Folder::new();
    let options = Options { split: Some("part".into()), ..Options::default() };
    let parts = ["train", "Training", "valid", "val", "dev", "validation", "test", "train"];
    let data = folder.load("t.csv", with_parts(80, |i| parts[i % 8]), &options).unwrap();
    assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [30, 40, 10]);
    let of = |keep: &dyn Fn(usize) -> bool| (0..80).filter(|&i| keep(i % 8)).collect::<Vec<_>>();
    assert_eq!(ids(&data, &data.test), of(&|i| i == 6));
    assert_eq!(ids(&data, &data.validation), of(&|i| (2..6).contains(&i)));
    assert_eq!(data.preprocess.columns.unwrap(), ["id", "square"]);
    // Parts that no row has are taken from the training rows.
    let two = with_parts(80, |i| if i < 20 { "test" } else { "train" });
    let data = folder.load("t.csv", two, &options).unwrap();
    assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [54, 6, 20]);
    let bad = with_parts(80, |i| if i == 4 { "holdout" } else { "train" });
    let parts = ["line 6, column \"part\"", "\"holdout\"", "train, validation or test"];
    fails(folder.load("t.csv", bad, &options), &parts);
    fails(folder.load("t.csv", table(20), &options), &["also [\"part\"]"]);
    fails(folder.load("t.csv", with_parts(80, |_| "test"), &options), &["0 rows", "at least 10"]);
}

#[test]
fn archives_may_have_the_names_of_keras() {
    let folder = Folder::new();
    let npz = |names: &[(&str, usize)]| {
        let mut npz = Npz::new();
        for (name, rows) in names {
            npz = npz.with(&format!("x_{name}"), pictures(*rows).into_dyn());
            npz = npz.with(&format!("y_{name}"), labels(*rows).into_dyn());
        }
        npz.bytes()
    };
    let sizes = |bytes: Vec<u8>| {
        let data = folder.load("a.npz", bytes, &Options::default()).unwrap();
        [data.train.len(), data.validation.len(), data.test.len()]
    };
    assert_eq!(sizes(npz(&[("train", 50), ("test", 7)])), [45, 5, 7]);
    assert_eq!(sizes(npz(&[("train", 50)])), [40, 5, 5]);
    for validation in ["val", "valid", "validation"] {
        assert_eq!(sizes(npz(&[("train", 50), (validation, 9), ("test", 7)])), [50, 9, 7]);
    }
    let data = npz(&[("train", 50), ("val", 9), ("test", 7)]);
    let data = folder.load("a.npz", data, &Options::default()).unwrap();
    assert_eq!(data.validation.x, super::arrays::rows(9));
    let error = folder.load("a.npz", npz(&[("test", 7)]), &Options::default());
    fails(error, &["\"x\"", "x_test"]);
}

/// A tenth of a small table would be too few rows to choose an epoch by.
#[test]
fn small_tables_have_enough_validation_rows() {
    let folder = Folder::new();
    let options = Options { validation_rows: 30, ..Options::default() };
    for (rows, validation) in [(10, 2), (100, 20), (149, 29), (178, 30), (299, 30), (310, 31)] {
        let data = folder.load("t.csv", table(rows), &options).unwrap();
        let test = rows / 10;
        let sizes = [data.train.len(), data.validation.len(), data.test.len()];
        assert_eq!(sizes, [rows - validation - test, validation, test]);
        let said = data.notes.iter().any(|note| note.contains("are for validation"));
        assert_eq!(said, validation > rows / 10, "{:?}", data.notes);
    }
}

/// Rows without a target have no part.
#[test]
fn rows_without_a_target_are_left_out_of_every_part() {
    let folder = Folder::new();
    let test = Some(folder.write("test.csv", part(1000, 7).replace("1003,1006009,1", "1003,9,")));
    let text = table(50).replace("\n7,49,1\n", "\n7,49,NA\n");
    let options = Options { test, ..Options::default() };
    let data = folder.load("t.csv", &text, &options).unwrap();
    assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [45, 4, 6]);
    assert!(data.notes.iter().any(|note| note.contains("2 rows without a target left out")));
    let refuse = Options { missing: Missing::Refuse, ..options };
    fails(folder.load("t.csv", &text, &refuse), &["line 9, column \"class\"", "\"NA\""]);
}
