//! `bhn verify`: is the engine right, and would it be noticed if it were not?
use super::{Context, show};
use crate::verify::SUITES;
use crate::verify::suite::{Checked, Outcome};
use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::time::Instant;

/// What was typed.
#[derive(clap::Args)]
#[command(
    after_help = "Every check is first run on copies of the engine with a mistake in them, and counts only if it notices one."
)]
pub struct Args {
    /// These suites alone; may be given again
    #[arg(long, value_name = "SUITE", value_parser = names())]
    only: Vec<String>,
    /// Print which check noticed which mistake
    #[arg(long)]
    mutants: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Found {
    passed: bool,
    checks: usize,
    faults: usize,
    survivors: Vec<String>,
    seconds: f64,
    suites: Vec<Outcome>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(SUITES.map(|(name, _)| name))
}

/// Verify; an error if anything fails.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let start = Instant::now();
    let chosen = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let mut outcomes = vec![];
    for (name, suite) in SUITES.into_iter().filter(|(name, _)| chosen(name)) {
        let began = Instant::now();
        let outcome = suite().verify(name);
        show::say(context, line(&outcome, began.elapsed().as_secs_f64()));
        outcomes.push(outcome);
    }
    let survivors: Vec<_> =
        outcomes.iter().flat_map(|o| o.survivors().map(|f| format!("{}: {f}", o.suite))).collect();
    let failed: Vec<_> = outcomes
        .iter()
        .flat_map(|o| {
            o.checks.iter().filter(|c| !c.passed()).map(|c| format!("{}: {}", o.suite, c.property))
        })
        .collect();
    let found = Found {
        passed: survivors.is_empty() && failed.is_empty(),
        checks: outcomes.iter().map(|o| o.checks.len()).sum(),
        faults: outcomes.iter().map(|o| o.faults.len()).sum(),
        survivors,
        seconds: start.elapsed().as_secs_f64(),
        suites: outcomes,
    };
    let table = if args.mutants { matrices(&found.suites) } else { checks(&found.suites) };
    let Found { checks, faults, seconds, .. } = &found;
    let verdict = format!(
        "{checks} checks, {} failed; {faults} seeded faults, {} not noticed; {}",
        failed.len(),
        found.survivors.len(),
        show::duration(*seconds)
    );
    show::print(context, &found, &format!("{table}\n{verdict}"))?;
    if !found.passed {
        let all = failed.into_iter().chain(found.survivors);
        bail!("not everything holds:\n{}", all.collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

fn line(outcome: &Outcome, seconds: f64) -> String {
    let word = if outcome.passed() { "ok" } else { "FAILED" };
    let (checks, faults) = (outcome.checks.len(), outcome.faults.len());
    format!(
        "{:<16} {checks:>2} checks, {faults:>2} faults  {seconds:>5.1} s  {word}",
        outcome.suite
    )
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}

fn checks(outcomes: &[Outcome]) -> String {
    let mut table = table(&[
        "suite",
        "check",
        "what it proves",
        "subjects",
        "worst",
        "allowed",
        "faults noticed",
        "",
    ]);
    for outcome in outcomes {
        for check in &outcome.checks {
            let Checked { property, proves, subjects, worst, caught, worst_on } = check;
            let noticed = caught.iter().filter(|c| **c).count();
            let word = match (check.passed(), worst.passed()) {
                (true, _) => "ok".to_string(),
                (false, true) => "FAILED: it notices no fault".to_string(),
                (false, false) => format!("FAILED on {worst_on}: {}", worst.at),
            };
            table.add_row([
                outcome.suite.to_string(),
                property.to_string(),
                proves.to_string(),
                subjects.to_string(),
                format!("{:.1e}", worst.measured),
                format!("{:.1e}", worst.allowed),
                format!("{noticed} of {}", caught.len()),
                word,
            ]);
        }
    }
    table.to_string()
}

/// A table a suite: a row a fault, a column a check.
fn matrices(outcomes: &[Outcome]) -> String {
    let matrix = |outcome: &Outcome| {
        let checks = outcome.checks.iter().map(|check| check.property);
        let mut table = table(&[outcome.suite].into_iter().chain(checks).collect::<Vec<_>>());
        for (i, fault) in outcome.faults.iter().enumerate() {
            let marks = outcome.checks.iter().map(|c| if c.caught[i] { "noticed" } else { "" });
            let survives = !outcome.checks.iter().any(|c| c.caught[i]);
            let name = if survives { format!("SURVIVES: {fault}") } else { fault.clone() };
            table.add_row([name].into_iter().chain(marks.map(str::to_string)));
        }
        table.to_string()
    };
    outcomes.iter().map(matrix).collect::<Vec<_>>().join("\n\n") + "\n"
}
