//! The fast gradient sign method: how accuracy falls under attack, and whether uncertainty detects
//! the attack.
pub mod attack;
mod networks;
mod report;

use super::digits::{Net, digits, random_rows};
use super::trials::{SHARE, choose, on_digits};
use super::{Cell, Experiment, Lab};
use crate::error::Result;
use crate::report::experiment::Report;
use crate::run::Trained;
use crate::run::config::Config;
use attack::measure;
use networks::{NETS, Network, epsilons};
use report::Results;

/// `bhn reproduce adversarial`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "adversarial",
    place: "the second version's section on adversarial examples",
    claim: "A Bayesian hypernet defends better than dropout against the fast gradient sign.",
    version: 5,
    readable: 5,
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
    let pairs = || Network::ALL.into_iter().flat_map(|network| NETS.map(|net| (network, net)));
    let rows = pairs().map(|(network, net)| network.row(&net, lab.tier));
    let (chosen, trials) = choose(lab, &of_table_1, rows, on_digits, lab.tier.pick(SHARE))?;
    let train = |network: Network, net: &Net, seed, name: &str| {
        let mut config = network.row(net, lab.tier).config;
        chosen.set(&network.key(net.key), &mut config);
        let config = Config { seed, ..config };
        net.run(lab, name, config, data(network).clone()).map(|(_, trained)| trained)
    };
    for network in Network::ALL {
        let key = network.key("source");
        lab.repeat(&key, lab.seeds, |seed| {
            train(network, &Net::MLE, SOURCE + seed, &format!("{key}-{seed}")).map(drop)
        })?;
    }
    let rows = pairs().map(|(network, net)| {
        let cost = network.cost(&net, lab.tier, images * (2 * epsilons.len() + 10));
        Cell { key: network.key(net.key), cost, input: (network, net) }
    });
    let grid = lab.grid(rows, |(network, net), seed, name| {
        let (data, samples) = (data(*network), network.settings(lab.tier).samples);
        let source = format!("{}-{seed}", network.key("source"));
        let source = Trained::load(&lab.dir.join("runs").join(source))?;
        let (x, y) = data.test.batch(&random_rows(data.test.len(), images, 1));
        let networks = [&train(*network, net, seed, name)?, &source];
        Ok(measure(net, samples, networks, &epsilons, x.view(), y.classes()))
    })?;
    let mut report = Results { tier: lab.tier, grid, epsilons, images }.report();
    report.tables.extend(trials);
    Ok(report)
}
