//! Figure 2: are parameters dependent under `q(θ)`?
//!
//! Without couplings (`T = 0`) they are independent by construction, so the p-values of a test for
//! correlation are uniform. With couplings they need not be.
mod pairs;
mod protocol;
mod report;

use super::{Cell, Experiment, Lab};
use crate::error::Result;
use crate::report::experiment::Report;
use crate::run::load_data;
use protocol::{Settings, Variant, measure};

/// `bhn reproduce dependence`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "dependence",
    place: "Figure 2",
    claim: "Parameters are dependent under a hypernet's posterior, and independent for T = 0.",
    version: 1,
    seeds: [1, 3, 5],
    seconds: [2., 420., 2500.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = Settings::new(lab.tier);
    let t = settings.couplings;
    let variant = |key: &str, name: String, couplings, weight_norm| {
        let config = settings.config(couplings, weight_norm);
        Cell { key: key.into(), cost: 3. + couplings as f64, input: Variant { name, config } }
    };
    let variants = [
        variant("none", "T = 0".into(), 0, true),
        variant("normed", format!("T = {t}, weight-normalised"), t, true),
        variant("plain", format!("T = {t}, authors' code"), t, false),
    ];
    let data = load_data(&variants[0].input.config, lab.data_dir.as_deref())?;
    let grid =
        lab.grid(variants, |variant, seed, _| measure(&settings, &variant.config, seed, &data))?;
    Ok(report::report(&settings, &grid))
}
