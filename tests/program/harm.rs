//! Defends: run folders made to harm, whose checksums are right but whose headers claim absurd
//! sizes or contradict themselves, are refused fast and without large allocations.
use crate::common::Folder;
use crate::refused;
use bhn::run::Config;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

type Tensors = Vec<(String, (Dtype, Vec<usize>, Vec<u8>))>;

/// A checkpoint after a change of its header and its tensors, with the checksum of the result, and
/// its configuration as TOML, if it still is one.
fn changed(bytes: &[u8], change: impl Fn(&mut Value, &mut Tensors)) -> (Vec<u8>, Option<String>) {
    let (_, outer) = SafeTensors::read_metadata(bytes).unwrap();
    let text = &outer.metadata().as_ref().unwrap()["bhn"];
    let mut inner: Value = serde_json::from_str(text).unwrap();
    let mut tensors: Tensors = SafeTensors::deserialize(bytes)
        .unwrap()
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect();
    inner["sha256"] = BLANK.into();
    change(&mut inner["header"], &mut tensors);
    let config = serde_json::from_value::<Config>(inner["header"]["config"].clone()).ok();
    let metadata = HashMap::from([("bhn".to_string(), inner.to_string())]);
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let mut file = safetensors::serialize(views, Some(metadata)).unwrap();
    let at = file.windows(64).position(|part| part == BLANK.as_bytes()).unwrap();
    let sum: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    file[at..at + 64].copy_from_slice(sum.as_bytes());
    (file, config.map(|config| config.to_toml()))
}

/// `bhn` in the folder, with an address space of 3 GB; it must end within 20 seconds.
#[track_caller]
fn refused_fast(folder: &Folder, args: &[&str], parts: &[&str]) {
    let script = "ulimit -v 3000000; exec timeout 20 \"$0\" --threads 2 \"$@\"";
    let mut limited = Command::new("bash");
    let bhn = assert_cmd::cargo::cargo_bin("bhn");
    limited.current_dir(folder.path("")).args(["-c", script]).arg(bhn).args(args);
    limited.env("XDG_CACHE_HOME", "/nowhere");
    let start = Instant::now();
    refused(&mut assert_cmd::Command::from_std(limited), parts);
    assert!(start.elapsed() < Duration::from_secs(10), "{args:?}: {:?}", start.elapsed());
}

/// Sets the value at a path such as `config.flow.couplings`.
fn set(header: &mut Value, path: &str, value: Value) {
    *path.split('.').fold(header, |at, key| &mut at[key]) = value;
}

#[test]
fn folders_made_to_harm_are_refused() {
    let folder = Folder::new();
    let run = folder.trained();
    let names = ["best.safetensors", "last.safetensors"];
    let good = names.map(|name| fs::read(run.join(name)).unwrap());
    let toml = fs::read(run.join("config.toml")).unwrap();
    let huge = 1_000_000_000_000_u64;
    let flow = |kind: &str, key: &str| json!({"kind": kind, key: 1_000_000_000});
    let layers = |last: &[&str]| json!({ "layers": last });
    let edits: Vec<(&str, Value)> = vec![
        ("preprocess.inputs", json!(huge)),
        ("preprocess.inputs", json!(0)),
        ("preprocess.x.mean", json!([])),
        ("preprocess.x.std", json!([1.])),
        ("preprocess.x.constant", json!([huge])),
        ("preprocess.columns", json!([])),
        ("preprocess.table", json!([])),
        ("preprocess.seen.low", json!([])),
        ("image", json!([huge, huge, huge])),
        ("image", json!([0, 0, 0])),
        ("examples", json!(0)),
        ("task.classification.classes", json!([])),
        ("task.classification.classes", json!(["a"])),
        ("task", json!("regression")),
        ("config.primary", json!({})),
        ("config.primary", layers(&[])),
        ("config.primary", layers(&["dense 2", "dense 3"])),
        ("config.primary", layers(&["dense 100000000", "dense 2"])),
        ("config.primary", layers(&["dense 1000000", "dense 200", "dense 2"])),
        ("config.flow", flow("realnvp", "couplings")),
        ("config.flow", json!({"kind": "realnvp", "couplings": 9000, "hidden": 1})),
        ("config.flow", flow("realnvp", "hidden")),
        ("config.flow", json!({"kind": "realnvp", "hidden": 1_000_000})),
        ("config.flow", flow("iaf", "couplings")),
        ("config.flow", flow("planar", "couplings")),
        ("config.flow", flow("linear", "layers")),
        ("config.flow", flow("linear", "hidden")),
        ("config.flow", flow("low-rank", "rank")),
        ("config.flow.base", json!({"mixture": {"components": huge, "distance": 1.}})),
        ("config.method", json!("ensemble")),
        ("config.method", json!("laplace")),
        ("config.method", json!("full-bhn")),
        ("config.train.epochs", json!(i64::MAX)),
        ("config.train.batch", json!(0)),
        ("config.train.samples", json!(huge)),
        ("config.train.validation_samples", json!(huge)),
    ];
    for (path, value) in edits {
        for (name, good) in names.iter().zip(&good) {
            let (bytes, config) = changed(good, |header, _| set(header, path, value.clone()));
            fs::write(run.join(name), bytes).unwrap();
            fs::write(run.join("config.toml"), config.unwrap_or_default()).unwrap();
        }
        println!("{path} = {value}");
        for args in [
            &["eval", "run"][..],
            &["predict", "run", "animals.csv"],
            &["sample", "run"],
            &["train", "--resume", "run"],
        ] {
            refused_fast(&folder, args, &["expected"]);
        }
    }
    fs::write(run.join("config.toml"), toml).unwrap();
    let positions = [
        ("best", json!(null)),
        ("best", json!([99, {"accuracy": 1., "nll": 1., "ece": null, "rmse": null}])),
        ("best", json!([1, {"accuracy": null, "nll": 1., "ece": null, "rmse": 1.}])),
        ("steps", json!(u64::MAX)),
        ("steps", json!(0)),
        ("epoch", json!(1_000_000_000)),
        ("examples", json!(1_000_000)),
    ];
    for (path, value) in positions {
        let (bytes, _) = changed(&good[1], |header, _| set(header, path, value.clone()));
        fs::write(run.join(names[1]), bytes).unwrap();
        println!("{path} = {value}");
        refused_fast(&folder, &["train", "--resume", "run"], &["last.safetensors", "expected"]);
    }
}

#[test]
fn checkpoints_of_other_numbers_are_refused() {
    let folder = Folder::new();
    let run = folder.trained();
    let path = run.join("best.safetensors");
    let good = fs::read(&path).unwrap();
    let first = |tensors: &Tensors| tensors.iter().position(|(name, _)| name == "primary.0.v");
    let (integers, _) = changed(&good, |_, tensors| {
        let at = first(tensors).unwrap();
        tensors[at].1.0 = Dtype::I32;
    });
    fs::write(&path, integers).unwrap();
    refused_fast(&folder, &["eval", "run"], &["best.safetensors", "I32", "F32"]);
    let (none, _) = changed(&good, |_, tensors| {
        let at = first(tensors).unwrap();
        tensors[at].1.2[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    fs::write(&path, none).unwrap();
    refused_fast(&folder, &["eval", "run"], &["best.safetensors", "not finite"]);
}

#[test]
fn training_that_exceeds_memory_is_refused_before_it_begins() {
    let folder = Folder::new();
    folder.write("animals.csv", crate::common::animals());
    let args = ["train", "animals.csv", "--hidden", "15000,15000", "--batch", "1"];
    let limit = "ulimit -v 1300000; exec \"$0\" --threads 2 \"$@\"";
    let mut limited = Command::new("bash");
    let bhn = assert_cmd::cargo::cargo_bin("bhn");
    limited.current_dir(folder.path("")).args(["-c", limit]).arg(bhn).args(args);
    let parts = ["memory: found a training that needs more than", "MB, which are free", "--hidden"];
    refused(&mut assert_cmd::Command::from_std(limited), &parts);
    assert!(!folder.path("runs").exists());
}

/// The check before the work counts less than a command may need.
#[test]
fn running_out_of_memory_is_an_error() {
    let folder = Folder::new();
    folder.write("animals.csv", crate::common::animals());
    let train = ["train", "animals.csv", "--epochs", "1", "--hidden", "2000,2000"];
    folder.bhn().args(train).args(["--samples", "5", "--out", "run"]).assert().success();
    let args = ["eval", "run", "--samples", "10000"];
    let limit = "ulimit -v 1500000; exec \"$0\" --threads 1 \"$@\"";
    let mut limited = Command::new("bash");
    let bhn = assert_cmd::cargo::cargo_bin("bhn");
    limited.current_dir(folder.path("")).args(["-c", limit]).arg(bhn).args(args);
    let parts = ["memory: found no", "MB more", "--samples"];
    refused(&mut assert_cmd::Command::from_std(limited), &parts);
}

/// A posterior without a density, in a folder of a method that has one.
#[test]
fn verify_needs_no_density() {
    let folder = Folder::new();
    folder.write("animals.csv", crate::common::animals());
    let train = ["train", "animals.csv", "--method", "laplace", "--epochs", "20", "--hidden", "3"];
    folder.bhn().args(train).args(["--samples", "5", "--out", "run"]).assert().success();
    for name in ["best.safetensors", "last.safetensors"] {
        let path = folder.path("run").join(name);
        let (bytes, _) = changed(&fs::read(&path).unwrap(), |_, tensors| {
            let all = tensors.iter_mut().filter(|(name, _)| name.starts_with("posterior."));
            all.for_each(|(_, (.., data))| data.fill(0));
        });
        fs::write(path, bytes).unwrap();
    }
    let output = folder.bhn().args(["verify", "run", "--samples", "60"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("internal error"), "{text}");
}

#[test]
fn too_many_threads_are_refused() {
    let folder = Folder::new();
    let bhn = assert_cmd::cargo::cargo_bin("bhn");
    let run = |variable: &str, value: &str| {
        let mut command = Command::new(&bhn);
        command.current_dir(folder.path("")).args(["eval", "run"]).env(variable, value);
        assert_cmd::Command::from_std(command)
    };
    refused(&mut run("RAYON_NUM_THREADS", "100000"), &["RAYON_NUM_THREADS", "at most 1024"]);
    refused(&mut run("RAYON_NUM_THREADS", "2"), &["no such folder"]);
    // No stack of this size can be allocated, so no thread starts.
    let found = &["threads: found an error", "expected threads that can be started"];
    refused(&mut run("RUST_MIN_STACK", "1000000000000000"), found);
}

/// Inputs of files with one base name are told apart by the paths as typed.
#[test]
fn inputs_of_equal_file_names_are_told_apart() {
    let folder = Folder::new();
    folder.trained();
    for name in ["a", "b"] {
        fs::create_dir(folder.path(name)).unwrap();
        folder.write(&format!("{name}/new.csv"), "length,weight\n0.5,0.5\n");
    }
    folder.write("c.csv", "length,weight\n0.5,0.5\n");
    let files = ["a/new.csv", "./b/new.csv", "c.csv"];
    let predicted = folder.bhn().args(["predict", "run"]).args(files).output().unwrap();
    let text = String::from_utf8(predicted.stdout).unwrap();
    let names: Vec<_> = text.lines().skip(1).map(|row| row.split(',').nth(1).unwrap()).collect();
    assert_eq!(names, ["a/new.csv#0", "./b/new.csv#0", "c.csv#0"]);
    let pools = files.iter().flat_map(|file| ["--pool", file]);
    let chosen = folder.bhn().args(["acquire", "run"]).args(pools).output().unwrap();
    let text = String::from_utf8(chosen.stdout).unwrap();
    assert!(files.iter().all(|file| text.contains(&format!("{file}#0"))), "{text}");
}

/// A read of a pipe to which nobody writes would wait forever.
#[test]
#[cfg(unix)]
fn pipes_in_place_of_files_are_refused() {
    for name in ["config.toml", "best.safetensors", "last.safetensors", "metrics.jsonl", ".lock"] {
        let folder = Folder::new();
        let path = folder.trained().join(name);
        fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let command = if name == "best.safetensors" { "eval" } else { "train" };
        let args = [&[command][..], if command == "train" { &["--resume"] } else { &[] }, &["run"]];
        refused_fast(&folder, &args.concat(), &[name, "a device"]);
    }
}
