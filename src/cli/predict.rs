//! `bhn predict DIR FILE…`: one row for each of the user's images or table rows.
use super::{Context, samples, show};
use crate::data::{self, Task};
use crate::error::Error;
use crate::metrics::predictions;
use crate::predict::{Predictive, draw, predict};
use crate::random::{Purpose, stream};
use crate::run::Trained;
use anyhow::Result;
use serde::Serializer;
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;

/// What was typed.
#[derive(clap::Args)]
pub struct Args {
    /// The run folder
    dir: PathBuf,
    /// Images (PNG, IDX, NPY) or table rows (CSV, NPY)
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Posterior samples
    #[arg(long, default_value_t = 100, value_name = "S", value_parser = samples)]
    samples: usize,
    /// Write here instead of to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Columns in their order.
type Row = Vec<(String, Value)>;

/// CSV, or JSON lines with `--json`.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let Trained { model, header, .. } = Trained::load(&args.dir)?;
    let read = |file: &PathBuf| data::inputs(file, &header.preprocess, header.image);
    let inputs = args.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let rng = &mut stream(header.config.seed, Purpose::Evaluation, 0);
    let (theta, _) = draw(&model, args.samples, rng);
    let mut rows = vec![];
    for input in inputs.iter().filter(|input| !input.names.is_empty()) {
        let predictive = predict(&model, &theta, input.x.view()).in_units(&header.preprocess);
        records(&predictive, &input.names, &header.task, &mut rows);
    }
    anyhow::ensure!(
        !rows.is_empty(),
        "the files hold no input: expected at least one image or row."
    );
    let mut text = vec![];
    write(&rows, context.json, &mut text)?;
    match &args.out {
        Some(path) => crate::checkpoint::write(path, &text)?,
        None => io::Write::write_all(&mut io::stdout(), &text)?,
    }
    show::say(context, format!("{} predictions with {} samples", rows.len(), args.samples));
    Ok(())
}

fn records(found: &Predictive, names: &[String], task: &Task, rows: &mut Vec<Row>) {
    let labels = match found {
        Predictive::Classes { p, .. } => predictions(p.view()),
        Predictive::Values { .. } => vec![],
    };
    for (i, name) in names.iter().enumerate() {
        let mut row = vec![];
        let mut add = |key: &str, value: Value| row.push((key.to_string(), value));
        add("index", json!(rows.len()));
        add("input", json!(name));
        match (found, task) {
            (
                Predictive::Classes { p, entropy, bald, mean_std },
                Task::Classification { classes },
            ) => {
                add("label", json!(classes[labels[i]]));
                for (class, p) in classes.iter().zip(p.row(i)) {
                    add(&format!("p_{class}"), json!(p));
                }
                add("entropy", json!(entropy[i]));
                add("bald", json!(bald[i]));
                add("mean_std", json!(mean_std[i]));
            }
            (Predictive::Values { mean, std, spread }, _) => {
                add("mean", json!(mean[i]));
                add("std", json!(std[i]));
                add("model_std", json!(spread[i]));
            }
            _ => unreachable!("classes come with a classification"),
        }
        rows.push(row);
    }
}

fn write(rows: &[Row], json: bool, text: &mut Vec<u8>) -> Result<()> {
    if json {
        rows.iter().try_for_each(|row| {
            let mut line = serde_json::Serializer::new(&mut *text);
            line.collect_map(row.iter().map(|(key, value)| (key, value)))?;
            text.push(b'\n');
            Ok(())
        })
    } else {
        let mut csv = csv::Writer::from_writer(text);
        csv.write_record(rows[0].iter().map(|(key, _)| key))?;
        for row in rows {
            csv.write_record(
                row.iter().map(|(_, v)| v.as_str().map_or(v.to_string(), str::to_string)),
            )?;
        }
        csv.flush().map_err(|e| Error::io("standard output")(e).into())
    }
}
