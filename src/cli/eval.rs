//! `bhn eval DIR`: test a trained network.
use super::context::Context;
use super::values::samples;
use super::{notes, show};
use crate::predict::evaluate::{BoundScores, TestScores, evaluate};
use crate::run::Trained;
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Run folder
    dir: PathBuf,
    /// Number of posterior samples [default: 100]
    #[arg(long, value_name = "S", value_parser = samples)]
    samples: Option<usize>,
}

#[derive(Serialize)]
struct Scores {
    test: TestScores,
    elbo: BoundScores,
}

/// Test and print the scores.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let trained = Trained::load(&args.dir)?;
    let data = trained.data(context.data_dir.as_deref())?;
    data.notes.iter().for_each(|note| context.say(format!("note: {note}")));
    let config = &trained.header.config;
    let samples = notes::samples(context, args.samples, config, &trained.model)?;
    let found = evaluate(&trained.model, &data, samples, config.seed)?;
    let text = show::table(show::results(&found.test, &found.elbo, config));
    context.print(&Scores { test: found.test, elbo: found.elbo }, &text)
}
