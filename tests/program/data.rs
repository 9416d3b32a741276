//! Defends: data that are damaged, changed or moved are refused, with an error that names the file.
use crate::common::{Folder, animals};
use crate::mnist::{PUBLISHED, gzip};
use crate::npz::NpzWriter;
use crate::refused;
use ndarray::{Array1, Array2, Array3};
use ndarray_npy::write_npy;
use predicates::prelude::*;
use predicates::str::contains;
use rstest::rstest;
use std::fs::{self, File};

const LABELS: &str = "t10k-labels-idx1-ubyte.gz";

/// MNIST's own files, one of them damaged.
fn mnist(folder: &Folder, damage: impl FnOnce(&mut Vec<u8>)) {
    fs::create_dir_all(folder.path("data/mnist")).unwrap();
    let mut damage = Some(damage);
    for (name, mut bytes) in PUBLISHED.clone() {
        if name == LABELS {
            damage.take().expect("one such file")(&mut bytes);
        }
        folder.write(&format!("data/mnist/{name}"), bytes);
    }
}

#[rstest]
#[case::truncated(|file: &mut Vec<u8>| file.truncate(2000), "cannot be read")]
#[case::empty(|file: &mut Vec<u8>| file.clear(), "")]
#[case::flipped(|file: &mut Vec<u8>| file[2000] ^= 4, "")]
#[case::short(|file: &mut Vec<u8>| *file = gzip(&[0; 1000]), "1000 bytes unpacked")]
#[case::oversized(|file: &mut Vec<u8>| *file = gzip(&[0; 1 << 20]), "more than 10008 bytes")]
#[case::other(|file: &mut Vec<u8>| *file = gzip(&[0; 10_008]), "SHA-256")]
fn damaged_mnist_is_rejected(#[case] damage: fn(&mut Vec<u8>), #[case] found: &str) {
    let folder = Folder::new();
    mnist(&folder, damage);
    let command = ["train", "mnist", "--data-dir", "data"];
    refused(folder.bhn().args(command), &[LABELS, found, "expected"]);
    let mut check = folder.bhn();
    check.args(["data", "check", "--data-dir", "data", "--json"]);
    let output = check.assert().code(1).get_output().clone();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let bad =
        found.as_array().unwrap().iter().find(|f| f["file"].as_str().unwrap().contains(LABELS));
    assert!(bad.unwrap()["problem"].is_string());
}

/// Twenty rows, the third of which has this cell.
fn with(cell: &str) -> String {
    let line = |i: usize| {
        let own = if i == 2 { cell.to_string() } else { i.to_string() };
        format!("{own},{}\n", ["x", "y"][i % 2])
    };
    format!("a,kind\n{}", (0..20).map(line).collect::<String>())
}

#[rstest]
#[case::truncated("a,b,kind\n1,2,x\n3,4,y\n5", &["line 4", "cells"])]
#[case::nan(&with("NaN"), &["line 4", "NaN", "finite", "--missing drop"])]
#[case::inf(&with("inf"), &["line 4", "inf", "finite"])]
#[case::text(&with("two"), &["line 4", "two", "finite", "--drop \"a\""])]
#[case::empty("", &["table.csv"])]
#[case::header_only("a,kind\n", &["no rows"])]
#[case::too_few_rows("a,kind\n1,x\n2,y\n3,x\n4,y\n5,x\n", &["5 rows", "at least 10"])]
fn invalid_csv_is_rejected(#[case] text: &str, #[case] parts: &[&str]) {
    let folder = Folder::new();
    folder.write("table.csv", text);
    refused(folder.bhn().args(["train", "table.csv", "--missing", "refuse"]), parts);
}

#[test]
fn invalid_npz_is_rejected() {
    let folder = Folder::new();
    let train = |parts: &[&str]| refused(folder.bhn().args(["train", "a.npz"]), parts);
    let write = |x: Array2<f32>, y: Array1<u8>| {
        let mut npz = NpzWriter::new(File::create(folder.path("a.npz")).unwrap());
        npz.add_array("x", &x).unwrap();
        npz.add_array("y", &y).unwrap();
        npz.finish().unwrap();
    };
    let y = Array1::from_shape_fn(40, |n| (n % 2) as u8);
    let mut x = Array2::from_shape_fn((40, 3), |(n, i)| (n * i) as f32);
    write(x.clone(), y.clone());
    let bytes = fs::read(folder.path("a.npz")).unwrap();
    folder.write("a.npz", &bytes[..bytes.len() / 2]);
    train(&["a.npz", "expected"]);
    let mut flipped = bytes;
    flipped[200] ^= 1;
    folder.write("a.npz", flipped);
    train(&["a.npz", "expected"]);
    x[[7, 1]] = f32::NAN;
    write(x.clone(), y);
    train(&["a.npz", "NaN", "finite"]);
    x[[7, 1]] = 0.;
    write(x, Array1::zeros(39));
    train(&["a.npz", "39", "40"]);
}

#[test]
fn changed_data_are_rejected() {
    let folder = Folder::new();
    let run = folder.trained();
    let before = crate::common::contents(&run);
    folder.write("animals.csv", animals().replacen("cat", "dog", 1));
    let parts = ["animals", "have changed", "Restore"];
    refused(folder.bhn().args(["train", "--resume", "run"]), &parts);
    refused(folder.bhn().args(["eval", "run"]), &parts);
    folder.write("animals.csv", "a,b\n");
    refused(folder.bhn().args(["eval", "run"]), &["animals.csv", "no rows"]);
    fs::remove_file(folder.path("animals.csv")).unwrap();
    let parts = ["animals.csv", "no such file", "`data` in", "config.toml"];
    refused(folder.bhn().args(["eval", "run"]), &parts);
    refused(folder.bhn().args(["train", "--resume", "run"]), &parts);
    assert_eq!(crate::common::contents(&run), before);
}

/// A network's inputs may be the same while their meaning has changed: a run checks both.
#[rstest]
#[case::columns(|t: String| t.replacen("length,weight", "weight,length", 1), "columns")]
#[case::target(|t: String| t.replacen("kind", "sort", 1), "\"sort\"")]
#[case::classes(|t: String| t.replace("cat", "ant"), "[\"ant\", \"dog\"]")]
#[case::order(|t: String| t.replace("cat", "elk"), "the classes")]
#[case::units(times_1024, "length with mean")]
fn data_with_changed_meaning_are_rejected(
    #[case] change: fn(String) -> String,
    #[case] found: &str,
) {
    let folder = Folder::new();
    folder.trained();
    folder.write("animals.csv", change(animals()));
    let parts = ["animals", "have changed", found, "Restore"];
    refused(folder.bhn().args(["eval", "run"]), &parts);
    refused(folder.bhn().args(["train", "--resume", "run"]), &parts);
    refused(folder.bhn().args(["verify", "run"]), &parts);
    folder.write("animals.csv", animals());
    folder.bhn().args(["eval", "run"]).assert().success();
}

/// Every number of the table, exactly 1024 times as large.
fn times_1024(text: String) -> String {
    let cell = |cell: &str| match cell.parse::<f64>() {
        Ok(number) => (1024. * number).to_string(),
        Err(_) => cell.to_string(),
    };
    let line = |line: &str| line.split(',').map(cell).collect::<Vec<_>>().join(",");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A value far outside the training range is predicted all the same, with a note.
#[test]
fn inputs_outside_training_range_print_a_note() {
    let folder = Folder::new();
    folder.trained();
    folder.write("far.csv", "length,weight\n0.5,0.5\n0.5,900\n-700,0.1\n");
    for command in [&["predict", "run", "far.csv"][..], &["acquire", "run", "--pool", "far.csv"]] {
        let said = folder.bhn().args(command).assert().success();
        let said = said.stderr(contains("note: 2 inputs have"));
        said.stderr(contains("row 1, weight = 900, in training"));
    }
    folder.write("near.csv", "length,weight\n0.5,0.5\n");
    let near = folder.bhn().args(["predict", "run", "near.csv"]).assert().success();
    near.stderr(contains("note:").not());
}

#[test]
fn relative_data_path_works_anywhere_and_can_be_edited() {
    let folder = Folder::new();
    let run = folder.trained();
    let elsewhere = Folder::new();
    elsewhere.bhn().args(["train", "--resume"]).arg(&run).assert().success();
    elsewhere.bhn().arg("eval").arg(&run).assert().success();
    fs::rename(folder.path("animals.csv"), folder.path("pets.csv")).unwrap();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    folder.write("run/config.toml", config.replace("animals.csv", "pets.csv"));
    elsewhere.bhn().arg("eval").arg(&run).assert().success();
    elsewhere.bhn().args(["train", "--resume"]).arg(&run).assert().success();
}

#[test]
fn invalid_prediction_inputs_are_rejected() {
    let folder = Folder::new();
    folder.trained();
    let predict = |file: &str, parts: &[&str]| {
        refused(folder.bhn().args(["predict", "run", file]), parts);
    };
    folder.write("text.png", "not a picture");
    predict("text.png", &["text.png", "first bytes", "PNG", "Convert"]);
    folder.write("empty.png", "");
    predict("empty.png", &["empty.png", "first bytes"]);
    predict("none.png", &["none.png", "no such file"]);
    write_npy(folder.path("empty.npy"), &Array2::<f32>::zeros((0, 2))).unwrap();
    predict("empty.npy", &["empty.npy", "0 bytes", "at least one"]);
    write_npy(folder.path("wide.npy"), &Array2::<f32>::zeros((3, 5))).unwrap();
    predict("wide.npy", &["wide.npy", "[5]", "2 inputs"]);
    write_npy(folder.path("images.npy"), &Array3::<f32>::zeros((3, 5, 5))).unwrap();
    predict("images.npy", &["images.npy", "[5, 5]", "2 inputs"]);
    let mut bad = Array2::<f32>::zeros((3, 2));
    bad[[1, 1]] = f32::NAN;
    write_npy(folder.path("nan.npy"), &bad).unwrap();
    predict("nan.npy", &["nan.npy", "NaN"]);
    write_npy(folder.path("huge.npy"), &Array2::<f32>::from_elem((3, 2), 1e38)).unwrap();
    predict("huge.npy", &["huge.npy#0", "the network overflows", "Correct or remove"]);
    for score in ["bald", "batch-bald"] {
        let acquire = ["acquire", "run", "--pool", "huge.npy", "--score", score];
        refused(folder.bhn().args(acquire), &["input 0", "the network overflows"]);
    }
    folder.write("other.csv", "height\n1\n");
    predict("other.csv", &["other.csv", "length"]);
    folder
        .bhn()
        .args(["predict", "run", "animals.csv"])
        .assert()
        .success()
        .stdout(contains("p_cat"));
}
