//! Defends: every untouched exercise fails with words that help, and every solution passes.
use bhn_exercises::EXERCISES;

#[test]
#[cfg(not(feature = "solutions"))]
fn every_untouched_exercise_says_what_to_do() {
    for exercise in &EXERCISES {
        let why = exercise.grade().expect_err(exercise.file);
        let is_helpful = why.starts_with("not done yet: ") && why.len() > 40;
        assert!(is_helpful && !why.contains("panic"), "{}: {why}", exercise.file);
    }
}

#[test]
#[cfg(feature = "solutions")]
fn every_solution_passes() {
    for exercise in &EXERCISES {
        assert_eq!(exercise.grade(), Ok(()), "{}", exercise.file);
    }
}

#[test]
fn every_exercise_has_its_files_hints_and_chapter() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (exercise, number) in EXERCISES.iter().zip(1..) {
        let file = exercise.file;
        assert!(file.starts_with(&format!("e{number:02}_")), "{file} is number {number}");
        let stub = std::fs::read_to_string(folder.join(format!("todo/{file}.rs"))).expect(file);
        for text in [stub.as_str(), exercise.solution] {
            assert!(text.starts_with(&format!("//! {number}. ")), "{file}: {text}");
        }
        assert!((2..=3).contains(&exercise.hints.len()), "{file}: {} hints", exercise.hints.len());
        let chapter = folder.join(format!("../book/src/{}.md", exercise.chapter));
        assert!(chapter.exists(), "{file}: no chapter {}", exercise.chapter);
    }
}

#[test]
fn no_line_has_more_than_100_columns() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in ["src", "todo", "solutions", "tests"] {
        for entry in std::fs::read_dir(folder.join(part)).expect(part) {
            let path = entry.expect(part).path();
            let text = std::fs::read_to_string(&path).expect(part);
            assert!(text.lines().count() <= 450, "{} is too long", path.display());
            for (line, i) in text.lines().zip(1..) {
                assert!(line.chars().count() <= 100, "{}:{i}", path.display());
            }
        }
    }
}
