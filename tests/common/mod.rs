//! Runs the program as a process; small data sets for it.
use assert_cmd::Command;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::fs;
use std::path::{Path, PathBuf};

/// A small network on 600 digits, three epochs.
pub const SMALL: [&str; 11] = [
    "train",
    "--hidden",
    "16,16",
    "--couplings",
    "2",
    "--subset",
    "600",
    "--epochs",
    "3",
    "--samples",
    "5",
];

/// `bhn` with two threads, and without the data sets that its user has fetched.
pub fn bhn() -> Command {
    let mut command = Command::cargo_bin("bhn").unwrap();
    command.args(["--threads", "2"]).env("XDG_CACHE_HOME", "/nowhere");
    command
}

/// A temporary folder of a test, removed at the end.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// A new, empty folder.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Write a file in the folder.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// `bhn` with the folder as its working directory.
    pub fn bhn(&self) -> Command {
        let mut command = bhn();
        command.current_dir(&self.0);
        command
    }

    /// A finished run on [`animals`], in `run`.
    pub fn trained(&self) -> PathBuf {
        self.write("animals.csv", animals());
        self.bhn().args(["train", "animals.csv", "--out", "run"]).args(TINY).assert().success();
        self.path("run")
    }
}

/// Flags of a small network for a table: training takes a second at most.
pub const TINY: [&str; 8] =
    ["--hidden", "8", "--couplings", "2", "--epochs", "3", "--samples", "5"];

/// A CSV of two classes.
pub fn animals() -> String {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let mut text = "length,weight,kind\n".to_string();
    for _ in 0..100 {
        let (a, b) = (rng.random_range(-1.0..1.0_f64), rng.random_range(-1.0..1.0_f64));
        text += &format!("{a:.3},{b:.3},{}\n", if a + b > 0. { "cat" } else { "dog" });
    }
    text
}

/// The bytes of every file in a folder by its name, except the lock.
pub fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()))
        .collect();
    files.retain(|(name, _)| name != ".lock");
    files.sort();
    files
}
