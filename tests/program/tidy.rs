//! Defends: the structure of the source, which no compiler checks. No module uses a higher floor,
//! files have no cyclic dependencies, lines and files are short, and `unsafe` is in the kernels
//! only.
use crate::uses::{cycles, uses};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors of the house, lowest first, as in ARCHITECTURE.md: a module uses its own floor or
/// those below.
const FLOORS: [&[&str]; 17] = [
    &["error", "random"],
    &["kernels"],
    &["autodiff"],
    &["nn"],
    &["flows", "primary"],
    &["bayes"],
    &["stats"],
    &["metrics"],
    &["data"],
    &["predict"],
    &["run"],
    &["report"],
    &["experiments"],
    &["explore"],
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

/// The text before its unit tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap()
}

/// Code without comments.
fn code(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn modules_use_no_higher_floor() {
    let floor = |module: &str| FLOORS.iter().position(|names| names.contains(&module));
    for (path, text) in sources("src") {
        let own = module(&path);
        if own == "lib" {
            continue;
        }
        let at = floor(&own).unwrap_or_else(|| panic!("{own} is on no floor"));
        for hidden in ["crate::{", "super::super"] {
            assert!(!code(&text).contains(hidden), "{}: write {hidden} out", path.display());
        }
        for used in code(&text).split("crate::").skip(1) {
            let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
            // `gradchecks!` is a macro for tests only.
            if let Some(other) = floor(used).filter(|_| used != "gradchecks") {
                assert!(other <= at, "{}: {own} uses {used}, a floor above", path.display());
            }
        }
    }
}

#[test]
fn source_files_have_no_cyclic_dependencies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources = sources("src").into_iter().map(|(path, text)| {
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().to_string();
        (file, code(without_tests(&text)))
    });
    let uses = uses(&sources.collect::<Vec<_>>());
    let flows = &uses["verify/flows.rs"];
    assert!(
        flows.contains("verify/gradients.rs") && flows.contains("autodiff/tape.rs"),
        "{flows:?}"
    );
    let cycles: Vec<_> = cycles(&uses).iter().map(|files| files.join(" → ")).collect();
    assert!(cycles.is_empty(), "{} cycles:\n{}", cycles.len(), cycles.join("\n"));
}

#[test]
fn cycles_are_found_through_re_exports() {
    let sources = [
        ("lib.rs", "pub mod a;\npub mod b;"),
        ("a/mod.rs", "mod x;\nmod y;\npub use x::X;\npub use y::Y;\npub struct A;"),
        ("a/x.rs", "use super::Y;\npub struct X(Y);"),
        ("a/y.rs", "use super::{A, x};\npub struct Y(A, x::X);"),
        ("b.rs", "use crate::a::{self, A};\npub fn b() -> a::X {}"),
    ];
    let uses = uses(&sources.map(|(file, text)| (file.to_string(), text.to_string())));
    assert_eq!(uses["b.rs"].iter().collect::<Vec<_>>(), ["a/mod.rs", "a/x.rs"]);
    let cycles: Vec<_> = cycles(&uses).into_iter().collect();
    assert_eq!(cycles, [["a/x.rs", "a/y.rs"]]);
}

/// `flows` and `primary` are used together in `bayes`, and do not use each other.
#[test]
fn flows_and_primary_do_not_depend_on_each_other() {
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
fn every_op_has_a_gradient_check() {
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

/// Each bijector is in the one list of `src/verify/flows.rs`.
#[test]
fn every_bijector_is_listed_in_verify() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/verify/flows.rs");
    let text = fs::read_to_string(file).unwrap();
    let list = text.split("pub const FLOWS").nth(1).unwrap().split("/// The suite").next().unwrap();
    let mut count = 0;
    for (path, text) in sources("src/flows") {
        let implements =
            |l: &&str| l.starts_with("impl") && l.contains("Bijector<") && l.contains("> for ");
        for line in text.lines().filter(implements) {
            let name = line.split("> for ").nth(1).unwrap().split([' ', '<']).next().unwrap();
            assert!(list.contains(name), "{}: {name} is not in the list", path.display());
            count += 1;
        }
    }
    assert!(count >= 5, "only {count} bijectors found");
}

#[test]
fn unsafe_is_confined_to_kernels_and_the_allocator() {
    for (path, text) in sources("src") {
        let has =
            code(&text).split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
        let is_allowed = module(&path) == "kernels" || path.ends_with("main.rs");
        assert!(!has || is_allowed, "unsafe in {}", path.display());
    }
}

#[test]
fn every_file_starts_with_a_doc_comment() {
    for folder in ["src", "tests", "benches", "examples", "book/tools"] {
        for (path, text) in sources(folder) {
            assert!(text.starts_with("//!"), "{} does not start with //!", path.display());
        }
    }
}

#[test]
fn source_has_no_todo_or_debug_markers() {
    let words = ["todo!", "dbg!", "unimplemented!", "FIXME", "TODO"];
    for (path, text) in sources("src") {
        for word in words {
            assert!(!text.contains(word), "{} in {}", word, path.display());
        }
    }
}

/// The library reads no environment variable and prints nothing.
#[test]
fn library_prints_nothing_and_reads_no_environment() {
    for (path, text) in sources("src") {
        if ["cli", "main"].contains(&module(&path).as_str()) {
            continue;
        }
        for call in ["println!", "eprintln!", "print!", "env::var"] {
            assert!(!code(&text).contains(call), "{call} in {}", path.display());
        }
    }
}

/// String literals, tables of numbers, addresses and tables in comments cannot be broken.
#[test]
fn lines_of_code_have_at_most_100_columns() {
    let is_long = |line: &str| {
        let comment = line.trim_start();
        if comment.starts_with("//") {
            let is_table = comment.trim_start_matches(['/', '!', ' ']).starts_with('|');
            return !is_table && !line.contains("://");
        }
        // What remains of `a("b", "c")` is `a(, )`.
        let code: usize = line.split('"').step_by(2).map(|part| part.chars().count()).sum();
        code > 100 && line.contains(char::is_alphabetic)
    };
    let folders = ["src", "tests", "benches", "examples", "book/tools"];
    assert_no_long_lines(&folders.map(sources).concat(), is_long);
}

/// Tables, lines with a link, and code blocks, which have output, are exempt.
#[test]
fn lines_of_documentation_have_at_most_100_columns() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = [root.to_path_buf(), root.join("docs"), root.join("book/src")]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let pages = entries.filter(|path| path.extension().is_some_and(|e| e == "md")).map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        // Code blocks become empty lines.
        let parts = text.split("```").enumerate().map(|(i, part)| match i % 2 {
            0 => part.to_string(),
            _ => part.chars().filter(|c| *c == '\n').collect(),
        });
        (path, parts.collect())
    });
    let is_long = |line: &str| !line.starts_with('|') && !line.contains("](");
    assert_no_long_lines(&pages.collect::<Vec<_>>(), is_long);
}

/// Asserts that no line above 100 columns is one that `is_long`.
fn assert_no_long_lines(texts: &[(PathBuf, String)], is_long: impl Fn(&str) -> bool) {
    let mut found = vec![];
    for (path, text) in texts {
        for (i, line) in text.lines().enumerate() {
            if line.chars().count() > 100 && is_long(line) {
                found.push(format!("{}:{}", path.display(), i + 1));
            }
        }
    }
    assert!(found.is_empty(), "{} lines above 100 columns:\n{}", found.len(), found.join("\n"));
}

/// A longer file gives its reason in its first comment: "Above 450 lines: …". Unit tests are not
/// counted.
#[test]
fn files_have_at_most_450_lines() {
    let mut found = vec![];
    for (path, text) in ["src", "benches", "examples", "book/tools"].map(sources).concat() {
        let lines = without_tests(&text).lines().count();
        let mut first = text.lines().take_while(|line| line.starts_with("//!"));
        if lines > 450 && !first.any(|line| line.contains("Above 450 lines: ")) {
            found.push(format!("{}: {lines}", path.display()));
        }
    }
    assert!(found.is_empty(), "{} files above 450 lines:\n{}", found.len(), found.join("\n"));
}

/// Every file that `docs/equations.md` names exists, and defines the items named after it.
#[test]
fn equations_page_names_existing_items() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/equations.md")).unwrap();
    let mut items = 0;
    for cell in page.lines().filter(|line| line.starts_with('|')).flat_map(|row| row.split(" | ")) {
        let mut file = None;
        // Every second piece between backticks is code: a file, or items in the file before them.
        for code in cell.split('`').skip(1).step_by(2) {
            if code.ends_with(".rs") {
                let source = fs::read_to_string(root.join(code));
                file = Some((code, source.unwrap_or_else(|e| panic!("equations.md: {code}: {e}"))));
            } else if let Some((path, source)) = &file {
                for name in code.split("::") {
                    assert!(defines(source, name), "equations.md: no {name} in {path}");
                    items += 1;
                }
            }
        }
    }
    assert!(items > 50, "only {items} items found: this test reads the page wrongly");
}

/// Whether `source` has the definition of an item called `name`.
fn defines(source: &str, name: &str) -> bool {
    ["fn", "struct", "enum", "trait", "const"].iter().any(|keyword| {
        let definition = format!("{keyword} {name}");
        let mut next = source.split(&definition).skip(1).filter_map(|rest| rest.chars().next());
        next.any(|c| !c.is_alphanumeric() && c != '_')
    })
}
