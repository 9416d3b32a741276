//! What a method of `config.toml` means: a posterior with its settings.
use super::schema::{Config, DropoutConfig, EnsembleConfig, MeanFieldConfig, MethodKind};
use crate::bayes::HypernetConfig;

/// A posterior over `θ` and the settings that it has: those of the other methods do not matter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// One value of the scales, by maximum likelihood.
    Point,
    /// One value of the scales, and random masks on activations.
    Dropout {
        /// How masks are trained and predicted with.
        kind: DropoutKind,
        /// The dropout rate of layers that do not state one.
        rate: f64,
    },
    /// A few values of all weights.
    Ensemble {
        /// The number of networks.
        members: usize,
    },
    /// Independent normals over all weights.
    MeanField {
        /// The initial logarithm of every standard deviation.
        log_std: f64,
        /// Whether training uses local reparametrisation.
        local: bool,
    },
    /// `θ = h(ε)` through a flow `h`.
    Hypernet {
        /// The flow.
        flow: HypernetConfig,
        /// What `θ` is.
        theta: Theta,
    },
}

/// How dropout's masks are trained and predicted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropoutKind {
    /// Fixed rates; a prediction is one pass without masks.
    Plain,
    /// Fixed rates; predictions average over masks.
    Mc,
    /// Learned rates; predictions average over masks.
    Concrete,
}

/// The parameters of the primary network that a posterior is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theta {
    /// Weight-normalisation scales, and the masks of dropout if there are any.
    Scales,
    /// All weights and biases.
    Weights,
}

impl From<&Config> for Method {
    fn from(config: &Config) -> Self {
        let &Config { method, flow, dropout: DropoutConfig { rate }, .. } = config;
        let dropout = |kind| Self::Dropout { kind, rate };
        match method {
            MethodKind::Bhn => Self::Hypernet { flow, theta: Theta::Scales },
            MethodKind::FullBhn => Self::Hypernet { flow, theta: Theta::Weights },
            MethodKind::Mle => Self::Point,
            MethodKind::Dropout => dropout(DropoutKind::Plain),
            MethodKind::McDropout => dropout(DropoutKind::Mc),
            MethodKind::ConcreteDropout => dropout(DropoutKind::Concrete),
            MethodKind::Bbb => {
                let MeanFieldConfig { log_std, local } = config.mean_field;
                Self::MeanField { log_std, local }
            }
            MethodKind::Ensemble => {
                let EnsembleConfig { members } = config.ensemble;
                Self::Ensemble { members }
            }
        }
    }
}

impl Method {
    /// The parameters that the posterior is over.
    pub fn theta(&self) -> Theta {
        match *self {
            Self::Point | Self::Dropout { .. } => Theta::Scales,
            Self::Ensemble { .. } | Self::MeanField { .. } => Theta::Weights,
            Self::Hypernet { theta, .. } => theta,
        }
    }

    /// Whether `ln q(θ)` is known, and with it the ELBO.
    pub fn has_density(&self) -> bool {
        matches!(self, Self::MeanField { .. } | Self::Hypernet { .. })
    }

    /// The number of networks that a prediction averages over if it is fixed: that of an ensemble's
    /// members, or 1 for a single network. `None` if posterior samples can be drawn at will.
    pub fn networks(&self) -> Option<usize> {
        match *self {
            Self::Point | Self::Dropout { kind: DropoutKind::Plain, .. } => Some(1),
            Self::Ensemble { members } => Some(members),
            _ => None,
        }
    }
}

impl Config {
    /// The number of posterior samples to predict with if `requested` are asked for: no more than
    /// [`Method::networks`].
    pub fn samples(&self, requested: usize) -> usize {
        Method::from(self).networks().map_or(requested, |networks| requested.min(networks))
    }
}
