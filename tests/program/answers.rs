//! Defends: what `predict` answers beyond a mean or a class: quantiles, prediction sets,
//! calibrated probabilities, formats and digits.
use crate::common::Folder;
use crate::{heights, refused};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// The columns of a CSV.
fn columns(text: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut rows = csv::Reader::from_reader(text);
    let names: Vec<String> = rows.headers().unwrap().iter().map(String::from).collect();
    let mut found: BTreeMap<_, Vec<String>> =
        names.iter().map(|name| (name.clone(), vec![])).collect();
    for row in rows.records() {
        for (name, cell) in names.iter().zip(&row.unwrap()) {
            found.get_mut(name).unwrap().push(cell.to_string());
        }
    }
    found
}

fn numbers(column: &[String]) -> Vec<f64> {
    column.iter().map(|cell| cell.parse().unwrap()).collect()
}

fn predict(folder: &Folder, args: &[&str]) -> (Vec<u8>, String) {
    let output = folder.bhn().args(["predict", "run"]).args(args).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    (output.stdout, text)
}

/// Three classes of points that overlap, and their labels.
fn blobs(rows: usize, seed: u64) -> (String, Vec<usize>) {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let (mut text, mut labels) = ("x,y,kind\n".to_string(), vec![]);
    for _ in 0..rows {
        let class = rng.random_range(0..3_usize);
        let [dx, dy]: [f64; 2] = [rng.sample(StandardNormal), rng.sample(StandardNormal)];
        let (x, y) = ([0., 1.5, 0.7][class] + dx, [0., 0.2, 1.6][class] + dy);
        text += &format!("{x:.4},{y:.4},k{class}\n");
        labels.push(class);
    }
    (text, labels)
}

/// Trains on blobs, and returns the labels of `fresh.csv`.
fn trained_on_blobs(folder: &Folder, rows: usize) -> Vec<usize> {
    folder.write("blobs.csv", blobs(rows, 1).0);
    let (fresh, labels) = blobs(2000, 2);
    folder.write("fresh.csv", fresh);
    let train = ["train", "blobs.csv", "--hidden", "16", "--epochs", "20", "--out", "run"];
    folder.bhn().args(train).assert().success();
    labels
}

/// The share of rows whose set contains the label, and the mean number of classes in a set.
fn coverage(found: &BTreeMap<String, Vec<String>>, labels: &[usize]) -> (f64, f64) {
    let sets: Vec<Vec<&str>> = found["set"].iter().map(|set| set.split('|').collect()).collect();
    let hit = |(set, y): (&Vec<&str>, &usize)| set.contains(&&*format!("k{y}"));
    let hits = sets.iter().zip(labels).filter(|&pair| hit(pair)).count();
    let size: usize = sets.iter().map(Vec::len).sum();
    (hits as f64 / labels.len() as f64, size as f64 / labels.len() as f64)
}

/// The quantiles ascend, their median is near the mean, and about 95 % of the targets lie between
/// the outer ones.
#[test]
fn regression_has_quantiles() {
    let folder = Folder::new();
    folder.write("heights.csv", heights());
    folder.bhn().args(["train", "heights.csv", "--out", "run"]).assert().success();
    let found = columns(&predict(&folder, &["heights.csv"]).0);
    let q = ["q2.5", "q25", "q50", "q75", "q97.5"].map(|name| numbers(&found[name]));
    let (mean, std) = (numbers(&found["mean"]), numbers(&found["std"]));
    let heights = heights();
    let y = heights.lines().skip(1).map(|row| row.split(',').nth(1).unwrap());
    let mut inside = 0;
    for (i, y) in y.enumerate() {
        assert!(q.windows(2).all(|pair| pair[0][i] < pair[1][i]), "row {i}");
        assert!((q[2][i] - mean[i]).abs() < 0.2 * std[i], "row {i}");
        // The half-width of 95 % of a normal is 1.96 standard deviations.
        let width = (q[4][i] - q[0][i]) / std[i];
        assert!((3.5..4.3).contains(&width), "row {i}: {width}");
        let y: f64 = y.parse().unwrap();
        inside += usize::from(q[0][i] < y && y < q[4][i]);
    }
    assert!(inside >= 88, "{inside} of 100");
    let predict = ["predict", "run", "heights.csv"];
    let is_refused = |flags: &[&str], parts: &[&str]| {
        refused(folder.bhn().args(predict).args(flags), parts);
    };
    is_refused(&["--level", "0.9"], &["--level", "a regression", "q2.5"]);
    is_refused(&["--calibrate"], &["--calibrate", "a regression"]);
    is_refused(&["--level", "1"], &["--level", "0.5 to below 1"]);
}

/// The coverage of one calibration set of `n` scores has a standard deviation of
/// `√(level (1 − level)/(n + 2))`, here 0.026, and its estimate by 2000 rows one of 0.007.
#[test]
fn sets_of_split_conformal_prediction_have_their_coverage() {
    let folder = Folder::new();
    let labels = trained_on_blobs(&folder, 1300);
    let (out, text) = predict(&folder, &["fresh.csv", "--level", "0.9"]);
    assert!(text.contains("split conformal prediction with 130 test examples"), "{text}");
    let (covered, size) = coverage(&columns(&out), &labels);
    assert!((covered - 0.9).abs() < 4. * 0.027, "{covered}");
    assert!((1.01..2.).contains(&size), "{size}");
    let (wide, wide_size) =
        coverage(&columns(&predict(&folder, &["fresh.csv", "--level", "0.99"]).0), &labels);
    assert!(wide > 0.95 && wide_size > size, "{wide}, {wide_size}");
    assert!(!folder.path("run/folds").exists());
}

/// Below 100 test examples, five networks calibrate the sets. They are trained once.
#[test]
fn sets_of_cross_validation_have_their_coverage() {
    let folder = Folder::new();
    let labels = trained_on_blobs(&folder, 200);
    let args = ["fresh.csv", "--level", "0.8", "--calibrate"];
    let (out, text) = predict(&folder, &args);
    for part in ["60 % or more, and usually of about 80 %", "CV+ with 5 folds of 200", "fold 5"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    let (covered, size) = coverage(&columns(&out), &labels);
    let found = columns(&out);
    assert!(found["set"].iter().zip(&found["label"]).all(|(set, label)| set.starts_with(label)));
    // √(0.8 · 0.2/202) = 0.028; the guarantee is 0.6.
    assert!((covered - 0.8).abs() < 4. * 0.03 && size < 2., "{covered}, {size}");
    let (again, text) = predict(&folder, &args);
    assert!(again == out && !text.contains("fold 5"), "{text}");
}

/// The temperature makes the probabilities of an overconfident network better, and keeps the order
/// of classes.
#[test]
fn calibration_improves_an_overconfident_network() {
    let folder = Folder::new();
    folder.write("blobs.csv", blobs(400, 1).0);
    let (fresh, labels) = blobs(2000, 2);
    folder.write("fresh.csv", fresh);
    let train = ["train", "blobs.csv", "--method", "mle", "--hidden", "100,100", "--batch", "400"];
    // The last epoch, long after the best.
    let long = "epochs = 600\nlearning_rate = 0.02\npatience = 0\nvalidate_every = 600\n";
    folder.write("run.toml", format!("[train]\n{long}"));
    folder.bhn().args(train).args(["--config", "run.toml", "--out", "run"]).assert().success();
    let of = |args: &[&str]| {
        let found = columns(&predict(&folder, &[&["fresh.csv"], args].concat()).0);
        let p = [0, 1, 2].map(|k| numbers(&found[&format!("p_k{k}")]));
        let nll = labels.iter().enumerate().map(|(i, &y)| -p[y][i].max(1e-12).ln()).sum::<f64>();
        assert!((0..2000).all(|i| ((0..3).map(|k| p[k][i]).sum::<f64>() - 1.).abs() < 1e-5));
        (nll / 2000., found["label"].clone())
    };
    let ((plain, labels_plain), (calibrated, labels_calibrated)) = (of(&[]), of(&["--calibrate"]));
    assert_eq!(labels_plain, labels_calibrated);
    assert!(calibrated < plain - 0.1, "{calibrated} for {plain}");
}

/// JSON has the values of CSV, and NPZ an array for each column, in NumPy too.
#[test]
fn formats_have_the_same_values() {
    let folder = Folder::new();
    trained_on_blobs(&folder, 200);
    let args = |format| ["fresh.csv", "--samples", "5", "--format", format];
    let found = columns(&predict(&folder, &args("csv")).0);
    let lines = String::from_utf8(predict(&folder, &args("json")).0).unwrap();
    let p = numbers(&found["p_k1"]);
    for (line, p) in lines.lines().zip(&p) {
        let row: Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["p_k1"].as_f64().unwrap(), *p);
    }
    assert_eq!(lines.lines().count(), p.len());
    fs::write(folder.path("p.npz"), predict(&folder, &args("npz")).0).unwrap();
    let python = std::env::var("BHN_TEST_PYTHON").unwrap_or("python3".into());
    let code = "import numpy as np, json; z = np.load('p.npz'); \
                print(json.dumps({k: z[k].tolist() for k in ['p_k1', 'label', 'index']}))";
    let ran = Command::new(&python).args(["-c", code]).current_dir(folder.path("")).output();
    let Some(ran) = ran.ok().filter(|ran| ran.status.success()) else {
        eprintln!("skipped: {python} (BHN_TEST_PYTHON) has no numpy");
        return;
    };
    let arrays: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let of = |name: &str| arrays[name].as_array().unwrap();
    assert_eq!(of("p_k1").iter().map(|p| p.as_f64().unwrap()).collect::<Vec<_>>(), p);
    assert_eq!(of("index").len(), 2000);
    assert_eq!(of("label")[7], found["label"][7].as_str());
}

#[test]
#[cfg(not(feature = "parquet"))]
fn parquet_is_refused_without_its_feature() {
    let folder = Folder::new();
    trained_on_blobs(&folder, 200);
    let refused =
        folder.bhn().args(["predict", "run", "fresh.csv", "--format", "parquet"]).assert();
    let text = String::from_utf8(refused.failure().get_output().stderr.clone()).unwrap();
    for word in ["--format", "csv, json or npz", "`--features parquet`"] {
        assert!(text.contains(word), "no {word} in: {text}");
    }
}

/// Six digits by default, and all on request: then the numbers differ.
#[test]
fn digits_are_those_asked_for() {
    let folder = Folder::new();
    trained_on_blobs(&folder, 200);
    let of = |digits: &str| {
        columns(&predict(&folder, &["fresh.csv", "--samples", "5", "--digits", digits]).0)
    };
    let longest = |cells: &[String]| {
        let digits = |cell: &String| {
            let mantissa = cell.split('e').next().unwrap();
            mantissa.replace('.', "").trim_start_matches('0').len()
        };
        cells.iter().map(digits).max().unwrap()
    };
    let (six, three, all) = (of("6"), of("3"), of("17"));
    assert_eq!((longest(&six["p_k0"]), longest(&three["entropy"])), (6, 3));
    assert!(longest(&all["p_k0"]) > 12);
    let close = numbers(&six["p_k0"]).into_iter().zip(numbers(&all["p_k0"]));
    assert!(close.into_iter().all(|(six, all)| (six - all).abs() <= 5e-6 * all));
}

/// The noise of `y = x + (0.1 + |x|) e` depends on the input, and so does the predicted standard
/// deviation if the likelihood allows it.
#[test]
fn noise_may_depend_on_the_input() {
    let folder = Folder::new();
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let mut text = "x,y\n".to_string();
    for _ in 0..1000 {
        let (x, e) = (rng.random_range(-2.0..2.0_f64), rng.sample::<f64, _>(StandardNormal));
        text += &format!("{x:.4},{:.5}\n", x + (0.1 + x.abs()) * e);
    }
    folder.write("noisy.csv", text);
    folder.write("grid.csv", "x\n-1.8\n0\n1.8\n");
    let nll = |noise: &str| {
        folder.write("run.toml", format!("[likelihood]\nnoise = '{noise}'\n"));
        let train = ["train", "noisy.csv", "--config", "run.toml", "--out", noise, "--json"];
        let output = folder.bhn().args(train).assert().success();
        let summary: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
        summary["test"]["nll"].as_f64().unwrap()
    };
    let (constant, input) = (nll("constant"), nll("input"));
    assert!(input < constant - 0.1, "{input} for {constant}");
    let out = folder.bhn().args(["predict", "input", "grid.csv"]).assert().success();
    let std = numbers(&columns(&out.get_output().stdout)["std"]);
    for (found, expected) in std.iter().zip([1.9, 0.1, 1.9]) {
        // A learned scale is within a third, and at the cusp the network rounds it.
        let range = if expected < 1. { 0.05..0.5 } else { 1.2..2.6 };
        assert!(range.contains(found), "{std:?}");
    }
    folder.write("both.toml", "[likelihood]\nnoise = 'input'\nprecision = 1.0\n");
    let both = ["train", "noisy.csv", "--config", "both.toml"];
    refused(folder.bhn().args(both), &["likelihood.noise", "likelihood.precision"]);
}

/// The shares of targets in the intervals of `eval` are those that the printed quantiles give.
#[test]
fn eval_of_a_regression_has_coverage() {
    let folder = Folder::new();
    folder.write("heights.csv", heights());
    folder.bhn().args(["train", "heights.csv", "--out", "run"]).assert().success();
    let output = folder.bhn().args(["eval", "run", "--json"]).assert().success();
    let found: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    let distribution = &found["test"]["distribution"];
    let shares: Vec<f64> = serde_json::from_value(distribution["coverage"].clone()).unwrap();
    assert!(shares.is_sorted() && shares.iter().all(|s| (0. ..=1.).contains(s)), "{shares:?}");
    let below: Vec<f64> = serde_json::from_value(distribution["below"].clone()).unwrap();
    assert!(below.len() == 9 && below.is_sorted(), "{below:?}");
    let (crps, rmse) = (&distribution["crps"], &found["test"]["rmse"]);
    let ratio = crps.as_f64().unwrap() / rmse.as_f64().unwrap();
    // For a calibrated normal, CRPS/RMSE = 1/√π = 0.564; ten test rows leave a third of it.
    assert!((0.35..0.8).contains(&ratio), "{ratio}");
    let text = folder.bhn().args(["eval", "run"]).assert().success();
    let text = String::from_utf8(text.get_output().stdout.clone()).unwrap();
    for part in ["test CRPS", "in the 50, 90, 95 % intervals", "quantiles"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}
