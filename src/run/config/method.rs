//! The posterior that `method` selects, with its settings.
use super::schema::{
    Config, DropoutConfig, EnsembleConfig, LaplaceConfig, MeanFieldConfig, MethodKind,
};
use crate::bayes::{HypernetConfig, MnfConfig, SwagConfig};

/// A posterior over `θ` and its section of `config.toml`; sections of other methods are ignored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// A point estimate of the scales, by maximum likelihood.
    Point,
    /// A point estimate of the scales, and random masks on activations.
    Dropout(DropoutKind, DropoutConfig),
    /// Several point estimates of all weights, one for each member of an ensemble.
    Ensemble(EnsembleConfig),
    /// Independent normals over all weights.
    MeanField(MeanFieldConfig),
    /// Normals over all weights, with multipliers from a flow.
    Mnf(MnfConfig),
    /// A Gaussian around the mode of the scales, with the curvature there.
    Laplace(LaplaceConfig),
    /// A Gaussian with the moments of the optimiser's path of the scales.
    Swag(SwagConfig),
    /// `θ = h(ε)` through a flow `h`.
    Hypernet(Theta, HypernetConfig),
}

/// Whether dropout rates are learned, and whether predictions average over masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropoutKind {
    /// Fixed rates; a prediction is one pass without masks.
    Plain,
    /// Fixed rates; predictions average over masks.
    Mc,
    /// Learned rates; predictions average over masks.
    Concrete,
}

/// The parameters of the primary network that a posterior is a distribution over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theta {
    /// Weight-normalisation scales, and the masks of dropout if there are any.
    Scales,
    /// All weights and biases.
    Weights,
}

impl From<&Config> for Method {
    fn from(config: &Config) -> Self {
        match config.method {
            MethodKind::Bhn => Self::Hypernet(Theta::Scales, config.flow),
            MethodKind::FullBhn => Self::Hypernet(Theta::Weights, config.flow),
            MethodKind::Mle => Self::Point,
            MethodKind::Dropout => Self::Dropout(DropoutKind::Plain, config.dropout),
            MethodKind::McDropout => Self::Dropout(DropoutKind::Mc, config.dropout),
            MethodKind::ConcreteDropout => Self::Dropout(DropoutKind::Concrete, config.dropout),
            MethodKind::Bbb => Self::MeanField(config.mean_field),
            MethodKind::Mnf => Self::Mnf(config.mnf),
            MethodKind::Laplace => Self::Laplace(config.laplace),
            MethodKind::Swag => Self::Swag(config.swag),
            MethodKind::Ensemble => Self::Ensemble(config.ensemble),
        }
    }
}

impl Method {
    /// The parameters that the posterior is a distribution over.
    pub fn theta(&self) -> Theta {
        match *self {
            Self::Point | Self::Dropout(..) | Self::Laplace(_) | Self::Swag(_) => Theta::Scales,
            Self::Ensemble(_) | Self::MeanField(_) | Self::Mnf(_) => Theta::Weights,
            Self::Hypernet(theta, _) => theta,
        }
    }

    /// Whether samples come with their `ln q`, so that the ELBO can be computed.
    pub fn has_density(&self) -> bool {
        matches!(self, Self::MeanField(_) | Self::Mnf(_) | Self::Hypernet(..) | Self::Laplace(_))
    }

    /// Whether `θ` has a continuous distribution. It has none if its entries are points or masks.
    pub fn is_continuous(&self) -> bool {
        self.has_density() || matches!(self, Self::Swag(_))
    }

    /// Whether the posterior is known only after the last epoch, which then counts as the best.
    pub fn needs_all_epochs(&self) -> bool {
        matches!(self, Self::Laplace(_) | Self::Swag(_))
    }

    /// The number of networks that a prediction averages over: the members of an ensemble, or 1 for
    /// a single network. `None` if any number of posterior samples can be drawn.
    pub fn networks(&self) -> Option<usize> {
        match *self {
            Self::Point | Self::Dropout(DropoutKind::Plain, _) => Some(1),
            Self::Ensemble(EnsembleConfig { members }) => Some(members),
            _ => None,
        }
    }
}

impl Config {
    /// The number of posterior samples to predict with: `requested`, but at most
    /// [`Method::networks`].
    pub fn samples(&self, requested: usize) -> usize {
        Method::from(self).networks().map_or(requested, |networks| requested.min(networks))
    }
}
