//! The command line: what was typed (`Cli`) and, in one file a command, what it means.
//!
//! Results go to standard output, everything else to standard error.
mod acquire;
mod data;
mod eval;
mod fetch;
mod idle;
mod predict;
mod profile;
mod reproduce;
mod sample;
mod show;
mod train;
mod verify;
mod weights;

use crate::run::config::{Config, check_samples};
use anyhow::Result;
use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use std::io;
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;

/// Bayesian Hypernetworks (Krueger et al. 2017): networks that know what they do not know.
///
/// `bhn train` trains one on MNIST, which is inside this program, and prints where its report is.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Threads to use; results do not depend on it [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = number::<1, 1024>)]
    threads: Option<usize>,
    /// Say nothing on standard error but errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Print results as JSON on standard output
    #[arg(long, global = true)]
    json: bool,
    /// Where data sets are kept; MNIST needs none [default: bhn in your cache folder]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// A whole number within bounds.
fn number<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (LEAST..=MOST).contains(n));
    number.ok_or_else(|| match MOST {
        usize::MAX => format!("expected a whole number, {LEAST} or more"),
        _ => format!("expected a whole number from {LEAST} to {MOST}"),
    })
}

/// How many posterior samples predictions are averaged over if nothing is said.
const SAMPLES: usize = 100;

/// The number of posterior samples of a `θ` with `entries` entries to predict with, and a note if that
/// is not what `--samples` says.
fn posterior_samples(
    context: &Context,
    requested: Option<usize>,
    config: &Config,
    entries: usize,
) -> Result<usize> {
    idle::samples(context, requested, config);
    Ok(check_samples(config.samples(requested.unwrap_or(SAMPLES)), entries)?)
}

/// A number of posterior samples for a test, all in memory at once.
fn samples(text: &str) -> Result<usize, String> {
    number::<1, 10_000>(text)
}

/// A seed.
fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

/// What every command needs to know.
struct Context {
    quiet: bool,
    json: bool,
    data_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network, test it and write its report
    Train(Box<train::Args>),
    /// Test a trained network: accuracy, NLL, Brier, ECE, the bound and its terms
    Eval(eval::Args),
    /// Predict your own images or table rows: probabilities, entropy, BALD
    Predict(predict::Args),
    /// Choose the inputs that are most worth a label
    Acquire(acquire::Args),
    /// Draw posterior samples of the scales, as safetensors
    Sample(sample::Args),
    /// Run an experiment of the paper: its tables, figures and verdicts
    Reproduce(reproduce::Args),
    /// Prove the engine right, or a run: every property measured, and seen to fail where a mistake was seeded
    Verify(verify::Args),
    /// List data sets, fetch them, or check their files
    Data(data::Args),
    /// Print a completion script for your shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Run the command line of this process.
pub fn main() -> ExitCode {
    panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line()));
        show::note(format!("internal error: {message}{}", place.unwrap_or_default()));
        show::note("This is a bug in bhn: please report it with the command that you typed.");
    }));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(error),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            show::note(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let threads = cli.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let data_dir = cli.data_dir.or_else(|| data::cache().filter(|folder| folder.is_dir()));
    let context = Context { quiet: cli.quiet, json: cli.json, data_dir };
    pool.install(|| match cli.command {
        Command::Train(args) => train::run(*args, &context),
        Command::Eval(args) => eval::run(args, &context),
        Command::Predict(args) => predict::run(args, &context),
        Command::Acquire(args) => acquire::run(args, &context),
        Command::Sample(args) => sample::run(args, &context),
        Command::Reproduce(args) => reproduce::run(args, &context),
        Command::Verify(args) => verify::run(args, &context),
        Command::Data(args) => data::run(args, &context),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "bhn", &mut io::stdout());
            Ok(())
        }
        Command::Man => Ok(clap_mangen::Man::new(Cli::command()).render(&mut io::stdout())?),
    })
}

/// Print what clap says, and after an unknown flag also which there are.
fn refuse(error: clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    error.print().ok();
    if error.kind() == ErrorKind::UnknownArgument && error.get(ContextKind::InvalidArg).is_some() {
        let mut command = Cli::command();
        command.build();
        let typed: Vec<_> = std::env::args().collect();
        let sub = command.get_subcommands().find(|c| typed.iter().any(|t| t == c.get_name()));
        let flags = sub.unwrap_or(&command).get_arguments().filter_map(|a| a.get_long());
        let flags: Vec<_> = flags.map(|flag| format!("--{flag}")).collect();
        show::note(format!("\nvalid flags: {}", flags.join(" ")));
    }
    code
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().filter_map(|e| e.downcast_ref::<io::Error>());
    io.into_iter().any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
