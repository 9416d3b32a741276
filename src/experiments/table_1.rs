//! Table 1's network on MNIST, 784-800-800-10, for the methods of `Net`.
use super::digits::{ABOUT_NETS, Net, Settings};
use super::trials::{Row, on_digits_in_words};
use super::{Tier, classify};
use crate::run::config::Config;

/// The configuration of `net` by Table 1's protocol: 784-800-800-10, batch 128, Adam from 10⁻³ to
/// 10⁻⁴, couplings of 200 hidden units. Smaller at the smoke tier.
pub fn config(net: &Net, tier: Tier, settings: &Settings, seed: u64) -> Config {
    let mut config = classify::base(tier, settings.subset, settings.epochs, 128);
    net.set(&mut config, seed);
    config
}

/// The row of trials that choose a setting of `net` for [`config()`].
pub fn row(net: &Net, tier: Tier, settings: &Settings) -> Row {
    Row {
        key: net.key.into(),
        name: net.name.into(),
        cost: cost(net, settings, 0),
        config: config(net, tier, settings, 0),
    }
}

/// Approximate time in seconds of training and of predicting for `inputs` inputs: four times that
/// of `Net::cost`, as the network has four times as many weights.
pub fn cost(net: &Net, settings: &Settings, inputs: usize) -> f64 {
    4. * net.cost(settings, inputs)
}

/// The description of [`config()`].
pub fn protocol(tier: Tier, settings: &Settings) -> String {
    let width = tier.pick([16, 800, 800]);
    let images = settings.subset.map_or("50,000".into(), |n| n.to_string());
    format!(
        "784-{width}-{width}-10 with ReLUs as in Table 1, {images} training images, {} epochs \
         (paper tier: 100), batch 128, Adam from 10⁻³ to 10⁻⁴, dropout rate 0.5 on hidden units if \
         not tuned; the epoch with the best validation accuracy is tested. {} {ABOUT_NETS}",
        settings.epochs,
        on_digits_in_words(tier),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::classify;
    use crate::primary::Layer;
    use crate::run::config::MethodKind;

    /// The configurations are those of Table 1, except for method and seed.
    #[test]
    fn config_is_that_of_table_1() {
        let settings = Settings { subset: None, epochs: 100, samples: 1 };
        let found = config(&Net::BHN_8, Tier::Paper, &settings, 3);
        assert_eq!((found.method, found.seed, found.flow.couplings), (MethodKind::Bhn, 3, 8));
        assert_eq!(found.primary.layers, Some(Layer::mlp(&[800, 800], 10)));
        assert_eq!((found.train.epochs, found.train.batch, found.flow.hidden), (100, 128, 200));
        let mut base = classify::base(Tier::Paper, None, 100, 128);
        (base.seed, base.flow.couplings) = (3, 8);
        assert_eq!(found, base);
    }
}
