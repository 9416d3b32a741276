//! The learners that are compared.
use super::rounds::{Learner, Protocol};
use crate::error::Result;
use crate::experiments::networks::{ACTIVE, network};
use crate::experiments::{Cell, Tier};
use crate::nn::optim::Schedule;
use crate::predict::acquire::Acquisition;
use crate::primary::Layer;
use crate::report::chart::Ink;
use crate::run::config::{Config, MethodKind};

/// A row of the table.
#[derive(Clone)]
pub(super) struct Variant {
    pub method: MethodKind,
    /// Whether training continues from the last round's weights.
    pub warm: bool,
    pub acquisition: Acquisition,
}

/// The key of a row.
pub(super) fn key(method: MethodKind, warm: bool, acquisition: Acquisition) -> String {
    format!("{method}{}-{acquisition}", if warm { "-warm" } else { "" })
}

/// Epochs of every round.
pub(super) fn epochs(tier: Tier) -> usize {
    tier.pick([2, 50, 50])
}

/// The rows of a tier.
pub(super) fn variants(tier: Tier, protocol: &Protocol) -> Vec<Cell<Variant>> {
    use Acquisition::{Bald, MaxEntropy, Random};
    let [bhn, mc, dropout, mle] =
        [MethodKind::Bhn, MethodKind::McDropout, MethodKind::Dropout, MethodKind::Mle];
    // Method, and whether it is warm-started.
    let nets = tier.pick([
        vec![(bhn, true), (mc, false), (mle, false)],
        vec![(bhn, true), (mc, false), (dropout, false), (mle, false)],
        vec![(bhn, true), (bhn, false), (mc, true), (mc, false), (dropout, false), (mle, false)],
    ]);
    let acquisitions: &[Acquisition] =
        tier.pick([&Acquisition::ALL, &[Random, Bald, MaxEntropy], &[Random, Bald]]);
    let row = |&acquisition: &Acquisition| {
        nets.iter().map(move |&(method, warm)| {
            let variant = Variant { method, warm, acquisition };
            let key = key(method, warm, acquisition);
            Cell { key, cost: variant.cost(protocol), input: variant }
        })
    };
    acquisitions.iter().flat_map(row).collect()
}

impl Variant {
    /// Name of the network in tables and figures.
    pub fn name(&self) -> String {
        let name = match self.method {
            MethodKind::Bhn => "BHN, T = 4",
            MethodKind::McDropout => "MC dropout",
            MethodKind::Dropout => "dropout",
            _ => "MLE",
        };
        if self.warm { format!("{name}, warm") } else { name.into() }
    }

    pub fn ink(&self) -> Ink {
        match (self.method, self.warm) {
            (MethodKind::Bhn, true) => Ink::Series(0),
            (MethodKind::McDropout, false) => Ink::Series(1),
            (MethodKind::Dropout, _) => Ink::Series(2),
            (MethodKind::Bhn, false) => Ink::Series(3),
            (MethodKind::McDropout, true) => Ink::Series(4),
            _ => Ink::Gray,
        }
    }

    pub fn learner(&self, tier: Tier, seed: u64) -> Result<Learner> {
        let mut config = Config { method: self.method, seed, ..Config::default() };
        let layers = network(tier, ACTIVE)?;
        config.primary.layers = Some(match self.method {
            MethodKind::Dropout | MethodKind::McDropout => dropped(&layers),
            _ => layers,
        });
        config.flow.couplings = 4;
        config.flow.hidden = tier.pick([10, 200, 200]);
        config.train.epochs = epochs(tier);
        config.train.batch = 128;
        config.train.learning_rate = 1e-3;
        config.train.schedule = Schedule::Constant;
        Ok(Learner { config, warm: self.warm, acquisition: self.acquisition })
    }

    /// Approximate seconds at the quick tier, mostly of forward passes.
    fn cost(&self, protocol: &Protocol) -> f64 {
        let config = Config { method: self.method, ..Config::default() };
        let samples = config.samples(protocol.samples);
        let scored = if self.acquisition == Acquisition::Random { 0 } else { 2000 };
        let tested = 2000 / protocol.test_every;
        50. + 0.1 * samples as f64 * (scored + tested) as f64 / 2000. * 28.
    }
}

/// `layers` with the dropout of Gal, Islam & Ghahramani: rate 0.25 after the pooling, 0.5 after the
/// dense layer.
fn dropped(layers: &[Layer]) -> Vec<Layer> {
    let last = layers.iter().rposition(|layer| *layer == Layer::Relu);
    let after = |(i, &layer): (usize, &Layer)| match layer {
        Layer::Pool(_) => vec![layer, Layer::Dropout(0.25)],
        Layer::Relu if Some(i) == last => vec![layer, Layer::Dropout(0.5)],
        _ => vec![layer],
    };
    layers.iter().enumerate().flat_map(after).collect()
}
