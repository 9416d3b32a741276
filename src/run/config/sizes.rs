//! The sizes of the model that a configuration describes, computed before any of it is allocated.
use super::method::{Method, Theta};
use super::schema::{Config, Train};
use crate::bayes::{FlowKind, HypernetConfig, MnfConfig};
use crate::data::{Dataset, Task};
use crate::error::{Error, Result};
use crate::primary::{Layer, Placed, Shape};

/// The maximum number of weights, and of entries of any other array, which then takes 1 GiB in
/// `f32`.
pub(crate) const LIMIT: usize = 1 << 28;

/// The properties of the data that a configuration depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Problem<'a> {
    /// The name of the data, for messages.
    pub name: &'a str,
    /// The task.
    pub task: &'a Task,
    /// The number of features of a row.
    pub inputs: usize,
    /// The shape `[C, H, W]` of the inputs if they are images.
    pub image: Option<[usize; 3]>,
    /// Number of training examples `N`.
    pub examples: usize,
}

impl Problem<'_> {
    /// The shape of the network's inputs.
    pub fn shape(&self) -> Shape {
        Shape::of(self.inputs, self.image)
    }
}

impl<'a> From<&'a Dataset> for Problem<'a> {
    fn from(data: &'a Dataset) -> Self {
        Self {
            name: &data.name,
            task: &data.task,
            inputs: data.preprocess.inputs,
            image: data.image,
            examples: data.train.len(),
        }
    }
}

/// The sizes of a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// `D` = dim `θ`.
    pub entries: usize,
    /// The number of weights of the network and of the posterior, up to a factor of 2.
    pub weights: usize,
    /// `train.samples` times the minibatch size times the units of the widest layer.
    pub step: usize,
    /// The number of maps of a flow that have tensors of their own.
    pub maps: usize,
}

impl Config {
    /// Number of multipliers `U` of [`Mnf`](crate::bayes::Mnf).
    pub(super) fn multipliers(&self, problem: &Problem<'_>) -> Result<usize> {
        let layers = self.primary.layers.as_ref().expect("filled in");
        let placed = Layer::place(layers, problem.shape())?;
        let each = placed.iter().filter_map(|placed| Some(placed.block(0)?.factors()));
        Ok(each.fold(0, usize::saturating_add))
    }

    /// `D` = dim `θ`.
    ///
    /// # Errors
    /// If a layer does not accept its input, or the weights or another array would exceed 1 GiB.
    ///
    /// # Panics
    /// If the configuration is not resolved.
    pub fn entries(&self, data: &Dataset) -> Result<usize> {
        Ok(self.sizes(&data.into())?.entries)
    }

    /// The sizes of the model, without building it; errors and panics as [`Config::entries`].
    pub(crate) fn sizes(&self, problem: &Problem<'_>) -> Result<Sizes> {
        let method = Method::from(self);
        let placed =
            Layer::place(self.primary.layers.as_ref().expect("filled in"), problem.shape())?;
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
        let mut maps = 0;
        match method {
            Method::Hypernet(_, flow) => {
                let HypernetConfig { kind, couplings, layers, rank, hidden, .. } = flow;
                maps = match kind {
                    FlowKind::Realnvp | FlowKind::Iaf | FlowKind::Planar => couplings,
                    FlowKind::Linear => layers,
                    FlowKind::LowRank => rank,
                    FlowKind::Cholesky => 1,
                };
                weights = weights.saturating_add(match kind {
                    FlowKind::Realnvp | FlowKind::Iaf => product([couplings, hidden, entries]),
                    FlowKind::Linear => product([2 * layers.min(LIMIT), entries, entries]),
                    FlowKind::Planar => product([couplings, 2, entries]),
                    FlowKind::Cholesky => product([1, entries, entries]),
                    FlowKind::LowRank => product([rank, 1, entries]),
                });
                widest = widest.max(hidden);
            }
            Method::Laplace(_) => {
                weights = weights.saturating_add(product([1, entries, entries]));
            }
            Method::Swag(swag) => {
                weights = weights.saturating_add(product([swag.rank, 1, entries]));
            }
            Method::Mnf(MnfConfig { couplings, hidden, .. }) => {
                maps = couplings;
                let of_one = product([couplings, hidden, self.multipliers(problem)?]);
                weights = weights.saturating_add(of_one.saturating_mul(2));
                widest = widest.max(hidden);
            }
            Method::Ensemble(ensemble) => weights = product([weights, ensemble.members, 1]),
            _ => {}
        }
        let Train { samples, batch, validation_samples, .. } = self.train;
        let smaller = match method {
            Method::Mnf(_) => {
                "Make primary.layers (--hidden), mnf.hidden or mnf.couplings smaller."
            }
            _ => {
                "Make primary.layers (--hidden), flow.hidden, flow.couplings or flow.rank smaller."
            }
        };
        let step = product([samples, batch.min(problem.examples), widest]);
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
            None => Ok(Sizes { entries, weights, step, maps }),
            Some((what, size, advice)) => {
                Err(Error::invalid(what, size, format!("at most {LIMIT}"), advice))
            }
        }
    }
}

/// `samples`, if that many samples of a `θ` with `entries` entries fit in memory.
///
/// # Errors
/// If they would take more than 1 GiB. A single sample is always accepted.
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
