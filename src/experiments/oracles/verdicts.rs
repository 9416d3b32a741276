//! The verdicts of the oracles.
use super::calibration::Ranks;
use super::evidence::PART;
use super::gaps::{Fits, Moments};
use super::models::Linear;
use super::problems::{BRIDGE, EXAMPLES, Problem, Settings};
use crate::report::verdict::{Mean, Verdict};
use crate::stats::Estimate;
use std::ops::RangeInclusive;

pub(super) fn verdicts(
    settings: &Settings,
    problems: &[Problem],
    fits: &Fits<'_>,
    ranks: &[Ranks],
) -> Vec<Verdict> {
    [
        of_the_conjugate(fits),
        of_couplings(problems, fits),
        of_oracles(settings, problems, fits),
        of_moments(problems, fits),
        of_ranks(ranks),
    ]
    .concat()
}

const ANY: f64 = f64::INFINITY;

/// A claim about a mean over seeds; `None` if every fit diverged.
fn over_seeds(
    claim: &str,
    quantity: String,
    values: &[f64],
    range: RangeInclusive<f64>,
) -> Option<Verdict> {
    Mean::if_any(values).map(|mean| Verdict::new(claim, quantity, mean, range))
}

/// `f(first, second)` seed by seed; empty if a fit diverged.
fn paired(first: &[f64], second: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let zipped = first.iter().zip(second).map(|(a, b)| f(*a, *b));
    if first.len() == second.len() { zipped.collect() } else { vec![] }
}

fn of_the_conjugate(fits: &Fits<'_>) -> Vec<Verdict> {
    let least = Linear::polynomial(EXAMPLES[0], 4, 0).least_of_mean_field();
    let reached = ["full", "linear", "t4", "t8"].map(|method| {
        let row = fits.of("linear", method);
        let claim =
            "Flows that contain Gaussians reach the evidence of linear regression to 0.01 nats";
        let quantity = format!("ln p(D) − ELBO, nats; {}", row.input.method.name);
        over_seeds(claim, quantity, &row.gaps(), -0.01..=0.01)
    });
    let short = ["mean-field", "t0"].map(|method| {
        let row = fits.of("linear", method);
        let ratios: Vec<_> = row.gaps().iter().map(|gap| gap / least).collect();
        let claim = "The gap of a factorised Gaussian equals its closed form within 1 %";
        let name = row.input.method.name;
        let quantity = format!("gap relative to its closed form, {least:.4} nats; {name}");
        over_seeds(claim, quantity, &ratios, 0.99..=1.01)
    });
    reached.into_iter().chain(short).flatten().collect()
}

fn of_couplings(problems: &[Problem], fits: &Fits<'_>) -> Vec<Verdict> {
    let grows = problems.iter().filter_map(|problem| {
        let curve = fits.by_couplings(problem);
        let growth = curve.windows(2).filter_map(|pair| {
            let growth = paired(&pair[0].1, &pair[1].1, |before, after| after - before);
            Some((pair[0].0, pair[1].0, Mean::if_any(&growth)?))
        });
        let (from, to, mean) = growth.max_by(|a, b| a.2.value.total_cmp(&b.2.value))?;
        let claim = "The gap grows by at most 0.01 nats with the number of couplings";
        let quantity = format!("largest growth, T = {from} to {to}, nats; {}", problem.name);
        Some(Verdict::new(claim, quantity, mean, ..=0.01))
    });
    let shrinks = problems.iter().filter(|problem| problem.key != "linear").filter_map(|problem| {
        let [none, eight] = ["t0", "t8"].map(|method| fits.of(problem.key, method).gaps());
        let shares = paired(&none, &eight, |none, eight| eight / none);
        let claim = "Couplings close at least half of the gap where the posterior is not Gaussian";
        let quantity = format!("gap of T = 8 relative to T = 0; {}", problem.name);
        over_seeds(claim, quantity, &shares, -ANY..=0.5)
    });
    grows.chain(shrinks).collect()
}

fn of_oracles(settings: &Settings, problems: &[Problem], fits: &Fits<'_>) -> Vec<Verdict> {
    // `v − ln p(D)` in standard errors of both.
    let above = |v: Estimate, problem: &Problem| {
        let Estimate { value, error } = problem.log_evidence;
        (v.value - value) / v.error.hypot(error).max(1e-9)
    };
    let bounds =
        fits.iter().flat_map(|row| row.fitted().map(|fit| above(fit.elbo, row.input.problem)));
    let (fits, most) = bounds.fold((0, -ANY), |(n, most), z| (n + 1, most.max(z)));
    let claim = "No bound exceeds the evidence by more than 4 Monte-Carlo errors";
    let quantity = format!("largest (ELBO − ln p(D)) / error of {fits} fits");
    let most = Mean::number(most, fits);
    let first = (fits > 0).then(|| Verdict::new(claim, quantity, most, ..=4.));
    let others = problems.iter().flat_map(|problem| {
        let agrees = |by: &str, found: Estimate, draws| {
            let claim = "Another estimate of the evidence agrees within 4 standard errors";
            let quantity = format!("difference of {by} in its standard errors; {}", problem.name);
            Verdict::new(claim, quantity, Mean::number(above(found, problem), draws), -4. ..=4.)
        };
        let draws = settings.averaged * PART;
        let averaged = agrees("averaging over the prior", problem.averaged, draws);
        let bridge = problem.bridge.filter(|_| problem.how != BRIDGE);
        let draws = problem.chains.iter().map(|chain| chain.theta.len()).sum();
        [averaged].into_iter().chain(bridge.map(|found| agrees(BRIDGE, found, draws)))
    });
    first.into_iter().chain(others).collect()
}

fn of_moments(problems: &[Problem], fits: &Fits<'_>) -> Vec<Verdict> {
    let narrowest = |problem: &Problem, method, claim, range| {
        let fits = fits.of(problem.key, method).fitted();
        let values: Vec<_> = fits.map(|fit| Moments::new(fit, problem).narrowest).collect();
        let quantity = format!("narrowest σ relative to NUTS; {}", problem.name);
        over_seeds(claim, quantity, &values, range)
    };
    let each = problems.iter().filter(|problem| !problem.chains.is_empty()).flat_map(|problem| {
        let (rhat, ess) = problem.convergence();
        let quantity = format!("largest R̂ (bulk-ESS at least {ess:.0}); {}", problem.name);
        let claim = "The chains of NUTS converged (R̂ below 1.01)";
        let rhat = Mean::number(rhat, problem.chains.len());
        let converged = Verdict::new(claim, quantity, rhat, 0. ..=1.01);
        let eight = "T = 8 has the standard deviations of NUTS within 5 %";
        let none = "A factorised Gaussian is too narrow by at least a tenth";
        [
            Some(converged),
            narrowest(problem, "t8", eight, 0.95..=1.05),
            narrowest(problem, "mean-field", none, 0. ..=0.9),
        ]
    });
    each.flatten().collect()
}

fn of_ranks(ranks: &[Ranks]) -> Vec<Verdict> {
    let of = |way: &Ranks| {
        let (claim, range) = match way.key {
            "mean-field" => ("A factorised Gaussian is not calibrated (p below 0.01)", 2. ..=ANY),
            "nuts" => ("NUTS is calibrated (p above 0.01)", 0. ..=2.),
            _ => ("The hypernet is calibrated (p above 0.01)", 0. ..=2.),
        };
        let (tests, n) = (way.quantities(), way.ranks.len());
        let name = way.name;
        let quantity = format!("−log₁₀ of {tests} × the smallest p-value of {tests} tests; {name}");
        Verdict::new(claim, quantity, Mean::number(way.p_value().log10().abs(), n), range)
    };
    ranks.iter().map(of).collect()
}
