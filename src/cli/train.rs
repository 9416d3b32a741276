//! `bhn train`: the main job.
use super::profile::{self, Profiler};
use super::{Context, SAMPLES, idle, number, posterior_samples, samples, seed, show};
use crate::autodiff::profile::Phase;
use crate::bayes::{FlowKind, Model, Targets};
use crate::data::{self, Dataset, Task, TaskKind};
use crate::predict::evaluate::{Evaluation, evaluate};
use crate::predict::{Predictive, draw};
use crate::primary::Layer;
use crate::random::{Purpose, stream};
use crate::report::sheet::{Sheet, contrast};
use crate::report::{self, Classification, Regression};
use crate::run::atomic;
use crate::run::config::{Config, DropoutKind, Method, MethodKind, Theta, check_samples};
use crate::run::summary::Summary;
use crate::run::{Progress, Run, Trained, load_data};
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer, value};
use std::path::{Path, PathBuf};

/// What was typed. A flag overrides `--config`, which overrides the defaults.
#[derive(clap::Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Without arguments: a Bayesian hypernetwork on MNIST, in half a minute to two minutes on two cores."
)]
pub struct Args {
    /// mnist, fashion-mnist, cifar-10, cifar-5, uci/NAME, FILE.csv or FILE.npz [default: mnist]
    data: Option<String>,
    /// bhn: a Bayesian hypernetwork over the scales; full-bhn: one over all weights, for small
    /// networks; mle: maximum likelihood; dropout, mc-dropout, concrete-dropout; bbb: Bayes by
    /// Backprop over all weights; ensemble: a deep ensemble [default: bhn]
    #[arg(long, value_parser = word::<MethodKind>)]
    method: Option<MethodKind>,
    /// The kind of flow: realnvp, iaf, planar, or linear, which is for small networks [default:
    /// realnvp]
    #[arg(long, value_parser = word::<FlowKind>)]
    flow: Option<FlowKind>,
    /// Couplings, IAF or planar steps; 0 is Bayes by Backprop on the scales [default: 4]
    #[arg(long, value_name = "T", value_parser = number::<0, { usize::MAX }>)]
    couplings: Option<usize>,
    /// Hidden ReLU layers of the network, by units [default: 800,800; 50,50 for tables]
    #[arg(long, value_delimiter = ',', value_name = "N,N", value_parser = number::<1, { usize::MAX }>)]
    hidden: Option<Vec<usize>>,
    /// Start from the network of another run, of mle for instance
    #[arg(long, value_name = "DIR")]
    warm_start: Option<PathBuf>,
    /// Passes over the training examples [default: 10]
    #[arg(long, value_name = "N", value_parser = number::<1, { usize::MAX }>)]
    epochs: Option<usize>,
    /// Examples a step [default: 128]
    #[arg(long, value_name = "N", value_parser = number::<1, { usize::MAX }>)]
    batch: Option<usize>,
    /// The learning rate at the start [default: 0.001]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    learning_rate: Option<f64>,
    /// Train on the first N examples only
    #[arg(long, value_name = "N", value_parser = number::<1, { usize::MAX }>)]
    subset: Option<usize>,
    /// The CSV column to predict [default: the last]
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// classification or regression [default: guessed from the target]
    #[arg(long, value_parser = word::<TaskKind>)]
    task: Option<TaskKind>,
    /// Leave out rows with a missing value (an empty cell, NA, NaN, ?, …), which are refused otherwise
    #[arg(long)]
    drop_missing: bool,
    /// Decides everything random [default: 0]
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,
    /// Posterior samples for the test [default: 100]
    #[arg(long, value_name = "S", value_parser = samples)]
    samples: Option<usize>,
    /// A TOML file with any of the settings that a run folder's config.toml shows
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The run folder to make [default: runs/DATA-METHOD-SEED]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue a run that was interrupted, with its own settings
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "method", "flow", "couplings",
        "hidden", "epochs", "batch", "learning_rate", "subset", "target", "task", "drop_missing", "seed", "config", "out", "warm_start"])]
    resume: Option<PathBuf>,
    /// Print at the end where the time went, operation by operation
    #[arg(long)]
    profile: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed {
    #[serde(flatten)]
    summary: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<profile::Report>,
}

/// One of the words that `config.toml` uses for a `T`.
pub(super) fn word<T: DeserializeOwned>(text: &str) -> Result<T, value::Error> {
    T::deserialize(text.into_deserializer())
}

/// A learning rate.
fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.);
    rate.ok_or("expected a number above 0")
}

/// The same file whatever folder a later command is given in.
fn absolute(path: &str) -> Option<String> {
    std::path::absolute(path).ok()?.into_os_string().into_string().ok()
}

impl Args {
    /// Settings from the file and the flags, before the data are known.
    fn config(&self) -> Result<Config> {
        let mut config = self.config.as_deref().map_or(Ok(Config::default()), Config::read)?;
        fn set<T: Clone>(into: &mut T, flag: &Option<T>) {
            if let Some(value) = flag {
                *into = value.clone();
            }
        }
        set(&mut config.data, &self.data);
        set(&mut config.method, &self.method);
        set(&mut config.flow.kind, &self.flow);
        set(&mut config.flow.couplings, &self.couplings);
        set(&mut config.train.epochs, &self.epochs);
        set(&mut config.train.batch, &self.batch);
        set(&mut config.train.learning_rate, &self.learning_rate);
        set(&mut config.seed, &self.seed);
        config.warm_start = self.warm_start.clone().or(config.warm_start);
        config.subset = self.subset.or(config.subset);
        config.target = self.target.clone().or(config.target);
        config.task = self.task.or(config.task);
        config.drop_missing |= self.drop_missing;
        Ok(config)
    }

    fn start(&self, context: &Context) -> Result<Run> {
        let mut config = self.config()?;
        let data = load_data(&config, context.data_dir.as_deref())?;
        if let Some(hidden) = &self.hidden {
            config.primary.layers = Some(Layer::mlp(hidden, data.task.outputs()));
        }
        if !data::is_named(&config.data) {
            config.data = absolute(&config.data).unwrap_or(config.data);
        }
        config.warm_start = config.warm_start.map(|dir| std::path::absolute(&dir).unwrap_or(dir));
        let config = config.resolve(&data)?;
        let samples = config.samples(self.samples.unwrap_or(SAMPLES));
        check_samples(samples, config.entries(&data)?)?;
        idle::flow(context, self.flow.is_some(), self.couplings.is_some(), &config);
        let name = format!("{}-{}-{}", data.name, config.method, config.seed);
        let dir = self.out.clone().unwrap_or_else(|| Path::new("runs").join(name));
        Ok(Run::create(&dir, config, data)?)
    }
}

/// Train, test, report.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let mut run = match &args.resume {
        Some(dir) => Run::resume(dir, context.data_dir.as_deref())?,
        None => args.start(context)?,
    };
    let profiler = args.profile.then(Profiler::start);
    run.trainer.profile = profiler.as_ref().map(|p| p.profile.clone());
    let before = run.trainer.steps();
    let entries = run.trainer.model.primary.dim();
    let samples = posterior_samples(context, args.samples, &run.config, entries)?;
    let found = train(&mut run, samples, context);
    let profile = profiler.map(|p| p.finish("step", run.trainer.steps() - before));
    let text = profile.as_ref().map(profile::Report::text);
    match found {
        Ok((summary, table)) => {
            let text = text.map_or(table.clone(), |text| format!("{table}\n\n{text}"));
            show::print(context, &Printed { summary: Some(summary), profile }, &text)
        }
        Err(error) => {
            if let Some(text) = text {
                show::print(context, &Printed { summary: None, profile }, &text)?;
            }
            Err(error)
        }
    }
}

/// The run's summary, and the same as a table.
fn train(run: &mut Run, samples: usize, context: &Context) -> Result<(Summary, String)> {
    introduce(run, context);
    run.trainer.spent("estimate", Phase::Between, 0);
    let bar = bar(run, context);
    let total = run.config.train.epochs;
    let concrete = MethodKind::ConcreteDropout;
    let has_kl = Method::from(&run.config).has_density() || run.config.method == concrete;
    let trained = run.train(|progress| match progress {
        Progress::Step(step) => {
            bar.inc(1);
            if bar.position().is_multiple_of(16) {
                bar.set_message(format!("loss {:.3}", step.loss));
            }
        }
        Progress::Epoch(epoch, is_best) => {
            let accuracy = |a: f64| format!("{:.2} %", 100. * a);
            let train = epoch.train_accuracy.map(|a| format!(" train {}", accuracy(a)));
            let validation = epoch.validation.as_ref().map(|v| {
                let score = v
                    .accuracy
                    .map(accuracy)
                    .or(v.rmse.map(|r| format!("RMSE {}", report::number(r))));
                let best = if is_best { "  *" } else { "" };
                format!(" validation {} NLL {:.4}{best}", score.unwrap_or_default(), v.nll)
            });
            let kl = if has_kl { format!("  KL {:.0} nats", epoch.kl) } else { String::new() };
            bar.suspend(|| {
                show::say(
                    context,
                    format!(
                        "epoch {:>3}/{total}  loss {:.4}{kl} {}{}",
                        epoch.epoch,
                        epoch.loss,
                        train.unwrap_or_default(),
                        validation.unwrap_or_default(),
                    ),
                );
            });
        }
    })?;
    bar.finish_and_clear();
    let found = conclude(run, &trained, samples);
    run.trainer.spent("test and report", Phase::Between, 0);
    found
}

fn introduce(run: &Run, context: &Context) {
    let (data, config) = (&run.data, &run.config);
    let task = match &data.task {
        Task::Classification { classes } => format!("classification, {} classes", classes.len()),
        Task::Regression => "regression".into(),
    };
    let [train, validation, test] =
        [&data.train, &data.validation, &data.test].map(|split| split.len());
    show::say(
        context,
        format!(
            "{}: {task}; {train} training, {validation} validation and {test} test examples\n\
         {}, {} parameters; seed {}; {} threads",
            data.name,
            about(config),
            run.trainer.model.params.count(),
            config.seed,
            rayon::current_num_threads(),
        ),
    );
    data.notes.iter().for_each(|note| show::say(context, format!("note: {note}")));
    show::say(
        context,
        format!("run folder: {0} (interrupted? bhn train --resume {0})", run.dir.display()),
    );
    if run.unrecorded() > 0 {
        show::say(
            context,
            format!(
                "metrics.jsonl was damaged: of {} of {} epochs no record is left. They are missing \
                 in the curves; training goes on from the checkpoint, which is whole",
                run.unrecorded(),
                run.epoch()
            ),
        );
    }
    // An estimate that diverges says nothing: training will, with the right step.
    if !context.quiet
        && let Ok(seconds) = run.estimate()
    {
        let expected = show::duration(seconds);
        show::say(
            context,
            format!(
                "expected to take about {expected} for {} epochs",
                config.train.epochs - run.epoch()
            ),
        );
    }
}

/// What is trained, in a phrase.
fn about(config: &Config) -> String {
    let layers: Vec<_> = config.primary.layers.iter().flatten().map(Layer::to_string).collect();
    let network = layers.join(", ");
    let about = match Method::from(config) {
        Method::Point => "maximum likelihood of a network".into(),
        Method::Dropout { kind: DropoutKind::Plain, .. } => "network with dropout".into(),
        Method::Dropout { kind: DropoutKind::Mc, .. } => {
            "network averaged over dropout's masks".into()
        }
        Method::Dropout { kind: DropoutKind::Concrete, .. } => {
            "network with learned dropout rates".into()
        }
        Method::Ensemble { members } => format!("ensemble of {members} networks"),
        Method::MeanField { .. } => "Bayes by Backprop over all weights of a network".into(),
        Method::Hypernet { flow, theta } => {
            let flow = match (flow.kind, flow.couplings, theta) {
                (FlowKind::Linear, ..) => format!("{} linear layers", flow.layers),
                (_, 0, Theta::Scales) => {
                    return format!("Bayes by Backprop on the scales of a network ({network})");
                }
                (_, 0, Theta::Weights) => "an elementwise flow".into(),
                (FlowKind::Realnvp, t, _) => format!("RealNVP, {t} couplings"),
                (FlowKind::Iaf, t, _) => format!("IAF, {t} steps"),
                (FlowKind::Planar, t, _) => format!("{t} planar steps"),
            };
            let theta = match theta {
                Theta::Scales => "the scales",
                Theta::Weights => "all weights",
            };
            format!("Bayesian hypernetwork ({flow}) over {theta} of a network")
        }
    };
    format!("{about} ({network})")
}

fn bar(run: &Run, context: &Context) -> ProgressBar {
    let steps = run.config.train.epochs as u64 * run.trainer.steps_per_epoch();
    let target =
        if context.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(steps), target);
    let style = "{bar:30} {percent:>3} %  {msg}  {per_sec}  {eta} left";
    bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
    bar.set_position(run.trainer.steps());
    bar.reset_eta();
    bar
}

/// Test the best epoch's model, and write `summary.json` and `report.html`.
fn conclude(run: &Run, trained: &Trained, samples: usize) -> Result<(Summary, String)> {
    let found = evaluate(&trained.model, &run.data, samples, run.config.seed)?;
    let summary = Summary::new(run, found.test.clone(), found.elbo, show::command());
    let json = serde_json::to_string_pretty(&summary)? + "\n";
    atomic::write(&run.dir.join("summary.json"), json.as_bytes())?;
    let mut rows = show::results(&found.test, &found.elbo, &run.config);
    let best = format!("{} of {}", summary.best_epoch, summary.epochs);
    rows.push(("best epoch (by validation)".into(), best));
    rows.push(("training time".into(), show::duration(summary.seconds)));
    let report = run.dir.join("report.html");
    atomic::write(&report, page(&trained.model, run, &found, &rows, &summary)?.as_bytes())?;
    rows.push(("run folder".into(), run.dir.display().to_string()));
    rows.push(("report".into(), report.display().to_string()));
    Ok((summary, show::table(&rows)))
}

/// The filters of a network that begins with a convolution of grey or coloured images.
fn filters(model: &Model, run: &Run) -> Option<Sheet> {
    let (theta, _) = draw(model, 1, &mut stream(run.config.seed, Purpose::Evaluation, 0));
    let (weights, shape) = model.primary.filters(&model.params, theta.as_slice())?;
    let caption = "The weights of each channel of the first layer. Grey is zero; black and white are the largest of \
        them, below and above. With weight normalisation they are the same in all posterior samples but for a factor; \
        without, they are those of one.";
    [1, 3].contains(&shape[0]).then(|| Sheet {
        name: "filters".into(),
        caption: caption.into(),
        columns: 16,
        shape,
        images: contrast(weights.view()),
    })
}

fn page(
    model: &Model,
    run: &Run,
    found: &Evaluation,
    rows: &[(String, String)],
    summary: &Summary,
) -> Result<String> {
    let Dataset { test, task, image, .. } = &run.data;
    let targets: Vec<f64>;
    let pixels;
    let test = match (&found.predictive, &test.y, task) {
        (
            Predictive::Classes { p, entropy, bald, .. },
            Targets::Classes(labels),
            Task::Classification { classes },
        ) => {
            // Two colours, or four, are no picture.
            let images = image.filter(|shape| [1, 3].contains(&shape[0]));
            pixels = images.map(|_| run.data.preprocess.inverse_transform(test.x.view()));
            let images = pixels.as_ref().map(|x| x.view()).zip(images);
            report::Test::Classification(Classification {
                p: p.view(),
                labels,
                classes,
                entropy,
                bald,
                images,
            })
        }
        (Predictive::Values { mean, std, .. }, Targets::Values(y), _) => {
            let unit = |&y: &f32| run.data.preprocess.in_units(y.into());
            targets = y.iter().map(unit).collect();
            report::Test::Regression(Regression { mean, std, y: &targets })
        }
        _ => unreachable!("a model predicts the kind of target it was built for"),
    };
    let toml = run.config.to_toml();
    let mut section = String::new();
    let mut settings = vec![];
    for line in toml.lines() {
        if let Some((key, value)) = line.split_once(" = ") {
            settings.push((format!("{section}{key}"), value.to_string()));
        } else if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_string() + ".";
        }
    }
    let machine = [
        ("threads", summary.threads.to_string()),
        ("processor", summary.cpu.clone()),
        ("kernels and libm", summary.machine.to_string()),
        ("version", format!("{} ({})", summary.version, summary.commit)),
    ];
    settings.extend(machine.map(|(name, value)| (name.to_string(), value)));
    Ok(report::render(&report::Run {
        title: format!(
            "{} on {}",
            run.dir.file_name().unwrap_or_default().to_string_lossy(),
            run.data.name
        ),
        about: format!("A {}.", about(&run.config)),
        settings,
        results: rows.to_vec(),
        history: &run.history,
        epochs: summary.epochs,
        seconds: summary.seconds,
        test,
        filters: filters(model, run),
        command: summary.command.clone(),
    })?)
}
