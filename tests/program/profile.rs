//! Defends: `--profile` lists every operation in a table that adds up to the elapsed time, and
//! changes no result.
use crate::common::{Folder, TINY, animals};
use crate::refused;
use serde_json::Value;
use std::fs;

/// The words of each row.
fn rows(stdout: &[u8]) -> Vec<Vec<String>> {
    let text = String::from_utf8(stdout.to_vec()).unwrap();
    text.lines().map(|line| line.split_whitespace().map(String::from).collect()).collect()
}

fn has(rows: &[Vec<String>], start: &[&str]) -> bool {
    rows.iter().any(|row| row.iter().zip(start).filter(|(a, b)| a == b).count() == start.len())
}

#[test]
fn profiling_training_prints_times_and_changes_no_result() {
    let folder = Folder::new();
    folder.trained();
    let train = ["train", "animals.csv", "--profile", "--out"];
    let output = folder.bhn().args(train).arg("p").args(TINY).assert().success();
    let table = rows(&output.get_output().stdout);
    for start in [
        &["matmul_t", "8×2", "forward"][..],
        &["matmul_t", "8×2", "backward"],
        &["minibatch"],
        &["noise"],
        &["optimiser"],
        &["=", "one", "step"],
        &["validation"],
        &["saving"],
        &["=", "all"],
        &["2", "threads,", "as", "measured:"],
    ] {
        assert!(has(&table, start), "no {start:?} in {table:?}");
    }
    for name in ["last.safetensors", "best.safetensors", "config.toml"] {
        let [run, p] = ["run", "p"].map(|run| fs::read(folder.path(run).join(name)).unwrap());
        assert_eq!(run, p, "{name}");
    }
    let output = folder.bhn().args(train).args(["q", "--json"]).args(TINY).assert().success();
    let found: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert!(found["test"]["accuracy"].is_number());
    let profile = &found["profile"];
    assert!(profile["machine"]["flops"].as_f64() > Some(1e8), "{profile}");
    assert!(profile["machine"]["bandwidth"].as_f64() > Some(1e8), "{profile}");
    let seconds = profile["rows"].as_array().unwrap().iter().map(|row| row["seconds"].as_f64());
    let (all, clock) =
        (seconds.sum::<Option<f64>>().unwrap(), profile["seconds"].as_f64().unwrap());
    assert!(all > 0.95 * clock && all <= clock, "{all} of {clock} s");
    assert_eq!(profile["count"], 15);
}

/// A run that diverges in its second step still prints the table, of one step.
#[test]
fn diverged_run_prints_its_profile() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let train = ["train", "animals.csv", "--batch", "16", "--learning-rate", "1e30", "--profile"];
    let output = folder.bhn().args(train).args(TINY).assert().code(1);
    let table = rows(&output.get_output().stdout);
    assert!(
        has(&table, &["matmul_t", "8×2", "backward"]) && has(&table, &["1", "step:"]),
        "{table:?}"
    );
}

#[test]
fn profiling_predict_prints_times_and_changes_no_result() {
    let folder = Folder::new();
    folder.trained();
    let predict = ["predict", "run", "animals.csv", "--out"];
    folder.bhn().args(predict).arg("a").assert().success();
    let output = folder.bhn().args(predict).args(["b", "--profile"]).assert().success();
    let [a, b] = ["a", "b"].map(|name| fs::read(folder.path(name)).unwrap());
    assert_eq!(a, b);
    let table = rows(&output.get_output().stdout);
    for start in [
        &["matmul_t", "8×2", "forward"][..],
        &["mean", "and", "entropies"],
        &["=", "one", "input"],
        &["writing"],
    ] {
        assert!(has(&table, start), "no {start:?} in {table:?}");
    }
    assert!(!has(&table, &["matmul_t", "8×2", "backward"]));
}

#[test]
fn profile_flag_is_rejected_where_unsupported() {
    let folder = Folder::new();
    let predict = ["predict", "run", "animals.csv", "--profile"];
    refused(folder.bhn().args(predict), &["required", "--out"]);
    refused(folder.bhn().args(["train", "--profile=yes"]), &["--profile", "unexpected value"]);
    refused(folder.bhn().args(["eval", "run", "--profile"]), &["--profile", "valid flags:"]);
}
