//! The layers of a network.
use crate::kernels::conv::Window;
use serde::{Deserialize, Serialize};

/// A layer. In `config.toml` it is written as text: `dense 800`, `conv 32 3x3 stride 2 pad 1`,
/// `pool 2` and `dropout 0.5` are examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Layer {
    /// `dense N`: a fully connected layer of `N` units.
    Dense(usize),
    /// `conv N HxW`: a convolution with `N` output channels and a window of `H` rows and `W`
    /// columns. Options such as `stride 2`, `stride 2x1` and `pad 1` may follow.
    Conv(usize, Window),
    /// `pool N`: the maximum over adjacent `N × N` squares. Other windows and strides are written
    /// as in `pool 3x2 stride 2`.
    Pool(Window),
    /// `avg-pool N`: like `pool N`, with the mean in place of the maximum.
    AvgPool(Window),
    /// `global-pool`: the mean of each channel.
    GlobalPool,
    /// `flatten`: an image as a vector.
    Flatten,
    /// `relu`: `max(x, 0)`.
    Relu,
    /// `tanh`.
    Tanh,
    /// `dropout P`: a mask whose entries are 0 with probability `P` and `1/(1 − P)` otherwise.
    Dropout(f64),
    /// `channel-dropout P`: a dropout mask with one entry per channel.
    ChannelDropout(f64),
}

impl Layer {
    /// Hidden dense layers of the sizes `hidden`, each followed by a ReLU, and a last dense layer
    /// of `outputs` units.
    pub fn mlp(hidden: &[usize], outputs: usize) -> Vec<Self> {
        let hidden = hidden.iter().flat_map(|&n| [Self::Dense(n), Self::Relu]);
        hidden.chain([Self::Dense(outputs)]).collect()
    }

    /// The layers with a dropout mask inserted after every `relu` and `tanh`. If a `pool` or
    /// `avg-pool` follows the activation, the mask comes after the pool.
    pub fn with_dropout(layers: &[Self], rate: f64) -> Vec<Self> {
        let is_pool =
            |layer: Option<&Self>| matches!(layer, Some(Self::Pool(_) | Self::AvgPool(_)));
        let mut dropped = vec![];
        let mut is_due = false;
        for (i, &layer) in layers.iter().enumerate() {
            dropped.push(layer);
            is_due |= matches!(layer, Self::Relu | Self::Tanh);
            if is_due && !is_pool(layers.get(i + 1)) {
                dropped.push(Self::Dropout(rate));
                is_due = false;
            }
        }
        dropped
    }

    /// The dropout rate, if the layer is a dropout mask.
    pub fn rate(&self) -> Option<f64> {
        match *self {
            Self::Dropout(rate) | Self::ChannelDropout(rate) => Some(rate),
            _ => None,
        }
    }

    /// Whether the layer is a dropout mask.
    pub fn is_mask(&self) -> bool {
        self.rate().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_dropout_inserts_dropout_after_pooling() {
        let words = "conv 2 3x3,relu,pool 2,flatten,dense 3,tanh,dense 2";
        let layers: Vec<Layer> = words.split(',').map(|w| w.parse().unwrap()).collect();
        let found: Vec<_> =
            Layer::with_dropout(&layers, 0.5).iter().map(Layer::to_string).collect();
        let expected =
            "conv 2 3x3,relu,pool 2,dropout 0.5,flatten,dense 3,tanh,dropout 0.5,dense 2";
        assert_eq!(found.join(","), expected);
    }
}
