//! Defends: a class is identified by its text, a missing target is not a class, and the guess of
//! the task depends on the distinct values alone.
use crate::npz::NpzWriter;
use bhn::data::{Dataset, Missing, Options, Targets, Task, TaskKind, load};
use ndarray::{Array1, Array2};
use ndarray_npy::WritableElement;
use rstest::rstest;
use std::fs::File;

const N: usize = 60;

fn options(task: Option<TaskKind>, drop_missing: bool) -> Options {
    let missing = if drop_missing { Missing::Drop } else { Missing::Refuse };
    Options { task, missing, ..Options::default() }
}

/// A CSV file whose targets repeat these cells.
fn csv(cells: &[&str], options: &Options) -> Result<Dataset, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let line = |n: usize| format!("{n},\"{}\"\n", cells[n % cells.len()]);
    let body: String = (0..N).map(line).collect();
    std::fs::write(&path, format!("x,y\n{body}")).unwrap();
    load(path.to_str().unwrap(), options, None).map_err(|error| error.to_string())
}

/// An NPZ file whose targets repeat these values.
fn npz<Y: WritableElement + Copy>(y: &[Y], options: &Options) -> Result<Dataset, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.npz");
    let mut npz = NpzWriter::new(File::create(&path).unwrap());
    npz.add_array("x", &Array2::from_shape_fn((N, 1), |(n, _)| n as f64)).unwrap();
    npz.add_array("y", &Array1::from_shape_fn(N, |n| y[n % y.len()])).unwrap();
    npz.finish().unwrap();
    load(path.to_str().unwrap(), options, None).map_err(|error| error.to_string())
}

#[track_caller]
fn names(data: Result<Dataset, String>) -> Vec<String> {
    match data.unwrap().task {
        Task::Classification { classes } => classes,
        Task::Regression => panic!("a regression"),
    }
}

#[rstest]
#[case::long_integers(
    &["1400000000000000002", "1400000000000000001"],
    &["1400000000000000001", "1400000000000000002"]
)]
#[case::postal_codes(&["02139", "2139", "10115"], &["02139", "2139", "10115"])]
#[case::exponent(&["1e3", "1000"], &["1000", "1e3"])]
#[case::versions(&["1.1", "1.10", "1.2"], &["1.1", "1.10", "1.2"])]
#[case::decimals(&["1", "1.0"], &["1", "1.0"])]
#[case::signs(&["+1", "-1", "1"], &["-1", "+1", "1"])]
#[case::whole(&["10", "9", "-1"], &["-1", "9", "10"])]
#[case::words(&["dog", "cat", "Cat"], &["Cat", "cat", "dog"])]
#[case::mixed(&["low", "2", "10"], &["2", "10", "low"])]
#[case::spaces(&[" cat ", "dog"], &["cat", "dog"])]
#[case::booleans(&["true", "false"], &["false", "true"])]
#[case::non_ascii_digits(&["٣", "३"], &["٣", "३"])]
fn a_class_is_identified_by_its_text(#[case] cells: &[&str], #[case] expected: &[&str]) {
    let data = csv(cells, &options(None, false)).unwrap();
    let Targets::Classes(y) = &data.train.y else { panic!("values") };
    let Task::Classification { classes } = &data.task else { panic!("a regression") };
    assert_eq!(classes, expected);
    // Each row has the class of its cell; `x` identifies the row.
    let scale = data.preprocess.x.as_ref().unwrap();
    for (x, &y) in data.train.x.iter().zip(y) {
        let row = (f64::from(*x) * scale.std[0] + scale.mean[0]).round() as usize;
        assert_eq!(classes[y], cells[row % cells.len()].trim());
    }
}

#[test]
fn integer_labels_are_equal_in_every_dtype() {
    let own = options(None, false);
    let years: Vec<i64> = (1990..2008).collect();
    let text: Vec<String> = years.iter().map(i64::to_string).collect();
    assert_eq!(names(npz(&years, &own)), text);
    let cells: Vec<&str> = text.iter().map(String::as_str).collect();
    assert_eq!(names(csv(&cells, &own)), text);
    let floats: Vec<f64> = years.iter().map(|&y| y as f64).collect();
    assert_eq!(names(npz(&floats, &own)), text);
    assert_eq!(names(npz(&[1_u8, 2], &own)), ["1", "2"]);
    assert_eq!(names(npz(&[0_f32, 1.], &own)), ["0", "1"]);
    assert_eq!(names(npz(&[-0_f64, 0., 1.], &own)), ["0", "1"]);
    assert_eq!(names(npz(&[true, false], &own)), ["0", "1"]);
    let long = [1_400_000_000_000_000_001_i64, 1_400_000_000_000_000_002];
    assert_eq!(names(npz(&long, &own)), long.map(|y| y.to_string()));
    assert_eq!(
        names(npz(&[u64::MAX, u64::MAX - 1], &own)),
        [u64::MAX - 1, u64::MAX].map(|y| y.to_string())
    );
    assert_eq!(names(npz(&[1.1_f32, 2.5], &own)), ["1.1", "2.5"]);
}

/// In every format the guess depends on the number of distinct values, which a note reports.
#[rstest]
#[case(20, true)]
#[case(21, false)]
fn task_is_inferred_from_distinct_targets(#[case] distinct: usize, #[case] classes: bool) {
    let own = options(None, false);
    let whole: Vec<i64> = (0..distinct as i64).collect();
    let halves: Vec<f64> = whole.iter().map(|&y| y as f64 + 0.5).collect();
    let text: Vec<String> = halves.iter().map(f64::to_string).collect();
    let cells: Vec<&str> = text.iter().map(String::as_str).collect();
    let all = [npz(&whole, &own), npz(&halves, &own), csv(&cells, &own)];
    for data in all.map(Result::unwrap) {
        assert_eq!(matches!(data.task, Task::Classification { .. }), classes);
        let count = format!("{distinct} distinct values in {N} rows");
        let [word, other] = match classes {
            true => [": classification", "--task regression"],
            false => [": regression", "--task classification"],
        };
        let tells = |note: &String| [&count, word, other].iter().all(|part| note.contains(part));
        assert!(data.notes.iter().any(tells), "{:?}", data.notes);
    }
    // Names are always classes, which needs no note.
    let names: Vec<String> = (0..distinct).map(|i| format!("kind {i}")).collect();
    let cells: Vec<&str> = names.iter().map(String::as_str).collect();
    let data = csv(&cells, &own).unwrap();
    assert_eq!((data.task.outputs(), data.notes), (distinct, vec![]));
}

#[rstest]
#[case("")]
#[case("NA")]
#[case("N/A")]
#[case("NaN")]
#[case("nan")]
#[case("null")]
#[case("None")]
#[case("?")]
fn a_missing_target_is_not_a_class(#[case] cell: &str) {
    let mut cells: Vec<&str> = ["3", "4", "5", "6", "7"].repeat(N / 5);
    cells[17] = cell;
    for task in [None, Some(TaskKind::Classification), Some(TaskKind::Regression)] {
        let error = csv(&cells, &options(task, false)).unwrap_err();
        for part in ["line 19", "\"y\"", &format!("{cell:?}"), "--missing drop"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let data = csv(&cells, &options(task, true)).unwrap();
        let rows = [&data.train, &data.validation, &data.test].map(|split| split.len());
        assert_eq!(rows.iter().sum::<usize>(), N - 1);
        assert!(data.notes.iter().any(|note| note.contains("1 rows with missing values")));
        if task != Some(TaskKind::Regression) {
            assert_eq!(data.task.outputs(), 5);
        }
        let imputed = csv(&cells, &Options { task, ..Options::default() }).unwrap();
        assert_eq!((&imputed.train, &imputed.test), (&data.train, &data.test));
        assert!(imputed.notes.iter().any(|note| note.contains("1 rows without a target")));
    }
}

#[test]
fn nan_target_in_array_is_missing() {
    let mut y: Vec<f64> = (0..N).map(|n| (n % 3) as f64).collect();
    y[5] = f64::NAN;
    let error = npz(&y, &options(None, false)).unwrap_err();
    assert!(error.contains("NaN at [5]") && error.contains("--missing drop"), "{error}");
    let imputed = npz(&y, &Options::default()).unwrap();
    let data = npz(&y, &options(None, true)).unwrap();
    assert_eq!(imputed.train, data.train);
    assert_eq!(data.train.len() + data.validation.len() + data.test.len(), N - 1);
    assert_eq!(names(Ok(data)), ["0", "1", "2"]);
    y[5] = f64::INFINITY;
    assert!(npz(&y, &options(None, true)).unwrap_err().contains("inf at [5]"));
}
