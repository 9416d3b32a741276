//! The posteriors with two branches and the hypernets that are fitted to each.
use super::fit::Settings;
use super::target::Target;
use crate::bayes::{Axes, Base, Estimator};
use crate::experiments::fit::{Joint, Training};
use crate::experiments::quadrature::LogIntegral;
use crate::experiments::{Cell, Tier};
use crate::flows::Stabiliser;

/// A posterior with its evidence.
pub(super) struct Problem {
    pub key: String,
    pub name: String,
    pub target: Target,
    pub log_evidence: LogIntegral,
}

/// A row of the tables: a hypernet fitted to a posterior.
pub(super) struct Variant<'a> {
    pub problem: &'a Problem,
    pub key: &'static str,
    pub name: &'static str,
    pub settings: Settings,
}

/// `c` of the mixture `½N(−c, 1) + ½N(c, 1)` along the first coordinate of `ε`.
pub(super) const DISTANCE: f64 = 5.;
const MIXTURE: Base = Base::Mixture { components: 2, distance: DISTANCE, axes: Axes::First };
/// Fraction of the steps over which the likelihood is annealed.
const ANNEAL: f64 = 0.5;

/// The authors' setting: one noise sample per step, no annealing, a constant learning rate.
pub(super) fn authors(tier: Tier, couplings: usize) -> Settings {
    Settings {
        couplings,
        hidden: 100,
        stabiliser: Stabiliser::Exp,
        base: Base::Normal,
        counted_twice: None,
        training: Training {
            steps: tier.pick([100, 20_000, 20_000]),
            samples: 1,
            rate: 2.5e-4,
            decay: 1.,
            anneal: 0.,
            gradient: Estimator::Total,
        },
    }
}

/// Our setting: 32 noise samples per step, bounded log-scales, a learning rate that decays by 100.
pub(super) fn ours(tier: Tier, couplings: usize, base: Base, anneal: f64) -> Settings {
    Settings {
        couplings,
        hidden: 100,
        stabiliser: Stabiliser::Tanh,
        base,
        counted_twice: None,
        training: Training {
            steps: tier.pick([100, 15_000, 15_000]),
            samples: 32,
            rate: 1e-2,
            decay: 100.,
            anneal,
            gradient: Estimator::Total,
        },
    }
}

/// Our setting for the net, whose branches have width 3·10⁻⁴: more and smaller steps, 8 samples
/// each.
pub(super) fn on_net(tier: Tier) -> Settings {
    let ours = ours(tier, 6, MIXTURE, ANNEAL);
    let steps = 2 * ours.training.steps;
    let training = Training { steps, samples: 8, decay: 1e3, ..ours.training };
    Settings { training, ..ours }
}

/// The paper's net, then ridges from joined to separate branches.
pub(super) fn problems(tier: Tier) -> Vec<Problem> {
    let problem = |key: String, name: String, target: Target| {
        let log_evidence = target.log_evidence();
        Problem { key, name, target, log_evidence }
    };
    let kappas = tier.pick([&[5., 200.][..], &[5., 30., 200.], &[5., 30., 200.]]);
    let ridge = |kappa: &f64| {
        let target = Target::Ridge { kappa: *kappa };
        problem(format!("ridge-{kappa}"), format!("κ = {kappa}"), target)
    };
    let net = problem("net".into(), "the paper's net".into(), Target::net());
    [net].into_iter().chain(kappas.iter().map(ridge)).collect()
}

/// The rows of one problem.
pub(super) fn variants(tier: Tier, problem: &Problem) -> Vec<Cell<Variant<'_>>> {
    let variant = |key, name, settings| {
        let Settings { couplings, training: Training { steps, samples, .. }, .. } = settings;
        // Milliseconds per step, as measured.
        let size = (samples * problem.target.examples()) as f64;
        let cost = steps as f64 * (0.07 + 0.09 * couplings as f64 + 6e-5 * size);
        let input = Variant { problem, key, name, settings };
        Cell { key: format!("{}-{key}", problem.key), cost, input }
    };
    if problem.key == "net" {
        let mut longer = authors(tier, 6);
        longer.training.steps *= 5;
        let twice = |layer| Settings { counted_twice: Some(layer), ..authors(tier, 6) };
        vec![
            variant("t0", "T = 0", authors(tier, 0)),
            variant("t6", "T = 6", authors(tier, 6)),
            variant("t6-twice", "T = 6, elementwise counted twice", twice(0)),
            variant("t6-twice-coupling", "T = 6, coupling counted twice", twice(1)),
            variant("t6-longer", "T = 6, five times longer", longer),
            variant("ours", "T = 6, mixture, annealed", on_net(tier)),
        ]
    } else {
        vec![
            variant("t0", "T = 0", ours(tier, 0, Base::Normal, 0.)),
            variant("t0-annealed", "T = 0, annealed", ours(tier, 0, Base::Normal, ANNEAL)),
            variant("t6", "T = 6", ours(tier, 6, Base::Normal, 0.)),
            variant("t6-annealed", "T = 6, annealed", ours(tier, 6, Base::Normal, ANNEAL)),
            variant("t6-mixture", "T = 6, mixture", ours(tier, 6, MIXTURE, 0.)),
            variant("ours", "T = 6, mixture, annealed", ours(tier, 6, MIXTURE, ANNEAL)),
        ]
    }
}
