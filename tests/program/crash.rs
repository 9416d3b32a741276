//! Defends: nothing is lost by two processes in one folder, by files that are not what their names
//! say, or by SIGKILL at any moment.
use crate::common::{Folder, TINY, animals, contents};
use crate::refused;
use crate::test_data::test_data;
use bhn::run::checkpoint::Checkpoint;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The incomplete files of a folder and of its subfolders.
fn incomplete_files(folder: &Path) -> Vec<String> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        let is_json = || serde_json::from_slice::<serde_json::Value>(&fs::read(&entry).unwrap());
        if entry.is_dir() {
            found.extend(incomplete_files(&entry));
        } else if name.ends_with(".safetensors") && Checkpoint::load(&entry).is_err()
            || name.ends_with(".json") && is_json().is_err()
            || name.ends_with(".html") && !fs::read_to_string(&entry).unwrap().ends_with("</html>")
            || name == "config.toml" && bhn::run::config::Config::read(&entry).is_err()
        {
            found.push(entry.display().to_string());
        }
    }
    found
}

/// Runs `bhn` with these arguments to its end, or kills it after `delay`; returns whether it was
/// killed.
fn run_or_kill(folder: &Folder, args: &[&str], delay: Duration) -> bool {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("bhn"));
    command.current_dir(folder.path("")).args(["--quiet", "--threads", "2"]).args(args);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    sleep(delay);
    let in_time = child.try_wait().unwrap().is_none();
    child.kill().ok();
    child.wait().unwrap();
    in_time
}

/// The files of a finished run that are the same each time, and its curves except times.
fn outcome(run: &Path) -> (Vec<u8>, Vec<u8>, String) {
    let read = |name| fs::read(run.join(name)).unwrap();
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let without_time = metrics.lines().map(|line| line.split("\"seconds\"").next().unwrap());
    (read("last.safetensors"), read("best.safetensors"), without_time.collect())
}

/// A run of many short epochs, so that it saves most of the time.
const SHORT: [&str; 11] = [
    "train",
    "animals.csv",
    "--out",
    "run",
    "--hidden",
    "8",
    "--couplings",
    "2",
    "--epochs",
    "40",
    "--samples=5",
];

/// Trains, and kills the process at random moments until training ends: `kills` times in all, over
/// several runs.
fn train_and_kill(kills: usize, seed: u64) {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let start = Instant::now();
    folder.bhn().args(SHORT).assert().success();
    let takes = start.elapsed();
    let whole = outcome(&folder.path("run"));
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let mut killed = 0;
    let next = || match folder.path("run/config.toml").exists() {
        true => &["train", "--resume", "run", "--samples=5"][..],
        false => &SHORT,
    };
    while killed < kills {
        fs::remove_dir_all(folder.path("run")).unwrap();
        let mut saved = 0;
        let delay = |rng: &mut ChaCha8Rng| rng.random_range(Duration::ZERO..takes.mul_f64(0.7));
        while killed < kills && run_or_kill(&folder, next(), delay(rng)) {
            killed += 1;
            assert_eq!(incomplete_files(&folder.path("")), [""; 0]);
            let last = Checkpoint::load(&folder.path("run/last.safetensors"));
            let epochs = last.map_or(0, |last| last.header.epoch);
            assert!(epochs >= saved, "{saved} epochs were saved, {epochs} are left");
            saved = epochs;
        }
        folder.bhn().args(next()).assert().success();
        assert!(outcome(&folder.path("run")) == whole, "not the run that was not killed");
        let partial = |(name, _): &(String, _)| name.starts_with(".bhn-partial-");
        assert!(!contents(&folder.path("run")).iter().any(partial));
    }
}

#[test]
fn training_survives_kills() {
    train_and_kill(6, 1);
}

#[test]
#[ignore = "minutes: 200 kills"]
fn training_survives_200_kills() {
    train_and_kill(200, 2);
}

/// The cells and tables that an experiment ends with.
fn reproduced(folder: &Folder, out: &str) -> Vec<(String, Vec<u8>)> {
    let csv = contents_of_files(&folder.path(out), ".csv");
    assert!(!csv.is_empty());
    csv
}

fn contents_of_files(folder: &Path, end: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.to_string_lossy().ends_with(end))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn reproduce_and_kill(kills: usize, seed: u64) {
    let folder = Folder::new();
    let args = |out: &'static str| ["reproduce", "dependence", "--tier", "smoke", "--out", out];
    let start = Instant::now();
    folder.bhn().args(args("whole")).assert().success();
    let takes = start.elapsed();
    let whole = reproduced(&folder, "whole");
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..kills {
        run_or_kill(&folder, &args("out"), rng.random_range(Duration::ZERO..takes));
        assert_eq!(incomplete_files(&folder.path("")), [""; 0]);
    }
    folder.bhn().args(args("out")).assert().success();
    assert_eq!(reproduced(&folder, "out"), whole);
}

#[test]
fn experiment_survives_kills() {
    reproduce_and_kill(3, 3);
}

#[test]
#[ignore = "minutes: 50 kills"]
fn experiment_survives_50_kills() {
    reproduce_and_kill(50, 4);
}

#[test]
fn killed_fetch_leaves_only_complete_files() {
    let Some(source) = test_data("notmnist") else { return };
    let folder = Folder::new();
    let args =
        ["data", "fetch", "notmnist", "--data-dir", "data", "--from", source.to_str().unwrap()];
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    for _ in 0..8 {
        fs::remove_dir_all(folder.path("data")).ok();
        run_or_kill(&folder, &args, Duration::from_millis(rng.random_range(0..150)));
        if folder.path("data/notmnist/t10k-images-idx3-ubyte.gz").exists() {
            folder
                .bhn()
                .args(["data", "check", "notmnist", "--data-dir", "data"])
                .assert()
                .success();
        }
    }
    folder.bhn().args(args).assert().success();
    let names: Vec<_> = contents(&folder.path("data/notmnist")).into_iter().map(|f| f.0).collect();
    assert_eq!(names, ["t10k-images-idx3-ubyte.gz"]);
}

/// The lock belongs to the process: it is released if the process is killed.
#[test]
fn second_process_in_a_folder_is_refused() {
    let folder = Folder::new();
    let run = folder.trained();
    let before = contents(&run);
    let held = File::options().append(true).open(run.join(".lock")).unwrap();
    held.lock().unwrap();
    let parts = ["run", "another bhn is writing in", "Wait until it has ended"];
    refused(folder.bhn().args(["train", "--resume", "run"]), &parts);
    assert_eq!(contents(&run), before);
    folder.bhn().args(["eval", "run"]).assert().success();
    drop(held);
    folder.bhn().args(["train", "--resume", "run"]).assert().success();

    fs::create_dir_all(folder.path("new")).unwrap();
    let held = File::create(folder.path("new/.lock")).unwrap();
    held.lock().unwrap();
    let train = ["train", "animals.csv", "--out", "new"];
    refused(folder.bhn().args(train).args(TINY), &["new", "another bhn"]);
    let reproduce = ["reproduce", "dependence", "--tier", "smoke", "--out", "new"];
    refused(folder.bhn().args(reproduce), &["new", "another bhn"]);
    drop(held);
    // A process that was killed at once leaves no run, and its files do not prevent a new one.
    folder.write("new/.bhn-partial-0123456789ab", "half a configuration");
    folder.bhn().args(train).args(TINY).assert().success();
    assert!(!folder.path("new/.bhn-partial-0123456789ab").exists());
}

/// A file of four gigabytes in place of a small one is refused without being read into memory.
#[rstest]
#[case("run/best.safetensors", &["eval", "run"])]
#[case("run/last.safetensors", &["train", "--resume", "run"])]
#[case("run/config.toml", &["eval", "run"])]
#[case("run/metrics.jsonl", &["train", "--resume", "run"])]
#[case("animals.csv", &["eval", "run"])]
#[case("animals.csv", &["predict", "run", "animals.csv"])]
#[case("a.npz", &["train", "a.npz"])]
#[case("a.npy", &["predict", "run", "a.npy"])]
#[case("a.idx", &["predict", "run", "a.idx"])]
#[cfg(target_os = "linux")]
fn oversized_files_are_rejected_without_reading_them(
    #[case] file: &str,
    #[case] args: &[&str],
    #[values(false, true)] from_zero: bool,
) {
    let folder = Folder::new();
    folder.trained();
    if file.ends_with(".npy") {
        ndarray_npy::write_npy(folder.path(file), &ndarray::Array2::<f32>::zeros((3, 2))).unwrap();
    } else if file.ends_with(".idx") {
        folder
            .write(file, [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2][..], &[9; 2]].concat());
    }
    let path = folder.path(file);
    let options = File::options().create(true).truncate(from_zero).write(true).open(&path);
    options.unwrap().set_len(4 << 30).unwrap();
    let bhn = assert_cmd::cargo::cargo_bin("bhn");
    let mut limited = Command::new("bash");
    let script = "ulimit -v 3000000; exec \"$0\" --threads 2 \"$@\"";
    limited.current_dir(folder.path("")).args(["-c", script]).arg(bhn).args(args);
    refused(
        &mut assert_cmd::Command::from_std(limited),
        &[Path::new(file).file_name().unwrap().to_str().unwrap()],
    );
}

/// A header of safetensors that claims 10¹² numbers.
#[test]
fn checkpoint_with_false_sizes_is_rejected() {
    let folder = Folder::new();
    let run = folder.trained();
    let header = "{\"w\":{\"dtype\":\"F32\",\"shape\":[1000000,1000000],\"data_offsets\":[0,4000000000000]}}";
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat();
    fs::write(run.join("best.safetensors"), bytes).unwrap();
    refused(folder.bhn().args(["eval", "run"]), &["best.safetensors", "4000000000"]);
    let endless = [&u64::MAX.to_le_bytes()[..], &[b' '; 64]].concat();
    fs::write(run.join("best.safetensors"), endless).unwrap();
    refused(folder.bhn().args(["eval", "run"]), &["best.safetensors", "damaged or truncated"]);
}
