//! Defends: each command does what its help says, and every fault of the outside world ends in one
//! paragraph with what was found, what was expected and what to do, with nothing lost.
#![cfg(feature = "cli")]
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/mnist.rs"]
mod mnist;
#[path = "../common/npz.rs"]
mod npz;
#[path = "../common/test_data.rs"]
mod test_data;

mod answers;
mod browser;
mod checkpoints;
mod commands;
mod crash;
mod data;
mod diverge;
mod examples;
mod explain;
mod explore;
mod fetch;
mod flags;
mod harm;
mod interrupts;
mod licences;
mod methods;
mod missing;
mod names;
mod outputs;
mod pages;
mod pictures;
mod profile;
mod rebuild;
mod reproduce;
mod resume;
mod streams;
mod system;
mod tables;
mod targets;
mod text;
mod tidy;
mod toys;
mod units;
mod uses;
mod verify;

use assert_cmd::Command;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// The command fails with an error on standard error that contains all `parts` and nothing that
/// looks like a crash; standard output is empty.
#[track_caller]
fn refused(command: &mut Command, parts: &[&str]) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {text}", output.status);
    assert!(output.stdout.is_empty(), "standard output: {:?}", output.stdout);
    assert!(text.contains("error: "), "no error in: {text}");
    for crash in ["panicked", "internal error", "stack backtrace", "memory allocation"] {
        assert!(!text.contains(crash), "{crash:?} is in: {text}");
    }
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// A CSV whose target is a number.
fn heights() -> String {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let mut text = "age,height\n".to_string();
    for _ in 0..100 {
        let age = rng.random_range(1.0..18.0_f64);
        text += &format!("{age:.3},{:.3}\n", 70. + 6. * age + rng.random_range(-3.0..3.0));
    }
    text
}
