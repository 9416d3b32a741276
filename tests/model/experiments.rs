//! Defends: a lab computes each result once, returns it bitwise unchanged, and never mixes two
//! experiments; charts draw every mark.
#![cfg(feature = "cli")]
use bhn::error::{Error, Result};
use bhn::experiments::{Cell, Experiment, Lab, Progress, Tier};
use bhn::primary::Layer;
use bhn::report::chart::{Axis, Chart, Ink, Layer as Drawn, Mark, Panel};
use bhn::report::experiment::{Figure, Report, Table};
use bhn::run::config::Config;
use bhn::run::load_data;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const TOY: Experiment = Experiment {
    name: "toy",
    place: "nowhere",
    claim: "none",
    version: 1,
    readable: 1,
    seeds: [1; 3],
    seconds: [1.; 3],
    run: |_| Ok(Report::default()),
};

fn open(dir: &Path) -> Lab<'static> {
    Lab::open(dir, &TOY, (Tier::Smoke, 1), None, &|_| ()).unwrap()
}

/// The names of a folder's files.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn cells(n: usize) -> Vec<Cell<usize>> {
    (0..n).map(|i| Cell { key: format!("cell-{i}"), cost: (i % 3) as f64, input: i }).collect()
}

#[test]
fn cell_is_computed_once_and_cached_bitwise() {
    let folder = tempfile::tempdir().unwrap();
    let values = vec![0.1 + 0.2, -0., 1e-310, f64::MAX, 1. / 3.];
    let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let first: Vec<f64> =
        open(&folder.path().join("toy")).cell("a", || Ok(values.clone())).unwrap();
    let again: Vec<f64> =
        open(&folder.path().join("toy")).cell("a", || panic!("computed twice")).unwrap();
    assert_eq!((bits(&first), bits(&again)), (bits(&values), bits(&values)));
}

/// No flipped bit changes a result unnoticed, and no damaged cell is overwritten.
#[test]
fn a_flipped_bit_in_a_cell_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let lab = open(&folder.path().join("toy"));
    let result = (vec![0.1, -2e-9, 3.], "words \"quoted\" and ü".to_string(), Some(7_u64));
    lab.cell("a", || Ok(result.clone())).unwrap();
    let cell = folder.path().join("toy/cells/a.json");
    let whole = fs::read(&cell).unwrap();
    let again = || lab.cell::<(Vec<f64>, String, Option<u64>)>("a", || panic!("computed again"));
    for bit in 0..8 * whole.len() {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&cell, &bytes).unwrap();
        let error = again().unwrap_err().to_string();
        assert!(error.contains("a.json: found") && error.contains("Remove it"), "{bit}: {error}");
        assert!(fs::read(&cell).unwrap() == bytes, "{bit}: the damaged cell is gone");
    }
    fs::write(&cell, &whole).unwrap();
    assert_eq!(again().unwrap(), result);
    fs::remove_file(&cell).unwrap();
    assert_eq!(lab.cell("a", || Ok(result.clone())).unwrap(), result);
}

/// Cells of earlier versions, such as those in `docs/results`, have no checksum.
#[test]
fn cells_without_a_checksum_are_read_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let lab = open(&folder.path().join("toy"));
    let old = r#"{"result": 2.5, "seconds": 1.0, "commit": "abc"}"#;
    fs::write(folder.path().join("toy/cells/old.json"), old).unwrap();
    assert_eq!(lab.cell("old", || Ok(0.)).unwrap(), 2.5);
    assert_eq!(lab.cell("new", || Ok(1.5)).unwrap(), 1.5);
    assert_eq!(lab.cell("new", || Ok(0.)).unwrap(), 1.5);
    assert_eq!(lab.unsealed(), (1, 2));
}

#[test]
fn non_finite_results_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lab = open(&folder.path().join("toy"));
    let error = lab.cell("a", || Ok(f64::NAN)).unwrap_err().to_string();
    assert!(error.contains("cell a") && error.contains("finite"), "{error}");
    assert!(names(&folder.path().join("toy/cells")).is_empty());
}

#[test]
fn cells_run_on_one_thread_each_and_return_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let reported = Mutex::new(vec![]);
    let listener = |progress: Progress<'_>| {
        reported.lock().unwrap().push(match progress {
            Progress::Cells { count, kept, cost } => format!("{count} {kept} {cost}"),
            Progress::Begun { key, cost } => format!("{key} begun, {cost}"),
            Progress::Cell { key } => key.to_string(),
            Progress::Part { .. } => unreachable!(),
        });
    };
    let lab =
        Lab::open(&folder.path().join("toy"), &TOY, (Tier::Smoke, 1), None, &listener).unwrap();
    let square =
        |&i: &usize| -> Result<(usize, usize)> { Ok((i * i, rayon::current_num_threads())) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let found = pool.install(|| lab.cells(&cells(4), square)).unwrap();
    assert_eq!(found, [(0, 1), (1, 1), (4, 1), (9, 1)]);
    assert_eq!(reported.lock().unwrap()[0], "4 0 3");
    reported.lock().unwrap().clear();
    let found = pool.install(|| lab.cells(&cells(6), square)).unwrap();
    assert_eq!(found[5], (25, 1));
    let mut reported = reported.into_inner().unwrap();
    reported[1..].sort();
    assert_eq!(reported, ["6 4 3", "cell-4", "cell-4 begun, 1", "cell-5", "cell-5 begun, 2"]);
}

#[test]
fn a_page_needs_cells_but_not_parts() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("toy");
    let square = |lab: &Lab<'_>| lab.cell("square", || Ok(lab.part("root", || Ok(3_u64))?.pow(2)));
    assert_eq!(square(&open(&dir)).unwrap(), 9);
    assert_eq!(names(&dir.join("parts")), ["root.json"]);
    fs::remove_dir_all(dir.join("parts")).unwrap();
    let lab = Lab::read(&dir, &TOY, (Tier::Smoke, 1), None, &|_| ()).unwrap();
    assert_eq!(square(&lab).unwrap(), 9);
    assert!(lab.has("square") && !lab.has("root"));
    let error = lab.cell("other", || -> Result<u8> { unreachable!() }).unwrap_err().to_string();
    let end = "Compute it by the same command without --cached.";
    assert!(error.contains("other.json: found no file") && error.ends_with(end), "{error}");
}

#[test]
fn a_grid_has_a_cell_for_every_row_and_seed() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("toy");
    let lab = Lab::open(&dir, &TOY, (Tier::Smoke, 2), None, &|_| ()).unwrap();
    let product = |&row: &u64, seed: u64, name: &str| Ok((10 * row + seed, name.to_string()));
    let rows = || [3, 1].map(|n| Cell { key: format!("row-{n}"), cost: n as f64, input: n });
    let grid = lab.grid(rows(), product).unwrap();
    let keys: Vec<_> = grid.iter().map(|row| (&*row.key, row.input)).collect();
    assert_eq!(keys, [("row-3", 3), ("row-1", 1)]);
    assert_eq!(grid["row-3"].results, [(30, "row-3-0".into()), (31, "row-3-1".into())]);
    // (30 · 10 + 31 · 11) / 2.
    assert_eq!(grid.paired("row-3", "row-1", |a, b| (a.0 * b.0) as f64).value, 320.5);
    let seeds: Vec<_> =
        grid.results().map(|(row, seed, found)| (row.input, seed, found.0)).collect();
    assert_eq!(seeds, [(3, 0, 30), (3, 1, 31), (1, 0, 10), (1, 1, 11)]);
    let ragged = lab.ragged_grid(rows().into_iter().zip([1, 2]), "-x", product).unwrap();
    assert_eq!(["row-3", "row-1"].map(|key| ragged[key].results.len()), [1, 2]);
    assert_eq!(ragged["row-1"].results[1], grid["row-1"].results[1]);
    assert_eq!(lab.repeat("i", 3, |i| Ok(i * i)).unwrap(), [0, 1, 4]);
    let expected = ["i-0", "i-1", "i-2", "row-1-0-x", "row-1-0", "row-1-1-x", "row-1-1"];
    let found = names(&dir.join("cells"));
    assert_eq!(found[..7], expected.map(|key| format!("{key}.json")));
    assert_eq!(found.len(), 10);
}

#[test]
fn an_error_keeps_finished_cells() {
    let folder = tempfile::tempdir().unwrap();
    let lab = open(&folder.path().join("toy"));
    let computed = AtomicUsize::new(0);
    let compute = |&i: &usize| {
        computed.fetch_add(1, Relaxed);
        if i == 1 { Err(Error::invalid("it", "broken", "whole", "Mend it.")) } else { Ok(i) }
    };
    // The most expensive first: 2, 1, 0.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let error = pool.install(|| lab.cells(&cells(3), compute)).unwrap_err();
    assert!(error.to_string().starts_with("it: found broken"), "{error}");
    let kept = names(&folder.path().join("toy/cells"));
    assert_eq!((kept, computed.into_inner()), (vec!["cell-2.json".to_string()], 2));
}

#[test]
fn a_folder_belongs_to_one_experiment_tier_and_version() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("toy");
    open(&dir);
    let before = fs::read(dir.join("lab.json")).unwrap();
    let other = |experiment: Experiment, tier, found: &str| {
        let error =
            Lab::open(&dir, &experiment, (tier, 1), None, &|_| ()).err().unwrap().to_string();
        assert!(error.contains(found) && error.contains("--out"), "{error}");
    };
    other(Experiment { name: "other", ..TOY }, Tier::Smoke, "`other`");
    other(Experiment { version: 2, ..TOY }, Tier::Smoke, "version 2.1");
    other(TOY, Tier::Paper, "tier paper");
    assert_eq!(fs::read(dir.join("lab.json")).unwrap(), before);
    // A later version that can read these cells draws its page from them, and computes nothing.
    let later = Experiment { version: 2, readable: 1, ..TOY };
    let error = Lab::open(&dir, &later, (Tier::Smoke, 1), None, &|_| ()).err().unwrap();
    assert!(error.to_string().contains("draw its page with --cached"), "{error}");
    let lab = Lab::read(&dir, &later, (Tier::Smoke, 1), None, &|_| ()).unwrap();
    assert!(lab.version == 1 && !lab.computes);
    drop(lab);
    let unreadable = Experiment { version: 2, readable: 2, ..TOY };
    assert!(Lab::read(&dir, &unreadable, (Tier::Smoke, 1), None, &|_| ()).is_err());
    assert_eq!(fs::read(dir.join("lab.json")).unwrap(), before);
    // Another number of seeds belongs to the same experiment.
    assert!(Lab::open(&dir, &TOY, (Tier::Smoke, 9), None, &|_| ()).is_ok());
}

#[test]
fn a_run_is_trained_once_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("animals.csv");
    let row = |i: usize| format!("{},{},{}\n", i * 7 % 10, i * 3 % 10, ["cat", "dog"][i % 2]);
    fs::write(&table, "length,weight,kind\n".to_string() + &(0..60).map(row).collect::<String>())
        .unwrap();
    let data = table.display().to_string();
    let mut config = Config { data, ..Config::default() };
    config.primary.layers = Some(Layer::mlp(&[8], 2));
    config.train.epochs = 3;
    let epochs = AtomicUsize::new(0);
    let count = |progress: Progress<'_>| {
        if let Progress::Part { done: epoch, of: 3, .. } = progress {
            epochs.fetch_max(epoch, Relaxed);
        }
    };
    let dir = folder.path().join("toy");
    let lab = Lab::open(&dir, &TOY, (Tier::Smoke, 1), None, &count).unwrap();
    let run = |config: &Config| lab.run("a", config, load_data(config, None)?);
    let last = || fs::read(dir.join("runs/a/last.safetensors")).unwrap();
    let history = run(&config).unwrap().0.history;
    let bits = last();
    assert_eq!((history.len(), epochs.swap(0, Relaxed)), (3, 3));
    let (again, trained) = run(&config).unwrap();
    assert_eq!((&again.history, epochs.swap(0, Relaxed)), (&history, 0));
    assert!(last() == bits && trained.header.config == again.config);
    drop(again);
    // Killed before its configuration was written.
    fs::remove_dir_all(dir.join("runs/a")).unwrap();
    fs::create_dir(dir.join("runs/a")).unwrap();
    fs::write(dir.join("runs/a/.bhn-partial-0123456789ab"), "half a configuration").unwrap();
    run(&config).unwrap();
    assert!(last() == bits && epochs.load(Relaxed) == 3);
    config.train.epochs = 4;
    let error = run(&config).err().unwrap().to_string();
    assert!(error.contains("another configuration") && error.contains("Remove"), "{error}");
}

/// Every mark, on linear and logarithmic axes, with non-finite numbers.
#[test]
fn charts_draw_every_mark() {
    let curve: Vec<_> = (1..=9).map(|i| (f64::from(i), 0.1 * f64::from(i * i))).collect();
    let with = |error: f64| curve.iter().map(|&(x, y)| (x, y, error)).collect::<Vec<_>>();
    let mut broken = curve.clone();
    broken.push((f64::NAN, f64::INFINITY));
    let bars = |error| vec![("a $".to_string(), 0.5, error), ("b".to_string(), 0.25, f64::NAN)];
    let marks = [
        vec![Mark::Line(broken.clone()), Mark::Dashed(broken.clone())],
        vec![Mark::Band(with(3.), 0.2), Mark::Curve(with(0.5)), Mark::Dots(broken, 2., 0.5)],
        vec![Mark::Bins(vec![0., 1., 2.], vec![3., 4.])],
        vec![Mark::Bars(bars(0.1)), Mark::Bars(bars(0.2))],
    ];
    let panel = |(i, marks): (usize, &Vec<Mark>)| {
        let layer = |(k, mark): (usize, &Mark)| Drawn {
            name: format!("layer {i} {k} <b>"),
            ink: if k == 0 { Ink::Gray } else { Ink::Series(k) },
            mark: mark.clone(),
        };
        let layers = marks.iter().enumerate().map(layer).collect();
        let y = if i == 1 { Axis::new("y").range(0.05, 10.).log() } else { Axis::new("y") };
        Panel { title: format!("panel {i}"), x: Axis::new("x & z"), y, layers }
    };
    let panels: Vec<_> = marks.iter().enumerate().map(panel).collect();
    let singles = panels.iter().map(|panel| Chart::one(panel.clone()));
    let all = Chart { columns: 2, size: (320., 260.), panels: panels.clone() };
    for chart in singles.chain([all]) {
        let svg = chart.svg("test");
        assert_eq!(svg, chart.svg("test"), "not the same bytes twice");
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<b>"), "{svg}");
        for panel in &chart.panels {
            assert!(svg.contains(&panel.title), "{}", panel.title);
            for layer in &panel.layers {
                assert!(svg.contains(&layer.name.replace("<b>", "&lt;b&gt;")), "{}", layer.name);
            }
        }
        let image = image::load_from_memory(&chart.png().unwrap()).unwrap().to_rgb8();
        // Something is drawn in the color of the first layer, not only axes and words.
        assert!(image.pixels().any(|p| p.0 == [0x88; 3]), "nothing in gray");
    }
}

#[test]
fn empty_report_is_rendered() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = Table::new("t", "Scores.", ["set", "score"]);
    table.skip("omniglot", "omniglot");
    let chart = Chart::one(Panel { title: "empty".into(), ..Panel::default() });
    let figure = Figure { name: "f".into(), caption: "Nothing. At all.".into(), chart };
    let report = Report { tables: vec![table], figures: vec![figure], ..Report::default() };
    report.write(folder.path(), &[("command".into(), "bhn <x>".into())]).unwrap();
    assert_eq!(names(folder.path()), ["f.png", "f.svg", "report.html", "t.csv", "table.md"]);
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("bhn &lt;x&gt;") && page.contains("skipped: bhn data fetch omniglot"));
}
