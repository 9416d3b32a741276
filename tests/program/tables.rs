//! Defends: tables as people have them train, predict and acquire by one command each, and a wrong
//! row is reported with its line, its column and what to do.
use crate::common::{Folder, TINY};
use crate::refused;
use predicates::prelude::*;
use predicates::str::contains;
use std::fs;

const ROWS: usize = 120;

/// Like UCI's wine-quality: semicolons, and names in quotes.
fn wine() -> String {
    let line = |i: usize| {
        let acidity = 0.1 * (i % 23) as f64;
        format!("{:.1};{acidity:.2};{}.5;{}\n", 7. + acidity, i % 11, 3 + i % 6)
    };
    let header = "\"fixed acidity\";\"volatile acidity\";\"residual sugar\";\"quality\"\n";
    header.to_string() + &(0..ROWS).map(line).collect::<String>()
}

/// Like UCI's adult: words, spaces after commas, and ? for missing values.
fn adult() -> String {
    let line = |i: usize| {
        let class =
            if i.is_multiple_of(13) { "?" } else { ["Private", "State-gov", "Self-emp"][i % 3] };
        let education = ["Bachelors", "HS-grad"][i / 2 % 2];
        let income = if i % 5 < 2 { ">50K" } else { "<=50K" };
        format!("{}, {class}, {education}, {}, {income}\n", 20 + i % 40, 30 + i % 17)
    };
    let header = "age, workclass, education, hours-per-week, income\n";
    header.to_string() + &(0..ROWS).map(line).collect::<String>()
}

/// Like the passengers of the Titanic: holes, and columns that identify rows.
fn titanic() -> String {
    let line = |i: usize| {
        let sex = ["male", "female"][i % 2];
        let age = if i.is_multiple_of(6) { String::new() } else { format!("{}.5", 10 + i % 50) };
        let cabin = if i % 5 < 3 { format!("C{i}") } else { String::new() };
        let port = if i == 61 { "" } else { ["S", "C", "Q"][i % 3] };
        let survived = u8::from((i % 2 == 1) ^ i.is_multiple_of(7));
        format!(
            "{},{survived},{},\"Braund, Mr. {i}\",{sex},{age},A/5 {i},{}.25,{cabin},{port}\n",
            i + 1,
            1 + i % 3,
            7 + i % 30
        )
    };
    let header = "PassengerId,Survived,Pclass,Name,Sex,Age,Ticket,Fare,Cabin,Embarked\n";
    header.to_string() + &(0..ROWS).map(line).collect::<String>()
}

/// Trains, predicts and acquires on one file; returns what training said and the predictions.
fn uses(folder: &Folder, file: &str, flags: &[&str]) -> (String, String) {
    let train = ["train", file, "--out", "run"];
    let trained = folder.bhn().args(train).args(flags).args(TINY).assert().success();
    let said = String::from_utf8(trained.get_output().stderr.clone()).unwrap();
    let predicted = folder.bhn().args(["predict", "run", file]).assert().success();
    let acquire = ["acquire", "run", "--pool", file, "--k", "3"];
    let acquired = folder.bhn().args(acquire).assert().success().get_output().stdout.clone();
    assert_eq!(acquired.iter().filter(|&&byte| byte == b'\n').count(), 4);
    folder.bhn().args(["eval", "run"]).assert().success();
    folder.bhn().args(["train", "--resume", "run", "--samples", "5"]).assert().success();
    let predicted = String::from_utf8(predicted.get_output().stdout.clone()).unwrap();
    assert_eq!(predicted.lines().count(), 1 + ROWS);
    (said, predicted)
}

#[track_caller]
fn says(said: &str, parts: &[&str]) {
    // The table aligns its columns by spaces.
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    parts.iter().for_each(|part| assert!(said.contains(part), "{part:?} is not in: {said}"));
}

#[test]
fn table_with_semicolons_trains() {
    let folder = Folder::new();
    folder.write("wine.csv", wine());
    let (said, predicted) = uses(&folder, "wine.csv", &["--task", "regression"]);
    let kinds = ["fixed acidity number", "residual sugar number", "quality target"];
    says(&said, &["semicolons separate the columns", "24 of 120 rows are for validation"]);
    says(&said, &kinds);
    // Decimal commas are the same numbers.
    folder.write("comma.csv", wine().replace('.', ","));
    let again = folder.bhn().args(["predict", "run", "comma.csv"]).assert().success();
    let again = String::from_utf8(again.get_output().stdout.clone()).unwrap();
    assert_eq!(again.replace("comma.csv", "wine.csv"), predicted);
    fs::remove_dir_all(folder.path("run")).unwrap();
    let (said, again) = uses(&folder, "comma.csv", &["--task", "regression"]);
    says(&said, &["fixed acidity number, decimal comma"]);
    assert_eq!(again.replace("comma.csv", "wine.csv"), predicted);
}

#[test]
fn table_of_words_trains() {
    let folder = Folder::new();
    folder.write("adult.csv", adult());
    let (said, predicted) = uses(&folder, "adult.csv", &[]);
    let classes = "workclass 4 categories: Private, Self-emp, State-gov, missing (";
    says(&said, &["age number", classes, "education 2 categories: Bachelors, HS-grad"]);
    assert!(predicted.starts_with("index,input,label,p_<=50K,p_>50K,"), "{predicted}");
    // Without its header, the file is refused.
    let headless: String = adult().lines().skip(1).map(|line| format!("{line}\n")).collect();
    folder.write("headless.csv", headless);
    let parts = ["headless.csv", "in the first line", "a header", "x1,x2"];
    refused(folder.bhn().args(["train", "headless.csv"]), &parts);
    // A word that did not occur in training, and one for a number.
    let new = "hours-per-week, age, education, workclass\n40, 30, Masters, Private\n";
    folder.write("new.csv", new);
    let found = folder.bhn().args(["predict", "run", "new.csv"]).assert().success();
    let note = "note: 1 cell has a word that did not occur in training";
    let found = found.stderr(contains(note));
    found.stderr(contains("new.csv, line 2, column \"education\", \"Masters\""));
    folder.write("bad.csv", format!("{new}forty, 30, HS-grad, ?\n"));
    let parts = ["bad.csv, line 3, column \"hours-per-week\"", "\"forty\"", "finite", "Correct"];
    refused(folder.bhn().args(["predict", "run", "bad.csv"]), &parts);
    refused(folder.bhn().args(["acquire", "run", "--pool", "bad.csv"]), &parts);
}

#[test]
fn table_with_holes_and_identifiers_trains() {
    let folder = Folder::new();
    folder.write("titanic.csv", titanic());
    let (said, _) = uses(&folder, "titanic.csv", &["--target", "Survived"]);
    says(
        &said,
        &["Name left out: 120 different words in 120 rows", "Cabin left out: 72 different"],
    );
    says(&said, &["missing → median", "+ indicator", "Sex 2 categories: female, male"]);
    let predict = folder.bhn().args(["predict", "run", "titanic.csv"]).assert().success();
    predict.stderr(contains("note: 21 cells have no value"));
    let quiet = ["train", "titanic.csv", "--target", "Survived", "--quiet", "--out", "quiet"];
    folder.bhn().args(quiet).args(TINY).assert().success().stderr("");
    let bad = titanic().replace(",11.5,A/5 1,", ",old,A/5 1,");
    folder.write("bad.csv", bad);
    let train = ["train", "bad.csv", "--target", "Survived"];
    let parts = ["bad.csv, line 3, column \"Age\"", "\"old\"", "finite number", "--drop \"Age\""];
    refused(folder.bhn().args(train), &parts);
    let dropped = ["--drop", "Age,PassengerId", "--out", "dropped"];
    let said = folder.bhn().args(train).args(dropped).args(TINY).assert().success();
    said.stderr(contains("left out: by --drop").and(contains("indicator").not()));
}

#[test]
fn splits_of_a_run_are_found_again() {
    let folder = Folder::new();
    folder.write("a.csv", adult());
    let test: String = adult().lines().take(31).map(|line| format!("{line}\n")).collect();
    folder.write("test.csv", &test);
    let (said, _) = uses(&folder, "a.csv", &["--test", "test.csv"]);
    says(&said, &["96 training, 24 validation and 30 test examples"]);
    let config = fs::read_to_string(folder.path("run/config.toml")).unwrap();
    assert!(config.contains("test.csv\"") && config.contains("validation_rows = 30"), "{config}");
    // The files may be moved, and must not change.
    let elsewhere = Folder::new();
    elsewhere.bhn().arg("eval").arg(folder.path("run")).assert().success();
    fs::rename(folder.path("test.csv"), folder.path("t.csv")).unwrap();
    let parts = ["test.csv", "no such file", "`test` in", "config.toml"];
    refused(folder.bhn().args(["eval", "run"]), &parts);
    folder.write("run/config.toml", config.replace("test.csv", "t.csv"));
    folder.bhn().args(["eval", "run"]).assert().success();
    folder.write("t.csv", test.replacen("State-gov", "Private", 1));
    refused(folder.bhn().args(["eval", "run"]), &["have changed"]);
    let both = ["train", "a.csv", "--test", "t.csv", "--split", "part"];
    refused(folder.bhn().args(both), &["--split", "--test"]);
    refused(folder.bhn().args(["train", "mnist", "--test", "t.csv"]), &["test file", "mnist"]);
}

/// An older version wrote `drop_missing = true`.
#[test]
fn old_key_drops_rows() {
    let folder = Folder::new();
    folder.write("a.csv", adult());
    folder.write("old.toml", "data = 'a.csv'\ndrop_missing = true\n");
    for flags in [&["--config", "old.toml"][..], &["a.csv", "--drop-missing"]] {
        let train =
            folder.bhn().arg("train").args(flags).args(["--out", "run"]).args(TINY).assert();
        train.success().stderr(contains("10 rows with missing values left out"));
        let config = fs::read_to_string(folder.path("run/config.toml")).unwrap();
        assert!(config.contains("missing = \"drop\"") && !config.contains("drop_missing"));
        fs::remove_dir_all(folder.path("run")).unwrap();
    }
}

/// The largest memory of `predict` in bytes, on a compressed table of `rows` rows.
#[cfg(target_os = "linux")]
fn peak(folder: &Folder, rows: usize) -> u64 {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;
    let file = fs::File::create(folder.path("large.csv.gz")).unwrap();
    let mut gz = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let names: Vec<_> = (0..10).map(|i| format!("x{i}")).collect();
    writeln!(gz, "{}", names.join(",")).unwrap();
    for i in 0..rows {
        let cells: Vec<_> = (0..10).map(|j| ((i * (j + 3)) % 101).to_string()).collect();
        writeln!(gz, "{}", cells.join(",")).unwrap();
    }
    gz.finish().unwrap();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("bhn"))
        .current_dir(folder.path(""))
        .args(["--threads", "2", "predict", "run", "large.csv.gz", "--samples", "2", "--quiet"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut lines, mut peak) = (0, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        line.unwrap();
        lines += 1;
        if lines % 1000 == 0 {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = kilobytes.and_then(|text| text.trim().strip_suffix(" kB"));
            peak = kilobytes.map_or(peak, |text| text.parse::<u64>().unwrap() << 10);
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(lines, 1 + rows);
    peak
}

/// Ten times as many rows need no more memory, except for that of the allocator.
#[test]
#[cfg(target_os = "linux")]
fn a_million_rows_are_predicted_in_bounded_memory() {
    let folder = Folder::new();
    let line = |i: usize| {
        let cells: Vec<_> = (0..10).map(|j| ((i * (j + 3)) % 101).to_string()).collect();
        format!("{},{}\n", cells.join(","), ["a", "b"][i % 2])
    };
    let names: Vec<_> = (0..10).map(|i| format!("x{i}")).collect();
    let body: String = (0..100).map(line).collect();
    folder.write("t.csv", format!("{},y\n{body}", names.join(",")));
    folder.bhn().args(["train", "t.csv", "--out", "run"]).args(TINY).assert().success();
    let [few, many] = [100_000, 1_000_000].map(|rows| peak(&folder, rows));
    println!("peak {} MB for a tenth of the rows, {} MB for all", few >> 20, many >> 20);
    assert!(few > 0 && many < few + few / 2, "{few} and {many} bytes");
}
