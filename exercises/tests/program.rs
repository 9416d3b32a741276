//! Defends: the program's answers to good and bad arguments, none of which is a panic.
use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_bhn-exercises");
    Command::new(program).args(args).env("RUST_BACKTRACE", "1").output().expect("it runs")
}

fn text(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(!text.contains("panicked") && !text.contains("backtrace"), "{text}");
    text
}

#[test]
#[cfg(not(feature = "solutions"))]
fn untouched_exercises_stop_at_the_first() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let found = text(&output);
    for words in [" 1. ", "not done yet", "exercises/todo/e01_broadcast.rs", "tensors.md", "--hint"]
    {
        assert!(found.contains(words), "no `{words}` in: {found}");
    }
    assert!(!found.contains(" 2. "), "{found}");
    let found = text(&run(&["7"]));
    assert!(found.contains(" 7. ") && found.contains("e07_coupling.rs"), "{found}");
    let output = run(&["--list"]);
    assert!(output.status.success() && text(&output).contains("0 of 20 are done"));
}

#[test]
#[cfg(feature = "solutions")]
fn solutions_are_all_done() {
    let output = run(&[]);
    assert!(output.status.success() && text(&output).contains("all 20 exercises are done"));
    assert!(text(&run(&["20"])).contains("20. a check of random numbers: done"));
    assert!(text(&run(&["--list"])).contains("20 of 20 are done"));
}

#[test]
fn hints_and_solutions_are_shown() {
    let output = run(&["7", "--hint"]);
    assert!(output.status.success());
    let found = text(&output);
    assert!(found.contains("hint 1 of 3") && found.contains("`-- 7 --hint 2`"), "{found}");
    let last = text(&run(&["7", "--hint", "3"]));
    assert!(last.contains("hint 3 of 3") && last.contains("--solution"), "{last}");
    assert!(text(&run(&["7", "--solution"])).contains("pub fn inverse"));
}

#[test]
fn bad_arguments_get_one_helpful_sentence() {
    let cases: [(&[&str], &str); 8] = [
        (&["0"], "no exercise 0: they are 1 to 20"),
        (&["21"], "no exercise 21: they are 1 to 20"),
        (&["seven"], "unknown argument `seven`: use"),
        (&["--hint"], "the number of the exercise comes first"),
        (&["7", "--hint", "4"], "no hint 4: exercise 7 has the hints 1 to 3"),
        (&["7", "--hint", "x"], "`x` is not the number of a hint"),
        (&["7", "8"], "unknown arguments after 7, from `8`"),
        (&["-1"], "unknown argument `-1`"),
    ];
    for (args, words) in cases {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let found = text(&output);
        assert!(found.contains(words) && found.lines().count() == 1, "{args:?}: {found}");
    }
}
