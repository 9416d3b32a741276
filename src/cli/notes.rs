//! Flags whose effect depends on the method of a run, and notes where they have none.
use super::context::Context;
use crate::bayes::{FlowKind, Model};
use crate::run::config::{Config, Method, check_samples};
use anyhow::Result;

/// The default number of posterior samples that predictions average over.
pub const SAMPLES: usize = 100;

fn note(context: &Context, flag: &str, why: &str) {
    context.say(format!("note: {flag} has no effect: {why}"));
}

/// Notes about `--flow` and `--couplings`, if they were given.
pub fn flow(context: &Context, kind: bool, couplings: bool, config: &Config) {
    match Method::from(config) {
        Method::Hypernet(_, flow) if couplings && flow.kind == FlowKind::Linear => {
            let why = "a linear flow has no couplings; flow.layers is its depth";
            note(context, "--couplings", why);
        }
        Method::Hypernet(..) => {}
        _ => {
            let given = [("--flow", kind), ("--couplings", couplings)];
            for (flag, _) in given.iter().filter(|(_, given)| *given) {
                note(context, flag, &format!("{} has no flow", config.method));
            }
        }
    }
}

/// The number of posterior samples of `model` to predict with, if `requested` are asked for, and a
/// note if there are fewer networks.
///
/// # Errors
/// If they do not fit in memory.
pub fn samples(
    context: &Context,
    requested: Option<usize>,
    config: &Config,
    model: &Model,
) -> Result<usize> {
    let samples = config.samples(requested.unwrap_or(SAMPLES));
    if requested.is_some_and(|requested| requested > samples) {
        let method = config.method;
        let why = match samples {
            1 => format!("{method} predicts with one network"),
            _ => format!("{method} has {samples} networks, and each is used once"),
        };
        note(context, "--samples", &why);
    }
    Ok(check_samples(samples, model.primary.dim())?)
}

/// A note about `--samples` of `bhn verify RUN`, if it was given; `only` says whether `--only` was.
pub fn draws(context: &Context, given: bool, only: bool, config: &Config) {
    if given && !Method::from(config).has_density() {
        note(context, "--samples", &format!("{} has no density, so no diagnostics", config.method));
    } else if given && only {
        note(context, "--samples", "with --only there are no diagnostics");
    }
}

/// A note about `--seed` of `bhn sample`, if it was given.
pub fn seed(context: &Context, given: bool, config: &Config) {
    if given && Method::from(config).networks().is_some() {
        let why = format!("samples of {} are its trained networks", config.method);
        note(context, "--seed", &why);
    }
}
