//! Sizes that memory cannot hold, refused before anything is allocated.
use super::method::{Method, Theta};
use super::schema::{Config, Train};
use crate::bayes::{FlowKind, HypernetConfig};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::primary::{Layer, Placed};

/// The maximum number of weights, and of entries of one array in a step: 1 GiB of `f32`.
const LIMIT: usize = 1 << 28;

/// `samples`, if that many samples of a `θ` with `entries` entries fit in memory.
///
/// # Errors
/// If they do not.
pub fn check_samples(samples: usize, entries: usize) -> Result<usize> {
    let most = (LIMIT / entries.max(1)).max(1);
    if samples > most {
        let expected = format!("at most {most} of the {entries} entries of θ");
        return Err(Error::invalid("--samples", samples, expected, "Use fewer samples."));
    }
    Ok(samples)
}

/// The product, or `usize::MAX` if it overflows.
fn product(sizes: [usize; 3]) -> usize {
    sizes.into_iter().fold(1, usize::saturating_mul)
}

impl Config {
    /// `D`, the number of entries of `θ`.
    ///
    /// # Errors
    /// If the networks or the arrays of a step do not fit in memory.
    ///
    /// # Panics
    /// If the configuration is not resolved.
    pub fn entries(&self, data: &Dataset) -> Result<usize> {
        let method = Method::from(self);
        let placed = Layer::place(self.primary.layers.as_ref().expect("filled in"), data.shape())?;
        let (mut units, mut weights, mut masks) = (0_usize, 0_usize, 0_usize);
        for placed in &placed {
            if let Some([n, k]) = placed.weights() {
                units = units.saturating_add(n);
                weights = weights.saturating_add(product([n, k, 1]));
            }
            masks = masks.saturating_add(placed.mask());
        }
        let mut widest = Placed::widest(&placed).max(units);
        let entries = match method.theta() {
            Theta::Weights => weights.saturating_add(units),
            Theta::Scales => units.saturating_add(masks),
        };
        match method {
            Method::Hypernet(_, flow) => {
                let HypernetConfig { kind, couplings, layers, hidden, .. } = flow;
                weights = weights.saturating_add(match kind {
                    FlowKind::Realnvp | FlowKind::Iaf => product([couplings, hidden, entries]),
                    FlowKind::Linear => product([2 * layers.min(LIMIT), entries, entries]),
                    FlowKind::Planar => product([couplings, 2, entries]),
                });
                widest = widest.max(hidden);
            }
            Method::Ensemble(ensemble) => weights = product([weights, ensemble.members, 1]),
            _ => {}
        }
        let Train { samples, batch, validation_samples, .. } = self.train;
        let smaller = "Make primary.layers (--hidden), flow.hidden or flow.couplings smaller.";
        let step = product([samples, batch.min(data.train.len()), widest]);
        let one = "Make one of them smaller.";
        let [training, validation] =
            [samples, validation_samples].map(|s| product([s, entries, 1]));
        let sizes = [
            ("weights of the networks", weights, smaller),
            ("train.samples × train.batch × units", step, one),
            ("train.samples × entries of θ", training, one),
            ("train.validation_samples × entries of θ", validation, one),
        ];
        match sizes.into_iter().find(|(_, size, _)| *size > LIMIT) {
            None => Ok(entries),
            Some((what, size, advice)) => {
                Err(Error::invalid(what, size, format!("at most {LIMIT}"), advice))
            }
        }
    }
}
