//! The page: its text, and the claims.
use super::at::At;
use super::figures::{by_family, by_recipe, scatter};
use super::source::Settings;
use super::tables::{certificates_of, details, evidence, gaps, recipes_table, turned, wide_table};
use super::wide::{RATES, Wide};
use crate::report::experiment::{Figure, Report};
use crate::report::verdict::{Mean, Verdict};
use crate::stats::Estimate;
use std::collections::BTreeSet;

pub(super) fn report(
    (settings, sized): (&Settings, &Settings),
    all: &[At],
    recipes: Option<&At>,
    wide: &[Wide],
    lacking: &[String],
) -> Report {
    let certificates = all[0].studies.iter().any(|study| study.longer.is_some());
    let tables = [gaps(all)].into_iter();
    let tables = tables.chain(certificates.then(|| certificates_of(&all[0])));
    let tables = tables.chain(recipes.map(recipes_table));
    let tables = tables.chain([evidence(all), turned(all)]);
    let tables = tables.chain((!wide.is_empty()).then(|| wide_table(wide)));
    let figures = [Figure::new("gap", GAP, by_family(all))].into_iter();
    let figures =
        figures.chain(recipes.map(|recipes| Figure::new("recipe", RECIPE, by_recipe(recipes))));
    let figures = figures.chain([Figure::new("pair", PAIR, scatter(&all[0]))]);
    let mut ours = ours((settings, sized), all, recipes, wide);
    if !lacking.is_empty() {
        ours += &format!("\nNot computed yet: {}.", lacking.join("; "));
    }
    Report {
        title: "Scales: what dependence in the posterior is worth".into(),
        paper: PAPER.into(),
        ours,
        verdicts: all.iter().flat_map(verdicts).map(Verdict::own).collect(),
        tables: tables.chain(all.iter().map(details)).collect(),
        figures: figures.collect(),
        ..Report::default()
    }
}

const PAPER: &str = "The paper argues that a hypernet with couplings represents dependence between \
    parameters and is therefore a better posterior than independent Gaussians (T = 0). It compares \
    accuracies, not posteriors. Here the directions V and biases b of a trained network are held \
    fixed. The posterior over its scales g is then an explicit density, the evidence \
    ln p(D | V, b) can be computed, and ln p(D | V, b) − ELBO is the distance KL(q ‖ p) of each \
    posterior.";

const GAP: &str = "Nats below the evidence. ln p(D | V, b) − ELBO by posterior, for V and b from \
    each trained network. Error bars are Monte-Carlo errors of the ELBO.";

const RECIPE: &str = "Nats below the evidence by recipe. RealNVP with T = 8 at the directions of \
    maximum likelihood; see the table of recipes.";

const PAIR: &str = "The two scales with the strongest correlation, for V and b from maximum \
    likelihood. Draws of NUTS and samples of three posteriors.";

fn ours(
    (settings, sized): (&Settings, &Settings),
    all: &[At],
    recipes: Option<&At>,
    wide: &[Wide],
) -> String {
    let Settings { nuts, chains, annealing, training, rates, gaussian_rates, measured, .. } =
        settings;
    let epochs: BTreeSet<_> = all.iter().map(|at| at.source.epochs).collect();
    let epochs: Vec<_> = epochs.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "A network 784 → {} on {} digits, D = {} scales with the prior N(0, 1). V and b come from \
         {} epochs of maximum likelihood, T = 0 and T = 8 (batch 32, otherwise the defaults of \
         `bhn train`; epoch of the best validation accuracy).\n\
         Truth: {chains} chains of NUTS with {} draws after {} of warm-up, started at the mode \
         plus normal noise of three posterior deviations. ln p(D | V, b) by bridge sampling from a \
         Gaussian with the moments of half of the draws; by annealed importance sampling from the \
         prior with {} temperatures and {} particles; and between L_K (below) and \
         E_p[ln p(g, D)/q(g)] (above).\n\
         Posteriors: full-batch Adam with the path gradient (the total gradient for IAF and MNF), \
         {} steps with {} samples each, for Gaussians half of the samples and of the time; \
         rate {}, for Gaussians twice that, divided by 100 over the run. They start centred at the \
         mode with a standard deviation of 0.37, T = 0 and the full Gaussian with 0.08; couplings \
         have log-scales bounded by 2 tanh(·/2) and plain conditioners, and the elementwise layer \
         comes last. The covariance of Laplace is the \
         inverse of the curvature at the mode; where the exact one is not positive definite, which \
         ReLUs allow, of its diagonal. MNF has a multiplier for each scale. SWAG is Adam on \
         minibatches of 32, started at the network's scales, with snapshots in the last \
         quarter of {} epochs and the best of three rates by the validation NLL. Each bound is a \
         mean over {} fresh samples.",
        layers_of(settings),
        settings.examples,
        all[0].truth.dim,
        epochs.join(" or "),
        nuts.draws / nuts.thin,
        nuts.warmup,
        annealing.temperatures,
        annealing.particles,
        training.steps,
        training.samples,
        training.rate,
        settings.swag_epochs,
        measured.0 as usize * measured.1,
    );
    if settings.searches {
        text += &format!(
            "\nAt V and b of maximum likelihood, T = 0, the full Gaussian and T = 8 are fitted \
             with each of the rates {rates:?}, Gaussians with {gaussian_rates:?}, and the best is \
             shown. At that rate, T = 0 and the full Gaussian are fitted once more with twice the \
             steps and T = 8 with three times, and T = 0 by L-BFGS on {} fixed draws, in pairs \
             ± ε, from the mode and the diagonal of its curvature.",
            settings.fixed_draws,
        );
    }
    if let Some(at) = recipes {
        text += &of_recipes(settings, sized, at);
    }
    if !wide.is_empty() {
        text += &format!(
            "\nD = 1610: posteriors for 784-800-800-10, trained on minibatches of 128 by `bhn \
             train` with frozen V and b, from a sample of the network's scales, with one sample \
             per step and a cosine schedule; the best of the rates {RATES:?}; no certificate."
        );
    }
    text
}

/// What is said of the recipes.
fn of_recipes(settings: &Settings, sized: &Settings, at: &At) -> String {
    let mut text = String::new();
    if sized.layers != settings.layers {
        text += &format!(
            "\nRecipes are compared at the network {} of {} digits trained with maximum likelihood \
             (D = {}), each at the best of the rates {:?} and at that rate for three times as \
             long; minibatches at one rate.",
            layers_of(sized),
            sized.examples,
            at.truth.dim,
            sized.rates,
        );
    }
    text += "\nAll recipes but the one with minibatches have the same product of steps and S + 1. \
             The authors' choices are S = 1, the total gradient, the elementwise layer first, exp \
             scales and decay by 10, here with full batches and a start of 0.08 instead of 0.002.";
    if at.study("batches").is_some() {
        text += "\nThe recipe with minibatches is the training of `bhn train` with frozen V and b: \
                 single precision, 100 digits and one sample per step, a cosine schedule, \
                 gradients clipped as by default.";
    }
    text
}

fn layers_of(settings: &Settings) -> String {
    settings.layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn verdicts(at: &At) -> Vec<Verdict> {
    let name = at.source.name;
    let n = at.truth.chains;
    let number = |claim: &str, quantity: String, value: Option<f64>, low: f64, high: f64| {
        let mean = Mean::number(value?, n);
        Some(Verdict::new(claim, quantity, mean, low..=high))
    };
    let own = |family: &str| at.of(family);
    let bridges = at.second_bridge().map(|(_, other)| {
        let Estimate { value, error } = at.evidence();
        (value - other.value).abs() / error.hypot(other.error)
    });
    let elbo = |family: &str| own(family).map(|found| found.elbo.value);
    let gap = |family: &str| own(family).map(|found| at.gap(found).value);
    let is_certified = at.study("full").is_some_and(|study| study.spread().is_some());
    let above_full = elbo("t8").zip(elbo("full")).filter(|_| is_certified);
    let above_full = above_full.map(|(t8, full)| t8 - full);
    let annealed = at.truth.annealed;
    let unseen = (annealed.value - at.evidence().value) / annealed.error.hypot(at.evidence().error);
    let share = gap("t8").zip(gap("t0")).map(|(t8, t0)| t8 / t0);
    let (rhat, _) = at.truth.convergence;
    let every = f64::INFINITY;
    let spread = |family: &str| at.study(family)?.spread();
    [
        number("NUTS converges (R̂ < 1.01)", format!("largest R̂; {name}"), Some(rhat), 0., 1.01),
        number(
            "Bridges from two proposals, on the same draws of NUTS, agree within 4 errors",
            format!("|difference of two bridges| / error; {name}"),
            bridges,
            0.,
            4.,
        ),
        number(
            "Annealing, which sees all modes, finds no evidence that NUTS misses",
            format!("(annealed − bridge) / error; {name}"),
            Some(unseen),
            -every,
            4.,
        ),
        number(
            "The best independent Gaussians are known to 0.5 nats",
            format!("spread of the fits of T = 0, nats; {name}"),
            spread("t0"),
            0.,
            0.5,
        ),
        number(
            "The best full Gaussian is known to 0.5 nats",
            format!("spread of the fits of the full Gaussian, nats; {name}"),
            spread("full"),
            0.,
            0.5,
        ),
        number(
            "T = 8 closes at least half of the gap of T = 0",
            format!("gap of T = 8 relative to T = 0; {name}"),
            share,
            -every,
            0.5,
        ),
        number(
            "T = 8 is above the full Gaussian by 2 nats or more",
            format!("ELBO of T = 8 minus that of the full Gaussian, nats; {name}"),
            above_full,
            2.,
            every,
        ),
        number(
            "T = 8 is within 6 nats of the evidence",
            format!("ln p(D) − ELBO, nats; {name}"),
            gap("t8"),
            -every,
            6.,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
