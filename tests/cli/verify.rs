//! `bhn verify` finds nothing wrong, and would have.
use crate::common::bhn;
use crate::refused;
use serde_json::Value;

#[test]
fn everything_holds_and_no_fault_survives() {
    let output = bhn().args(["verify", "--json", "--quiet"]).assert().success();
    let found: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!(found["passed"], true);
    assert!(found["checks"].as_u64().unwrap() >= 30 && found["faults"].as_u64().unwrap() >= 30);
    for suite in found["suites"].as_array().unwrap() {
        for check in suite["checks"].as_array().unwrap() {
            let caught = check["caught"].as_array().unwrap();
            assert_eq!(caught.len(), suite["faults"].as_array().unwrap().len());
            assert!(caught.contains(&Value::Bool(true)), "{check}");
        }
    }
}

#[test]
fn some_of_it_and_its_faults() {
    let stdout = |args: &[&str]| {
        let output = bhn().arg("verify").args(args).assert().success();
        String::from_utf8(output.get_output().stdout.clone()).unwrap()
    };
    let text = stdout(&["--only", "bound", "--only", "rankings"]);
    assert!(
        text.contains("β weighs the KL and nothing else") && text.contains("| AUPR "),
        "{text}"
    );
    assert!(
        !text.contains("Jacobian") && text.contains("6 checks, 0 failed; 15 seeded faults, 0 not")
    );
    let text = stdout(&["--only", "dropout", "--mutants"]);
    assert!(
        text.contains("| masks that are not scaled ") && text.contains("| noticed |"),
        "{text}"
    );
    refused(
        bhn().args(["verify", "--only", "everything"]),
        &["everything", "flows", "checkpoints"],
    );
}
