//! Defends: a file that is missing from a run or an experiment is a refusal that names it, or makes
//! no difference; nothing is lost.
use crate::common::{Folder, TINY, animals, contents};
use crate::refused;
use bhn::primary::Layer;
use bhn::run::config::Config;
use bhn::run::{Checkpoint, MethodKind, Progress, Run, Trained, load_data};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The files of a finished run that are the same each time.
pub fn outcome(run: &Path) -> [Vec<u8>; 3] {
    ["config.toml", "last.safetensors", "best.safetensors"].map(|f| fs::read(run.join(f)).unwrap())
}

/// Puts the `last.safetensors` of a run's start into it.
pub fn rewind(run: &Path) {
    let config = Config::read(&run.join("config.toml")).unwrap();
    let data = load_data(&config, None).unwrap();
    let start = run.with_extension("start");
    drop(Run::create(&start, config.resolve(&data).unwrap(), data).unwrap());
    fs::rename(start.join("last.safetensors"), run.join("last.safetensors")).unwrap();
    fs::remove_dir_all(start).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::remove_dir_all(to).ok();
    fs::create_dir(to).unwrap();
    for (name, bytes) in contents(from) {
        fs::write(to.join(name), bytes).unwrap();
    }
}

/// A small configuration on `animals.csv`.
fn config(folder: &Folder, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config {
        data: folder.write("animals.csv", animals()).display().to_string(),
        ..Config::default()
    };
    config.primary.layers = Some(Layer::mlp(&[4], 2));
    (config.flow.hidden, config.train.epochs, config.train.learning_rate) = (4, 8, 0.5);
    change(&mut config);
    config
}

/// A run, and copies of its folder as it was when it had been created and after each epoch.
fn history(folder: &Folder, name: &str, config: Config) -> Vec<PathBuf> {
    let data = load_data(&config, None).unwrap();
    let dir = folder.path(name);
    let mut run = Run::create(&dir, config.resolve(&data).unwrap(), data).unwrap();
    run.checkpoint_interval = Duration::ZERO;
    let mut states = vec![];
    let mut keep = |epoch: usize| {
        let state = folder.path(&format!("{name}-{epoch}"));
        copy(&dir, &state);
        states.push(state);
    };
    keep(0);
    run.train(|progress| {
        if let Progress::Epoch(epoch, _) = progress {
            keep(epoch.epoch);
        }
    })
    .unwrap();
    states
}

/// Each file is removed from each state of a run: resuming is refused, and changes nothing, or ends
/// with the same files.
#[test]
fn no_missing_file_of_a_run_loses_anything() {
    let folder = Folder::new();
    let states = history(&folder, "whole", config(&folder, |_| ()));
    let whole = outcome(&folder.path("whole"));
    let (mut refusals, mut rebuilt) = (0, 0);
    for state in &states {
        let last = Checkpoint::load(&state.join("last.safetensors")).unwrap();
        let best = last.header.best.as_ref().map(|(epoch, _)| *epoch);
        for (name, _) in contents(state) {
            let run = folder.path("part");
            copy(state, &run);
            fs::remove_file(run.join(&name)).unwrap();
            let before = contents(&run);
            let resumed = Run::resume(&run, None).and_then(|mut run| run.train(|_| ()).map(drop));
            let is_refused = match &*name {
                "config.toml" => true,
                "last.safetensors" => last.header.epoch > 0,
                "best.safetensors" => best != Some(last.header.epoch),
                _ => false,
            };
            match resumed {
                Ok(()) => {
                    assert!(!is_refused, "{name} of {}", state.display());
                    assert!(outcome(&run) == whole, "{name} of {}", state.display());
                    rebuilt += usize::from(name == "best.safetensors");
                }
                Err(error) => {
                    assert!(is_refused, "{name} of {}: {error}", state.display());
                    assert!(error.to_string().contains(&format!("no {name}")), "{error}");
                    assert_eq!(contents(&run), before, "{name} of {}", state.display());
                    refusals += 1;
                }
            }
        }
    }
    assert!(refusals > 10 && rebuilt > 0, "{refusals} refusals, {rebuilt} rebuilt");
}

/// The advice of a refusal is not one that fails with the same refusal.
#[test]
fn commands_say_what_to_do_about_missing_checkpoints() {
    let folder = Folder::new();
    // Its best epoch is an early one.
    let mle = config(&folder, |config| {
        (config.method, config.train.learning_rate) = (MethodKind::Mle, 0.7);
    });
    let states = history(&folder, "whole", mle);
    let lost = |state: &Path| {
        let last = Checkpoint::load(&state.join("last.safetensors")).unwrap().header;
        last.best.is_some_and(|(best, _)| best != last.epoch)
    };
    let first = |is_lost| states[1..].iter().find(|state| lost(state) == is_lost);
    for state in [first(true), first(false)].into_iter().flatten() {
        let run = folder.path("part");
        copy(state, &run);
        fs::remove_file(run.join("best.safetensors")).unwrap();
        let advice = match lost(state) {
            true => "train again: `bhn train --config part/config.toml --out NEW`",
            false => "Write it again with `bhn train --resume part`",
        };
        refused(folder.bhn().args(["eval", "part"]), &["no best.safetensors", advice]);
        if lost(state) {
            refused(folder.bhn().args(["train", "--resume", "part"]), &[advice]);
            let again = ["train", "--config", "part/config.toml", "--out", "new"];
            folder.bhn().args(again).assert().success();
            assert!(outcome(&folder.path("new")) == outcome(&folder.path("whole")));
            fs::remove_dir_all(folder.path("new")).unwrap();
        } else {
            folder.bhn().args(["train", "--resume", "part"]).assert().success();
            folder.bhn().args(["eval", "part"]).assert().success();
        }
    }
    copy(&states[0], &folder.path("part"));
    let finish = "Finish it with `bhn train --resume part`";
    refused(folder.bhn().args(["eval", "part"]), &["no best.safetensors", finish]);
    // A folder with files but without a configuration cannot be continued.
    fs::remove_file(folder.path("part/config.toml")).unwrap();
    let text = folder.bhn().args(["train", "animals.csv", "--out", "part"]).output().unwrap();
    let text = String::from_utf8(text.stderr).unwrap();
    assert!(text.contains("Choose another folder") && !text.contains("--resume"), "{text}");
}

/// A run has its initial parameters from the start on: the run that it starts from may change.
#[test]
fn source_of_a_warm_start_may_be_replaced() {
    let folder = Folder::new();
    let mle =
        |seed| config(&folder, |config| (config.method, config.seed) = (MethodKind::Mle, seed));
    history(&folder, "source", mle(1));
    let warm = config(&folder, |config| config.warm_start = Some(folder.path("source")));
    let states = history(&folder, "whole", warm);
    fs::remove_dir_all(folder.path("source")).unwrap();
    history(&folder, "source", mle(2));
    Run::resume(&states[0], None).unwrap().train(|_| ()).unwrap();
    assert!(outcome(&states[0]) == outcome(&folder.path("whole")));
    fs::remove_file(states[1].join("last.safetensors")).unwrap();
    for file in ["metrics.jsonl", "best.safetensors"] {
        fs::remove_file(states[1].join(file)).unwrap();
    }
    let error = Run::resume(&states[1], None).err().unwrap().to_string();
    assert!(error.contains("no last.safetensors in a run that starts from another"), "{error}");
}

/// Waits until a file exists.
fn wait_for(path: &Path) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "no {} in a minute", path.display());
        sleep(Duration::from_millis(2));
    }
}

/// The lock does not depend on its file, and a folder that takes the place of the run's is left
/// alone.
#[test]
#[cfg(unix)]
fn lock_survives_its_file() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("bhn"))
        .current_dir(folder.path(""))
        .args(["--threads", "2", "train", "animals.csv", "--epochs", "1000000", "--out", "run"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A pipe that nobody reads would stop the child.
    let mut stderr = child.stderr.take().unwrap();
    let text = std::thread::spawn(move || std::io::read_to_string(&mut stderr).unwrap());
    let run = folder.path("run");
    wait_for(&run.join("best.safetensors"));
    fs::remove_file(run.join(".lock")).unwrap();
    refused(folder.bhn().args(["train", "--resume", "run"]), &["another bhn is writing in"]);
    fs::rename(&run, folder.path("moved")).unwrap();
    fs::create_dir(&run).unwrap();
    assert!(!child.wait().unwrap().success());
    let text = text.join().unwrap();
    let error = text.lines().last().unwrap();
    assert!(error.starts_with("error: run"), "{error}");
    assert!(!text.contains("internal error"), "{text}");
    let trained = Trained::load(&folder.path("moved")).unwrap();
    assert!(trained.header.epoch > 0);
    folder.bhn().args(["eval", "moved"]).assert().success();
}

/// Files of an experiment, below its folder.
fn files(folder: &Path, below: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder.join(below)).unwrap().map(|entry| entry.unwrap()) {
        let path = Path::new(below).join(entry.file_name()).to_str().unwrap().to_string();
        match entry.path().is_dir() {
            true => files(folder, &path, found),
            false => found.push(path),
        }
    }
}

/// Each file is removed from an experiment, which then ends with the same tables and cells, or is
/// refused.
#[test]
fn no_missing_file_of_an_experiment_loses_anything() {
    let folder = Folder::new();
    let out = folder.path("out");
    let args = ["reproduce", "dependence", "--tier", "smoke", "--out", "out"];
    folder.bhn().args(args).assert().success();
    let mut all = vec![];
    files(&out, "", &mut all);
    all.sort();
    assert!(all.len() > 5, "{all:?}");
    let kept: Vec<_> = all.iter().filter(|name| name.ends_with(".csv")).collect();
    let tables = || kept.iter().map(|name| fs::read(out.join(name)).unwrap()).collect::<Vec<_>>();
    let before = tables();
    // One file of each kind: cells differ in their numbers only.
    let kind = |name: &String| name.split(|c: char| c.is_ascii_digit()).next().unwrap().to_string();
    let mut kinds: Vec<String> = vec![];
    for name in &all {
        if name == ".lock" || kinds.contains(&kind(name)) {
            continue;
        }
        kinds.push(kind(name));
        let bytes = fs::read(out.join(name)).unwrap();
        fs::remove_file(out.join(name)).unwrap();
        if name == "lab.json" {
            refused(folder.bhn().args(args), &["out", "a folder with other files"]);
            fs::write(out.join(name), bytes).unwrap();
        } else {
            folder.bhn().args(args).assert().success();
            assert!(out.join(name).exists(), "{name}");
            assert!(tables() == before, "{name}");
        }
    }
}

/// A run in an experiment's folder, or in a user's: `TINY` is one that the program trains.
#[test]
fn summary_and_report_are_written_again() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    folder.bhn().args(["train", "animals.csv", "--out", "run"]).args(TINY).assert().success();
    let whole = outcome(&folder.path("run"));
    for name in ["summary.json", "report.html", "metrics.jsonl", ".lock"] {
        fs::remove_file(folder.path("run").join(name)).unwrap();
        folder.bhn().args(["train", "--resume", "run", "--samples", "5"]).assert().success();
        assert!(folder.path("run").join(name).exists() && outcome(&folder.path("run")) == whole);
    }
}
