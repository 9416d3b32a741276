//! What was found, in tables and figures.
use super::calibration::{BINS, DRAWS, band, histogram, uniform};
use super::gaussian::moments;
use super::verdicts::verdicts;
use super::{EXAMPLES, Fitted, Problem, Ranks, Row, Settings, matrix};
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::Mean;
use crate::stats::{Estimate, ess_bulk, rhat};
use ndarray::{Array2, Axis as Of, concatenate};

impl Row<'_> {
    fn is(&self, problem: &str, method: &str) -> bool {
        self.problem.key == problem && self.method.key == method
    }

    pub(super) fn fitted(&self) -> impl Iterator<Item = &Fitted> {
        self.fits.iter().flatten()
    }

    /// `ln p(D) − ELBO = KL(q‖p)`, nats, one a seed that did not diverge.
    pub(super) fn gaps(&self) -> Vec<f64> {
        self.fitted().map(|fit| self.problem.log_evidence.value - fit.elbo.value).collect()
    }
}

pub(super) fn find<'a, 'b>(rows: &'a [Row<'b>], problem: &str, method: &str) -> &'a Row<'b> {
    rows.iter().find(|row| row.is(problem, method)).expect("a row")
}

/// A mean with its error and that of what it is the distance to, or nothing.
fn mean(values: &[f64], error: f64) -> String {
    if values.is_empty() { String::new() } else { Mean::of(values).against(error).to_string() }
}

/// How a posterior's first two moments differ from those of the draws of NUTS.
pub(super) struct Moments {
    /// The largest `|mᵢ − m*ᵢ| / σ*ᵢ`.
    off: f64,
    /// The least `σᵢ / σ*ᵢ`.
    pub narrowest: f64,
    /// The largest.
    widest: f64,
    /// The largest `|ρᵢⱼ − ρ*ᵢⱼ|`.
    correlation: f64,
}

impl Moments {
    pub fn new(fit: &Fitted, problem: &Problem) -> Self {
        let chains: Vec<_> = problem.chains.iter().map(matrix).collect();
        let views: Vec<_> = chains.iter().map(|chain| chain.view()).collect();
        let (m, c) = moments(concatenate(Of(0), &views).expect("chains of one width").view());
        let d = m.len();
        let covariance = Array2::from_shape_fn((d, d), |(i, j)| fit.covariance[i][j]);
        let std = |c: &Array2<f64>, i: usize| c[[i, i]].sqrt();
        let rho = |c: &Array2<f64>, i, j| c[[i, j]] / std(c, i) / std(c, j);
        let pairs = (0..d).flat_map(|i| (0..i).map(move |j| (i, j)));
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
        let ratio = |i| std(&covariance, i) / std(&c, i);
        Self {
            off: most(&mut (0..d).map(|i| (fit.mean[i] - m[i]).abs() / std(&c, i))),
            narrowest: -most(&mut (0..d).map(|i| -ratio(i))),
            widest: most(&mut (0..d).map(ratio)),
            correlation: most(
                &mut pairs.map(|(i, j)| (rho(&covariance, i, j) - rho(&c, i, j)).abs()),
            ),
        }
    }
}

/// Largest `R̂` and least bulk-ESS over the entries of `θ` and `ln p(θ, D)`.
pub(super) fn met(problem: &Problem) -> (f64, f64) {
    let chains = &problem.chains;
    let shape = (chains.len(), chains[0].theta.len());
    let of = |value: &dyn Fn(usize, usize) -> f64| {
        let draws = Array2::from_shape_fn(shape, |(chain, draw)| value(chain, draw));
        (rhat(draws.view()), ess_bulk(draws.view()))
    };
    let entries = (0..problem.joint.dim()).map(|d| of(&|c, s| chains[c].theta[s][d]));
    entries
        .chain([of(&|c, s| chains[c].log_density[s])])
        .fold((f64::NEG_INFINITY, f64::INFINITY), |(r, e), (rhat, ess)| (r.max(rhat), e.min(ess)))
}

pub(super) fn with_chains(problems: &[Problem]) -> impl Iterator<Item = &Problem> {
    problems.iter().filter(|problem| !problem.chains.is_empty())
}

fn gaps_table(problems: &[Problem], rows: &[Row<'_>]) -> Table {
    let header: Vec<_> =
        ["posterior"].into_iter().chain(problems.iter().map(|p| p.words)).collect();
    let mut table = Table::new("gaps", GAPS, &header);
    for row in rows.iter().filter(|row| row.problem.key == problems[0].key) {
        let of = |problem: &Problem| {
            let gaps = find(rows, problem.key, row.method.key).gaps();
            mean(&gaps, problem.log_evidence.error)
        };
        let entries = [row.method.words.to_string()].into_iter().chain(problems.iter().map(of));
        table.row(entries.collect());
    }
    table
}

fn evidence_table(problems: &[Problem]) -> Table {
    let header = ["model", "N", "ln p(D)", "by", "over the prior", "bridge sampling"];
    let mut table = Table::new("evidence", EVIDENCE, &header);
    for problem in problems {
        let Estimate { value, error } = problem.log_evidence;
        table.row(vec![
            problem.words.into(),
            problem.joint.examples().to_string(),
            if error > 0. { format!("{value:.5} ± {error:.5}") } else { format!("{value:.5}") },
            problem.how.into(),
            format!("{:.4}", problem.averaged),
            problem.bridge.map(|bridge| format!("{bridge:.5}")).unwrap_or_default(),
        ]);
    }
    table
}

fn weights_table(problems: &[Problem], rows: &[Row<'_>]) -> Table {
    let header = ["model", "gap", "gap by importance sampling", "its error", "k̂"];
    let mut table = Table::new("weights", WEIGHTS, &header);
    for problem in problems {
        let row = find(rows, problem.key, "t8");
        let of = |f: &dyn Fn(&Fitted) -> Option<f64>| {
            mean(&row.fitted().filter_map(f).collect::<Vec<_>>(), 0.)
        };
        table.row(vec![
            problem.words.into(),
            mean(&row.gaps(), problem.log_evidence.error),
            of(&|fit| Some(problem.log_evidence.value - fit.importance.value)),
            of(&|fit| Some(fit.importance.error)),
            of(&|fit| fit.k_hat),
        ]);
    }
    table
}

fn nuts_table(settings: &Settings, problems: &[Problem]) -> Table {
    let header = ["model", "chains × draws", "largest R̂", "least bulk-ESS", "divergences"];
    let mut table = Table::new("nuts", NUTS, &header);
    for problem in with_chains(problems) {
        let (rhat, ess) = met(problem);
        let divergences: u64 = problem.chains.iter().map(|chain| chain.divergences).sum();
        table.row(vec![
            problem.words.into(),
            format!("{} × {}", settings.chains, settings.nuts.draws),
            format!("{rhat:.4}"),
            format!("{ess:.0}"),
            divergences.to_string(),
        ]);
    }
    table
}

fn moments_table(problems: &[Problem], rows: &[Row<'_>]) -> Table {
    let header = ["model", "posterior", "mean off by", "narrowest", "widest", "correlation off by"];
    let mut table = Table::new("moments", MOMENTS, &header);
    for problem in with_chains(problems) {
        for row in rows.iter().filter(|row| row.problem.key == problem.key) {
            let found: Vec<_> = row.fitted().map(|fit| Moments::new(fit, problem)).collect();
            let of = |f: fn(&Moments) -> f64| mean(&found.iter().map(f).collect::<Vec<_>>(), 0.);
            let names = [problem.words, row.method.words].map(String::from);
            let numbers = [of(|m| m.off), of(|m| m.narrowest), of(|m| m.widest)];
            table.row(names.into_iter().chain(numbers).chain([of(|m| m.correlation)]).collect());
        }
    }
    table
}

impl Ranks {
    /// How many quantities have ranks.
    pub(super) fn quantities(&self) -> usize {
        self.ranks[0].len()
    }

    fn counts(&self, quantity: usize) -> [usize; BINS] {
        histogram(self.ranks.iter().map(|ranks| ranks[quantity]))
    }

    /// The least p-value times the number of tests: the chance of one as small among so many is no more.
    pub(super) fn p_value(&self) -> f64 {
        let p = (0..self.quantities()).map(|q| uniform(&self.counts(q)).p_value);
        (self.quantities() as f64 * p.fold(1., f64::min)).min(1.)
    }
}

/// The name of quantity `q` of so many: entries of `θ`, and last the log-likelihood.
fn quantity(q: usize, of: usize) -> String {
    if q + 1 == of { "ln p(D|θ)".into() } else { format!("θ{}", ['₁', '₂', '₃'][q]) }
}

fn calibration_table(ranks: &[Ranks]) -> Table {
    let of = ranks[0].quantities();
    let names: Vec<_> = (0..of).map(|q| quantity(q, of)).collect();
    let header: Vec<_> = ["posterior"].into_iter().chain(names.iter().map(|n| &**n)).collect();
    let mut table = Table::new("calibration", CALIBRATION, &header);
    for way in ranks {
        let p = |q| {
            let found = uniform(&way.counts(q));
            format!("χ² = {:.1}, p = {}", found.statistic, small(found.p_value))
        };
        table.row([way.words.to_string()].into_iter().chain((0..of).map(p)).collect());
    }
    table
}

fn small(p: f64) -> String {
    if p < 1e-3 { format!("{p:.0e}") } else { format!("{p:.3}") }
}

/// The couplings `T` of RealNVP and its gaps, in ascending order.
pub(super) fn by_couplings<'a>(
    rows: &'a [Row<'a>],
    problem: &'a Problem,
) -> Vec<(usize, Vec<f64>)> {
    let own = rows.iter().filter(|row| row.problem.key == problem.key);
    own.filter_map(|row| Some((row.method.couplings()?, row.gaps()))).collect()
}

/// The gap against `T`, a panel a model; what has no `T` is a level.
fn gaps_figure(problems: &[Problem], rows: &[Row<'_>]) -> Chart {
    let panel = |problem: &Problem| {
        let curve = by_couplings(rows, problem).into_iter().filter(|(_, gaps)| !gaps.is_empty());
        let curve = curve.map(|(t, gaps)| (t as f64, Mean::of(&gaps)));
        let points = curve.map(|(t, gap)| (t, gap.value.clamp(LEAST, MOST), gap.error)).collect();
        let mut layers =
            vec![Layer { name: "RealNVP".into(), ink: Ink::Series(0), mark: Mark::Curve(points) }];
        for (i, (method, name)) in LEVELS.into_iter().enumerate() {
            let gaps = find(rows, problem.key, method).gaps();
            if !gaps.is_empty() {
                let level = Mean::of(&gaps).value.clamp(LEAST, MOST);
                let mark = Mark::Dashed(vec![(0., level), (8., level)]);
                layers.push(Layer { name: name.into(), ink: Ink::Series(i + 1), mark });
            }
        }
        let y = Axis::new("gap, nats").range(LEAST, MOST).log();
        let x = Axis::new("couplings T").range(-0.3, 8.3);
        Panel { title: problem.words.into(), x, y, layers }
    };
    Chart { columns: 3, size: (320., 260.), panels: problems.iter().map(panel).collect() }
}

/// Gaps beyond are drawn here, nats.
const LEAST: f64 = 1e-4;
const MOST: f64 = 10.;
const LEVELS: [(&str, &str); 4] = [
    ("full", "full Gaussian"),
    ("linear", "linear with kinks"),
    ("iaf", "IAF, T = 4"),
    ("planar", "planar, T = 8"),
];

/// A row of panels for each way, one a quantity.
fn calibration_figure(ranks: &[Ranks]) -> Chart {
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
            title: format!("{}: {}", way.words, quantity(q, of)),
            x: Axis::new("rank").range(0., end),
            y: Axis::new("simulations").range(0., top),
            layers: vec![
                Layer {
                    name: "simulations".into(),
                    ink: Ink::Series(0),
                    mark: Mark::Bins(edges, counts.to_vec()),
                },
                Layer { name: "99 % of bins if uniform".into(), ink: Ink::Gray, mark: shade },
            ],
        }
    };
    let panels = ranks.iter().flat_map(|way| (0..of).map(move |q| panel(way, q))).collect();
    Chart { columns: of, size: (260., 210.), panels }
}

/// One line a fit.
fn fits(rows: &[Row<'_>]) -> Table {
    let header = [
        "model",
        "posterior",
        "seed",
        "gap",
        "elbo_error",
        "importance",
        "importance_error",
        "k_hat",
    ];
    let mut table = Table::new("fits", "", &header);
    for row in rows {
        for (seed, fit) in row.fits.iter().enumerate() {
            let mut entries = vec![row.problem.key.into(), row.method.key.into(), seed.to_string()];
            if let Some(fit) = fit {
                let gap = row.problem.log_evidence.value - fit.elbo.value;
                let Estimate { value, error } = fit.importance;
                entries.extend([gap, fit.elbo.error, value, error].map(|v| v.to_string()));
                entries.push(fit.k_hat.map(|k| k.to_string()).unwrap_or_default());
            }
            entries.resize(header.len(), String::new());
            table.row(entries);
        }
    }
    table
}

/// One line a bin.
fn ranks_table(ranks: &[Ranks]) -> Table {
    let mut table = Table::new("ranks", "", &["posterior", "quantity", "bin", "simulations"]);
    for way in ranks {
        let of = way.quantities();
        for q in 0..of {
            for (bin, count) in way.counts(q).into_iter().enumerate() {
                let name = quantity(q, of);
                table.row(vec![way.key.into(), name, bin.to_string(), count.to_string()]);
            }
        }
    }
    table
}

pub(super) fn report(
    settings: &Settings,
    seeds: u64,
    problems: &[Problem],
    rows: &[Row<'_>],
    ranks: &[Ranks],
) -> Report {
    let figure = |name: &str, caption: &str, chart| Figure {
        name: name.into(),
        caption: caption.into(),
        chart,
    };
    Report {
        title: "Oracles: posteriors whose truth is known".into(),
        paper: PAPER.into(),
        ours: ours(settings, seeds),
        verdicts: verdicts(settings, problems, rows, ranks),
        tables: vec![
            gaps_table(problems, rows),
            evidence_table(problems),
            weights_table(problems, rows),
            nuts_table(settings, problems),
            moments_table(problems, rows),
            calibration_table(ranks),
        ],
        figures: vec![
            figure("gap", GAP_FIGURE, gaps_figure(problems, rows)),
            figure("ranks", RANKS_FIGURE, calibration_figure(ranks)),
        ],
        data: vec![fits(rows), ranks_table(ranks)],
        ..Report::default()
    }
}

const PAPER: &str = "The paper never says how far its posteriors are from the true ones. The bound falls \
    short of ln p(D) by KL(q‖p(θ|D)), so wherever the evidence is known the bound tells it to the nat. \
    The claim behind the paper is that couplings make q richer than independent Gaussians (T = 0): \
    then the gap must not grow with T, and must shrink where the posterior is not Gaussian.";
const GAPS: &str = "The gap ln p(D) − ELBO = KL(q‖p(θ|D)) in nats. Means over seeds with one standard error, \
    that of the evidence included. T = 0 is the mean-field Gaussian again, made by a flow.";
const EVIDENCE: &str = "The evidence. In nats, by the way that is taken for the truth, and by others: averages of the \
    likelihood over draws of the prior, and bridge sampling from draws of NUTS, with standard errors.";
const WEIGHTS: &str = "What a posterior says of itself. Of T = 8: the gap; ln p(D) less what importance sampling \
    from q gives for it, and the error that this claims; the shape k̂ of its weights' tail, fine up to 0.7. Where q \
    leaves out a branch none of these knows: a gap that importance sampling keeps, many of its errors wide, is a \
    branch missed.";
const NUTS: &str =
    "NUTS. R̂ and bulk-ESS are rank-normalised, over the entries of θ and ln p(θ, D).";
const MOMENTS: &str = "Mean and covariance beside those of NUTS. The largest difference of a mean, in \
    standard deviations; the least and the largest standard deviation, over that of NUTS; the largest \
    difference of a correlation.";
const CALIBRATION: &str =
    "Simulation-based calibration. Pearson's χ² of the ranks in 20 bins, and its p-value.";
const GAP_FIGURE: &str = "The gap against the number of couplings, on a logarithmic axis. Means over seeds with \
    one standard error; gaps below 10⁻⁴ nats are drawn there.";
const RANKS_FIGURE: &str = "Ranks of the truth among posterior draws. Uniform if the posterior is right; like a U \
    if it is too narrow.";

fn ours(settings: &Settings, seeds: u64) -> Vec<String> {
    let Settings { training, measured, simulations, brief, .. } = settings;
    vec![
        format!(
            "Linear: a cubic through {} points, y ~ N(Xθ, ¼), θ ~ N(0, I): all is known in closed form. Scales: \
             the paper's model in small, a weight-normalised 1-{{1, 2}}-1 tanh network with its directions and \
             biases fixed and g ~ N(0, I), {} examples with noise of a standard deviation of ½; the evidence by \
             quadrature over the hidden units' scales, that of the output integrated in closed form. ab near 1: \
             the ridge of the experiment `modes` with κ = 5, by quadrature. O-rings: damage by temperature at the \
             23 launches before Challenger's last (Dalal, Fowlkes & Hoadley 1989), logistic, by quadrature. \
             Logistic: an intercept and four correlated inputs, {} made-up examples, prior precision ¼; the \
             evidence by bridge sampling from draws of NUTS.",
            EXAMPLES[0], EXAMPLES[1], EXAMPLES[2]
        ),
        format!(
            "Each posterior: {} steps of Adam from 2·10⁻² down to 7·10⁻⁵, {} samples of noise each; couplings and \
             IAF steps have 32 hidden units, log-scales bounded by 2 tanh(·/2), the order reversed between them. \
             {seeds} seeds; the data are the same for all. A gap is measured with {} fresh samples.",
            training.steps,
            training.samples,
            measured.0 * measured.1 as u64
        ),
        format!(
            "Calibration: {simulations} times θ ~ N(0, I), 30 labels of a logistic regression with an intercept and \
             two inputs correlated by 0.8, and {DRAWS} draws of each posterior: by NUTS every fifth of a chain after \
             300, by the others after {} steps of {} samples. If NUTS were not uniform, the code would be wrong; \
             the others approximate.",
            brief.steps, brief.samples
        ),
        "Small Bayesian neural networks have posteriors that can only be compared as functions; the experiment \
         `regression` compares them with NUTS. The paper's net of two branches is in `modes`."
            .into(),
    ]
}
