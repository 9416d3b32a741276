//! Defends: `bhn reproduce` writes every file, continues after an interruption to the same results,
//! and leaves other folders alone.
use crate::common::{Folder, contents};
use crate::refused;
use predicates::prelude::*;
use predicates::str::contains;
use rstest::rstest;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SMOKE: [&str; 6] = ["reproduce", "modes", "--tier", "smoke", "--seeds", "1"];

/// The results in all cells, by name, without the times.
fn results(dir: &Path) -> Vec<(String, Value)> {
    let cell = |(name, bytes): (String, Vec<u8>)| {
        let mut cell: Value = serde_json::from_slice(&bytes).unwrap();
        (name, cell["result"].take())
    };
    let files =
        contents(&dir.join("cells")).into_iter().filter(|(name, _)| name.ends_with(".json"));
    files.map(cell).collect()
}

#[test]
fn interrupted_experiment_continues_to_same_results() {
    let folder = Folder::new();
    let whole = folder.bhn().args(SMOKE).args(["--out", "whole", "--json"]).assert().success();
    let found: Value = serde_json::from_slice(&whole.get_output().stdout).unwrap();
    assert_eq!(found[0]["experiment"], "modes");
    // One seed decides nothing.
    let verdicts = found[0]["verdicts"].as_array().unwrap();
    assert!(verdicts.len() >= 4 && verdicts.iter().all(|v| v["outcome"] == "undecided"));
    every_file(&folder.path("whole"));

    // Killed as soon as there is a cell, and then continued on one thread.
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("bhn"))
        .args(SMOKE)
        .args(["--threads", "2", "--out", "parts"])
        .current_dir(folder.path(""))
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (cells, start) = (folder.path("parts/cells"), Instant::now());
    let is_cell = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".json");
    let begun = || fs::read_dir(&cells).unwrap().any(|e| is_cell(&e.unwrap().file_name()));
    while !cells.exists() || !begun() {
        assert!(start.elapsed() < Duration::from_secs(60), "no cell in a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = results(&folder.path("whole"));
    let kept = results(&folder.path("parts"));
    assert!(kept.len() < before.len(), "killed too late to test anything");
    let mut again = assert_cmd::Command::cargo_bin("bhn").unwrap();
    again.current_dir(folder.path("")).args(SMOKE).args(["--threads", "1", "--out", "parts"]);
    again.assert().success().stderr(contains("continuing: "));
    assert_eq!(results(&folder.path("parts")), before);

    // A folder of another tier is refused and left unchanged, and a damaged cell is refused.
    let before = contents(&folder.path("parts/cells"));
    let quick = ["reproduce", "modes", "--out", "parts"];
    refused(folder.bhn().args(quick), &["parts", "tier smoke", "tier quick", "--out"]);
    assert_eq!(contents(&folder.path("parts/cells")), before);
    fs::write(folder.path("parts/cells/net-t0-0.json"), "{").unwrap();
    refused(folder.bhn().args(SMOKE).args(["--out", "parts"]), &["net-t0-0.json", "Remove it"]);
}

/// Skipped rows are reported beside the outcomes of the claims, and in JSON.
#[test]
fn skipped_rows_are_reported() {
    let folder = Folder::new();
    let args = ["reproduce", "uci", "--tier", "smoke", "--data-dir", "nowhere", "--out", "uci"];
    let skipped = "yacht skipped: bhn data fetch uci";
    // Nothing else was computed, which is an error.
    let said = contains("uci: nothing was computed").and(contains("bhn data fetch uci"));
    folder.bhn().args(args).assert().failure().stdout(contains(skipped)).stderr(said);
    let json = folder.bhn().args(args).arg("--json").assert().failure();
    let found: Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    assert_eq!(found[0]["skipped"], Value::from(vec![skipped]));
    let table = fs::read_to_string(folder.path("uci/table.md")).unwrap();
    assert!(table.contains("* command: bhn reproduce uci --tier smoke"), "{table}");
}

/// A cell of an earlier version has no checksum, which is reported. A changed cell is refused, and
/// no table is written from it.
#[test]
fn unsealed_cells_are_reported_and_changed_cells_rejected() {
    let folder = Folder::new();
    let again = || {
        let mut bhn = folder.bhn();
        bhn.args(SMOKE).args(["--out", "lab"]);
        bhn
    };
    again().assert().success();
    let table = |name: &str| fs::read(folder.path("lab").join(name)).unwrap();
    let before = table("fits.csv");
    let cells = contents(&folder.path("lab/cells"));
    let (name, bytes) = &cells[0];
    let mut cell: Value = serde_json::from_slice(bytes).unwrap();
    assert!(cell.as_object_mut().unwrap().remove("sha256").is_some());
    folder.write(&format!("lab/cells/{name}"), serde_json::to_vec(&cell).unwrap());
    let told = format!("1 of {} cells has none", cells.len());
    again().assert().success().stderr(contains(format!("checksums: {told}")));
    assert_eq!(table("fits.csv"), before);
    for page in ["table.md", "report.html"] {
        let page = String::from_utf8(table(page)).unwrap();
        assert!(page.contains(&told), "{page}");
    }

    let (name, bytes) = &cells[1];
    let digit = bytes.iter().position(u8::is_ascii_digit).unwrap();
    let mut flipped = bytes.clone();
    flipped[digit] ^= 1;
    folder.write(&format!("lab/cells/{name}"), flipped);
    refused(&mut again(), &[name, "checksum", "Remove it"]);
    assert_eq!(table("fits.csv"), before);
    fs::remove_file(folder.path("lab/cells").join(name)).unwrap();
    again().assert().success();
    assert_eq!(table("fits.csv"), before);
}

/// Asserts that a finished experiment's folder has every file, and that each can be read.
fn every_file(dir: &Path) {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let expected = [
        ".lock",
        "cells",
        "fits.csv",
        "lab.json",
        "net.csv",
        "net.png",
        "net.svg",
        "report.html",
        "ridge.csv",
        "ridge.png",
        "ridge.svg",
        "table.md",
    ];
    assert_eq!(names, expected);
    for name in ["net", "ridge"] {
        let image = image::open(dir.join(format!("{name}.png"))).unwrap().to_rgb8();
        assert!(image.pixels().any(|p| p.0 == [255; 3]) && image.pixels().any(|p| p.0 == [0; 3]));
        let svg = fs::read_to_string(dir.join(format!("{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && !svg.contains("NaN"), "{name}.svg");
        let table = csv::Reader::from_path(dir.join(format!("{name}.csv"))).unwrap();
        assert!(table.into_records().all(|row| row.unwrap().len() == 8));
    }
    let fits = csv::Reader::from_path(dir.join("fits.csv")).unwrap();
    assert_eq!(fits.into_records().count(), results(dir).len());
    let text = fs::read_to_string(dir.join("table.md")).unwrap();
    for part in ["reproduce modes --tier smoke", "not decided by one seed", "commits: ", "net.svg"]
    {
        assert!(text.contains(part), "{part} is not in table.md");
    }
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    for outside in ["<script", "<link", "src=\"http", "@import", "url(http"] {
        assert!(!page.contains(outside), "{outside} in the report");
    }
    assert!(page.matches("<svg").count() == 2 && page.contains("ln 2"));
}

#[rstest]
#[case(&["mods"], &["mods", "modes", "all"])]
#[case(&[], &["EXPERIMENT"])]
#[case(&["modes", "--tier", "full"], &["full", "smoke", "quick", "paper"])]
#[case(&["modes", "--seeds", "0"], &["--seeds", "'0'", "1 to 1000"])]
#[case(&["modes", "--seed", "1"], &["--seed", "valid flags:", "--seeds", "--tier", "--out"])]
#[case(&["modes", "--out", "."], &["other files", "experiment `modes`", "--out"])]
fn invalid_arguments_are_rejected_before_writing(#[case] args: &[&str], #[case] parts: &[&str]) {
    let folder = Folder::new();
    folder.write("thesis.tex", "work of years");
    refused(folder.bhn().arg("reproduce").args(args), parts);
    let left = contents(&folder.path(""));
    assert_eq!(left, [("thesis.tex".to_string(), b"work of years".to_vec())]);
}

/// The page of a finished folder is drawn again without its runs, and nothing is computed.
#[test]
fn cached_results_suffice_for_the_page() {
    let folder = Folder::new();
    let bhn = |args: &[&str]| folder.bhn().args(["--quiet", "reproduce"]).args(args).assert();
    let smoke = ["modes", "--tier", "smoke", "--out", "modes"];
    let said = bhn(&[&smoke[..], &["--cached"]].concat()).failure();
    let said = String::from_utf8_lossy(&said.get_output().stderr).into_owned();
    assert!(said.contains("found no results") && said.contains("without --cached"), "{said}");
    assert!(!folder.path("modes").exists());
    bhn(&smoke).success();
    let table = || fs::read(folder.path("modes/fits.csv")).unwrap();
    let before = table();
    fs::remove_file(folder.path("modes/fits.csv")).unwrap();
    bhn(&[&smoke[..], &["--cached"]].concat()).success();
    assert_eq!(table(), before);
}
