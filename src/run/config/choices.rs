//! The types of keys that have a few values.
use serde::{Deserialize, Serialize};

/// What the noise level of a regression depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseLevel {
    /// Nothing.
    #[default]
    Constant,
    /// The input.
    Input,
}

/// The score that the best epoch is chosen by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The highest accuracy, of equal ones the lowest NLL.
    #[default]
    Accuracy,
    /// The lowest NLL.
    Nll,
}
