//! `bhn eval DIR`: test a trained network.
use super::flags::{self, PrecisionFlag, samples};
use super::{Context, show};
use crate::predict::evaluate::evaluate;
use crate::run::Trained;
use anyhow::Result;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "The scores are explained by `bhn explain`: elbo, nll, calibration.")]
pub struct Args {
    /// Run folder
    dir: PathBuf,
    /// Number of posterior samples [default: 100]
    #[arg(long, value_name = "S", value_parser = samples)]
    samples: Option<usize>,
    #[command(flatten)]
    precision: PrecisionFlag,
}

/// Test and print the scores.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let mut trained = Trained::load(&args.dir)?;
    args.precision.apply(context, &mut trained.model);
    let data = trained.data(context.data_dir.as_deref())?;
    data.notes.iter().for_each(|note| context.say(format!("note: {note}")));
    let config = &trained.header.config;
    let samples = flags::choose_samples(context, args.samples, config, &trained.model)?;
    let found = evaluate(&trained.model, &data, samples, config.seed)?;
    let text = show::table(show::results(&found, config));
    context.print(&found, &text)
}
