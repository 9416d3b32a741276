//! Defends: `bhn explain` prints the book's paragraph on a term, with the number of a run.
use crate::common::{Folder, bhn};
use crate::refused;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use serde_json::Value;

#[test]
fn terms_are_listed_and_explained() {
    bhn().arg("explain").assert().success().stdout(contains("Bound, ELBO").and(contains("k̂")));
    let text = starts_with("k̂\n\n").and(contains("chapter"));
    bhn().args(["explain", "k-hat"]).assert().success().stdout(text).stderr("");
    refused(bhn().args(["explain", "gradient"]), &["term: found \"gradient\"", "Path gradient"]);
    refused(bhn().args(["explain", "blancmange"]), &["\"blancmange\"", "BALD"]);
}

/// The number is that of the run in `--run`, and by default of the newest folder in `runs`.
#[test]
fn number_of_the_last_run_is_printed() {
    let folder = Folder::new();
    let none = folder.bhn().args(["explain", "elbo", "--json"]).output().unwrap();
    assert!(serde_json::from_slice::<Value>(&none.stdout).unwrap()["last_run"].is_null());
    let train = ["train", "--epochs", "1", "--subset", "100", "--hidden", "8", "--samples", "2"];
    for seed in ["1", "2"] {
        folder.bhn().args(train).args(["--seed", seed]).assert().success();
    }
    let value = |args: &[&str]| {
        let found = folder.bhn().args(["explain", "--json"]).args(args).output().unwrap();
        serde_json::from_slice::<Value>(&found.stdout).unwrap()["last_run"]["value"].clone()
    };
    let summary = |seed: u32| -> Value {
        let path = folder.path(&format!("runs/mnist-bhn-{seed}/summary.json"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    assert_eq!(value(&["elbo"]), summary(2)["elbo"]["total"]);
    assert_eq!(value(&["nll", "--run", "runs/mnist-bhn-1"]), summary(1)["test"]["nll"]);
    let missing = ["explain", "elbo", "--run", "runs/none"];
    refused(folder.bhn().args(missing), &["runs/none/summary.json"]);
}
