//! The paper's networks, from the files in `networks/` that `bhn train --config` reads too.
use super::Tier;
use crate::primary::Layer;
use crate::run::config::Config;

/// The paper's second network for active learning.
pub const ACTIVE: &str = include_str!("../../networks/active.toml");
/// The network for CIFAR-10.
pub const CIFAR_10: &str = include_str!("../../networks/cifar-10.toml");

/// The layers of the configuration `text`, with fewer channels and units for [`Tier::Smoke`].
///
/// # Panics
/// If `text` is not a configuration with layers.
pub fn network(tier: Tier, text: &str) -> Vec<Layer> {
    let found: Config = toml::from_str(text).expect("a file of `networks/` is a configuration");
    let mut layers = found.primary.layers.expect("layers");
    let last = layers.len() - 1;
    if tier == Tier::Smoke {
        for layer in &mut layers[..last] {
            match layer {
                Layer::Conv(channels, _) => *channels = 4,
                Layer::Dense(units) => *units = 16,
                _ => {}
            }
        }
    }
    layers
}
