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
const NETS: [(MethodKind, bool, &str, Ink); 9] = [
    (MethodKind::Bhn, true, "BHN, T = 4, warm", Ink::Series(0)),
    (MethodKind::Bhn, false, "BHN, T = 4", Ink::Series(3)),
    (MethodKind::McDropout, true, "MC dropout, warm", Ink::Series(4)),
    (MethodKind::McDropout, false, "MC dropout", Ink::Series(1)),
    (MethodKind::Dropout, true, "dropout, warm", Ink::Series(2)),
    (MethodKind::Dropout, false, "dropout", Ink::Series(2)),
    (MethodKind::Mle, true, "MLE, warm", Ink::Gray),
    (MethodKind::Mle, false, "MLE", Ink::Gray),
    (MethodKind::Ensemble, false, "ensemble", Ink::Series(5)),
];

/// The key of a row.
pub(super) fn key(method: MethodKind, warm: bool, acquisition: Acquisition) -> String {
    format!("{method}{}-{acquisition}", if warm { "-warm" } else { "" })
}

/// Number of epochs per round.
pub(super) fn epochs(tier: Tier) -> usize {
    tier.pick([2, 50, 50])
}

/// The paper's five acquisition functions, with both definitions of the variation ratio.
const OF_PAPER: [Acquisition; 6] = [
    Acquisition::Random,
    Acquisition::Bald,
    Acquisition::MaxEntropy,
    Acquisition::LeastConfidence,
    Acquisition::VariationRatio,
    Acquisition::MeanStd,
];

/// The rows of a tier, each with its number of seeds.
pub(super) fn variants(tier: Tier, seeds: u64, protocol: &Protocol) -> Vec<(Cell<Variant>, u64)> {
    let nets: &[usize] = tier.pick([&[0, 1, 3, 7, 8], &[0, 3, 5, 7], &[0, 1, 2, 3, 4, 5, 6, 7, 8]]);
    let acquisitions: &[Acquisition] = tier.pick([&Acquisition::ALL, &OF_PAPER[..3], &OF_PAPER]);
    let row = |&acquisition: &Acquisition| {
        nets.iter().filter_map(move |&net| {
            let (method, warm, name, ink) = NETS[net];
            let variant = Variant { method, warm, name, ink, acquisition };
            let key = key(method, warm, acquisition);
            let cell = Cell { key, cost: variant.cost(protocol), input: variant };
            variant.is_compared().then(|| (cell, variant.seeds(tier, seeds)))
        })
    };
    acquisitions.iter().flat_map(row).collect()
}

impl Variant {
    /// Whether the row is in the table. A network without samples has the same score for all inputs
    /// by most functions, and chooses at random; its BALD ranks by rounding errors. The ensemble,
    /// which is not in the paper, chooses at random and by BALD.
    fn is_compared(&self) -> bool {
        let by = self.acquisition;
        let is_claimed = matches!(by, Acquisition::Random | Acquisition::Bald);
        match self.method {
            MethodKind::Dropout | MethodKind::Mle => is_claimed || by.ranks_with_one_sample(),
            MethodKind::Ensemble => is_claimed,
            _ => true,
        }
    }

    /// The number of seeds: all of `seeds` for the rows of the paper's main claims, and at the
    /// paper tier a third, rounded up, for the other rows.
    fn seeds(&self, tier: Tier, seeds: u64) -> u64 {
        let is_claimed = matches!(self.method, MethodKind::Bhn | MethodKind::McDropout)
            && matches!(self.acquisition, Acquisition::Random | Acquisition::Bald);
        if is_claimed || tier != Tier::Paper { seeds } else { seeds.div_ceil(3) }
    }

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
        let networks = if self.method == MethodKind::Ensemble { samples } else { 1 };
        50. * networks as f64 + 0.1 * samples as f64 * (scored + tested) as f64 / 2000. * 28.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The paper tier has the paper's acquisition functions with warm and cold starts of every
    /// network, except those that would choose at random, and all seeds where the paper claims
    /// something.
    #[test]
    fn paper_tier_has_every_choice_and_start() {
        let protocol = Protocol {
            per_class: 2,
            set_aside: 10_000,
            candidates: 2000,
            bought: 10,
            rounds: 98,
            samples: 100,
            test_every: 10,
        };
        let rows = variants(Tier::Paper, 3, &protocol);
        let count = |method, warm| {
            let is = |row: &&(Cell<Variant>, u64)| {
                row.0.input.method == method && row.0.input.warm == warm
            };
            rows.iter().filter(is).count()
        };
        for warm in [true, false] {
            let found =
                [MethodKind::Bhn, MethodKind::McDropout, MethodKind::Dropout, MethodKind::Mle];
            assert_eq!(found.map(|method| count(method, warm)), [6, 6, 4, 4]);
            assert_eq!(count(MethodKind::Ensemble, warm), if warm { 0 } else { 2 });
        }
        let seeds = |key: &str| rows.iter().find(|(cell, _)| cell.key == key).unwrap().1;
        assert_eq!(seeds("bhn-warm-bald"), 3);
        assert_eq!(seeds("mc-dropout-random"), 3);
        assert_eq!(seeds("bhn-warm-variation-ratio"), 1);
        assert_eq!(seeds("mle-warm-least-confidence"), 1);
        assert_eq!(variants(Tier::Quick, 3, &protocol).len(), 12);
        assert!(variants(Tier::Quick, 3, &protocol).iter().all(|(_, seeds)| *seeds == 3));
    }
}
