//! Grades the exercises.
use bhn_exercises::{Exercise, all};
use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let number = args.iter().find_map(|arg| arg.parse::<usize>().ok());
    let is_known = |arg: &String| arg == "--hint" || arg.parse::<usize>().is_ok();
    if let Some(other) = args.iter().find(|arg| !is_known(arg)) {
        eprintln!("{other}: not known. `-- 7` grades exercise 7, `-- 7 --hint` shows its hints.");
        return ExitCode::FAILURE;
    }
    let exercises = all();
    let chosen: Vec<_> =
        exercises.iter().filter(|e| number.is_none_or(|number| e.number == number)).collect();
    if chosen.is_empty() {
        eprintln!("there are exercises 1 to {}", exercises.len());
        return ExitCode::FAILURE;
    }
    if args.iter().any(|arg| arg == "--hint") {
        for (i, hint) in chosen[0].hints.iter().enumerate() {
            println!("hint {}: {hint}", i + 1);
        }
        return ExitCode::SUCCESS;
    }
    panic::set_hook(Box::new(|_| ()));
    for exercise in &chosen {
        match graded(exercise) {
            Ok(()) => println!("exercise {}: done", exercise.number),
            Err(why) => {
                let Exercise { number, file, chapter, hints, .. } = exercise;
                println!("exercise {number}, todo/{file}.rs, chapter \"{chapter}\":\n{why}");
                println!("`-- {number} --hint` shows {} of {} hints", 1.min(hints.len()), hints.len());
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{} of {} exercises done", chosen.len(), exercises.len());
    ExitCode::SUCCESS
}

/// The verdict, with a panic in words.
fn graded(exercise: &Exercise) -> Result<(), String> {
    panic::catch_unwind(exercise.grade).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panics");
        Err(text.replace("not yet implemented", "not done yet"))
    })
}
