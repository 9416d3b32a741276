//! A network described in words, as in `config.toml`.
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One layer: `dense 800`, `relu` or `tanh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Layer {
    /// `dense N`: a fully connected layer of `N` units.
    Dense(usize),
    /// `relu`: `max(x, 0)`.
    Relu,
    /// `tanh`.
    Tanh,
}

impl Layer {
    /// Dense layers of these sizes with a ReLU between them, and one of `outputs` at the end.
    pub fn mlp(hidden: &[usize], outputs: usize) -> Vec<Self> {
        let hidden = hidden.iter().flat_map(|&n| [Self::Dense(n), Self::Relu]);
        hidden.chain([Self::Dense(outputs)]).collect()
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
            _ => None,
        };
        layer.ok_or_else(|| {
            let expected = "`dense N` with N above 0, `relu` or `tanh`";
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
        }
    }
}
