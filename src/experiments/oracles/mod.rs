//! Posteriors whose evidence is known: by how many nats does the bound fall short of `ln p(D)`?
//!
//! `ln p(D) − ELBO = KL(q ‖ p(θ|D))` measures the quality of an approximate posterior in one
//! number, which is usually unknown. Here the evidence is known in closed form, by quadrature, or
//! by bridge sampling from draws of NUTS.
pub mod calibration;
mod gaps;
mod models;
mod problems;
mod tables;

pub use gaps::{Fitted, Method};
pub use models::{Linear, Logistic, Scales};

use super::evidence::PART;
use super::{Experiment, Lab};
use crate::error::Result;
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report};
use crate::report::verdict::{Mean, Verdict};
use crate::stats::Estimate;
use calibration::{BINS, DRAWS, Ranks, band};
use gaps::{Fits, Moments};
use problems::{BRIDGE, EXAMPLES, Problem, Settings};
use std::ops::RangeInclusive;

/// `bhn reproduce oracles`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "oracles",
    place: "not in the paper",
    claim: "Where the evidence is known, couplings close the gap of the bound to it.",
    version: 1,
    readable: 1,
    seeds: [1, 5, 10],
    seconds: [1., 125., 1300.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = &Settings::new(lab.tier);
    let problems = &problems::problems(lab, settings)?;
    let fits = &gaps::fit(lab, settings, problems)?;
    let ranks = &calibration::calibrate(lab, settings)?;
    Ok(Report {
        title: "Oracles: posteriors whose evidence is known".into(),
        paper: PAPER.into(),
        ours: ours(settings, lab.seeds),
        verdicts: [
            of_the_conjugate(fits),
            of_couplings(problems, fits),
            of_oracles(settings, problems, fits),
            of_moments(problems, fits),
            of_ranks(ranks),
        ]
        .concat()
        .into_iter()
        .map(Verdict::own)
        .collect(),
        tables: vec![
            tables::gaps(problems, fits),
            tables::evidence(problems),
            tables::weights(problems, fits),
            tables::nuts(settings, problems),
            tables::moments(fits),
            tables::calibration(ranks),
        ],
        figures: vec![
            Figure::new("gap", GAP, by_couplings(problems, fits)),
            Figure::new("ranks", RANKS, histograms(ranks)),
        ],
        data: vec![tables::fits(fits), tables::ranks(ranks)],
        ..Report::default()
    })
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
            let [(from, fewer), (to, more)] = pair else { unreachable!("windows of two") };
            let growth = fewer.paired(more, |before, after| after - before);
            Some((*from, *to, Mean::if_any(&growth)?))
        });
        let (from, to, mean) = growth.max_by(|a, b| a.2.value.total_cmp(&b.2.value))?;
        let claim = "The gap grows by at most 0.01 nats with the number of couplings";
        let quantity = format!("largest growth, T = {from} to {to}, nats; {}", problem.name);
        Some(Verdict::new(claim, quantity, mean, ..=0.01))
    });
    let shrinks = problems.iter().filter(|problem| problem.key != "linear").filter_map(|problem| {
        let [none, eight] = ["t0", "t8"].map(|method| fits.of(problem.key, method));
        let shares = none.paired(eight, |none, eight| eight / none);
        let claim = "Couplings close at least half of the gap where the posterior is not Gaussian";
        let quantity = format!("gap of T = 8 relative to T = 0; {}", problem.name);
        over_seeds(claim, quantity, &shares, -ANY..=0.5)
    });
    grows.chain(shrinks).collect()
}

fn of_oracles(settings: &Settings, problems: &[Problem], fits: &Fits<'_>) -> Vec<Verdict> {
    // `v − ln p(D)` in units of their joint standard error.
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
    let of = |posterior: &Ranks| {
        let (claim, range) = match posterior.key {
            "mean-field" => ("A factorised Gaussian is not calibrated (p below 0.01)", 2. ..=ANY),
            "nuts" => ("NUTS is calibrated (p above 0.01)", 0. ..=2.),
            _ => ("The hypernet is calibrated (p above 0.01)", 0. ..=2.),
        };
        let (tests, n) = (posterior.quantities(), posterior.ranks.len());
        let name = posterior.name;
        let quantity = format!("−log₁₀ of {tests} × the smallest p-value of {tests} tests; {name}");
        Verdict::new(claim, quantity, Mean::number(posterior.p_value().log10().abs(), n), range)
    };
    ranks.iter().map(of).collect()
}

/// The gap against `T`, a panel per problem. Families that have no `T` are horizontal lines.
fn by_couplings(problems: &[Problem], fits: &Fits<'_>) -> Chart {
    let panel = |problem: &Problem| {
        let curve = fits.by_couplings(problem).into_iter().filter_map(|(t, row)| {
            let gap = Mean::if_any(&row.gaps())?;
            Some((t as f64, gap.value.clamp(LEAST, MOST), gap.error))
        });
        let mut layers = vec![Layer::new("RealNVP", Ink::Series(0), Mark::Curve(curve.collect()))];
        for (i, (method, name)) in LEVELS.into_iter().enumerate() {
            if let Some(gap) = Mean::if_any(&fits.of(problem.key, method).gaps()) {
                let level = gap.value.clamp(LEAST, MOST);
                let mark = Mark::Dashed(vec![(0., level), (8., level)]);
                layers.push(Layer::new(name, Ink::Series(i + 1), mark));
            }
        }
        let y = Axis::new("gap, nats").range(LEAST, MOST).log();
        let x = Axis::new("couplings T").range(-0.3, 8.3);
        Panel { title: problem.name.into(), x, y, layers }
    };
    Chart { columns: 3, size: (320., 260.), panels: problems.iter().map(panel).collect() }
}

/// In the chart, gaps are clamped to the range from `LEAST` to `MOST` nats.
const LEAST: f64 = 1e-4;
const MOST: f64 = 10.;
const LEVELS: [(&str, &str); 4] = [
    ("full", "full Gaussian"),
    ("linear", "linear with kinks"),
    ("iaf", "IAF, T = 4"),
    ("planar", "planar, T = 8"),
];

/// A row of panels per posterior, a column per quantity.
fn histograms(ranks: &[Ranks]) -> Chart {
    let of = ranks[0].quantities();
    let width = (DRAWS + 1) as f64 / BINS as f64;
    let panel = |posterior: &Ranks, q: usize| {
        let counts = posterior.counts(q).map(|n| n as f64);
        let expected = band(posterior.ranks.len());
        let (low, high) = (*expected.start() as f64, *expected.end() as f64);
        let end = (DRAWS + 1) as f64;
        let shade = Mark::Band(vec![(0., low, high), (end, low, high)], 0.35);
        let top = counts.iter().copied().fold(high, f64::max) * 1.1;
        let middle = |(i, count): (usize, &f64)| (width * (i as f64 + 0.5), *count);
        let dots = Mark::Dots(counts.iter().enumerate().map(middle).collect(), 3., 1.);
        Panel {
            title: format!("{}: {}", posterior.name, posterior.quantity(q)),
            x: Axis::new("rank").range(0., end),
            y: Axis::new("simulations").range(0., top),
            layers: vec![
                Layer::new("99 % of bins if uniform", Ink::Gray, shade),
                Layer::new("simulations", Ink::Series(0), dots),
            ],
        }
    };
    let panels =
        ranks.iter().flat_map(|posterior| (0..of).map(move |q| panel(posterior, q))).collect();
    Chart { columns: of, size: (260., 210.), panels }
}

const PAPER: &str = "The paper does not measure how far its posteriors are from the exact ones. \
    The bound falls short of ln p(D) by KL(q‖p(θ|D)), so this distance is known wherever the \
    evidence is. The paper's underlying claim is that couplings make q more expressive than a \
    factorised Gaussian (T = 0): then the gap must not grow with T, and must shrink where the \
    posterior is not Gaussian.";
const GAP: &str = "The gap against the number of couplings, on a logarithmic axis. Means over \
    seeds with one standard error; gaps below 10⁻⁴ nats are drawn at 10⁻⁴.";
const RANKS: &str = "Ranks of the truth among posterior draws. Uniform if the posterior is right, \
    U-shaped if it is too narrow.";

fn ours(settings: &Settings, seeds: u64) -> String {
    let Settings { training, measured, simulations, brief, .. } = settings;
    format!(
        "Linear: a cubic polynomial through {} points, y ~ N(Xθ, ¼), θ ~ N(0, I), in closed form. \
         Scales: the paper's model in small, a weight-normalised 1-{{1, 2}}-1 tanh network with \
         fixed directions and biases and g ~ N(0, I), {} examples with noise of standard deviation \
         ½; evidence by quadrature over the scales of the hidden units, with that of the output \
         integrated in closed form. Ridge: that of the experiment `modes` with κ = 5, by \
         quadrature. O-rings: damage by temperature at the 23 launches before Challenger's last \
         (Dalal, Fowlkes & Hoadley 1989), a logistic regression, by quadrature. Logistic: an \
         intercept and four correlated inputs, {} simulated examples, prior precision ¼; evidence \
         by bridge sampling from draws of NUTS.\n\
         Each posterior: {} steps of Adam from 2·10⁻² to 7·10⁻⁵ with {} noise samples each; \
         couplings and IAF steps have 32 hidden units, log-scales bounded by 2 tanh(·/2), and \
         reversals in between. {seeds} seeds, which share the data. A gap is measured with {} \
         fresh samples.\n\
         Calibration: {simulations} simulations of θ ~ N(0, I) and 30 labels of a logistic \
         regression with an intercept and two inputs with correlation 0.8, and {DRAWS} draws of \
         each posterior: every fifth of a chain of NUTS after 300 draws of warm-up; the others \
         after {} steps of {} samples. NUTS checks the implementation; the others approximate.\n\
         Posteriors of small Bayesian neural networks can only be compared as functions: the \
         experiment `regression` compares them with NUTS. The paper's net with two branches is in \
         `modes`.",
        EXAMPLES[0],
        EXAMPLES[1],
        EXAMPLES[2],
        training.steps,
        training.samples,
        measured.0 * measured.1 as u64,
        brief.steps,
        brief.samples,
    )
}
