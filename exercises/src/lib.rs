//! The exercises of the book, and what grades them.
//!
//! `cargo run -p bhn-exercises` grades the files in `exercises/todo` one after another and stops at
//! the first that is not done; `-- 7` grades one, `-- 7 --hint` shows its next hint.
#[cfg(feature = "solutions")]
#[path = "../solutions/mod.rs"]
mod answers;
#[cfg(not(feature = "solutions"))]
#[path = "../todo/mod.rs"]
mod answers;

mod checks;
mod code;

/// An exercise.
pub struct Exercise {
    /// Its number.
    pub number: usize,
    /// The name of its file in `todo/`.
    pub file: &'static str,
    /// The chapter of the book.
    pub chapter: &'static str,
    /// Hints, from vague to plain.
    pub hints: &'static [&'static str],
    /// What is wrong with the answer, in words. It may panic, as an answer that is not begun does.
    pub grade: fn() -> Result<(), String>,
}

/// All exercises, in the order of the book.
pub fn all() -> Vec<Exercise> {
    code::EXERCISES.into_iter().chain(checks::EXERCISES).collect()
}
