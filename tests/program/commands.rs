//! Defends: the commands that need no run do what their help says.
use crate::common::{Folder, bhn};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use rstest::rstest;

#[test]
fn no_argument_prints_help() {
    let mut bhn = Command::cargo_bin("bhn").unwrap();
    bhn.assert().failure().stderr(contains("Usage: bhn").and(contains("train")));
}

#[rstest]
#[case("train")]
#[case("eval")]
#[case("predict")]
#[case("acquire")]
#[case("sample")]
#[case("reproduce")]
#[case("verify")]
#[case("explain")]
#[case("explore")]
#[case("data")]
fn each_command_has_help(#[case] command: &str) {
    let text = contains(format!("Usage: bhn {command}"));
    bhn().args([command, "--help"]).assert().success().stdout(text).stderr("");
}

#[rstest]
#[case("bash", "_bhn()")]
#[case("zsh", "#compdef bhn")]
#[case("fish", "complete -c bhn")]
fn completions_are_generated(#[case] shell: &str, #[case] part: &str) {
    bhn().args(["completions", shell]).assert().success().stdout(contains(part)).stderr("");
}

/// Each value is one that the flag takes.
#[rstest]
#[case("bash")]
#[case("fish")]
fn completions_know_the_values_of_flags(#[case] shell: &str) {
    let output = bhn().args(["completions", shell]).assert().success();
    let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    for value in ["concrete-dropout", "swag", "cholesky", "regression", "batch-bald", "paper"] {
        assert!(text.contains(value), "{value} is not completed");
        let flag = ["--method", "--flow", "--task"].map(|flag| [flag, value]);
        let taken = flag.iter().filter(|flag| {
            let output = bhn().arg("train").args(**flag).args(["--config", "none"]).output();
            !String::from_utf8_lossy(&output.unwrap().stderr).contains("invalid value")
        });
        assert_eq!(taken.count(), usize::from(!["batch-bald", "paper"].contains(&value)));
    }
}

#[test]
fn man_prints_manual_page() {
    bhn().arg("man").assert().success().stdout(contains(".TH bhn").and(contains("train")));
}

#[test]
fn version_flag_prints_version() {
    bhn().arg("--version").assert().success().stdout(starts_with("bhn 0."));
}

#[test]
fn data_sets_are_listed_and_checked() {
    let json = |args: &[&str]| -> serde_json::Value {
        let output = bhn().arg("data").args(args).arg("--json").assert().success();
        assert!(output.get_output().stderr.is_empty());
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    };
    assert_eq!(json(&["list"])[0]["name"], "mnist");
    let files = json(&["check"]);
    assert_eq!(files.as_array().unwrap().len(), 4);
    assert!(files.as_array().unwrap().iter().all(|file| file["problem"].is_null()));
    bhn().args(["data", "list"]).assert().success().stdout(contains("CC BY-SA"));
    bhn().args(["data", "check", "mnist"]).assert().success().stdout(contains("ok"));
    let folder = Folder::new();
    let place = contains("inside the program");
    folder.bhn().args(["data", "list", "--data-dir", "."]).assert().success().stdout(place);
}

/// The machine is described on standard output.
#[test]
fn doctor_describes_the_machine() {
    let output = bhn().args(["doctor", "--json"]).assert().success();
    let found: serde_json::Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(found["threads"], 2);
    assert!(found["rates"]["flops"].as_f64() > Some(1e8), "{found}");
    assert!(found["data_sets"].as_array().unwrap().contains(&"mnist".into()), "{found}");
    let text = bhn().arg("doctor").assert().success();
    let text = String::from_utf8(text.get_output().stdout.clone()).unwrap();
    for part in ["kernels", "GFLOP/s", "free memory", "data folder", "commit"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}
