//! Defends: a run that diverges ends with an error that advises, and keeps its last good
//! checkpoint.
use crate::common::{Folder, TINY, animals, contents};
use crate::{heights, refused};
use std::fs;

#[test]
fn divergence_in_first_epoch_is_an_error() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let train =
        ["train", "animals.csv", "--batch", "16", "--learning-rate", "1e30", "--out", "run"];
    let parts = ["diverged at step 1 (epoch 1)", "node", "inf", "Lower the learning rate"];
    refused(folder.bhn().args(train).args(TINY), &parts);
    refused(folder.bhn().args(["eval", "run"]), &["best.safetensors", "--resume"]);
}

/// The step that overflows is the epoch's only one, so that no later loss reports it: the
/// validation must.
#[test]
fn divergence_in_last_step_is_found_by_validation() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let train =
        ["train", "animals.csv", "--batch", "80", "--learning-rate", "1e30", "--out", "run"];
    refused(folder.bhn().args(train).args(TINY), &["diverged at step 0 (epoch 1)", "validation"]);
    let names: Vec<_> = contents(&folder.path("run")).into_iter().map(|f| f.0).collect();
    assert_eq!(names, ["config.toml", "last.safetensors"]);
}

/// Gradient descent on a quadratic, above the largest stable learning rate: the error grows by a
/// factor in each epoch.
#[test]
fn divergence_keeps_last_good_checkpoint() {
    let folder = Folder::new();
    folder.write("heights.csv", heights());
    folder.write(
        "run.toml",
        "method = 'mle'\n[primary]\nlayers = ['dense 1']\n[likelihood]\nprecision = 1.0\n\
         [train]\nepochs = 1000\nbatch = 128\nvalidate_every = 1\nlearning_rate = 4.0\n\
         clip_norm = 1e30\nclip_element = 1e30\nschedule = 'constant'\n\
         optimiser = { sgd = { momentum = 0.0 } }\n",
    );
    let train = ["train", "heights.csv", "--config", "run.toml", "--out", "run"];
    let output = folder.bhn().args(train).arg("--quiet").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let metrics = fs::read_to_string(folder.path("run/metrics.jsonl")).unwrap();
    let last = metrics.lines().count();
    assert!(last > 1, "{text}");
    assert!(text.contains(&format!("(epoch {})", last + 1)), "{text}");
    assert!(text.contains(&format!("The checkpoint of epoch {last} is kept.")), "{text}");
    folder.bhn().args(["eval", "run"]).assert().success();
    let before = contents(&folder.path("run"));
    refused(folder.bhn().args(["train", "--resume", "run"]), &[&format!("(epoch {})", last + 1)]);
    assert_eq!(contents(&folder.path("run")), before);
}
