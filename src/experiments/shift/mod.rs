//! Accuracy, NLL and calibration on test digits that are rotated, translated, blurred, noisy or
//! faint (Ovadia et al. 2019).
mod measure;
mod report;

use super::digits::{Net, Settings, digits};
use super::trials::{self, choose, on_digits};
use super::{Cell, Experiment, Lab, source, table_1};
use crate::error::Result;
use crate::report::experiment::Report;
use crate::run::config::Config;
use measure::{KINDS, LEVELS, NETS, measure};
use std::collections::BTreeMap;

/// `bhn reproduce shift`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "shift",
    place: "not in the paper",
    claim: "On shifted images a Bayesian hypernet predicts better with couplings than without, and \
            is better calibrated than maximum likelihood.",
    version: 2,
    readable: 2,
    seeds: [1, 3, 3],
    seconds: [2., 600., 10_000.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    // Settings, and the number of test images, which all networks share.
    let (settings, images) = lab.tier.pick([
        (Settings { subset: Some(300), epochs: 1, samples: 5 }, 100),
        (Settings { subset: Some(10_000), epochs: 8, samples: 20 }, 2000),
        (Settings { subset: None, epochs: 100, samples: 100 }, 10_000),
    ]);
    let mut data = digits(lab, settings.subset)?;
    data.test = data.test.subset(images);
    // Share of the epochs of the trials that choose a setting of each net; `None` for no trials.
    let (chosen, trials) = match lab.tier.pick([Some(1.), None, Some(0.2)]) {
        Some(share) => {
            let tried = NETS.iter().filter(|net| source(net.key) == net.key);
            let row = |net: &Net| trials::Row {
                key: net.key.into(),
                name: net.name,
                cost: table_1::cost(net, &settings, 0),
                config: table_1::config(net, lab.tier, &settings, 0),
            };
            let rows: Vec<_> = tried.map(row).collect();
            let (chosen, table) = choose(lab, &data, &rows, on_digits, share)?;
            (chosen, Some(table))
        }
        None => (BTreeMap::new(), None),
    };
    let sets = 1 + KINDS.len() * LEVELS;
    let row = |net: Net| {
        let cost = table_1::cost(&net, &settings, sets * images);
        Cell { key: net.key.into(), cost, input: net }
    };
    let grid = lab.grid(NETS.map(row), |net, seed, name| {
        let default = || table_1::config(net, lab.tier, &settings, seed);
        let config = chosen.get(source(net.key)).cloned().unwrap_or_else(default);
        let (_, trained) = net.run(lab, name, Config { seed, ..config }, data.clone())?;
        Ok(measure(&trained, settings.samples, &data))
    })?;
    let sheet = report::sheet(&data);
    let mut report = report::report(lab.tier, (&settings, images), &grid, sheet);
    if let Some(table) = trials {
        report.ours += " One setting of each network is chosen by three trials on validation, with \
            another seed and at the paper tier a fifth of the epochs.";
        report.tables.push(table);
    }
    Ok(report)
}
