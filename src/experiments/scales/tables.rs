//! The tables of the page.
use super::at::At;
use super::family::FAMILIES;
use super::fits::{Found, Study};
use super::truth::Flipped;
use super::wide::{Bound, POSTERIORS, Wide};
use crate::report::experiment::Table;
use crate::stats::Estimate;

pub(super) fn gaps(all: &[At]) -> Table {
    let header = ["posterior"].into_iter().chain(all.iter().map(|at| at.source.name));
    let caption = "Nats below the evidence. ln p(D | V, b) − ELBO ± Monte-Carlo error of the ELBO, \
        by the network whose V and b are held fixed. The error of the evidence, the same for a \
        column, is in the table of the evidence. Laplace with the exact Hessian is that of the \
        diagonal where it is in brackets, because the Hessian is not positive definite.";
    let mut table = Table::new("gaps", caption, header);
    for family in FAMILIES {
        let cell = |at: &At| match at.study(family.key).map(|study| gap(at, study.found())) {
            Some(gap) if family.key == "laplace" && !at.truth.is_peaked => {
                format!("({gap})")
            }
            found => found.unwrap_or_default(),
        };
        table.wide_row(&[&family.name], all.iter().map(cell));
    }
    table
}

fn gap(at: &At, found: Option<&Found>) -> String {
    found.map_or("diverged".into(), |found| format!("{:.2}", at.gap(found)))
}

pub(super) fn certificates_of(at: &At) -> Table {
    let caption = "Certificates, at V and b of maximum likelihood: ln p(D | V, b) − ELBO by \
        learning rate; with a multiple of the steps at the best of these rates; and by L-BFGS on \
        fixed draws. The spread is the largest difference between the two best rates, the fit with \
        more steps and that of L-BFGS.";
    let rows = at.studies.iter().filter(|study| study.tried.len() > 1);
    Table::of("certificates", caption, rows).columns(&[
        ("posterior", &|study| study.family.name.into()),
        ("rates: gaps", &|study| {
            let each = study.tried.iter().map(|found| match found {
                Some(found) => format!("{}: {:.2}", found.rate, at.gap(found)),
                None => "diverged".into(),
            });
            each.collect::<Vec<_>>().join("; ")
        }),
        ("more steps", &|study| optional(study.longer.as_ref(), |found| gap(at, Some(found)))),
        ("L-BFGS", &|study| optional(study.fixed.as_ref(), |found| gap(at, Some(found)))),
        ("spread", &|study| optional(study.spread(), |spread| format!("{spread:.2}"))),
    ])
}

fn optional<T>(value: Option<T>, f: impl Fn(T) -> String) -> String {
    value.map_or(String::new(), f)
}

pub(super) fn recipes_table(at: &At) -> Table {
    let caption = "Recipes for RealNVP with T = 8 at the directions of maximum likelihood. gap: \
        ln p(D | V, b) − ELBO ± Monte-Carlo error, for the same steps × (S + 1) and the best rate. \
        gap of L_K: the same with the importance-weighted bound. 3 × steps: the gap with three \
        times the steps at that rate, where it was computed. seconds: of one thread. Each recipe \
        differs from the first as it says.";
    let evidence = at.evidence().value;
    let entry =
        |study: &&Study, f: &dyn Fn(&Found) -> String| study.found().map_or("diverged".into(), f);
    Table::of("recipes", caption, &at.studies).columns(&[
        ("recipe", &|study| study.family.name.into()),
        ("gap", &|study| gap(at, study.found())),
        ("gap of L_K", &|study| {
            entry(study, &|found| format!("{:.2}", evidence - found.importance.0.value))
        }),
        ("k̂", &|study| entry(study, &|found| k_hat(found.k_hat))),
        ("rate", &|study| entry(study, &|found| found.rate.to_string())),
        ("3 × steps", &|study| optional(study.longer.as_ref(), |found| gap(at, Some(found)))),
        ("seconds", &|study| entry(study, &|found| format!("{:.0}", found.seconds))),
    ])
}

pub(super) fn wide_table(all: &[Wide]) -> Table {
    let header = ["V, b", "posterior", "ELBO", "L_K", "k̂", "rate", "test NLL", "seconds"];
    let caption = "D = 1610: 784-800-800-10. Bounds in nats; at one V their differences are \
        differences of KL(q ‖ p). L_K with its K; k̂ of the importance weights; test NLL ± error \
        over digits; seconds of one thread.";
    let mut table = Table::new("wide", caption, header);
    for Wide { net, found } in all {
        for ((_, name, ..), found) in POSTERIORS.iter().zip(found) {
            let cells = match found {
                None => vec!["diverged".into(); 6],
                Some(Bound {
                    rate,
                    elbo,
                    importance: (bound, k),
                    k_hat: tail,
                    tested,
                    seconds,
                }) => {
                    vec![
                        format!("{elbo:.2}"),
                        format!("{:.2} ± {:.2} (K = {k})", bound.value, bound.error),
                        k_hat(*tail),
                        rate.to_string(),
                        format!("{:.4}", tested.nll),
                        format!("{seconds:.0}"),
                    ]
                }
            };
            table.wide_row(&[net, name], cells);
        }
    }
    table
}

fn k_hat(k_hat: Option<f64>) -> String {
    k_hat.map_or("∞".into(), |k| format!("{k:.2}"))
}

pub(super) fn evidence(all: &[At]) -> Table {
    let best = |at: &At, f: &dyn Fn(&Found) -> Option<Estimate>, highest: bool| {
        let each = at.found().filter_map(|(_, found)| f(found));
        let order = |a: &Estimate, b: &Estimate| a.value.total_cmp(&b.value);
        let found = if highest { each.max_by(order) } else { each.min_by(order) };
        found.map_or(String::new(), |found| format!("{found:.2}"))
    };
    let caption = "The evidence ln p(D | V, b) in nats. bridge, Gaussian: bridge sampling from a \
        Gaussian with the moments of half of the draws of NUTS. second bridge: from the fitted \
        posterior that is closest to NUTS. annealed: by annealed importance sampling, whose \
        logarithm is too low on average, with the acceptance rate of its trajectories. L_K: the \
        highest importance-weighted bound of all posteriors. above: the lowest \
        E_p[ln p(g, D)/q(g)]. R̂ and ESS: the worst over the scales and the log joint density, for \
        NUTS, with its divergences and the draws cut off at the largest tree. KL of halves: of \
        test predictions between halves of the draws, nats per digit.";
    Table::of("evidence", caption, all).columns(&[
        ("V, b", &|at| at.source.name.into()),
        ("bridge, Gaussian", &|at| format!("{:.2}", at.evidence())),
        ("second bridge", &|at| {
            at.second_bridge().map_or(String::new(), |(by, e)| format!("{e:.2} ({})", by.key))
        }),
        ("annealed", &|at| format!("{:.2}", at.truth.annealed)),
        ("acceptance", &|at| format!("{:.2}", at.truth.acceptance)),
        ("L_K", &|at| best(at, &|found| Some(found.importance.0), true)),
        ("above", &|at| best(at, &|found| found.above, false)),
        ("R̂", &|at| format!("{:.4}", at.truth.convergence.0)),
        ("ESS", &|at| format!("{:.0}", at.truth.convergence.1)),
        ("divergences", &|at| at.truth.divergences.to_string()),
        ("cut off", &|at| at.truth.cut_off.to_string()),
        ("KL of halves", &|at| format!("{:.1e}", at.truth.halves)),
    ])
}

pub(super) fn turned(all: &[At]) -> Table {
    let caption = "Other modes. The sign of each hidden unit's scale is flipped at the mode, and \
        L-BFGS ascends again. main mode again: it returns. reached by NUTS: it ends elsewhere with \
        the flipped sign, which at least 1 % of the draws of NUTS have too. missed: as before, but \
        fewer draws have it. highest: the largest density of a missed mode relative to the main \
        one, nats. relative mass: Laplace's approximation of the missed modes' mass relative to \
        the main mode's, over those where the curvature is positive definite.";
    let flipped = |at: &At, reached: bool| -> Vec<Flipped> {
        let is_reached = |flipped: &&Flipped| (flipped.crossings >= 0.01) == reached;
        at.truth.flipped.iter().filter(is_reached).copied().collect()
    };
    Table::of("modes", caption, all).columns(&[
        ("V, b", &|at| at.source.name.into()),
        ("units", &|at| at.truth.units.to_string()),
        ("main mode again", &|at| at.truth.same.to_string()),
        ("reached by NUTS", &|at| flipped(at, true).len().to_string()),
        ("missed", &|at| flipped(at, false).len().to_string()),
        ("highest", &|at| {
            let heights = flipped(at, false).into_iter().map(|t| t.height);
            optional(heights.max_by(f64::total_cmp), |height| format!("{height:.1}"))
        }),
        ("relative mass", &|at| {
            let masses: Vec<_> = flipped(at, false).iter().filter_map(|t| t.mass).collect();
            match masses.is_empty() {
                true => "not defined".into(),
                false => {
                    let sum = masses.iter().fold(0., |sum, mass| sum + mass.exp());
                    format!("{sum:.1e} ({} modes)", masses.len())
                }
            }
        }),
        ("largest slope", &|at| format!("{:.0e}", at.truth.slope)),
    ])
}

pub(super) fn details(at: &At) -> Table {
    let name = at.source.name;
    let caption = format!(
        "V and b from {name}. Columns: learning rate; ln p(D | V, b) − ELBO and − L_K, nats; k̂ of \
         the importance weights; E_p[ln p(g, D)/q(g)] − ln p(D | V, b) = KL(p ‖ q); errors of the \
         means (largest, root mean square) and of the deviations (smallest, geometric mean, \
         largest ratio), in posterior deviations; root-mean-square error of the correlations; KL \
         of the test predictions from NUTS's, nats per digit; test NLL ± error over digits; \
         seconds of one thread. The network as trained has a test NLL of {:.4}.",
        at.truth.trained.nll
    );
    let evidence = at.evidence().value;
    Table::of(&format!("posteriors-{}", at.source.key), caption, at.found()).columns(&[
        ("posterior", &|(family, _)| family.name.into()),
        ("rate", &|(_, found)| match found.rate {
            0. => String::new(),
            rate => rate.to_string(),
        }),
        ("gap", &|(_, found)| format!("{:.2}", at.gap(found))),
        ("gap of L_K", &|(_, found)| {
            let (bound, k) = found.importance;
            format!("{:.2} ± {:.2} (K = {k})", evidence - bound.value, bound.error)
        }),
        ("k̂", &|(_, found)| k_hat(found.k_hat)),
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
