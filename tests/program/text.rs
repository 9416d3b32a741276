//! Defends: text that the program prints, whatever names it is given: no characters that a terminal
//! obeys, messages of bounded length, and commands that can be pasted into a shell.
use crate::common::{Folder, TINY, animals};
use crate::refused;
use std::fs;

#[test]
fn control_characters_of_names_are_escaped() {
    let folder = Folder::new();
    let text = animals().replace("length", "len\u{1b}[2Jgth").replace("cat", "c\u{9b}31mat");
    folder.write("a\u{1b}[31m.csv", text);
    let output = folder.bhn().args(["train", "a\u{1b}[31m.csv"]).args(TINY).output().unwrap();
    assert!(output.status.success());
    for text in [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()) {
        assert!(!text.contains(['\u{1b}', '\u{9b}']) && text.contains("a\\u{1b}[31m"), "{text:?}");
    }
    let command = ["train", "a\u{1b}[31m.csv", "--target", "x", "--out", "b"];
    let output = folder.bhn().args(command).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains('\u{1b}') && text.contains("a\\u{1b}[31m.csv: found the columns"));
    let output = folder.bhn().args(["train", "--\u{1b}[31mx"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains('\u{1b}') && text.contains("unexpected argument"), "{text:?}");
}

#[test]
fn messages_about_many_columns_are_short() {
    let folder = Folder::new();
    let names: Vec<_> = (0..200_000).map(|i| format!("column{i}")).collect();
    let zeros = vec!["0"; names.len()].join(",");
    folder.write("wide.csv", format!("{}\n{zeros}\n{zeros}\n", names.join(",")));
    let output = folder.bhn().args(["train", "wide.csv", "--target", "none"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.len() < 1000 && text.contains("… and 199980 more"), "{} bytes", text.len());
    let name = "x".repeat(1 << 20);
    folder.write("long.csv", format!("{name},{name}\n0,0\n"));
    let output = folder.bhn().args(["train", "long.csv"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.len() < 10_000 && text.contains("more characters"), "{} bytes", text.len());
}

#[test]
fn printed_commands_can_be_pasted() {
    let folder = Folder::new();
    fs::create_dir(folder.path("my data")).unwrap();
    folder.write("my data/my table.csv", animals());
    let args = ["train", "my data/my table.csv", "--out", "it's mine"];
    let output = folder.bhn().args(args).args(TINY).output().unwrap();
    let resume = "bhn train --resume 'it'\\''s mine'";
    assert!(String::from_utf8(output.stderr).unwrap().contains(resume));
    let summary = fs::read_to_string(folder.path("it's mine/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let command = summary["command"].as_str().unwrap();
    let typed = "train 'my data/my table.csv' --out 'it'\\''s mine' --hidden 8";
    assert!(command.contains(typed), "{command}");
    refused(folder.bhn().args(args), &[resume]);
    fs::remove_file(folder.path("it's mine/best.safetensors")).unwrap();
    refused(folder.bhn().args(["eval", "it's mine"]), &[resume]);
}
