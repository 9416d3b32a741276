//! Values of flags: their parsers, and the number of posterior samples.
use super::context::Context;
use crate::autodiff::Precision;
use crate::bayes::Model;
use crate::error::Error;
use crate::kernels::multiplies_bf16;
use crate::run::config::{Config, check_samples};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::{DeserializeOwned, IntoDeserializer, value};
use std::path::Path;

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

/// A number of posterior samples: at most 10 000, since all are in memory at the same time.
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

/// A height and a width in pixels, or one number for both.
pub fn size(text: &str) -> Result<[usize; 2], &'static str> {
    let (height, width) = text.split_once(['x', '×']).unwrap_or((text, text));
    let side = |text: &str| text.trim().parse().ok().filter(|n| (1..=8192).contains(n));
    match (side(height), side(width)) {
        (Some(height), Some(width)) => Ok([height, width]),
        _ => Err("expected a height and a width in pixels, such as 28x28"),
    }
}

/// A probability, above ½ and below 1.
pub fn level(text: &str) -> Result<f64, &'static str> {
    let level = text.parse().ok().filter(|level| (0.5..1.).contains(level));
    level.ok_or("expected a probability from 0.5 to below 1, such as 0.9")
}

/// Parses a `T` that is spelled as in `config.toml`.
pub fn word<T: DeserializeOwned>(text: &str) -> Result<T, value::Error> {
    T::deserialize(text.into_deserializer())
}

/// Parses one of `names`, each a `T` as it is spelled in `config.toml`. Shells complete them.
pub fn one_of<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| word::<T>(&name))
}

/// The values of `--method`.
pub const METHODS: &[&str] = &[
    "bhn",
    "full-bhn",
    "mle",
    "dropout",
    "mc-dropout",
    "concrete-dropout",
    "bbb",
    "mnf",
    "ensemble",
    "laplace",
    "swag",
];
/// The values of `--flow`.
pub const FLOWS: &[&str] = &["realnvp", "iaf", "planar", "cholesky", "low-rank", "linear"];
/// The values of `bhn predict --format`.
pub const FORMATS: &[&str] = &["csv", "json", "npz", "parquet"];
/// The values of `--precision`.
pub const PRECISIONS: &[&str] = &["f32", "bf16"];
/// The values of `--missing`.
pub const MISSING: &[&str] = &["impute", "drop", "refuse"];
/// The values of `--task`.
pub const TASKS: &[&str] = &["classification", "regression"];
/// The values of `bhn acquire --score`.
pub const SCORES: &[&str] = &[
    "bald",
    "batch-bald",
    "max-entropy",
    "variation-ratio",
    "least-confidence",
    "mean-std",
    "random",
];

/// Check that `--out` names a folder.
pub fn check_folder(out: Option<&Path>) -> anyhow::Result<()> {
    if out.is_some_and(|out| out == "-") {
        let (found, expected) = ("-, standard output", "a folder, for several files");
        let advice = "Name a folder; ./- is one called -.";
        return Err(Error::invalid("--out", found, expected, advice).into());
    }
    Ok(())
}

/// The default number of posterior samples that predictions average over.
pub const SAMPLES: usize = 100;

/// The number of posterior samples of `model` to predict with. It is `requested`, or `SAMPLES` if
/// that is `None`, but at most the number of networks if the method has a fixed number, as an
/// ensemble has. A note is printed if fewer than `requested` are used.
///
/// # Errors
/// If the samples exceed the size limit of an array.
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
        context.note_no_effect("--samples", why);
    }
    Ok(check_samples(samples, model.primary.dim())?)
}

/// `--precision` of the commands that predict.
#[derive(clap::Args)]
pub struct PrecisionFlag {
    /// Precision of matrix products: f32; bf16, bfloat16 with sums in f32, is faster on processors
    /// that multiply it [default: that of the training]
    #[arg(long, value_name = "PRECISION", hide_possible_values = true,
        value_parser = one_of::<Precision>(PRECISIONS))]
    precision: Option<Precision>,
}

impl PrecisionFlag {
    /// Set the precision of `model`, if one is given.
    pub fn apply(&self, context: &Context, model: &mut Model) {
        model.precision = self.precision.unwrap_or(model.precision);
        say_if_slow(context, model.precision);
    }
}

/// Say that products in bfloat16 are slow here, if they are.
pub fn say_if_slow(context: &Context, precision: Precision) {
    if precision == Precision::Bf16 && !multiplies_bf16() {
        context.say(
            "note: this processor does not multiply bfloat16 (AVX512-BF16), so --precision bf16 \
             is slower than f32 here",
        );
    }
}
