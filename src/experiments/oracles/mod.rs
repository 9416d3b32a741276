//! Posteriors whose evidence is known: by how many nats does the bound fall short of `ln p(D)`?
//!
//! `ln p(D) − ELBO = KL(q ‖ p(θ|D))` measures the quality of an approximate posterior in one
//! number, which is usually unknown. Here the evidence is known in closed form, by quadrature, or
//! by bridge sampling from draws of NUTS.
pub mod calibration;
pub mod evidence;
mod gaps;
pub mod gaussian;
mod models;
mod problems;
mod tables;
mod verdicts;

pub use gaps::{Fitted, Method};
pub use models::{Linear, Logistic, Scales};

use super::{Experiment, Lab};
use crate::error::Result;
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report};
use crate::report::verdict::Mean;
use calibration::{BINS, DRAWS, Ranks, band};
use gaps::Fits;
use problems::{EXAMPLES, Problem, Settings};

/// `bhn reproduce oracles`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "oracles",
    place: "not in the paper",
    claim: "Where the evidence is known, couplings close the gap of the bound to it.",
    version: 1,
    seeds: [1, 5, 10],
    seconds: [1., 125., 1300.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = &Settings::new(lab.tier);
    let problems = &problems::problems(lab, settings)?;
    let methods = Method::all();
    let fits = &gaps::fit(lab, settings, problems, &methods)?;
    let ranks = &calibration::calibrate(lab, settings, &methods)?;
    Ok(Report {
        title: "Oracles: posteriors whose evidence is known".into(),
        paper: PAPER.into(),
        ours: ours(settings, lab.seeds),
        verdicts: verdicts::verdicts(settings, problems, fits, ranks),
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

/// The gap against `T`, a panel per problem; families without `T` are horizontal lines.
fn by_couplings(problems: &[Problem], fits: &Fits<'_>) -> Chart {
    let panel = |problem: &Problem| {
        let curve = fits.by_couplings(problem).into_iter().filter_map(|(t, gaps)| {
            let gap = Mean::if_any(&gaps)?;
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

/// Gaps are clamped to this range, in nats.
const LEAST: f64 = 1e-4;
const MOST: f64 = 10.;
const LEVELS: [(&str, &str); 4] = [
    ("full", "full Gaussian"),
    ("linear", "linear with kinks"),
    ("iaf", "IAF, T = 4"),
    ("planar", "planar, T = 8"),
];

/// A row of panels per way to a posterior, a column per quantity.
fn histograms(ranks: &[Ranks]) -> Chart {
    let of = ranks[0].quantities();
    let width = (DRAWS + 1) as f64 / BINS as f64;
    let panel = |way: &Ranks, q: usize| {
        let counts = way.counts(q).map(|n| n as f64);
        let edges = (0..=BINS).map(|i| width * i as f64).collect();
        let expected = band(way.ranks.len());
        let (low, high) = (*expected.start() as f64, *expected.end() as f64);
        let end = (DRAWS + 1) as f64;
        let shade = Mark::Band(vec![(0., low, high), (end, low, high)], 0.35);
        let top = counts.iter().copied().fold(high, f64::max) * 1.1;
        Panel {
            title: format!("{}: {}", way.name, way.quantity(q)),
            x: Axis::new("rank").range(0., end),
            y: Axis::new("simulations").range(0., top),
            layers: vec![
                Layer::new("simulations", Ink::Series(0), Mark::Bins(edges, counts.to_vec())),
                Layer::new("99 % of bins if uniform", Ink::Gray, shade),
            ],
        }
    };
    let panels = ranks.iter().flat_map(|way| (0..of).map(move |q| panel(way, q))).collect();
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
