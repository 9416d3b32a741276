//! The learners that are compared.
use super::rounds::{Learner, Protocol};
use crate::experiments::networks::{ACTIVE, network};
use crate::experiments::{Cell, Tier};
use crate::nn::optim::Schedule;
use crate::predict::acquire::Acquisition;
use crate::primary::Layer;
use crate::report::chart::Ink;
use crate::run::config::{Config, MethodKind};

/// A row of the table.
#[derive(Clone, Copy)]
pub(super) struct Variant {
    pub method: MethodKind,
    /// Whether each round continues from the weights of the previous round.
    pub warm: bool,
    /// Name of the network in tables and figures.
    pub name: &'static str,
    pub ink: Ink,
    pub acquisition: Acquisition,
}

/// The networks: method, whether it is warm-started, name and color.
const NETS: [(MethodKind, bool, &str, Ink); 6] = [
    (MethodKind::Bhn, true, "BHN, T = 4, warm", Ink::Series(0)),
    (MethodKind::Bhn, false, "BHN, T = 4", Ink::Series(3)),
    (MethodKind::McDropout, true, "MC dropout, warm", Ink::Series(4)),
    (MethodKind::McDropout, false, "MC dropout", Ink::Series(1)),
    (MethodKind::Dropout, false, "dropout", Ink::Series(2)),
    (MethodKind::Mle, false, "MLE", Ink::Gray),
];

/// The key of a row.
pub(super) fn key(method: MethodKind, warm: bool, acquisition: Acquisition) -> String {
    format!("{method}{}-{acquisition}", if warm { "-warm" } else { "" })
}

/// Number of epochs per round.
pub(super) fn epochs(tier: Tier) -> usize {
    tier.pick([2, 50, 50])
}

/// The rows of a tier.
pub(super) fn variants(tier: Tier, protocol: &Protocol) -> Vec<Cell<Variant>> {
    use Acquisition::{Bald, MaxEntropy, Random};
    let nets: &[usize] = tier.pick([&[0, 3, 5], &[0, 3, 4, 5], &[0, 1, 2, 3, 4, 5]]);
    let acquisitions: &[Acquisition] =
        tier.pick([&Acquisition::ALL, &[Random, Bald, MaxEntropy], &[Random, Bald]]);
    let row = |&acquisition: &Acquisition| {
        nets.iter().map(move |&net| {
            let (method, warm, name, ink) = NETS[net];
            let variant = Variant { method, warm, name, ink, acquisition };
            let key = key(method, warm, acquisition);
            Cell { key, cost: variant.cost(protocol), input: variant }
        })
    };
    acquisitions.iter().flat_map(row).collect()
}

impl Variant {
    pub fn learner(&self, tier: Tier, seed: u64) -> Learner {
        let mut config = Config { method: self.method, seed, ..Config::default() };
        let layers = network(tier, ACTIVE);
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
        Learner { config, warm: self.warm, acquisition: self.acquisition }
    }

    /// Approximate time in seconds at the quick tier, mostly for forward passes.
    fn cost(&self, protocol: &Protocol) -> f64 {
        let config = Config { method: self.method, ..Config::default() };
        let samples = config.samples(protocol.samples);
        let scored = if self.acquisition == Acquisition::Random { 0 } else { 2000 };
        let tested = 2000 / protocol.test_every;
        50. + 0.1 * samples as f64 * (scored + tested) as f64 / 2000. * 28.
    }
}

/// `layers` with the dropout of Gal, Islam & Ghahramani: rate 0.25 after each pooling, and 0.5
/// after the last ReLU, that of the dense layer.
fn dropped(layers: &[Layer]) -> Vec<Layer> {
    let last = layers.iter().rposition(|layer| *layer == Layer::Relu);
    let after = |(i, &layer): (usize, &Layer)| match layer {
        Layer::Pool(_) => vec![layer, Layer::Dropout(0.25)],
        Layer::Relu if Some(i) == last => vec![layer, Layer::Dropout(0.5)],
        _ => vec![layer],
    };
    layers.iter().enumerate().flat_map(after).collect()
}
