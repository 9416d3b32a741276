//! Figures of committed results.
use crate::build::ROOT;
use anyhow::{Context, Result, ensure};
use bhn::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use bhn::stats::over_seeds;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of `docs/results`.
fn result(file: &str) -> PathBuf {
    Path::new(ROOT).join("../docs/results").join(file)
}

/// The rows of a CSV file.
fn rows(file: &str) -> Result<Vec<Vec<String>>> {
    let mut reader = csv::Reader::from_path(result(file)).with_context(|| file.to_string())?;
    let rows = reader.records().map(|row| Ok(row?.iter().map(str::to_string).collect()));
    rows.collect()
}

/// The rows of the table of a page whose header has `column`.
fn table(file: &str, column: &str) -> Result<Vec<Vec<String>>> {
    let page = fs::read_to_string(result(file)).with_context(|| file.to_string())?;
    let start = |line: &str| line.starts_with('|') && line.contains(column);
    let rows = page.lines().skip_while(|line| !start(line)).skip(2);
    let rows: Vec<Vec<String>> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|c| c.trim().to_string()).collect())
        .collect();
    ensure!(!rows.is_empty(), "{file}: no table with a column {column}");
    Ok(rows)
}

/// `a ± b` as `(a, b)`.
fn estimate(cell: &str) -> Result<(f64, f64)> {
    let (value, error) = cell.split_once(" ± ").with_context(|| format!("{cell}: no error"))?;
    Ok((value.parse()?, error.parse()?))
}

/// Samples of two scales, read back from the figure of `bhn reproduce scales`.
pub fn scales() -> Result<Chart> {
    let svg = fs::read_to_string(result("scales/pair.svg"))?;
    let panels: Vec<&str> = svg.split("<g transform=").skip(1).collect();
    let panel = |title: &str, ink: usize| -> Result<Panel> {
        let of = |panel: &&&str| panel.contains(&format!(">{title}</text>"));
        let drawn = panels.iter().find(of).with_context(|| format!("no panel {title}"))?;
        let [x, y] = [axis(drawn, "x", "middle")?, axis(drawn, "y", "end")?];
        let circles = drawn.split("<circle ").skip(1);
        let points = circles.map(|circle| {
            let at = |name| attribute(circle, name);
            Ok((x.0 + x.1 * at("cx")?, y.0 + y.1 * at("cy")?))
        });
        let points = points.collect::<Result<Vec<_>>>()?;
        ensure!(points.len() > 100, "{title}: {} points", points.len());
        let layers = vec![Layer::new("", Ink::Series(ink), Mark::Dots(points, 2., 0.6))];
        let (x, y) = (Axis::new("g₅₀").range(0.5, 3.), Axis::new("g₄₈").range(1., 3.5));
        let title = if title == "NUTS" { "exact posterior" } else { title };
        Ok(Panel { title: title.into(), x, y, layers })
    };
    let panels = vec![panel("NUTS", 2)?, panel("T = 0", 1)?, panel("T = 8", 0)?];
    Ok(Chart { columns: 3, size: (250., 250.), panels })
}

/// Intercept and slope that map positions in a drawn panel to values of an axis: the first two tick
/// labels whose texts have the anchor.
fn axis(panel: &str, name: &str, anchor: &str) -> Result<(f64, f64)> {
    let labels = panel.split("<text ").skip(1).filter(|text| text.contains("font-size=\"11\""));
    let labels = labels.filter(|text| text.contains(&format!("text-anchor=\"{anchor}\"")));
    let labels = labels.map(|text| {
        let label = text.split(['>', '<']).nth(1).context("no label")?;
        Ok((attribute(text, name)?, label.parse::<f64>()?))
    });
    let labels = labels.collect::<Result<Vec<_>>>()?;
    let [first, second] = labels.get(..2).context("two tick labels")? else { unreachable!() };
    // Tick labels of the vertical axis are centred 4.01 pixels below their ticks.
    let shift = if name == "y" { 4.01 } else { 0. };
    let slope = (second.1 - first.1) / (second.0 - first.0);
    Ok((first.1 - slope * (first.0 - shift), slope))
}

fn attribute(element: &str, name: &str) -> Result<f64> {
    let value = element.split(&format!("{name}=\"")).nth(1).and_then(|v| v.split('"').next());
    Ok(value.with_context(|| format!("no {name}"))?.parse()?)
}

/// Accuracy by confidence, from `docs/results/strip`.
pub fn calibration() -> Result<Chart> {
    let rows = rows("strip/calibration.csv")?;
    let curve = |method: &str| -> Result<Mark> {
        let points = rows.iter().filter(|row| row[0] == method).map(|row| {
            let (c, a, n): (f64, f64, f64) = (row[1].parse()?, row[2].parse()?, row[3].parse()?);
            Ok((c, a, (a * (1. - a) / n).sqrt()))
        });
        Ok(Mark::Curve(points.collect::<Result<_>>()?))
    };
    let [x, y] = ["confidence", "accuracy"].map(|label| Axis::new(label).range(0.4, 1.));
    let layers = vec![
        Layer::new("calibrated", Ink::Gray, Mark::Line(vec![(0.4, 0.4), (1., 1.)])),
        Layer::new("maximum likelihood", Ink::Series(1), curve("mle")?),
        Layer::new("Bayesian hypernetwork", Ink::Series(0), curve("bhn")?),
    ];
    Ok(Chart::one(Panel { x, y, layers, ..Panel::default() }))
}

/// Accuracy by the number of labels, from `docs/results/active`.
pub fn active() -> Result<Chart> {
    let rows = rows("active/curves.csv")?;
    let names = [("random", "random"), ("max entropy", "entropy"), ("BALD", "BALD")];
    let layers = names.iter().enumerate().map(|(i, (score, name))| {
        let mut seeds: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for row in rows.iter().filter(|row| row[0].starts_with("BHN") && row[1] == *score) {
            seeds.entry(row[3].parse()?).or_default().push(row[4].parse()?);
        }
        let points = seeds.iter().map(|(&labels, all)| {
            let mean = over_seeds(all);
            (f64::from(labels), mean.value, mean.error)
        });
        Ok(Layer::new(*name, Ink::Series([1, 2, 0][i]), Mark::Curve(points.collect())))
    });
    Ok(Chart::one(Panel {
        x: Axis::new("labels"),
        y: Axis::new("test accuracy, %"),
        layers: layers.collect::<Result<_>>()?,
        ..Panel::default()
    }))
}

/// Distances from the exact posterior, from `docs/results/scales`.
pub fn gaps() -> Result<Chart> {
    let names = [
        ("independent Gaussians (T = 0)", "T = 0"),
        ("RealNVP, T = 2", "T = 2"),
        ("RealNVP, T = 4", "T = 4"),
        ("RealNVP, T = 8", "T = 8"),
        ("IAF, T = 2, total gradient", "IAF, T = 2"),
        ("low-rank Gaussian (rank 10)", "rank 10"),
        ("full Gaussian", "full"),
        ("Laplace, GGN", "Laplace"),
        ("MNF", "MNF"),
    ];
    let rows = rows("scales/gaps.csv")?;
    let point = |(i, (name, _)): (usize, &(&str, &str))| {
        let row = rows.iter().find(|row| row[0] == *name).with_context(|| name.to_string())?;
        let (gap, error) = estimate(&row[1])?;
        Ok((i as f64 + 1., gap, error))
    };
    let points = names.iter().enumerate().map(point).collect::<Result<Vec<_>>>()?;
    let (flows, others) = points.split_at(5);
    Ok(Chart::one(Panel {
        x: Axis::of_names("", names.iter().map(|(_, name)| name.to_string()).collect()),
        y: Axis::new("ln p(D) − ELBO, nats").range(1., 100.).log(),
        layers: vec![
            Layer::new("flows", Ink::Series(0), Mark::Intervals(flows.to_vec())),
            Layer::new("other posteriors", Ink::Series(1), Mark::Intervals(others.to_vec())),
        ],
        ..Panel::default()
    }))
}

/// Student's t with two degrees of freedom, for an interval of 95 % from three seeds.
const STUDENT: f64 = 4.303;

/// Intervals of the differences that the claims of a page are about, from `docs/results/mnist-5k`.
pub fn claims() -> Result<Chart> {
    let short = |text: &str| {
        let text = text.replace(" classifies better than ", " − ").replace(" = ", "=");
        let text = text.replace("maximum likelihood", "ML").replace("dropout", "drop");
        text.replace("Bayes by Backprop over all weights", "BbB")
    };
    let (mut names, mut groups) = (vec![], [vec![], vec![], vec![]]);
    let outcomes = ["holds", "not decided", "does not hold"];
    for row in table("mnist-5k/paper.md", "claim")? {
        if row[0].contains(" classifies better than ") {
            names.push(short(&row[0]));
            let (value, error) = estimate(&row[2])?;
            let group = outcomes.iter().position(|outcome| row[4].starts_with(outcome));
            let point = (names.len() as f64, value, STUDENT * error);
            groups[group.with_context(|| row[4].clone())?].push(point);
        }
    }
    let n = names.len() as f64;
    let zero = Layer::new("", Ink::Gray, Mark::Line(vec![(0.5, 0.), (n + 0.5, 0.)]));
    let layers = groups.into_iter().enumerate().map(|(i, points)| {
        Layer::new(outcomes[i], Ink::Series([2, 4, 1][i]), Mark::Intervals(points))
    });
    let panel = Panel {
        x: Axis::of_names("", names),
        y: Axis::new("difference of test accuracies, points"),
        layers: [zero].into_iter().chain(layers).collect(),
        ..Panel::default()
    };
    Ok(Chart { size: (720., 400.), ..Chart::one(panel) })
}

/// Times of a step relative to this program's, from `docs/results/speed.md`.
pub fn speed() -> Result<Chart> {
    // Columns: work, threads, best peer / bhn, bhn, JAX, eager, compiled, …
    let rows = table("speed.md", "| f32 | threads |")?;
    let peers = [("bhn", 3), ("JAX", 4), ("PyTorch, eager", 5), ("PyTorch, compiled", 6)];
    let layers = peers.iter().enumerate().map(|(i, (name, column))| {
        let bars = rows.iter().filter(|row| row[1] == "1").map(|row| {
            let work = row[0].split(':').next().unwrap_or_default().to_string();
            let time = |column: usize| row[column].parse::<f64>();
            Ok((work, time(*column).unwrap_or(0.) / time(3)?, 0.))
        });
        let bars = bars.collect::<Result<Vec<_>>>()?;
        Ok(Layer::new(
            *name,
            [Ink::Series(0), Ink::Series(1), Ink::Series(2), Ink::Series(3)][i],
            Mark::Bars(bars),
        ))
    });
    Ok(Chart::one(Panel {
        y: Axis::new("time, relative to bhn"),
        layers: layers.collect::<Result<_>>()?,
        ..Panel::default()
    }))
}
