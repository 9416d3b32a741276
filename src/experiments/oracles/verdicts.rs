//! How the claims stand.
use super::averaging::PART;
use super::report::{Moments, by_couplings, find, met, with_chains};
use super::{EXAMPLES, Linear, Problem, Ranks, Row, Settings};
use crate::report::verdict::{Mean, Verdict};
use crate::stats::Estimate;
use std::ops::RangeInclusive;

/// All of them.
pub(super) fn verdicts(
    settings: &Settings,
    problems: &[Problem],
    rows: &[Row<'_>],
    ranks: &[Ranks],
) -> Vec<Verdict> {
    [
        of_the_conjugate(rows),
        of_couplings(problems, rows),
        of_oracles(settings, problems, rows),
        of_moments(problems, rows),
        of_ranks(ranks),
    ]
    .concat()
}

const ANY: f64 = f64::INFINITY;

fn verdict(claim: &str, quantity: String, mean: Mean, range: RangeInclusive<f64>) -> Verdict {
    Verdict { claim: claim.into(), quantity, mean, range }
}

/// Over seeds, if there are any.
fn over_seeds(
    claim: &str,
    quantity: String,
    values: &[f64],
    range: RangeInclusive<f64>,
) -> Option<Verdict> {
    (!values.is_empty()).then(|| verdict(claim, quantity, Mean::of(values), range))
}

/// One number that `n` draws, fits or simulations give together.
fn together(
    claim: &str,
    quantity: String,
    value: f64,
    n: usize,
    range: RangeInclusive<f64>,
) -> Verdict {
    verdict(claim, quantity, Mean::number(value, n), range)
}

/// `f(first, second)` seed by seed, if none diverged.
fn pairs(first: &[f64], second: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let zipped = first.iter().zip(second).map(|(a, b)| f(*a, *b));
    if first.len() == second.len() { zipped.collect() } else { vec![] }
}

fn of_the_conjugate(rows: &[Row<'_>]) -> Vec<Verdict> {
    let least = Linear::polynomial(EXAMPLES[0], 4, 0).least_of_mean_field();
    let reached = ["full", "linear", "t4", "t8"].map(|method| {
        let row = find(rows, "linear", method);
        let claim =
            "A flow that can be Gaussian reaches the evidence of linear regression (to 0.01 nats)";
        let quantity = format!("ln p(D) − ELBO, nats; {}", row.method.words);
        over_seeds(claim, quantity, &row.gaps(), -0.01..=0.01)
    });
    let short = ["mean-field", "t0"].map(|method| {
        let row = find(rows, "linear", method);
        let ratios: Vec<_> = row.gaps().iter().map(|gap| gap / least).collect();
        let claim = "Independent Gaussians fall short by what the formula says (to 1 %)";
        let quantity = format!("gap over its closed form, {least:.4} nats; {}", row.method.words);
        over_seeds(claim, quantity, &ratios, 0.99..=1.01)
    });
    reached.into_iter().chain(short).flatten().collect()
}

fn of_couplings(problems: &[Problem], rows: &[Row<'_>]) -> Vec<Verdict> {
    let grows = problems.iter().filter_map(|problem| {
        let curve = by_couplings(rows, problem);
        let growth = curve.windows(2).filter_map(|pair| {
            let growth = pairs(&pair[0].1, &pair[1].1, |before, after| after - before);
            (!growth.is_empty()).then(|| (pair[0].0, pair[1].0, Mean::of(&growth)))
        });
        let (from, to, mean) = growth.max_by(|a, b| a.2.value.total_cmp(&b.2.value))?;
        let claim = "The gap does not grow with the number of couplings (by more than 0.01 nats)";
        let quantity = format!("largest growth, T = {from} to {to}, nats; {}", problem.words);
        Some(verdict(claim, quantity, mean, -ANY..=0.01))
    });
    let shrinks = problems.iter().filter(|problem| problem.key != "linear").filter_map(|problem| {
        let [none, eight] = ["t0", "t8"].map(|method| find(rows, problem.key, method).gaps());
        let shares = pairs(&none, &eight, |none, eight| eight / none);
        let claim = "Couplings close half of the gap or more where the posterior is not Gaussian";
        let quantity = format!("gap of T = 8 over that of T = 0; {}", problem.words);
        over_seeds(claim, quantity, &shares, -ANY..=0.5)
    });
    grows.chain(shrinks).collect()
}

fn of_oracles(settings: &Settings, problems: &[Problem], rows: &[Row<'_>]) -> Vec<Verdict> {
    // `v − ln p(D)` in standard errors of both.
    let above = |v: Estimate, problem: &Problem| {
        let Estimate { value, error } = problem.log_evidence;
        (v.value - value) / v.error.hypot(error).max(1e-9)
    };
    let bounds = rows.iter().flat_map(|row| row.fitted().map(|fit| above(fit.elbo, row.problem)));
    let (fits, most) = bounds.fold((0, -ANY), |(n, most), z| (n + 1, most.max(z)));
    let claim = "No bound is above the evidence (by more than 4 Monte-Carlo errors)";
    let quantity = format!("largest (ELBO − ln p(D)) / error of {fits} fits");
    let first = (fits > 0).then(|| together(claim, quantity, most, fits, -ANY..=4.));
    let others = problems.iter().flat_map(|problem| {
        let agrees = |by: &str, found: Estimate, draws| {
            let claim = "Another way to the evidence agrees (within 4 standard errors)";
            let quantity = format!("difference by {by} over its error; {}", problem.words);
            together(claim, quantity, above(found, problem), draws, -4. ..=4.)
        };
        let draws = settings.averaged * PART;
        let averaged = agrees("averaging over the prior", problem.averaged, draws);
        let bridge = problem.bridge.filter(|_| problem.how != "bridge sampling");
        let draws = problem.chains.iter().map(|chain| chain.theta.len()).sum();
        [averaged].into_iter().chain(bridge.map(|found| agrees("bridge sampling", found, draws)))
    });
    first.into_iter().chain(others).collect()
}

fn of_moments(problems: &[Problem], rows: &[Row<'_>]) -> Vec<Verdict> {
    let narrowest = |problem: &Problem, method, claim, range| {
        let fits = find(rows, problem.key, method).fitted();
        let values: Vec<_> = fits.map(|fit| Moments::new(fit, problem).narrowest).collect();
        let quantity = format!("narrowest σ over that of NUTS; {}", problem.words);
        over_seeds(claim, quantity, &values, range)
    };
    let each = with_chains(problems).flat_map(|problem| {
        let (rhat, ess) = met(problem);
        let quantity = format!("largest R̂ (bulk-ESS at least {ess:.0}); {}", problem.words);
        let claim = "The chains of NUTS have met (R̂ below 1.01)";
        let met = together(claim, quantity, rhat, problem.chains.len(), 0. ..=1.01);
        let eight = "T = 8 has the standard deviations of NUTS (to 5 %)";
        let none = "Independent Gaussians are too narrow (by a tenth or more)";
        [
            Some(met),
            narrowest(problem, "t8", eight, 0.95..=1.05),
            narrowest(problem, "mean-field", none, 0. ..=0.9),
        ]
    });
    each.flatten().collect()
}

fn of_ranks(ranks: &[Ranks]) -> Vec<Verdict> {
    let of = |way: &Ranks| {
        let (claim, range) = match way.key {
            "mean-field" => ("Independent Gaussians are not calibrated (p below 0.01)", 2. ..=ANY),
            "nuts" => ("NUTS is calibrated (p above 0.01)", 0. ..=2.),
            _ => ("The hypernet is calibrated (p above 0.01)", 0. ..=2.),
        };
        let (tests, n) = (way.quantities(), way.ranks.len());
        let quantity = format!("−log₁₀ of {tests} × the least p of {tests} tests; {}", way.words);
        together(claim, quantity, way.p_value().log10().abs(), n, range)
    };
    ranks.iter().map(of).collect()
}
