//! Posteriors whose evidence is known: by how many nats does the bound fall short of `ln p(D)`?
//!
//! `ln p(D) − ELBO = KL(q ‖ p(θ|D))` measures the quality of an approximate posterior in one
//! number, which is usually unknown. Here the evidence is known in closed form, by quadrature, or
//! by bridge sampling from draws of NUTS.
pub mod averaging;
pub mod bridge;
pub mod calibration;
mod gaps;
pub mod gaussian;
mod linear;
mod logistic;
mod methods;
mod problems;
mod ranks;
mod report;
mod scales;
mod tables;
mod verdicts;

pub use linear::Linear;
pub use logistic::Logistic;
pub use methods::{Fitted, Method};
pub use scales::Scales;

use super::{Experiment, Lab};
use crate::error::Result;
use crate::report::experiment::Report;

/// `bhn reproduce oracles`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "oracles",
    place: "not in the paper",
    claim: "Where the evidence is known, couplings close the gap of the bound to it.",
    version: 1,
    seeds: [1, 5, 10],
    seconds: [1., 125., 1300.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = problems::Settings::new(lab.tier);
    let problems = problems::problems(lab, &settings)?;
    let methods = Method::all();
    let fits = gaps::fit(lab, &settings, &problems, &methods)?;
    let ranks = ranks::calibrate(lab, &settings, &methods)?;
    Ok(report::report(&settings, lab.seeds, &problems, &fits, &ranks))
}
