//! Figure 2: are parameters dependent under `q(θ)`?
//!
//! Under `q` with `T = 0` they are independent by construction, and so the p-values of a test for it
//! are uniform. With couplings they need not be.
use super::{Cell, Experiment, Lab, Tier};
use crate::bayes::Model;
use crate::data::Dataset;
use crate::error::Result;
use crate::predict::draw;
use crate::predict::evaluate::evaluate;
use crate::primary;
use crate::random::{Purpose, stream};
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::{Config, MethodKind};
use crate::run::load_data;
use crate::run::train::Trainer;
use crate::stats::{Correlation, ks_uniform, pearson};
use ndarray::{Array2, s};
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// `bhn reproduce dependence`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "dependence",
    place: "Figure 2",
    claim: "Parameters are dependent under a hypernet's posterior, and independent for T = 0.",
    version: 1,
    seeds: [1, 3, 5],
    seconds: [2., 420., 2500.],
    run,
};

/// A hypernet, in the order of the tables.
#[derive(Clone)]
struct Way {
    key: &'static str,
    words: String,
    couplings: usize,
    /// Whether a coupling's weights are normalised.
    weight_norm: bool,
}

fn ways(t: usize) -> [Way; 3] {
    let way =
        |key, words: String, couplings, weight_norm| Way { key, words, couplings, weight_norm };
    [
        way("none", "T = 0".into(), 0, true),
        way("normed", format!("T = {t}, normalised"), t, true),
        way("plain", format!("T = {t}, as the authors"), t, false),
    ]
}

/// What is done at a tier.
#[derive(Clone, Copy)]
struct Settings {
    /// `T` of the hypernets for which it is not 0.
    couplings: usize,
    /// Hidden units of a coupling.
    hidden: usize,
    /// Of the primary network.
    units: usize,
    /// Training images; all 50,000 if none.
    subset: Option<usize>,
    epochs: usize,
    /// Posterior samples `N`.
    samples: usize,
    /// Random pairs of parameters.
    pairs: usize,
}

impl Settings {
    /// Weights and biases of the primary network, for digits.
    fn parameters(&self) -> usize {
        (784 + 1) * self.units + (self.units + 1) * 10
    }

    /// Mean `|r|` of independent parameters, `√(2/πN)`.
    fn chance(&self) -> f64 {
        (2. / std::f64::consts::PI / self.samples as f64).sqrt()
    }
}

fn settings(tier: Tier) -> Settings {
    let whole = Settings {
        couplings: 8,
        hidden: 200,
        units: 10,
        subset: None,
        epochs: 20,
        samples: 10_000,
        pairs: 10_000,
    };
    tier.pick([
        Settings {
            couplings: 2,
            hidden: 10,
            units: 2,
            subset: Some(1000),
            epochs: 2,
            samples: 1000,
            pairs: 1000,
        },
        Settings { epochs: 5, ..whole },
        whole,
    ])
}

/// Bins of a histogram of p-values.
const BINS: usize = 100;
/// Samples that are drawn at a time: `S · D` numbers after each layer of the flow are kept.
const BLOCK: usize = 100;
/// The most correlated pairs that are kept, and samples of each.
const TOP: (usize, usize) = (2, 500);
/// The level of the Kolmogorov-Smirnov test.
const LEVEL: f64 = 1e-3;
/// Its `√m D` of `m` p-values there, `√(−½ ln(level/2))`.
const PASSED: f64 = 1.95;
/// p-values below this are small.
const SMALL: f64 = 0.01;

/// What one posterior shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Found {
    /// On the test images.
    accuracy: f64,
    /// Its samples as they are.
    drawn: Tests,
    /// The same with each column shuffled: the same margins, and no dependence.
    shuffled: Tests,
    /// `(θᵢ, θⱼ)` of the most correlated pairs, in standard deviations from their means.
    top: Vec<Scatter>,
}

/// Tests of many pairs.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tests {
    /// p-values of random pairs in [`BINS`] equal bins.
    counts: Vec<f64>,
    /// The share of them below [`SMALL`].
    small: f64,
    /// Mean `|r|` of them.
    strength: f64,
    /// The largest `|r|` of them.
    strongest: f64,
    /// Mean `|r|` of all pairs of the output layer's numbers.
    output: f64,
    /// `D` of the Kolmogorov-Smirnov test over pairs none of which share a parameter.
    distance: f64,
    /// Its p-value.
    p_value: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Scatter {
    r: f64,
    points: Vec<(f64, f64)>,
}

fn config(settings: &Settings, way: &Way, seed: u64) -> Config {
    let mut config = Config { seed, method: MethodKind::FullBhn, ..Config::default() };
    config.subset = settings.subset;
    config.primary.layers = Some(primary::Layer::mlp(&[settings.units], 10));
    config.flow.couplings = way.couplings;
    config.flow.weight_norm = way.weight_norm;
    config.flow.hidden = settings.hidden;
    config.train.epochs = settings.epochs;
    config
}

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = settings(lab.tier);
    let ways = ways(settings.couplings);
    let data = load_data(&config(&settings, &ways[0], 0), lab.data_dir.as_deref())?;
    let seeds = |way| (0..lab.seeds).map(move |seed| (way, seed));
    let cells = ways.iter().flat_map(seeds).map(|(way, seed): (&Way, u64)| Cell {
        key: format!("{}-{seed}", way.key),
        cost: 3. + way.couplings as f64,
        input: (way, seed),
    });
    let cells: Vec<_> = cells.collect();
    let found = lab.cells(&cells, |&(way, seed)| measure(&settings, way, seed, &data))?;
    let seeds = found.chunks(lab.seeds as usize).map(<[Found]>::to_vec);
    let rows: Vec<_> = ways.iter().cloned().zip(seeds).collect();
    Ok(report(&settings, &rows))
}

/// Train a hypernet and test its samples.
fn measure(settings: &Settings, way: &Way, seed: u64, data: &Dataset) -> Result<Found> {
    let config = config(settings, way, seed).resolve(data)?;
    let inputs = data.preprocess.inputs;
    let mut trainer = Trainer::new(&config, inputs, &data.task, data.train.len());
    for _ in 0..config.train.epochs {
        trainer.epoch(&data.train, |_, _| ())?;
    }
    let model = trainer.model;
    let accuracy = evaluate(&model, data, 100, seed)?.test.accuracy.expect("classes");
    let mut theta = samples(&model, settings.samples, seed);
    let rng = &mut stream(seed, Purpose::Toy, 0);
    let pairs = random_pairs(theta.nrows(), settings.pairs, rng);
    let outputs = 10 * settings.units + 10;
    let (drawn, correlations) = Tests::new(&theta, &pairs, outputs, rng);
    let mut order: Vec<_> = (0..pairs.len()).collect();
    order.sort_by(|&a, &b| correlations[b].r.abs().total_cmp(&correlations[a].r.abs()));
    let scatter = |&n: &usize| Scatter::new(&theta, pairs[n], correlations[n].r);
    let top = order.iter().take(TOP.0).map(scatter).collect();
    for mut column in theta.rows_mut() {
        column.as_slice_mut().expect("row-major").shuffle(rng);
    }
    let (shuffled, _) = Tests::new(&theta, &pairs, outputs, rng);
    Ok(Found { accuracy, drawn, shuffled, top })
}

/// Samples of `θ`, a parameter a row: `[D, N]`.
fn samples(model: &Model, n: usize, seed: u64) -> Array2<f32> {
    let mut all = Array2::zeros((model.primary.dim(), n));
    for (block, start) in (0..n).step_by(BLOCK).enumerate() {
        let end = n.min(start + BLOCK);
        let rng = &mut stream(seed, Purpose::Sample, block as u64);
        let theta = draw(model, end - start, rng).0;
        all.slice_mut(s![.., start..end]).assign(&theta.as_matrix().t());
    }
    all
}

/// `n` pairs of different parameters out of `d`.
fn random_pairs(d: usize, n: usize, rng: &mut impl Rng) -> Vec<(usize, usize)> {
    let mut pair = || {
        let (i, j) = (rng.random_range(0..d), rng.random_range(0..d - 1));
        (i, if j < i { j } else { j + 1 })
    };
    (0..n).map(|_| pair()).collect()
}

/// As many pairs of `d` parameters as share none.
fn disjoint_pairs(d: usize, rng: &mut ChaCha8Rng) -> Vec<(usize, usize)> {
    let mut order: Vec<_> = (0..d).collect();
    order.shuffle(rng);
    order.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

fn correlate(theta: &Array2<f32>, pairs: &[(usize, usize)]) -> Vec<Correlation> {
    let column = |i| theta.row(i).iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    pairs.iter().map(|&(i, j)| pearson(&column(i), &column(j))).collect()
}

impl Tests {
    /// Of `theta [D, N]`: the random `pairs`, whose correlations are returned too, disjoint ones, and
    /// those of the last `outputs` parameters.
    fn new(
        theta: &Array2<f32>,
        pairs: &[(usize, usize)],
        outputs: usize,
        rng: &mut ChaCha8Rng,
    ) -> (Self, Vec<Correlation>) {
        let found = correlate(theta, pairs);
        let mut counts = vec![0.; BINS];
        for c in &found {
            counts[((c.p_value * BINS as f64) as usize).min(BINS - 1)] += 1.;
        }
        let mean = |found: &[Correlation], of: fn(&Correlation) -> f64| {
            found.iter().map(of).sum::<f64>() / found.len() as f64
        };
        let last = theta.nrows() - outputs..theta.nrows();
        let last: Vec<_> =
            last.clone().flat_map(|i| (last.start..i).map(move |j| (i, j))).collect();
        let disjoint = correlate(theta, &disjoint_pairs(theta.nrows(), rng));
        let p_values: Vec<_> = disjoint.iter().map(|c| c.p_value).collect();
        let test = ks_uniform(&p_values);
        let tests = Self {
            small: mean(&found, |c| f64::from(u8::from(c.p_value < SMALL))),
            strength: mean(&found, |c| c.r.abs()),
            output: mean(&correlate(theta, &last), |c| c.r.abs()),
            strongest: found.iter().map(|c| c.r.abs()).fold(0., f64::max),
            counts,
            distance: test.distance,
            p_value: test.p_value,
        };
        (tests, found)
    }
}

impl Scatter {
    fn new(theta: &Array2<f32>, (i, j): (usize, usize), r: f64) -> Self {
        let standard = |i: usize| {
            let x = theta.row(i).mapv(f64::from);
            let (mean, std) = (x.mean().expect("a sample"), x.std(1.));
            x.mapv(|x| (x - mean) / std)
        };
        let (x, y) = (standard(i), standard(j));
        Self { r, points: x.into_iter().zip(y).take(TOP.1).collect() }
    }
}

fn report(settings: &Settings, rows: &[(Way, Vec<Found>)]) -> Report {
    let header = [
        "samples",
        "test accuracy",
        "p < 0.01",
        "mean |r|",
        "largest |r|",
        "mean |r|, output layer",
        "D of p-values",
        "smallest p of D",
        "uniform",
    ];
    let mut table = Table::new("tests", TABLE, &header);
    let mut histogram = Table::new("histogram", "", &["samples", "seed", "from", "count"]);
    let of = |(way, found): &(Way, Vec<Found>)| {
        let drawn = found.iter().map(|f| f.drawn.clone()).collect::<Vec<_>>();
        let shuffled = found.iter().map(|f| f.shuffled.clone()).collect();
        let accuracy: Vec<_> = found.iter().map(|f| f.accuracy).collect();
        let words = format!("{}, shuffled", way.words);
        [(way.words.clone(), accuracy.clone(), drawn), (words, accuracy, shuffled)]
    };
    for (words, accuracy, tests) in rows.iter().flat_map(of) {
        let values = |value: fn(&Tests) -> f64| tests.iter().map(value).collect::<Vec<_>>();
        let entry = |value: fn(&Tests) -> f64| Mean::of(&values(value)).to_string();
        let least = values(|t| t.p_value).into_iter().fold(1., f64::min);
        let uniform = Mean::share(tests.iter().map(|t| t.p_value >= LEVEL));
        table.row(vec![
            words.clone(),
            Mean::of(&accuracy).to_string(),
            entry(|t| t.small),
            entry(|t| t.strength),
            entry(|t| t.strongest),
            entry(|t| t.output),
            entry(|t| t.distance),
            format!("{least:.2e}"),
            uniform.to_string(),
        ]);
        for (seed, tests) in tests.iter().enumerate() {
            for (bin, count) in tests.counts.iter().enumerate() {
                let from = bin as f64 / BINS as f64;
                histogram.row(vec![
                    words.clone(),
                    seed.to_string(),
                    from.to_string(),
                    count.to_string(),
                ]);
            }
        }
    }
    Report {
        title: "Figure 2: dependent parameters".into(),
        paper: PAPER.into(),
        ours: ours(settings),
        verdicts: verdicts(settings, rows),
        tables: vec![table],
        figures: vec![Figure {
            name: "dependence".into(),
            caption: FIGURE.into(),
            chart: chart(settings, rows),
        }],
        data: vec![histogram],
        ..Report::default()
    }
}

fn verdicts(settings: &Settings, rows: &[(Way, Vec<Found>)]) -> Vec<Verdict> {
    // Of pairs that share no parameter there are half as many as parameters.
    let root = (settings.parameters() as f64 / 2.).floor().sqrt();
    let distance = format!(
        "√m D of m p-values from uniform ones (Kolmogorov-Smirnov; above {PASSED} once in 1000 times)"
    );
    let mut verdicts = vec![];
    for (Way { words, couplings, .. }, found) in rows {
        let mut claim = |claim: &str, quantity: &str, of: &dyn Fn(&Found) -> f64, range| {
            let claim = format!("{words}: {claim}");
            let mean = Mean::of(&found.iter().map(of).collect::<Vec<_>>());
            verdicts.push(Verdict { claim, quantity: quantity.into(), mean, range });
        };
        let any = f64::INFINITY;
        let drawn = |f: &Found| root * f.drawn.distance;
        if *couplings == 0 {
            claim("p-values are uniform", &distance, &drawn, 0. ..=PASSED);
            continue;
        }
        claim("p-values are not uniform", &distance, &drawn, PASSED..=any);
        let many = "an excess of small p-values (twice the uniform share or more)";
        let small = "share of p-values below 0.01";
        claim(many, small, &|f| f.drawn.small, 2. * SMALL..=1.);
        let output = "mean |r| over all pairs of the output layer, over that of independent ones";
        let within = |f: &Found| f.drawn.output / settings.chance();
        claim("the output layer's parameters depend on each other", output, &within, 1. ..=any);
        let shuffled = "uniform once each parameter's samples are shuffled";
        claim(shuffled, &distance, &|f| root * f.shuffled.distance, 0. ..=PASSED);
    }
    verdicts
}

fn chart(settings: &Settings, rows: &[(Way, Vec<Found>)]) -> Chart {
    let layer = |name: &str, ink, mark| Layer { name: name.into(), ink, mark };
    let expected = settings.pairs as f64 / BINS as f64;
    let width = 1.96 * (expected * (1. - 1. / BINS as f64)).sqrt();
    let edges: Vec<_> = (0..=BINS).map(|i| i as f64 / BINS as f64).collect();
    let histogram = |title: String, tests: &Tests| {
        let most = tests.counts.iter().copied().fold(2. * expected, f64::max);
        let level = |count| [0., 1.].map(|x| (x, count)).into();
        let layers = vec![
            layer("pairs", Ink::Series(0), Mark::Bins(edges.clone(), tests.counts.clone())),
            layer("expected if uniform", Ink::Series(1), Mark::Line(level(expected))),
            layer("95 % of uniform bins", Ink::Series(1), Mark::Dashed(level(expected - width))),
            layer("", Ink::Series(1), Mark::Dashed(level(expected + width))),
        ];
        let x = Axis::new("p-value").range(0., 1.);
        Panel { title, x, y: Axis::new("pairs").range(0., 1.05 * most), layers }
    };
    let scatter = |words: &str, scatter: &Scatter| {
        let dots = Mark::Dots(scatter.points.clone(), 1.6, 0.6);
        let layers = vec![layer("samples of q", Ink::Series(0), dots)];
        let [x, y] = ["θᵢ, in std", "θⱼ, in std"].map(|label| Axis::new(label).range(-4., 4.));
        Panel { title: format!("{words}: r = {:.3}", scatter.r), x, y, layers }
    };
    let shown = |(way, found): &(Way, Vec<Found>)| (way.words.clone(), found[0].clone());
    let rows: Vec<_> = rows.iter().map(shown).collect();
    let above = rows.iter().map(|(words, found)| histogram(words.clone(), &found.drawn));
    let below = rows.iter().map(|(words, found)| scatter(words, &found.top[0]));
    let panels = above.chain(below).collect();
    Chart { columns: 3, size: (330., 280.), panels }
}

const PAPER: &str = "The paper draws samples from a hypernet's posterior, takes 10,000 random \
    pairs of parameters, tests each pair for correlation (Pearson), and shows the histogram of the \
    p-values beside scatter plots. It claims an excess of small p-values: the posterior has \
    dependences that independent factors, which T = 0 is, cannot have.";
const TABLE: &str = "Tests for correlation. The share of random pairs with p < 0.01, 0.01 if they \
    are independent; the mean and the largest |r| among them, and the mean of all pairs in the \
    output layer; the Kolmogorov-Smirnov distance D of the p-values of disjoint pairs from uniform \
    ones, its smallest p-value over seeds, and in how many seeds that is above 10⁻³. Means over \
    seeds with one standard error.";
const FIGURE: &str = "P-values of random pairs of parameters, and the most correlated of these. \
    Above, histograms of 100 bins, with what is expected of independent parameters; below, 500 \
    samples of the pairs with the largest |r|. The first seed.";

fn ours(settings: &Settings) -> Vec<String> {
    let Settings { couplings, hidden, units, subset, epochs, samples, pairs } = settings;
    let d = settings.parameters();
    let images = subset.unwrap_or(50_000);
    let chance = settings.chance();
    vec![
        format!(
            "A network 784-{units}-10 for MNIST, all of whose {d} weights and biases come from a \
             hypernet: T = 0, the elementwise layer alone, or RealNVP with T = {couplings} \
             couplings of {hidden} hidden units, the weights of whose conditioners are normalised, \
             our default, or not, as in the authors' MNIST code. {epochs} epochs on {images} \
             images; batches of 128, Adam from 10⁻³ down to 10⁻⁴. The paper says neither T nor how \
             long this hypernet was trained; T = 8 is its largest on all of MNIST."
        ),
        format!(
            "{samples} samples of θ, and {pairs} random pairs of parameters, each tested by \
             Pearson's r, whose p-value is from Student's t. For independent parameters mean |r| \
             is √(2/πN) = {chance:.4}."
        ),
        "Random pairs share parameters, so their p-values are not independent, as the \
         Kolmogorov-Smirnov test and the band in the figure assume. (For independent Gaussian \
         parameters pairs that form no cycle are still independent, so little is lost for T = 0.) \
         The test is therefore taken over pairs that share no parameter, D/2 of them, drawn apart \
         from those of the histogram; the share of small p-values and |r| are the size of the \
         effect, which a test on so many pairs does not show."
            .into(),
        "The control shuffles the samples of each parameter by itself. This keeps every margin and \
         takes away all dependence, so what is left over after it would be the test's fault."
            .into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_distr::StandardNormal;

    /// 200 parameters of which the second hundred have correlation `rho` with the first.
    fn theta(rho: f64, rng: &mut ChaCha8Rng) -> Array2<f32> {
        let mut theta = Array2::from_shape_simple_fn((200, 2000), || rng.sample(StandardNormal));
        for i in 0..100 {
            for n in 0..2000 {
                let own: f32 = theta[[100 + i, n]];
                theta[[100 + i, n]] =
                    rho as f32 * theta[[i, n]] + (1. - rho * rho).sqrt() as f32 * own;
            }
        }
        theta
    }

    #[test]
    fn dependence_is_found_and_only_that() {
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let theta = theta(0.2, rng);
        let dependent: Vec<_> = (0..100).map(|i| (i, 100 + i)).collect();
        // |r| ≈ 0.2 is 9 standard errors of 1/√2000.
        let (tests, found) = Tests::new(&theta, &dependent, 10, rng);
        assert_eq!(tests.small, 1.);
        assert_eq!(tests.counts[0], 100.);
        // Its standard error is (1 − 0.2²)/√2000/√100 = 0.0021.
        assert!((tests.strength - 0.2).abs() < 0.009, "{}", tests.strength);
        assert!(found.iter().all(|c| c.r > 0.));
        let independent: Vec<_> = (0..99).map(|i| (i, i + 1)).collect();
        let (tests, _) = Tests::new(&theta, &independent, 10, rng);
        // Binomial(99, 0.01): above 6 once in 20,000.
        assert!(tests.small <= 6. / 99., "{}", tests.small);
    }

    #[test]
    fn pairs() {
        let rng = &mut ChaCha8Rng::seed_from_u64(0);
        let pairs = random_pairs(3, 6000, rng);
        for i in 0..3 {
            for j in 0..3 {
                let count = pairs.iter().filter(|&&pair| pair == (i, j)).count() as f64;
                // Six ordered pairs of 1000 ± 29.
                let expected = if i == j { 0. } else { 1000. };
                assert!((count - expected).abs() < 120., "({i}, {j}): {count}");
                assert!(i != j || count == 0.);
            }
        }
        let mut seen: Vec<_> =
            disjoint_pairs(9, rng).into_iter().flat_map(|(i, j)| [i, j]).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 8);
    }
}
