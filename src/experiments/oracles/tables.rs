//! The tables of the oracles.
use super::calibration::uniform;
use super::gaps::{Fits, Moments};
use super::methods::Fitted;
use super::problems::{Problem, Settings};
use super::ranks::Ranks;
use crate::report::experiment::Table;
use crate::report::verdict::Mean;
use crate::stats::Estimate;

/// A mean over seeds whose error includes that of the evidence; empty if every fit diverged.
fn mean(values: &[f64], error: f64) -> String {
    if values.is_empty() { String::new() } else { Mean::of(values).against(error).to_string() }
}

/// The problems with draws of NUTS.
fn with_chains(problems: &[Problem]) -> impl Iterator<Item = &Problem> {
    problems.iter().filter(|problem| !problem.chains.is_empty())
}

/// A row per method, a column per problem.
pub(super) fn gaps(problems: &[Problem], fits: &Fits<'_>) -> Table {
    let header: Vec<_> = ["posterior"].into_iter().chain(problems.iter().map(|p| p.name)).collect();
    let mut table = Table::new("gaps", GAPS, &header);
    for row in fits.iter().filter(|row| row.input.problem.key == problems[0].key) {
        let method = row.input.method;
        let of = |problem: &Problem| {
            mean(&fits.of(problem.key, method.key).gaps(), problem.log_evidence.error)
        };
        table.row([method.name.into()].into_iter().chain(problems.iter().map(of)).collect());
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
    Table::of("nuts", NUTS, with_chains(problems)).columns(&[
        ("model", &|problem| problem.name.into()),
        ("chains × draws", &|_| format!("{} × {}", settings.chains, settings.nuts.draws)),
        ("largest R̂", &|problem| format!("{:.4}", problem.convergence().0)),
        ("smallest bulk-ESS", &|problem| format!("{:.0}", problem.convergence().1)),
        ("divergences", &|problem| divergences(problem).to_string()),
    ])
}

pub(super) fn moments(problems: &[Problem], fits: &Fits<'_>) -> Table {
    let header = [
        "model",
        "posterior",
        "error of the mean",
        "narrowest",
        "widest",
        "error of a correlation",
    ];
    let mut table = Table::new("moments", MOMENTS, &header);
    for problem in with_chains(problems) {
        for row in fits.iter().filter(|row| row.input.problem.key == problem.key) {
            let found: Vec<_> = row.fitted().map(|fit| Moments::new(fit, problem)).collect();
            let of = |f: fn(&Moments) -> f64| mean(&found.iter().map(f).collect::<Vec<_>>(), 0.);
            let names = [problem.name, row.input.method.name].map(String::from);
            let measures: [fn(&Moments) -> f64; 4] =
                [|m| m.mean, |m| m.narrowest, |m| m.widest, |m| m.correlation];
            table.row(names.into_iter().chain(measures.map(of)).collect());
        }
    }
    table
}

pub(super) fn calibration(ranks: &[Ranks]) -> Table {
    let names: Vec<_> = (0..ranks[0].quantities()).map(|q| ranks[0].quantity(q)).collect();
    let header: Vec<_> = ["posterior"].into_iter().chain(names.iter().map(|n| &**n)).collect();
    let mut table = Table::new("calibration", CALIBRATION, &header);
    let short = |p: f64| if p < 1e-3 { format!("{p:.0e}") } else { format!("{p:.3}") };
    for way in ranks {
        let test = |q| {
            let found = uniform(&way.counts(q));
            format!("χ² = {:.1}, p = {}", found.statistic, short(found.p_value))
        };
        let tests = (0..way.quantities()).map(test);
        table.row([way.name.to_string()].into_iter().chain(tests).collect());
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
    let mut table = Table::new("ranks", "", &["posterior", "quantity", "bin", "simulations"]);
    for way in ranks {
        for q in 0..way.quantities() {
            for (bin, count) in way.counts(q).into_iter().enumerate() {
                let numbers = [bin.to_string(), count.to_string()];
                let names = [way.key.into(), way.quantity(q)];
                table.row(names.into_iter().chain(numbers).collect());
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
