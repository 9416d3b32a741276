//! `bhn verify`: verifies the engine, or a run, by numerical checks, and the checks by seeded
//! faults.
use super::{Context, number, show};
use crate::data::{Dataset, temporary};
use crate::error::Error;
use crate::predict::{Removal, Total, Width};
use crate::report;
use crate::run::{Method, Trained};
use crate::verify::SUITES;
use crate::verify::importance::{Diagnostics, diagnose, draws};
use crate::verify::suite::{Absent, Check, Outcome};
use crate::verify::trained::{Case, MakeSuite, suites};
use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Arguments of `bhn verify`.
#[derive(clap::Args)]
#[command(
    after_help = "Every check also runs on seeded faults: variants of the engine, or of the run's \
                  model, with one mistake each. A check counts only if it notices one of them. \
                  For a run with a density, diagnostics estimate how far the posterior is from the \
                  exact one; its widths are how far the data have moved each entry of θ from the \
                  prior. Neither ever fails. `bhn explain k-hat` explains a term."
)]
pub struct Args {
    /// Run folder: verify its model at its trained parameters and on its data [default: verify the
    /// engine]
    #[arg(value_name = "RUN")]
    dir: Option<PathBuf>,
    /// Run this suite only, without a run's diagnostics; may be repeated
    #[arg(long, value_name = "SUITE", value_parser = names())]
    only: Vec<String>,
    /// Print which check noticed which seeded fault
    #[arg(long)]
    mutants: bool,
    /// Number of posterior samples for a run's diagnostics, each evaluated on the whole training
    /// set [default: 3 million divided by the number of training examples, 60 to 10000]
    #[arg(long, value_name = "S", requires = "dir", value_parser = number::<20, 1_000_000>)]
    samples: Option<usize>,
}

/// The output of `--json`.
#[derive(Serialize)]
struct Found {
    passed: bool,
    checks: usize,
    faults: usize,
    survivors: Vec<String>,
    /// Checks and faults that cannot be judged on this run, with the reason.
    not_judged: Vec<String>,
    seconds: f64,
    suites: Vec<Outcome>,
    /// The properties that do not apply to the run; `None` for the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    does_not_apply: Option<Vec<Absent>>,
    /// The diagnostics of the run; `None` if its posterior has no density, with `--only`, and for
    /// the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<Diagnostics>,
    /// The widths of the run's posterior; `None` if it has none, with `--only` another suite, and
    /// for the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    widths: Option<FoundWidths>,
}

/// The widths of a run's posterior, see [`Widths`](crate::predict::Widths).
#[derive(Serialize)]
struct FoundWidths {
    samples: usize,
    /// `KL(q ‖ p)`; `None` if the posterior has no density.
    kl: Option<Total>,
    /// `Σ KLⱼ`.
    lower_bound: f64,
    parts: Vec<Width>,
    /// `None` if the entries of `θ` are not scales.
    hidden_units: Option<Removal>,
    /// The widths for the terminal.
    #[serde(skip)]
    text: String,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(SUITES.map(|(name, _)| name))
}

/// Verifies the engine or a run; an error if anything fails.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let start = Instant::now();
    // Checks of checkpoints write files.
    drop(temporary::Folder::new()?);
    let all = args.only.is_empty();
    let chosen = |name: &str| all || args.only.iter().any(|only| only == name);
    let load = |dir: &Path| -> Result<_> {
        let trained = Trained::load(dir)?;
        let data = trained.data(context.data_dir.as_deref())?;
        Ok((Case::new(trained, &data.train), data))
    };
    let run = args.dir.as_deref().map(load).transpose()?;
    let (suites, mut absent): (Vec<MakeSuite>, _) = match &run {
        Some((case, _)) => suites(case),
        None => (SUITES.map(|(name, suite)| (name, Box::new(suite) as _)).into(), vec![]),
    };
    absent.retain(|absent| chosen(absent.suite));
    let known = suites.iter().map(|(name, _)| *name).chain(absent.iter().map(|a| a.suite));
    are_known(&args.only, &known.collect::<Vec<_>>())?;
    let mut outcomes = vec![];
    for (name, suite) in suites.into_iter().filter(|(name, _)| chosen(name)) {
        let began = Instant::now();
        let outcome = suite().verify(name);
        context.say(line(&outcome, began.elapsed().as_secs_f64()));
        outcomes.push(outcome);
    }
    if let Some((case, _)) = run.as_ref().filter(|_| args.samples.is_some()) {
        let config = &case.trained.header.config;
        if !Method::from(config).has_density() {
            let why = format!("{} has no density, so no diagnostics", config.method);
            context.note_no_effect("--samples", why);
        } else if !all {
            context.note_no_effect("--samples", "with --only there are no diagnostics");
        }
    }
    let run_with_diagnostics = run.as_ref().filter(|_| all);
    let diagnostics = run_with_diagnostics
        .and_then(|(case, data)| diagnostics(case, data, args.samples, context));
    let widths = run.as_ref().filter(|_| chosen("widths"));
    let widths = widths.and_then(|(case, data)| widths_of(case, data));
    let survivors = lines(&outcomes, |o| o.survivors().map(str::to_string).collect());
    let failed = lines(&outcomes, |o| {
        o.checks.iter().filter(|c| c.failed()).map(|c| c.property.to_string()).collect()
    });
    let not_judged = lines(&outcomes, |o| {
        let checks = o.checks.iter().filter_map(|c| Some((c.property, c.not_judged.as_deref()?)));
        checks.chain(o.equivalent()).map(|(what, why)| format!("{what}: {why}")).collect()
    });
    let found = Found {
        passed: survivors.is_empty() && failed.is_empty(),
        checks: outcomes.iter().map(|o| o.checks.len()).sum(),
        faults: outcomes.iter().map(|o| o.faults.len()).sum(),
        survivors,
        not_judged,
        seconds: start.elapsed().as_secs_f64(),
        suites: outcomes,
        does_not_apply: run.is_some().then_some(absent),
        diagnostics,
        widths,
    };
    let mut table = if args.mutants { matrices(&found.suites) } else { checks(&found) };
    if let Some((case, _)) = run_with_diagnostics {
        let method = case.trained.header.config.method;
        table += &format!("\n\n{}", show::diagnostics(found.diagnostics.as_ref(), method));
    }
    if let Some(widths) = &found.widths {
        table += &format!("\n\n{}", widths.text);
    }
    let Found { checks, faults, seconds, .. } = &found;
    let idle = match found.not_judged.len() {
        0 => String::new(),
        n => format!("; {n} of both not judged"),
    };
    let verdict = format!(
        "{checks} checks, {} failed; {faults} seeded faults, {} not noticed{idle}; {}",
        failed.len(),
        found.survivors.len(),
        show::duration(*seconds)
    );
    context.print(&found, &format!("{table}\n{verdict}"))?;
    if !found.passed {
        let all = failed.into_iter().chain(found.survivors);
        bail!("not everything holds:\n{}", all.collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

/// `SUITE: LINE` for each line that `of` returns for a suite.
fn lines(outcomes: &[Outcome], of: impl Fn(&Outcome) -> Vec<String>) -> Vec<String> {
    let all = outcomes.iter().flat_map(|o| of(o).into_iter().map(move |line| (o.suite, line)));
    all.map(|(suite, line)| format!("{suite}: {line}")).collect()
}

/// Returns an error if `--only` names a suite that the run does not have.
fn are_known(only: &[String], known: &[&str]) -> Result<()> {
    let Some(unknown) = only.iter().find(|only| !known.contains(&only.as_str())) else {
        return Ok(());
    };
    let (found, expected) = ("a suite of the engine alone", known.join(", "));
    let advice = "Leave the run folder out to verify the engine.";
    Err(Error::invalid(format!("--only {unknown}"), found, expected, advice).into())
}

/// The diagnostics of a run, or `None` if its posterior has no density. Progress is printed at most
/// every ten seconds.
fn diagnostics(
    case: &Case,
    data: &Dataset,
    samples: Option<usize>,
    context: &Context,
) -> Option<Diagnostics> {
    let (Trained { model, header, .. }, train) = (&case.trained, &data.train);
    if !Method::from(&header.config).has_density() {
        return None;
    }
    let draws = samples.unwrap_or_else(|| draws(train.len()));
    let (began, mut reported) = (Instant::now(), 0.);
    let progress = |done: usize| {
        let seconds = began.elapsed().as_secs_f64();
        if seconds > reported + 10. {
            reported = seconds;
            let left = show::duration(seconds / done as f64 * (draws - done) as f64);
            context.say(format!("{done} of {draws} draws, about {left} left"));
        }
    };
    diagnose((model, &case.precise()), train, draws, header.config.seed, progress)
}

/// The widths of a run's posterior, if it has any.
fn widths_of(case: &Case, data: &Dataset) -> Option<FoundWidths> {
    let (widths, Trained { model, header, .. }) = (case.widths()?, &case.trained);
    let removal = Removal::of(model, widths, &data.test, header.config.seed);
    let report::experiment::Table { header, rows, .. } = report::widths_table(widths);
    let mut parts = table(&header.iter().map(|word| &**word).collect::<Vec<_>>());
    parts.add_rows(rows);
    let facts = show::table(report::widths_facts(widths, removal.as_ref()));
    Some(FoundWidths {
        samples: widths.samples,
        kl: widths.total,
        lower_bound: widths.bound(),
        parts: widths.summary(),
        hidden_units: removal,
        text: format!(
            "Widths of the posterior: θⱼ has mean mⱼ and standard deviation sⱼ, its prior 0 and σ; \
             KLⱼ = KL(N(mⱼ, sⱼ²) ‖ N(0, σ²))\n\n{parts}\n\n{facts}"
        ),
    })
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

/// The columns of the table of checks.
const CHECKS: [&str; 8] =
    ["suite", "check", "what it verifies", "instances", "worst", "allowed", "faults noticed", ""];

fn checks(found: &Found) -> String {
    let mut table = table(&CHECKS);
    for outcome in &found.suites {
        for check in &outcome.checks {
            let Check { property, statement, instances, worst, caught, worst_on, .. } = check;
            let noticed = caught.iter().filter(|c| **c).count();
            let word = match (check.passed(), &check.not_judged, worst.passed()) {
                (true, ..) => "ok".to_string(),
                (_, Some(why), _) => format!("not judged: {why}"),
                (_, None, true) => "FAILED: it notices no fault".to_string(),
                (_, None, false) => format!("FAILED on {worst_on}: {}", worst.at),
            };
            table.add_row([
                outcome.suite.to_string(),
                property.to_string(),
                statement.to_string(),
                instances.to_string(),
                format!("{:.1e}", worst.measured),
                format!("{:.1e}", worst.allowed),
                format!("{noticed} of {}", caught.len()),
                word,
            ]);
        }
    }
    for outcome in &found.suites {
        for (fault, why) in outcome.equivalent() {
            let row = [outcome.suite, "a fault", fault, "", "", "", ""].map(str::to_string);
            table.add_row(row.into_iter().chain([format!("not judged: {why}")]));
        }
    }
    for Absent { suite, property, why } in found.does_not_apply.iter().flatten() {
        table.add_row([suite, property, &**why, "", "", "", "", "does not apply"]);
    }
    table.to_string()
}

/// For each suite a table with a row for each fault and a column for each check.
fn matrices(outcomes: &[Outcome]) -> String {
    let matrix = |outcome: &Outcome| {
        let checks = outcome.checks.iter().map(|check| check.property);
        let mut table = table(&[outcome.suite].into_iter().chain(checks).collect::<Vec<_>>());
        for (i, fault) in outcome.faults.iter().enumerate() {
            let marks = outcome.checks.iter().map(|c| if c.caught[i] { "noticed" } else { "" });
            let survives = !outcome.checks.iter().any(|c| c.caught[i]);
            let name = match &outcome.not_judged[i] {
                Some(_) if survives => format!("not judged: {fault}"),
                None if survives => format!("SURVIVES: {fault}"),
                _ => fault.clone(),
            };
            table.add_row([name].into_iter().chain(marks.map(str::to_string)));
        }
        table.to_string()
    };
    outcomes.iter().map(matrix).collect::<Vec<_>>().join("\n\n") + "\n"
}
