//! `bhn predict DIR FILE…`: one row of output per image or table row, in bounded memory.
mod calibration;
mod columns;
mod parquet;
mod round;
mod writer;

use super::flags::{self, FORMATS, PrecisionFlag, level, number, one_of, samples};
use super::profile::Profiler;
use super::{Context, show};
use crate::autodiff::profile::{Phase, Profile};
use crate::bayes::Model;
use crate::data::{self, Inputs, Reading, Replaced};
use crate::error::Error;
use crate::predict::{Predictive, chunk, draw, predict_profiled};
use crate::random::{Purpose, stream};
use crate::run::{Header, Target, Trained, atomic};
use anyhow::Result;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use calibration::Calibration;
use columns::{columns, end, start};
use writer::{Format, Writer};

#[derive(clap::Args)]
pub struct Args {
    /// Run folder
    dir: PathBuf,
    /// Images (PNG, IDX, NPY) or table rows (CSV and other tables, NPY); files may be larger than
    /// memory
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
    /// Format of the output: csv; json, an object on each line, as with --json; npz, an array for
    /// each column; parquet, if built with that feature [default: csv]
    #[arg(long, value_name = "FORMAT", hide_possible_values = true,
        value_parser = one_of::<Format>(FORMATS))]
    format: Option<Format>,
    /// Exchange dark and light in images, as for dark drawings on white and a model of light ones
    #[arg(long)]
    invert: bool,
    /// Columns of a table to copy to the output, such as identifiers
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    keep: Vec<String>,
    /// Number of significant digits; 17 distinguish all numbers
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = number::<1, 17>)]
    digits: usize,
    /// Scale log-probabilities by a temperature that the validation examples of the run determine
    #[arg(long)]
    calibrate: bool,
    /// Add a set of classes that contains the true one with this probability. It is calibrated by
    /// the test examples of the run or, if there are fewer than 100, by five networks that are
    /// trained for cross-validation, once
    #[arg(long, value_name = "PROBABILITY", value_parser = level)]
    level: Option<f64>,
    /// Run on one thread and print the time of each operation
    #[arg(long, requires = "out")]
    profile: bool,
}

/// The predictions of a block, and the set of classes of each input if sets are asked for.
type Answer = (Predictive, Option<Vec<Vec<usize>>>);

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

/// Write predictions while the files are read.
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
    let default = if context.json { Format::Json } else { Format::Csv };
    let format = args.format.unwrap_or(default);
    format.check()?;
    let mut trained = Trained::load(&args.dir)?;
    args.precision.apply(context, &mut trained.model);
    let Trained { model, header, .. } = &trained;
    let samples = flags::choose_samples(context, args.samples, &header.config, model)?;
    let rows = block(model, header, samples);
    let files = expanded(&args.files)?;
    let reading = Reading { keep: args.keep.clone(), invert: args.invert };
    let open =
        |file: &PathBuf| data::inputs_with(file, &header.preprocess, header.image, rows, &reading);
    // Open all files before the computation, which may take hours, to report errors in their
    // headers. A pipe can be opened only once, so pipes are left out.
    let pipe = |file: &PathBuf| file.metadata().is_ok_and(|file| !file.is_file());
    files.iter().filter(|file| !pipe(file)).try_for_each(|file| open(file).map(drop))?;
    let rng = &mut stream(header.config.seed, Purpose::Evaluation, 0);
    spent("reading");
    let (theta, _) = draw(model, samples, rng);
    spent("posterior samples");
    let calibration = Calibration::new(args, &trained, &theta, context)?;
    spent("calibration");
    // Blocks are predicted separately, so that a file's predictions are bitwise identical whatever
    // other files are given.
    let predict = |block: &Inputs| -> Result<Answer> {
        let found = predict_profiled(model, &theta, block.x.view(), profile);
        let found = found.in_units(&header.preprocess);
        found.check(|row| block.names[row].clone())?;
        Ok(calibration.apply(found, block.x.view()))
    };
    let predict = |blocks: &[Inputs]| blocks.par_iter().map(predict).collect::<Result<Vec<_>>>();
    let mut writer = Writer::new(format);
    let refused = |error| anyhow::Error::from(Error::io(out.name())(error));
    let write = |writer: &mut Writer, blocks: &[Inputs], out: &mut dyn Write| -> Result<()> {
        for ((found, sets), block) in predict(blocks)?.into_iter().zip(blocks) {
            let mut all = start(block, writer.count(), &args.keep);
            all.extend(columns(&found, sets, &header.task, args.digits));
            all.extend(end(block));
            writer.write(all, block.names.len(), out).map_err(refused)?;
        }
        Ok(())
    };
    let mut remarks = Remarks::default();
    let fill = |out: &mut dyn Write| -> Result<()> {
        let mut waiting: Vec<Inputs> = vec![];
        for (file, prefix) in files.iter().zip(prefixes(&files)) {
            for block in open(file)? {
                let mut block = block?;
                prefix.rename(&mut block.names);
                remarks.add(&block);
                waiting.push(block);
                spent("reading");
                if waiting.iter().map(|block| block.names.len()).sum::<usize>() >= rows {
                    write(&mut writer, &waiting, out)?;
                    spent("writing");
                    waiting.clear();
                }
            }
        }
        write(&mut writer, &waiting, out)?;
        writer.finish(out).map_err(refused)
    };
    atomic::stream(out, fill)?;
    spent("writing");
    remarks.say(context);
    let samples = show::count(samples, "sample");
    context.say(format!("{} predictions with {samples}", writer.count()));
    Ok(writer.count())
}

/// The files, with the pictures of folders in their place.
pub(super) fn expanded(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for path in paths {
        match path.is_dir() {
            true => files.extend(data::pictures_in(path)?),
            false => files.push(path.clone()),
        }
    }
    Ok(files)
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

/// Inputs that are unlike those of training, over all files.
#[derive(Default)]
pub(super) struct Remarks {
    far: Remark,
    missing: Remark,
    unseen: Remark,
}

/// A number of inputs or cells, and the first of them.
#[derive(Default)]
struct Remark {
    count: usize,
    first: Option<String>,
}

impl Remark {
    fn add(&mut self, count: usize, first: &str) {
        self.count += count;
        self.first.get_or_insert_with(|| first.to_owned());
    }

    fn replaced(&mut self, found: Option<&Replaced>) {
        if let Some(found) = found {
            self.add(found.cells, &found.first);
        }
    }

    /// Print a note about `COUNT NOUN`, if there are any.
    fn say(&self, context: &Context, noun: &str, about: &str) {
        if let Some(first) = &self.first {
            let count = show::count(self.count, noun);
            let have = if self.count == 1 { "has" } else { "have" };
            context.say(format!("note: {count} {have} {about}; the first: {first}"));
        }
    }
}

impl Remarks {
    /// Add those of a block.
    pub fn add(&mut self, inputs: &Inputs) {
        if let Some(found) = &inputs.outside {
            self.far.add(found.rows, &found.first);
        }
        self.missing.replaced(inputs.missing.as_ref());
        self.unseen.replaced(inputs.unseen.as_ref());
    }

    /// Print a note about each kind of input that occurred.
    pub fn say(&self, context: &Context) {
        self.far.say(context, "input", "a value far outside the range of training");
        let median = "no value, which the training median or the category of missing ones replaces";
        self.missing.say(context, "cell", median);
        let zeros = "a word that did not occur in training, and is none of its categories";
        self.unseen.say(context, "cell", zeros);
    }
}
