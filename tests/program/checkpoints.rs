//! Defends: checkpoints that are damaged, or of another run, are recognised and never overwritten.
use crate::common::{Folder, TINY, contents};
use crate::refused;
use bhn::run::checkpoint::Checkpoint;
use predicates::prelude::*;
use predicates::str::contains;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;

/// `eval`, `predict` and `sample` read `best`, `train --resume` reads both; all reject `bytes`.
#[track_caller]
fn every_command_rejects(folder: &Folder, bytes: &[u8], part: &str) {
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
fn foreign_or_damaged_checkpoints_are_rejected() {
    let folder = Folder::new();
    let run = folder.trained();
    for (other, flags) in [("wide", ["--hidden", "9"]), ("seed", ["--seed", "1"])] {
        let flags = TINY.into_iter().filter(|f| !["--hidden", "8"].contains(f)).chain(flags);
        let hidden = ["--hidden", "8"].into_iter().filter(|_| other == "seed");
        let train = ["train", "animals.csv", "--out", other];
        folder.bhn().args(train).args(flags).args(hidden).assert().success();
        let bytes = fs::read(folder.path(other).join("last.safetensors")).unwrap();
        every_command_rejects(&folder, &bytes, "different runs");
    }
    let data = [0; 8];
    let tensor = TensorView::new(Dtype::F32, vec![2], &data).unwrap();
    let foreign = safetensors::serialize([("weight", tensor)], None).unwrap();
    every_command_rejects(&folder, &foreign, "without bhn's metadata");
    every_command_rejects(&folder, b"", "a damaged or truncated file");
    let best = fs::read(run.join("best.safetensors")).unwrap();
    every_command_rejects(&folder, &best[..best.len() - 100], "a damaged or truncated file");
    let mut flipped = best;
    let end = flipped.len() - 50;
    flipped[end] ^= 1;
    every_command_rejects(&folder, &flipped, "checksum");
}

#[test]
fn edited_config_is_rejected() {
    let folder = Folder::new();
    let run = folder.trained();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    folder.write("run/config.toml", config.replace("batch = 16", "batch = 64"));
    refused(folder.bhn().args(["train", "--resume", "run"]), &["config.toml", "Undo", "--config"]);
    refused(folder.bhn().args(["eval", "run"]), &["config.toml", "Undo"]);
}

/// `best` has no optimiser moments, and cannot replace `last`.
#[test]
fn best_checkpoint_cannot_replace_last() {
    let folder = Folder::new();
    let run = folder.trained();
    fs::copy(run.join("best.safetensors"), run.join("last.safetensors")).unwrap();
    refused(folder.bhn().args(["train", "--resume", "run"]), &["optimiser.m.", "nothing"]);
}

/// The checksum covers the whole file.
#[test]
fn any_flipped_bit_is_detected() {
    let folder = Folder::new();
    let best = fs::read(folder.trained().join("best.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(best[..8].try_into().unwrap()) as usize;
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let sampled = (0..100).map(|_| rng.random_range(header..best.len())).collect::<Vec<_>>();
    for at in (0..header).chain(sampled) {
        let mut bytes = best.clone();
        bytes[at] ^= 1 << rng.random_range(0..8);
        let error = Checkpoint::read("flipped", Cursor::new(bytes)).err();
        let error = error.unwrap_or_else(|| panic!("byte {at} of {} may be flipped", best.len()));
        assert!(error.to_string().starts_with("flipped: found"), "{error}");
    }
}

/// A checkpoint of format 2 with another header, and with the checksum of the changed file.
fn with_header(bytes: &[u8], change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    let (_, outer) = SafeTensors::read_metadata(bytes).unwrap();
    let text = &outer.metadata().as_ref().unwrap()["bhn"];
    let mut inner: serde_json::Value = serde_json::from_str(text).unwrap();
    (inner["format"], inner["sha256"]) = (2.into(), BLANK.into());
    change(&mut inner["header"]);
    let metadata = HashMap::from([("bhn".to_string(), inner.to_string())]);
    let tensors = SafeTensors::deserialize(bytes).unwrap().tensors();
    let mut file = safetensors::serialize(tensors, Some(metadata)).unwrap();
    let at = file.windows(64).position(|part| part == BLANK.as_bytes()).unwrap();
    let sum: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    file[at..at + 64].copy_from_slice(sum.as_bytes());
    file
}

/// Put other headers into both checkpoints of a run.
fn change_headers(run: &Path, change: impl Fn(&mut serde_json::Value)) {
    for name in ["best.safetensors", "last.safetensors"] {
        let bytes = fs::read(run.join(name)).unwrap();
        fs::write(run.join(name), with_header(&bytes, &change)).unwrap();
    }
}

/// Properties that an older version did not save are not checked, which is noted.
#[test]
fn run_of_older_version_notes_unchecked_properties() {
    let folder = Folder::new();
    let run = folder.trained();
    change_headers(&run, |header| {
        header.as_object_mut().unwrap().remove("machine").unwrap();
        header["preprocess"].as_object_mut().unwrap().remove("seen").unwrap();
    });
    let note = || contains("note: an older version trained this run").and(contains("not checked"));
    folder.bhn().args(["eval", "run"]).assert().success().stderr(note());
    folder.bhn().args(["train", "--resume", "run"]).assert().success().stderr(note());
    folder.bhn().args(["predict", "run", "animals.csv"]).assert().success();
    folder.write("animals.csv", crate::common::animals().replacen("cat", "dog", 1));
    refused(folder.bhn().args(["eval", "run"]), &["have changed"]);
}

/// A run continues on a machine whose mathematical functions round differently, with a note.
#[test]
fn resuming_on_another_machine_prints_a_note() {
    let folder = Folder::new();
    let run = folder.trained();
    let resumed = || folder.bhn().args(["train", "--resume", "run"]).assert().success();
    resumed().stderr(contains("the last bits may differ").not());
    change_headers(&run, |header| header["machine"]["functions"] = "0123456789abcdef".into());
    let note = contains("note: this run began with").and(contains("libm 0123456789abcdef"));
    resumed().stderr(note.and(contains("the last bits may differ")));
    change_headers(&run, |header| header["machine"]["kernels"] = "portable".into());
    resumed().stderr(contains("this run began with portable kernels"));
}

/// Version 1 had a checksum of the tensors and the header alone.
#[test]
fn format_1_checkpoint_is_read() {
    let folder = Folder::new();
    let best = fs::read(folder.trained().join("best.safetensors")).unwrap();
    let new = Checkpoint::read("new", Cursor::new(&best)).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&best).unwrap();
    let header = metadata.metadata().as_ref().unwrap()["bhn"].split_once("\"header\":").unwrap().1;
    let header = header.strip_suffix('}').unwrap();
    let file = SafeTensors::deserialize(&best).unwrap();
    let mut tensors = file.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let write = |header: &str, of: &str| {
        let mut hash = Sha256::new();
        tensors.iter().for_each(|(_, tensor)| hash.update(tensor.data()));
        hash.update(of);
        let sum: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("{{\"format\":1,\"sha256\":\"{sum}\",\"header\":{header}}}");
        let metadata = HashMap::from([("bhn".to_string(), text)]);
        Cursor::new(safetensors::serialize(tensors.clone(), Some(metadata)).unwrap())
    };
    let old = Checkpoint::read("old", write(header, header)).unwrap();
    assert_eq!(old.header, new.header);
    let key = "\"validation_rows\":30,";
    let dropped = header.replacen(key, &format!("\"drop_missing\":true,{key}"), 1);
    let old = Checkpoint::read("old", write(&dropped, &dropped)).unwrap();
    assert_eq!(old.header.config.missing, bhn::data::Missing::Drop);
    let other = header.replacen("\"examples\":70", "\"examples\":69", 1);
    assert_ne!(other, header);
    let error = Checkpoint::read("old", write(&other, header)).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}
