//! Defends: paths need not be UTF-8. Where one cannot be stored, the command is refused before any
//! work; whatever is typed is never an internal error.
#![cfg(target_os = "linux")]
use crate::common::{Folder, TINY, animals};
use crate::refused;
use crate::test_data::test_data;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A name that is not UTF-8, with this end.
fn odd(end: &str) -> OsString {
    let mut name = OsStr::from_bytes(b"od\xff\xfed").to_os_string();
    name.push(end);
    name
}

/// `bhn` with arguments of several types.
macro_rules! bhn {
    ($folder:expr, $($arg:expr),*) => {{
        let mut bhn = $folder.bhn();
        $(bhn.arg(&$arg);)*
        bhn
    }};
}

#[test]
fn runs_may_have_any_name() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let run = odd("");
    bhn!(folder, "train", "animals.csv", "--out", run).args(TINY).assert().success();
    let path = folder.path("").join(&run);
    assert!(path.join("summary.json").exists() && path.join("report.html").exists());
    fs::remove_file(path.join("summary.json")).unwrap();
    bhn!(folder, "train", "--resume", run, "--samples", "5").assert().success();
    assert!(path.join("summary.json").exists());
    bhn!(folder, "eval", run, "--json").assert().success();
    bhn!(folder, "verify", run, "--only", "checkpoints").assert().success();
    let table = odd(".csv");
    fs::copy(folder.path("animals.csv"), folder.path("").join(&table)).unwrap();
    let out = |name: &str| folder.path("").join(odd(name));
    bhn!(folder, "predict", run, table, "--out", odd(".p")).assert().success();
    bhn!(folder, "acquire", run, "--pool", table, "--out", odd(".a")).assert().success();
    bhn!(folder, "sample", run, "--out", odd(".s")).assert().success();
    let rows = fs::read(out(".p")).unwrap();
    assert!(String::from_utf8(rows).unwrap().contains("od\u{fffd}\u{fffd}d.csv#99"));
    assert!(out(".a").exists() && out(".s").exists());
}

#[test]
fn settings_and_data_folders_may_have_any_name() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    fs::write(folder.path("").join(odd(".toml")), "[train]\nepochs = 1\n").unwrap();
    let mut train = bhn!(folder, "train", "animals.csv", "--config", odd(".toml"));
    train.args(["--out", "run"]).assert().success();
    fs::create_dir(folder.path("").join(odd(""))).unwrap();
    bhn!(folder, "data", "list", "--data-dir", odd(""), "--json").assert().success();
    bhn!(folder, "data", "check", "--data-dir", odd("")).assert().success();
    let mut fetch = bhn!(folder, "data", "fetch", "kmnist", "--data-dir", "d", "--from", odd(""));
    refused(&mut fetch, &["kmnist", "none of its files"]);
    let Some(source) = test_data("uci/yacht") else { return };
    let link = folder.path("").join(odd(".from"));
    std::os::unix::fs::symlink(source, link).unwrap();
    let mut fetch = bhn!(folder, "data", "fetch", "uci/yacht", "--from", odd(".from"), "--json");
    fetch.arg("--data-dir").arg(odd("")).assert().success();
    let mut train = bhn!(folder, "train", "uci/yacht/3", "--data-dir", odd(""), "--epochs", "1");
    train.assert().success();
}

/// `config.toml` and `lab.json` cannot hold such a path.
#[test]
fn paths_that_are_stored_are_refused_before_the_work() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let table = odd(".csv");
    fs::copy(folder.path("animals.csv"), folder.path("").join(&table)).unwrap();
    let parts = ["od\u{fffd}\u{fffd}d", "not UTF-8", "Rename it, or give a link to it"];
    refused(&mut bhn!(folder, "train", table, "--out", "run"), &parts);
    let mut warm = bhn!(folder, "train", "animals.csv", "--warm-start", odd(""), "--out", "run");
    refused(&mut warm, &parts);
    let out = odd("");
    let mut reproduce = bhn!(folder, "reproduce", "dependence", "--tier", "smoke", "--out", out);
    refused(&mut reproduce, &["not UTF-8", "Choose another folder with --out"]);
    assert!(!folder.path("run").exists() && !folder.path("").join(&out).exists());
    // A link is enough.
    std::os::unix::fs::symlink(&table, folder.path("link.csv")).unwrap();
    bhn!(folder, "train", "link.csv", "--out", "run").args(TINY).assert().success();
}

/// Relative paths are kept then, and work in the same folder.
#[test]
fn the_working_folder_may_have_any_name() {
    let folder = Folder::new();
    let here = folder.path("").join(odd(""));
    fs::create_dir(&here).unwrap();
    fs::write(here.join("animals.csv"), animals()).unwrap();
    let here = |args: &[&str]| {
        let mut bhn = folder.bhn();
        bhn.current_dir(&here).args(args);
        bhn
    };
    let train = ["train", "animals.csv", "--method", "mle", "--out", "mle"];
    let told = predicates::str::contains("run later commands here too");
    here(&train).args(TINY).assert().success().stderr(told);
    let warm = ["train", "animals.csv", "--warm-start", "mle", "--out", "warm"];
    here(&warm).args(TINY).assert().success();
    here(&["train", "--resume", "warm", "--samples", "5"]).assert().success();
    here(&["eval", "warm"]).assert().success();
    refused(&mut here(&["reproduce", "dependence", "--out", "x"]), &["not UTF-8"]);
}

/// MNIST is unpacked, and checkpoints are verified, in the folder for temporary files.
#[test]
fn unusable_temporary_folder_is_refused() {
    let folder = Folder::new();
    fs::create_dir(folder.path("").join(odd(""))).unwrap();
    let commands: [&[&str]; 2] = [&["train", "mnist", "--subset", "99"], &["verify"]];
    for args in commands {
        refused(folder.bhn().args(args).env("TMPDIR", "/no/where"), &["/no/where", "No such"]);
    }
    let odd = folder.path("").join(odd(""));
    refused(folder.bhn().args(commands[0]).env("TMPDIR", &odd), &["not UTF-8", "Set TMPDIR"]);
    assert!(!folder.path("runs").exists() && fs::read_dir(odd).unwrap().next().is_none());
}

/// Every flag of every command, and an unknown one, with a value that is not UTF-8.
#[test]
fn no_argument_is_an_internal_error() {
    let folder = Folder::new();
    let commands: [&[&str]; 12] = [
        &["train", "none.csv"],
        &["eval", "none"],
        &["predict", "none", "none.csv"],
        &["acquire", "none", "--pool", "none.csv"],
        &["sample", "none"],
        &["reproduce", "dependence", "--cached", "--tier", "smoke"],
        &["verify", "none"],
        &["data", "check", "none"],
        &["data", "fetch", "none"],
        &["data", "no-such-verb"],
        &["completions", "no-such-shell"],
        &["man", "more"],
    ];
    let mut flags = 0;
    for args in commands {
        for unknown in [&b"--no\xff"[..], b"-\xff", b"od\xff\xfed", "--n\u{f6}".as_bytes()] {
            refused(folder.bhn().args(args).arg(OsStr::from_bytes(unknown)), &[]);
        }
        let help = folder.bhn().args(&args[..args.len().min(2)]).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for flag in help.split([' ', '\n']).filter_map(|word| word.strip_prefix("--")) {
            let flag = flag.trim_end_matches([',', '.', ';', ':', '\'', '`', ')']);
            let mut given = OsString::from(format!("--{flag}="));
            given.push(odd(""));
            refused(folder.bhn().args(args).arg(given), &[]);
            flags += 1;
        }
    }
    assert!(flags > 60, "only {flags} flags found: this test reads the help wrongly");
    let left = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().path());
    let left: Vec<_> = left.filter(|path| path != Path::new("results")).collect();
    assert!(left.iter().all(|path| path.ends_with("results")), "{left:?}");
}
