//! The families of posteriors that are compared, and the recipes of their training.
use super::source::Settings;
use crate::bayes::{Estimator, FlowKind, Hessian, HypernetConfig, Place};
use crate::experiments::fit::Training;
use crate::flows::Stabiliser;

/// A family of posteriors, or a recipe for RealNVP with `T = 8`.
#[derive(Clone, Copy)]
pub(super) struct Family {
    pub key: &'static str,
    pub name: &'static str,
    pub fit: Fit,
    /// Whether it is fitted at every net's directions, or only at those of the first.
    everywhere: bool,
    /// Whether it is fitted without a [search](Settings::searches) too.
    always: bool,
    /// Whether all rates are tried at the first net, if there is a search.
    searched: bool,
    /// Processor time of one more fit at the best rate, relative to the others; 0 for none. It is
    /// made at the first net, if there is a search.
    longer: f64,
}

#[derive(Clone, Copy)]
pub(super) enum Fit {
    /// A hypernet with this kind of flow and depth.
    Flow(FlowKind, usize, Recipe),
    /// The same on minibatches, by the training of `bhn train`.
    Minibatch(Recipe),
    /// Multiplicative normalizing flows.
    Mnf,
    /// `N(mode, H⁻¹)`.
    Laplace(Hessian),
    /// SWAG, its learning rate by the validation NLL.
    Swag,
}

/// How a hypernet is parametrised and trained.
#[derive(Clone, Copy)]
pub(super) struct Recipe {
    pub gradient: Estimator,
    /// Samples per step, relative to the tier's.
    pub samples: f64,
    /// Processor time, relative to the tier's.
    pub time: f64,
    pub elementwise: Place,
    pub stabiliser: Stabiliser,
    pub weight_norm: bool,
    /// Factor by which the rate is divided over the run.
    pub decay: f64,
    /// Logarithm of the initial standard deviation.
    pub log_scale: f64,
}

impl Recipe {
    /// The recipe of the comparison of families.
    pub const OURS: Self = Self {
        gradient: Estimator::Path,
        samples: 1.,
        time: 1.,
        elementwise: Place::Last,
        stabiliser: Stabiliser::Tanh,
        weight_norm: false,
        decay: 100.,
        log_scale: -1.,
    };
    /// Gaussians need less time.
    const GAUSSIAN: Self = Self { samples: 0.5, time: 0.5, ..Self::OURS };
    /// Independent and full Gaussians converge faster from a narrow start.
    const NARROW: Self = Self { log_scale: -2.5, ..Self::GAUSSIAN };
    /// The authors' choices, except for the initial standard deviation.
    const AUTHORS: Self = Self {
        gradient: Estimator::Total,
        samples: 0.,
        elementwise: Place::First,
        stabiliser: Stabiliser::Exp,
        decay: 10.,
        log_scale: -2.5,
        ..Self::OURS
    };

    /// The recipe of a flow with the best bounds.
    pub const fn of(kind: FlowKind, depth: usize) -> Self {
        match (kind, depth) {
            (FlowKind::Cholesky, _) | (FlowKind::Realnvp, 0) => Self::NARROW,
            (FlowKind::LowRank, _) => Self::GAUSSIAN,
            _ => Self::OURS,
        }
    }

    /// The hypernet.
    pub fn hypernet(&self, kind: FlowKind, depth: usize, hidden: usize) -> HypernetConfig {
        HypernetConfig {
            kind,
            couplings: depth,
            hidden,
            weight_norm: self.weight_norm,
            elementwise: self.elementwise,
            stabiliser: self.stabiliser,
            log_scale: self.log_scale,
            ..HypernetConfig::default()
        }
    }

    /// Its training at `rate` for `time` times the processor time of the recipe.
    ///
    /// A step takes a time proportional to one more than the number of samples.
    pub fn training(&self, base: Training, rate: f64, time: f64) -> Training {
        let samples = (self.samples * base.samples as f64).max(1.) as usize;
        let share = (base.samples + 1) as f64 / (samples + 1) as f64;
        Training {
            steps: (base.steps as f64 * share * self.time * time).round() as u64,
            samples,
            rate,
            decay: self.decay,
            gradient: self.gradient,
            ..base
        }
    }
}

impl Family {
    const fn new(key: &'static str, name: &'static str, fit: Fit) -> Self {
        let (everywhere, always, searched) = (true, true, false);
        Self { key, name, fit, everywhere, always, searched, longer: 0. }
    }

    const fn flow(key: &'static str, name: &'static str, depth: usize) -> Self {
        Self::new(key, name, Fit::Flow(FlowKind::Realnvp, depth, Recipe::OURS))
    }

    const fn gaussian(key: &'static str, name: &'static str, kind: FlowKind) -> Self {
        Self::new(key, name, Fit::Flow(kind, 0, Recipe::of(kind, 0)))
    }

    /// Only at the first net.
    const fn once(self) -> Self {
        Self { everywhere: false, ..self }
    }

    /// With a search over the rate, and one more fit that takes `longer` times as long.
    const fn searched(self, longer: f64) -> Self {
        Self { searched: true, longer, ..self }
    }

    const fn recipe(key: &'static str, name: &'static str, recipe: Recipe) -> Self {
        let fit = Fit::Flow(FlowKind::Realnvp, 8, recipe);
        Self::new(key, name, fit).once().searched(3.)
    }

    /// Only if there is a search.
    const fn rare(self) -> Self {
        Self { always: false, ..self }
    }

    /// Whether the family is fitted at the directions of the first net, or of the others.
    pub fn is_at(&self, settings: &Settings, is_first: bool) -> bool {
        (self.everywhere || is_first) && (self.always || settings.searches)
    }

    /// The rates that are tried. Gaussians need higher rates than flows with couplings.
    pub fn rates(&self, settings: &Settings, is_first: bool) -> Vec<f64> {
        let is_searched = self.is_searched(settings, is_first);
        match self.fit {
            Fit::Laplace(_) | Fit::Swag => vec![0.],
            Fit::Flow(_, 0, _) if is_searched => settings.gaussian_rates.to_vec(),
            Fit::Flow(_, 0, _) => vec![2. * settings.training.rate],
            _ if is_searched => settings.rates.to_vec(),
            _ => vec![settings.training.rate],
        }
    }

    /// Whether several rates are tried.
    pub fn is_searched(&self, settings: &Settings, is_first: bool) -> bool {
        self.searched && settings.searches && is_first
    }

    /// The relative processor time of one more fit, if there is one.
    pub fn longer(&self, settings: &Settings, is_first: bool) -> Option<f64> {
        (self.longer > 0. && self.is_searched(settings, is_first)).then_some(self.longer)
    }

    /// Whether its optimum is also found by L-BFGS on fixed draws.
    pub fn has_fixed_draws(&self, settings: &Settings, is_first: bool) -> bool {
        self.key == "t0" && self.longer(settings, is_first).is_some()
    }

    /// Approximate processor time relative to that of the tier's training.
    pub fn cost(&self) -> f64 {
        match self.fit {
            Fit::Laplace(_) => 0.01,
            Fit::Swag => 0.1,
            Fit::Flow(_, depth, recipe) => recipe.time * (1. + 0.05 * depth as f64),
            Fit::Minibatch(_) | Fit::Mnf => 1.4,
        }
    }
}

/// All families, in the order of the tables.
pub(super) const FAMILIES: &[Family] = &[
    Family::gaussian("t0", "independent Gaussians (T = 0)", FlowKind::Realnvp).searched(2.),
    Family::new("laplace", "Laplace, exact Hessian", Fit::Laplace(Hessian::Exact)),
    Family::new("ggn", "Laplace, GGN", Fit::Laplace(Hessian::Ggn)),
    Family::new("swag", "SWAG", Fit::Swag),
    Family::gaussian("low-rank", "low-rank Gaussian (rank 10)", FlowKind::LowRank),
    Family::gaussian("full", "full Gaussian", FlowKind::Cholesky).searched(2.),
    Family::new("mnf", "MNF", Fit::Mnf).once(),
    Family::flow("t2", "RealNVP, T = 2", 2).once(),
    Family::flow("t4", "RealNVP, T = 4", 4).once(),
    Family::flow("t8", "RealNVP, T = 8", 8).searched(3.),
    Family::new(
        "iaf",
        "IAF, T = 2, total gradient",
        // The path gradient would need the inverse, which takes D evaluations.
        Fit::Flow(FlowKind::Iaf, 2, Recipe { gradient: Estimator::Total, ..Recipe::OURS }),
    )
    .once(),
];

/// RealNVP with `T = 8` by the recipe of [`FAMILIES`], then with one change of it each.
pub(super) const RECIPES: &[Family] = &[
    Family::recipe("t8", "RealNVP, T = 8", Recipe::OURS),
    Family::recipe("total", "total gradient", TOTAL),
    Family::recipe("s1", "S = 1", Recipe { samples: 0., ..Recipe::OURS }),
    Family::recipe("s1-total", "S = 1, total gradient", Recipe { samples: 0., ..TOTAL }).rare(),
    Family::recipe("s8", "S = 8", Recipe { samples: 0.5, ..Recipe::OURS }).rare(),
    Family::recipe("s8-total", "S = 8, total gradient", Recipe { samples: 0.5, ..TOTAL }).rare(),
    Family::recipe("s32", "S = 32", Recipe { samples: 2., ..Recipe::OURS }).rare(),
    Family::recipe("s32-total", "S = 32, total gradient", Recipe { samples: 2., ..TOTAL }).rare(),
    Family::new("batches", "minibatches of 100, S = 1", Fit::Minibatch(Recipe::OURS)).once(),
    Family::recipe(
        "first",
        "elementwise layer first",
        Recipe { elementwise: Place::First, ..Recipe::OURS },
    ),
    Family::recipe("exp", "exp scales", Recipe { stabiliser: Stabiliser::Exp, ..Recipe::OURS }),
    Family::recipe(
        "sigmoid",
        "sigmoid scales",
        Recipe { stabiliser: Stabiliser::Sigmoid, ..Recipe::OURS },
    ),
    Family::recipe(
        "normalised",
        "weight-normalised conditioners",
        Recipe { weight_norm: true, ..Recipe::OURS },
    ),
    Family::recipe("decay", "decay by 10", Recipe { decay: 10., ..Recipe::OURS }),
    Family::recipe("narrow", "narrow start (0.08)", Recipe { log_scale: -2.5, ..Recipe::OURS }),
    Family::recipe("authors", "the authors' choices", Recipe::AUTHORS),
];

const TOTAL: Recipe = Recipe { gradient: Estimator::Total, ..Recipe::OURS };

#[cfg(test)]
mod tests {
    use super::*;

    /// Recipes of the same time have the same product of steps and `S + 1`.
    #[test]
    fn steps_share_the_time_of_the_tier() {
        let base = Training {
            steps: 2000,
            samples: 16,
            rate: 0.,
            decay: 1.,
            anneal: 0.,
            gradient: Estimator::Total,
        };
        let of = |samples, time| {
            let recipe = Recipe { samples, time, ..Recipe::OURS };
            let Training { steps, samples, rate, .. } = recipe.training(base, 0.1, 2.);
            assert_eq!(rate, 0.1);
            (steps, samples)
        };
        assert_eq!(of(1., 1.), (4000, 16));
        assert_eq!(of(0., 1.), (34_000, 1));
        assert_eq!(of(2., 0.5), (1030, 32));
    }
}
