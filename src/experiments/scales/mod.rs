//! Is a flow over the scales better than independent Gaussians? With directions and biases held
//! fixed, the posterior over the scales is a density whose evidence can be computed, and
//! differences of bounds are differences of `KL(q ‖ p)`.
mod at;
mod family;
mod figures;
mod fits;
mod report;
mod source;
mod tables;
mod target;
mod together;
mod truth;
mod wide;

pub use target::FixedDirections;
pub use together::TOGETHER;

use super::{Experiment, Lab, Tier};
use crate::error::Result;
use crate::report::experiment::Report;
use at::At;
use family::{FAMILIES, RECIPES};
use source::Settings;

/// `bhn reproduce scales`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "scales",
    place: "section 1",
    claim: "A flow over the scales, which represents dependence, is a better posterior than \
            independent Gaussians.",
    version: 2,
    seeds: [1, 1, 1],
    seconds: [5., 800., 60_000.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = &Settings::new(lab.tier);
    let mut all = vec![];
    for (i, source) in source::sources(lab.tier).iter().enumerate() {
        all.push(At::new(lab, settings, source, i == 0, FAMILIES)?);
    }
    let sized = &Settings::of_recipes(lab.tier);
    let small = match lab.tier {
        Tier::Paper => Some(At::new(lab, sized, &source::SMALL, true, &[])?),
        _ => None,
    };
    let recipes = small.as_ref().unwrap_or(&all[0]);
    let recipes = (recipes, fits::studies(lab, sized, &recipes.net, &recipes.truth, RECIPES)?);
    let wide = if lab.tier == Tier::Quick { vec![] } else { wide::wide(lab)? };
    Ok(report::report(settings, &all, recipes, &wide))
}
