//! Figure 2: are parameters dependent under `q(θ)`?
//!
//! If there are no couplings (`T = 0`), parameters are independent by construction, so the p-values
//! of a test for correlation are uniform. With couplings, parameters may be dependent.
mod pairs;

use super::{Cell, Experiment, Grid, Lab, Row};
use crate::error::Result;
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::run::load_data;
use pairs::{BINS, Found, SMALL, Scatter, Settings, Tests, Variant, measure};
use std::ops::RangeInclusive;

/// `bhn reproduce dependence`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "dependence",
    place: "Figure 2",
    claim: "Parameters are dependent under a hypernet's posterior, and independent for T = 0.",
    version: 1,
    readable: 1,
    seeds: [1, 3, 5],
    seconds: [2., 420., 2500.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = Settings::new(lab.tier);
    let t = settings.couplings;
    let variant = |key: &str, name: String, couplings, weight_norm| {
        let config = settings.config(couplings, weight_norm);
        Cell { key: key.into(), cost: 3. + couplings as f64, input: Variant { name, config } }
    };
    let variants = [
        variant("none", "T = 0".into(), 0, true),
        variant("normed", format!("T = {t}, weight-normalised"), t, true),
        variant("plain", format!("T = {t}, authors' code"), t, false),
    ];
    let data = load_data(&variants[0].input.config, lab.data_dir.as_deref())?;
    let grid =
        lab.grid(variants, |variant, seed, _| measure(&settings, &variant.config, seed, &data))?;
    // Each row has two lines: its samples as drawn, and shuffled.
    let tests: [fn(&Found) -> &Tests; 2] = [|f| &f.drawn, |f| &f.shuffled];
    let rows = grid.iter().flat_map(|row| {
        let names = [row.input.name.clone(), format!("{}, shuffled", row.input.name)];
        names.into_iter().zip(tests).map(move |(name, tests)| (name, tests, row))
    });
    let rows: Vec<_> = rows.collect();
    let mean = |row: &Line<'_>, of: fn(&Tests) -> f64| row.2.mean(|f| of((row.1)(f))).to_string();
    let p_values = |(_, tests, row): &Line<'_>| row.values(|f| tests(f).p_value);
    let table = Table::of("tests", TABLE, &rows).columns(&[
        ("samples", &|(name, ..)| name.clone()),
        ("test accuracy", &|(.., row)| row.mean(|f| f.accuracy).to_string()),
        ("p < 0.01", &|row| mean(row, |t| t.small)),
        ("mean |r|", &|row| mean(row, |t| t.strength)),
        ("largest |r|", &|row| mean(row, |t| t.strongest)),
        ("mean |r|, output layer", &|row| mean(row, |t| t.output)),
        ("D of p-values", &|row| mean(row, |t| t.distance)),
        ("smallest p of D", &|row| format!("{:.2e}", p_values(row).into_iter().fold(1., f64::min))),
        ("uniform", &|row| Mean::share(p_values(row).iter().map(|p| *p >= LEVEL)).to_string()),
    ]);
    let mut histogram = Table::new("histogram", "", ["samples", "seed", "from", "count"]);
    for (name, tests, row) in &rows {
        for (seed, found) in row.results.iter().enumerate() {
            for (bin, count) in tests(found).counts.iter().enumerate() {
                histogram.row(&[name, &seed, &(bin as f64 / BINS as f64), count]);
            }
        }
    }
    Ok(Report {
        title: "Figure 2: dependent parameters".into(),
        paper: PAPER.into(),
        ours: ours(&settings),
        verdicts: grid.iter().flat_map(|row| verdicts(&settings, row)).collect(),
        tables: vec![table],
        figures: vec![Figure::new("dependence", FIGURE, chart(&settings, &grid))],
        data: vec![histogram],
        ..Report::default()
    })
}

/// Level of the Kolmogorov-Smirnov test.
const LEVEL: f64 = 1e-3;
/// Critical value at that level of `√m D` for `m` p-values: `√(−½ ln(level/2))`.
const CRITICAL: f64 = 1.95;

/// A line of the table: its name, the statistics that it shows, and the row of the grid that they
/// are taken from.
type Line<'a> = (String, fn(&Found) -> &Tests, &'a Row<Variant, Found>);

fn verdicts(settings: &Settings, row: &Row<Variant, Found>) -> Vec<Verdict> {
    let name = &row.input.name;
    // `√m` for `m` disjoint pairs: half the number of parameters, rounded down.
    let root = (settings.parameters() as f64 / 2.).floor().sqrt();
    let distance = format!(
        "√m D of m p-values from the uniform distribution (Kolmogorov-Smirnov; critical value \
         {CRITICAL} at level 0.001)"
    );
    let drawn = row.mean(|f| root * f.drawn.distance);
    if row.input.config.flow.couplings == 0 {
        let claim = format!("{name}: p-values are uniform");
        return vec![Verdict::new(claim, distance, drawn, 0. ..=CRITICAL)];
    }
    let small = row.mean(|f| f.drawn.small);
    let output = row.mean(|f| f.drawn.output / settings.chance());
    let shuffled = row.mean(|f| root * f.shuffled.distance);
    let claims = [
        ("p-values are not uniform", &*distance, drawn, CRITICAL..=f64::INFINITY),
        (MANY, "fraction of p-values below 0.01", small, 2. * SMALL..=1.),
        (DEPENDENT, OF_OUTPUT, output, 1. ..=f64::INFINITY),
        (SHUFFLED, &*distance, shuffled, 0. ..=CRITICAL),
    ];
    let verdict = |(claim, quantity, mean, range): (&str, &str, _, RangeInclusive<f64>)| {
        let verdict = Verdict::new(format!("{name}: {claim}"), quantity, mean, range);
        if claim == SHUFFLED { verdict.own() } else { verdict }
    };
    claims.map(verdict).into()
}

const MANY: &str = "at least twice as many p-values below 0.01 as expected by chance";
const DEPENDENT: &str = "the output layer's parameters depend on each other";
const OF_OUTPUT: &str =
    "mean |r| of all pairs in the output layer, relative to independent parameters";
const SHUFFLED: &str = "p-values are uniform after shuffling each parameter's samples";

/// Histograms of p-values above, scatter plots of the most correlated pairs below.
fn chart<'a>(settings: &Settings, grid: &'a Grid<Variant, Found>) -> Chart {
    let expected = settings.pairs as f64 / BINS as f64;
    let width = 1.96 * (expected * (1. - 1. / BINS as f64)).sqrt();
    let edges: Vec<_> = (0..=BINS).map(|i| i as f64 / BINS as f64).collect();
    let histogram = |title: &str, tests: &Tests| {
        let most = tests.counts.iter().copied().fold(2. * expected, f64::max);
        let level = |count| [0., 1.].map(|x| (x, count)).into();
        let bins = Mark::Bins(edges.clone(), tests.counts.clone());
        let layers = vec![
            Layer::new("pairs", Ink::Series(0), bins),
            Layer::new("expected if uniform", Ink::Series(1), Mark::Line(level(expected))),
            Layer::new(
                "95 % of uniform bins",
                Ink::Series(1),
                Mark::Dashed(level(expected - width)),
            ),
            Layer::new("", Ink::Series(1), Mark::Dashed(level(expected + width))),
        ];
        let [x, y] = [Axis::new("p-value"), Axis::new("pairs")];
        let (x, y) = (x.range(0., 1.), y.range(0., 1.05 * most));
        Panel { title: title.into(), x, y, layers }
    };
    let scatter = |name: &str, scatter: &Scatter| {
        let dots = Mark::Dots(scatter.points.clone(), 1.6, 0.6);
        let layers = vec![Layer::new("samples of q", Ink::Series(0), dots)];
        let [x, y] = ["θᵢ, in std", "θⱼ, in std"].map(|label| Axis::new(label).range(-4., 4.));
        Panel { title: format!("{name}: r = {:.3}", scatter.r), x, y, layers }
    };
    // The first seed.
    let first = |row: &'a Row<Variant, Found>| (&*row.input.name, &row.results[0]);
    let above = grid.iter().map(first).map(|(name, found)| histogram(name, &found.drawn));
    let below = grid.iter().map(first).map(|(name, found)| scatter(name, &found.top[0]));
    Chart { columns: 3, size: (330., 280.), panels: above.chain(below).collect() }
}

const PAPER: &str = "The paper draws samples from a hypernet's posterior, tests 10,000 random \
    pairs of parameters for correlation (Pearson), and shows a histogram of the p-values beside \
    scatter plots. It claims an excess of small p-values: the posterior has dependences that a \
    factorised one, such as T = 0, cannot have.";
const TABLE: &str = "Tests for correlation. Fraction of random pairs with p < 0.01 (0.01 if \
    independent); mean and largest |r| of random pairs; mean |r| of all pairs in the output layer; \
    Kolmogorov-Smirnov distance D of the p-values of disjoint pairs from the uniform distribution, \
    its smallest p-value over seeds, and the number of seeds in which that exceeds 10⁻³. Means \
    over seeds with one standard error.";
const FIGURE: &str = "P-values of random pairs of parameters, and the most correlated pairs. \
    Above, histograms with 100 bins and the expectation for independent parameters; below, 500 \
    samples of the pair with the largest |r|. First seed.";

fn ours(settings: &Settings) -> String {
    let Settings { couplings, hidden, units, subset, epochs, samples, pairs } = settings;
    let d = settings.parameters();
    let images = subset.unwrap_or(50_000);
    let chance = settings.chance();
    format!(
        "A network 784-{units}-10 on MNIST; all its {d} weights and biases come from a hypernet: \
         the elementwise layer alone (T = 0), or RealNVP with T = {couplings} couplings of \
         {hidden} hidden units, with weight normalisation in the conditioners (our default) or \
         without (the authors' MNIST code). {epochs} epochs on {images} images in batches of 128, \
         Adam from 10⁻³ to 10⁻⁴. The paper states neither T nor the length of training; T = 8 is \
         its largest for all of MNIST.\n\
         {samples} samples of θ and {pairs} random pairs of parameters, each tested by Pearson's r \
         with a p-value from Student's t. For independent parameters the mean of |r| is √(2/πN) = \
         {chance:.4}.\n\
         Random pairs share parameters, so their p-values are not independent, as the \
         Kolmogorov-Smirnov test and the band in the figure assume. The test therefore uses D/2 \
         pairs that share no parameter, drawn independently of those in the histogram. The \
         fraction of small p-values and |r| measure the size of the effect, which a test on so \
         many pairs does not show.\n\
         As a control, the samples of each parameter are shuffled: this keeps every marginal and \
         removes all dependence, so a remaining deviation would be an artefact of the test."
    )
}
