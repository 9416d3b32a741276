//! The paper's networks, as the files in `networks/` describe them: the same ones that `bhn train --config` reads.
use super::Tier;
use crate::error::{Error, Result};
use crate::primary::Layer;
use crate::run::config::Config;

/// Of active learning, the second.
pub const ACTIVE: &str = include_str!("../../networks/active.toml");
/// For CIFAR-10.
pub const CIFAR_10: &str = include_str!("../../networks/cifar-10.toml");

/// The layers of a network; at the smoke tier with few channels and units.
///
/// # Errors
/// If the description has a fault.
pub fn network(tier: Tier, text: &str) -> Result<Vec<Layer>> {
    let found: Config = toml::from_str(text).map_err(|error| {
        Error::invalid("networks/", error, "a configuration with layers", "Please report it.")
    })?;
    let mut layers = found.primary.layers.unwrap_or_default();
    let last = layers.len().saturating_sub(1);
    if tier == Tier::Smoke {
        for layer in &mut layers[..last] {
            match layer {
                Layer::Conv(channels, _) => *channels = 4,
                Layer::Dense(units) => *units = 16,
                _ => {}
            }
        }
    }
    Ok(layers)
}
