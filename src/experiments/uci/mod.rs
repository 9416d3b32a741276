//! UCI regression, from the authors' code: nine sets with their standard splits.
mod protocol;
mod report;

use super::{Cell, Experiment, Lab};
use crate::data::{uci, uci_splits};
use crate::error::{Error, Result};
use crate::report::experiment::Report;
use protocol::{SETS, Way, epochs, one, search};

/// `bhn reproduce uci`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "uci",
    place: "the authors' code",
    claim: "A Bayesian hypernet predicts nine UCI regression sets no worse than MC dropout.",
    version: 6,
    readable: 6,
    seeds: [1, 5, 20],
    seconds: [4., 720., 12_200.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let search = search(lab.tier);
    let sets = &SETS[lab.tier.pick([8..9, 0..9, 0..9])];
    let mut rows = vec![];
    for set in sets {
        let first = match uci(set.name, 0, lab.data_dir.as_deref()) {
            Err(Error::Missing { .. }) => continue,
            first => first?,
        };
        let n = first.train.len() + first.validation.len();
        let splits = uci_splits(set.name)?.min(set.splits).min(lab.seeds as usize);
        let most = epochs(&search, set, n);
        let tries = (search.rates.len() * search.precisions.len()) as f64;
        let tries = tries * search.shares_for(n, most).iter().sum::<f64>() + 1.;
        for way in Way::ALL {
            let cost = way.cost() * tries * (n * most) as f64;
            let key = report::key(set, way);
            rows.push((Cell { key, cost, input: (set, way) }, splits as u64));
        }
    }
    let grid = lab.ragged_grid(rows, "", |of, split, _| one(lab, &search, *of, split as usize))?;
    Ok(report::report(&search, sets, &grid))
}
