//! Is a flow over the scales better than independent Gaussians? With directions and biases held
//! fixed, the posterior over the scales is a density whose evidence can be computed, and
//! differences of bounds are differences of `KL(q ‖ p)`.
mod at;
mod exact;
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
use exact::Lazy;
use family::{FAMILIES, Family, RECIPES};
use source::{SMALL, Settings};

/// `bhn reproduce scales`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "scales",
    place: "section 1",
    claim: "A flow over the scales, which represents dependence, is a better posterior than \
            independent Gaussians.",
    version: 2,
    readable: 2,
    seeds: [1, 1, 1],
    seconds: [5., 800., 60_000.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = &Settings::new(lab.tier);
    let (mut all, mut lacking) = (vec![], vec![]);
    for (i, source) in source::sources(lab.tier).iter().enumerate() {
        if i == 0 || lab.computes || lab.has(&source.cell()) {
            let net = Lazy::new(lab, settings, source, i == 0);
            let at = At::new(lab, &net, FAMILIES)?;
            let has = |family: &&Family| at.study(family.key).is_some();
            let here = FAMILIES.iter().filter(|family| family.is_at(settings, i == 0));
            let without = here.filter(|family| !has(family));
            lacking.extend(without.map(|family| format!("{} at {}", family.name, source.name)));
            all.push(at);
        } else {
            lacking.push(format!("V and b from {}", source.name));
        }
    }
    let sized = &Settings::of_recipes(lab.tier);
    let source = if lab.tier == Tier::Paper { &SMALL } else { &source::sources(lab.tier)[0] };
    let recipes = if lab.computes || lab.has(&source.cell()) {
        Some(At::new(lab, &Lazy::new(lab, sized, source, true), RECIPES)?)
    } else {
        lacking.push("the recipes".into());
        None
    };
    let wide = if lab.tier == Tier::Quick { vec![] } else { wide::wide(lab)? };
    if wide.is_empty() && lab.tier != Tier::Quick {
        lacking.push("D = 1610".into());
    }
    Ok(report::report((settings, sized), &all, recipes.as_ref(), &wide, &lacking))
}
