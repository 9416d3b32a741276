//! Defends: every method works in every command, and a run is determined by its seed: the same
//! bytes for any number of threads, and after an interruption.
use crate::common::Folder;
use crate::missing::rewind;
use crate::npz::NpzWriter;
use ndarray::{Array1, Array4};
use ndarray_npy::write_npy;
use rstest::rstest;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn bhn(folder: &Folder, args: &[&str]) -> Vec<u8> {
    let mut bhn = assert_cmd::Command::cargo_bin("bhn").unwrap();
    bhn.current_dir(folder.path("")).arg("--quiet").args(args);
    bhn.assert().success().get_output().stdout.clone()
}

fn files(run: &Path) -> [Vec<u8>; 2] {
    ["last.safetensors", "best.safetensors"].map(|name| fs::read(run.join(name)).unwrap())
}

#[rstest]
#[case("bhn")]
#[case("bhn --flow iaf")]
#[case("bhn --flow planar")]
#[case("bhn --flow cholesky")]
#[case("full-bhn --flow low-rank")]
#[case("bhn --flow linear")]
#[case("full-bhn")]
#[case("mle")]
#[case("dropout")]
#[case("mc-dropout")]
#[case("concrete-dropout")]
#[case("bbb")]
#[case("mnf")]
#[case("ensemble")]
#[case("laplace")]
#[case("swag --config swag.toml")]
fn every_method_works_in_every_command(#[case] flags: &str) {
    let folder = Folder::new();
    let table: String = (0..150).map(|i| format!("{},{},{}\n", i, i * i % 7, i % 3)).collect();
    fs::write(folder.path("table.csv"), "a,b,kind\n".to_string() + &table).unwrap();
    fs::write(folder.path("swag.toml"), "[swag]\nstart = 0.0\n").unwrap();
    let small =
        ["train", "table.csv", "--task", "classification", "--hidden", "8", "--couplings", "2"];
    works_in_every_command(&folder, &small, flags, "table.csv");
}

/// Every method on images of 6 × 5 pixels in two channels.
#[rstest]
#[case("bhn")]
#[case("mle")]
#[case("mc-dropout")]
#[case("bbb")]
#[case("mnf")]
fn convolutions_work_in_every_command(#[case] flags: &str) {
    let folder = Folder::new();
    let layers =
        r#"["conv 4 3x2 pad 1", "relu", "pool 2", "conv 3 2x2", "tanh", "flatten", "dense 3"]"#;
    let augment = "[train]\naugment = { shift = 1, flip = true }\n";
    let toml = format!("[primary]\nlayers = {layers}\n[flow]\ncouplings = 2\n{augment}");
    fs::write(folder.path("cnn.toml"), toml).unwrap();
    let x = Array4::from_shape_fn([150, 2, 6, 5], |(n, c, h, w)| {
        if h / 2 == n % 3 { 1. } else { ((n * 7 + c * 5 + h * 3 + w) % 11) as f32 / 22. }
    });
    write_npy(folder.path("x.npy"), &x).unwrap();
    let mut npz = NpzWriter::new(fs::File::create(folder.path("photographs.npz")).unwrap());
    npz.add_array("x", &x).unwrap();
    npz.add_array("y", &Array1::from_shape_fn(150, |n| (n % 3) as i64)).unwrap();
    npz.finish().unwrap();
    let small = ["train", "photographs.npz", "--config", "cnn.toml"];
    works_in_every_command(&folder, &small, flags, "x.npy");
}

fn works_in_every_command(folder: &Folder, small: &[&str], flags: &str, inputs: &str) {
    let method = flags.split(' ').next().unwrap();
    let train = |out: &str, epochs: &str, threads: &str| {
        let rest = ["--epochs", epochs, "--threads", threads, "--out", out, "--method"];
        let flags: Vec<_> = flags.split(' ').collect();
        bhn(folder, &[small, &rest, &flags, &["--samples", "7"]].concat());
    };
    train("one", "3", "1");
    train("two", "3", "2");
    assert!(files(&folder.path("one")) == files(&folder.path("two")), "threads change the bytes");

    // A run as if stopped after the first epoch: the same settings, and the files of that epoch.
    train("part", "3", "2");
    let lines = fs::read_to_string(folder.path("part/metrics.jsonl")).unwrap();
    fs::write(folder.path("part/metrics.jsonl"), lines.split_inclusive('\n').next().unwrap())
        .unwrap();
    rewind(&folder.path("part"));
    bhn(folder, &["train", "--resume", "part", "--samples", "7"]);
    assert!(files(&folder.path("one")) == files(&folder.path("part")), "a resumed run differs");

    let scores: Value =
        serde_json::from_slice(&bhn(folder, &["eval", "one", "--json", "--samples", "7"])).unwrap();
    assert!(scores["test"]["accuracy"].as_f64().unwrap() >= 0.);
    let kl = scores["elbo"]["kl"].as_f64().unwrap();
    let density = ["bhn", "full-bhn", "bbb", "mnf", "laplace"].contains(&method);
    assert_eq!(kl != 0., density, "KL {kl}");

    let csv = String::from_utf8(bhn(folder, &["predict", "one", inputs, "--samples", "5"]));
    let csv = csv.unwrap();
    assert_eq!(csv.lines().count(), 151);
    let bald = csv.lines().next().unwrap().split(',').position(|name| name == "bald").unwrap();
    let bald = csv.lines().skip(1).map(|line| line.split(',').nth(bald).unwrap().parse::<f64>());
    let most = bald.map(Result::unwrap).fold(0., f64::max);
    assert_eq!(most > 1e-6, !["mle", "dropout"].contains(&method), "BALD up to {most}");

    bhn(folder, &["sample", "one", "--samples", "5"]);
    let bytes = fs::read(folder.path("one/samples.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("theta").unwrap().shape()[0], 5);
    assert_eq!(tensors.tensor("log_q").is_ok(), density);
}

/// Samples that do not fit in memory are refused before training and not after it: 10,000 samples
/// of 636,010 weights.
#[test]
fn more_samples_than_memory_holds_are_refused() {
    let folder = Folder::new();
    let mut bhn = assert_cmd::Command::cargo_bin("bhn").unwrap();
    let digits = ["train", "--method", "bbb", "--hidden", "800", "--subset", "100", "--out", "run"];
    bhn.current_dir(folder.path("")).args(digits).args(["--samples", "10000"]);
    bhn.assert().failure().stderr(predicates::str::contains("at most 422 of the 636010 entries"));
    assert!(!folder.path("run").exists());
}

/// A warm start copies another run's network and centres the posterior on its scales, so that the
/// first loss is near that run's last.
#[test]
fn warm_start_copies_the_other_network() {
    let folder = Folder::new();
    let digits = ["train", "--hidden", "16,16", "--subset", "600", "--samples", "5"];
    let train = |rest: &[&str]| bhn(&folder, &[&digits[..], rest].concat());
    train(&["--method", "mle", "--epochs", "12", "--out", "mle"]);
    let narrow = "[flow]\nlog_scale = -7.0\n[train]\nlearning_rate = 1e-6\n";
    fs::write(folder.path("narrow.toml"), narrow).unwrap();
    let warm = ["--config", "narrow.toml", "--epochs", "1", "--warm-start", "mle", "--out", "warm"];
    train(&warm);
    train(&["--config", "narrow.toml", "--epochs", "1", "--out", "cold"]);
    let accuracy = |run: &str| {
        let summary = fs::read(folder.path(run).join("summary.json")).unwrap();
        let summary: Value = serde_json::from_slice(&summary).unwrap();
        summary["test"]["accuracy"].as_f64().unwrap()
    };
    let [mle, warm, cold] = ["mle", "warm", "cold"].map(accuracy);
    assert!((mle - warm).abs() < 0.02, "{mle} {warm}");
    assert!(cold < mle - 0.3, "{mle} {cold}");

    let mut refused = assert_cmd::Command::cargo_bin("bhn").unwrap();
    refused.current_dir(folder.path("")).args(["train", "--hidden", "8", "--warm-start", "mle"]);
    refused.args(["--subset", "600", "--out", "other"]);
    refused.assert().failure().stderr(predicates::str::contains("0.scales 16"));
    assert!(!folder.path("other").exists(), "a folder is left");
}

#[rstest]
#[case(
    "method = \"mle\"\n[primary]\nlayers = [\"dense 8\", \"relu\", \"dropout 0.5\", \"dense 10\"]\n",
    "dropout 0.5"
)]
#[case("method = \"bbb\"\n[train]\nnoise = \"per-example\"\n", "train.noise")]
#[case("method = \"mnf\"\n[train]\nnoise = \"per-example\"\n", "train.noise")]
#[case("method = \"mnf\"\n[mnf]\nhidden = 0\n", "mnf.hidden")]
#[case("method = \"bbb\"\n[prior.laplace]\nscale = 1.0\n", "mean_field.local")]
#[case("method = \"concrete-dropout\"\n[prior.laplace]\nscale = 1.0\n", "Gaussian")]
#[case("method = \"ensemble\"\n[train]\ndata_init = true\n", "train.data_init")]
#[case("method = \"ensemble\"\n[ensemble]\nmembers = 0\n", "ensemble.members")]
#[case("method = \"dropout\"\n[dropout]\nrate = 1.0\n", "dropout.rate")]
#[case("method = \"laplace\"\n[prior.laplace]\nscale = 1.0\n", "a Gaussian one")]
#[case("method = \"laplace\"\n[likelihood]\nclip = 0.001\n", "likelihood.clip")]
#[case(
    "method = \"laplace\"\n[laplace]\nhessian = \"exact\"\n[primary]\nlayers = [\"dense 2000\", \"relu\", \"dense 10\"]\n",
    "at most 2000 entries"
)]
#[case("method = \"swag\"\n[train]\nepochs = 3\n", "snapshots of swag in 3 epochs")]
#[case("method = \"swag\"\n[swag]\nrank = 1\n", "swag.rank")]
#[case(
    "[primary]\nlayers = [\"conv 8 3x3\", \"dense 10\"]\n",
    "`dense 10` on an image [8, 26, 26]"
)]
#[case(
    "[primary]\nlayers = [\"pool 9\", \"conv 8 4x4\", \"flatten\", \"dense 10\"]\n",
    "`conv 8 4x4` on an image [1, 3, 3]"
)]
#[case("method = \"dropout\"\n[dropout]\nrate = 0.0\n", "a rate above 0 with dropout")]
#[case(
    "method = \"mc-dropout\"\n[primary]\nlayers = [\"dense 8\", \"dropout 0\", \"dense 10\"]\n",
    "dropout rates of 0 alone"
)]
#[case("method = \"dropout\"\n[primary]\nlayers = [\"dense 10\"]\n", "`dense 10`")]
#[case("method = \"mc-dropout\"\n[primary]\nlayers = [\"dense 10\"]\n", "--method mle")]
#[case(
    "method = \"concrete-dropout\"\n[primary]\nlayers = [\"dense 8\", \"dense 10\"]\n",
    "`dense 8`, `dense 10`"
)]
#[case("method = \"concrete-dropout\"\n[dropout]\nrate = 0.0\n", "a rate above 0")]
#[case("[train]\naugment = { shift = 28 }\n", "train.augment")]
#[case("[primary]\nlayers = [\"conv 8 3x3 pad 3\", \"flatten\", \"dense 10\"]\n", "padding below")]
#[case(
    "[primary]\nlayers = [\"conv 18446744073709551615 3x3\", \"flatten\", \"dense 10\"]\n",
    "weights of the networks"
)]
#[case(
    "[primary]\nlayers = [\"channel-dropout 0.5\", \"flatten\", \"dense 10\"]\n",
    "channel-dropout 0.5"
)]
fn incompatible_settings_are_rejected(#[case] toml: &str, #[case] named: &str) {
    let folder = Folder::new();
    fs::write(folder.path("c.toml"), toml).unwrap();
    let mut bhn = assert_cmd::Command::cargo_bin("bhn").unwrap();
    bhn.current_dir(folder.path("")).args(["train", "--config", "c.toml", "--out", "run"]);
    bhn.assert().failure().stderr(predicates::str::contains(named));
    assert!(!folder.path("run").exists());
}

/// The parameters of a run's network in its best epoch, bitwise.
fn network(folder: &Folder, run: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(folder.path(run).join("best.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensors = tensors
        .tensors()
        .into_iter()
        .filter(|(name, _)| name.starts_with("primary.") || name.starts_with("likelihood."));
    let mut tensors: Vec<_> = tensors.map(|(name, w)| (name, w.data().to_vec())).collect();
    tensors.sort();
    tensors
}

/// After a warm start from a run of any method over the scales, all runs that freeze the network
/// have the same network and likelihood, bitwise, and also after an interruption. Differences of
/// their bounds are then differences of the KL to one posterior.
#[test]
fn frozen_networks_are_those_of_the_warm_start() {
    let folder = Folder::new();
    let rows: String = (0..80).map(|i| format!("{i},{},{}\n", i * i % 7, i % 9)).collect();
    folder.write("table.csv", format!("a,b,t\n{rows}"));
    let train = |method: &[&str], out: &str| {
        let table = ["train", "table.csv", "--task", "regression", "--hidden", "6", "--out", out];
        bhn(&folder, &[&table[..], &["--samples", "3", "--epochs", "2"], method].concat());
    };
    train(&["--method", "mle"], "mle");
    let frozen = ["--freeze", "primary.*,likelihood.*", "--warm-start"];
    let warm = |from: &str, couplings: &str, out: &str| {
        let flags = [&frozen[..], &[from, "--couplings", couplings, "--seed", "3"]].concat();
        train(&flags, out);
    };
    warm("mle", "0", "t0");
    warm("t0", "8", "t8");
    warm("t8", "8", "again");
    let mle = network(&folder, "mle");
    assert_eq!(mle.len(), 5, "V and b of two layers, and the precision");
    for run in ["t0", "t8", "again"] {
        assert!(network(&folder, run) == mle, "{run}");
    }
    // Resumed from the start, as after a crash.
    let last = |run: &str| fs::read(folder.path(run).join("last.safetensors")).unwrap();
    let whole = last("t8");
    rewind(&folder.path("t8"));
    bhn(&folder, &["train", "--resume", "t8", "--samples", "3"]);
    assert!(last("t8") == whole);
}
