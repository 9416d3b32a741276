//! The fast gradient sign method: how accuracy falls under attack, and whether uncertainty detects
//! the attack.
pub mod attack;
mod networks;
mod report;

use super::digits::{Net, digits, random_rows};
use super::{Cell, Experiment, Lab};
use crate::error::Result;
use crate::report::experiment::Report;
use crate::run::Trained;
use attack::measure;
use networks::{NETS, Network, epsilons};
use report::Results;

/// `bhn reproduce adversarial`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "adversarial",
    place: "the second version's section on adversarial examples",
    claim: "A Bayesian hypernet defends better than dropout against the fast gradient sign.",
    version: 4,
    readable: 4,
    seeds: [1, 3, 3],
    seconds: [2., 480., 8500.],
    run,
};

/// Added to the seed of the MLE network whose gradient is used in transferred attacks. With an
/// equal seed the MLE network would attack itself.
const SOURCE: u64 = 1000;

fn run(lab: &Lab<'_>) -> Result<Report> {
    // Test images.
    let images = lab.tier.pick([60, 1000, 10_000]);
    let epsilons = epsilons(lab.tier);
    let data = Network::ALL.map(|network| digits(lab, network.settings(lab.tier).subset));
    let [of_table_1, of_anomaly] = data;
    let (of_table_1, of_anomaly) = (of_table_1?, of_anomaly?);
    let data = |network| match network {
        Network::Table1 => &of_table_1,
        Network::Anomaly => &of_anomaly,
    };
    for network in Network::ALL {
        let key = network.key("source");
        lab.repeat(&key, lab.seeds, |seed| {
            let name = format!("{key}-{seed}");
            network.train(&Net::MLE, lab, (SOURCE + seed, &name), data(network)).map(drop)
        })?;
    }
    let rows = Network::ALL.into_iter().flat_map(|network| NETS.map(|net| (network, net)));
    let rows = rows.map(|(network, net)| {
        let cost = network.cost(&net, lab.tier, images * (2 * epsilons.len() + 10));
        Cell { key: network.key(net.key), cost, input: (network, net) }
    });
    let grid = lab.grid(rows, |(network, net), seed, name| {
        let (data, samples) = (data(*network), network.settings(lab.tier).samples);
        let source = format!("{}-{seed}", network.key("source"));
        let source = Trained::load(&lab.dir.join("runs").join(source))?;
        let (x, y) = data.test.batch(&random_rows(data.test.len(), images, 1));
        let networks = [&network.train(net, lab, (seed, name), data)?, &source];
        Ok(measure(net, samples, networks, &epsilons, x.view(), y.classes()))
    })?;
    Ok(Results { tier: lab.tier, grid, epsilons, images }.report())
}
