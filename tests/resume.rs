//! Defends: a run is its seed and settings. Killed at any moment and resumed, or with any number of
//! threads, it ends in the same bytes as the run that nothing disturbed.
#![cfg(feature = "cli")]
mod common;

use common::{Folder, SMALL, animals, contents};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const EPOCHS: usize = 6;

/// A run of six epochs on the digits, with these flags.
fn train(folder: &Folder, out: &str, flags: &[&str]) {
    let small = SMALL.map(|flag| if flag == "3" { "6" } else { flag });
    let mut bhn = assert_cmd::Command::cargo_bin("bhn").unwrap();
    bhn.current_dir(folder.path("")).args(small).args(["--quiet", "--out", out]).args(flags);
    bhn.assert().success();
}

/// What must be equal: checkpoints to the byte, metrics to the bit but for the time.
fn outcome(run: &Path) -> (Vec<u8>, Vec<u8>, Vec<Value>) {
    let read = |name| fs::read(run.join(name)).unwrap();
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("seconds").unwrap();
        line
    });
    (read("last.safetensors"), read("best.safetensors"), lines.collect())
}

fn start(folder: &Folder, args: &[&str]) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("bhn"));
    command.current_dir(folder.path("")).args(["--quiet", "--threads", "2"]).args(args);
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// Kills the process `delay` after the run has so many lines of metrics; whether it was in time.
fn kill(mut child: Child, run: &Path, lines: usize, delay: Duration) -> bool {
    let start = Instant::now();
    let count = || fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |m| m.lines().count());
    while count() < lines && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(120), "no epoch in two minutes");
        sleep(Duration::from_millis(1));
    }
    sleep(delay);
    let in_time = child.try_wait().unwrap().is_none();
    child.kill().ok();
    child.wait().unwrap();
    in_time
}

/// Each run is killed twice: when it has these many lines of metrics and a random moment later.
#[test]
fn a_run_killed_anywhere_ends_as_if_it_had_not_been() {
    let folder = Folder::new();
    train(&folder, "whole", &[]);
    let whole = outcome(&folder.path("whole"));
    assert_eq!(whole.2.len(), EPOCHS);
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    let mut killed = 0;
    for (round, lines) in [[0, 1], [1, 2], [2, 4], [3, 5], [5, 6], [6, 6]].iter().enumerate() {
        let name = format!("run{round}");
        let run = folder.path(&name);
        let small = SMALL.map(|flag| if flag == "3" { "6" } else { flag });
        let mut first = small.to_vec();
        first.extend(["--out", &name]);
        let resume = ["train", "--resume", &name, "--samples", "5"];
        for (sitting, &lines) in lines.iter().enumerate() {
            let args = if run.join("config.toml").exists() { &resume[..] } else { &first[..] };
            let delay = Duration::from_micros(rng.random_range(0..60_000));
            killed += usize::from(kill(start(&folder, args), &run, lines, delay));
            if sitting == 0 && !run.join("config.toml").exists() {
                fs::remove_dir(&run).ok();
            }
        }
        let args = if run.join("config.toml").exists() { &resume[..] } else { &first[..] };
        assert!(start(&folder, args).wait().unwrap().success(), "{name}");
        assert!(outcome(&run) == whole, "{name} differs from the run that was not killed");
        let names: Vec<_> = contents(&run).into_iter().map(|file| file.0).collect();
        assert_eq!(names.len(), 6, "{names:?}");
    }
    assert!(killed >= 6, "only {killed} of 12 were killed in time");
}

/// A crash between any two writes of an epoch, made by hand: files of later moments beside the
/// checkpoint of an earlier one, a line cut short, a temporary file.
#[test]
fn whatever_is_newer_than_the_checkpoint_is_forgotten() {
    let folder = Folder::new();
    let run = folder.trained();
    let whole = outcome(&run);
    let mut bhn = start(
        &folder,
        &[
            "train",
            "animals.csv",
            "--out",
            "stopped",
            "--hidden",
            "8",
            "--couplings",
            "2",
            "--epochs",
            "3",
            "--samples",
            "5",
        ],
    );
    bhn.wait().unwrap();
    let stopped = folder.path("stopped");
    fs::remove_file(stopped.join("last.safetensors")).unwrap();
    folder.write("stopped/.partial-x", "half a checkpoint");
    let metrics = fs::read_to_string(stopped.join("metrics.jsonl")).unwrap();
    folder.write("stopped/metrics.jsonl", &metrics[..metrics.len() / 2]);
    let resume = ["train", "--resume", "stopped"];
    folder.bhn().args(resume).assert().success();
    assert!(outcome(&stopped) == whole);
    assert!(!stopped.join(".partial-x").exists());
    folder.write("stopped/metrics.jsonl", metrics.clone() + &metrics + "{\"epoch\":");
    folder.bhn().args(resume).assert().success();
}

/// Every epoch has its line of metrics, some a validation and a checkpoint.
#[test]
fn a_run_with_few_checkpoints_goes_on_from_the_last() {
    let folder = Folder::new();
    folder.write("sparse.toml", "[train]\nvalidate_every = 4\n");
    let flags = ["--config", "sparse.toml"];
    train(&folder, "whole", &flags);
    let whole = outcome(&folder.path("whole"));
    let validated: Vec<_> = whole.2.iter().map(|epoch| !epoch["validation"].is_null()).collect();
    assert_eq!(validated, [false, false, false, true, false, true]);
    let small = SMALL.map(|flag| if flag == "3" { "6" } else { flag });
    let args = [&small[..], &["--out", "part"], &flags].concat();
    kill(start(&folder, &args), &folder.path("part"), 5, Duration::ZERO);
    folder.bhn().args(["train", "--resume", "part", "--samples", "5"]).assert().success();
    assert!(outcome(&folder.path("part")) == whole);
}

#[test]
fn a_finished_run_resumes_to_itself() {
    let folder = Folder::new();
    let run = folder.trained();
    let before = outcome(&run);
    let config = fs::read(run.join("config.toml")).unwrap();
    fs::remove_file(run.join("summary.json")).unwrap();
    fs::remove_file(run.join("report.html")).unwrap();
    folder.bhn().args(["train", "--resume", "run", "--samples", "5"]).assert().success();
    assert!(outcome(&run) == before);
    assert_eq!(fs::read(run.join("config.toml")).unwrap(), config);
    assert!(run.join("summary.json").exists() && run.join("report.html").exists());
}

#[test]
fn threads_change_nothing_and_the_seed_changes_everything() {
    let folder = Folder::new();
    train(&folder, "one", &["--threads", "1"]);
    let one = outcome(&folder.path("one"));
    for (name, threads) in [("again", "1"), ("two", "2"), ("three", "3")] {
        train(&folder, name, &["--threads", threads]);
        assert!(outcome(&folder.path(name)) == one, "{threads} threads differ");
    }
    train(&folder, "other", &["--threads", "2", "--seed", "1"]);
    let other = outcome(&folder.path("other"));
    assert_ne!(other.0, one.0);
    assert_ne!(other.2, one.2);
}

/// Each of these needs its metrics.
#[rstest]
#[case("")]
#[case("not json\n")]
fn damaged_metrics_are_said(#[case] text: &str) {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let run = folder.trained();
    let before = contents(&run);
    folder.write("run/metrics.jsonl", text);
    let mut bhn = folder.bhn();
    let output = bhn.args(["train", "--resume", "run"]).assert().failure();
    let said = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(said.contains("metrics.jsonl: found 0 lines, expected 3"), "{said}");
    assert_eq!(contents(&run).len(), before.len());
    assert_eq!(fs::read_to_string(run.join("metrics.jsonl")).unwrap(), text);
}
