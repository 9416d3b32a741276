//! Messages about a run in training.
use crate::bayes::FlowKind;
use crate::cli::{Context, show, signals};
use crate::data::Task;
use crate::error::{Result, quoted};
use crate::predict::evaluate::validate;
use crate::primary::Layer;
use crate::report;
use crate::run::config::{DropoutKind, Theta};
use crate::run::{Config, Epoch, Method, Progress, Run, Trained, Trainer};
use std::time::Instant;

/// Print what is trained, on which data, in which folder, and how long it is expected to take.
pub fn introduce(run: &Run, context: &Context) {
    let (data, config) = (&run.data, &run.config);
    let task = match &data.task {
        Task::Classification { classes } => format!("classification, {} classes", classes.len()),
        Task::Regression => "regression".into(),
    };
    let [train, validation, test] =
        [&data.train, &data.validation, &data.test].map(|split| split.len());
    context.say(format!(
        "{}: {task}; {train} training, {validation} validation and {test} test examples\n\
         {}, {} parameters; seed {}; {} threads",
        data.name,
        about(config),
        run.trainer.model.params.count(),
        config.seed,
        rayon::current_num_threads(),
    ));
    data.notes.iter().for_each(|note| context.say(format!("note: {note}")));
    let dir = run.dir.display();
    let word = quoted(&dir);
    context.say(format!("run folder: {dir} (interrupted? bhn train --resume {word})"));
    if run.unrecorded() > 0 {
        context.say(format!(
            "metrics.jsonl was damaged: of {} of {} epochs no record is left. They are missing \
             from the curves; training continues from the checkpoint, which is intact",
            run.unrecorded(),
            run.epoch()
        ));
    }
    // If the steps of the estimate diverge, training will report the divergence with the right
    // step.
    if !context.quiet
        && let Ok(seconds) = expected_seconds(run)
    {
        let epochs = config.train.epochs - run.epoch();
        let expected = show::duration(seconds);
        let (batch, steps) = (config.train.batch, epochs as u64 * run.trainer.steps_per_epoch());
        let early = match config.train.patience {
            0 => String::new(),
            patience => format!(", fewer if {patience} pass without a better one"),
        };
        context.say(format!(
            "expected to take about {expected} for {epochs} epochs, {steps} steps of {batch} \
             examples{early}"
        ));
    }
}

/// The expected duration of the remaining epochs in seconds. It is measured on a newly initialised
/// model, by a few steps and a validation on at most 500 examples.
fn expected_seconds(run: &Run) -> Result<f64> {
    let (data, settings) = (&run.data, &run.config.train);
    let mut copy = Trainer::new(&run.config, data.shape(), &data.task, data.train.len());
    let rows: Vec<_> = (0..data.train.len().min(settings.batch)).collect();
    let mut step = || {
        let (x, y) = data.train.batch(&rows);
        copy.step(x, &y).map(drop)
    };
    (0..3).try_for_each(|_| step())?;
    let start = Instant::now();
    (0..5).try_for_each(|_| step())?;
    let step = start.elapsed().as_secs_f64() / 5.;
    let n = data.validation.len().min(500);
    let part = data.validation.subset(n);
    let samples = run.config.samples(settings.validation_samples);
    let start = Instant::now();
    validate(&copy.model, &part, &data.preprocess, samples, (0, 0));
    let validation = start.elapsed().as_secs_f64() * data.validation.len() as f64 / n as f64;
    let training = run.trainer.steps_per_epoch() as f64 * step;
    let epochs = (settings.epochs - run.epoch()) as f64;
    Ok(epochs * (training + validation / settings.validate_every as f64))
}

/// A description of the method, its flow and the layers of the network.
pub fn about(config: &Config) -> String {
    let layers: Vec<_> = config.primary.layers.iter().flatten().map(Layer::to_string).collect();
    let network = layers.join(", ");
    let about = match Method::from(config) {
        Method::Point => "maximum likelihood of a network".into(),
        Method::Dropout(DropoutKind::Plain, _) => "network with dropout".into(),
        Method::Dropout(DropoutKind::Mc, _) => "network averaged over dropout's masks".into(),
        Method::Dropout(DropoutKind::Concrete, _) => "network with learned dropout rates".into(),
        Method::Ensemble(ensemble) => format!("ensemble of {} networks", ensemble.members),
        Method::Laplace(_) => "Laplace approximation over the scales of a network".into(),
        Method::Swag(swag) => {
            let snapshots = swag.snapshots(config.train.epochs);
            format!("SWAG of {snapshots} snapshots over the scales of a network")
        }
        Method::MeanField(_) => "Bayes by Backprop over all weights of a network".into(),
        Method::Mnf(_) => "multiplicative normalizing flows over all weights of a network".into(),
        Method::Hypernet(theta, flow) => {
            let flow = match (flow.kind, flow.couplings, theta) {
                (FlowKind::Linear, ..) => format!("{} linear layers", flow.layers),
                (FlowKind::Cholesky, ..) => "a full Gaussian".into(),
                (FlowKind::LowRank, ..) => format!("a Gaussian of rank {}", flow.rank),
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

/// Train to the end with a progress bar and a message per epoch.
pub fn train(run: &mut Run, context: &Context) -> Result<Trained> {
    let epochs = run.config.train.epochs;
    let steps = epochs as u64 * run.trainer.steps_per_epoch();
    let bar = context.bar(steps, "{bar:30} {percent:>3} %  {msg}  {per_sec}  {eta} left");
    bar.set_position(run.trainer.steps());
    bar.reset_eta();
    let has_kl = matches!(
        Method::from(&run.config),
        Method::MeanField(_)
            | Method::Mnf(_)
            | Method::Hypernet(..)
            | Method::Dropout(DropoutKind::Concrete, _)
    );
    let mut report = |progress: Progress<'_>| match progress {
        Progress::Step(step) => {
            bar.inc(1);
            if bar.position().is_multiple_of(16) {
                bar.set_message(format!("loss {:.3}", step.loss));
            }
        }
        Progress::Epoch(epoch, _) if epoch.validation.is_none() && epochs > MOST_LINES => {}
        Progress::Epoch(epoch, is_best) => {
            let best = if is_best { "  *" } else { "" };
            bar.suspend(|| context.say(line(epoch, epochs, has_kl) + best));
        }
    };
    let trained = signals::polled(|| run.train(&mut report));
    bar.finish_and_clear();
    trained
}

/// The number of epochs up to which each has a line; of more, only those with a validation.
const MOST_LINES: usize = 100;

/// The message after an epoch: its number, its loss and its scores.
fn line(epoch: &Epoch, epochs: usize, has_kl: bool) -> String {
    let accuracy = |a: f64| format!("{:.2} %", 100. * a);
    let mut line = format!("epoch {:>3}/{epochs}  loss {:.4}", epoch.epoch, epoch.loss);
    if has_kl {
        line += &format!("  KL {:.0} nats", epoch.kl);
    }
    line += " ";
    if let Some(train) = epoch.train_accuracy {
        line += &format!(" train {}", accuracy(train));
    }
    if let Some(v) = &epoch.validation {
        let rmse = || v.rmse.map(|rmse| format!("RMSE {}", report::number(rmse)));
        let score = v.accuracy.map(accuracy).or_else(rmse).unwrap_or_default();
        line += &format!(" validation {score} NLL {:.4}", v.nll);
    }
    line
}
