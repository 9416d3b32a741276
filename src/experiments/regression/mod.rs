//! Figure 1: regression on one number, and what is known where there are no data.
//!
//! Every posterior is beside the true one: the No-U-Turn sampler draws from `p(θ|D)` itself.
mod curves;

pub use curves::{Found, Functions, Places, Scores, data, functions, kl};

use super::nuts::{Chain, Nuts};
use super::{Cell, Experiment, Lab, Tier};
use crate::autodiff::{Owned, Tape, Tensor, Var};
use crate::bayes::{FlowKind, Model, Targets};
use crate::data::{Dataset, Preprocess, Split, Task};
use crate::error::Result;
use crate::nn::optim::Schedule;
use crate::predict::draw;
use crate::primary;
use crate::random::{Purpose, stream};
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::{Config, MethodKind};
use crate::run::train::Trainer;
use crate::stats::{ess_bulk, rhat};
use ndarray::{Array2, Axis as Of, concatenate, s};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::ops::Range;

/// `bhn reproduce regression`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "regression",
    place: "Figure 1",
    claim: "Uncertainty grows away from the data; a hypernet over the scales resembles one over \
            all weights.",
    version: 3,
    seeds: [1, 3, 5],
    seconds: [1., 540., 3500.],
    run,
};

/// What is done at a tier.
struct Settings {
    /// Training examples.
    examples: usize,
    epochs: usize,
    /// Posterior samples of each method.
    samples: usize,
    chains: u64,
    nuts: Nuts,
}

fn settings(tier: Tier) -> Settings {
    let nuts = |warmup, draws, thin, depth| Nuts { warmup, draws, thin, depth, accept: 0.8 };
    Settings {
        examples: tier.pick([60, 200, 1000]),
        epochs: tier.pick([20, 4000, 1000]),
        samples: tier.pick([100, 1000, 1000]),
        chains: 4,
        nuts: tier.pick([nuts(50, 50, 1, 6), nuts(1200, 2500, 1, 10), nuts(2000, 4000, 4, 10)]),
    }
}

/// Where the data are, and where we look.
const INSIDE: Range<f64> = 0.0..0.5;
const SEEN: Range<f64> = -0.5..1.5;
/// Test examples over all that is seen.
const TEST: usize = 2000;
/// Points of the grid.
const GRID: usize = 81;
/// Draws of NUTS that others are compared with, at the most.
const COMPARED: usize = 2000;
/// Training examples that are drawn.
const PLOTTED: usize = 50;

/// One way to a posterior, or around it.
struct Way {
    key: &'static str,
    words: &'static str,
    /// Of a step, beside that of `mle`.
    cost: f64,
    config: Config,
}

/// All of them but NUTS, with the noise's precision as given.
fn ways(settings: &Settings, precision: Option<f64>) -> Vec<Way> {
    let mut config = Config::default();
    config.primary.layers = Some(primary::Layer::mlp(&[50], 1));
    config.likelihood.precision = precision;
    config.train.epochs = settings.epochs;
    config.train.batch = 32;
    config.train.learning_rate = 5e-4;
    config.train.schedule = Schedule::LateLinear;
    config.flow.hidden = 100;
    config.dropout.rate = 0.1;
    let way = |key, words, method, kind, cost| {
        let mut config = Config { method, ..config.clone() };
        config.flow.kind = kind;
        Way { key, words, cost, config }
    };
    let (linear, realnvp) = (FlowKind::Linear, FlowKind::Realnvp);
    vec![
        way("mle", "non-Bayesian", MethodKind::Mle, realnvp, 1.),
        way("bhn", "BHN on the scales", MethodKind::Bhn, realnvp, 3.),
        way("full-bhn", "BHN over all weights", MethodKind::FullBhn, linear, 5.),
        way("full-realnvp", "the same by RealNVP", MethodKind::FullBhn, realnvp, 5.),
        way("bbb", "Bayes by Backprop", MethodKind::Bbb, realnvp, 2.),
        way("mc-dropout", "MC dropout", MethodKind::McDropout, realnvp, 2.),
        way("ensemble", "ensemble of 5", MethodKind::Ensemble, realnvp, 3.),
    ]
}

/// The training examples, and those of [`Places`].
fn dataset(examples: usize, places: &Places) -> Dataset {
    Dataset {
        name: "waves".into(),
        task: Task::Regression,
        image: None,
        preprocess: Preprocess { inputs: 1, ..Preprocess::default() },
        notes: vec![],
        train: data(examples, INSIDE, 0),
        validation: places.inside.clone(),
        test: places.outside.clone(),
    }
}

/// Train one.
fn train(config: &Config, seed: u64, data: &Dataset) -> Result<Model> {
    let config = Config { seed, ..config.clone() }.resolve(data)?;
    let mut trainer = Trainer::new(&config, 1, &data.task, data.train.len());
    for _ in 0..config.train.epochs {
        trainer.epoch(&data.train, |_, _| ())?;
    }
    Ok(trainer.model)
}

/// The true posterior: chains, and the functions of each.
struct Truth {
    chains: Vec<Chain>,
    functions: Vec<Functions>,
    /// Of all chains together.
    seconds: f64,
}

impl Truth {
    /// `p(θ|D) ∝ p(θ) p(D|θ)` over all weights, with the prior and the noise of all methods.
    fn new(
        lab: &Lab<'_>,
        settings: &Settings,
        config: &Config,
        data: &Dataset,
        places: &Places,
    ) -> Result<Self> {
        let model = Config { method: MethodKind::FullBhn, ..config.clone() };
        let model = model.build::<f64>(1, &Task::Regression);
        let x = data.train.x.mapv(f64::from).into();
        let Targets::Values(y) = &data.train.y else { unreachable!("a regression") };
        let y = Targets::Values(y.iter().map(|&y| f64::from(y)).collect());
        let key = |chain| format!("nuts-{chain}");
        let cell = |chain| Cell { key: key(chain), cost: 1., input: chain };
        let cells: Vec<_> = (0..settings.chains).map(cell).collect();
        let before = lab.seconds();
        let chains = lab.cells(&cells, |&chain| {
            let rng = &mut stream(chain, Purpose::Sample, 0);
            // From a network trained by itself: chains start apart, but not where no data are likely.
            let start = start(config, chain, data)?;
            settings.nuts.chain(&start, |theta| log_joint(&model, theta, &x, &y), rng)
        })?;
        let functions = chains.iter().map(|chain| {
            let theta = Owned::from_shape_fn(vec![chain.theta.len(), model.primary.dim()], |i| {
                chain.theta[i[0]][i[1]]
            });
            Functions::new(&model, &theta.into(), places)
        });
        let functions = functions.collect();
        Ok(Self { chains, functions, seconds: lab.seconds() - before })
    }

    /// Functions along the grid, of all chains but one: as many as make a comparison affordable.
    fn grid(&self, but: Option<usize>) -> Array2<f32> {
        let chosen = (0..self.functions.len()).filter(|c| Some(*c) != but);
        let views: Vec<_> = chosen.map(|c| self.functions[c].grid.view()).collect();
        let all = concatenate(Of(0), &views).expect("one grid");
        let every = all.nrows().div_ceil(COMPARED);
        all.slice_move(s![..;every, ..])
    }

    /// Each chain, as a posterior of its own, beside the others: what is between them is due to the
    /// number of draws.
    fn found(&self, precision: f64, places: &Places) -> Vec<Found> {
        let of = |(c, functions): (usize, &Functions)| {
            Found::new(functions, self.grid(Some(c)).view(), precision, places)
        };
        self.functions.iter().enumerate().map(of).collect()
    }

    /// `R̂` and bulk-ESS of `f` along the grid and, last, of `ln p(θ, D)`.
    fn diagnostics(&self) -> Vec<(f64, f64)> {
        let of = |value: &dyn Fn(usize, usize) -> f64| {
            let shape = (self.chains.len(), self.chains[0].theta.len());
            let draws = Array2::from_shape_fn(shape, |(chain, draw)| value(chain, draw));
            (rhat(draws.view()), ess_bulk(draws.view()))
        };
        let grid = (0..GRID).map(|g| of(&|c, d| self.functions[c].grid[[d, g]].into()));
        grid.chain([of(&|c, d| self.chains[c].log_density[d])]).collect()
    }
}

/// All weights of a network trained by maximum likelihood, with noise: NUTS refuses to start where a
/// gradient is 0, as that of a dead unit's bias is that never moved.
fn start(config: &Config, seed: u64, data: &Dataset) -> Result<Vec<f64>> {
    let mut config = Config { method: MethodKind::Ensemble, ..config.clone() };
    config.ensemble.members = 1;
    config.train.epochs = config.train.epochs.div_ceil(4);
    let rng = &mut stream(seed, Purpose::Init, 1);
    let (theta, _) = draw(&train(&config, seed, data)?, 1, rng);
    let mut noise = || 0.1 * rng.sample::<f64, _>(StandardNormal);
    Ok(theta.iter().map(|&theta| f64::from(theta) + noise()).collect())
}

/// `ln p(θ) + Σₙ ln p(yₙ|xₙ, θ)` for `theta [1, D]`.
fn log_joint<'t>(
    model: &Model<f64>,
    theta: Var<'t, f64>,
    x: &Tensor<f64>,
    y: &Targets<f64>,
) -> Var<'t, f64> {
    let tape = theta.tape();
    let p = model.params.freeze(tape);
    let f = model.primary.forward(&p, theta, tape.constant(x.clone()));
    (model.prior.log_prob(theta) + model.likelihood.log_prob(&p, f, y).sum_axis(1)).sum()
}

/// A line of the tables: what was found with each seed, or by each chain.
struct Row {
    key: &'static str,
    words: &'static str,
    found: Vec<Found>,
}

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = settings(lab.tier);
    let places = Places::new(GRID, TEST, INSIDE, SEEN);
    let data = dataset(settings.examples, &places);
    // By maximum likelihood, and then the same for all.
    let precision = lab.cell("precision", || {
        let model = train(&ways(&settings, None)[0].config, 0, &data)?;
        let tape = Tape::default();
        Ok(model.likelihood.precision(&model.params.freeze(&tape)).expect("a regression"))
    })?;
    let ways = ways(&settings, Some(precision));
    let truth = Truth::new(lab, &settings, &ways[0].config, &data, &places)?;
    let grid = truth.grid(None);
    let seeds = |way| (0..lab.seeds).map(move |seed| (way, seed));
    let cells = ways.iter().flat_map(seeds).map(|(way, seed): (&Way, u64)| Cell {
        key: format!("{}-{seed}", way.key),
        cost: way.cost,
        input: (way, seed),
    });
    let found = lab.cells(&cells.collect::<Vec<_>>(), |(way, seed)| {
        let model = train(&way.config, *seed, &data)?;
        let samples = way.config.samples(settings.samples);
        let (theta, _) = draw(&model, samples, &mut stream(*seed, Purpose::Evaluation, 0));
        Ok(Found::new(&Functions::new(&model, &theta, &places), grid.view(), precision, &places))
    })?;
    let mut found = found.into_iter();
    let mut rows: Vec<_> = ways
        .iter()
        .map(|way| {
            let found = found.by_ref().take(lab.seeds as usize).collect();
            Row { key: way.key, words: way.words, found }
        })
        .collect();
    rows.push(Row { key: "nuts", words: "NUTS", found: truth.found(precision, &places) });
    Ok(report(&settings, &data.train, precision, &truth, &rows))
}

impl Row {
    fn values(&self, of: impl Fn(&Found) -> f64) -> Vec<f64> {
        self.found.iter().map(of).collect()
    }

    fn entry(&self, of: impl Fn(&Found) -> f64) -> String {
        Mean::of(&self.values(of)).to_string()
    }
}

/// `x` at a point of the grid.
fn x(g: usize) -> f64 {
    SEEN.start + (SEEN.end - SEEN.start) * g as f64 / (GRID - 1) as f64
}

/// The mean over the points of the grid where there are data, or where there are none.
fn over(values: &[f64], inside: bool) -> f64 {
    let chosen = (0..GRID).filter(|&g| INSIDE.contains(&x(g)) == inside).map(|g| values[g]);
    chosen.clone().sum::<f64>() / chosen.count() as f64
}

/// The standard deviation of `f` at `x = 1.5` over its mean where there are data.
fn growth(found: &Found) -> f64 {
    found.spread[GRID - 1] / over(&found.spread, true)
}

fn tables(rows: &[Row]) -> Vec<Table> {
    let header =
        ["method", "RMSE", "NLL", "coverage", "RMSE outside", "NLL outside", "coverage outside"];
    let mut scores = Table::new("scores", SCORES, &header);
    let header = ["method", "at the data", "at −0.5", "at 1.5", "times"];
    let mut spreads = Table::new("spreads", SPREADS, &header);
    let header = ["method", "W₁", "W₁ outside", "KL, nats", "KL outside, nats"];
    let mut distances = Table::new("distances", DISTANCES, &header);
    for row in rows {
        let parts: [fn(&Found) -> Scores; 2] = [|f| f.inside, |f| f.outside];
        let of = parts.iter().flat_map(|part| {
            [
                row.entry(|f| part(f).rmse),
                row.entry(|f| part(f).nll),
                row.entry(|f| part(f).coverage),
            ]
        });
        scores.row([row.words.into()].into_iter().chain(of).collect());
        let point = row.values(|f| f.spread[0]).iter().all(|&spread| spread == 0.);
        spreads.row(vec![
            row.words.into(),
            row.entry(|f| over(&f.spread, true)),
            row.entry(|f| f.spread[0]),
            row.entry(|f| f.spread[GRID - 1]),
            if point { String::new() } else { row.entry(growth) },
        ]);
        distances.row(vec![
            row.words.into(),
            row.entry(|f| over(&f.wasserstein, true)),
            row.entry(|f| over(&f.wasserstein, false)),
            row.entry(|f| over(&f.kl, true)),
            row.entry(|f| over(&f.kl, false)),
        ]);
    }
    vec![scores, spreads, distances]
}

/// What says whether the chains can be trusted.
fn nuts(settings: &Settings, truth: &Truth, diagnostics: &[(f64, f64)]) -> Table {
    let Settings { chains, nuts: Nuts { warmup, draws, thin, depth, accept }, .. } = settings;
    let (last, grid) = diagnostics.split_last().expect("the log joint");
    let sum = |of: fn(&Chain) -> u64| truth.chains.iter().map(of).sum::<u64>().to_string();
    let most = grid.iter().map(|d| d.0).fold(f64::NEG_INFINITY, f64::max);
    let least = grid.iter().map(|d| d.1).fold(f64::INFINITY, f64::min);
    let mut table = Table::new("nuts", NUTS, &["quantity", "value"]);
    let mut row = |name: &str, value: String| table.row(vec![name.into(), value]);
    row("chains × draws", format!("{chains} × {draws} after {warmup}, every {thin} kept"));
    row("mean acceptance aimed at, largest depth", format!("{accept}, {depth}"));
    row("largest R̂ of f(x) along the grid", format!("{most:.4}"));
    row("R̂ of ln p(θ, D)", format!("{:.4}", last.0));
    row("least bulk-ESS of f(x) along the grid", format!("{least:.0}"));
    row("bulk-ESS of ln p(θ, D)", format!("{:.0}", last.1));
    row("divergences", sum(|chain| chain.divergences));
    row("draws of the largest depth", sum(|chain| chain.cut_off));
    row("gradients", sum(|chain| chain.gradients));
    row("seconds of computing", format!("{:.0}", truth.seconds));
    table
}

fn verdicts(rows: &[Row], diagnostics: &[(f64, f64)], chains: usize) -> Vec<Verdict> {
    let row = |key: &str| rows.iter().find(|row| row.key == key).expect("a row");
    let verdict = |claim: &str, quantity: &str, values: &[f64], range| Verdict {
        claim: claim.into(),
        quantity: quantity.into(),
        mean: Mean::of(values),
        range,
    };
    let (full, scales) = (row("full-bhn"), row("bhn"));
    let growth_of = |words: &str, row: &Row| {
        let claim = format!("Uncertainty grows away from the data: {words} (5 × or more)");
        let quantity = "std of f at x = 1.5 over its mean at the data";
        verdict(&claim, quantity, &row.values(growth), 5. ..=f64::INFINITY)
    };
    let pairs = |other: &Row, of: &dyn Fn(&Found, &Found) -> f64| -> Vec<f64> {
        full.found.iter().zip(&other.found).map(|(full, other)| of(full, other)).collect()
    };
    let outside = |f: &Found| over(&f.spread, false);
    let alike = pairs(scales, &|full, scales| outside(scales) / outside(full));
    let nearer = |full: &Found, other: &Found| {
        over(&other.wasserstein, false) - over(&full.wasserstein, false)
    };
    let (joint, grid) = diagnostics.split_last().expect("the log joint");
    let largest = grid.iter().map(|d| d.0).fold(f64::NEG_INFINITY, f64::max);
    let met = |of: &str, quantity: &str, value| Verdict {
        claim: format!("The chains of NUTS have met in {of} (R̂ below 1.01)"),
        quantity: format!("{quantity}, over the chains"),
        mean: Mean::number(value, chains),
        range: 0. ..=1.01,
    };
    vec![
        growth_of("BHN over all weights", full),
        growth_of("the true posterior, by NUTS (chains for seeds)", row("nuts")),
        verdict(
            "A hypernet over the scales resembles one over all weights (half to twice its spread)",
            "mean std of f away from the data, scales over all weights",
            &alike,
            0.5..=2.,
        ),
        verdict(
            "Away from the data a hypernet over all weights is nearer to the true posterior than \
             independent normals",
            "W₁ to NUTS, Bayes by Backprop less BHN over all weights",
            &pairs(row("bbb"), &nearer),
            0. ..=f64::INFINITY,
        ),
        met("f", "largest R̂ of f(x) along the grid", largest),
        met("their density", "R̂ of ln p(θ, D)", joint.0),
    ]
}

/// A panel a method: bands of `y`, functions, and the data.
fn panels(rows: &[Row], data: &Split, precision: f64) -> Chart {
    let Targets::Values(y) = &data.y else { unreachable!("a regression") };
    let points: Vec<_> =
        data.x.iter().zip(y).take(PLOTTED).map(|(&x, &y)| (x.into(), y.into())).collect();
    let panel = |row: &Row| {
        let found = &row.found[0];
        let layer = |name: &str, ink, mark| Layer { name: name.into(), ink, mark };
        let along = |values: &[f64]| values.iter().enumerate().map(|(g, &v)| (x(g), v)).collect();
        let band = |width: f64| {
            let std = |g: usize| width * (1. / precision + found.spread[g].powi(2)).sqrt();
            let at = |g| (x(g), found.mean[g] - std(g), found.mean[g] + std(g));
            let name = if width == 2. { "mean of y ± ½, 1, 1½, 2 std" } else { "" };
            layer(name, Ink::Series(0), Mark::Band((0..GRID).map(at).collect(), 0.15))
        };
        let mut layers: Vec<_> = [2., 1.5, 1., 0.5].map(band).into();
        for (i, f) in found.drawn.iter().enumerate() {
            let f: Vec<_> = f.iter().map(|&f| f.into()).collect();
            let name = if i == 0 { "sampled functions" } else { "" };
            layers.push(layer(name, Ink::Gray, Mark::Line(along(&f))));
        }
        layers.push(layer("mean of f", Ink::Series(0), Mark::Line(along(&found.mean))));
        layers.push(layer("data", Ink::Series(1), Mark::Dots(points.clone(), 2.2, 1.)));
        let x = Axis::new("x").range(SEEN.start, SEEN.end);
        Panel { title: row.words.into(), x, y: Axis::new("y").range(-2., 3.), layers }
    };
    Chart { columns: 4, size: (300., 260.), panels: rows.iter().map(panel).collect() }
}

/// What differs between methods along `x`: the spread of `f`, and the distance to the truth.
fn along(rows: &[Row]) -> Chart {
    let curve = |of: fn(&Found) -> &[f64], row: &Row| -> Vec<(f64, f64)> {
        let mean = |g| row.values(|f| of(f)[g]).iter().sum::<f64>() / row.found.len() as f64;
        (0..GRID).map(|g| (x(g), mean(g))).filter(|(_, v)| *v > 0.).collect()
    };
    let panel = |label: &str, of: fn(&Found) -> &[f64]| {
        let layer = |(i, row): (usize, &Row)| {
            let ink = if row.key == "nuts" { Ink::Gray } else { Ink::Series(i) };
            let points = curve(of, row);
            // There are six colours.
            let mark = if i == 6 { Mark::Dashed(points) } else { Mark::Line(points) };
            Layer { name: row.words.into(), ink, mark }
        };
        let layers = rows.iter().enumerate().map(layer).collect();
        let x = Axis::new("x").range(SEEN.start, SEEN.end);
        Panel { title: String::new(), x, y: Axis::new(label).log(), layers }
    };
    let panels = vec![panel("std of f(x)", |f| &f.spread), panel("W₁ to NUTS", |f| &f.wasserstein)];
    Chart { columns: 2, size: (440., 340.), panels }
}

/// One line a method and point of the grid, means over seeds.
fn curves_table(rows: &[Row]) -> Table {
    let mut table = Table::new("curves", "", &["method", "x", "mean", "std", "w1", "kl"]);
    for row in rows {
        for g in 0..GRID {
            let of: [fn(&Found) -> &[f64]; 4] =
                [|f| &f.mean, |f| &f.spread, |f| &f.wasserstein, |f| &f.kl];
            let mean = |of: &fn(&Found) -> &[f64]| {
                let values = row.values(|f| of(f)[g]);
                format!("{:.5}", values.iter().sum::<f64>() / values.len() as f64)
            };
            let entries = [row.key.to_string(), format!("{:.3}", x(g))];
            table.row(entries.into_iter().chain(of.iter().map(mean)).collect());
        }
    }
    table
}

fn report(
    settings: &Settings,
    data: &Split,
    precision: f64,
    truth: &Truth,
    rows: &[Row],
) -> Report {
    let diagnostics = truth.diagnostics();
    let figure = |name: &str, caption: &str, chart| Figure {
        name: name.into(),
        caption: caption.into(),
        chart,
    };
    let mut tables = tables(rows);
    tables.push(nuts(settings, truth, &diagnostics));
    Report {
        title: "Figure 1: regression, and uncertainty away from the data".into(),
        paper: PAPER.into(),
        ours: ours(settings, precision),
        verdicts: verdicts(rows, &diagnostics, truth.chains.len()),
        tables,
        figures: vec![
            figure("panels", PANELS, panels(rows, data, precision)),
            figure("along", ALONG, along(rows)),
        ],
        data: vec![curves_table(rows)],
        ..Report::default()
    }
}

const PAPER: &str = "The paper fits the curve of Blundell et al. (2015) with a small network, and \
    shows mean, error bars and functions sampled from the posterior. It claims that, as it should, \
    uncertainty grows away from the data. (That a hypernet over the scales alone resembles one \
    over all weights is from the authors' panels.)";
const SCORES: &str = "Test scores where there were data (x from 0 to 0.5) and outside (the rest of \
    −0.5 to 1.5). NLL in nats an example; coverage is the share of y within 1.96 standard \
    deviations of y, 0.95 if all is right. Means over seeds with one standard error; over chains \
    for NUTS.";
const SPREADS: &str = "The standard deviation of f. Its mean over the grid where there are data, \
    at both ends, and how many times that at x = 1.5 is of that at the data.";
const DISTANCES: &str = "Distance to the true posterior. Means over the grid of the Wasserstein-1 \
    distance between the distributions of f(x), and of KL(p ‖ q) of the predictive densities of y. \
    In the last row each chain stands beside the others: what remains there is due to the number \
    of draws, of which the KL outside the data, where draws are far apart, is the most inflated.";
const NUTS: &str = "NUTS. R̂ is rank-normalised and split, of functions and not of weights, which \
    may be permuted without changing anything.";
const PANELS: &str = "Regression by method. The mean of f, bands of y, and functions sampled from \
    the posterior of the first seed; 50 of the training examples.";
const ALONG: &str = "Along x, on logarithmic axes. The standard deviation of f, and its \
    Wasserstein-1 distance to the true posterior (for NUTS: of a chain to the others); means over \
    seeds.";

fn ours(settings: &Settings, precision: f64) -> Vec<String> {
    let Settings { examples, epochs, samples, .. } = settings;
    let less = match examples {
        1000 => "",
        _ => " (the paper has 1000: fewer make NUTS affordable, and more epochs make up for them)",
    };
    vec![
        format!(
            "{examples} training examples{less}: x = 0.5·U(0, 1), e ~ N(0, 0.02²), y = x + 0.3 sin \
             2π(x + e) + 0.3 sin 4π(x + e) + e, the same for all methods and seeds. Seeds differ \
             in initialisation, order and noise."
        ),
        format!(
            "A 1-50-1 ReLU network in all cases; {epochs} epochs of Adam on minibatches of 32, a \
             rate of 5·10⁻⁴ that falls linearly to 0 after the first tenth; {samples} posterior \
             samples. BHN over all weights (D = 151): three invertible linear layers with smooth \
             kinks between, the authors' IGN; beside it RealNVP, as on the scales, with T = 4 and \
             100 hidden units. MC dropout with a rate of 0.1. The prior over θ is N(0, 1) \
             throughout."
        ),
        format!(
            "The noise's precision is learned once, by maximum likelihood with the non-Bayesian \
             net, and then fixed for all methods at τ = {precision:.1} (a standard deviation of \
             {:.4}). The paper learns it along with each; then posteriors would differ in their \
             likelihood too, and could not be compared with one truth. The data's noise is not \
             quite of one width, since e is inside of the waves; no method here knows that.",
            precision.powf(-0.5)
        ),
        "NUTS (the crate nuts-rs, a low-rank metric) draws from p(θ|D) over all 151 weights in \
         double precision with gradients from our tape, its chains started from networks trained \
         apart. It is the truth for BHN over all weights and for Bayes by Backprop, which \
         approximate this posterior. BHN on the scales has another model: one scale a unit is \
         random, biases and directions (a sign each, here) are fitted."
            .into(),
        "Most of NUTS's trees grow to the largest depth, where they are cut off unless they have just \
         turned, which costs effective samples and is no bias; some one in a hundred diverge, so a narrow part of the posterior \
         may be missed. Hence R̂ over chains that started apart, and the counts in the table of \
         chains."
            .into(),
    ]
}
