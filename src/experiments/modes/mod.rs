//! Figure 3: does the hypernet find both branches of a posterior that has two?
//!
//! First the authors' setting as it is, then the question behind it: when does a flow find two
//! branches, and how would the bound show that it missed one?
mod fit;
mod target;

pub use fit::{Fit, Measured, Settings, fit};
pub use target::Target;

use super::fit::{Joint, Training};
use super::quadrature::LogIntegral;
use super::{Cell, Experiment, Lab, Tier};
use crate::error::Result;
use crate::flows::Stabiliser;
use crate::random::{Purpose, stream};
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use std::f64::consts::LN_2;
use std::ops::RangeInclusive;

/// `bhn reproduce modes`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "modes",
    place: "Figure 3",
    claim: "A Bayesian hypernet finds both branches of a two-branched posterior; T = 0 finds one.",
    version: 1,
    seeds: [2, 4, 10],
    seconds: [7., 330., 830.],
    run,
};

/// A method, in the order of the tables.
struct Method {
    /// Part of a cell's key.
    key: &'static str,
    words: &'static str,
    settings: Settings,
}

/// What was fitted: a likelihood, a method, and one fit a seed.
struct Row<'a> {
    problem: &'a Problem,
    method: &'a Method,
    fits: Vec<Fit>,
}

struct Problem {
    key: String,
    words: String,
    target: Target,
    methods: Vec<Method>,
    log_evidence: LogIntegral,
}

/// The authors' setting: one noise sample a step, nothing annealed, a constant learning rate.
fn authors(tier: Tier, couplings: usize) -> Settings {
    Settings {
        couplings,
        hidden: 100,
        stabiliser: Stabiliser::Exp,
        offset: 0.,
        training: Training {
            steps: tier.pick([100, 20_000, 20_000]),
            samples: 1,
            rate: 2.5e-4,
            decay: 1.,
            anneal: 0.,
        },
    }
}

/// Ours: 32 noise samples a step, bounded log-scales, a learning rate that decays a hundredfold.
fn ours(tier: Tier, couplings: usize, offset: f64, anneal: f64) -> Settings {
    Settings {
        couplings,
        hidden: 100,
        stabiliser: Stabiliser::Tanh,
        offset,
        training: Training {
            steps: tier.pick([100, 15_000, 15_000]),
            samples: 32,
            rate: 1e-2,
            decay: 100.,
            anneal,
        },
    }
}

/// The same for the net, whose branches are 3·10⁻⁴ wide: more and smaller steps, of 8 samples each.
fn on_net(tier: Tier) -> Settings {
    let ours = ours(tier, 6, OFFSET, ANNEAL);
    let steps = 2 * ours.training.steps;
    let training = Training { steps, samples: 8, decay: 1e3, ..ours.training };
    Settings { training, ..ours }
}

/// The share of the samples that both branches must have to count as found.
const FOUND: RangeInclusive<f64> = 0.35..=0.65;
/// Half the distance of the base's components when it is a mixture: nothing lies between them.
const OFFSET: f64 = 5.;
/// The share of the steps over which the likelihood is annealed, when it is.
const ANNEAL: f64 = 0.5;

fn problems(tier: Tier) -> Vec<Problem> {
    let method = |key, words, settings| Method { key, words, settings };
    let mut longer = authors(tier, 6);
    longer.training.steps *= 5;
    let net = vec![
        method("t0", "T = 0", authors(tier, 0)),
        method("t6", "T = 6", authors(tier, 6)),
        method("t6-longer", "T = 6, five times longer", longer),
        method("ours", "T = 6, mixture, annealed", on_net(tier)),
    ];
    let mut problems = vec![Problem::new("net", "the paper's net".into(), Target::net(), net)];
    for kappa in tier.pick([&[5., 200.][..], &[5., 30., 200.], &[5., 30., 200.]]) {
        let ridge = vec![
            method("t0", "T = 0", ours(tier, 0, 0., 0.)),
            method("t0-annealed", "T = 0, annealed", ours(tier, 0, 0., ANNEAL)),
            method("t6", "T = 6", ours(tier, 6, 0., 0.)),
            method("t6-annealed", "T = 6, annealed", ours(tier, 6, 0., ANNEAL)),
            method("t6-mixture", "T = 6, mixture", ours(tier, 6, OFFSET, 0.)),
            method("ours", "T = 6, mixture, annealed", ours(tier, 6, OFFSET, ANNEAL)),
        ];
        let target = Target::Ridge { kappa: *kappa };
        problems.push(Problem::new(
            &format!("ridge-{kappa}"),
            format!("κ = {kappa}"),
            target,
            ridge,
        ));
    }
    problems
}

impl Problem {
    fn new(key: &str, words: String, target: Target, methods: Vec<Method>) -> Self {
        let log_evidence = target.log_evidence();
        Self { key: key.into(), words, target, methods, log_evidence }
    }
}

fn run(lab: &Lab<'_>) -> Result<Report> {
    let problems = problems(lab.tier);
    let mut cells = vec![];
    for problem in &problems {
        for method in &problem.methods {
            for seed in 0..lab.seeds {
                let Settings { couplings, training: Training { steps, samples, .. }, .. } =
                    method.settings;
                // Milliseconds a step, as measured.
                let size = (samples * problem.target.examples()) as f64;
                let cost = steps as f64 * (0.07 + 0.09 * couplings as f64 + 6e-5 * size);
                let key = format!("{}-{}-{seed}", problem.key, method.key);
                cells.push(Cell { key, cost, input: (problem, method, seed) });
            }
        }
    }
    let fits = lab.cells(&cells, |(problem, method, seed)| {
        Ok(fit(&problem.target, &method.settings, *seed))
    })?;
    let mut fits = fits.into_iter();
    let methods = problems.iter().flat_map(|p| p.methods.iter().map(move |m| (p, m)));
    let rows: Vec<_> = methods
        .map(|(problem, method)| {
            let fits = fits.by_ref().take(lab.seeds as usize).collect();
            Row { problem, method, fits }
        })
        .collect();
    Ok(report(lab, &problems, &rows))
}

impl Row<'_> {
    fn is(&self, problem: &str, method: &str) -> bool {
        self.problem.key == problem && self.method.key == method
    }

    fn fitted(&self) -> impl Iterator<Item = &Measured> {
        self.fits.iter().filter_map(|fit| match fit {
            Fit::Fitted(measured) => Some(measured),
            Fit::Diverged { .. } => None,
        })
    }

    /// `KL(q‖p) = ln p(D) − ELBO`, one a seed that was fitted.
    fn kl(&self) -> Vec<f64> {
        self.fitted().map(|fit| self.problem.log_evidence.value - fit.elbo).collect()
    }

    /// The share of the branch with less, one a seed that was fitted.
    fn smaller(&self) -> Vec<f64> {
        self.fitted().map(|fit| fit.positive.min(1. - fit.positive)).collect()
    }

    /// The seeds with both branches; to have diverged is not to have found them.
    fn both(&self) -> Mean {
        Mean::share(self.fits.iter().map(|fit| match fit {
            Fit::Fitted(fit) => FOUND.contains(&fit.positive),
            Fit::Diverged { .. } => false,
        }))
    }

    fn entries(&self) -> Vec<String> {
        let kl = self.kl();
        let n = self.fits.len();
        let mut entries = vec![self.problem.words.clone(), self.method.words.to_string()];
        if kl.is_empty() {
            entries.extend(["", "", "", ""].map(String::from));
        } else {
            let fold = |f: fn(f64, f64) -> f64| kl.iter().copied().reduce(f).expect("some");
            let error = self.fitted().map(|fit| fit.error).fold(0., f64::max);
            entries.push(Mean::of(&kl).to_string());
            entries.push(format!("{} to {}", nats(fold(f64::min)), nats(fold(f64::max))));
            entries.push(nats(error));
            let smaller = self.smaller();
            let mean = smaller.iter().sum::<f64>() / smaller.len() as f64;
            entries.push(format!("{:.1} %", 100. * mean));
        }
        entries.push(self.both().to_string());
        entries.push((n - kl.len()).to_string());
        entries
    }
}

/// Four places tell small ones apart, large ones need one.
fn nats(v: f64) -> String {
    if v.abs() < 10. { format!("{v:.4}") } else { format!("{v:.1}") }
}

const HEADER: [&str; 8] = [
    "posterior",
    "hypernet",
    "KL(q‖p), nats",
    "lowest to highest",
    "Monte-Carlo error",
    "smaller branch",
    "both branches",
    "diverged",
];

fn report(lab: &Lab<'_>, problems: &[Problem], rows: &[Row<'_>]) -> Report {
    let table = |name: &str, caption: &str, of_net: bool| {
        let mut table = Table::new(name, caption, &HEADER);
        let rows = rows.iter().filter(|row| (row.problem.key == "net") == of_net);
        rows.for_each(|row| table.row(row.entries()));
        table
    };
    Report {
        title: "Figure 3: two branches of a posterior".into(),
        paper: PAPER.into(),
        ours: ours_in_words(lab, problems),
        verdicts: verdicts(rows),
        tables: vec![table("net", NET, true), table("ridge", RIDGE, false)],
        figures: figures(rows),
        data: vec![data(rows)],
        ..Report::default()
    }
}

const PAPER: &str = "The paper trains an over-parametrised linear net with mean a·b·x and log-variance \
    a·c·x, whose posterior has two branches that are mirror images: with (a, b, c) also (−a, −b, −c) \
    explains the data. It shows samples of (a, b) from a hypernet with RealNVP couplings on both \
    branches of ab = 1, and claims that such a posterior is multimodal where one factor a weight \
    (T = 0) must choose.";
const NET: &str = "The paper's setting. KL(q‖p) = ln p(D) − ELBO over the seeds that did not diverge, \
    with one standard error; the largest Monte-Carlo error of one ELBO; the mean share of the branch \
    that has less; the seeds in which each branch has 35 to 65 % of the samples.";
const RIDGE: &str = "The phase diagram. The likelihood −κ(1 − ab)²/2 under a unit prior on a and b, \
    from κ = 5 (the branches are joined) to κ = 200 (two filaments). Columns as above.";

fn ours_in_words(lab: &Lab<'_>, problems: &[Problem]) -> Vec<String> {
    let steps = |settings: Settings| settings.training.steps;
    let evidence = problems.iter().map(|p| format!("{} {:.6}", p.words, p.log_evidence.value));
    let change = problems.iter().map(|p| p.log_evidence.change).fold(0., f64::max);
    vec![
        format!(
            "The paper's net as its authors ran it: 500 examples, half of the x uniform in [6, 8], half \
             in [9, 12], y = x + N(0, 1)/(0.5x)²; prior precision λ = 20; an elementwise layer started \
             at a standard deviation of 1, six RealNVP couplings of 100 hidden units with reversals \
             between; {} full-batch steps of Adam at 2.5·10⁻⁴ with one noise sample each. The data are \
             the same for all seeds. The authors' code counts one layer's log-determinant twice; \
             ours does not.",
            steps(authors(lab.tier, 6))
        ),
        format!(
            "The phase diagram: {} steps of Adam from 10⁻² down to 10⁻⁴ with 32 noise samples each, six \
             couplings of 100 with log-scales bounded by 2 tanh(·/2). The last row of the net: {} steps \
             down to 10⁻⁵ with 8 samples each. Annealed: the likelihood's weight rises from 0.01 to 1 \
             over the first half of the steps, evenly in its logarithm. Mixture: the first coordinate \
             of the noise is ½N(−{OFFSET}, 1) + ½N({OFFSET}, 1).",
            steps(ours(lab.tier, 6, 0., 0.)),
            steps(on_net(lab.tier)),
        ),
        format!(
            "The truth is known: ln p(D) by quadrature over two dimensions; the last halving of the step \
             changed none by more than {change:.0e} nats. For the net the likelihood depends on u = ab \
             and v = ac alone, and with the Jacobian a⁻² the prior over them is λ exp(−λr)/(2πr), \
             r² = u² + v². Found: {}. Each ELBO is the mean over 50,000 fresh samples.",
            evidence.collect::<Vec<_>>().join("; ")
        ),
        "Why a branch is missed. If q is the exact posterior on one of two equal branches and nothing on \
         the other, its density is twice the posterior's everywhere it has any, so KL(q‖p) = E_q[ln 2] \
         = 0.693 nats. That is all the bound sees of a missing half, however far apart the halves are, and \
         moving mass across a gap costs more than that on the way. Annealing keeps a flow on both while the \
         gap opens, but one Gaussian still has to be torn in two; a base of two components need not be. \
         The tables show how far each gets, and what becomes of the paper's net when it is trained on."
            .into(),
    ]
}

/// What a claim is about.
#[derive(Clone, Copy)]
enum Quantity {
    Smaller,
    Both,
    Kl,
}

impl Quantity {
    fn words(self) -> &'static str {
        match self {
            Self::Smaller => "share of the branch that has less",
            Self::Both => "seeds with 35 to 65 % on each branch",
            Self::Kl => "KL(q‖p) in nats",
        }
    }

    fn of(self, row: &Row<'_>) -> Option<Mean> {
        let mean = |values: Vec<f64>| (!values.is_empty()).then(|| Mean::of(&values));
        match self {
            Self::Smaller => mean(row.smaller()),
            Self::Both => Some(row.both()),
            Self::Kl => mean(row.kl()),
        }
    }
}

/// Posterior, hypernet, claim, and where the quantity then is.
type Claim = (&'static str, &'static str, &'static str, Quantity, (f64, f64));

const ANY: f64 = f64::INFINITY;
const CLAIMS: [Claim; 14] = [
    (
        "net",
        "t6",
        "The paper: T = 6 finds both branches (5 % or more)",
        Quantity::Smaller,
        (0.05, ANY),
    ),
    ("net", "t6", "It is then close to the posterior (KL below 1)", Quantity::Kl, (-ANY, 1.)),
    ("net", "t6-longer", "Both stay when it is trained on", Quantity::Smaller, (0.05, ANY)),
    (
        "net",
        "t0",
        "The paper: T = 0 finds one branch (the other at most 5 %)",
        Quantity::Smaller,
        (-ANY, 0.05),
    ),
    ("net", "ours", "Both branches can be found, in most seeds", Quantity::Both, (0.5, ANY)),
    (
        "ridge-5",
        "t6",
        "Joined branches are no difficulty (KL below 0.02)",
        Quantity::Kl,
        (-ANY, 0.02),
    ),
    ("ridge-5", "t0", "T = 0 loses at least the ln 2 of a branch", Quantity::Kl, (LN_2, ANY)),
    (
        "ridge-30",
        "t6-annealed",
        "Annealing alone finds both branches in most seeds",
        Quantity::Both,
        (0.5, ANY),
    ),
    (
        "ridge-200",
        "t6-annealed",
        "Annealing alone finds both branches in most seeds",
        Quantity::Both,
        (0.5, ANY),
    ),
    ("ridge-30", "ours", "Both branches in most seeds", Quantity::Both, (0.5, ANY)),
    ("ridge-30", "ours", "Close to the posterior (KL below 0.1)", Quantity::Kl, (-ANY, 0.1)),
    ("ridge-200", "ours", "Both branches in most seeds", Quantity::Both, (0.5, ANY)),
    ("ridge-200", "ours", "Close to the posterior (KL below 0.3)", Quantity::Kl, (-ANY, 0.3)),
    (
        "ridge-200",
        "t6-mixture",
        "With a mixture base annealing is not needed (KL below 0.1)",
        Quantity::Kl,
        (-ANY, 0.1),
    ),
];

fn verdicts(rows: &[Row<'_>]) -> Vec<Verdict> {
    let verdict = |&(problem, method, claim, quantity, (low, high)): &Claim| {
        let row = rows.iter().find(|row| row.is(problem, method))?;
        let measured = format!("{}; {}, {}", quantity.words(), row.problem.words, row.method.words);
        let mean = quantity.of(row)?;
        Some(Verdict { claim: claim.into(), quantity: measured, mean, range: low..=high })
    };
    CLAIMS.iter().filter_map(verdict).collect()
}

/// One line a fit.
fn data(rows: &[Row<'_>]) -> Table {
    let header =
        ["posterior", "hypernet", "seed", "kl", "kl_error", "share_positive", "diverged_at"];
    let mut table = Table::new("fits", "", &header);
    for row in rows {
        for (seed, fit) in row.fits.iter().enumerate() {
            let mut entries =
                vec![row.problem.key.clone(), row.method.key.into(), seed.to_string()];
            match fit {
                Fit::Fitted(fit) => {
                    let kl = row.problem.log_evidence.value - fit.elbo;
                    entries.extend([kl, fit.error, fit.positive].map(|v| v.to_string()));
                    entries.push(String::new());
                }
                Fit::Diverged { steps } => {
                    entries.extend(["", "", ""].map(String::from));
                    entries.push(steps.to_string());
                }
            }
            table.row(entries);
        }
    }
    table
}

fn figures(rows: &[Row<'_>]) -> Vec<Figure> {
    let panel = |row: &Row<'_>, title: String, side: f64| {
        let mut layers = truth(&row.problem.target, side);
        let samples = row.fitted().next().map_or(&[][..], |fit| &fit.samples[..DRAWN]);
        let mark = Mark::Dots(samples.to_vec(), 1.6, 0.6);
        layers.push(Layer { name: "samples of q".into(), ink: Ink::Series(0), mark });
        let [x, y] = ["a", "b"].map(|label| Axis::new(label).range(-side, side));
        Panel { title, x, y, layers }
    };
    let net = rows.iter().filter(|row| row.problem.key == "net");
    let net = net.map(|row| panel(row, row.method.words.into(), 2.2)).collect();
    let drawn = ["t0", "t6", "t6-annealed", "t6-mixture"];
    let ridge = rows.iter().filter(|row| row.problem.key != "net");
    let ridge = ridge.filter(|row| drawn.contains(&row.method.key));
    let title = |row: &Row<'_>| format!("{}: {}", row.problem.words, row.method.words);
    let ridge = ridge.map(|row| panel(row, title(row), 3.2)).collect();
    let figure = |name: &str, columns, caption: &str, panels: Vec<Panel>| {
        let chart = Chart { columns, size: (300., 300.), panels };
        Figure { name: name.into(), caption: caption.into(), chart }
    };
    vec![figure("net", 2, NET_FIGURE, net), figure("ridge", drawn.len(), RIDGE_FIGURE, ridge)]
}

/// Dots a panel.
const DRAWN: usize = 200;

const NET_FIGURE: &str = "The paper's net. Samples of (a, b) from the hypernet of the first seed that \
    did not diverge, over samples of the exact posterior; the lines are ab = 1.";
const RIDGE_FIGURE: &str = "The phase diagram. Samples of (a, b) of the first seed; shaded, 95 % of b \
    given a in the exact posterior, for a that have at least 1 % of the highest density; the lines are \
    ab = 1.";

/// What the samples of `q` are compared with.
fn truth(target: &Target, side: f64) -> Vec<Layer> {
    let layer = |name: &str, mark| Layer { name: name.into(), ink: Ink::Gray, mark };
    let mut layers = match target {
        Target::Ridge { kappa } => {
            let shade = |name, sign| layer(name, Mark::Band(target::given_a(*kappa, sign), 0.35));
            vec![shade("exact posterior", 1.), shade("", -1.)]
        }
        Target::Net { .. } => {
            let exact = target.sample(DRAWN, &mut stream(0, Purpose::Sample, 0));
            vec![layer("exact posterior", Mark::Dots(exact, 3., 0.5))]
        }
    };
    for sign in [-1., 1.] {
        let name = if sign > 0. { "ab = 1" } else { "" };
        let branch = (0..=60).map(|i| side.powf(f64::from(i) / 30. - 1.) * sign);
        layers.push(layer(name, Mark::Line(branch.map(|a| (a, 1. / a)).collect())));
    }
    layers
}
