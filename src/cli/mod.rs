//! The command line: one file per command.
//!
//! Results go to standard output, everything else to standard error.
mod acquire;
mod context;
mod data;
mod doctor;
mod eval;
mod explain;
mod explore;
mod fetch;
mod flags;
mod predict;
mod profile;
mod reproduce;
mod sample;
mod show;
mod signals;
mod train;
mod url;
mod verify;
mod watch;

use crate::data::temporary;
use crate::error::Error;
use crate::run::target::STDOUT;
use anyhow::Result;
use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};

use context::{Context, note, output, visible};
use flags::number;

/// Bayesian Hypernetworks (Krueger et al. 2017): networks that know what they do not know.
///
/// `bhn train` trains one on MNIST, which is built in, and prints the path of its report.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Number of threads; results do not depend on it [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = number::<1, MOST_THREADS>)]
    threads: Option<usize>,
    /// Print nothing but errors on standard error
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Print results as JSON on standard output
    #[arg(long, global = true)]
    json: bool,
    /// Folder of data sets; MNIST is built in [default: bhn in the user's cache folder]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// The maximum number of threads.
const MOST_THREADS: usize = 1024;

#[derive(Subcommand)]
enum Command {
    /// Train a network, test it and write a report
    Train(Box<train::Args>),
    /// Test a trained network: accuracy, NLL, Brier score, ECE, ELBO
    Eval(eval::Args),
    /// Predict images or table rows: probabilities, entropy, BALD
    Predict(predict::Args),
    /// Choose which inputs to label next (active learning)
    Acquire(acquire::Args),
    /// Draw posterior samples of θ and write them as safetensors
    Sample(sample::Args),
    /// Reproduce an experiment of the paper: tables, figures, and which claims hold
    Reproduce(reproduce::Args),
    /// Verify the engine or a run: numerical checks, each tested on seeded faults
    Verify(verify::Args),
    /// Explain a term of the reports, such as elbo or k-hat
    Explain(explain::Args),
    /// Write an interactive page: noise, scales and functions, the tape, a digit to draw
    Explore(explore::Args),
    /// List, download or check data sets
    Data(data::Args),
    /// Describe this machine, for a report of a fault
    Doctor(doctor::Args),
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// End the process with an error, since the system gave no `bytes` bytes of memory. The temporary
/// files are removed.
pub fn out_of_memory(bytes: usize) -> ! {
    static IS_ENDING: AtomicBool = AtomicBool::new(false);
    // The message may need memory itself.
    if !IS_ENDING.swap(true, Ordering::SeqCst) {
        let free = "Make --samples, --hidden or --batch smaller, or free some memory. Finished \
                    epochs are kept.";
        writeln!(
            io::stderr(),
            "error: memory: found no {} MB more, expected as many. {free}",
            bytes.div_ceil(1 << 20)
        )
        .ok();
        temporary::try_remove_all();
    }
    process::exit(1)
}

/// Run the command line of this process and return its exit code.
pub fn main() -> ExitCode {
    panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line()));
        note(format!("internal error: {message}{}", place.unwrap_or_default()));
        note("This is a bug in bhn: please report it with the command that you ran.");
    }));
    signals::watch();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(error),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let error = format!("error: {error:#}");
            let error = format!("{error}{}", explain::hint(&error));
            signals::end_if_received(&error);
            note(error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let threads = cli.threads.map_or_else(threads_of_environment, Ok)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(Error::threads)?;
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
        Command::Explain(args) => explain::run(args, &context),
        Command::Explore(args) => explore::run(args, &context),
        Command::Data(args) => data::run(args, &context),
        Command::Doctor(args) => doctor::run(args, &context),
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut Cli::command(), "bhn", &mut script);
            output(&script)
        }
        Command::Man => {
            let mut page = vec![];
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            output(&page)
        }
    })
}

/// The number of threads in `RAYON_NUM_THREADS`, within the bounds of `--threads`; 0, for all
/// cores, if it is not set or not a number above 0.
fn threads_of_environment() -> Result<usize> {
    let text = std::env::var("RAYON_NUM_THREADS").unwrap_or_default();
    match text.parse::<usize>() {
        Ok(n) if n > MOST_THREADS => {
            let (what, most) = ("RAYON_NUM_THREADS", format!("at most {MOST_THREADS}"));
            Err(Error::invalid(what, n, most, "Make it smaller, or use --threads.").into())
        }
        found => Ok(found.unwrap_or(0)),
    }
}

/// Print an error of the parser and, if a flag is unknown, the valid flags.
fn refuse(error: clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    // The error repeats arguments as they are, within escape sequences of its own.
    let is_plain = |arg: OsString| visible(&arg.to_string_lossy()) == arg.to_string_lossy();
    let printed = match std::env::args_os().all(is_plain) {
        true => error.print(),
        false => {
            note(error.render().to_string().trim_end());
            Ok(())
        }
    };
    match printed.map_err(|cause| Error::io(STDOUT)(cause).into()) {
        Err(lost) if !error.use_stderr() && !is_broken_pipe(&lost) => {
            note(format!("error: {lost:#}"));
            return ExitCode::FAILURE;
        }
        _ => {}
    }
    if error.kind() == ErrorKind::UnknownArgument && error.get(ContextKind::InvalidArg).is_some() {
        let mut command = Cli::command();
        command.build();
        let args: Vec<_> = std::env::args_os().collect();
        let is_given = |name: &str| args.iter().any(|arg| arg == OsStr::new(name));
        let sub = command.get_subcommands().find(|c| is_given(c.get_name()));
        let flags = sub.unwrap_or(&command).get_arguments().filter_map(|a| a.get_long());
        let flags: Vec<_> = flags.map(|flag| format!("--{flag}")).collect();
        note(format!("\nvalid flags: {}", flags.join(" ")));
    }
    code
}

/// Whether the reader of standard output has closed it.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(Error::Io { path, cause })
            if path == Path::new(STDOUT) && cause.kind() == io::ErrorKind::BrokenPipe
    )
}
