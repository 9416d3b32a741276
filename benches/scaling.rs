//! Scaling of time and memory of a training step and of a prediction:
//! `cargo bench --bench scaling`.
//!
//! One quantity at a time is doubled around the reference case. Each point runs in its own process,
//! whose peak memory is the point's. Writes `scaling.svg`, and `scaling.md` below its marker, to
//! `docs/results` or the folder after `--out`; each point takes `--secs S`.
mod common;

use bhn::bayes::Targets;
use bhn::predict::{draw, predict};
use bhn::primary::Layer;
use bhn::random::{Purpose, stream};
use bhn::report::chart::{Axis, Chart, Ink, Layer as Drawn, Mark, Panel};
use bhn::run::summary::{cpu, peak_memory};
use common::{BATCH, INPUTS, median, model, normal, reference, timed, trainer};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Units of a primary layer, of a coupling's hidden layer, S, B, T, hidden primary layers.
type Case = [usize; 6];
const REFERENCE: Case = [800, 200, 1, BATCH, 8, 2];

/// Name, description and range of each quantity, in the order of [`Case`].
const AXES: [(&str, &str, [usize; 2]); 6] = [
    ("D", "scales made by the hypernet", [50, 3200]),
    ("H", "hidden units of a coupling", [25, 1600]),
    ("S", "noise samples", [1, 32]),
    ("B", "examples a batch", [16, 1024]),
    ("T", "couplings", [1, 64]),
    ("L", "hidden layers of 800", [1, 16]),
];

/// A prediction has this many times the inputs of a batch and the samples of a step.
const MORE: usize = 8;

/// The text above this line of `scaling.md` is kept.
const MARK: &str = "<!-- From here on written by `cargo bench --bench scaling`. -->";

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Point {
    parameters: usize,
    ms: f64,
    peak: u64,
}

/// One value of a quantity: a step and a prediction, with 1 and 2 threads.
struct Row {
    x: usize,
    weights: usize,
    step: [Point; 2],
    predict: [Point; 2],
}

/// A row's steps or its predictions.
type Work = fn(&Row) -> [Point; 2];

/// The measurements to fit: time with 1 and 2 threads, peak memory.
const QUANTITIES: [fn([Point; 2]) -> f64; 3] =
    [|p| p[0].ms, |p| p[1].ms, |p| p[0].peak as f64 / 1e6];

fn main() {
    let words: Vec<_> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [flag, work, threads, secs, case @ ..] = &words[..]
        && flag == "--point"
    {
        let number = |word: &String| word.parse().expect("a whole number");
        let case: Vec<usize> = case.iter().map(number).collect();
        let case = case.try_into().expect("six numbers");
        let secs = Duration::from_secs_f64(secs.parse().expect("seconds"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(number(threads)).build();
        let point = pool.expect("threads").install(|| measure(work, case, secs));
        return println!("{}", serde_json::to_string(&point).expect("numbers"));
    }
    let flag = |name: &str, default: &str| {
        let at = words.iter().position(|word| word == name);
        at.and_then(|at| words.get(at + 1)).map_or(default.into(), String::clone)
    };
    let (out, secs, start) = (flag("--out", "docs/results"), flag("--secs", "1"), Instant::now());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().expect("a first word");
    let axes = study(&secs);
    let file = Path::new(&out).join("scaling.md");
    let prose = std::fs::read_to_string(&file).unwrap_or("# Scaling\n\n".into());
    let prose = prose.split(MARK).next().expect("a first part");
    let text = format!("{prose}{MARK}\n\n{}{}", head(start.elapsed(), &secs, load), tables(&axes));
    std::fs::write(&file, text).expect("scaling.md is written");
    std::fs::write(file.with_extension("svg"), figure(&axes)).expect("scaling.svg is written");
    println!("wrote {} and .svg after {:.0} s", file.display(), start.elapsed().as_secs_f64());
}

/// Measures one point in this process.
fn measure(work: &str, case: Case, secs: Duration) -> Point {
    let [width, hidden, samples, batch, couplings, depth] = case;
    let mut config = reference();
    config.primary.layers = Some(Layer::mlp(&vec![width; depth], 10));
    config.flow.hidden = hidden;
    config.flow.couplings = couplings;
    config.train.samples = samples;
    config.train.batch = batch;
    let (parameters, times) = if work == "step" {
        let mut trainer = trainer(&config);
        let (x, y) = (normal([batch, INPUTS]), (0..batch).map(|i| i * 7 % 10).collect());
        let y = Targets::Classes(y);
        let times = timed(secs, 3, |_| {
            trainer.step(x.clone(), &y).expect("a finite step");
        });
        (trainer.model.params.count(), times)
    } else {
        let (model, x) = (model(&config), normal([MORE * batch, INPUTS]));
        let times = timed(secs, 1, |i| {
            let rng = &mut stream(config.seed, Purpose::Sample, i as u64);
            let (theta, _) = draw(&model, MORE * samples, rng);
            predict(&model, &theta, x.view());
        });
        (model.params.count(), times)
    };
    let peak = peak_memory().expect("a system that tells a process's peak memory");
    Point { parameters, ms: median(&times), peak }
}

/// Measures all points, each in its own process; the reference case, which axes share, once.
fn study(secs: &str) -> Vec<Vec<Row>> {
    let program = std::env::current_exe().expect("this program's path");
    let mut known = HashMap::new();
    let mut point = |work: &'static str, threads: usize, case: Case| -> Point {
        *known.entry((work, threads, case)).or_insert_with(|| {
            let numbers = [threads].into_iter().map(|n| n.to_string()).chain([secs.into()]);
            let numbers = numbers.chain(case.iter().map(usize::to_string));
            let output = Command::new(&program).args(["--point", work]).args(numbers).output();
            let output = output.expect("this program starts");
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{work} {threads} {case:?}: {error}");
            serde_json::from_slice(&output.stdout).expect("a point")
        })
    };
    let mut axes = vec![];
    for (axis, (name, _, [from, to])) in AXES.into_iter().enumerate() {
        let mut rows = vec![];
        for value in std::iter::successors(Some(from), |v| Some(2 * v)).take_while(|v| *v <= to) {
            let mut case = REFERENCE;
            case[axis] = value;
            let [width, .., depth] = case;
            let x = if axis == 0 { depth * width + 10 } else { value };
            let weights = INPUTS * width + (depth - 1) * width * width + 10 * width;
            let step = [1, 2].map(|threads| point("step", threads, case));
            let predict = [1, 2].map(|threads| point("predict", threads, case));
            let [step_ms, predict_ms] = [step[0].ms, predict[0].ms].map(digits);
            println!("{name} = {x}: step {step_ms} ms, prediction {predict_ms} ms");
            rows.push(Row { x, weights, step, predict });
        }
        axes.push(rows);
    }
    axes
}

/// `y ∝ xᵇ` by least squares in `ln x`, `ln y`.
struct Fit {
    b: f64,
    /// Standard error of `b`.
    error: f64,
    /// A point on the line.
    center: (f64, f64),
}

impl Fit {
    fn new(points: &[(f64, f64)]) -> Self {
        let n = points.len() as f64;
        let logs = || points.iter().map(|(x, y)| (x.ln(), y.ln()));
        let (x0, y0) = (logs().map(|p| p.0).sum::<f64>() / n, logs().map(|p| p.1).sum::<f64>() / n);
        let xx: f64 = logs().map(|(x, _)| (x - x0).powi(2)).sum();
        let b = logs().map(|(x, y)| (x - x0) * (y - y0)).sum::<f64>() / xx;
        let rest: f64 = logs().map(|(x, y)| (y - y0 - b * (x - x0)).powi(2)).sum();
        Self { b, error: (rest / (n - 2.) / xx).sqrt(), center: (x0.exp(), y0.exp()) }
    }

    fn at(&self, x: f64) -> f64 {
        self.center.1 * (x / self.center.0).powf(self.b)
    }
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", format!("{:.2} ± {:.2}", self.b, self.error).replace('-', "−"))
    }
}

/// `(x, y)` of one measurement for each row.
fn points(rows: &[Row], work: Work, quantity: usize) -> Vec<(f64, f64)> {
    rows.iter().map(|row| (row.x as f64, QUANTITIES[quantity](work(row)))).collect()
}

fn upper_half<T>(rows: &[T]) -> &[T] {
    &rows[rows.len() / 2..]
}

/// Fits of all measurements, those of a step first.
fn fits(rows: &[Row]) -> [Fit; 6] {
    let works: [Work; 2] = [|row| row.step, |row| row.predict];
    std::array::from_fn(|i| Fit::new(&points(rows, works[i / 3], i % 3)))
}

/// The command, the machine and its load, the commit and the seed.
fn head(took: Duration, secs: &str, load: &str) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let warning = match cores {
        1 => "**On one core the columns of 2 threads say nothing.**\n\n",
        _ => "",
    };
    format!(
        "`cargo bench --bench scaling -- --secs {secs}`, {:.0} minutes; {}, cores to run on: \
         {cores}, load before: {load}; commit {}, seed {}.\n\n{warning}",
        took.as_secs_f64() / 60.,
        cpu(),
        env!("BHN_COMMIT"),
        reference().seed,
    )
}

fn tables(axes: &[Vec<Row>]) -> String {
    let mut text = String::from(
        "## What doubling costs\n\nThe factor 2ᵇ, `b` fitted over the upper half of each axis.\n\n\
         | doubled | a step, 1 thread | 2 threads | its memory | a prediction, 1 thread \
         | 2 threads | its memory |\n|---|---|---|---|---|---|---|\n",
    );
    for ((name, words, _), rows) in AXES.iter().zip(axes) {
        write!(text, "| {name}, {words}").unwrap();
        for Fit { b, error, .. } in fits(upper_half(rows)) {
            let factor = b.exp2();
            write!(text, " | {factor:.2} ± {:.2}", factor * error * 2_f64.ln()).unwrap();
        }
        text += " |\n";
    }
    for ((name, words, _), rows) in AXES.iter().zip(axes) {
        write!(
            text,
            "\n## {name}: {words}\n\n| {name} | primary weights, 10⁶ | parameters, 10⁶ \
             | step, 1 thread, ms | 2 threads, ms | 2t/1t | peak, MB | bytes a parameter \
             | prediction, 1 thread, ms | 2 threads, ms | 2t/1t | peak, MB |\n|{}\n",
            "---|".repeat(12)
        )
        .unwrap();
        for row in rows {
            let millions = |n: usize| format!("{:.3}", n as f64 / 1e6);
            let parameters = row.step[0].parameters;
            let bytes = row.step[0].peak as f64 / parameters as f64;
            let [step, predict] = [row.step, row.predict].map(|p| {
                let [one, two, peak] = QUANTITIES.map(|quantity| digits(quantity(p)));
                [one, two, format!("{:.2}", p[1].ms / p[0].ms), peak].join(" | ")
            });
            let (weights, parameters) = (millions(row.weights), millions(parameters));
            let x = row.x;
            writeln!(text, "| {x} | {weights} | {parameters} | {step} | {bytes:.1} | {predict} |")
                .unwrap();
        }
        for (which, rows) in [("upper half", upper_half(rows)), ("all", rows)] {
            let [a, b, c, d, e, f] = fits(rows);
            writeln!(text, "| b, {which} | | | {a} | {b} | | {c} | | {d} | {e} | | {f} |").unwrap();
        }
    }
    text
}

/// `x` to three significant digits.
fn digits(x: f64) -> String {
    let places = (2. - x.log10().floor()).clamp(0., 3.) as usize;
    format!("{x:.places$}")
}

/// For each quantity, a panel of times above a panel of memory.
fn figure(axes: &[Vec<Row>]) -> String {
    let labels = AXES.map(|(name, words, _)| format!("{name}, {words}"));
    let range = |quantities: &[usize]| {
        let all = axes.iter().flatten();
        let values = all.flat_map(|row| [row.step, row.predict]);
        let values: Vec<_> =
            values.flat_map(|p| quantities.iter().map(move |&q| QUANTITIES[q](p))).collect();
        let low = values.iter().copied().fold(f64::MAX, f64::min);
        (low / 1.5, values.into_iter().fold(0., f64::max) * 1.5)
    };
    let ranges = [range(&[0, 1]), range(&[2])];
    let panel = |axis: usize, kind: usize| {
        let rows = &axes[axis];
        let quantities: &[usize] = if kind == 0 { &[1, 0] } else { &[2] };
        let (mut layers, mut slopes) = (vec![], vec![]);
        let works: [(&str, Work); 2] =
            [("step", |row| row.step), ("prediction", |row| row.predict)];
        for &quantity in quantities {
            for (color, (name, work)) in works.into_iter().enumerate() {
                let mut layer = |name: &str, mark| {
                    layers.push(Drawn { name: name.into(), ink: Ink::Series(color), mark });
                };
                let dots = points(rows, work, quantity);
                let pale = quantity == 1;
                if !pale {
                    let fit = Fit::new(upper_half(&dots));
                    let line = upper_half(&dots).iter().map(|&(x, _)| (x, fit.at(x)));
                    layer(name, Mark::Line(line.collect()));
                    slopes.push(format!("{name} {fit}"));
                }
                layer("", Mark::Dots(dots, 3., if pale { 0.4 } else { 1. }));
            }
        }
        let (low, high) = rows
            .iter()
            .map(|row| row.x as f64)
            .fold((f64::MAX, 0_f64), |(a, b), x| (a.min(x), b.max(x)));
        let (bottom, top) = ranges[kind];
        Panel {
            title: format!("b: {}", slopes.join(", ")),
            x: Axis::new(&*labels[axis]).range(low / 1.3, high * 1.3).log(),
            y: Axis::new(["time, ms", "peak memory, MB"][kind]).range(bottom, top).log(),
            layers,
        }
    };
    let block = |first: usize| {
        [0, 1].into_iter().flat_map(move |kind| (first..first + 3).map(move |axis| (axis, kind)))
    };
    let panels = block(0).chain(block(3)).map(|(axis, kind)| panel(axis, kind)).collect();
    let chart = Chart { columns: 3, size: (360., 260.), panels };
    chart.svg("scaling").replacen("<svg", "<svg style=\"background:white\"", 1)
}
