//! Is a flow over the scales better than independent Gaussians? With directions and biases held
//! fixed, the posterior over the scales is a density whose evidence can be computed, and
//! differences of bounds are differences of `KL(q ‖ p)`.
mod fits;
mod report;
mod source;
mod target;
mod truth;

pub use target::FixedDirections;

use super::{Experiment, Lab};
use crate::error::Result;
use crate::report::experiment::Report;
use source::Settings;

/// `bhn reproduce scales`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "scales",
    place: "section 1",
    claim: "A flow over the scales, which represents dependence, is a better posterior than \
            independent Gaussians.",
    version: 1,
    seeds: [1, 1, 1],
    seconds: [3., 800., 60_000.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = &Settings::new(lab.tier);
    let nets = &source::nets(lab, settings)?;
    let truths = &truth::truths(lab, settings, nets)?;
    let found = fits::fits(lab, settings, nets, truths)?;
    Ok(report::report(settings, nets, truths, &found))
}
