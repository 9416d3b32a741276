//! `bhn reproduce NAME`: the paper's experiments, each from one command to its report.
use super::{Context, number, show};
use crate::experiments::{ALL, Experiment, Lab, Progress, Tier};
use crate::report::experiment::Report;
use crate::report::verdict::{Outcome, Verdict};
use crate::summary::cpu;
use anyhow::Result;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What was typed.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Interrupted? The same command goes on where it was."
)]
pub struct Args {
    /// Which experiment
    #[arg(value_name = "EXPERIMENT", value_parser = names())]
    name: String,
    /// smoke: seconds, to see that it runs; quick: minutes; paper: the paper's protocol
    #[arg(long, default_value = "quick", value_parser = tiers())]
    tier: String,
    /// Repetitions, seeds 0 to N − 1 [default: the tier's]
    #[arg(long, value_name = "N", value_parser = number::<1, 1000>)]
    seeds: Option<usize>,
    /// The folder of the experiment; of `all`, the folder of their folders [default:
    /// results/EXPERIMENT-TIER]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What `--json` prints, an element an experiment.
#[derive(Serialize)]
struct Found {
    experiment: &'static str,
    tier: Tier,
    seeds: u64,
    folder: PathBuf,
    verdicts: Vec<FoundVerdict>,
}

#[derive(Serialize)]
struct FoundVerdict {
    claim: String,
    measured: String,
    mean: f64,
    /// None for a single seed.
    error: Option<f64>,
    seeds: usize,
    outcome: Outcome,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ALL.iter().map(|experiment| experiment.name).chain(["all"]))
}

fn tiers() -> PossibleValuesParser {
    PossibleValuesParser::new(["smoke", "quick", "paper"])
}

/// Reproduce one experiment or all.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let tier = Tier::ALL.into_iter().find(|tier| tier.to_string() == args.tier);
    let tier = tier.expect("one of the possible values");
    let all = args.name == "all";
    let chosen = ALL.iter().filter(|experiment| all || experiment.name == args.name);
    let (mut found, mut texts) = (vec![], vec![]);
    for experiment in chosen {
        let name = format!("{}-{tier}", experiment.name);
        let dir = match &args.out {
            Some(out) if all => out.join(name),
            Some(out) => out.clone(),
            None => Path::new("results").join(name),
        };
        let seeds = args.seeds.map_or(tier.pick(experiment.seeds), |seeds| seeds as u64);
        let report = reproduce(experiment, (tier, seeds), &dir, context)?;
        texts.push(text(experiment, &report, &dir));
        let verdicts = report.verdicts.iter().map(FoundVerdict::new).collect();
        found.push(Found { experiment: experiment.name, tier, seeds, folder: dir, verdicts });
    }
    show::print(context, &found, &texts.join("\n\n"))
}

fn reproduce(
    experiment: &Experiment,
    (tier, seeds): (Tier, u64),
    dir: &Path,
    context: &Context,
) -> Result<Report> {
    let start = Instant::now();
    let watch = Watch::new(context);
    let listener = |progress: Progress<'_>| watch.hear(&progress);
    let lab = Lab::open(dir, experiment, (tier, seeds), context.data_dir.as_deref(), &listener)?;
    let times = seeds as f64 / tier.pick(experiment.seeds) as f64;
    let expected = show::duration(times * tier.pick(experiment.seconds));
    let Experiment { name, place, claim, .. } = experiment;
    show::say(
        context,
        format!(
            "{name} ({place}): {claim}\ntier {tier}, {seeds} {}, in {}; expect about {expected} on \
             two cores like those it was measured on",
            if seeds == 1 { "seed" } else { "seeds" },
            dir.display(),
        ),
    );
    let report = (experiment.run)(&lab)?;
    watch.bar.finish_and_clear();
    let (commits, of_cells) = (lab.commits().join(", "), show::duration(lab.seconds()));
    let sitting = show::duration(start.elapsed().as_secs_f64());
    let facts = [
        ("command", std::env::args().collect::<Vec<_>>().join(" ")),
        ("tier and seeds", format!("{tier}, seeds 0 to {}", seeds - 1)),
        ("version", format!("{} ({})", env!("CARGO_PKG_VERSION"), env!("BHN_COMMIT"))),
        ("computed by commits", commits),
        ("processor", cpu()),
        ("threads", rayon::current_num_threads().to_string()),
        ("time", format!("{of_cells} of computing in all; this sitting took {sitting}")),
    ];
    report.write(dir, &facts.map(|(name, value)| (name.to_string(), value)))?;
    Ok(report)
}

/// The verdicts in words, and where the rest is.
fn text(experiment: &Experiment, report: &Report, dir: &Path) -> String {
    let mut lines = vec![format!("{}: {}", experiment.name, report.title)];
    for verdict in &report.verdicts {
        let Verdict { claim, quantity, mean, .. } = verdict;
        lines.push(format!("  {claim}: {}\n      {quantity}: {mean}", verdict.words()));
    }
    lines.push(format!("report: {}", dir.join("report.html").display()));
    lines.join("\n")
}

impl FoundVerdict {
    fn new(verdict: &Verdict) -> Self {
        let Verdict { claim, quantity, mean, .. } = verdict;
        Self {
            claim: claim.clone(),
            measured: quantity.clone(),
            mean: mean.value,
            error: mean.error.is_finite().then_some(mean.error),
            seeds: mean.seeds,
            outcome: verdict.outcome(),
        }
    }
}

/// Shows how a lab gets on: a bar on a terminal, else a line now and then.
struct Watch {
    bar: ProgressBar,
    /// Whether the bar is that of cells; epochs are of runs within them then.
    cells: AtomicBool,
    /// When the last line was written, and when computing began.
    lines: Option<Mutex<(Instant, Instant)>>,
}

/// Costs are real numbers, the bar's positions are not.
const PER_COST: f64 = 1e3;
/// Between two lines.
const PAUSE: Duration = Duration::from_secs(20);

impl Watch {
    fn new(context: &Context) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = match context.quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = "{bar:30} {percent:>3} %  {msg}  {eta} left";
        bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
        let now = Instant::now();
        let lines = (!context.quiet && !terminal).then(|| Mutex::new((now, now)));
        Self { bar, cells: AtomicBool::new(false), lines }
    }

    fn hear(&self, progress: &Progress<'_>) {
        match progress {
            Progress::Cells { count, kept, cost } => {
                if *kept > 0 {
                    self.say(&format!("continuing: {kept} of {count} cells are there"));
                }
                self.cells.store(true, Relaxed);
                self.bar.set_length((cost * PER_COST) as u64);
                self.bar.set_position(0);
                self.bar.reset_eta();
                self.bar.set_message(format!("{count} cells"));
                if let Some(lines) = &self.lines {
                    *lines.lock().expect("no panic while it is held") =
                        (Instant::now(), Instant::now());
                }
            }
            Progress::Cell { key, cost } => {
                self.bar.inc((cost * PER_COST) as u64);
                self.bar.set_message(key.to_string());
                self.line(key);
            }
            Progress::Part { key, what, done, of } => {
                if !self.cells.load(Relaxed) {
                    self.bar.set_length(*of as u64);
                    self.bar.set_position(*done as u64);
                }
                self.bar.set_message(format!("{key}, {what} {done} of {of}"));
                self.line(key);
            }
        }
    }

    fn say(&self, line: &str) {
        if self.lines.is_some() {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    /// Where there is no bar: a line, if the last is long ago.
    fn line(&self, key: &str) {
        let Some(lines) = &self.lines else { return };
        let mut times = lines.lock().expect("no panic while it is held");
        let (done, length) = (self.bar.position(), self.bar.length().unwrap_or(0));
        if done > 0 && times.0.elapsed() >= PAUSE {
            times.0 = Instant::now();
            let share = done as f64 / length.max(1) as f64;
            let left = times.1.elapsed().as_secs_f64() * (1. / share.max(1e-9) - 1.);
            let left = show::duration(left);
            self.say(&format!("{:.0} %, about {left} left ({key})", 100. * share));
        }
    }
}
