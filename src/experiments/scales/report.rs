//! Tables, figures and claims.
use super::fits::{FAMILIES, Family, Fits, Found, RECIPES, Recipe};
use super::source::{Net, Settings};
use super::truth::{Truth, divergence};
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::stats::Estimate;

/// What was found at the directions and biases of one net.
struct At<'a> {
    net: &'a Net,
    truth: &'a Truth,
    found: &'a Fits,
}

impl At<'_> {
    /// The fit of a family or recipe, if there is one and it did not diverge.
    fn of(&self, key: &str) -> Option<&Found> {
        self.found.iter().find(|(family, _)| family.key == key)?.1.as_ref()
    }

    /// The fits that did not diverge.
    fn found(&self) -> impl Iterator<Item = (&Family, &Found)> {
        self.found.iter().filter_map(|(family, found)| Some((*family, found.as_ref()?)))
    }

    /// `ln p(D)` by bridge sampling from the posterior that is closest to that of NUTS.
    fn second_bridge(&self) -> Option<(&Family, Estimate)> {
        let each = self.found().filter_map(|(family, found)| Some((family, found.above?, found)));
        let closest = each.min_by(|(_, a, _), (_, b, _)| a.value.total_cmp(&b.value));
        closest.and_then(|(family, _, found)| Some((family, found.bridge?)))
    }

    /// `ln p(D)`: by bridge sampling from a Gaussian.
    fn evidence(&self) -> Estimate {
        self.truth.bridge
    }

    /// `ln p(D) − ELBO`, with the errors of both.
    fn gap(&self, found: &Found) -> Estimate {
        let Estimate { value, error } = self.evidence();
        Estimate { value: value - found.elbo.value, error: error.hypot(found.elbo.error) }
    }
}

pub(super) fn report(
    settings: &Settings,
    nets: &[Net],
    truths: &[Truth],
    found: &[Fits],
) -> Report {
    let all = nets.iter().zip(truths).zip(found);
    let all: Vec<_> = all.map(|((net, truth), found)| At { net, truth, found }).collect();
    Report {
        title: "Scales: what dependence in the posterior is worth".into(),
        paper: PAPER.into(),
        ours: ours(settings, &all),
        verdicts: all.iter().flat_map(verdicts).collect(),
        tables: [gaps(&all), recipes(&all[0]), evidence(&all), turned(&all)]
            .into_iter()
            .chain(all.iter().map(details))
            .collect(),
        figures: vec![
            Figure::new("gap", GAP, by_family(&all)),
            Figure::new("recipe", RECIPE, by_recipe(&all[0])),
            Figure::new("pair", PAIR, scatter(&all[0])),
        ],
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
    three trained networks. Error bars are Monte-Carlo errors.";

const RECIPE: &str = "Nats below the evidence by recipe. RealNVP with T = 8 at the directions of \
    maximum likelihood; each recipe but the last differs from t8 in one choice.";

const PAIR: &str = "The two scales with the strongest correlation, for V and b from maximum \
    likelihood. Draws of NUTS and samples of three posteriors.";

fn ours(settings: &Settings, all: &[At<'_>]) -> String {
    let Settings { nuts, chains, annealing, training, rates, measured, .. } = settings;
    let layers: Vec<_> = settings.layers.iter().map(ToString::to_string).collect();
    format!(
        "A network 784 → {} on {} digits, D = {} scales with the prior N(0, 1). V and b come from \
         60 epochs of maximum likelihood, T = 0 and T = 8 (batch 32, otherwise the defaults of \
         `bhn train`; epoch of the best validation accuracy).\n\
         Truth: {chains} chains of NUTS with {} draws after {} of warm-up, started at the mode \
         plus normal noise of three posterior deviations. ln p(D | V, b) by bridge sampling from a \
         Gaussian with the moments of half of the draws; by annealed importance sampling from the \
         prior with {} temperatures and {} particles; and between L_K (below) and \
         E_p[ln p(g, D)/q(g)] (above).\n\
         Posteriors: full-batch Adam with the path gradient (the total gradient for IAF), {} steps \
         with {} samples each, rate from {rates:?} divided by {} over the run; the best rate is \
         kept. Flows start centred at the mode with a standard deviation of 0.08; couplings have \
         log-scales bounded by 2 tanh(·/2) and plain conditioners, and the elementwise layer comes \
         last. The covariance of Laplace is the inverse of the curvature at the mode; where that \
         is not positive definite, which ReLUs allow, of its diagonal. Each bound is a mean over \
         {} fresh samples.",
        layers.join(", "),
        settings.examples,
        all[0].truth.mean.len(),
        nuts.draws,
        nuts.warmup,
        annealing.temperatures,
        annealing.particles,
        training.steps,
        training.samples,
        Recipe::OURS.decay,
        measured.0 as usize * measured.1,
    )
}

fn verdicts(at: &At<'_>) -> Vec<Verdict> {
    let name = at.net.source.name;
    let n = at.truth.chains.len();
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
    let above_full = elbo("t8").zip(elbo("full")).map(|(t8, full)| t8 - full);
    let share = gap("t8").zip(gap("t0")).map(|(t8, t0)| t8 / t0);
    let (rhat, _) = at.truth.convergence();
    let every = f64::INFINITY;
    [
        number("NUTS converges (R̂ < 1.01)", format!("largest R̂; {name}"), Some(rhat), 0., 1.01),
        number(
            "Two estimates of the evidence agree within 4 errors",
            format!("|difference of two bridges| / error; {name}"),
            bridges,
            0.,
            4.,
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

fn gaps(all: &[At<'_>]) -> Table {
    let header = ["posterior"].into_iter().chain(all.iter().map(|at| at.net.source.name));
    let caption = "Nats below the evidence. ln p(D | V, b) − ELBO ± Monte-Carlo error, by the \
        network whose V and b are held fixed.";
    let mut table = Table::new("gaps", caption, header);
    for family in FAMILIES {
        let cell = |at: &At<'_>| match at.of(family.key) {
            Some(found) => format!("{:.2}", at.gap(found)),
            None if family.is_at(at.net) => "diverged".into(),
            None => String::new(),
        };
        table.wide_row(&[&family.name], all.iter().map(cell));
    }
    table
}

fn recipes(at: &At<'_>) -> Table {
    let caption = "Recipes. RealNVP with T = 8 at the directions of maximum likelihood: \
        ln p(D | V, b) − ELBO ± Monte-Carlo error, − L_K, k̂ and the seconds of one thread. Each \
        recipe but the last differs from the first in one choice; with fewer samples per step \
        there are as many more steps.";
    let first = FAMILIES.iter().filter(|family| family.key == "t8");
    let evidence = at.evidence().value;
    let entry = |family: &&Family, f: &dyn Fn(&Found) -> String| {
        at.of(family.key).map_or("diverged".into(), f)
    };
    Table::of("recipes", caption, first.chain(RECIPES)).columns(&[
        ("recipe", &|family| family.name.into()),
        ("gap", &|family| entry(family, &|found| format!("{:.2}", at.gap(found)))),
        ("gap of L_K", &|family| {
            entry(family, &|found| format!("{:.2}", evidence - found.importance.0.value))
        }),
        ("k̂", &|family| entry(family, &|found| k_hat(found))),
        ("seconds", &|family| entry(family, &|found| format!("{:.0}", found.seconds))),
    ])
}

fn k_hat(found: &Found) -> String {
    found.k_hat.map_or("∞".into(), |k| format!("{k:.2}"))
}

fn evidence(all: &[At<'_>]) -> Table {
    let best = |at: &At<'_>, f: &dyn Fn(&Found) -> Option<Estimate>, highest: bool| {
        let each = at.found().filter_map(|(_, found)| f(found));
        let order = |a: &Estimate, b: &Estimate| a.value.total_cmp(&b.value);
        let found = if highest { each.max_by(order) } else { each.min_by(order) };
        found.map_or(String::new(), |found| format!("{found:.2}"))
    };
    let caption = "The evidence. ln p(D | V, b) in nats by bridge sampling from a Gaussian with the \
        moments of half of the draws and from the fitted posterior that is closest to NUTS's, and \
        by annealed importance sampling; between the highest L_K \
        and the lowest E_p[ln p(g, D)/q(g)] of all posteriors; convergence of NUTS (R̂ and \
        bulk-ESS, the worst over the scales and the log joint density), divergences, draws cut off \
        at the largest tree; KL of test predictions between halves of the draws, nats per digit.";
    Table::of("evidence", caption, all).columns(&[
        ("V, b", &|at| at.net.source.name.into()),
        ("bridge, Gaussian", &|at| format!("{:.2}", at.evidence())),
        ("second bridge", &|at| {
            at.second_bridge().map_or(String::new(), |(by, e)| format!("{e:.2} ({})", by.key))
        }),
        ("annealed", &|at| format!("{:.2}", at.truth.annealed)),
        ("acceptance", &|at| format!("{:.2}", at.truth.acceptance)),
        ("L_K", &|at| best(at, &|found| Some(found.importance.0), true)),
        ("above", &|at| best(at, &|found| found.above, false)),
        ("R̂", &|at| format!("{:.4}", at.truth.convergence().0)),
        ("ESS", &|at| format!("{:.0}", at.truth.convergence().1)),
        ("divergences", &|at| {
            at.truth.chains.iter().map(|chain| chain.divergences).sum::<u64>().to_string()
        }),
        ("cut off", &|at| {
            at.truth.chains.iter().map(|chain| chain.cut_off).sum::<u64>().to_string()
        }),
        ("KL of halves", &|at| {
            let [a, b] = &at.truth.halves;
            format!("{:.1e}", divergence(a, b))
        }),
    ])
}

fn turned(all: &[At<'_>]) -> Table {
    let caption = "Other modes. The sign of each hidden unit's scale is turned and L-BFGS ascends \
        again: how many return to the main mode, how many end elsewhere and with the turned sign, \
        and the sum of the Laplace masses of those of the latter where the curvature is \
        positive definite, relative to the main mode's.";
    let other = |at: &At<'_>| at.truth.turned.iter().filter(|t| !t.same).count();
    Table::of("modes", caption, all).columns(&[
        ("V, b", &|at| at.net.source.name.into()),
        ("units", &|at| at.truth.turned.len().to_string()),
        ("main mode again", &|at| at.truth.turned.iter().filter(|t| t.same).count().to_string()),
        ("elsewhere", &|at| other(at).to_string()),
        ("sign kept", &|at| {
            at.truth.turned.iter().filter(|t| !t.same && t.kept).count().to_string()
        }),
        ("highest, nats", &|at| {
            let heights = at.truth.turned.iter().filter(|t| !t.same).map(|t| t.height);
            heights.max_by(f64::total_cmp).map_or(String::new(), |h| format!("{h:.1}"))
        }),
        ("relative mass", &|at| {
            let masses = at.truth.turned.iter().filter(|t| !t.same && t.kept);
            let masses: Vec<_> = masses.filter_map(|t| t.mass).map(f64::exp).collect();
            let sum = masses.iter().fold(0., |sum, mass| sum + mass);
            format!("{sum:.1e} ({} modes)", masses.len())
        }),
        ("largest slope", &|at| format!("{:.0e}", at.truth.peak.slope)),
    ])
}

fn details(at: &At<'_>) -> Table {
    let name = at.net.source.name;
    let caption = format!(
        "V and b from {name}. Columns: learning rate; ln p(D | V, b) − ELBO and − L_K, nats; k̂ of \
         the importance weights; E_p[ln p(g, D)/q(g)] − ln p(D | V, b) = KL(p ‖ q); errors of the \
         means (largest, root mean square) and of the deviations (smallest, geometric mean, \
         largest ratio), in posterior deviations; root-mean-square error of the correlations; KL \
         of the test predictions from NUTS's, nats per digit; test NLL ± error over digits; \
         seconds of one thread. The network as trained has a test NLL of {:.4}.",
        at.net.trained.nll
    );
    let is_family = |family: &Family| FAMILIES.iter().any(|other| other.key == family.key);
    let rows = at.found().filter(|(family, _)| is_family(family));
    let evidence = at.evidence().value;
    Table::of(&format!("posteriors-{}", at.net.source.key), caption, rows).columns(&[
        ("posterior", &|(family, _)| family.name.into()),
        ("rate", &|(_, found)| found.rate.map_or(String::new(), |rate| rate.to_string())),
        ("gap", &|(_, found)| format!("{:.2}", at.gap(found))),
        ("gap of L_K", &|(_, found)| {
            let (bound, k) = found.importance;
            format!("{:.2} ± {:.2} (K = {k})", evidence - bound.value, bound.error)
        }),
        ("k̂", &|(_, found)| k_hat(found)),
        ("KL(p ‖ q)", &|(_, found)| {
            found.above.map_or(String::new(), |a| format!("{:.2}", a.value - evidence))
        }),
        ("means", &|(_, found)| format!("{:.2}, {:.2}", found.mean[0], found.mean[1])),
        ("deviations", &|(_, found)| {
            let [least, mean, most] = found.deviations;
            format!("{least:.2}, {mean:.2}, {most:.2}")
        }),
        ("correlations", &|(_, found)| format!("{:.3}", found.correlations)),
        ("KL of predictions", &|(_, found)| format!("{:.1e}", found.divergence)),
        ("test NLL", &|(_, found)| format!("{:.4}", found.tested.nll)),
        ("seconds", &|(_, found)| format!("{:.0}", found.seconds)),
    ])
}

fn by_family(all: &[At<'_>]) -> Chart {
    let panel =
        |at: &At<'_>| intervals(at, &format!("V, b from {}", at.net.source.name), FAMILIES.iter());
    Chart { columns: 1, size: (640., 220.), panels: all.iter().map(panel).collect() }
}

fn by_recipe(at: &At<'_>) -> Chart {
    let first = FAMILIES.iter().filter(|family| family.key == "t8");
    Chart { size: (640., 260.), ..Chart::one(intervals(at, "", first.chain(RECIPES))) }
}

/// The gaps of some fits on a logarithmic axis, each with its key.
fn intervals<'a>(at: &At<'_>, title: &str, families: impl Iterator<Item = &'a Family>) -> Panel {
    let points = families.enumerate().filter_map(|(i, family)| {
        let gap = at.gap(at.of(family.key)?);
        Some((family.key, (i as f64, gap.value.max(0.01), gap.error)))
    });
    let points: Vec<_> = points.collect();
    let names = points.iter().map(|&(key, (x, y, _))| (x, y, key.into())).collect();
    let last = points.last().map_or(0., |(_, (x, ..))| *x);
    let points: Vec<_> = points.into_iter().map(|(_, point)| point).collect();
    Panel {
        title: title.into(),
        x: Axis::new("").range(-0.5, last + 0.5).integer(),
        y: Axis::new("ln p(D) − ELBO, nats").log(),
        layers: vec![
            Layer::new("", Ink::Series(0), Mark::Intervals(points)),
            Layer::new("", Ink::Gray, Mark::Text(names)),
        ],
    }
}

/// The indices of the two scales with the strongest correlation.
fn strongest(truth: &Truth) -> (usize, usize) {
    let c = &truth.covariance;
    let pairs = (0..c.nrows()).flat_map(|i| (0..i).map(move |j| (i, j)));
    let square = |&(i, j): &(usize, usize)| c[[i, j]].powi(2) / (c[[i, i]] * c[[j, j]]);
    pairs.max_by(|a, b| square(a).total_cmp(&square(b))).expect("two scales")
}

fn scatter(at: &At<'_>) -> Chart {
    let (i, j) = strongest(at.truth);
    let axis = |d: usize| {
        let (mean, std) = (at.truth.mean[d], at.truth.covariance[[d, d]].sqrt());
        Axis::new(format!("g{}", d + 1)).range(mean - 4. * std, mean + 4. * std)
    };
    let panel = |title: &str, points: Vec<(f64, f64)>| Panel {
        title: title.into(),
        x: axis(i),
        y: axis(j),
        layers: vec![Layer::new("", Ink::Series(0), Mark::Dots(points, 2., 0.5))],
    };
    let draws = at.truth.chains.iter().flat_map(|chain| &chain.theta);
    let every = draws.clone().count().div_ceil(300);
    let nuts = draws.step_by(every).map(|g| (g[i], g[j])).collect();
    let of = |key: &str, title: &str| {
        let found = at.of(key)?;
        Some(panel(title, found.samples.iter().map(|g| (g[i], g[j])).collect()))
    };
    let others = [of("t0", "T = 0"), of("full", "full Gaussian"), of("t8", "T = 8")];
    let panels = [panel("NUTS", nuts)].into_iter().chain(others.into_iter().flatten()).collect();
    Chart { columns: 4, size: (260., 260.), panels }
}
