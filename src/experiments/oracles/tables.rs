//! The tables of the oracles.
use super::calibration::Ranks;
use super::gaps::{Fits, Fitted, Method, Moments};
use super::problems::{Problem, Settings};
use crate::report::experiment::Table;
use crate::report::verdict::Mean;
use crate::stats::Estimate;

/// The mean of `values`, one per seed, as text. The standard error includes `error`, that of the
/// evidence. The text is empty if every fit diverged.
fn mean(values: &[f64], error: f64) -> String {
    Mean::if_any(values).map_or(String::new(), |mean| mean.against(error).to_string())
}

/// A row per method, a column per problem.
pub(super) fn gaps(problems: &[Problem], fits: &Fits<'_>) -> Table {
    let header = ["posterior"].into_iter().chain(problems.iter().map(|problem| problem.name));
    let mut table = Table::new("gaps", GAPS, header);
    for method in Method::ALL {
        let of = |problem: &Problem| {
            mean(&fits.of(problem.key, method.key).gaps(), problem.log_evidence.error)
        };
        table.wide_row(&[&method.name], problems.iter().map(of));
    }
    table
}

pub(super) fn evidence(problems: &[Problem]) -> Table {
    let reference = |Estimate { value, error }: Estimate| match error > 0. {
        true => format!("{value:.5} ± {error:.5}"),
        false => format!("{value:.5}"),
    };
    Table::of("evidence", EVIDENCE, problems).columns(&[
        ("model", &|problem| problem.name.into()),
        ("N", &|problem| problem.joint.examples().to_string()),
        ("ln p(D)", &|problem| reference(problem.log_evidence)),
        ("by", &|problem| problem.how.into()),
        ("averaged over the prior", &|problem| format!("{:.4}", problem.averaged)),
        ("bridge sampling", &|problem| {
            problem.bridge.map(|bridge| format!("{bridge:.5}")).unwrap_or_default()
        }),
    ])
}

pub(super) fn weights(problems: &[Problem], fits: &Fits<'_>) -> Table {
    let of = |problem: &Problem, f: &dyn Fn(&Fitted) -> Option<f64>| {
        mean(&fits.of(problem.key, "t8").fitted().filter_map(f).collect::<Vec<_>>(), 0.)
    };
    Table::of("weights", WEIGHTS, problems).columns(&[
        ("model", &|problem| problem.name.into()),
        ("gap", &|problem| mean(&fits.of(problem.key, "t8").gaps(), problem.log_evidence.error)),
        ("gap by importance sampling", &|problem| {
            of(problem, &|fit| Some(problem.log_evidence.value - fit.importance.value))
        }),
        ("its error", &|problem| of(problem, &|fit| Some(fit.importance.error))),
        ("k̂", &|problem| of(problem, &|fit| fit.k_hat)),
    ])
}

pub(super) fn nuts(settings: &Settings, problems: &[Problem]) -> Table {
    let divergences =
        |problem: &Problem| -> u64 { problem.chains.iter().map(|chain| chain.divergences).sum() };
    let sampled = problems.iter().filter(|problem| !problem.chains.is_empty());
    Table::of("nuts", NUTS, sampled).columns(&[
        ("model", &|problem| problem.name.into()),
        ("chains × draws", &|_| format!("{} × {}", settings.chains, settings.nuts.draws)),
        ("largest R̂", &|problem| format!("{:.4}", problem.convergence().0)),
        ("smallest bulk-ESS", &|problem| format!("{:.0}", problem.convergence().1)),
        ("divergences", &|problem| divergences(problem).to_string()),
    ])
}

pub(super) fn moments(fits: &Fits<'_>) -> Table {
    let rows = fits.iter().filter(|row| !row.input.problem.chains.is_empty());
    let rows = rows.map(|row| {
        let found = row.fitted().map(|fit| Moments::new(fit, row.input.problem));
        (&row.input, found.collect::<Vec<_>>())
    });
    let of = |found: &[Moments], f: fn(&Moments) -> f64| {
        mean(&found.iter().map(f).collect::<Vec<_>>(), 0.)
    };
    Table::of("moments", MOMENTS, rows).columns(&[
        ("model", &|(variant, _)| variant.problem.name.into()),
        ("posterior", &|(variant, _)| variant.method.name.into()),
        ("error of the mean", &|(_, found)| of(found, |m| m.mean)),
        ("narrowest", &|(_, found)| of(found, |m| m.narrowest)),
        ("widest", &|(_, found)| of(found, |m| m.widest)),
        ("error of a correlation", &|(_, found)| of(found, |m| m.correlation)),
    ])
}

pub(super) fn calibration(ranks: &[Ranks]) -> Table {
    let quantities = 0..ranks[0].quantities();
    let names = quantities.clone().map(|q| ranks[0].quantity(q));
    let mut table =
        Table::new("calibration", CALIBRATION, ["posterior".into()].into_iter().chain(names));
    let short = |p: f64| if p < 1e-3 { format!("{p:.0e}") } else { format!("{p:.3}") };
    for posterior in ranks {
        let test = |q| {
            let found = posterior.uniform(q);
            format!("χ² = {:.1}, p = {}", found.statistic, short(found.p_value))
        };
        table.wide_row(&[&posterior.name], quantities.clone().map(test));
    }
    table
}

/// One row per fit; a fit that diverged has no numbers.
pub(super) fn fits(fits: &Fits<'_>) -> Table {
    let gap = |problem: &Problem, fit: &Fitted| problem.log_evidence.value - fit.elbo.value;
    let number = |fit: &Option<Fitted>, of: &dyn Fn(&Fitted) -> Option<f64>| {
        fit.as_ref().and_then(of).map_or(String::new(), |v| v.to_string())
    };
    Table::of("fits", "", fits.results()).columns(&[
        ("model", &|(row, ..)| row.input.problem.key.into()),
        ("posterior", &|(row, ..)| row.input.method.key.into()),
        ("seed", &|(_, seed, _)| seed.to_string()),
        ("gap", &|(row, _, fit)| number(fit, &|fit| Some(gap(row.input.problem, fit)))),
        ("elbo_error", &|(.., fit)| number(fit, &|fit| Some(fit.elbo.error))),
        ("importance", &|(.., fit)| number(fit, &|fit| Some(fit.importance.value))),
        ("importance_error", &|(.., fit)| number(fit, &|fit| Some(fit.importance.error))),
        ("k_hat", &|(.., fit)| number(fit, &|fit| fit.k_hat)),
    ])
}

/// One row per bin.
pub(super) fn ranks(ranks: &[Ranks]) -> Table {
    let mut table = Table::new("ranks", "", ["posterior", "quantity", "bin", "simulations"]);
    for posterior in ranks {
        for q in 0..posterior.quantities() {
            for (bin, count) in posterior.counts(q).into_iter().enumerate() {
                table.row(&[&posterior.key, &posterior.quantity(q), &bin, &count]);
            }
        }
    }
    table
}

const GAPS: &str = "The gap ln p(D) − ELBO = KL(q‖p(θ|D)) in nats. Means over seeds with one \
    standard error, including that of the evidence. T = 0 is the mean-field Gaussian, represented \
    by a flow.";
const EVIDENCE: &str = "The evidence. In nats, by the reference method and by others: averages of \
    the likelihood over samples of the prior, and bridge sampling from draws of NUTS, with \
    standard errors.";
const WEIGHTS: &str = "Self-diagnosis of a posterior. For T = 8: the gap; ln p(D) minus its \
    estimate by importance sampling from q, and the estimated error of that; the shape k̂ of the \
    weights' tail, reliable up to 0.7. If q misses a branch none of these detects it: a gap that \
    remains under importance sampling, many of its errors wide, is a missed branch.";
const NUTS: &str = "NUTS. Rank-normalised R̂ and bulk-ESS over the entries of θ and ln p(θ, D).";
const MOMENTS: &str = "Mean and covariance compared with NUTS. Largest error of a mean, in \
    standard deviations; smallest and largest standard deviation relative to NUTS; largest error \
    of a correlation.";
const CALIBRATION: &str =
    "Simulation-based calibration. Pearson's χ² of the ranks in 20 bins, and its p-value.";
