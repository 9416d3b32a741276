//! Figure 1: regression on one input, and uncertainty away from the data.
//!
//! Every approximate posterior is compared with draws of NUTS from the exact posterior.
mod curves;
mod truth;

use super::nuts::{Chain, Nuts};
use super::{Experiment, Grid, Lab, Row};
use crate::autodiff::Tape;
use crate::bayes::Targets;
use crate::data::Split;
use crate::error::Result;
use crate::predict::draw;
use crate::random::{Purpose, stream};
use crate::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use crate::report::experiment::{Figure, Report, Table};
use crate::report::verdict::{Mean, Verdict};
use crate::run::config::Config;
use crate::run::train::fit;
use curves::{
    Found, Functions, GRID, INSIDE, Places, SEEN, Settings, Variant, dataset, variants, x,
};
use truth::Truth;

/// `bhn reproduce regression`.
pub const EXPERIMENT: Experiment = Experiment {
    name: "regression",
    place: "Figure 1",
    claim: "Uncertainty grows away from the data; a hypernet over the scales resembles one over \
            all weights.",
    version: 3,
    readable: 3,
    seeds: [1, 3, 5],
    seconds: [1., 540., 3500.],
    run,
};

fn run(lab: &Lab<'_>) -> Result<Report> {
    let settings = Settings::new(lab.tier);
    let places = Places::new();
    let data = dataset(settings.examples, &places);
    // The noise precision is learned once, by maximum likelihood, and is the same for all methods.
    let precision = lab.cell("precision", || {
        let [mle, ..] = variants(&settings, None);
        let model = fit(mle.input.config, &data)?;
        let tape = Tape::default();
        Ok(model.likelihood.precision(&model.params.freeze(&tape)).expect("a regression"))
    })?;
    let variants = variants(&settings, Some(precision));
    let mle = variants[0].input.config.clone();
    let truth = Truth::new(lab, &settings, &mle, &data, &places)?;
    let exact = truth.grid(None);
    let mut grid = lab.grid(variants, |Variant { config, .. }, seed, _| {
        let model = fit(Config { seed, ..config.clone() }, &data)?;
        let samples = config.samples(settings.samples);
        let (theta, _) = draw(&model, samples, &mut stream(seed, Purpose::Evaluation, 0));
        Ok(Found::new(&Functions::new(&model, &theta, &places), exact.view(), precision, &places))
    })?;
    grid.push("nuts", Variant { name: "NUTS", config: mle }, truth.found(precision, &places));
    let diagnostics = truth.diagnostics();
    let mut tables = tables(&grid);
    tables.push(nuts(&settings, &truth, diagnostics));
    Ok(Report {
        title: "Figure 1: regression, and uncertainty away from the data".into(),
        paper: PAPER.into(),
        ours: ours(&settings, precision),
        verdicts: verdicts(&grid, diagnostics, truth.chains.len()),
        tables,
        figures: vec![
            Figure::new("panels", PANELS, panels(&grid, &data.train, precision)),
            Figure::new("along", ALONG, along(&grid)),
        ],
        data: vec![curves(&grid)],
        ..Report::default()
    })
}

/// Mean over the grid points where there are training data (`inside`), or over the others.
fn over(values: &[f64], inside: bool) -> f64 {
    let chosen = (0..GRID).filter(|&g| INSIDE.contains(&x(g)) == inside).map(|g| values[g]);
    chosen.clone().sum::<f64>() / chosen.count() as f64
}

/// Standard deviation of `f` at `x = 1.5`, relative to its mean over the grid points with training
/// data.
fn growth(found: &Found) -> f64 {
    found.spread[GRID - 1] / over(&found.spread, true)
}

fn tables(rows: &[Row<Variant, Found>]) -> Vec<Table> {
    let mean = |row: &Row<Variant, Found>, of: fn(&Found) -> f64| row.mean(of).to_string();
    let growth_of = |row: &Row<Variant, Found>| match row.results.iter().all(|f| f.spread[0] == 0.)
    {
        true => String::new(),
        false => mean(row, growth),
    };
    let scores = Table::of("scores", SCORES, rows).columns(&[
        ("method", &|row| row.input.name.into()),
        ("RMSE", &|row| mean(row, |f| f.inside.rmse)),
        ("NLL", &|row| mean(row, |f| f.inside.nll)),
        ("coverage", &|row| mean(row, |f| f.inside.coverage)),
        ("RMSE outside", &|row| mean(row, |f| f.outside.rmse)),
        ("NLL outside", &|row| mean(row, |f| f.outside.nll)),
        ("coverage outside", &|row| mean(row, |f| f.outside.coverage)),
    ]);
    let spreads = Table::of("spreads", SPREADS, rows).columns(&[
        ("method", &|row| row.input.name.into()),
        ("at the data", &|row| mean(row, |f| over(&f.spread, true))),
        ("at −0.5", &|row| mean(row, |f| f.spread[0])),
        ("at 1.5", &|row| mean(row, |f| f.spread[GRID - 1])),
        ("growth", &|row| growth_of(row)),
    ]);
    let distances = Table::of("distances", DISTANCES, rows).columns(&[
        ("method", &|row| row.input.name.into()),
        ("W₁", &|row| mean(row, |f| over(&f.wasserstein, true))),
        ("W₁ outside", &|row| mean(row, |f| over(&f.wasserstein, false))),
        ("KL, nats", &|row| mean(row, |f| over(&f.kl, true))),
        ("KL outside, nats", &|row| mean(row, |f| over(&f.kl, false))),
    ]);
    vec![scores, spreads, distances]
}

/// Convergence diagnostics of the chains.
fn nuts(settings: &Settings, truth: &Truth, [f, joint]: [(f64, f64); 2]) -> Table {
    let Settings { chains, nuts: Nuts { warmup, draws, thin, depth, accept }, .. } = settings;
    let sum = |of: fn(&Chain) -> u64| truth.chains.iter().map(of).sum::<u64>().to_string();
    let mut table = Table::new("nuts", NUTS, ["quantity", "value"]);
    for (name, value) in [
        ("chains × draws", format!("{chains} × {draws} after {warmup}, every {thin} kept")),
        ("target acceptance, maximum depth", format!("{accept}, {depth}")),
        ("largest R̂ of f(x) along the grid", format!("{:.4}", f.0)),
        ("R̂ of ln p(θ, D)", format!("{:.4}", joint.0)),
        ("smallest bulk-ESS of f(x) along the grid", format!("{:.0}", f.1)),
        ("bulk-ESS of ln p(θ, D)", format!("{:.0}", joint.1)),
        ("divergences", sum(|chain| chain.divergences)),
        ("draws at maximum depth", sum(|chain| chain.cut_off)),
        ("gradients", sum(|chain| chain.gradients)),
        ("seconds of computing", format!("{:.0}", truth.seconds)),
    ] {
        table.row(&[&name, &value]);
    }
    table
}

fn verdicts(
    grid: &Grid<Variant, Found>,
    [f, joint]: [(f64, f64); 2],
    chains: usize,
) -> Vec<Verdict> {
    let grows = |key: &str, words: &str| {
        let claim = format!("Uncertainty grows at least fivefold away from the data: {words}");
        let quantity = "std of f at x = 1.5, relative to its mean at the data";
        Verdict::new(claim, quantity, grid[key].mean(growth), 5. ..)
    };
    let outside = |f: &Found| over(&f.spread, false);
    let ratio = grid.paired("full-bhn", "bhn", |full, scales| outside(scales) / outside(full));
    let closer = grid.paired("full-bhn", "bbb", |full, other| {
        over(&other.wasserstein, false) - over(&full.wasserstein, false)
    });
    let converged = |of: &str, quantity: &str, value| {
        let claim = format!("The chains of NUTS converged in {of} (R̂ below 1.01)");
        let quantity = format!("{quantity}, over the chains");
        Verdict::new(claim, quantity, Mean::number(value, chains), 0. ..=1.01).own()
    };
    vec![
        grows("full-bhn", "BHN over all weights"),
        grows("nuts", "the exact posterior by NUTS (chains instead of seeds)"),
        Verdict::new(RATIO, SPREAD, ratio, 0.5..=2.).own(),
        Verdict::new(CLOSER, DISTANCE, closer, 0. ..).own(),
        converged("f", "largest R̂ of f(x) along the grid", f.0),
        converged("their density", "R̂ of ln p(θ, D)", joint.0),
    ]
}

const RATIO: &str =
    "A hypernet over the scales has half to twice the spread of one over all weights";
const SPREAD: &str = "mean std of f away from the data, scales relative to all weights";
const CLOSER: &str = "Away from the data a hypernet over all weights is closer to the exact \
    posterior than a factorised Gaussian";
const DISTANCE: &str = "W₁ to NUTS, Bayes by Backprop minus BHN over all weights";

/// Training examples drawn in a panel.
const PLOTTED: usize = 50;

/// A panel per method: bands of `y`, sampled functions, and the data.
fn panels(rows: &[Row<Variant, Found>], data: &Split, precision: f64) -> Chart {
    let Targets::Values(y) = &data.y else { unreachable!("a regression") };
    let points: Vec<_> =
        data.x.iter().zip(y).take(PLOTTED).map(|(&x, &y)| (x.into(), y.into())).collect();
    let panel = |row: &Row<Variant, Found>| {
        let found = &row.results[0];
        let line = |values: &[f64]| {
            Mark::Line(values.iter().enumerate().map(|(g, &v)| (x(g), v)).collect())
        };
        let band = |width: f64| {
            let std = |g: usize| width * (1. / precision + found.spread[g].powi(2)).sqrt();
            let at = |g| (x(g), found.mean[g] - std(g), found.mean[g] + std(g));
            let name = if width == 2. { "mean of y ± ½, 1, 1½, 2 std" } else { "" };
            Layer::new(name, Ink::Series(0), Mark::Band((0..GRID).map(at).collect(), 0.15))
        };
        let mut layers: Vec<_> = [2., 1.5, 1., 0.5].map(band).into();
        for (i, f) in found.drawn.iter().enumerate() {
            let f: Vec<_> = f.iter().map(|&f| f.into()).collect();
            let name = if i == 0 { "sampled functions" } else { "" };
            layers.push(Layer::new(name, Ink::Gray, line(&f)));
        }
        layers.push(Layer::new("mean of f", Ink::Series(0), line(&found.mean)));
        layers.push(Layer::new("data", Ink::Series(1), Mark::Dots(points.clone(), 2.2, 1.)));
        let x = Axis::new("x").range(SEEN.start, SEEN.end);
        Panel { title: row.input.name.into(), x, y: Axis::new("y").range(-2., 3.), layers }
    };
    Chart { columns: 4, size: (300., 260.), panels: rows.iter().map(panel).collect() }
}

/// The mean over seeds of the curve `of` at grid point `g`.
fn at(row: &Row<Variant, Found>, of: fn(&Found) -> &[f64], g: usize) -> f64 {
    row.values(|f| of(f)[g]).iter().sum::<f64>() / row.results.len() as f64
}

/// Along `x`: the spread of `f`, and the distance to the exact posterior.
fn along(rows: &[Row<Variant, Found>]) -> Chart {
    let panel = |label: &str, of: fn(&Found) -> &[f64]| {
        let layer = |(i, row): (usize, &Row<Variant, Found>)| {
            let ink = if row.key == "nuts" { Ink::Gray } else { Ink::Series(i) };
            let points = (0..GRID).map(|g| (x(g), at(row, of, g))).filter(|(_, v)| *v > 0.);
            // There are six colors: the seventh line is dashed.
            let mark = if i == 6 { Mark::Dashed } else { Mark::Line };
            Layer::new(row.input.name, ink, mark(points.collect()))
        };
        let layers = rows.iter().enumerate().map(layer).collect();
        let x = Axis::new("x").range(SEEN.start, SEEN.end);
        Panel { title: String::new(), x, y: Axis::new(label).log(), layers }
    };
    let panels = vec![panel("std of f(x)", |f| &f.spread), panel("W₁ to NUTS", |f| &f.wasserstein)];
    Chart { columns: 2, size: (440., 340.), panels }
}

/// One row per method and grid point; means over seeds.
fn curves(rows: &[Row<Variant, Found>]) -> Table {
    let mut table = Table::new("curves", "", ["method", "x", "mean", "std", "w1", "kl"]);
    let of: [fn(&Found) -> &[f64]; 4] = [|f| &f.mean, |f| &f.spread, |f| &f.wasserstein, |f| &f.kl];
    for row in rows {
        for g in 0..GRID {
            let means = of.iter().map(|&of| format!("{:.5}", at(row, of, g)));
            table.wide_row(&[&row.key, &format_args!("{:.3}", x(g))], means);
        }
    }
    table
}

const PAPER: &str = "The paper fits the curve of Blundell et al. (2015) with a small network and \
    shows the mean, error bars and functions sampled from the posterior. It claims that \
    uncertainty grows away from the data, as it should. (That a hypernet over the scales resembles \
    one over all weights is from the authors' panels.)";
const SCORES: &str = "Test scores where there are data (x from 0 to 0.5) and outside (the rest of \
    −0.5 to 1.5). NLL in nats per example; coverage is the fraction of y within 1.96 predictive \
    standard deviations, nominally 0.95. Means over seeds with one standard error; over chains for \
    NUTS.";
const SPREADS: &str = "The standard deviation of f. Mean over the grid where there are data, \
    values at both ends, and growth: the value at x = 1.5 relative to the mean at the data.";
const DISTANCES: &str = "Distance to the exact posterior. Means over the grid of the Wasserstein-1 \
    distance between the distributions of f(x), and of KL(p ‖ q) of the predictive densities of y. \
    The last row compares each chain with the others: its values are due to the finite number of \
    draws, which inflates the KL outside the data, where draws are far apart, the most.";
const NUTS: &str = "NUTS. R̂ is rank-normalised and split, of functions and not of weights, which \
    can be permuted without changing the function.";
const PANELS: &str = "Regression by method. The mean of f, bands of y, and functions sampled from \
    the posterior of the first seed; 50 of the training examples.";
const ALONG: &str = "Along x, on logarithmic axes. The standard deviation of f, and its \
    Wasserstein-1 distance to the exact posterior (for NUTS: of a chain to the others); means over \
    seeds.";

fn ours(settings: &Settings, precision: f64) -> String {
    let Settings { examples, epochs, samples, .. } = settings;
    let fewer = match examples {
        1000 => "",
        _ => " (the paper has 1000; fewer make NUTS affordable, and more epochs compensate)",
    };
    format!(
        "{examples} training examples{fewer}: x = 0.5·U(0, 1), e ~ N(0, 0.02²), y = x + 0.3 sin \
         2π(x + e) + 0.3 sin 4π(x + e) + e, the same for all methods and seeds. Seeds differ in \
         initialisation, order of examples and noise.\n\
         All methods: a 1-50-1 ReLU network; {epochs} epochs of Adam on minibatches of 32, \
         learning rate 5·10⁻⁴, decaying linearly to 0 after the first tenth; {samples} posterior \
         samples; prior N(0, 1) over θ. BHN over all weights (D = 151): three invertible linear \
         layers with smooth kinks in between, the authors' IGN; beside it RealNVP with T = 4 \
         couplings of 100 hidden units, as on the scales. MC dropout with rate 0.1.\n\
         The noise precision is learned once, by maximum likelihood with the non-Bayesian network, \
         and then fixed for all methods at τ = {precision:.1} (standard deviation {:.4}). The \
         paper learns it with each method; posteriors would then differ in their likelihood and \
         could not be compared with one exact posterior. The noise of the data is not \
         homoscedastic, since e enters the waves; no method here models that.\n\
         NUTS (crate nuts-rs, low-rank metric) samples p(θ|D) over all 151 weights in double \
         precision with gradients from our tape; each chain starts from a separately trained \
         network. It is exact for BHN over all weights and for Bayes by Backprop, which \
         approximate this posterior. BHN on the scales is another model: one scale per unit is \
         random, while biases and directions (here a sign each) are fitted.\n\
         Most trees of NUTS reach the maximum depth, which costs effective samples but causes no \
         bias. About one draw in a hundred diverges, so a narrow part of the posterior may be \
         missed; hence R̂ over chains with separate starts, and the counts in the table of NUTS.",
        precision.powf(-0.5),
    )
}
