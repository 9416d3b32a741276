//! Defends: an output goes to what its path names, be it a file, a link, a pipe or a device. A
//! file is replaced completely or not at all and keeps its permissions; what cannot be written is
//! refused before the work.
#![cfg(target_os = "linux")]
use crate::common::{Folder, TINY, animals, contents};
use crate::refused;
use crate::system::{is_root, mode, unprivileged};
use assert_cmd::Command;
use rstest::rstest;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

const WRITERS: [&[&str]; 4] = [
    &["predict", "run", "animals.csv", "--samples", "5"],
    &["predict", "run", "animals.csv", "--samples", "5", "--json"],
    &["acquire", "run", "--pool", "animals.csv", "--samples", "5"],
    &["sample", "run", "--samples", "5"],
];

/// A run, and what a command writes.
fn written(args: &[&str]) -> (Folder, Vec<u8>) {
    let folder = Folder::new();
    folder.trained();
    write(&folder, args, "plain");
    let bytes = fs::read(folder.path("plain")).unwrap();
    assert!(!bytes.is_empty());
    (folder, bytes)
}

/// Runs a command with `--out` and returns its standard output.
#[track_caller]
fn write(folder: &Folder, args: &[&str], out: &str) -> Vec<u8> {
    let assert = folder.bhn().args(args).args(["--out", out]).assert().success();
    let names = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains("partial")).collect();
    assert!(left.is_empty(), "{left:?}");
    assert.get_output().stdout.clone()
}

fn permissions(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[rstest]
fn regular_files_are_replaced(#[values(0, 1, 2, 3)] writer: usize) {
    let args = WRITERS[writer];
    let (folder, bytes) = written(args);
    let read = |name: &str| fs::read(folder.path(name)).unwrap();
    // A new file has the permissions that any program gives it.
    File::create(folder.path("usual")).unwrap();
    assert_eq!(permissions(folder.path("plain")), permissions(folder.path("usual")));
    for bits in [0o600, 0o664, 0o755] {
        folder.write("old", "of old, and longer than what replaces it: ".repeat(1000));
        mode(folder.path("old"), bits);
        assert!(write(&folder, args, "old").is_empty());
        assert!(read("old") == bytes);
        assert_eq!(permissions(folder.path("old")), bits);
    }
    // Of two hard links the one that is named is replaced.
    fs::hard_link(folder.path("old"), folder.path("other")).unwrap();
    folder.write("other", "of old");
    write(&folder, args, "old");
    assert!(read("old") == bytes && read("other") == b"of old");
    // Links, and links to links, lead to the file, which may not exist yet.
    fs::create_dir_all(folder.path("a/b")).unwrap();
    symlink("../old", folder.path("a/link")).unwrap();
    symlink("../link", folder.path("a/b/link")).unwrap();
    symlink("new", folder.path("a/dangling")).unwrap();
    symlink(folder.path("a/absolute"), folder.path("dangling")).unwrap();
    for (link, file) in [
        ("a/link", "old"),
        ("a/b/link", "old"),
        ("a/dangling", "a/new"),
        ("dangling", "a/absolute"),
    ] {
        folder.write("old", "of old");
        write(&folder, args, link);
        assert!(read(file) == bytes, "{link}");
        assert!(fs::symlink_metadata(folder.path(link)).unwrap().is_symlink(), "{link}");
    }
    assert_eq!(contents_of(&folder, "a"), ["absolute", "b", "dangling", "link", "new"]);
}

fn contents_of(folder: &Folder, name: &str) -> Vec<String> {
    let names = fs::read_dir(folder.path(name)).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[rstest]
fn pipes_and_standard_output_are_written_to(#[values(0, 1, 2, 3)] writer: usize) {
    let args = WRITERS[writer];
    let (folder, bytes) = written(args);
    for out in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        assert!(write(&folder, args, out) == bytes, "{out}");
    }
    assert!(!folder.path("-").exists());
    // A redirection keeps the file that the shell has opened, also through a link.
    symlink("/dev/stdout", folder.path("link")).unwrap();
    for out in ["-", "/dev/stdout", "link"] {
        let file = File::create(folder.path("redirected")).unwrap();
        let mut bhn = std::process::Command::new(assert_cmd::cargo::cargo_bin("bhn"));
        bhn.current_dir(folder.path("")).args(args).args(["--out", out]);
        let quiet = bhn.stdout(file.try_clone().unwrap()).stderr(Stdio::null());
        assert!(quiet.status().unwrap().success());
        assert!(fs::read(folder.path("redirected")).unwrap() == bytes, "{out}");
        let inode = fs::metadata(folder.path("redirected")).unwrap().ino();
        assert_eq!(inode, file.metadata().unwrap().ino(), "{out}");
    }
    let pipe = folder.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    symlink("pipe", folder.path("to-pipe")).unwrap();
    for out in ["pipe", "to-pipe"] {
        let from = pipe.clone();
        let reader = std::thread::spawn(move || {
            let mut bytes = vec![];
            File::open(from).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        });
        write(&folder, args, out);
        assert!(reader.join().unwrap() == bytes);
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    }
}

/// Run without privileges, since a faulty program that runs as root would replace the devices.
#[rstest]
fn devices_are_written_to(#[values(0, 1, 2, 3)] writer: usize) {
    let args = WRITERS[writer];
    let folder = Folder::new();
    folder.trained();
    mode(folder.path("run"), 0o755);
    unprivileged(&folder);
    mode(folder.path(""), 0o777);
    let bhn = |out: &str| {
        let mut bhn = unprivileged(&folder);
        bhn.args(args).args(["--out", out]);
        bhn
    };
    symlink("/dev/null", folder.path("null")).unwrap();
    for out in ["/dev/null", "null"] {
        bhn(out).assert().success().stdout("");
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
    assert!(fs::symlink_metadata(folder.path("null")).unwrap().is_symlink());
    refused(&mut bhn("/dev/full"), &["/dev/full", "No space left"]);
    if writer == 0 {
        let profile = bhn("/dev/null").arg("--profile").assert().success();
        let table = String::from_utf8(profile.get_output().stdout.clone()).unwrap();
        assert!(table.contains("operation") && !table.contains("p_cat"), "{table}");
        refused(bhn("-").arg("--profile"), &["--profile", "standard output", "/dev/null"]);
    }
}

/// What cannot be written is refused before the inputs, which do not exist, are read.
#[rstest]
#[case(&["predict", "run", "none.csv"])]
#[case(&["acquire", "run", "--pool", "none.csv"])]
#[case(&["sample", "run"])]
fn what_cannot_be_written_is_refused_before_the_work(#[case] args: &[&str]) {
    let folder = Folder::new();
    folder.trained();
    mode(folder.path("run"), 0o755);
    unprivileged(&folder);
    mode(folder.path(""), 0o755);
    let refuses = |bhn: Command, out: &str, parts: &[&str]| {
        let mut bhn = bhn;
        refused(bhn.args(args).args(["--out", out]), parts);
    };
    fs::create_dir(folder.path("folder")).unwrap();
    symlink("folder", folder.path("to-folder")).unwrap();
    symlink("none/file", folder.path("dangling")).unwrap();
    symlink("loop", folder.path("loop")).unwrap();
    let _socket = UnixListener::bind(folder.path("socket")).unwrap();
    for out in ["folder", "folder/", "to-folder", ".", "..", "/", "new/", "/dev", "/proc/self"] {
        refuses(folder.bhn(), out, &["found a folder", "expected a file", "Add a file name"]);
    }
    refuses(folder.bhn(), "none/file", &["none/file", "no folder none", "mkdir -p none"]);
    refuses(folder.bhn(), "dangling", &["dangling", "no folder", "mkdir -p"]);
    refuses(folder.bhn(), "loop", &["loop", "symbolic links"]);
    refuses(folder.bhn(), "socket", &["found a socket"]);
    refuses(folder.bhn(), "animals.csv/file", &["animals.csv/file", "Not a directory"]);
    refuses(folder.bhn(), &"long".repeat(100), &["too long"]);
    let before = contents_of(&folder, "");
    if !is_root() {
        return eprintln!("skipped: only root can act as another user");
    }
    let denied = ["Permission denied", "Choose a place"];
    refuses(unprivileged(&folder), "new", &denied);
    refuses(unprivileged(&folder), "animals.csv", &denied);
    refuses(unprivileged(&folder), "/proc/version", &denied);
    // A file of another user in a folder like /tmp, and a file in a folder that is read-only.
    folder.write("folder/of-root", "of old");
    mode(folder.path("folder/of-root"), 0o666);
    for bits in [0o1777, 0o555] {
        mode(folder.path("folder"), bits);
        refuses(unprivileged(&folder), "folder/of-root", &denied);
    }
    mode(folder.path("folder"), 0o777);
    folder.write("folder/of-root", "of old");
    mode(folder.path("folder/of-root"), 0o644);
    refuses(unprivileged(&folder), "folder/of-root", &denied);
    assert_eq!(fs::read(folder.path("folder/of-root")).unwrap(), b"of old");
    assert_eq!(contents_of(&folder, ""), before);
    assert_eq!(contents_of(&folder, "folder"), ["of-root"]);
}

/// A run and an experiment are folders.
#[test]
fn folders_are_not_standard_output() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let parts = ["--out", "found -, standard output", "expected a folder"];
    refused(folder.bhn().args(["train", "animals.csv", "--out", "-"]), &parts);
    refused(folder.bhn().args(["reproduce", "dependence", "--out", "-"]), &parts);
    assert_eq!(contents_of(&folder, ""), ["animals.csv"]);
}

/// Checkpoints may be links to files on another disk, for commands that read them.
#[test]
fn files_of_a_run_may_be_links_unless_they_are_written() {
    let folder = Folder::new();
    let run = folder.trained();
    let files = contents(&run);
    fs::create_dir(folder.path("disk")).unwrap();
    for (name, _) in &files {
        fs::rename(run.join(name), folder.path("disk").join(name)).unwrap();
        symlink(Path::new("../disk").join(name), run.join(name)).unwrap();
    }
    folder.bhn().args(["eval", "run", "--samples", "5"]).assert().success();
    let resume = ["train", "--resume", "run", "--samples", "5"];
    refused(folder.bhn().args(resume), &["found a link", "expected a regular file"]);
    assert_eq!(contents(&run), files);
}

/// Standard output is full, or its reader has gone: an error, or silence, and never a panic.
#[rstest]
fn full_or_closed_streams_never_panic(#[values(false, true)] with_stderr: bool) {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let train = [&["train", "animals.csv", "--out", "run"][..], &TINY].concat();
    folder.bhn().args(&train).assert().success();
    let fetch = ["data", "fetch", "mnist"];
    let commands: [&[&str]; 14] = [
        &["completions", "bash"],
        &["completions", "fish"],
        &["man"],
        &["--help"],
        &["train", "--help"],
        &["--version"],
        &["data", "list"],
        &fetch,
        &["eval", "run"],
        &["eval", "run", "--json"],
        WRITERS[0],
        WRITERS[2],
        &["sample", "run", "--out", "-"],
        &["train", "--resume", "run"],
    ];
    for args in commands {
        let status = |full: bool| {
            let mut bhn = std::process::Command::new(assert_cmd::cargo::cargo_bin("bhn"));
            bhn.current_dir(folder.path("")).args(args).env("XDG_CACHE_HOME", "/nowhere");
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let stream = || match full {
                true => Stdio::from(File::options().write(true).open("/dev/full").unwrap()),
                false => Stdio::from(writer.try_clone().unwrap()),
            };
            bhn.stdout(stream()).stderr(if with_stderr { stream() } else { Stdio::piped() });
            let output = bhn.spawn().unwrap().wait_with_output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(!text.contains("internal error"), "{args:?}: {text}");
            assert!(!full || with_stderr || text.contains("No space left"), "{args:?}: {text}");
            output.status.code()
        };
        assert_eq!(status(false), Some(0), "{args:?} into a closed pipe");
        assert_eq!(status(true), Some(1), "{args:?} onto a full disk");
    }
}

/// A run folder that somebody has sent may hold links to files of the user, or pipes.
#[rstest]
fn links_and_pipes_in_a_run_folder_are_refused(
    #[values(
        "metrics.jsonl",
        "summary.json",
        "report.html",
        "last.safetensors",
        "samples.safetensors",
        ".lock"
    )]
    name: &str,
    #[values(true, false)] is_link: bool,
) {
    let folder = Folder::new();
    let run = folder.trained();
    folder.write("diary", "my diary");
    fs::remove_file(run.join(name)).ok();
    match is_link {
        true => symlink("../diary", run.join(name)).unwrap(),
        false => {
            assert!(
                std::process::Command::new("mkfifo")
                    .arg(run.join(name))
                    .status()
                    .unwrap()
                    .success()
            );
        }
    }
    let args: &[&str] = match name {
        "samples.safetensors" => &["sample", "run", "--samples", "5"],
        _ => &["train", "--resume", "run", "--samples", "5"],
    };
    refused(folder.bhn().args(args).timeout(std::time::Duration::from_secs(20)), &[name]);
    assert_eq!(fs::read(folder.path("diary")).unwrap(), b"my diary");
}
