//! Defends: `bhn verify` finds no fault in the engine or in a run, and notices every seeded one.
use crate::common::{Folder, TINY, bhn};
use crate::{heights, refused};
use rstest::rstest;
use serde_json::Value;
use std::fs;

#[test]
fn all_checks_pass_and_each_detects_a_fault() {
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
fn only_and_mutants_flags_select_output() {
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

/// `bhn verify RUN` prints every suite, or why a suite does not apply, and diagnostics if there is
/// a density.
#[rstest]
#[case("bhn", 10, &[])]
#[case("bhn --flow iaf", 10, &[])]
#[case("bhn --flow planar", 10, &[])]
#[case("bhn --flow cholesky", 10, &[])]
#[case("bhn --flow low-rank", 10, &[])]
#[case("bhn --flow linear", 10, &[])]
#[case("bhn --couplings 0", 10, &[])]
#[case("full-bhn", 10, &[])]
#[case("laplace", 8, &["inverse", "log-determinant"])]
#[case("bbb", 8, &["inverse", "log-determinant"])]
#[case("mnf", 7, &["inverse", "log-determinant", "draws"])]
#[case("concrete-dropout", 6, &["inverse", "log-determinant", "draws", "lower bound"])]
#[case("mc-dropout", 5, &["inverse", "log-determinant", "draws", "annealing", "lower bound"])]
#[case("dropout", 5, &["inverse", "log-determinant", "draws", "annealing", "lower bound"])]
#[case("mle", 5, &["inverse", "log-determinant", "draws", "annealing", "lower bound"])]
#[case("ensemble", 5, &["inverse", "log-determinant", "draws", "annealing", "lower bound"])]
fn run_passes_and_its_faults_are_detected(
    #[case] method: &str,
    #[case] checks: usize,
    #[case] absent: &[&str],
) {
    let folder = Folder::new();
    folder.write("heights.csv", heights());
    let flags: Vec<_> = TINY.iter().filter(|_| !method.contains("couplings")).collect();
    let short = ["--hidden", "8", "--epochs", "3"];
    let mut train = folder.bhn();
    train.args(["train", "heights.csv", "--out", "run", "--method"]).args(method.split(' '));
    match flags.is_empty() {
        true => train.args(short).assert().success(),
        false => train.args(flags).assert().success(),
    };
    let verify = ["verify", "run", "--json", "--quiet", "--samples", "50"];
    let output = folder.bhn().args(verify).assert().success();
    let found: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!((&found["passed"], &found["checks"]), (&Value::Bool(true), &Value::from(checks)));
    assert_eq!(found["survivors"], Value::Array(vec![]));
    let said = found["does_not_apply"].as_array().unwrap();
    let said: Vec<_> = said.iter().map(|a| a["property"].as_str().unwrap()).collect();
    assert_eq!(said, absent);

    let has_density = checks >= 7;
    let widths = found.get("widths");
    assert_eq!(widths.is_some(), has_density);
    if let Some(found) = widths {
        let [kl, bound] =
            [&found["kl"]["value"], &found["lower_bound"]].map(|v| v.as_f64().unwrap());
        assert!(0. < bound && bound < kl + 4. * found["kl"]["entropy_error"].as_f64().unwrap());
        let scales = ["bbb", "mnf", "full-bhn"].iter().all(|all| *all != method);
        assert_eq!(found["hidden_units"].is_object(), scales);
    }
    let diagnostics = found.get("diagnostics");
    assert_eq!(diagnostics.is_some(), has_density);
    if let Some(found) = diagnostics {
        assert_eq!((&found["draws"], &found["examples"]), (&50.into(), &70.into()));
        let bounds = found["bounds"].as_array().unwrap();
        let elbo = found["elbo"]["total"].as_f64().unwrap();
        assert_eq!((bounds.len(), bounds[0]["k"].as_u64()), (6, Some(1)));
        assert!((bounds[0]["value"].as_f64().unwrap() - elbo).abs() < 1e-9 * elbo.abs());
        // The bounds use the same draws in nested groups, so that Jensen's inequality holds
        // exactly.
        let [one, five, ten, fifty] = [0, 2, 3, 5].map(|i| bounds[i]["value"].as_f64().unwrap());
        assert!(one < five && five < ten && ten < fifty, "{found}");
        let effective = found["effective_sample_size"].as_f64().unwrap();
        assert!((1. ..=50.).contains(&effective));
        let without = ["bbb", "mnf", "laplace"].contains(&method);
        assert_eq!(found["inversion_error"].is_null(), without);
    }
}

#[test]
fn run_report_lists_checks_and_diagnostics() {
    let folder = Folder::new();
    folder.trained();
    let verify = |args: &[&str]| {
        let output = folder.bhn().args(["verify", "run"]).args(args).assert().success();
        String::from_utf8(output.get_output().stdout.clone()).unwrap()
    };
    let text = verify(&["--samples", "20"]);
    for part in
        ["| whole loss ", "3 of 3", "k-hat", " L_20 ", "20 draws θ ~ q", "70 training", "0.scales"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = verify(&["--only", "gradients", "--mutants"]);
    assert!(text.contains("| ln q(θ) has no gradient ") && !text.contains("k-hat"), "{text}");
}

#[test]
fn invalid_runs_and_flags_are_rejected() {
    let folder = Folder::new();
    let run = folder.trained();
    let verify = |args: &[&str]| {
        let mut command = folder.bhn();
        command.arg("verify").args(args);
        command
    };
    refused(&mut verify(&["nowhere"]), &["nowhere", "no such folder", "bhn train"]);
    refused(&mut verify(&["."]), &["no config.toml", "a run folder"]);
    let only = ["run", "--only", "rankings"];
    refused(&mut verify(&only), &["--only rankings", "of the engine alone", "gradients, flows"]);
    refused(&mut verify(&["--samples", "50"]), &["RUN"]);
    refused(&mut verify(&["run", "--samples", "3"]), &["from 20 to"]);

    let best = run.join("best.safetensors");
    let mut bytes = fs::read(&best).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&best, &bytes).unwrap();
    refused(&mut verify(&["run"]), &["best.safetensors", "checksum"]);
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&best, bytes).unwrap();
    let others = "length,weight,kind\n".to_string() + &"1,2,cat\n3,4,dog\n".repeat(40);
    folder.write("animals.csv", others);
    refused(&mut verify(&["run"]), &["animals", "data that have changed"]);
    fs::remove_file(folder.path("animals.csv")).unwrap();
    refused(&mut verify(&["run"]), &["animals.csv", "no such file"]);
}
