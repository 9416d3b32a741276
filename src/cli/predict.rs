//! `bhn predict DIR FILE…`: one row of output per image or table row, in bounded memory.
use super::flags::{self, PrecisionFlag, samples};
use super::profile::Profiler;
use super::{Context, show};
use crate::autodiff::profile::{Phase, Profile};
use crate::bayes::Model;
use crate::data::{self, Inputs, OutOfRange, Task};
use crate::error::Error;
use crate::metrics::predictions;
use crate::predict::{Predictive, chunk, draw, predict_profiled};
use crate::random::{Purpose, stream};
use crate::run::{Header, Target, Trained, atomic};
use anyhow::Result;
use ndarray::s;
use rayon::prelude::*;
use serde::Serializer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Run folder
    dir: PathBuf,
    /// Images (PNG, IDX, NPY) or table rows (CSV, NPY); files may be larger than memory
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Number of posterior samples [default: 100]
    #[arg(long, value_name = "S", value_parser = samples)]
    samples: Option<usize>,
    #[command(flatten)]
    precision: PrecisionFlag,
    /// Output file, written completely or not at all; - is standard output [default: -]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Run on one thread and print the time of each operation
    #[arg(long, requires = "out")]
    profile: bool,
}

/// The approximate maximum numbers of rows, and of entries of these rows, that are in memory at the
/// same time.
const ROWS: usize = 1 << 13;
const ENTRIES: usize = 1 << 22;

/// The number of rows that are read at a time. It is a multiple of the chunk size for `samples`
/// samples, so that the division into blocks does not change predictions.
pub(super) fn block(model: &Model, header: &Header, samples: usize) -> usize {
    let chunk = chunk(model, samples);
    let widest = header.preprocess.inputs.max(header.task.outputs());
    chunk * (ROWS.min(ENTRIES / widest) / chunk).max(1)
}

/// Write predictions as CSV, or as JSON lines with `--json`, while the files are read.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let out = Target::of_flag(args.out.as_deref())?;
    if !args.profile {
        return profiled(&args, &out, context, None).map(drop);
    }
    if out.is_stdout() {
        let (found, expected) = ("standard output", "another file, such as /dev/null");
        let advice = "Standard output gets the profile.";
        return Err(Error::invalid("--out with --profile", found, expected, advice).into());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(Error::threads)?;
    pool.install(|| {
        let profiler = Profiler::start();
        let count = profiled(&args, &out, context, Some(&profiler.profile))?;
        let report = profiler.finish("input", count as u64);
        context.print(&report, &report.text())
    })
}

/// Predict, and return the number of inputs.
fn profiled(
    args: &Args,
    out: &Target,
    context: &Context,
    profile: Option<&Profile>,
) -> Result<usize> {
    let spent = |name| {
        if let Some(profile) = profile {
            profile.spent(name, Phase::Between, 0., 0.);
        }
    };
    let Trained { mut model, header, .. } = Trained::load(&args.dir)?;
    args.precision.apply(context, &mut model);
    let samples = flags::choose_samples(context, args.samples, &header.config, &model)?;
    let rows = block(&model, &header, samples);
    let open = |file: &PathBuf| data::inputs(file, &header.preprocess, header.image, rows);
    // Open all files before the computation, which may take hours, to report errors in their
    // headers. A pipe can be opened only once, so pipes are left out.
    let pipe = |file: &PathBuf| file.metadata().is_ok_and(|file| !file.is_file());
    args.files.iter().filter(|file| !pipe(file)).try_for_each(|file| open(file).map(drop))?;
    let rng = &mut stream(header.config.seed, Purpose::Evaluation, 0);
    spent("reading");
    let (theta, _) = draw(&model, samples, rng);
    spent("posterior samples");
    // Blocks are predicted separately, so that a file's predictions are bitwise identical whatever
    // other files are given.
    let predict = |block: &Inputs| -> Result<Predictive> {
        let found = predict_profiled(&model, &theta, block.x.view(), profile);
        let found = found.in_units(&header.preprocess);
        found.check(|row| block.names[row].clone())?;
        Ok(found)
    };
    let predict = |blocks: &[Inputs]| blocks.par_iter().map(predict).collect::<Result<Vec<_>>>();
    let mut records = Records { task: &header.task, json: context.json, count: 0 };
    let refused = |error| anyhow::Error::from(Error::io(out.name())(error));
    let mut far = Far::default();
    let fill = |out: &mut dyn Write| -> Result<()> {
        let mut waiting: Vec<Inputs> = vec![];
        for (file, prefix) in args.files.iter().zip(prefixes(&args.files)) {
            for block in open(file)? {
                let mut block = block?;
                prefix.rename(&mut block.names);
                far.add(block.outside.as_ref());
                waiting.push(block);
                spent("reading");
                if waiting.iter().map(|block| block.names.len()).sum::<usize>() >= rows {
                    let found = predict(&waiting)?;
                    records.write(&found, &waiting, out).map_err(refused)?;
                    spent("writing");
                    waiting.clear();
                }
            }
        }
        let found = predict(&waiting)?;
        records.write(&found, &waiting, out).and_then(|()| out.flush()).map_err(refused)
    };
    atomic::stream(out, fill)?;
    spent("writing");
    far.say(context);
    let samples = show::count(samples, "sample");
    context.say(format!("{} predictions with {samples}", records.count));
    Ok(records.count)
}

/// What replaces the base name of a file at the beginning of the names of its inputs.
pub(super) struct Prefix(Option<(String, String)>);

/// The prefix for each file: its path as typed, if another of the `files` has the same base name.
pub(super) fn prefixes(files: &[PathBuf]) -> Vec<Prefix> {
    let base = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut uses = BTreeMap::<String, usize>::new();
    files.iter().for_each(|file| *uses.entry(base(file)).or_default() += 1);
    let prefix = |file: &PathBuf| {
        let base = base(file);
        Prefix((uses[&base] > 1).then(|| (base, file.display().to_string())))
    };
    files.iter().map(prefix).collect()
}

impl Prefix {
    /// Replace the base name in the names of inputs.
    pub fn rename(&self, names: &mut [String]) {
        let Some((base, path)) = &self.0 else { return };
        for name in names {
            if let Some(rest) = name.strip_prefix(base.as_str()) {
                *name = format!("{path}{rest}");
            }
        }
    }
}

/// The number of inputs far outside the range of the training data, over all files.
#[derive(Default)]
pub(super) struct Far {
    rows: usize,
    first: Option<String>,
}

impl Far {
    /// Add the inputs of a block that are far outside.
    pub fn add(&mut self, found: Option<&OutOfRange>) {
        self.rows += found.map_or(0, |found| found.rows);
        self.first = self.first.take().or(found.map(|found| found.first.clone()));
    }

    /// Print a note if there are any such inputs.
    pub fn say(&self, context: &Context) {
        if let Some(first) = &self.first {
            let inputs = show::count(self.rows, "input");
            let have = if self.rows == 1 { "has" } else { "have" };
            let note = "a value far outside the range of training; the first";
            context.say(format!("note: {inputs} {have} {note}: {first}"));
        }
    }
}

/// A writer of one record per input. Records are numbered over all files.
struct Records<'a> {
    task: &'a Task,
    json: bool,
    count: usize,
}

impl Records<'_> {
    /// Write a record for each input of the blocks.
    fn write(
        &mut self,
        found: &[Predictive],
        blocks: &[Inputs],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(vec![]);
        for (found, block) in found.iter().zip(blocks) {
            for (i, name) in block.names.iter().enumerate() {
                let row = self.row(found, i, name);
                if self.json {
                    serde_json::Serializer::new(&mut *out).collect_map(row)?;
                    out.write_all(b"\n")?;
                } else {
                    if self.count == 0 {
                        csv.write_record(row.iter().map(|(key, _)| key))?;
                    }
                    let text = |v: &Value| v.as_str().map_or(v.to_string(), str::to_string);
                    csv.write_record(row.iter().map(|(_, value)| text(value)))?;
                }
                self.count += 1;
            }
        }
        out.write_all(&csv.into_inner().map_err(csv::IntoInnerError::into_error)?)
    }

    /// The keys and values of the next record: the prediction in row `i` of `found`, for the input
    /// `name`.
    fn row(&self, found: &Predictive, i: usize, name: &str) -> Vec<(String, Value)> {
        let mut row = vec![];
        let mut add = |key: &str, value: Value| row.push((key.to_string(), value));
        add("index", json!(self.count));
        add("input", json!(name));
        match (found, self.task) {
            (
                Predictive::Classes { p, entropy, bald, mean_std, .. },
                Task::Classification { classes },
            ) => {
                add("label", json!(classes[predictions(p.slice(s![i..=i, ..]))[0]]));
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
            _ => unreachable!("a classifier predicts classes"),
        }
        row
    }
}
