//! Tells the program which commit it was built from, `-dirty` if its source has changed since; `unknown` outside a git
//! checkout.
use std::process::Command;

/// What the program is made of.
const SOURCE: [&str; 4] = ["src", "Cargo.toml", "Cargo.lock", "build.rs"];

fn main() {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        let output = command.arg("--no-optional-locks").args(args).output();
        let output = output.ok().filter(|o| o.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_string())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or("unknown".into());
    let status = ["status", "--porcelain", "--"];
    let is_dirty = git(&[&status[..], &SOURCE].concat()).is_some_and(|files| !files.is_empty());
    println!("cargo::rustc-env=BHN_COMMIT={commit}{}", if is_dirty { "-dirty" } else { "" });
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", path]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for path in SOURCE {
        println!("cargo::rerun-if-changed={path}");
    }
}
