//! The exercises of the book, and their graders.
//!
//! `cargo run --release -p bhn-exercises` grades the files in `exercises/todo` in order and stops
//! at the first that is not done. A grader takes the functions to be graded as arguments, so that
//! tests can pass wrong ones.
#[cfg(feature = "solutions")]
#[path = "../solutions/mod.rs"]
mod answers;
#[cfg(not(feature = "solutions"))]
#[path = "../todo/mod.rs"]
mod answers;

pub mod checks;
pub mod engine;
pub mod grading;
pub mod models;
mod table;

pub use table::EXERCISES;

use grading::Verdict;

/// An exercise.
pub struct Exercise {
    /// The name of its file in `todo/`, which begins with `e` and its number.
    pub file: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// The name of the chapter's file in `book/src/`.
    pub chapter: &'static str,
    /// Hints, from vague to plain.
    pub hints: &'static [&'static str],
    /// The text of the solution.
    pub solution: &'static str,
    /// Grades the answer. Panics if the answer does, or is not begun.
    pub grader: fn() -> Verdict,
}

impl Exercise {
    /// The verdict. A panic of the answer, and an answer that does not finish, become errors.
    ///
    /// # Errors
    /// If the answer is not right: what was found, what was expected, and for which input.
    pub fn grade(&self) -> Verdict {
        grading::guarded(self.grader)
    }
}
