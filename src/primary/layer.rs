//! A network described in words, as in `config.toml`.
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One layer: `dense 800`, `relu`, `tanh` or `dropout 0.5`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Layer {
    /// `dense N`: a fully connected layer of `N` units.
    Dense(usize),
    /// `relu`: `max(x, 0)`.
    Relu,
    /// `tanh`.
    Tanh,
    /// `dropout P`: a mask that is 0 with probability `P` and `1/(1 − P)` otherwise.
    Dropout(f64),
}

impl Layer {
    /// Dense layers of these sizes with a ReLU between them, and one of `outputs` at the end.
    pub fn mlp(hidden: &[usize], outputs: usize) -> Vec<Self> {
        let hidden = hidden.iter().flat_map(|&n| [Self::Dense(n), Self::Relu]);
        hidden.chain([Self::Dense(outputs)]).collect()
    }

    /// These layers with dropout after every activation.
    pub fn with_dropout(layers: &[Self], rate: f64) -> Vec<Self> {
        let after = |&layer: &Self| match layer {
            Self::Relu | Self::Tanh => vec![layer, Self::Dropout(rate)],
            _ => vec![layer],
        };
        layers.iter().flat_map(after).collect()
    }
}

impl FromStr for Layer {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let words: Vec<_> = text.split_whitespace().collect();
        let layer = match words[..] {
            ["relu"] => Some(Self::Relu),
            ["tanh"] => Some(Self::Tanh),
            ["dense", n] => n.parse().ok().filter(|&n| n > 0).map(Self::Dense),
            ["dropout", p] => p.parse().ok().filter(|p| (0. ..1.).contains(p)).map(Self::Dropout),
            _ => None,
        };
        layer.ok_or_else(|| {
            let expected =
                "`dense N` with N above 0, `relu`, `tanh`, or `dropout P` with P from 0 to below 1";
            Error::invalid("primary.layers", format!("`{text}`"), expected, "Mend that layer.")
        })
    }
}

impl TryFrom<String> for Layer {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Layer> for String {
    fn from(layer: Layer) -> Self {
        layer.to_string()
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dense(n) => write!(f, "dense {n}"),
            Self::Relu => write!(f, "relu"),
            Self::Tanh => write!(f, "tanh"),
            Self::Dropout(p) => write!(f, "dropout {p}"),
        }
    }
}
