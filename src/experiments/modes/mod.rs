//! Figure 3: does a hypernet find both branches of a posterior that has two?
//!
//! The authors' setting comes first, then the question behind it: when does a flow find both
//! branches, and how does the bound show that it missed one?
mod fit;
mod protocol;
mod report;
mod target;

pub use fit::{Fit, Measured, Settings, fit};
pub use target::Target;

use super::{Experiment, Lab};
use crate::error::Result;
use crate::report::experiment::Report;

/// `bhn reproduce modes`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "modes",
    place: "Figure 3",
    claim: "A Bayesian hypernet finds both branches of a two-branched posterior; T = 0 finds one.",
    version: 2,
    readable: 2,
    seeds: [2, 4, 10],
    seconds: [7., 330., 830.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let problems = protocol::problems(lab.tier);
    let variants = problems.iter().flat_map(|problem| protocol::variants(lab.tier, problem));
    let grid = lab.grid(variants, |variant, seed, _| {
        Ok(fit(&variant.problem.target, &variant.settings, seed))
    })?;
    Ok(report::report(lab.tier, &problems, &grid))
}
