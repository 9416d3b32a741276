//! Figure 4: pool-based active learning by method, acquisition function and start.
mod report;
mod rounds;
mod variants;

pub use report::{area, labels_to};
pub use rounds::{Learner, Protocol, Round, learn};

use super::digits::digits;
use super::{Experiment, Lab, Tier};
use crate::error::Result;
use crate::report::experiment::Report;

/// `bhn reproduce active`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "active",
    place: "Figure 4",
    claim: "A warm-started Bayesian hypernet starts behind MC dropout and ends ahead of it.",
    version: 4,
    seeds: [1, 3, 3],
    seconds: [2., 3000., 60_000.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let protocol = Protocol {
        per_class: 2,
        set_aside: 10_000,
        candidates: lab.tier.pick([100, 2000, 2000]),
        bought: 10,
        rounds: lab.tier.pick([3, 28, 98]),
        samples: lab.tier.pick([3, 20, 100]),
        test_every: lab.tier.pick([1, 1, 10]),
    };
    let mut data = digits(lab, None)?;
    if lab.tier != Tier::Paper {
        data.test = data.test.subset(lab.tier.pick([200, 2000, 10_000]));
    }
    let rows = variants::variants(lab.tier, &protocol);
    let grid = lab.grid(rows, |variant, seed, name| {
        let learner = variant.learner(lab.tier, seed)?;
        let done = |round| lab.round(name, round + 1, protocol.rounds + 1);
        learn(&lab.dir.join("runs").join(name), &learner, &protocol, &data, done)
    })?;
    Ok(report::report(lab.tier, &protocol, &data, &grid))
}
