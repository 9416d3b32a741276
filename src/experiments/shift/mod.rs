//! Accuracy, NLL and calibration on test digits that are rotated, translated, blurred, noisy or
//! faint (Ovadia et al. 2019).
mod measure;
mod report;

use super::digits::{Net, Settings, digits};
use super::trials::{SHARE, choose, on_digits};
use super::{Cell, Experiment, Lab, table_1};
use crate::error::Result;
use crate::report::experiment::Report;
use measure::{KINDS, LEVELS, NETS, measure};

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
    let rows = NETS.map(|net| table_1::row(&net, lab.tier, &settings));
    let (chosen, trials) = choose(lab, &data, rows, on_digits, lab.tier.pick(SHARE))?;
    let sets = 1 + KINDS.len() * LEVELS;
    let row = |net: Net| {
        let cost = table_1::cost(&net, &settings, sets * images);
        Cell { key: net.key.into(), cost, input: net }
    };
    let grid = lab.grid(NETS.map(row), |net, seed, name| {
        let mut config = table_1::config(net, lab.tier, &settings, seed);
        chosen.set(net.key, &mut config);
        let (_, trained) = net.run(lab, name, config, data.clone())?;
        Ok(measure(&trained, settings.samples, &data))
    })?;
    let sheet = report::sheet(&data);
    let mut report = report::report(lab.tier, (&settings, images), &grid, sheet);
    report.tables.extend(trials);
    Ok(report)
}
