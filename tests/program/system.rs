//! Defends: without permission, or without space, a command fails with an error that says so, and
//! damages nothing.
#![cfg(target_os = "linux")]
use crate::common::{Folder, TINY, animals};
use crate::refused;
use assert_cmd::Command;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;

pub fn mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// `bhn` as a user without the permission to write everywhere.
pub fn unprivileged(folder: &Folder) -> Command {
    let program = folder.path("bhn");
    if !program.exists() {
        fs::copy(assert_cmd::cargo::cargo_bin("bhn"), &program).unwrap();
        mode(&program, 0o755);
    }
    let mut command = std::process::Command::new(program);
    if is_root() {
        command.uid(65534).gid(65534);
    }
    command.current_dir(folder.path("")).args(["--threads", "2"]);
    Command::from_std(command)
}

#[test]
fn missing_permissions_are_reported() {
    let folder = Folder::new();
    let run = folder.trained();
    mode(folder.path(""), 0o555);
    mode(&run, 0o555);
    let before = crate::common::contents(&run);
    mode(folder.path("animals.csv"), 0o644);
    mode(folder.path(""), 0o755);
    unprivileged(&folder);
    mode(folder.path(""), 0o555);
    let parts = ["Permission denied", "Choose a place"];
    let train = ["train", "animals.csv", "--out", "run/new"];
    refused(unprivileged(&folder).args(train).args(TINY), &parts);
    refused(unprivileged(&folder).args(["train", "animals.csv"]).args(TINY), &parts);
    refused(unprivileged(&folder).args(["sample", "run"]), &parts);
    let out = ["predict", "run", "animals.csv", "--out", "run/p.csv"];
    refused(unprivileged(&folder).args(out), &parts);
    refused(unprivileged(&folder).args(["train", "--resume", "run"]), &parts);
    unprivileged(&folder).args(["eval", "run"]).assert().success();
    mode(folder.path("animals.csv"), 0);
    refused(unprivileged(&folder).args(["eval", "run"]), &["animals.csv", "Permission denied"]);
    assert_eq!(crate::common::contents(&run), before);
    mode(folder.path(""), 0o755);
    mode(&run, 0o755);
}

/// A disk of `kilobytes`, unmounted when dropped; `None` where mounting is not allowed.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(at: &'a Path, kilobytes: usize) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let size = format!("size={kilobytes}k");
        let mut mount = std::process::Command::new("mount");
        let status = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status();
        let mounted = status.is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("skipped: this test may not mount a tmpfs");
        }
        mounted.then_some(Self(at))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

#[test]
fn full_disk_leaves_no_run_folder() {
    let folder = Folder::new();
    let at = folder.path("disk");
    let Some(_disk) = Disk::mount(&at, 4) else { return };
    fs::write(at.join("ballast"), [0; 4096]).ok();
    folder.write("animals.csv", animals());
    let train = ["train", "animals.csv", "--out", "disk/run"];
    refused(folder.bhn().args(train).args(TINY), &["No space left", "Free some space"]);
    assert!(!at.join("run").exists(), "an empty folder is in the way of a second attempt");
}

/// The disk holds the files of an epoch, but not the next checkpoint beside them.
#[test]
fn disk_that_fills_up_keeps_finished_epochs() {
    let folder = Folder::new();
    let at = folder.path("disk");
    let run = folder.trained();
    let size = |name: &str| fs::metadata(run.join(name)).unwrap().len() as usize;
    let room = size("best.safetensors") + size("last.safetensors");
    let Some(_disk) = Disk::mount(&at, room / 1024 + 40) else { return };
    let train = ["train", "animals.csv", "--out", "disk/run"];
    refused(folder.bhn().args(train).args(TINY), &["No space left", "Free some space"]);
    folder.bhn().args(["eval", "disk/run"]).assert().success();
    drop(Disk(&at));
    let left: Vec<_> = fs::read_dir(&at).unwrap().collect();
    assert!(left.is_empty(), "still mounted");
}
