//! Defends: the files of a run, and the outputs of `eval`, `predict` and `sample`.
use crate::common::{Folder, SMALL, TINY, animals, contents};
use crate::npz::NpzWriter;
use crate::{heights, refused};
use ndarray::{Array1, Array2};
use ndarray_npy::write_npy;
use rstest::rstest;
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs::{self, File};

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The standard output of a command.
fn stdout(folder: &Folder, args: &[&str]) -> Vec<u8> {
    folder.bhn().args(args).assert().success().get_output().stdout.clone()
}

/// Training prints only a summary, and `eval --samples 5` finds the same scores except for the
/// time.
fn trains(folder: &Folder, args: &[&str]) -> Value {
    let assert = folder.bhn().args(args).args(["--out", "run", "--json"]).assert().success();
    let summary = json(&assert.get_output().stdout);
    assert_eq!(summary, json(&fs::read(folder.path("run/summary.json")).unwrap()));
    let mut found = json(&stdout(folder, &["eval", "run", "--samples", "5", "--json"]));
    found["test"]["seconds"] = summary["test"]["seconds"].clone();
    assert_eq!(found["test"], summary["test"]);
    assert_eq!(found["elbo"], summary["elbo"]);
    summary
}

#[test]
fn mnist_run_has_documented_outputs() {
    let folder = Folder::new();
    let summary = trains(&folder, &SMALL);
    for key in ["/test/accuracy", "/test/nll", "/test/ece", "/test/brier", "/elbo/total"] {
        assert!(summary.pointer(key).is_some_and(Value::is_number), "{key} in {summary}");
    }
    for key in ["/elbo/log_likelihood", "/elbo/kl", "/seconds", "/seed", "/threads", "/epochs"] {
        assert!(summary.pointer(key).is_some_and(Value::is_number), "{key} in {summary}");
    }
    for key in ["/command", "/version", "/commit", "/cpu"] {
        assert!(summary.pointer(key).is_some_and(Value::is_string), "{key} in {summary}");
    }
    let files = contents(&folder.path("run"));
    let names: Vec<_> = files.iter().map(|f| f.0.as_str()).collect();
    assert_eq!(
        names,
        [
            "best.safetensors",
            "config.toml",
            "last.safetensors",
            "metrics.jsonl",
            "report.html",
            "summary.json"
        ]
    );
    let report = String::from_utf8(files[4].1.clone()).unwrap();
    for part in ["<svg", "data:image/png;base64,", "Widths of the posterior"] {
        assert!(report.contains(part), "{part}");
    }
    for outside in ["<script src", "<link", "src=\"http", "@import", "url(http"] {
        assert!(!report.contains(outside), "{outside} in the report");
    }
    let image = image::RgbaImage::from_pixel(40, 50, image::Rgba([200, 10, 10, 255]));
    image.save(folder.path("digit.png")).unwrap();
    write_npy(folder.path("digits.npy"), &ndarray::Array3::<u8>::zeros((3, 28, 28))).unwrap();
    let files = ["digit.png", "digits.npy"];
    let rows = stdout(&folder, &["predict", "run", files[0], files[1], "--json"]);
    let rows: Vec<_> = rows.split(|&b| b == b'\n').filter(|l| !l.is_empty()).map(json).collect();
    let names: Vec<_> = rows.iter().map(|row| row["input"].as_str().unwrap()).collect();
    assert_eq!(names, ["digit.png", "digits.npy#0", "digits.npy#1", "digits.npy#2"]);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row["index"], i);
        let p: f64 = (0..10).map(|k| row[format!("p_{k}")].as_f64().unwrap()).sum();
        // Ten numbers, each rounded to f32.
        assert!((p - 1.).abs() < 1e-6, "{row}");
        let bald = row["bald"].as_f64().unwrap();
        let entropy = row["entropy"].as_f64().unwrap();
        // A hundred differences of numbers near ln 10, each rounded to f32.
        let rounding = 100. * 10_f64.ln() * f64::from(f32::EPSILON);
        assert!(bald > -rounding && bald <= entropy, "{row}");
        assert!(entropy <= 10_f64.ln() + rounding, "{row}");
    }
    let wrong = ["predict", "run", "wrong.npy"];
    write_npy(folder.path("wrong.npy"), &ndarray::Array3::<u8>::zeros((3, 28, 27))).unwrap();
    crate::refused(folder.bhn().args(wrong), &["wrong.npy", "[28, 27]", "784", "[1, 28, 28]"]);
}

#[test]
fn csv_classification_has_documented_outputs() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let args: Vec<_> = ["train", "animals.csv"].into_iter().chain(TINY).collect();
    let summary = trains(&folder, &args);
    assert!(summary["test"]["accuracy"].is_number() && summary["test"]["rmse"].is_null());
    let table = stdout(&folder, &["predict", "run", "animals.csv"]);
    let mut reader = csv::Reader::from_reader(&*table);
    let columns = "index,input,label,p_cat,p_dog,entropy,bald,mean_std,far";
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(","), columns);
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 100);
    for row in &rows {
        let p: Vec<f64> = [3, 4].map(|i| row[i].parse().unwrap()).into();
        assert_eq!(&row[2], if p[0] >= p[1] { "cat" } else { "dog" });
    }
    let out = ["predict", "run", "animals.csv", "--out", "predicted.csv"];
    assert!(stdout(&folder, &out).is_empty());
    assert_eq!(fs::read(folder.path("predicted.csv")).unwrap(), table);
}

#[test]
fn csv_regression_has_documented_outputs() {
    let folder = Folder::new();
    folder.write("heights.csv", heights());
    let args: Vec<_> = ["train", "heights.csv"].into_iter().chain(TINY).collect();
    let summary = trains(&folder, &args);
    assert!(summary["test"]["rmse"].is_number() && summary["test"]["accuracy"].is_null());
    let table = stdout(&folder, &["predict", "run", "heights.csv"]);
    let columns = b"index,input,mean,std,model_std,q2.5,q25,q50,q75,q97.5,far\n";
    assert!(table.starts_with(columns));
    assert_eq!(table.iter().filter(|&&byte| byte == b'\n').count(), 101);
}

#[test]
fn npz_classification_reports_accuracy() {
    let folder = Folder::new();
    let mut npz = NpzWriter::new(File::create(folder.path("a.npz")).unwrap());
    npz.add_array("x", &Array2::from_shape_fn((60, 3), |(n, i)| ((n + i) % 3) as f32)).unwrap();
    npz.add_array("y", &Array1::from_shape_fn(60, |n| (n % 3) as u8)).unwrap();
    npz.finish().unwrap();
    let args: Vec<_> = ["train", "a.npz"].into_iter().chain(TINY).collect();
    assert!(trains(&folder, &args)["test"]["accuracy"].is_number());
}

#[rstest]
#[case(&["--method", "mle"], "maximum likelihood", false)]
#[case(&["--couplings", "0"], "Bayes by Backprop", true)]
fn mle_and_mean_field_are_named_and_sampled(
    #[case] method: &[&str],
    #[case] about: &str,
    #[case] density: bool,
) {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let train = ["train", "animals.csv", "--hidden", "8", "--epochs", "2", "--out", "run"];
    let told = predicates::str::contains(about);
    folder.bhn().args(train).args(method).assert().success().stderr(told);
    stdout(&folder, &["eval", "run"]);
    stdout(&folder, &["sample", "run"]);
    let bytes = fs::read(folder.path("run/samples.safetensors")).unwrap();
    assert_eq!(SafeTensors::deserialize(&bytes).unwrap().tensor("log_q").is_ok(), density);
}

#[test]
fn samples_file_has_theta_log_q_and_layers() {
    let folder = Folder::new();
    folder.trained();
    assert!(stdout(&folder, &["sample", "run", "--samples", "7", "--out", "s"]).is_empty());
    let bytes = fs::read(folder.path("s")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let theta = file.tensor("theta").unwrap();
    assert_eq!(theta.shape(), [7, 10]);
    assert_eq!(file.tensor("log_q").unwrap().shape(), [7]);
    let mut layers: Vec<_> =
        file.tensors().into_iter().filter(|(n, _)| !["theta", "log_q"].contains(&&**n)).collect();
    layers.sort_by(|a, b| a.0.cmp(&b.0));
    let widths: Vec<_> = layers.iter().map(|(_, layer)| layer.shape()[1]).collect();
    assert_eq!(widths, [8, 2]);
    let row = |s: usize| {
        let parts = layers.iter().map(|(_, layer)| {
            let bytes = 4 * layer.shape()[1];
            &layer.data()[s * bytes..(s + 1) * bytes]
        });
        parts.collect::<Vec<_>>().concat()
    };
    assert_eq!((0..7).flat_map(row).collect::<Vec<_>>(), theta.data());
    stdout(&folder, &["sample", "run", "--samples", "7", "--out", "t"]);
    assert_eq!(fs::read(folder.path("t")).unwrap(), bytes);
    stdout(&folder, &["sample", "run", "--samples", "7", "--seed", "1", "--out", "t"]);
    assert_ne!(fs::read(folder.path("t")).unwrap(), bytes);
}

#[test]
fn quiet_prints_nothing_and_config_reproduces_run() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let train = ["train", "animals.csv", "--seed", "5", "--learning-rate", "0.00123", "--out", "a"];
    folder.bhn().args(train).args(TINY).arg("--quiet").assert().success().stderr("");
    let again = ["train", "--config", "a/config.toml", "--out", "b", "--samples", "5"];
    folder.bhn().args(again).arg("-q").assert().success().stderr("");
    for name in ["config.toml", "last.safetensors", "best.safetensors"] {
        let [a, b] = ["a", "b"].map(|run| fs::read(folder.path(run).join(name)).unwrap());
        assert_eq!(a, b, "{name}");
    }
    for command in [&["eval", "a"][..], &["predict", "a", "animals.csv"], &["sample", "a"]] {
        folder.bhn().args(command).arg("-q").assert().success().stderr("");
    }
}

/// `acquire` prints the highest score first, by the BALD that `predict` prints, over several files.
#[test]
fn acquire_selects_highest_bald_of_predict() {
    let folder = Folder::new();
    folder.trained();
    let half = |from: usize| {
        let text = animals();
        let rows: Vec<_> = text.lines().skip(1 + from).take(50).collect();
        format!("length,weight,kind\n{}\n", rows.join("\n"))
    };
    folder.write("a.csv", half(0));
    folder.write("b.csv", half(50));
    let records = |args: &[&str]| -> Vec<csv::StringRecord> {
        let text = stdout(&folder, args);
        csv::Reader::from_reader(&*text).into_records().map(|r| r.unwrap()).collect()
    };
    let predicted =
        records(&["predict", "run", "a.csv", "b.csv", "--samples", "20", "--digits", "17"]);
    let bald = |row: &csv::StringRecord| row[row.len() - 3].parse::<f64>().unwrap();
    let mut order: Vec<_> = (0..100).collect();
    order.sort_by(|&a, &b| bald(&predicted[b]).total_cmp(&bald(&predicted[a])).then(a.cmp(&b)));
    let pools = ["--pool", "a.csv", "--pool", "b.csv", "--samples", "20", "--k", "7"];
    let asked = [&["acquire", "run"][..], &pools].concat();
    let found = records(&asked);
    assert_eq!(found.len(), 7);
    for (i, row) in found.iter().enumerate() {
        let (file, line) = (if order[i] < 50 { "a" } else { "b" }, order[i] % 50);
        let expected = [(i + 1).to_string(), order[i].to_string(), format!("{file}.csv#{line}")];
        assert_eq!(row.iter().take(3).collect::<Vec<_>>(), expected);
        assert!((row[3].parse::<f64>().unwrap() - bald(&predicted[order[i]])).abs() < 1e-6);
    }
    let scores =
        ["max-entropy", "variation-ratio", "least-confidence", "mean-std", "batch-bald", "random"];
    for score in scores {
        let args = [&asked[..], &["--score", score, "--json", "--out", "wanted.json"]].concat();
        assert!(stdout(&folder, &args).is_empty());
        let wanted = json(&fs::read(folder.path("wanted.json")).unwrap());
        assert_eq!(wanted.as_array().unwrap().len(), 7, "{score}");
        assert_eq!(wanted[0]["score"].is_null(), score == "random");
    }
    let all = records(&["acquire", "run", "--pool", "a.csv", "--k", "1000"]);
    assert_eq!(all.len(), 50, "all there are");
}

#[test]
fn acquire_rejects_class_scores_for_regression() {
    let folder = Folder::new();
    folder.write("heights.csv", heights());
    folder.bhn().args(["train", "heights.csv", "--out", "run"]).args(TINY).assert().success();
    let asked = ["acquire", "run", "--pool", "heights.csv"];
    refused(
        folder.bhn().args(asked).args(["--score", "batch-bald"]),
        &["--score", "found batch-bald", "bald, max-entropy, mean-std or random"],
    );
    refused(folder.bhn().args(asked).args(["--score", "best"]), &["--score", "batch-bald"]);
    refused(folder.bhn().args(["acquire", "run", "--pool", "none.csv"]), &["none.csv"]);
    assert_eq!(stdout(&folder, &asked).iter().filter(|byte| **byte == b'\n').count(), 11);
}
