//! `bhn eval DIR`: test a trained network.
use super::{Context, samples, show};
use crate::evaluate::{BoundScores, TestScores, evaluate};
use crate::run::Trained;
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

/// What was typed.
#[derive(clap::Args)]
pub struct Args {
    /// The run folder
    dir: PathBuf,
    /// Posterior samples
    #[arg(long, default_value_t = 100, value_name = "S", value_parser = samples)]
    samples: usize,
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
    let samples = config.samples_that_fit(args.samples, trained.model.primary.dim())?;
    let found = evaluate(&trained.model, &data, samples, config.seed)?;
    let text = show::table(&show::results(&found.test, &found.elbo, config.method));
    show::print(context, &Scores { test: found.test, elbo: found.elbo }, &text)
}
