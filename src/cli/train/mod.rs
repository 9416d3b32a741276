//! `bhn train`: train a network, test it and write its report.
mod columns;
mod progress;
mod report;

use super::context::Context;
use super::flags::{self, FLOWS, METHODS, MISSING, PRECISIONS, TASKS};
use super::flags::{count, number, one_of, rate, samples, seed, size};
use super::profile::{self, Profiler};
use super::signals;
use crate::autodiff::Precision;
use crate::autodiff::profile::Phase;
use crate::bayes::FlowKind;
use crate::data::{self, Missing, TaskKind};
use crate::error::{Error, quoted};
use crate::primary::Layer;
use crate::run::config::{Keys, check_samples};
use crate::run::{Config, Method, MethodKind, Run, Summary, load_data};
use crate::run::{extend, memory};
use anyhow::Result;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A flag overrides `--config`, which overrides the defaults.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Without arguments, trains a Bayesian hypernetwork on MNIST, which takes half a \
                  minute to two minutes on two cores."
)]
pub struct Args {
    /// Data: mnist, fashion-mnist, cifar-10, cifar-5, uci/NAME, a table (FILE.csv, .tsv, .txt, each
    /// perhaps .gz, or .parquet) or FILE.npz [default: mnist]
    data: Option<PathBuf>,
    /// bhn: Bayesian hypernetwork over the weight-normalisation scales; full-bhn: over all weights,
    /// for small networks; mle: maximum likelihood; dropout, mc-dropout, concrete-dropout; bbb:
    /// Bayes by Backprop over all weights; mnf: multiplicative normalizing flows over all weights;
    /// ensemble: deep ensemble; laplace: Gaussian around the mode of the scales; swag: Gaussian of
    /// the optimiser's path of the scales [default: bhn]
    #[arg(long, hide_possible_values = true, value_parser = one_of::<MethodKind>(METHODS))]
    method: Option<MethodKind>,
    /// Flow of the hypernetwork: realnvp, iaf, planar; cholesky: Gaussian with any covariance;
    /// low-rank: Gaussian with covariance diagonal plus low rank; linear, for small networks
    /// [default: realnvp]
    #[arg(long, hide_possible_values = true, value_parser = one_of::<FlowKind>(FLOWS))]
    flow: Option<FlowKind>,
    /// Number of couplings, IAF steps or planar steps; 0 gives Bayes by Backprop over the scales
    /// [default: 4]
    #[arg(long, value_name = "T", value_parser = number::<0, { usize::MAX }>)]
    couplings: Option<usize>,
    /// Number of units of each hidden ReLU layer [default: 800,800; 50,50 for tables]
    #[arg(long, value_delimiter = ',', value_name = "N,N", value_parser = count)]
    hidden: Option<Vec<usize>>,
    /// Initialise the network from another run, for instance of mle
    #[arg(long, value_name = "DIR")]
    warm_start: Option<PathBuf>,
    /// Parameters to hold fixed, by name; * stands for any characters, as in 'primary.*'
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME")]
    freeze: Option<Vec<String>>,
    /// Maximum number of passes over the training examples [default: 10; for tables those of 2000
    /// steps, and at least 20]
    #[arg(long, value_name = "N", value_parser = count)]
    epochs: Option<usize>,
    /// Minibatch size [default: 128; for tables 32 below 10,000 training rows, 16 below 1000]
    #[arg(long, value_name = "N", value_parser = count)]
    batch: Option<usize>,
    /// Initial learning rate [default: 0.001; 0.005 for tables]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    learning_rate: Option<f64>,
    /// Factor of the learning rate of the posterior's own parameters [default: 10
    /// for bhn on images, 3 for tables, otherwise 1]
    #[arg(long, value_name = "FACTOR", value_parser = rate)]
    posterior_rate: Option<f64>,
    /// Precision of matrix products: f32; bf16, bfloat16 with sums in f32, is faster on processors
    /// that multiply it [default: f32]
    #[arg(long, value_name = "PRECISION", hide_possible_values = true,
        value_parser = one_of::<Precision>(PRECISIONS))]
    precision: Option<Precision>,
    /// Train on the first N examples only
    #[arg(long, value_name = "N", value_parser = count)]
    subset: Option<usize>,
    /// Resample the pictures of a folder to this height and width, such as 28 or 28x32
    #[arg(long, value_name = "HxW", value_parser = size)]
    size: Option<[usize; 2]>,
    /// Column of a table to predict [default: the last]
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Columns of a table to leave out
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME")]
    drop: Option<Vec<String>>,
    /// classification or regression [default: inferred from the target]
    #[arg(long, hide_possible_values = true, value_parser = one_of::<TaskKind>(TASKS))]
    task: Option<TaskKind>,
    /// Missing values (an empty cell, NA, NaN, ?, …): impute, by the median and an indicator or by
    /// a category of their own; drop the rows; refuse the file [default: impute]
    #[arg(long, value_name = "HOW", hide_possible_values = true,
        value_parser = one_of::<Missing>(MISSING))]
    missing: Option<Missing>,
    /// As --missing drop
    #[arg(long, hide = true, conflicts_with = "missing")]
    drop_missing: bool,
    /// Table of test rows; all rows of the data are then for training and validation
    #[arg(long, value_name = "FILE")]
    test: Option<PathBuf>,
    /// Table of validation rows
    #[arg(long, value_name = "FILE")]
    validation: Option<PathBuf>,
    /// Column of a table that tells the part of each row: train, validation or test
    #[arg(long, value_name = "COLUMN", conflicts_with_all = ["test", "validation"])]
    split: Option<String>,
    /// Random seed [default: 0]
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,
    /// Number of posterior samples for testing [default: 100]
    #[arg(long, value_name = "S", value_parser = samples)]
    samples: Option<usize>,
    /// TOML file with any of the settings in a run folder's config.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Run folder to create [default: runs/DATA-METHOD-SEED]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Resume an interrupted run, with its own settings; with --epochs, train a run for more
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "method", "flow", "couplings",
        "hidden", "batch", "learning_rate", "posterior_rate", "precision", "subset", "size",
        "target", "drop", "task", "missing", "drop_missing", "test", "validation", "split", "seed",
        "config", "out", "warm_start", "freeze"])]
    resume: Option<PathBuf>,
    /// Print the time of each operation at the end
    #[arg(long)]
    profile: bool,
}

/// The least number of validation rows that are taken from a small table, unless the configuration
/// gives one. The best epoch is chosen by the validation NLL, whose standard error is the deviation
/// of the losses of rows divided by the root of the number of rows: for 178 rows, 0.18 of it with
/// 30 rows and 0.24 with a tenth.
const VALIDATION_ROWS: usize = 30;

/// The output of `--json`.
#[derive(Serialize)]
struct Printed {
    #[serde(flatten)]
    summary: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<profile::Report>,
}

impl Args {
    /// The settings of the file, overridden by the flags, and the keys of the file. The defaults
    /// that depend on the data are not filled in.
    fn config(&self) -> Result<(Config, Keys)> {
        let none = || Ok(<(Config, Keys)>::default());
        let (mut config, keys) = self.config.as_deref().map_or_else(none, Config::read_keys)?;
        if let Some(data) = &self.data {
            config.data = utf8(data)?.to_string();
        }
        config.method = self.method.unwrap_or(config.method);
        config.flow.kind = self.flow.unwrap_or(config.flow.kind);
        config.flow.couplings = self.couplings.unwrap_or(config.flow.couplings);
        config.train.epochs = self.epochs.unwrap_or(config.train.epochs);
        config.train.batch = self.batch.unwrap_or(config.train.batch);
        config.train.learning_rate = self.learning_rate.unwrap_or(config.train.learning_rate);
        config.train.posterior_rate = self.posterior_rate.unwrap_or(config.train.posterior_rate);
        config.train.precision = self.precision.unwrap_or(config.train.precision);
        config.seed = self.seed.unwrap_or(config.seed);
        if let Some(dir) = &self.warm_start {
            config.warm_start = Some(utf8(dir)?.into());
        }
        config.train.freeze = self.freeze.clone().unwrap_or(config.train.freeze);
        config.subset = self.subset.or(config.subset);
        config.size = self.size.or(config.size);
        config.target = self.target.clone().or(config.target);
        config.task = self.task.or(config.task);
        config.missing = self.missing.unwrap_or(config.missing);
        if self.drop_missing {
            config.missing = Missing::Drop;
        }
        config.drop = self.drop.clone().unwrap_or(config.drop);
        config.split = self.split.clone().or(config.split);
        let path = |path: &PathBuf| utf8(path).map(str::to_string);
        config.test = self.test.as_ref().map(path).transpose()?.or(config.test);
        config.validation = self.validation.as_ref().map(path).transpose()?.or(config.validation);
        Ok((config, keys))
    }

    /// Whether a flag sets the key.
    fn has(&self, key: &str) -> bool {
        match key {
            "train.epochs" => self.epochs.is_some(),
            "train.batch" => self.batch.is_some(),
            "train.learning_rate" => self.learning_rate.is_some(),
            "train.posterior_rate" => self.posterior_rate.is_some(),
            _ => false,
        }
    }

    fn start(&self, context: &Context) -> Result<Run> {
        flags::check_folder(self.out.as_deref())?;
        let (mut config, keys) = self.config()?;
        if !data::is_named(&config.data) && !keys.has("validation_rows") {
            config.validation_rows = VALIDATION_ROWS;
        }
        let data = load_data(&config, context.data_dir.as_deref())?;
        config.recommend(&data, |key| keys.has(key) || self.has(key));
        if let Some(hidden) = &self.hidden {
            config.primary.layers = Some(Layer::mlp(hidden, config.outputs(&data.task)));
        }
        // Absolute paths stay valid when later commands run in another folder.
        let absolute = |path: &str| {
            let found = std::path::absolute(path).ok();
            found.and_then(|path| path.into_os_string().into_string().ok()).unwrap_or_else(|| {
                context.say(format!(
                    "note: the path of this folder is not UTF-8: config.toml refers to {path} from \
                     here, so run later commands here too"
                ));
                path.to_string()
            })
        };
        if !data::is_named(&config.data) {
            config.data = absolute(&config.data);
        }
        config.test = config.test.map(|path| absolute(&path));
        config.validation = config.validation.map(|path| absolute(&path));
        if let Some(dir) = &config.warm_start {
            config.warm_start = Some(absolute(utf8(dir)?).into());
        }
        let config = config.resolve(&data)?;
        flags::say_if_slow(context, config.train.precision);
        let samples = config.samples(self.samples.unwrap_or(flags::SAMPLES));
        check_samples(samples, config.entries(&data)?)?;
        memory::check(&config, &data)?;
        match Method::from(&config) {
            Method::Hypernet(_, flow) => {
                let why = match flow.kind {
                    FlowKind::Linear => {
                        Some("a linear flow has no couplings; flow.layers is its depth")
                    }
                    FlowKind::Cholesky => Some("a triangular map has no couplings"),
                    FlowKind::LowRank => {
                        Some("a low-rank flow has no couplings; flow.rank is its depth")
                    }
                    FlowKind::Realnvp | FlowKind::Iaf | FlowKind::Planar => None,
                };
                if let Some(why) = why.filter(|_| self.couplings.is_some()) {
                    context.note_no_effect("--couplings", why);
                }
            }
            _ => {
                let flow = self.flow.map(|_| "--flow");
                let why = match config.method {
                    MethodKind::Mnf => {
                        "the flows of mnf have settings of their own, in [mnf]".into()
                    }
                    method => format!("{method} has no flow"),
                };
                for flag in flow.into_iter().chain(self.couplings.map(|_| "--couplings")) {
                    context.note_no_effect(flag, &why);
                }
            }
        }
        let name = format!("{}-{}-{}", data.name, config.method, config.seed);
        let dir = self.out.clone().unwrap_or_else(|| Path::new("runs").join(name));
        Ok(Run::create(&dir, config, data)?)
    }
}

/// A path that is stored in `config.toml`.
fn utf8(path: &Path) -> Result<&str> {
    let (found, expected) = ("a path that is not UTF-8", "one in UTF-8, as all of config.toml");
    let advice = "Rename it, or give a link to it.";
    let bad = || Error::invalid(path.display(), found, expected, advice);
    Ok(path.to_str().ok_or_else(bad)?)
}

/// Train, test, report.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let mut run = match &args.resume {
        Some(dir) => {
            let note = args.epochs.map(|epochs| extend(dir, epochs)).transpose()?.flatten();
            note.into_iter().for_each(|note| context.say(format!("note: {note}")));
            Run::resume(dir, context.data_dir.as_deref())?
        }
        None => args.start(context)?,
    };
    let dir = quoted(run.dir.display());
    signals::advise(format!("Continue with `bhn train --resume {dir}`."));
    run.trainer.stop = Some(&signals::STOP);
    let profiler = args.profile.then(Profiler::start);
    run.trainer.profile = profiler.as_ref().map(|p| p.profile.clone());
    let before = run.trainer.steps();
    let samples = flags::choose_samples(context, args.samples, &run.config, &run.trainer.model)?;
    let result = train(&mut run, samples, context);
    let profile = profiler.map(|p| p.finish("step", run.trainer.steps() - before));
    let (done, outcome) = match result {
        Ok(done) => (Some(done), Ok(())),
        Err(error) => (None, Err(error)),
    };
    let (summary, table) = done.unzip();
    let texts: Vec<_> = table.into_iter().chain(profile.as_ref().map(|p| p.text())).collect();
    if !texts.is_empty() {
        context.print(&Printed { summary, profile }, &texts.join("\n\n"))?;
    }
    outcome
}

/// Train and test; returns the run's summary, and the results as a table.
fn train(run: &mut Run, samples: usize, context: &Context) -> Result<(Summary, String)> {
    columns::introduce(&run.data, context);
    progress::introduce(run, context);
    run.trainer.spent("estimate", Phase::Between, 0);
    let trained = progress::train(run, context)?;
    let found = report::conclude(run, &trained, samples);
    run.trainer.spent("test and report", Phase::Between, 0);
    found
}
