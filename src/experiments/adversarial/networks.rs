//! The attacked networks, and the strengths of the attack.
use crate::experiments::digits::{self, Net, Settings};
use crate::experiments::trials::Row;
use crate::experiments::{Tier, table_1};

/// The step sizes `ε` of the authors' code.
const EPSILONS: [f64; 20] = [
    0.001, 0.002, 0.003, 0.004, 0.005, 0.008, 0.01, 0.012, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05,
    0.075, 0.1, 0.15, 0.2, 0.3, 0.5,
];

/// The step sizes of a tier: the authors', or four of them at the smoke tier.
pub(super) fn epsilons(tier: Tier) -> Vec<f64> {
    let every = tier.pick([5, 1, 1]);
    EPSILONS.into_iter().skip(every - 1).step_by(every).collect()
}

/// The methods.
pub(super) const NETS: [Net; 7] = [
    Net::MLE,
    Net::BHN_8,
    Net::BHN_8_RECIPE,
    Net::MC_DROPOUT,
    Net::DROPOUT,
    Net::BHN_0,
    Net::ENSEMBLE,
];

/// An architecture with its training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Network {
    /// 784-800-800-10, Table 1's: the one that the authors attack.
    Table1,
    /// 784-256-256-256-10, that of the anomaly experiment.
    Anomaly,
}

impl Network {
    pub const ALL: [Self; 2] = [Self::Table1, Self::Anomaly];

    /// Name in tables and figures.
    pub fn name(self, tier: Tier) -> &'static str {
        match self {
            Self::Table1 => tier.pick(["784-16-16-10", "784-800-800-10", "784-800-800-10"]),
            Self::Anomaly => {
                let whole = "784-256-256-256-10";
                tier.pick(["784-16-16-16-10", whole, whole])
            }
        }
    }

    /// The name `key` of a cell of Table 1's network, followed by `-256` for the other network.
    pub fn key(self, key: &str) -> String {
        match self {
            Self::Table1 => key.into(),
            Self::Anomaly => format!("{key}-256"),
        }
    }

    pub fn settings(self, tier: Tier) -> Settings {
        let paper = Settings { subset: None, epochs: 100, samples: 100 };
        let smoke = Settings { subset: Some(600), epochs: 1, samples: 5 };
        let quick = match self {
            Self::Table1 => Settings { subset: Some(20_000), epochs: 8, samples: 50 },
            Self::Anomaly => Settings { subset: None, epochs: 10, samples: 50 },
        };
        tier.pick([smoke, quick, paper])
    }

    /// The row of trials that choose a setting of `net`.
    pub fn row(self, net: &Net, tier: Tier) -> Row {
        let settings = self.settings(tier);
        let row = match self {
            Self::Table1 => table_1::row(net, tier, &settings),
            Self::Anomaly => net.row(tier, &settings),
        };
        let name = format!("{}, {}", self.name(tier), net.name);
        Row { key: self.key(net.key), name, ..row }
    }

    /// Approximate time in seconds of training and of predicting for `inputs` inputs.
    pub fn cost(self, net: &Net, tier: Tier, inputs: usize) -> f64 {
        match self {
            Self::Table1 => table_1::cost(net, &self.settings(tier), inputs),
            Self::Anomaly => net.cost(&self.settings(tier), inputs),
        }
    }

    /// The description of the training.
    pub fn protocol(self, tier: Tier) -> String {
        match self {
            Self::Table1 => table_1::protocol(tier, &self.settings(tier)),
            Self::Anomaly => digits::protocol(tier, 10, self.settings(tier).epochs),
        }
    }
}
