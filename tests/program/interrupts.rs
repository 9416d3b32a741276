//! Defends: SIGINT, SIGTERM, SIGHUP and their like end a command at once, by the signal, and leave
//! no temporary file; training can be resumed. The temporary files of others are left alone.
#![cfg(target_os = "linux")]
use crate::common::{Folder, animals};
use crate::missing::outcome;
use crate::refused;
use crate::test_data::test_data;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const SIGNALS: [(&str, i32); 6] =
    [("INT", 2), ("TERM", 15), ("HUP", 1), ("QUIT", 3), ("USR1", 10), ("XCPU", 24)];

/// Starts `bhn` with its temporary folder in `tmp`. A test that runs in the background ignores
/// SIGINT, and so would its children.
fn start(folder: &Folder, args: &[&str]) -> Child {
    fs::create_dir_all(folder.path("tmp")).unwrap();
    let mut command = Command::new("env");
    command
        .arg("--default-signal=INT,TERM,HUP,QUIT,USR1,XCPU")
        .arg(assert_cmd::cargo::cargo_bin("bhn"));
    command.current_dir(folder.path("")).args(["--threads", "2"]).args(args);
    command.env("TMPDIR", folder.path("tmp")).env("XDG_CACHE_HOME", "/nowhere");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    // The process may have ended in the meantime.
    Command::new("kill").args([&format!("-{name}"), &id]).stderr(Stdio::null()).status().unwrap();
}

/// The temporary files in a folder and its subfolders, and what is in `tmp`.
fn temporary_files(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains("partial") || folder.ends_with("tmp") {
            found.push(path.display().to_string());
        } else if path.is_dir() {
            found.extend(temporary_files(&path));
        }
    }
    found
}

/// Sends a signal at a random moment. The process ends by it and leaves no temporary file; its
/// standard error, or `None` if it had finished.
fn interrupt(
    folder: &Folder,
    args: &[&str],
    takes: Duration,
    rng: &mut ChaCha8Rng,
) -> Option<String> {
    let child = start(folder, args);
    let (name, number) = SIGNALS[rng.random_range(0..SIGNALS.len())];
    // The handler is installed in the first milliseconds, before any file is written.
    let first = Duration::from_millis(30).min(takes / 2);
    sleep(first + rng.random_range(Duration::ZERO..takes));
    signal(&child, name);
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!(temporary_files(&folder.path("")), [""; 0], "after SIG{name}");
    let text = String::from_utf8(stderr).unwrap();
    assert!(status.success() || status.signal() == Some(number), "SIG{name}, {status:?}: {text}");
    assert!(!text.contains("internal error") && !text.contains("No such file"), "{text}");
    (!status.success()).then_some(text)
}

/// The duration of a command that is not interrupted.
fn duration(folder: &Folder, args: &[&str]) -> Duration {
    let begun = Instant::now();
    let output = start(folder, args).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8(output.stderr).unwrap());
    begun.elapsed()
}

#[test]
fn interrupted_predict_leaves_no_temporary_file() {
    let folder = Folder::new();
    folder.trained();
    let rows = animals();
    let (header, rows) = rows.split_once('\n').unwrap();
    folder.write("long.csv", format!("{header}\n{}", rows.repeat(300)));
    let args = ["predict", "run", "long.csv", "--samples", "20", "--out", "p.csv"];
    let mut takes = duration(&folder, &args);
    let whole = fs::read(folder.path("p.csv")).unwrap();
    let rng = &mut ChaCha8Rng::seed_from_u64(21);
    let mut interrupted = 0;
    for _ in 0..40 {
        folder.write("p.csv", "of old");
        match interrupt(&folder, &args, takes, rng) {
            Some(_) => interrupted += 1,
            // It was faster this time.
            None => takes = takes.mul_f64(0.8),
        }
        let found = fs::read(folder.path("p.csv")).unwrap();
        assert!(found == b"of old" || found == whole, "neither the old file nor the new one");
    }
    assert!(interrupted >= 5, "only {interrupted} of 40 were interrupted in time");
}

/// Each command that reads a run, or checks, at random moments of its work.
#[rstest]
#[case::eval("eval run --samples 10000")]
#[case::acquire("acquire run --pool long.csv --samples 300 --out chosen.csv")]
#[case::sample("sample run --samples 10000 --out draws.safetensors")]
#[case::verify_run("verify run")]
#[case::verify("verify --only flows")]
fn interrupted_command_leaves_no_temporary_file(#[case] command: &str) {
    let folder = Folder::new();
    folder.trained();
    let rows = animals();
    let (header, rows) = rows.split_once('\n').unwrap();
    folder.write("long.csv", format!("{header}\n{}", rows.repeat(50)));
    let args: Vec<&str> = command.split(' ').collect();
    let mut takes = duration(&folder, &args);
    let rng = &mut ChaCha8Rng::seed_from_u64(25);
    let mut interrupted = 0;
    for _ in 0..6 {
        match interrupt(&folder, &args, takes, rng) {
            Some(_) => interrupted += 1,
            None => takes = takes.mul_f64(0.8),
        }
    }
    assert!(interrupted >= 1, "all had ended before the signal, within {takes:?}");
}

/// From the unpacking of MNIST to the report.
#[test]
fn interrupted_training_resumes_to_identical_files() {
    let folder = Folder::new();
    let train = ["train", "mnist", "--subset", "300", "--hidden", "4", "--epochs", "12"];
    let train = [&train[..], &["--samples", "5", "--out", "run"]].concat();
    let mut takes = duration(&folder, &train);
    let whole = outcome(&folder.path("run"));
    let rng = &mut ChaCha8Rng::seed_from_u64(22);
    let resume = ["train", "--resume", "run", "--samples", "5"];
    let mut interrupted = 0;
    for _ in 0..10 {
        if interrupted >= 4 {
            break;
        }
        fs::remove_dir_all(folder.path("run")).unwrap();
        let next = || match folder.path("run/config.toml").exists() {
            true => &resume[..],
            false => &train,
        };
        for _ in 0..2 {
            let Some(text) = interrupt(&folder, next(), takes, rng) else {
                takes = takes.mul_f64(0.7);
                break;
            };
            interrupted += 1;
            let is_training = text.contains("epoch ") || text.contains("run folder");
            assert!(!is_training || text.contains("Continue with `bhn train"), "{text}");
        }
        duration(&folder, next());
        assert!(outcome(&folder.path("run")) == whole, "not the run that was not interrupted");
    }
    assert!(interrupted >= 2, "only {interrupted} were interrupted in time");
}

/// If a step and what follows it end within two seconds, which a busy disk may prevent.
#[test]
fn training_stops_after_its_step() {
    let mut stopped = 0;
    for (name, number) in SIGNALS {
        let folder = Folder::new();
        folder.write("animals.csv", animals());
        folder.write("run.toml", "[train]\nvalidate_every = 1\n");
        let long = ["--config", "run.toml", "--epochs", "1000000", "--out", "my run"];
        let train = [&["train", "animals.csv"][..], &long].concat();
        let mut child = start(&folder, &train);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.starts_with("epoch   3")));
        signal(&child, name);
        let last = lines.last().unwrap();
        let has_stopped = last.starts_with("error: training was interrupted after step");
        assert!(has_stopped || last.starts_with("interrupted."), "{last}");
        stopped += usize::from(has_stopped);
        assert!(last.ends_with("Continue with `bhn train --resume 'my run'`."), "{last}");
        assert_eq!(child.wait().unwrap().signal(), Some(number));
    }
    assert!(stopped > 0);
}

/// `ulimit -f` is an error of the file, and no signal.
#[test]
fn file_size_limit_is_an_error() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let script = "ulimit -f 8; exec \"$0\" train animals.csv --epochs 1 --out 'my run'";
    let mut limited = Command::new("bash");
    limited.arg("-c").arg(script).arg(assert_cmd::cargo::cargo_bin("bhn"));
    limited.current_dir(folder.path(""));
    refused(&mut assert_cmd::Command::from_std(limited), &["my run", "File too large"]);
    assert_eq!(temporary_files(&folder.path("")), [""; 0]);
}

/// `nohup bhn …`
#[test]
fn ignored_signals_stay_ignored() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let mut command = Command::new("env");
    command.arg("--ignore-signal=HUP").arg(assert_cmd::cargo::cargo_bin("bhn"));
    let train = ["train", "animals.csv", "--epochs", "30", "--samples", "5", "--out", "run"];
    command.current_dir(folder.path("")).args(["--threads", "2"]).args(train);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("epoch   1")));
    signal(&child, "HUP");
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
}

#[test]
fn interrupted_fetch_leaves_no_temporary_file() {
    let Some(source) = test_data("notmnist") else { return };
    let folder = Folder::new();
    let from = source.to_str().unwrap();
    let args = ["data", "fetch", "notmnist", "--data-dir", "data", "--from", from];
    let takes = duration(&folder, &args);
    let rng = &mut ChaCha8Rng::seed_from_u64(23);
    for _ in 0..8 {
        fs::remove_dir_all(folder.path("data")).ok();
        interrupt(&folder, &args, takes, rng);
    }
    duration(&folder, &args);
}

#[test]
fn interrupted_experiment_says_how_to_continue() {
    let folder = Folder::new();
    let args = ["reproduce", "dependence", "--tier", "smoke", "--out", "out"];
    let takes = duration(&folder, &args);
    let rng = &mut ChaCha8Rng::seed_from_u64(24);
    for _ in 0..3 {
        fs::remove_dir_all(folder.path("out")).unwrap();
        if let Some(text) = interrupt(&folder, &args, takes, rng) {
            let has_begun = text.contains("tier smoke");
            assert!(!has_begun || text.contains("Continue with the same command"), "{text}");
        }
        duration(&folder, &args);
    }
}

/// `predict` writes into the run folder while the run is resumed. Its temporary file is kept, as is
/// a file of the user; that of a killed process is removed.
#[test]
fn resume_keeps_the_temporary_files_of_others() {
    let folder = Folder::new();
    let run = folder.trained();
    let npy = |rows| {
        let array = ndarray::Array2::from_shape_fn((rows, 2), |(n, i)| (n + i) as f32);
        ndarray_npy::write_npy(folder.path("rows.npy"), &array).unwrap();
        fs::read(folder.path("rows.npy")).unwrap()
    };
    let rows = npy(9);
    let mut expected = vec![];
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let predict = |out| ["predict", "run", "pipe", "--samples", "5", "--out", out];
    for out in ["p.csv", "run/p.csv"] {
        let child = start(&folder, &predict(out));
        let mut writer = File::options().write(true).open(&pipe).unwrap();
        if out.starts_with("run") {
            let live = temporary_files(&run);
            assert_eq!(live.len(), 1, "{live:?}");
            let (notes, left) = ("run/.partial-notes.txt", "run/.bhn-partial-0123456789ab");
            folder.write(notes, "of the user");
            folder.write(left, "of a killed process");
            folder.bhn().args(["train", "--resume", "run", "--samples", "5"]).assert().success();
            assert!(folder.path(notes).exists() && !folder.path(left).exists());
            assert!(Path::new(&live[0]).exists());
            fs::remove_file(folder.path(notes)).unwrap();
        }
        writer.write_all(&rows).unwrap();
        drop(writer);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8(output.stderr).unwrap());
        let found = fs::read(folder.path(out)).unwrap();
        if out.starts_with("run") {
            assert!(found == expected);
        }
        expected = found;
    }
    assert_eq!(temporary_files(&folder.path("")), [""; 0]);
}

/// The next output in the same folder removes what a killed process has left.
#[test]
fn killed_predict_is_cleaned_up_by_the_next() {
    let folder = Folder::new();
    folder.trained();
    let pipe = folder.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut child = start(&folder, &["predict", "run", "pipe", "--out", "p.csv"]);
    let writer = File::options().write(true).open(&pipe).unwrap();
    assert_eq!(temporary_files(&folder.path("")).len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    drop(writer);
    assert_eq!(temporary_files(&folder.path("")).len(), 1);
    let predict = ["predict", "run", "animals.csv", "--samples", "5", "--out", "p.csv"];
    folder.bhn().args(predict).assert().success();
    assert_eq!(temporary_files(&folder.path("")), [""; 0]);
}
