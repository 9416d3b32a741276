//! Figure 1: regression on one input, and uncertainty away from the data.
//!
//! Every approximate posterior is compared with the exact one, from which NUTS draws.
mod curves;
mod protocol;
mod report;
mod truth;

pub use curves::{Found, Functions, Places, Scores, data, functions, kl};

use super::{Experiment, Lab};
use crate::autodiff::Tape;
use crate::error::Result;
use crate::predict::draw;
use crate::random::{Purpose, stream};
use crate::report::experiment::Report;
use crate::run::config::Config;
use crate::run::train::fit;
use protocol::{Settings, Variant, dataset, places, variants};
use truth::Truth;

/// `bhn reproduce regression`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "regression",
    place: "Figure 1",
    claim: "Uncertainty grows away from the data; a hypernet over the scales resembles one over \
            all weights.",
    version: 3,
    seeds: [1, 3, 5],
    seconds: [1., 540., 3500.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = Settings::new(lab.tier);
    let places = places();
    let data = dataset(settings.examples, &places);
    // Learned once by maximum likelihood, then the same for all methods.
    let precision = lab.cell("precision", || {
        let [mle, ..] = variants(&settings, None);
        let model = fit(mle.input.config, &data)?;
        let tape = Tape::default();
        Ok(model.likelihood.precision(&model.params.freeze(&tape)).expect("a regression"))
    })?;
    let variants = variants(&settings, Some(precision));
    let mle = variants[0].input.config.clone();
    let truth = Truth::new(lab, &settings, &mle, &data, &places)?;
    let exact = truth.grid(None);
    let mut grid = lab.grid(variants, |Variant { config, .. }, seed, _| {
        let model = fit(Config { seed, ..config.clone() }, &data)?;
        let samples = config.samples(settings.samples);
        let (theta, _) = draw(&model, samples, &mut stream(seed, Purpose::Evaluation, 0));
        Ok(Found::new(&Functions::new(&model, &theta, &places), exact.view(), precision, &places))
    })?;
    let nuts = Variant { name: "NUTS", config: mle };
    grid.push("nuts", nuts, truth.found(precision, &places));
    Ok(report::report(&settings, &data.train, precision, &truth, &grid))
}
