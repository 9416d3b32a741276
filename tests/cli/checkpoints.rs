//! Checkpoints that are damaged, or of another run: told apart, and never overwritten.
use crate::common::{Folder, TINY, contents};
use crate::refused;
use bhn::checkpoint::Checkpoint;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use safetensors::tensor::{Dtype, TensorView};
use std::fs;

/// `eval`, `predict`, `sample` read `best`, `train --resume` reads both; all refuse `bytes`.
#[track_caller]
fn none_takes(folder: &Folder, bytes: &[u8], part: &str) {
    let run = folder.path("run");
    for name in ["best.safetensors", "last.safetensors"] {
        let good = fs::read(run.join(name)).unwrap();
        folder.write(&format!("run/{name}"), bytes);
        let before = contents(&run);
        refused(folder.bhn().args(["train", "--resume", "run"]), &["run", part]);
        if name.starts_with("best") {
            refused(folder.bhn().args(["eval", "run"]), &["run", part]);
            refused(folder.bhn().args(["predict", "run", "animals.csv"]), &["run", part]);
            refused(folder.bhn().args(["sample", "run"]), &["run", part]);
        }
        assert_eq!(contents(&run), before, "{name}");
        folder.write(&format!("run/{name}"), good);
    }
}

#[test]
fn another_run_or_another_file() {
    let folder = Folder::new();
    let run = folder.trained();
    for (other, flags) in [("wide", ["--hidden", "9"]), ("seed", ["--seed", "1"])] {
        let flags = TINY.into_iter().filter(|f| !["--hidden", "8"].contains(f)).chain(flags);
        let hidden = ["--hidden", "8"].into_iter().filter(|_| other == "seed");
        let train = ["train", "animals.csv", "--out", other];
        folder.bhn().args(train).args(flags).args(hidden).assert().success();
        let bytes = fs::read(folder.path(other).join("last.safetensors")).unwrap();
        none_takes(&folder, &bytes, "different runs");
    }
    let data = [0; 8];
    let tensor = TensorView::new(Dtype::F32, vec![2], &data).unwrap();
    let foreign = safetensors::serialize([("weight", tensor)], None).unwrap();
    none_takes(&folder, &foreign, "without bhn's metadata");
    none_takes(&folder, b"", "a damaged or truncated file");
    let best = fs::read(run.join("best.safetensors")).unwrap();
    none_takes(&folder, &best[..best.len() - 100], "a damaged or truncated file");
    let mut flipped = best;
    let end = flipped.len() - 50;
    flipped[end] ^= 1;
    none_takes(&folder, &flipped, "checksum");
}

#[test]
fn a_changed_config_is_not_mistaken_for_the_runs() {
    let folder = Folder::new();
    let run = folder.trained();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    folder.write("run/config.toml", config.replace("batch = 128", "batch = 64"));
    refused(folder.bhn().args(["train", "--resume", "run"]), &["config.toml", "Undo", "--config"]);
    refused(folder.bhn().args(["eval", "run"]), &["config.toml", "Undo"]);
}

/// `best` has no optimiser moments: it is no `last`.
#[test]
fn best_in_place_of_last() {
    let folder = Folder::new();
    let run = folder.trained();
    fs::copy(run.join("best.safetensors"), run.join("last.safetensors")).unwrap();
    refused(folder.bhn().args(["train", "--resume", "run"]), &["optimiser.m.", "nothing"]);
}

/// A flip that leaves the contents equal, as in a digit that no f64 can hold, may pass.
#[test]
fn any_flipped_bit_is_noticed() {
    let folder = Folder::new();
    let best = fs::read(folder.trained().join("best.safetensors")).unwrap();
    let good = Checkpoint::load(&folder.path("run/best.safetensors")).unwrap().header;
    let header = 8 + u64::from_le_bytes(best[..8].try_into().unwrap()) as usize;
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let within = [0..8, 8..header, header..best.len()];
    let mut noticed = 0;
    for (part, flips) in within.into_iter().zip([64, 800, 100]) {
        for _ in 0..flips {
            let (at, bit) = (rng.random_range(part.clone()), rng.random_range(0..8));
            let mut bytes = best.clone();
            bytes[at] ^= 1 << bit;
            match Checkpoint::load(&folder.write("flipped.safetensors", bytes)) {
                Err(error) => {
                    assert!(error.to_string().contains("flipped.safetensors"), "{error}");
                    noticed += 1;
                }
                Ok(loaded) => assert_eq!(loaded.header, good, "byte {at}, bit {bit}"),
            }
        }
    }
    assert!(noticed > 900, "{noticed}");
}
