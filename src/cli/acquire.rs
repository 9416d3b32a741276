//! `bhn acquire DIR --pool FILE`: which inputs to label next.
use super::context::Context;
use super::flags::{self, PrecisionFlag, SCORES, count, one_of, samples};
use super::predict::{Remarks, block, expanded, prefixes};
use crate::data::{self, Reading};
use crate::error::Error;
use crate::predict::acquire::{Acquisition, Pick, Pool};
use crate::predict::draw;
use crate::random::{Purpose, stream};
use crate::run::{Method, Target, Trained, atomic};
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(
    after_help = "Label the chosen inputs, add them to the training data, train again, and repeat. \
                  `bhn explain bald` explains the score."
)]
pub struct Args {
    /// Run folder
    dir: PathBuf,
    /// Unlabelled images (PNG, IDX, NPY) or table rows (CSV and other tables, NPY); may be
    /// repeated
    #[arg(long, value_name = "FILE", required = true)]
    pool: Vec<PathBuf>,
    /// Number of inputs to choose
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = count)]
    k: usize,
    /// Acquisition function. bald: mutual information between the label and θ; batch-bald: the same
    /// for all chosen labels jointly; max-entropy, mean-std: other uncertainty scores;
    /// variation-ratio: share of samples that vote against the most frequent class;
    /// least-confidence: 1 − max p̄, which the paper's authors call the variation ratio; random: a
    /// uniformly random choice
    #[arg(long, default_value = "bald", hide_possible_values = true,
        value_parser = one_of::<Acquisition>(SCORES))]
    score: Acquisition,
    /// Exchange dark and light in images, as for dark drawings on white and a model of light ones
    #[arg(long)]
    invert: bool,
    /// Number of posterior samples [default: 100]
    #[arg(long, value_name = "S", value_parser = samples)]
    samples: Option<usize>,
    #[command(flatten)]
    precision: PrecisionFlag,
    /// Output file, written completely or not at all; - is standard output [default: -]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A row of the output.
#[derive(Serialize)]
struct Chosen {
    /// The rank, from 1 for the input chosen first.
    rank: usize,
    /// The index among all inputs, from 0.
    index: usize,
    input: String,
    score: Option<f64>,
}

/// The maximum number of class probabilities that BatchBALD keeps in memory: 1 GiB.
const LIMIT: usize = 1 << 27;

/// Write the chosen inputs as CSV, or as JSON with `--json`, the highest score first.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let out = Target::of_flag(args.out.as_deref())?;
    let Trained { mut model, header, .. } = Trained::load(&args.dir)?;
    args.precision.apply(context, &mut model);
    let (acquisition, classes) = (args.score, header.task.outputs());
    if !acquisition.fits(&header.task) {
        let (found, expected) = (acquisition, "bald, max-entropy, mean-std or random");
        let advice = "The run is a regression: use one of these.";
        return Err(Error::invalid("--score", found, expected, advice).into());
    }
    let count = flags::choose_samples(context, args.samples, &header.config, &model)?;
    let is_single = Method::from(&header.config).networks() == Some(1);
    if is_single && !acquisition.ranks_with_one_sample() {
        context.say(format!(
            "{} has a single network and no epistemic uncertainty: only max-entropy and \
             least-confidence are informative",
            header.config.method
        ));
    }
    let rows = block(&model, &header, count);
    let (theta, _) = draw(&model, count, &mut stream(header.config.seed, Purpose::Evaluation, 0));
    let (mut pool, mut names) = (Pool::new(&model, &theta, acquisition), vec![]);
    let mut remarks = Remarks::default();
    let files = expanded(&args.pool)?;
    let reading = Reading { invert: args.invert, ..Reading::default() };
    for (file, prefix) in files.iter().zip(prefixes(&files)) {
        let (preprocess, image) = (&header.preprocess, header.image);
        for inputs in data::inputs_with(file, preprocess, image, rows, &reading)? {
            let mut inputs = inputs?;
            prefix.rename(&mut inputs.names);
            remarks.add(&inputs);
            let kept = (names.len() + inputs.names.len()).saturating_mul(count * classes);
            if acquisition == Acquisition::BatchBald && kept > LIMIT {
                let (what, most) = ("--pool with batch-bald", LIMIT / (count * classes));
                let advice = "Use fewer inputs or --samples, or bald.";
                let found =
                    format!("more than {most} inputs, with {count} samples of {classes} classes");
                return Err(Error::invalid(what, found, format!("at most {most}"), advice).into());
            }
            pool.add(inputs.x.view())?;
            names.extend(inputs.names);
        }
    }
    remarks.say(context);
    let picks = pool.choose(args.k, &mut stream(header.config.seed, Purpose::Pool, 0));
    let chosen = |(i, pick): (usize, Pick)| Chosen {
        rank: i + 1,
        index: pick.index,
        input: names[pick.index].clone(),
        score: pick.value,
    };
    let chosen: Vec<_> = picks.into_iter().enumerate().map(chosen).collect();
    let bytes = if context.json {
        (serde_json::to_string_pretty(&chosen)? + "\n").into_bytes()
    } else {
        let mut csv = csv::Writer::from_writer(vec![]);
        chosen.iter().try_for_each(|row| csv.serialize(row))?;
        csv.into_inner()?
    };
    atomic::write_to(&out, &bytes)?;
    context.say(format!("{} of {} inputs, by {acquisition}", chosen.len(), names.len()));
    Ok(())
}
