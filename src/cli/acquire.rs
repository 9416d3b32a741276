//! `bhn acquire DIR --pool FILE`: which of the user's inputs are most worth a label.
use super::predict::{Far, block};
use super::train::word;
use super::{Context, number, posterior_samples, samples, show};
use crate::data;
use crate::error::Error;
use crate::predict::acquire::{Acquisition, Pick, Pool};
use crate::predict::draw;
use crate::random::{Purpose, stream};
use crate::run::Trained;
use crate::run::atomic;
use crate::run::config::Method;
use anyhow::Result;
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

/// What was typed.
#[derive(clap::Args)]
#[command(after_help = "Label them, add them to the training data, train again, and ask for more.")]
pub struct Args {
    /// The run folder
    dir: PathBuf,
    /// Images (PNG, IDX, NPY) or table rows (CSV, NPY) without labels; may be given again
    #[arg(long, value_name = "FILE", required = true)]
    pool: Vec<PathBuf>,
    /// How many to choose
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = number::<1, { usize::MAX }>)]
    k: usize,
    /// bald: what samples of the posterior disagree about most; max-entropy, variation-ratio, mean-std: other
    /// uncertainties; batch-bald: bald for all that are chosen together, not for each alone; random
    #[arg(long, default_value = "bald", value_parser = word::<Acquisition>)]
    score: Acquisition,
    /// Posterior samples [default: 100]
    #[arg(long, value_name = "S", value_parser = samples)]
    samples: Option<usize>,
    /// Write here instead of to standard output, all or nothing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A record of the answer.
#[derive(Serialize)]
struct Wanted {
    /// 1 is the most wanted.
    rank: usize,
    /// Its place among all inputs, from 0.
    index: usize,
    input: String,
    score: Option<f64>,
}

/// The most numbers kept of the pool: 1 GiB.
const LIMIT: usize = 1 << 27;

/// CSV, or JSON with `--json`, the most wanted first.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let Trained { model, header, .. } = Trained::load(&args.dir)?;
    let (acquisition, classes) = (args.score, header.task.outputs());
    if !acquisition.fits(&header.task) {
        let (found, expected) = (acquisition, "bald, max-entropy, mean-std or random");
        let advice = "The run predicts a number: ask for one of these.";
        return Err(Error::invalid("--score", found, expected, advice).into());
    }
    let entries = model.primary.dim();
    let count = posterior_samples(context, args.samples, &header.config, entries)?;
    if Method::from(&header.config).networks() == Some(1) && acquisition != Acquisition::MaxEntropy
    {
        show::say(
            context,
            format!(
                "{} has one network, whose samples cannot disagree: of its scores only max-entropy tells anything",
                header.config.method
            ),
        );
    }
    let rows = block(&model, &header, count);
    let (theta, _) = draw(&model, count, &mut stream(header.config.seed, Purpose::Evaluation, 0));
    let (mut pool, mut names) = (Pool::new(&model, &theta, acquisition), vec![]);
    let mut far = Far::default();
    for file in &args.pool {
        for inputs in data::inputs(file, &header.preprocess, header.image, rows)? {
            let inputs = inputs?;
            far.add(inputs.outside.as_ref());
            let kept = (names.len() + inputs.names.len()).saturating_mul(count * classes);
            if acquisition == Acquisition::BatchBald && kept > LIMIT {
                let (what, most) = ("--pool with batch-bald", LIMIT / (count * classes));
                let advice = "Give it fewer inputs or --samples, or take bald.";
                let found =
                    format!("more than {most} inputs, with {count} samples of {classes} classes");
                return Err(Error::invalid(what, found, format!("at most {most}"), advice).into());
            }
            pool.add(inputs.x.view())?;
            names.extend(inputs.names);
        }
    }
    far.say(context);
    let seen = pool.len();
    let picks = pool.choose(args.k, &mut stream(header.config.seed, Purpose::Pool, 0));
    let wanted = |(i, pick): (usize, Pick)| Wanted {
        rank: i + 1,
        index: pick.index,
        input: names[pick.index].clone(),
        score: pick.value,
    };
    let wanted: Vec<_> = picks.into_iter().enumerate().map(wanted).collect();
    let bytes = if context.json {
        serde_json::to_string_pretty(&wanted)?.into_bytes()
    } else {
        let mut csv = csv::Writer::from_writer(vec![]);
        wanted.iter().try_for_each(|wanted| csv.serialize(wanted))?;
        csv.into_inner()?
    };
    match &args.out {
        Some(path) => atomic::write(path, &bytes)?,
        None => io::stdout().write_all(&bytes)?,
    }
    show::say(context, format!("{} of {seen} inputs, by {acquisition}", wanted.len()));
    Ok(())
}
