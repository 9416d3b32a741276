//! `bhn reproduce NAME`: the paper's experiments, each from one command to its report.
use super::{Context, number, show};
use crate::experiments::{ALL, Experiment, Lab, Progress, Tier};
use crate::report::experiment::Report;
use crate::report::verdict::{Outcome, Verdict};
use crate::run::summary::cpu;
use anyhow::Result;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
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
    /// What was left out for want of data.
    skipped: Vec<String>,
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
        let (name, skipped) = (experiment.name, report.skipped());
        found.push(Found { experiment: name, tier, seeds, folder: dir, verdicts, skipped });
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
    let mut facts = vec![
        ("command", show::command()),
        ("tier and seeds", format!("{tier}, seeds 0 to {}", seeds - 1)),
        ("version", format!("{} ({})", env!("CARGO_PKG_VERSION"), env!("BHN_COMMIT"))),
        ("version of the protocol", experiment.version.to_string()),
        ("computed by commits", commits),
        ("processor", cpu()),
        ("threads", rayon::current_num_threads().to_string()),
        ("time", format!("{of_cells} of computing in all; this sitting took {sitting}")),
    ];
    let (unsealed, cells) = lab.unsealed();
    if unsealed > 0 {
        let have = if unsealed == 1 { "has" } else { "have" };
        let found = format!("{unsealed} of {cells} cells {have} none, being of an earlier version");
        show::say(context, format!("checksums: {found}"));
        facts.push(("checksums", found));
    }
    let facts: Vec<_> = facts.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    report.write(dir, &facts)?;
    Ok(report)
}

/// The verdicts in words, and where the rest is.
fn text(experiment: &Experiment, report: &Report, dir: &Path) -> String {
    let mut lines = vec![format!("{}: {}", experiment.name, report.title)];
    for verdict in &report.verdicts {
        let Verdict { claim, quantity, mean, .. } = verdict;
        lines.push(format!("  {claim}: {}\n      {quantity}: {mean}", verdict.words()));
    }
    lines.extend(report.skipped().iter().map(|row| format!("  {row}")));
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
    /// Whether there are lines, and no bar.
    lines: bool,
    work: Mutex<Work>,
}

/// What is to be done: cells, by their costs, or one run, which is 1.
struct Work {
    is_cells: bool,
    total: f64,
    /// Of what is finished.
    done: f64,
    running: BTreeMap<String, Running>,
    since: Instant,
    last_line: Instant,
}

/// A cell that was begun, or the run.
struct Running {
    /// Of what this sitting has to do.
    cost: f64,
    /// Epochs or rounds of earlier sittings; not known before the first of this one.
    brought: Option<usize>,
    /// Of the cost, done.
    share: f64,
}

/// Costs are real numbers, the bar's positions are not.
const PER_COST: f64 = 1e3;
/// Between two lines.
const PAUSE: Duration = Duration::from_secs(20);

impl Work {
    fn new(is_cells: bool, total: f64) -> Self {
        let now = Instant::now();
        let running = BTreeMap::new();
        Self { is_cells, total, done: 0., running, since: now, last_line: now }
    }

    fn begin(&mut self, key: &str, cost: f64) {
        self.running.insert(key.to_string(), Running { cost, brought: None, share: 0. });
    }

    /// A run has come to part `done` of `of`. What it brought from an earlier sitting is no work of
    /// this one.
    fn part(&mut self, key: &str, done: usize, of: usize) {
        if !self.is_cells && !self.running.contains_key(key) {
            *self = Self::new(false, 1.);
            self.begin(key, 1.);
        }
        // A run of another name is one of several in a cell.
        let Some(Running { cost, brought, share }) = self.running.get_mut(key) else { return };
        let brought = *brought.get_or_insert_with(|| {
            let saved = *cost * (done - 1) as f64 / of as f64;
            self.total -= saved;
            *cost -= saved;
            done - 1
        });
        *share = (done - brought) as f64 / (of - brought) as f64;
    }

    fn finish(&mut self, key: &str) {
        let cell = self.running.remove(key);
        self.done += cell.map_or(0., |cell| cell.cost);
    }

    /// By cost, of all that this sitting has to do.
    fn is_done(&self) -> f64 {
        self.done + self.running.values().map(|cell| cell.cost * cell.share).sum::<f64>()
    }

    /// Where there is no bar: a line, if the last is long ago.
    fn line(&mut self, key: &str) -> Option<String> {
        let share = self.is_done() / self.total;
        if !(share > 0. && self.last_line.elapsed() >= PAUSE) {
            return None;
        }
        self.last_line = Instant::now();
        let left = show::duration(self.since.elapsed().as_secs_f64() * (1. / share - 1.));
        Some(format!("{:.0} %, about {left} left ({key})", 100. * share))
    }
}

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
        let work = Mutex::new(Work::new(false, 1.));
        Self { bar, lines: !context.quiet && !terminal, work }
    }

    fn hear(&self, progress: &Progress<'_>) {
        let work = &mut *self.work.lock().expect("no panic while it is held");
        let (key, message) = match progress {
            Progress::Cells { count, kept, cost } => {
                if *kept > 0 {
                    self.say(&format!("continuing: {kept} of {count} cells are there"));
                }
                *work = Work::new(true, *cost);
                self.bar.reset_eta();
                ("", format!("{count} cells"))
            }
            Progress::Begun { key, cost } => {
                work.begin(key, *cost);
                (*key, key.to_string())
            }
            Progress::Cell { key } => {
                work.finish(key);
                (*key, key.to_string())
            }
            Progress::Part { key, what, done, of } => {
                work.part(key, *done, *of);
                (*key, format!("{key}, {what} {done} of {of}"))
            }
        };
        self.bar.set_length((work.total * PER_COST) as u64);
        self.bar.set_position((work.is_done() * PER_COST) as u64);
        self.bar.set_message(message);
        if let (true, Some(line)) = (self.lines, work.line(key)) {
            self.say(&line);
        }
    }

    fn say(&self, line: &str) {
        if self.lines {
            show::note(line);
        } else {
            self.bar.println(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs count before their cell is finished; those of an earlier sitting are no work of this one.
    #[test]
    fn shares() {
        let mut work = Work::new(true, 50.);
        work.begin("new", 10.);
        work.begin("old", 40.);
        assert_eq!(work.is_done(), 0.);
        work.part("new", 1, 4);
        assert_eq!((work.is_done(), work.total), (2.5, 50.));
        // Three of its four epochs were there; the last is 10 of work, and all that was left of it.
        work.part("old", 4, 4);
        assert_eq!((work.is_done(), work.total), (12.5, 20.));
        work.part("a run within", 1, 1);
        work.finish("new");
        work.finish("old");
        assert_eq!((work.is_done(), work.total), (20., 20.));

        let mut work = Work::new(false, 1.);
        for key in ["a run", "the next"] {
            work.part(key, 1, 2);
            assert_eq!(work.is_done() / work.total, 0.5);
        }
    }
}
