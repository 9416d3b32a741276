//! Defends: the experiments on out-of-distribution inputs run to the end, compute nothing twice,
//! and name the data sets that were missing.
#![cfg(feature = "cli")]

use bhn::experiments::{ALL, Lab, Progress, Tier};
use bhn::report::experiment::Report;
use rstest::rstest;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The report of the experiment at the smoke tier, and the number of cells that it computed.
fn smoke(name: &str, dir: &Path) -> (Report, usize) {
    let experiment = ALL.iter().find(|experiment| experiment.name == name).unwrap();
    let cells = AtomicUsize::new(0);
    let count = |progress: Progress<'_>| {
        cells.fetch_add(usize::from(matches!(progress, Progress::Cell { .. })), Relaxed);
    };
    let lab = Lab::open(dir, experiment, (Tier::Smoke, 1), None, &count).unwrap();
    let report = (experiment.run)(&lab).unwrap();
    report.write(dir, &[]).unwrap();
    (report, cells.into_inner())
}

/// The cells are eight networks; six networks for each of ten digits; on two architectures, seven
/// networks and one from which the attacks are transferred; eight networks. There are three trials
/// of each but MC dropout, which evaluates the run of dropout.
#[rstest]
#[case("anomaly", 8 + 3 * 7)]
#[case("unseen", 60 + 3 * 5)]
#[case("adversarial", 16 + 3 * 12)]
#[case("shift", 8 + 3 * 7)]
fn experiment_computes_each_cell_once(#[case] name: &str, #[case] cells: usize) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join(name);
    let (report, computed) = smoke(name, &dir);
    assert_eq!(computed, cells);
    let (again, computed) = smoke(name, &dir);
    assert_eq!(computed, 0);
    assert_eq!(format!("{report:?}"), format!("{again:?}"));
    assert!(!report.verdicts.is_empty() && !report.figures.is_empty());
    // If a cell is removed, the network is loaded from its run, and the result is the same.
    let cell = std::fs::read_dir(dir.join("cells")).unwrap().next().unwrap().unwrap().path();
    let last = |dir: &Path| {
        let mut runs: Vec<_> = std::fs::read_dir(dir.join("runs")).unwrap().collect();
        runs.sort_by_key(|run| run.as_ref().unwrap().file_name());
        let best = |run: std::io::Result<std::fs::DirEntry>| {
            std::fs::metadata(run.unwrap().path().join("best.safetensors")).unwrap().modified()
        };
        runs.into_iter().map(|run| best(run).unwrap()).collect::<Vec<_>>()
    };
    let trained = last(&dir);
    std::fs::remove_file(cell).unwrap();
    let (again, computed) = smoke(name, &dir);
    assert_eq!((computed, format!("{again:?}")), (1, format!("{report:?}")));
    assert_eq!(last(&dir), trained, "a network was trained again");
}

#[test]
fn missing_data_sets_are_listed_as_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let (report, _) = smoke("anomaly", &folder.path().join("anomaly"));
    let table = report.tables.iter().find(|table| table.name == "sets").unwrap();
    for (set, there) in [("uniform", true), ("gaussian", true), ("omniglot", false)] {
        let row = table.rows.iter().find(|row| row[0] == set).unwrap();
        assert_eq!(row[1] != format!("skipped: bhn data fetch {set}"), there, "{row:?}");
    }
}

#[test]
fn cifar_10_without_data_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let experiment = ALL.iter().find(|experiment| experiment.name == "cifar-10").unwrap();
    let (dir, data) = (folder.path().join("out"), Some(folder.path()));
    let lab = Lab::open(&dir, experiment, (Tier::Smoke, 1), data, &|_| ()).unwrap();
    let report = (experiment.run)(&lab).unwrap();
    assert!(report.verdicts.is_empty());
    assert!(format!("{report:?}").contains("skipped: bhn data fetch cifar-10"));
}
