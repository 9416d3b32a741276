//! What dependence between scales is worth when directions and biases are trained too.
mod crossing;
mod full;
mod report;

use super::source;
use crate::bayes::{Estimator, Place};
use crate::error::Result;
use crate::experiments::{Experiment, Lab};
use crate::report::experiment::Report;
use crate::run::config::{Config, MethodKind};

/// `bhn reproduce together`.
pub const TOGETHER: Experiment = Experiment {
    name: "together",
    place: "section 1",
    claim: "A hypernet that represents dependence predicts better than one of independent \
            Gaussians.",
    version: 1,
    readable: 1,
    seeds: [2, 3, 5],
    seconds: [10., 600., 20_000.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let crossed = &crossing::crossed(lab)?;
    let full = &full::grid(lab)?;
    Ok(report::report(lab, crossed, full))
}

/// A hypernet with `couplings` couplings by the best recipe for minibatches: the path gradient, the
/// elementwise layer last, and a learning rate of the posterior by which its widths converge.
fn hypernet(couplings: usize, seed: u64) -> Config {
    let mut config = Config { method: MethodKind::Bhn, seed, ..Config::default() };
    config.flow.couplings = couplings;
    config.flow.elementwise = Place::Last;
    config.train.gradient = Estimator::Path;
    config.train.posterior_rate = 10.;
    config
}
