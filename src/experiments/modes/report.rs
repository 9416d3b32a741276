//! Tables, figures and verdicts.
use super::fit::{Fit, Measured, Settings};
use super::protocol::{DISTANCE, Problem, Variant, authors, on_net, ours};
use super::target::{Target, given_a};
use crate::bayes::Base;
use crate::experiments::{Grid, Row, Tier};
use crate::random::{Purpose, stream};
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use std::f64::consts::LN_2;
use std::ops::RangeInclusive;

/// Both branches count as found if the fraction of samples with `a > 0` is in this range.
const FOUND: RangeInclusive<f64> = 0.35..=0.65;

impl Row<Variant<'_>, Fit> {
    /// The fits that did not diverge.
    fn fitted(&self) -> impl Iterator<Item = &Measured> {
        self.results.iter().filter_map(|fit| match fit {
            Fit::Fitted(measured) => Some(measured),
            Fit::Diverged { .. } => None,
        })
    }

    /// `KL(q‖p) = ln p(D) − ELBO` of each fit that did not diverge.
    fn kl(&self) -> Vec<f64> {
        self.fitted().map(|fit| self.input.problem.log_evidence.value - fit.elbo).collect()
    }

    /// For each fit that did not diverge, the fraction of its samples on the branch with fewer
    /// samples.
    fn smaller(&self) -> Vec<f64> {
        self.fitted().map(|fit| fit.positive.min(1. - fit.positive)).collect()
    }

    /// Fraction of the seeds that found both branches; a fit that diverged counts as a failure.
    fn both(&self) -> Mean {
        let both = |fit: &Fit| matches!(fit, Fit::Fitted(fit) if FOUND.contains(&fit.positive));
        Mean::share(self.results.iter().map(both))
    }
}

/// Four decimals below 10, otherwise one.
fn nats(v: f64) -> String {
    if v.abs() < 10. { format!("{v:.4}") } else { format!("{v:.1}") }
}

pub(super) fn report(tier: Tier, problems: &[Problem], grid: &Grid<Variant<'_>, Fit>) -> Report {
    let range = |row: &Row<Variant<'_>, Fit>| {
        let [least, most] = [f64::min, f64::max].map(|f| row.kl().into_iter().reduce(f));
        Some(format!("{} to {}", nats(least?), nats(most?)))
    };
    let table = |name: &str, caption: &str, of_net: bool| {
        let rows = grid.iter().filter(|row| (row.input.problem.key == "net") == of_net);
        Table::of(name, caption, rows).columns(&[
            ("posterior", &|row| row.input.problem.name.clone()),
            ("hypernet", &|row| row.input.name.into()),
            ("KL(q‖p), nats", &|row| {
                Mean::if_any(&row.kl()).map_or(String::new(), |kl| kl.to_string())
            }),
            ("lowest to highest", &|row| range(row).unwrap_or_default()),
            ("Monte-Carlo error", &|row| {
                row.fitted().map(|fit| fit.error).reduce(f64::max).map_or(String::new(), nats)
            }),
            ("smaller branch", &|row| {
                let share = Mean::if_any(&row.smaller());
                share.map_or(String::new(), |share| format!("{:.1} %", 100. * share.value))
            }),
            ("both branches", &|row| row.both().to_string()),
            ("diverged", &|row| (row.results.len() - row.fitted().count()).to_string()),
        ])
    };
    Report {
        title: "Figure 3: two branches of a posterior".into(),
        paper: PAPER.into(),
        ours: description(tier, problems),
        verdicts: verdicts(grid),
        tables: vec![table("net", NET, true), table("ridge", RIDGE, false)],
        figures: figures(grid),
        data: vec![fits(grid)],
        ..Report::default()
    }
}

/// The quantity of a claim in words, and its value for a row; `None` if every fit diverged.
type Quantity = (&'static str, fn(&Row<Variant<'_>, Fit>) -> Option<Mean>);

const SMALLER: Quantity =
    ("fraction of samples on the smaller branch", |row| Mean::if_any(&row.smaller()));
const BOTH: Quantity = ("seeds with 35 to 65 % on each branch", |row| Some(row.both()));
const KL: Quantity = ("KL(q‖p) in nats", |row| Mean::if_any(&row.kl()));

/// A claim about several rows: the keys of the rows, the claim in words, the quantity, and the
/// range that the claim states.
type Claim = (&'static [&'static str], &'static str, Quantity, RangeInclusive<f64>);

const ANY: f64 = f64::INFINITY;
const RIDGES: &[&str] = &["ridge-30-ours", "ridge-200-ours"];
const ANNEALED: &[&str] = &["ridge-30-t6-annealed", "ridge-200-t6-annealed"];
/// The rows that the paper shows. Claims about other rows are ours.
const PAPER_ROWS: [&str; 2] = ["net-t6", "net-t0"];
const TWICE: &[&str] = &["net-t6-twice", "net-t6-twice-coupling"];
const CLAIMS: [Claim; 13] = [
    (&["net-t6"], "T = 6 finds both branches (5 % or more; Figure 3)", SMALLER, 0.05..=ANY),
    (&["net-t6"], "T = 6 is close to the posterior (KL below 1)", KL, -ANY..=1.),
    (
        TWICE,
        "T = 6 with a log-determinant counted twice finds both (5 % or more)",
        SMALLER,
        0.05..=ANY,
    ),
    (&["net-t6-longer"], "Longer training keeps both branches", SMALLER, 0.05..=ANY),
    (&["net-t0"], "T = 0 finds one branch (at most 5 %; Figure 3)", SMALLER, -ANY..=0.05),
    (&["net-ours"], "Our setting finds both branches in most seeds", BOTH, 0.5..=ANY),
    (&["ridge-5-t6"], "T = 6 fits joined branches (KL below 0.02)", KL, -ANY..=0.02),
    (&["ridge-5-t0"], "T = 0 loses at least the ln 2 of one branch", KL, LN_2..=ANY),
    (ANNEALED, "Annealing alone finds both branches in most seeds", BOTH, 0.5..=ANY),
    (RIDGES, "Our setting finds both branches in most seeds", BOTH, 0.5..=ANY),
    (&["ridge-30-ours"], "Our setting is close to the posterior (KL below 0.1)", KL, -ANY..=0.1),
    (&["ridge-200-ours"], "Our setting is close to the posterior (KL below 0.3)", KL, -ANY..=0.3),
    (&["ridge-200-t6-mixture"], "A mixture base needs no annealing (KL below 0.1)", KL, -ANY..=0.1),
];

fn verdicts(grid: &Grid<Variant<'_>, Fit>) -> Vec<Verdict> {
    let mut verdicts = vec![];
    for (keys, claim, (words, quantity), range) in CLAIMS {
        for row in keys.iter().filter_map(|key| grid.get(key)) {
            let words = format!("{words}; {}, {}", row.input.problem.name, row.input.name);
            let is_paper = PAPER_ROWS.contains(&&*row.key);
            let verdict = |mean| Verdict::new(claim, words, mean, range.clone());
            let verdict = |mean| if is_paper { verdict(mean) } else { verdict(mean).own() };
            verdicts.extend(quantity(row).map(verdict));
        }
    }
    verdicts
}

/// One row per fit.
fn fits(grid: &Grid<Variant<'_>, Fit>) -> Table {
    let header =
        ["posterior", "hypernet", "seed", "kl", "kl_error", "share_positive", "diverged_at"];
    let mut table = Table::new("fits", "", header);
    for (row, seed, fit) in grid.results() {
        let Variant { problem: Problem { key: problem, log_evidence, .. }, key, .. } = &row.input;
        match fit {
            Fit::Fitted(Measured { elbo, error, positive, .. }) => {
                let kl = log_evidence.value - elbo;
                table.row(&[problem, key, &seed, &kl, error, positive, &""]);
            }
            Fit::Diverged { steps } => table.row(&[problem, key, &seed, &"", &"", &"", steps]),
        }
    }
    table
}

/// Samples drawn in a panel.
const DRAWN: usize = 200;

fn figures(grid: &Grid<Variant<'_>, Fit>) -> Vec<Figure> {
    let panel = |row: &Row<Variant<'_>, Fit>, title: String, side: f64| {
        let mut layers = exact(&row.input.problem.target, side);
        let samples = row.fitted().next().map_or(&[][..], |fit| &fit.samples[..DRAWN]);
        let mark = Mark::Dots(samples.to_vec(), 1.6, 0.6);
        layers.push(Layer::new("samples of q", Ink::Series(0), mark));
        let [x, y] = ["a", "b"].map(|label| Axis::new(label).range(-side, side));
        Panel { title, x, y, layers }
    };
    let (net, ridge): (Vec<_>, Vec<_>) =
        grid.iter().partition(|row| row.input.problem.key == "net");
    let net = net.into_iter().map(|row| panel(row, row.input.name.into(), 2.2)).collect();
    let drawn = ["t0", "t6", "t6-annealed", "t6-mixture"];
    let ridge = ridge.into_iter().filter(|row| drawn.contains(&row.input.key));
    let title = |of: &Variant<'_>| format!("{}: {}", of.problem.name, of.name);
    let ridge = ridge.map(|row| panel(row, title(&row.input), 3.2)).collect();
    let chart = |columns, panels| Chart { columns, size: (300., 300.), panels };
    vec![
        Figure::new("net", NET_FIGURE, chart(3, net)),
        Figure::new("ridge", RIDGE_FIGURE, chart(drawn.len(), ridge)),
    ]
}

/// Layers of a chart: the exact posterior, and the curves `ab = 1` within `±side`.
fn exact(target: &Target, side: f64) -> Vec<Layer> {
    let layer = |name, mark| Layer::new(name, Ink::Gray, mark);
    let mut layers = match target {
        Target::Ridge { kappa } => {
            let shade = |name, sign| layer(name, Mark::Band(given_a(*kappa, sign), 0.35));
            vec![shade("exact posterior", 1.), shade("", -1.)]
        }
        Target::Net { .. } => {
            let exact = target.sample(DRAWN, &mut stream(0, Purpose::Sample, 0));
            vec![layer("exact posterior", Mark::Dots(exact, 3., 0.5))]
        }
    };
    for (name, sign) in [("", -1.), ("ab = 1", 1.)] {
        let branch = (0..=60).map(|i| side.powf(f64::from(i) / 30. - 1.) * sign);
        layers.push(layer(name, Mark::Line(branch.map(|a| (a, 1. / a)).collect())));
    }
    layers
}

const PAPER: &str = "The paper trains an over-parametrised linear net with mean a·b·x and \
    log-variance a·c·x. Its posterior has two mirror-image branches: (a, b, c) and (−a, −b, −c) \
    explain the data equally well. The paper shows samples of (a, b) from a hypernet with RealNVP \
    couplings on both branches of ab = 1, and claims that such a posterior is multimodal where a \
    factorised one (T = 0) covers one mode.";
const NET: &str = "The paper's setting. KL(q‖p) = ln p(D) − ELBO over the seeds that did not \
    diverge, with one standard error; largest Monte-Carlo error of an ELBO; mean fraction of \
    samples on the smaller branch; number of seeds with 35 to 65 % of the samples on each branch.";
const RIDGE: &str = "The phase diagram. Likelihood −κ(1 − ab)²/2 under a unit prior on a and b, \
    from κ = 5 (joined branches) to κ = 200 (two filaments). Columns as above.";
const NET_FIGURE: &str = "The paper's net. Samples of (a, b) from the hypernet of the first seed \
    that did not diverge, over samples of the exact posterior; the lines are ab = 1.";
const RIDGE_FIGURE: &str = "The phase diagram. Samples of (a, b) of the first seed; shaded: the \
    central 95 % of b given a in the exact posterior, for a with at least 1 % of the highest \
    density; the lines are ab = 1.";

fn description(tier: Tier, problems: &[Problem]) -> String {
    let steps = |settings: Settings| settings.training.steps;
    let evidence = problems.iter().map(|p| format!("{} {:.6}", p.name, p.log_evidence.value));
    let change = problems.iter().map(|p| p.log_evidence.change).fold(0., f64::max);
    format!(
        "The paper's net with its authors' settings: 500 examples, half of the x uniform in [6, \
         8], half in [9, 12], y = x + N(0, 1)/(0.5x)²; prior precision λ = 20; an elementwise \
         layer with an initial standard deviation of 1, six RealNVP couplings of 100 hidden units \
         with reversals in between; {} full-batch steps of Adam at 2.5·10⁻⁴ with one noise sample \
         each. All seeds share the data. The authors' code counts one layer's log-determinant \
         twice, a bonus for entropy; two rows do so, for the elementwise layer and for the first \
         coupling. Their KL is that of the density itself.\n\
         The phase diagram: {} steps of Adam from 10⁻² to 10⁻⁴ with 32 noise samples each, six \
         couplings of 100 hidden units with log-scales bounded by 2 tanh(·/2). The net's last row: \
         {} steps to 10⁻⁵ with 8 samples each. Annealed: the weight of the likelihood rises \
         log-linearly from 0.01 to 1 over the first half of the steps. Mixture: the first \
         coordinate of the base distribution is ½N(−{DISTANCE}, 1) + ½N({DISTANCE}, 1).\n\
         The evidence ln p(D) is computed by quadrature over two dimensions; the last halving of \
         the step changed no value by more than {change:.0e} nats. The net's likelihood depends \
         only on u = ab and v = ac; with the Jacobian a⁻² their prior is λ exp(−λr)/(2πr), r² = u² \
         + v². Values: {}. Each ELBO is a mean over 50,000 fresh samples.\n\
         Why a branch is missed: if q equals the posterior on one of two equal branches and is \
         zero on the other, its density is twice the posterior's on its support, so KL(q‖p) = ln 2 \
         = 0.693 nats, however far apart the branches are. Moving mass across the gap costs more \
         than that on the way. Annealing keeps a flow on both branches while the gap opens, but a \
         single Gaussian must still be split; a base distribution of two components need not be.",
        steps(authors(tier, 6)),
        steps(ours(tier, 6, Base::Normal, 0.)),
        steps(on_net(tier)),
        evidence.collect::<Vec<_>>().join("; "),
    )
}
