//! `bhn eval DIR`: test a trained network.
use super::{Context, posterior_samples, samples, show};
use crate::predict::evaluate::{BoundScores, TestScores, evaluate};
use crate::run::Trained;
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

/// What was typed.
#[derive(clap::Args)]
pub struct Args {
    /// The run folder
    dir: PathBuf,
    /// Posterior samples [default: 100]
    #[arg(long, value_name = "S", value_parser = samples)]
    samples: Option<usize>,
}

#[derive(Serialize)]
struct Scores {
    test: TestScores,
    elbo: BoundScores,
}

/// Load, test, print.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let trained = Trained::load(&args.dir)?;
    let data = trained.data(context.data_dir.as_deref())?;
    data.notes.iter().for_each(|note| show::say(context, format!("note: {note}")));
    let config = &trained.header.config;
    let entries = trained.model.primary.dim();
    let samples = posterior_samples(context, args.samples, config, entries)?;
    let found = evaluate(&trained.model, &data, samples, config.seed)?;
    let text = show::table(&show::results(&found.test, &found.elbo, config));
    show::print(context, &Scores { test: found.test, elbo: found.elbo }, &text)
}
