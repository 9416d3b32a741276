//! Values of flags: their parsers, and notes where a flag has no effect.
use super::context::Context;
use crate::bayes::{FlowKind, Model};
use crate::run::config::{Config, Method, check_samples};
use serde::de::{DeserializeOwned, IntoDeserializer, value};

/// A whole number from `LEAST` to `MOST`.
pub fn number<const LEAST: usize, const MOST: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (LEAST..=MOST).contains(n));
    number.ok_or_else(|| match MOST {
        usize::MAX => format!("expected a whole number, {LEAST} or more"),
        _ => format!("expected a whole number from {LEAST} to {MOST}"),
    })
}

/// A whole number above 0.
pub fn count(text: &str) -> Result<usize, String> {
    number::<1, { usize::MAX }>(text)
}

/// A number of posterior samples, which are all in memory at the same time.
pub fn samples(text: &str) -> Result<usize, String> {
    number::<1, 10_000>(text)
}

/// A seed.
pub fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

/// A learning rate.
pub fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.);
    rate.ok_or("expected a number above 0")
}

/// A `T` as it is written in `config.toml`.
pub fn word<T: DeserializeOwned>(text: &str) -> Result<T, value::Error> {
    T::deserialize(text.into_deserializer())
}

/// The default number of posterior samples that predictions average over.
pub const SAMPLES: usize = 100;

fn note(context: &Context, flag: &str, why: &str) {
    context.say(format!("note: {flag} has no effect: {why}"));
}

/// Notes about `--flow` and `--couplings`, if they were given.
pub fn note_flow(context: &Context, kind: bool, couplings: bool, config: &Config) {
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
pub fn choose_samples(
    context: &Context,
    requested: Option<usize>,
    config: &Config,
    model: &Model,
) -> anyhow::Result<usize> {
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
pub fn note_draws(context: &Context, given: bool, only: bool, config: &Config) {
    if given && !Method::from(config).has_density() {
        note(context, "--samples", &format!("{} has no density, so no diagnostics", config.method));
    } else if given && only {
        note(context, "--samples", "with --only there are no diagnostics");
    }
}

/// A note about `--seed` of `bhn sample`, if it was given.
pub fn note_seed(context: &Context, given: bool, config: &Config) {
    if given && Method::from(config).networks().is_some() {
        let why = format!("samples of {} are its trained networks", config.method);
        note(context, "--seed", &why);
    }
}
