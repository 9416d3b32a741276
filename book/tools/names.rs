//! What the chapters name: files of the repository, exercises, tests, and commands with their
//! flags. And what they show: code that is not included must be compiled.
use crate::build::{ROOT, chapters};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Every name in the chapters of something that does not exist.
///
/// # Errors
/// If a file cannot be read.
pub fn missing() -> Result<Vec<String>> {
    let root = Path::new(ROOT).parent().context("the book has no parent folder")?;
    let exercises = files(&root.join("exercises/todo"))?;
    let tests = files(&root.join("tests"))?.into_iter().map(fs::read_to_string);
    let tests = tests.collect::<Result<Vec<_>, _>>()?.concat();
    let mut found = vec![];
    for (chapter, text) in chapters()? {
        let commands = text.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
        let commands = commands.flat_map(str::lines).map(str::to_string);
        let spans = text.split("```").step_by(2).flat_map(|part| {
            part.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " "))
        });
        for block in text.split("```rust,ignore\n").skip(1) {
            let code = block.split("```").next().unwrap_or_default();
            if !(code.starts_with("{{#include ") && code.lines().count() == 1) {
                found
                    .push(format!("{chapter}: code that is neither included nor compiled: {code}"));
            }
        }
        for name in commands.chain(spans) {
            let exists = match name.split_once(' ') {
                _ if is_exercise(&name) => {
                    exercises.iter().any(|file| file.ends_with(format!("e{name}.rs")))
                }
                None if is_path(&name) => root.join(&name).exists(),
                None if is_test(&name) => tests.contains(&format!("fn {name}(")),
                Some(("bhn", rest)) => is_command(root, rest)?,
                _ => true,
            };
            if !exists {
                found.push(format!("{chapter}: `{name}`"));
            }
        }
    }
    Ok(found)
}

/// Whether `name` looks like `07_coupling`.
fn is_exercise(name: &str) -> bool {
    let (number, rest) = name.split_once('_').unwrap_or((name, ""));
    number.len() == 2 && number.bytes().all(|b| b.is_ascii_digit()) && !rest.is_empty()
}

fn is_path(name: &str) -> bool {
    let folders = ["src/", "tests/", "examples/", "docs/", "benches/", "exercises/", "book/"];
    folders.iter().any(|folder| name.starts_with(folder)) || name.ends_with(".md")
}

/// Tests are named in words.
fn is_test(name: &str) -> bool {
    name.matches('_').count() >= 4 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

/// Whether the subcommand has a source file, and each of its flags is defined in `src/cli`.
fn is_command(root: &Path, rest: &str) -> Result<bool> {
    let mut words = rest.split_whitespace();
    let command = words.next().unwrap_or_default();
    let mut source = fs::read_to_string(root.join("src/cli/flags.rs"))?;
    let (file, folder) = (format!("src/cli/{command}.rs"), format!("src/cli/{command}"));
    let paths = match (root.join(file), root.join(folder)) {
        (file, _) if file.exists() => vec![file],
        (_, folder) if folder.exists() => files(&folder)?,
        _ => return Ok(false),
    };
    for path in paths {
        source += &fs::read_to_string(path)?;
    }
    let mut flags = words.filter_map(|word| word.strip_prefix("--"));
    Ok(flags.all(|flag| {
        let field = flag.replace('-', "_");
        source.contains(&format!(" {field}: ")) || source.contains(&format!("long = \"{flag}\""))
    }))
}

/// All files below `folder`, without those of golden data.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised() {
        assert!(is_exercise("07_coupling") && !is_exercise("7_coupling") && !is_exercise("12"));
        assert!(is_path("src/lib.rs") && !is_path("lib.rs"));
        let root = Path::new(ROOT).parent().unwrap();
        assert!(is_command(root, "train uci/yacht --epochs 3").unwrap());
        assert!(!is_command(root, "train --no-such-flag 3").unwrap());
        assert!(!is_command(root, "nothing").unwrap());
    }
}
