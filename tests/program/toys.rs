//! Defends: `bhn reproduce` on the toy experiments runs all of their code and reports their
//! results.
use crate::common::Folder;
use rstest::rstest;
use serde_json::Value;
use std::fs;

#[rstest]
#[case("regression", 6, &["scores", "spreads", "distances", "nuts", "curves"], &["panels", "along"])]
#[case("dependence", 9, &["tests", "histogram"], &["dependence"])]
#[case(
    "scales",
    18,
    &[
        "gaps", "certificates", "recipes", "evidence", "modes", "wide", "posteriors-mle",
        "posteriors-t0", "posteriors-t8"
    ],
    &["gap", "recipe", "pair"]
)]
#[case("together", 9, &["settings", "crossing", "results"], &["nll"])]
fn toy_experiments_report_finite_results(
    #[case] name: &str,
    #[case] verdicts: usize,
    #[case] tables: &[&str],
    #[case] figures: &[&str],
) {
    let folder = Folder::new();
    let args = ["reproduce", name, "--tier", "smoke", "--out", "out", "--json"];
    let done = folder.bhn().args(args).assert().success();
    let found: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    let found = found[0]["verdicts"].as_array().unwrap();
    assert_eq!(found.len(), verdicts);
    assert!(found.iter().all(|verdict| verdict["mean"].as_f64().unwrap().is_finite()));
    let read = |file: String| fs::read_to_string(folder.path("out").join(file)).unwrap();
    for table in tables {
        let text = read(format!("{table}.csv"));
        assert!(text.lines().count() > 1 && !text.contains("NaN"), "{table}: {text}");
    }
    for figure in figures {
        let svg = read(format!("{figure}.svg"));
        assert!(svg.starts_with("<svg") && !svg.contains("NaN"), "{figure}");
    }
}
