//! Defends: a version changes bits only on purpose. Tensors, predictions, acquired indices and the
//! values of tables have the digests in `same.json`, on the kind of machine that wrote it.
//!
//! `BHN_WRITE_DIGESTS=1 cargo test --release --test same` rewrites that file.
#![cfg(feature = "cli")]
#[expect(dead_code, reason = "shared with other tests")]
mod common;
#[path = "common/npz.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod npz;

use common::Folder;
use ndarray::{Array1, Array4};
use ndarray_npy::write_npy;
use npz::NpzWriter;
use rayon::prelude::*;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Digests by name, and the machine that they were computed on.
#[derive(Debug, Serialize, Deserialize)]
struct Digests {
    machine: Machine,
    digests: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Machine {
    kernels: String,
    functions: String,
}

const METHODS: [&str; 9] = [
    "method = 'bhn'",
    "method = 'bhn'\ntrain.posterior_rate = 10.0\ntrain.gradient = 'path'\nflow.elementwise = 'last'",
    "method = 'bhn'\ntrain.noise = 'per-example'\ntrain.data_init = true",
    "method = 'bhn'\nflow.kind = 'iaf'\ntrain.samples = 3",
    "method = 'bhn'\nflow.kind = 'linear'\ntrain.optimiser.sgd.momentum = 0.9",
    "method = 'mle'",
    "method = 'concrete-dropout'",
    "method = 'bbb'",
    "method = 'ensemble'\nensemble.members = 2",
];

/// A data set, the settings of a small network on it, and the inputs to predict.
const DATA: [[&str; 3]; 3] = [
    ["mnist", "subset = 400\nprimary.layers = ['dense 4', 'relu', 'dense 10']", "digits.npy"],
    [
        "table.csv",
        "task = 'regression'\nprimary.layers = ['dense 9', 'relu', 'dense 1']",
        "table.csv",
    ],
    [
        "images.npz",
        "primary.layers = ['conv 4 3x3 pad 1', 'relu', 'pool 2', 'conv 3 2x2', 'relu', 'flatten', \
         'dense 6', 'relu', 'dense 3']\ntrain.augment = { shift = 1, flip = true }",
        "images.npy",
    ],
];

fn files(folder: &Folder) {
    let table: String =
        (0..150).map(|i| format!("{},{},{}\n", i, i * i % 7, i % 3 + i / 10)).collect();
    folder.write("table.csv", "a,b,t\n".to_string() + &table);
    let image = |(n, c, h, w): (usize, usize, usize, usize)| {
        if h / 2 == n % 3 { 1. } else { ((n * 7 + c * 5 + h * 3 + w) % 11) as f32 / 22. }
    };
    write_npy(folder.path("digits.npy"), &Array4::from_shape_fn([30, 1, 28, 28], image)).unwrap();
    let images = Array4::from_shape_fn([150, 2, 6, 5], image);
    write_npy(folder.path("images.npy"), &images).unwrap();
    let mut npz = NpzWriter::new(fs::File::create(folder.path("images.npz")).unwrap());
    npz.add_array("x", &images).unwrap();
    npz.add_array("y", &Array1::from_shape_fn(150, |n| (n % 3) as i64)).unwrap();
    npz.finish().unwrap();
}

/// A digest of bytes, short enough to be compared by eye.
fn digest(parts: impl IntoIterator<Item = Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Names, types, shapes and entries of a checkpoint's tensors, without its metadata.
fn tensors(file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    let mut tensors = SafeTensors::deserialize(&bytes).unwrap().tensors();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    digest(tensors.into_iter().flat_map(|(name, tensor)| {
        let kind = format!("{name} {:?} {:?}", tensor.dtype(), tensor.shape());
        [kind.into_bytes(), tensor.data().to_vec()]
    }))
}

/// The numbers of a CSV table in the order of its cells, without words and times.
fn numbers(csv: &str) -> Vec<u8> {
    let timed = csv.lines().next().is_some_and(|header| header.ends_with(",seconds"));
    let lines = csv.lines().filter(|line| !line.starts_with("seconds"));
    let untimed = |line| if timed { line_without_last_cell(line) } else { line };
    let cells = lines.map(untimed).flat_map(|line| line.split(','));
    cells.filter_map(|cell| cell.parse::<f64>().ok()).flat_map(f64::to_le_bytes).collect()
}

fn line_without_last_cell(line: &str) -> &str {
    line.rsplit_once(',').map_or(line, |(line, _)| line)
}

/// Digests of a short training and of the commands on its run, each with its name.
fn run(method: &str, [data, settings, inputs]: [&str; 3]) -> Vec<(String, String)> {
    let folder = Folder::new();
    files(&folder);
    // The recipe of `bhn train` may change, and these bits not.
    let common = "train.epochs = 2\nflow.couplings = 2\nflow.hidden = 10\n\
        train.posterior_rate = 1.0\ntrain.gradient = 'total'\nflow.elementwise = 'first'\n\
        train.batch = 128\ntrain.learning_rate = 0.001\ntrain.likelihood_rate = 1.0\n\
        train.validate_every = 1\ntrain.select = 'accuracy'\ntrain.patience = 0\n\
        train.schedule = 'paper'\ntrain.kappa = 0.0\n\
        validation_rows = 0";
    let own: Vec<_> = method.lines().filter_map(|line| line.split(" =").next()).collect();
    let common = common.lines().filter(|line| !own.contains(&line.split(" =").next().unwrap()));
    let words =
        [format!("data = '{data}'\n{settings}\n{method}"), common.collect::<Vec<_>>().join("\n")];
    folder.write("config.toml", words.join("\n"));
    let bhn = |args: &[&str]| {
        let output = folder.bhn().arg("--quiet").args(args).assert().success();
        String::from_utf8(output.get_output().stdout.clone()).unwrap()
    };
    bhn(&["train", "--config", "config.toml", "--samples", "3", "--out", "run"]);
    let predicted = bhn(&["predict", "run", inputs, "--samples", "3", "--digits", "17"]);
    let scores = bhn(&["eval", "run", "--samples", "3", "--json"]);
    let scores: Value = serde_json::from_str(&scores).unwrap();
    let mut found = vec![];
    leaves(&scores, "", &mut found);
    let mut digests = vec![
        ("last", tensors(&folder.path("run/last.safetensors"))),
        ("best", tensors(&folder.path("run/best.safetensors"))),
        ("predictions", digest([numbers(&predicted)])),
        ("scores", digest(found.into_iter().map(|x: f64| x.to_le_bytes().to_vec()))),
    ];
    bhn(&["sample", "run", "--samples", "3"]);
    digests.push(("samples", tensors(&folder.path("run/samples.safetensors"))));
    if !settings.contains("regression") {
        for score in ["bald", "batch-bald", "mean-std"] {
            let args = ["acquire", "run", "--pool", inputs, "--samples", "3", "--k", "5"];
            let acquired = bhn(&[&args[..], &["--score", score]].concat());
            digests.push((score, digest([numbers(&acquired)])));
        }
    }
    let name = |(what, digest)| (format!("{data}, {}: {what}", method.replace('\n', ", ")), digest);
    digests.into_iter().map(name).collect()
}

/// The numbers in a JSON value, except times.
fn leaves(value: &Value, key: &str, found: &mut Vec<f64>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, v)| leaves(v, key, found)),
        Value::Array(items) => items.iter().for_each(|v| leaves(v, key, found)),
        Value::Number(x) if key != "seconds" => found.extend(x.as_f64()),
        _ => {}
    }
}

/// The values of all tables of all experiments without downloaded data sets, by the experiment's
/// name.
fn experiments() -> Vec<(String, String)> {
    let folder = Folder::new();
    fs::create_dir(folder.path("none")).unwrap();
    let args = ["--quiet", "reproduce", "all", "--tier", "smoke", "--out", "all"];
    folder.bhn().args(args).args(["--data-dir", "none"]).assert().success();
    let mut experiments = entries(&folder.path("all"), |path| path.is_dir());
    experiments.sort();
    let digest_of = |experiment: &PathBuf| {
        let mut tables = entries(experiment, |path| path.extension().is_some_and(|e| e == "csv"));
        tables.sort();
        let name = experiment.file_name().unwrap().to_str().unwrap();
        let values = tables.iter().map(|table| numbers(&fs::read_to_string(table).unwrap()));
        (name.to_string(), digest(values))
    };
    experiments.iter().map(digest_of).collect()
}

fn entries(folder: &Path, of: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| of(path)).collect()
}

/// The properties of this machine that results depend on, as in a run's summary.
fn machine() -> Machine {
    let folder = Folder::new();
    folder.trained();
    let summary = fs::read(folder.path("run/summary.json")).unwrap();
    let mut summary: Value = serde_json::from_slice(&summary).unwrap();
    serde_json::from_value(summary["machine"].take()).unwrap()
}

#[test]
fn results_match_committed_digests() {
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/same.json");
    let runs: Vec<_> = METHODS.iter().flat_map(|&method| DATA.map(|data| (method, data))).collect();
    let runs = runs.into_par_iter().flat_map(|(method, data)| run(method, data));
    let mut digests: BTreeMap<_, _> = runs.collect();
    digests.extend(experiments());
    let found = Digests { machine: machine(), digests };
    if std::env::var_os("BHN_WRITE_DIGESTS").is_some() {
        fs::write(&expected, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
    }
    let expected: Digests = serde_json::from_slice(&fs::read(expected).unwrap()).unwrap();
    let on_x86 = |machine: &Machine| machine.kernels.starts_with("avx");
    if found.machine.functions != expected.machine.functions
        || found.machine.kernels != expected.machine.kernels
            && !(on_x86(&found.machine) && on_x86(&expected.machine))
    {
        eprintln!(
            "NOT JUDGED: {:?} made the digests, this is {:?}",
            expected.machine, found.machine
        );
        return;
    }
    let other = |(name, digest): (&String, &String)| {
        (expected.digests.get(name) != Some(digest)).then(|| name.clone())
    };
    let changed: Vec<_> = found.digests.iter().filter_map(other).collect();
    assert_eq!(expected.digests.len(), found.digests.len());
    assert!(
        changed.is_empty(),
        "other bits in {} of {}: {changed:#?}",
        changed.len(),
        found.digests.len()
    );
}
