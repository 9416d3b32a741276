//! Defends: every file of `examples/` runs, its assertions hold and it prints its point; and the
//! list below is complete.
//!
//! A plain `cargo test` builds the examples beside the tests. `cargo test --test examples` does
//! not: run `cargo build --examples` first, with the same profile and features.
use rstest::rstest;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Each example, and the words of its output that make its point.
const EXAMPLES: [(&str, &[&str]); 7] = [
    ("01_tape", &["dL/dw by the tape = [[-21.0000, -26.6667]]", "step 300", "01_tape.svg"]),
    ("02_custom_op", &["composed: [0.6931, inf]", "da = [0.5, 1], db = [0.5]", "input 1: pass"]),
    ("03_gradcheck", &["pass, relative error", "MISMATCH along direction", "not checkable"]),
    ("04_flow", &["bound by T = 0", "ln|det ∂h/∂ε|", "04_flow.svg"]),
    ("05_hypernet_by_hand", &["step 4000: ELBO", "f( 0.25)", "f( 1.50)", "hand.svg"]),
    ("06_mnist", &["test accuracy 0.9", "wrong predictions:", "uniform noise"]),
    ("07_strip", &[include_str!("../../docs/strip.svg")]),
];

#[rstest]
fn example_runs_and_prints_expected_output(#[values(0, 1, 2, 3, 4, 5, 6)] number: usize) {
    let (name, expected) = EXAMPLES[number];
    // target/<profile>/deps/examples-<hash>, and target/<profile>/examples/<name>.
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().join("examples");
    let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.rs"));
    let time = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let fresh = time(&program) >= time(&source);
    assert!(fresh, "{} is missing or old: `cargo build --examples`", program.display());
    let output = Command::new(&program).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{name}: {}\n{out}{err}", output.status);
    for words in expected {
        assert!(out.contains(words), "{name} does not say {words:?}:\n{out}");
    }
}

#[test]
fn example_list_is_complete() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let found: BTreeSet<_> = names.map(|name| name.into_string().unwrap()).collect();
    let known: BTreeSet<_> = EXAMPLES.iter().map(|(name, _)| format!("{name}.rs")).collect();
    assert_eq!(found, known);
}

/// An example shows one idea: it has 20 to 125 lines, and begins with what it shows and how to run
/// it.
#[test]
fn examples_are_short_and_state_their_command() {
    for (name, _) in EXAMPLES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let text = std::fs::read_to_string(path.with_extension("rs")).unwrap();
        let command = format!("//! `cargo run --release --example {name}`\n");
        assert!(text.starts_with("//!") && text.contains(&command), "{name} lacks {command:?}");
        assert!((20..=125).contains(&text.lines().count()), "{name}: {}", text.lines().count());
    }
}
