//! Defends: properties of the source itself, that no compiler checks.
use std::fs;
use std::path::{Path, PathBuf};

/// Layers, lowest first, as in ARCHITECTURE.md: a module uses its own layer or those below.
const LAYERS: [&[&str]; 15] = [
    &["error", "random"],
    &["kernels"],
    &["autodiff"],
    &["nn"],
    &["flows", "primary"],
    &["bayes"],
    &["stats"],
    &["metrics"],
    &["data"],
    &["predict", "run"],
    &["report"],
    &["experiments"],
    &["verify"],
    &["cli"],
    &["main"],
];

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                folders.extend((!entry.ends_with("target")).then_some(entry));
            } else if entry.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&entry).unwrap();
                found.push((entry, text));
            }
        }
    }
    found.sort();
    found
}

/// The top-level module a source file belongs to.
fn module(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_string()
}

/// Code without comments.
fn code(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn layers_point_down() {
    let layer = |module: &str| LAYERS.iter().position(|names| names.contains(&module));
    for (path, text) in sources("src") {
        let own = module(&path);
        if own == "lib" {
            continue;
        }
        let at = layer(&own).unwrap_or_else(|| panic!("{own} is in no layer"));
        for hidden in ["crate::{", "super::super"] {
            assert!(!code(&text).contains(hidden), "{}: write {hidden} out", path.display());
        }
        for used in code(&text).split("crate::").skip(1) {
            let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            // `gradchecks!` is a macro for tests alone.
            if let Some(other) = layer(used).filter(|_| used != "gradchecks") {
                assert!(other <= at, "{}: {own} uses {used}, a layer above", path.display());
            }
        }
    }
}

/// `flows` and `primary` meet in `bayes`, and nowhere else.
#[test]
fn flows_and_primary_networks_do_not_know_each_other() {
    for (path, text) in sources("src") {
        let other = match module(&path).as_str() {
            "flows" => "crate::primary",
            "primary" => "crate::flows",
            _ => continue,
        };
        assert!(!code(&text).contains(other), "{} uses {other}", path.display());
    }
}

/// Every public method on `Var` in `ops`, and every operator, has a gradient check of its name in
/// the same file.
#[test]
fn every_op_has_its_check() {
    let mut count = 0;
    for (path, text) in sources("src/autodiff/ops") {
        let checks = text.split("crate::gradchecks! {").nth(1).unwrap_or("");
        let checks = checks.split("\n}").next().unwrap();
        let body = text.split("crate::gradchecks!").next().unwrap();
        let methods = body.lines().filter_map(|line| {
            line.strip_prefix("    pub fn ")
                .or(line.strip_prefix("    fn ").filter(|l| is_operator(l)))
        });
        for name in methods.map(|line| line.split(['(', '<']).next().unwrap()) {
            count += 1;
            let found = checks.contains(&format!("\n    {name}: ["));
            assert!(found, "{}: no gradient check for {name}", path.display());
        }
    }
    assert!(count > 40, "only {count} operations found: this test reads the source wrongly");
}

fn is_operator(line: &str) -> bool {
    ["add(", "sub(", "mul(", "div(", "neg("].iter().any(|name| line.starts_with(name))
}

/// Each bijector is in the one list of `tests/engine/flows.rs`.
#[test]
fn every_bijector_is_in_the_list() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/engine/flows.rs");
    let text = fs::read_to_string(file).unwrap();
    let list = text.split("type Build").nth(1).unwrap().split("fn bijectors(").next().unwrap();
    let mut count = 0;
    for (path, text) in sources("src/flows") {
        for line in text.lines().filter(|l| l.starts_with("impl") && l.contains("Bijector<T> for "))
        {
            let name = line.split(" for ").nth(1).unwrap().split([' ', '<']).next().unwrap();
            assert!(list.contains(name), "{}: {name} is not in the list", path.display());
            count += 1;
        }
    }
    assert!(count >= 5, "only {count} bijectors found");
}

#[test]
fn unsafe_is_in_the_kernels_alone() {
    for (path, text) in sources("src") {
        let has =
            code(&text).split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
        assert!(!has || module(&path) == "kernels", "unsafe in {}", path.display());
    }
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["src", "tests", "benches", "examples"] {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//!"), "{} does not start with //!", path.display());
        }
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let words = ["todo!", "dbg!", "unimplemented!", "FIXME", "TODO"];
    for (path, text) in sources("src") {
        for word in words {
            assert!(!text.contains(word), "{} in {}", word, path.display());
        }
    }
}

/// The library reads no environment variable and prints nothing.
#[test]
fn the_library_is_silent() {
    for (path, text) in sources("src") {
        if ["cli", "main"].contains(&module(&path).as_str()) {
            continue;
        }
        for call in ["println!", "eprintln!", "print!", "env::var"] {
            assert!(!code(&text).contains(call), "{call} in {}", path.display());
        }
    }
}
