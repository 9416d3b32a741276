//! The picture at the head of the README, drawn from committed results with the library's charts:
//! the paper's Figures 1 and 3, and how well confidence predicts accuracy.
//!
//! `cargo run --release --example 07_strip`
//!
//! It prints the SVG. Given run folders, it prints their reliability diagrams as CSV instead;
//! `docs/results/strip/README.md` has all commands.
use anyhow::{Result, bail};
use bhn::metrics::{BINS, reliability};
use bhn::predict::Predictive;
use bhn::predict::evaluate::evaluate;
use bhn::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use bhn::run::Trained;
use std::path::{Path, PathBuf};

const TRUTH: (&str, Ink) = ("truth", Ink::Gray);
const BASELINE: (&str, Ink) = ("baseline", Ink::Series(1));
const BHN: (&str, Ink) = ("Bayesian hypernetwork", Ink::Series(0));

fn main() -> Result<()> {
    let runs: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if !runs.is_empty() {
        return print_reliability(&runs);
    }
    let panels = vec![uncertainty()?, branches()?, calibration()?];
    let svg = Chart { columns: 3, size: (300., 280.), panels }.svg("strip");
    // In a file of its own, `currentColor` is black: use a grey that reads on white and on black.
    println!("{}", svg.replacen("<svg", "<svg style=\"color:#768390\"", 1));
    Ok(())
}

/// Figure 1: the mean of `y` ± 2 std, predicted by a hypernetwork over all weights, by maximum
/// likelihood, and by samples from the true posterior (NUTS).
fn uncertainty() -> Result<Panel> {
    let band = |method| -> Result<Mark> {
        let bounds = rows("curves.csv", method)?.into_iter().map(<[f64; 3]>::into);
        Ok(Mark::Band(bounds.collect(), 0.35))
    };
    let layers = vec![
        layer(TRUTH, band("nuts")?),
        layer(BHN, band("full-bhn")?),
        layer(BASELINE, band("mle")?),
        layer(("data", Ink::Series(2)), dots("data")?),
    ];
    let (x, y) = (Axis::new("x").range(-0.5, 1.5), Axis::new("y ± 2 std").range(-2., 3.));
    Ok(Panel { title: "Figure 1: uncertainty away from data".into(), x, y, layers })
}

/// Figure 3: a posterior with two branches, `ab = 1`, and 200 samples from each of two
/// approximations: a hypernetwork and independent Gaussians.
fn branches() -> Result<Panel> {
    let branch = |sign: f64| {
        let a = (0..=60).map(|i| 3.2_f64.powf(f64::from(i) / 30. - 1.) * sign);
        layer(TRUTH, Mark::Line(a.map(|a| (a, 1. / a)).collect()))
    };
    let samples = [layer(BASELINE, dots("t0")?), layer(BHN, dots("t6-mixture")?)];
    let layers = [branch(-1.), branch(1.)].into_iter().chain(samples).collect();
    let [x, y] = ["a", "b"].map(|label| Axis::new(label).range(-3.2, 3.2));
    Ok(Panel { title: "Figure 3: two modes of a posterior".into(), x, y, layers })
}

/// Accuracy by confidence, ± one standard error, of a hypernetwork and of maximum likelihood.
fn calibration() -> Result<Panel> {
    let curve = |method| -> Result<Mark> {
        let point = |&[c, a, n]: &[f64; 3]| (c, a, (a * (1. - a) / n).sqrt());
        Ok(Mark::Curve(rows("calibration.csv", method)?.iter().map(point).collect()))
    };
    let ideal = layer(TRUTH, Mark::Line(vec![(0., 0.), (1., 1.)]));
    let layers = vec![ideal, layer(BASELINE, curve("mle")?), layer(BHN, curve("bhn")?)];
    let [x, y] = ["confidence", "accuracy"].map(|label| Axis::new(label).range(0.4, 1.));
    Ok(Panel { title: "Calibration: MNIST, 5000 digits".into(), x, y, layers })
}

fn dots(method: &str) -> Result<Mark> {
    let points = rows("samples.csv", method)?.into_iter().map(<[f64; 2]>::into);
    Ok(Mark::Dots(points.collect(), 1.8, 0.8))
}

fn layer((name, ink): (&str, Ink), mark: Mark) -> Layer {
    Layer { name: name.into(), ink, mark }
}

/// The numbers in the rows of a committed CSV file whose first column is `method`.
fn rows<const N: usize>(file: &str, method: &str) -> Result<Vec<[f64; N]>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/results/strip").join(file);
    let mut found = vec![];
    for row in csv::Reader::from_path(path)?.records() {
        let row = row?;
        if row[0] == *method {
            found.push(std::array::from_fn(|i| row[i + 1].parse().expect("a number")));
        }
    }
    Ok(found)
}

fn print_reliability(runs: &[PathBuf]) -> Result<()> {
    println!("method,confidence,accuracy,count");
    for run in runs {
        let trained = Trained::load(run)?;
        let (data, config) = (trained.data(None)?, &trained.header.config);
        let test = evaluate(&trained.model, &data, config.samples(100), config.seed)?;
        let Predictive::Classes { p, .. } = test.predictive else { bail!("a regression") };
        let bins = reliability(p.view(), data.test.y.classes(), BINS);
        for bin in bins.iter().filter(|bin| bin.count > 0) {
            let method = run.file_name().expect("a run folder").to_string_lossy();
            println!("{method},{:.4},{:.4},{}", bin.confidence, bin.accuracy, bin.count);
        }
    }
    Ok(())
}
