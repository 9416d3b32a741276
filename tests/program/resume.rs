//! Defends: a run is determined by its seed and settings. If it is killed at any moment and
//! resumed, or uses any number of threads, its files are bitwise identical to those of an
//! undisturbed run.
#![cfg(feature = "cli")]

use crate::common::{Folder, SMALL, animals, contents};
use crate::missing::rewind;
use crate::refused;
use bhn::primary::Layer;
use bhn::run::config::Config;
use bhn::run::{Progress, Run, load_data, read_metrics};
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

/// The parts that must be equal: checkpoints, and metrics except times, bitwise.
fn outcome(run: &Path) -> (Vec<u8>, Vec<u8>, Vec<Value>) {
    let read = |name| fs::read(run.join(name)).unwrap();
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = metrics.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        // The time, and the checksum, which covers the time.
        for key in ["seconds", "sha256"] {
            line.as_object_mut().unwrap().remove(key).unwrap();
        }
        line
    });
    (read("last.safetensors"), read("best.safetensors"), lines.collect())
}

fn start(folder: &Folder, args: &[&str]) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("bhn"));
    command.current_dir(folder.path("")).args(["--quiet", "--threads", "2"]).args(args);
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// Kills the process `delay` after the run has this many lines of metrics; returns whether it was
/// still running.
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
fn killed_run_resumes_to_identical_files() {
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

/// A crash between any two writes of an epoch, simulated: files of later moments beside the
/// checkpoint of an earlier one, a line cut short, a temporary file.
#[test]
fn files_newer_than_checkpoint_are_discarded() {
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
    rewind(&stopped);
    let partial = "stopped/.bhn-partial-0123456789ab";
    folder.write(partial, "half a checkpoint");
    let metrics = fs::read_to_string(stopped.join("metrics.jsonl")).unwrap();
    folder.write("stopped/metrics.jsonl", &metrics[..metrics.len() / 2]);
    let resume = ["train", "--resume", "stopped"];
    folder.bhn().args(resume).assert().success();
    assert!(outcome(&stopped) == whole);
    assert!(!folder.path(partial).exists());
    folder.write("stopped/metrics.jsonl", metrics.clone() + &metrics + "{\"epoch\":");
    folder.bhn().args(resume).assert().success();
}

/// Every epoch has its line of metrics, some a validation and a checkpoint.
#[test]
fn sparse_checkpoints_resume_to_identical_files() {
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
fn resuming_finished_run_changes_no_result() {
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

#[rstest]
fn result_depends_on_seed_and_not_on_threads(#[values("f32", "bf16")] precision: &str) {
    let folder = Folder::new();
    let train = |out: &str, flags: &[&str]| {
        train(&folder, out, &[&["--precision", precision], flags].concat());
    };
    train("one", &["--threads", "1"]);
    let one = outcome(&folder.path("one"));
    for (name, threads) in [("again", "1"), ("two", "2"), ("three", "3")] {
        train(name, &["--threads", threads]);
        assert!(outcome(&folder.path(name)) == one, "{threads} threads differ");
    }
    train("other", &["--threads", "2", "--seed", "1"]);
    let other = outcome(&folder.path("other"));
    assert_ne!(other.0, one.0);
    assert_ne!(other.2, one.2);
}

/// The checkpoint is intact, and the run continues from it.
#[rstest]
#[case(b"")]
#[case(b"not json\n")]
#[case(b"\xff\x00\n{\"epoch\":1}\n")]
fn run_resumes_without_metrics_and_reports_it(#[case] bytes: &[u8]) {
    let folder = Folder::new();
    let run = folder.trained();
    let before = outcome(&run);
    folder.write("run/metrics.jsonl", bytes);
    let resume = ["train", "--resume", "run", "--samples", "5"];
    let told = predicates::str::contains("of 3 of 3 epochs no record is left");
    folder.bhn().args(resume).assert().success().stderr(told);
    let after = outcome(&run);
    assert!(after.0 == before.0 && after.1 == before.1 && after.2.is_empty());
    let summary = fs::read(run.join("summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!([&summary["epochs"], &summary["unrecorded_epochs"]], [3, 3]);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("Training took 3 epochs, of which no record is left"));
}

#[test]
fn damaged_record_is_dropped_and_others_kept() {
    let folder = Folder::new();
    let run = folder.trained();
    let before = outcome(&run);
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    // The second epoch's loss, in one digit.
    let second = metrics.match_indices("\"loss\":").nth(1).unwrap().0 + 9;
    let mut bytes = metrics.clone().into_bytes();
    bytes[second] ^= 1;
    folder.write("run/metrics.jsonl", bytes);
    let resume = ["train", "--resume", "run", "--samples", "5", "--json"];
    let told = predicates::str::contains("of 1 of 3 epochs no record is left");
    let output = folder.bhn().args(resume).assert().success().stderr(told);
    let summary: Value = serde_json::from_slice(&output.get_output().stdout).unwrap();
    assert_eq!([&summary["epochs"], &summary["unrecorded_epochs"]], [3, 1]);
    let after = outcome(&run);
    assert!(after.0 == before.0 && after.1 == before.1);
    assert_eq!(after.2, [before.2[0].clone(), before.2[2].clone()]);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("No record is left of 1 of them"));
    // The duration is estimated from the epochs whose records are left.
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let seconds = |line: &str| serde_json::from_str::<Value>(line).unwrap()["seconds"].as_f64();
    let sum: f64 = lines.lines().map(|line| seconds(line).unwrap()).sum();
    assert!((summary["seconds"].as_f64().unwrap() - 1.5 * sum).abs() < 1e-9 * sum);
}

/// Bits of `metrics.jsonl` are flipped one at a time, in a run that was stopped after four of five
/// epochs. No number changes; only the damaged record is lost, or two records if a newline is
/// damaged; and the run ends with the same checkpoints.
#[test]
fn flipped_bits_in_metrics_do_not_stop_resume() {
    let folder = Folder::new();
    let mut config = Config {
        data: folder.write("animals.csv", animals()).display().to_string(),
        ..Config::default()
    };
    config.primary.layers = Some(Layer::mlp(&[4], 2));
    (config.flow.hidden, config.train.epochs, config.train.validate_every) = (4, 5, 2);
    let data = load_data(&config, None).unwrap();
    let config = config.resolve(&data).unwrap();
    let [whole, stopped, part] = ["whole", "stopped", "part"].map(|name| folder.path(name));
    let copy = |from: &Path, to: &Path| {
        fs::create_dir(to).unwrap();
        for (name, bytes) in contents(from) {
            fs::write(to.join(name), bytes).unwrap();
        }
    };
    let mut run = Run::create(&whole, config, data.clone()).unwrap();
    run.checkpoint_interval = Duration::ZERO;
    run.train(|progress| {
        if let Progress::Epoch(epoch, _) = progress
            && epoch.epoch == 4
        {
            copy(&whole, &stopped);
        }
    })
    .unwrap();
    let checkpoints = |run: &Path| {
        ["last", "best"].map(|n| fs::read(run.join(format!("{n}.safetensors"))).unwrap())
    };
    let metrics = fs::read(stopped.join("metrics.jsonl")).unwrap();
    let records = read_metrics(&stopped).unwrap();
    assert_eq!(records.len(), 4);
    let resumed = |bytes: &[u8]| {
        copy(&stopped, &part);
        fs::write(part.join("metrics.jsonl"), bytes).unwrap();
        let mut run = Run::resume_on(&part, data.clone()).unwrap();
        let lost = run.unrecorded();
        assert!(run.history.iter().all(|e| *e == records[e.epoch - 1]), "a number has changed");
        assert_eq!(run.history.len() + lost, 4);
        run.train(|_| ()).unwrap();
        assert!(checkpoints(&part) == checkpoints(&whole));
        assert_eq!(read_metrics(&part).unwrap(), run.history);
        assert_eq!(run.history.len() + lost, 5);
        drop(run);
        fs::remove_dir_all(&part).unwrap();
        lost
    };
    assert_eq!(resumed(&metrics), 0);
    // Lines of an earlier version, without checksums.
    let text = String::from_utf8(metrics.clone()).unwrap();
    let bare = |line: &str| line.split(",\"sha256\"").next().unwrap().to_string() + "}\n";
    assert_eq!(resumed(text.lines().map(bare).collect::<String>().as_bytes()), 0);
    let rng = &mut ChaCha8Rng::seed_from_u64(12);
    let ends = metrics.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let by_chance: Vec<_> = (0..120).map(|_| rng.random_range(0..metrics.len())).collect();
    for at in ends.chain(by_chance) {
        let mut bytes = metrics.clone();
        bytes[at] ^= 1 << rng.random_range(0..8);
        let lost = resumed(&bytes);
        let most = if metrics[at] == b'\n' && at + 1 < metrics.len() { 2 } else { 1 };
        assert_eq!(lost, most, "byte {at}, now {:?}", bytes[at]);
    }
}

/// A finished run that is extended has the bits of one with all epochs from the start, if the
/// schedule does not depend on their number; otherwise a note says so.
#[test]
fn finished_run_is_extended() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let train = |schedule: &str, epochs: &str, out: &str| {
        let settings = "patience = 0\nvalidate_every = 1\nvalidation_samples = 3\n";
        folder.write("run.toml", format!("[train]\nschedule = '{schedule}'\n{settings}"));
        let args = ["train", "animals.csv", "--config", "run.toml", "--epochs", epochs];
        let small = ["--hidden", "8", "--samples", "5", "--out", out];
        folder.bhn().args(args).args(small).assert().success();
    };
    let extend = |run: &str, epochs: &str| {
        let args = ["train", "--resume", run, "--epochs", epochs, "--samples", "5"];
        let output = folder.bhn().args(args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        text
    };
    train("constant", "3", "part");
    train("constant", "7", "whole");
    assert!(!extend("part", "7").contains("differs"));
    for name in ["config.toml", "last.safetensors", "best.safetensors"] {
        let [part, whole] =
            ["part", "whole"].map(|run| fs::read(folder.path(run).join(name)).unwrap());
        assert!(part == whole, "{name}");
    }
    train("paper", "3", "decayed");
    assert!(extend("decayed", "5").contains("differs from one of 5 epochs from the start"));
    let again = ["train", "--resume", "part", "--epochs", "7"];
    refused(folder.bhn().args(again), &["--epochs for part: found 7", "more than its 7"]);
    let swag = ["train", "animals.csv", "--method", "swag", "--epochs", "8", "--out", "swag"];
    folder.bhn().args(swag).args(["--hidden", "8", "--samples", "5"]).assert().success();
    let more = ["train", "--resume", "swag", "--epochs", "16"];
    refused(folder.bhn().args(more), &["the epochs of swag", "train again"]);
}
