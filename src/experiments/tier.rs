//! The extent of an experiment.
use serde::{Deserialize, Serialize};
use std::fmt;

/// The extent of an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Exercises all code in seconds; the numbers are meaningless.
    Smoke,
    /// Shows the paper's ordering of the methods within ten minutes on two cores; active learning
    /// takes an hour.
    Quick,
    /// The paper's protocol.
    Paper,
}

impl Tier {
    /// All tiers, the shortest first.
    pub const ALL: [Self; 3] = [Self::Smoke, Self::Quick, Self::Paper];

    /// The element of `[smoke, quick, paper]` that belongs to this tier.
    pub fn pick<T>(self, [smoke, quick, paper]: [T; 3]) -> T {
        match self {
            Self::Smoke => smoke,
            Self::Quick => quick,
            Self::Paper => paper,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pick(["smoke", "quick", "paper"]))
    }
}
