//! `bhn reproduce NAME`: the paper's experiments, from one command to a report.
use super::flags::{self, number, word};
use super::watch::Watch;
use super::{Context, show, signals};
use crate::error::Error;
use crate::experiments::{ALL, Experiment, Lab, Progress, Tier};
use crate::kernels::peak;
use crate::report::experiment::Report;
use crate::report::verdict::{Corrected, Origin, Outcome, Verdict, corrected};
use anyhow::{Result, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "An interrupted experiment is resumed by the same command."
)]
pub struct Args {
    /// Name of the experiment, or all
    #[arg(value_name = "EXPERIMENT", value_parser = names())]
    name: String,
    /// Scale. smoke: seconds, to test that it runs; quick: minutes; paper: the paper's protocol
    #[arg(long, default_value = "quick", value_parser = tiers())]
    tier: Tier,
    /// Number of random seeds, which are 0 to N − 1 [default: depends on the tier]
    #[arg(long, value_name = "N", value_parser = number::<1, 1000>)]
    seeds: Option<usize>,
    /// Output folder; for all, its parent folder [default: results/EXPERIMENT-TIER]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Compute nothing: draw the page from the results that are cached in the output folder
    #[arg(long)]
    cached: bool,
}

/// The output of `--json` for one experiment.
#[derive(Serialize)]
struct Found {
    experiment: &'static str,
    tier: Tier,
    seeds: u64,
    folder: String,
    verdicts: Vec<FoundVerdict>,
    /// What was skipped because a data set is missing.
    skipped: Vec<String>,
}

#[derive(Serialize)]
struct FoundVerdict {
    claim: String,
    measured: String,
    mean: f64,
    /// The standard error; `None` for a single seed.
    error: Option<f64>,
    seeds: usize,
    outcome: Outcome,
    /// Whose claim it is.
    origin: Origin,
    /// The p-value of the claim; `None` for a single number and for fewer than three seeds.
    p_value: Option<f64>,
    /// After Holm's correction over the paper's claims; `None` for other claims.
    corrected_p_value: Option<f64>,
    corrected_outcome: Option<Outcome>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(ALL.iter().map(|experiment| experiment.name).chain(["all"]))
}

fn tiers() -> impl TypedValueParser<Value = Tier> {
    let tiers = PossibleValuesParser::new(["smoke", "quick", "paper"]);
    tiers.try_map(|name| word::<Tier>(&name))
}

/// Reproduce one experiment, or all.
pub fn run(args: Args, context: &Context) -> Result<()> {
    flags::check_folder(args.out.as_deref())?;
    signals::advise("Continue with the same command.".into());
    let (tier, all) = (args.tier, args.name == "all");
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
        let report = reproduce(experiment, (tier, seeds), (&dir, args.cached), context)?;
        texts.push(text(experiment, &report, &dir));
        let verdicts = report.verdicts.iter().zip(corrected(&report.verdicts));
        let verdicts = verdicts.map(FoundVerdict::new).collect();
        let (name, skipped) = (experiment.name, report.skipped());
        let folder = dir.display().to_string();
        found.push(Found { experiment: name, tier, seeds, folder, verdicts, skipped });
    }
    context.print(&found, &texts.join("\n\n"))?;
    match &found[..] {
        [Found { experiment, verdicts, skipped, .. }]
            if !all && verdicts.is_empty() && !skipped.is_empty() =>
        {
            bail!("{experiment}: nothing was computed. {}.", skipped.join("; "))
        }
        _ => Ok(()),
    }
}

fn reproduce(
    experiment: &Experiment,
    (tier, seeds): (Tier, u64),
    (dir, cached): (&Path, bool),
    context: &Context,
) -> Result<Report> {
    let watch = Watch::new(context);
    let listener = |progress: Progress<'_>| watch.update(&progress);
    let data = context.data_dir.as_deref();
    if cached && !dir.join("lab.json").exists() {
        let advice = "Compute it by the same command without --cached.";
        let found = Error::invalid(dir.display(), "no results", "a cached experiment", advice);
        return Err(found.into());
    }
    let open = if cached { Lab::read } else { Lab::open };
    let lab = open(dir, experiment, (tier, seeds), data, &listener)?;
    let Experiment { name, place, claim, .. } = experiment;
    let count = show::count(seeds as usize, "seed");
    let expected = match cached {
        true => "nothing is computed".into(),
        false => format!("expect about {}", show::duration(expected(experiment, tier, seeds))),
    };
    context.say(format!(
        "{name} ({place}): {claim}\ntier {tier}, {count}, in {}; {expected}",
        dir.display(),
    ));
    let report = (experiment.run)(&lab)?;
    watch.bar.finish_and_clear();
    // Only what is the same whenever the page is drawn from the same cells.
    let mut facts = vec![
        ("command", command(experiment, tier, seeds)),
        ("tier and seeds", format!("{tier}, seeds 0 to {}", seeds - 1)),
        ("version of the protocol", lab.version.to_string()),
        ("computed by commits", lab.commits().join(", ")),
        ("computed on", lab.processors().join(", ")),
        ("computing time of all cells", show::duration(lab.seconds())),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    let (unsealed, cells) = lab.unsealed();
    if unsealed > 0 {
        let have = if unsealed == 1 { "has" } else { "have" };
        let found = format!("{unsealed} of {cells} cells {have} none, being of an earlier version");
        context.say(format!("checksums: {found}"));
        facts.push(("checksums", found));
    }
    let facts: Vec<_> = facts.into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    report.write(dir, &facts)?;
    Ok(report)
}

/// The command, without what does not change the page.
fn command(experiment: &Experiment, tier: Tier, seeds: u64) -> String {
    let seeds = match seeds == tier.pick(experiment.seeds) {
        true => String::new(),
        false => format!(" --seeds {seeds}"),
    };
    format!("bhn reproduce {} --tier {tier}{seeds}", experiment.name)
}

/// The peak in FLOP/s of the machine that [`Experiment::seconds`] refers to.
const REFERENCE: f64 = 5e11;

/// Duration in seconds on this machine.
fn expected(experiment: &Experiment, tier: Tier, seeds: u64) -> f64 {
    let times = seeds as f64 / tier.pick(experiment.seeds) as f64;
    times * tier.pick(experiment.seconds) * REFERENCE / peak::flops()
}

/// The outcomes of the claims and the path of the report, as text.
fn text(experiment: &Experiment, report: &Report, dir: &Path) -> String {
    let mut lines = vec![format!("{}: {}", experiment.name, report.title)];
    for (verdict, corrected) in report.verdicts.iter().zip(corrected(&report.verdicts)) {
        let Verdict { claim, quantity, mean, .. } = verdict;
        let corrected = corrected
            .map_or(String::new(), |found| format!("; after Holm's correction: {}", found.words()));
        lines.push(format!("  {claim}: {}{corrected}\n      {quantity}: {mean}", verdict.words()));
    }
    lines.extend(report.skipped().iter().map(|row| format!("  {row}")));
    lines.push(format!("report: {}", dir.join("report.html").display()));
    lines.join("\n")
}

impl FoundVerdict {
    fn new((verdict, corrected): (&Verdict, Option<Corrected>)) -> Self {
        let Verdict { claim, quantity, mean, origin, .. } = verdict;
        Self {
            claim: claim.clone(),
            measured: quantity.clone(),
            mean: mean.value,
            error: mean.error.is_finite().then_some(mean.error),
            seeds: mean.seeds,
            outcome: verdict.outcome(),
            origin: *origin,
            p_value: verdict.p_value(),
            corrected_p_value: corrected.map(|found| found.p_value),
            corrected_outcome: corrected.map(|found| found.outcome),
        }
    }
}
