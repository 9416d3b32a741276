//! Grades the exercises, shows hints and solutions.
use bhn_exercises::{EXERCISES, Exercise};
use std::process::ExitCode;

const USAGE: &str = "use no argument, or `-- 7`, `-- 7 --hint`, `-- 7 --hint 2`, `-- 7 --solution` \
                     or `-- --list`";

enum Command {
    /// Grade in order, up to the first that is not done.
    All,
    Grade(usize),
    Hint(usize, usize),
    Solution(usize),
    List,
    Help,
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let result = parse(&args).and_then(|command| match command {
        Command::All => Ok(in_order()),
        Command::Grade(number) => Ok(grade(number)),
        Command::Hint(number, hint) => show_hint(number, hint),
        Command::Solution(number) => {
            print!("{}", exercise(number).solution);
            Ok(ExitCode::SUCCESS)
        }
        Command::List => Ok(list()),
        Command::Help => {
            println!("Grades the exercises in exercises/todo in order: {USAGE}.");
            Ok(ExitCode::SUCCESS)
        }
    });
    result.unwrap_or_else(|why| {
        eprintln!("{why}");
        ExitCode::from(2)
    })
}

fn parse(args: &[&str]) -> Result<Command, String> {
    let number = |text: &str| match text.parse::<usize>() {
        Ok(number) if (1..=EXERCISES.len()).contains(&number) => Ok(number),
        Ok(number) => Err(format!("no exercise {number}: they are 1 to {}", EXERCISES.len())),
        Err(_) => Err(format!("unknown argument `{text}`: {USAGE}")),
    };
    match args {
        [] => Ok(Command::All),
        ["--help" | "-h"] => Ok(Command::Help),
        ["--list"] => Ok(Command::List),
        ["--hint" | "--solution", ..] => {
            Err(format!("the number of the exercise comes first: {USAGE}"))
        }
        [n] => Ok(Command::Grade(number(n)?)),
        [n, "--hint"] => Ok(Command::Hint(number(n)?, 1)),
        [n, "--hint", hint] => match hint.parse() {
            Ok(hint) => Ok(Command::Hint(number(n)?, hint)),
            Err(_) => Err(format!("`{hint}` is not the number of a hint: {USAGE}")),
        },
        [n, "--solution"] => Ok(Command::Solution(number(n)?)),
        [n, other, ..] => {
            number(n)?;
            Err(format!("unknown arguments after {n}, from `{other}`: {USAGE}"))
        }
    }
}

fn exercise(number: usize) -> &'static Exercise {
    &EXERCISES[number - 1]
}

fn in_order() -> ExitCode {
    for number in 1..=EXERCISES.len() {
        if grade(number) != ExitCode::SUCCESS {
            return ExitCode::FAILURE;
        }
    }
    println!("all {} exercises are done", EXERCISES.len());
    ExitCode::SUCCESS
}

fn grade(number: usize) -> ExitCode {
    let Exercise { file, title, chapter, hints, .. } = exercise(number);
    match exercise(number).grade() {
        Ok(()) => {
            println!("{number:2}. {title}: done");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{number:2}. {title}\n\n{why}\n");
            println!("file     exercises/todo/{file}.rs\nchapter  book/src/{chapter}.md");
            println!("hints    {}: `-- {number} --hint`", hints.len());
            ExitCode::FAILURE
        }
    }
}

fn show_hint(number: usize, hint: usize) -> Result<ExitCode, String> {
    let hints = exercise(number).hints;
    let text = hint.checked_sub(1).and_then(|i| hints.get(i));
    let text = text.ok_or_else(|| {
        format!("no hint {hint}: exercise {number} has the hints 1 to {}", hints.len())
    })?;
    println!("hint {hint} of {}: {text}", hints.len());
    match hint < hints.len() {
        true => println!("the next hint: `-- {number} --hint {}`", hint + 1),
        false => println!("this was the last hint; the solution: `-- {number} --solution`"),
    }
    Ok(ExitCode::SUCCESS)
}

fn list() -> ExitCode {
    let mut done = 0;
    for (exercise, number) in EXERCISES.iter().zip(1..) {
        let is_done = exercise.grade().is_ok();
        done += usize::from(is_done);
        let mark = if is_done { "done" } else { "    " };
        println!("{number:2}  {mark}  {}", exercise.title);
    }
    println!("{done} of {} are done", EXERCISES.len());
    ExitCode::SUCCESS
}
