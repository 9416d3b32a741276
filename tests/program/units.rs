//! Defends: predicted values are in the target's units, however large, small or far from 0.
use crate::common::Folder;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rstest::rstest;
use serde_json::Value;
use std::fs;

/// `y = shift + unit · (20 x + N(0, 1))` of 400 rows, and the 400 values of `(y − shift) / unit`.
fn line(shift: f64, unit: f64) -> (String, Vec<f64>) {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let mut text = "x,y\n".to_string();
    let mut plain = vec![];
    for _ in 0..400 {
        let x = rng.random_range(-1.0..1.0_f64);
        let y = 20. * x + rng.sample::<f64, _>(StandardNormal);
        text += &format!("{x},{:e}\n", shift + unit * y);
        plain.push(y);
    }
    (text, plain)
}

/// The root-mean-square error of `predict`'s means, and the number of distinct means that it
/// prints.
fn predicted(folder: &Folder, (shift, unit): (f64, f64), plain: &[f64]) -> (f64, usize) {
    let out = folder.bhn().args(["predict", "run", "y.csv"]).assert().success();
    let text = String::from_utf8(out.get_output().stdout.clone()).unwrap();
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let means: Vec<String> = rows.records().map(|row| row.unwrap()[2].to_string()).collect();
    let number = |text: &String| (text.parse::<f64>().unwrap() - shift) / unit;
    let square: f64 = means.iter().zip(plain).map(|(m, y)| (number(m) - y).powi(2)).sum();
    let distinct: std::collections::BTreeSet<_> = means.iter().collect();
    ((square / plain.len() as f64).sqrt(), distinct.len())
}

#[rstest]
#[case::dates(1.7e9, 1.)]
#[case::below(-1.7e9, 1.)]
#[case::small(0., 1e-7)]
#[case::tiny(0., 1e-47)]
#[case::large(0., 1e45)]
fn results_are_invariant_to_target_shift_and_scale(#[case] shift: f64, #[case] unit: f64) {
    // Small steps, since training amplifies rounding errors.
    let steps = ["--epochs", "60", "--batch", "128", "--learning-rate", "0.001"];
    let train = ["train", "y.csv", "--samples", "20", "--out", "run", "--json"];
    let train = [&train[..], &steps].concat();
    let of = |shift, unit| {
        let folder = Folder::new();
        let (text, plain) = line(shift, unit);
        folder.write("y.csv", text);
        let out = folder.bhn().args(&train).assert().success();
        let summary: Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
        let rmse = summary["test"]["rmse"].as_f64().unwrap();
        let page = fs::read_to_string(folder.path("run/report.html")).unwrap();
        let (error, distinct) = predicted(&folder, (shift, unit), &plain);
        let off = format!("the mean prediction is off by {} ", bhn::report::number(rmse));
        assert!(page.contains(&off) && !page.contains("NaN"), "{off}");
        (rmse / unit, error, distinct)
    };
    let (rmse, error, distinct) = of(shift, unit);
    let (plain_rmse, plain_error, plain_distinct) = of(0., 1.);
    // The networks have the same inputs up to rounding errors, which training amplifies. The
    // tolerance is the standard error of an RMSE over N rows, a fraction 1/√2N of it.
    let close = |a: f64, b: f64, n: f64| (a / b - 1.).abs() < 1. / (2. * n).sqrt();
    assert!(close(rmse, plain_rmse, 40.), "{rmse} for {plain_rmse}");
    assert!(close(error, plain_error, 400.), "{error} for {plain_error}");
    // The noise has a deviation of 1.
    assert!(error < 1.5, "{error}");
    // Single precision resolves 2⁻²⁴ of a standard deviation, so that hardly any two rows coincide.
    assert!(distinct >= plain_distinct.min(390), "{distinct} distinct means");
}
