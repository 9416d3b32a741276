//! Scores of class probabilities.
use super::Estimate;
use ndarray::{Array2, ArrayView2};
use std::collections::BTreeMap;

/// Predicted classes `argmax_c p_c` of shape `[N]`, for `p [N, K]`. If classes are tied, the first
/// of them is predicted.
pub fn predictions(p: ArrayView2<'_, f32>) -> Vec<usize> {
    top(p).map(|(class, _)| class).collect()
}

/// Accuracy `(1/N) Σₙ 1[argmax_c pₙc = yₙ]` of `p [N, K]` for labels `y [N]`, in `[0, 1]`.
///
/// # Panics
/// If there is no example, the numbers of rows and labels differ, or a label is not below `K`.
pub fn accuracy(p: ArrayView2<'_, f32>, labels: &[usize]) -> Estimate {
    check("accuracy", p, labels);
    let right = |((class, _), &label): ((usize, f64), &usize)| f64::from(class == label);
    Estimate::of(&top(p).zip(labels).map(right).collect::<Vec<_>>())
}

/// Negative log-likelihood `−(1/N) Σₙ ln pₙ,yₙ` of `p [N, K]` for labels `y [N]`, in nats per
/// example: the log score of Good, "Rational decisions", 1952.
///
/// Probabilities are clamped from below to `f32::MIN_POSITIVE`, so that one certain mistake costs
/// 87.3 nats rather than infinitely many. A NaN probability gives NaN.
///
/// # Panics
/// If there is no example, the numbers of rows and labels differ, or a label is not below `K`.
pub fn nll(p: ArrayView2<'_, f32>, labels: &[usize]) -> Estimate {
    Estimate::of(&log_loss(p, labels))
}

/// `−ln pₙ,yₙ` of each example, whose mean is the [`nll`].
///
/// # Panics
/// As [`nll`].
pub fn log_loss(p: ArrayView2<'_, f32>, labels: &[usize]) -> Vec<f64> {
    check("nll", p, labels);
    // `0 − ln 1` is 0, and `−ln 1` would be −0.
    let cost = |(n, &y): (usize, &usize)| {
        0.0 - f64::from(p[[n, y]].clamp(f32::MIN_POSITIVE, f32::INFINITY)).ln()
    };
    labels.iter().enumerate().map(cost).collect()
}

/// Brier score `(1/N) Σₙ Σ_c (pₙc − 1[c = yₙ])²` of `p [N, K]` for labels `y [N]`, in `[0, 2]`:
/// Brier, "Verification of forecasts expressed in terms of probability", 1950.
///
/// # Panics
/// If there is no example, the numbers of rows and labels differ, or a label is not below `K`.
pub fn brier(p: ArrayView2<'_, f32>, labels: &[usize]) -> Estimate {
    check("brier", p, labels);
    let square = |p: f32, hit: bool| (f64::from(p) - f64::from(hit)).powi(2);
    let rows = p.outer_iter().zip(labels);
    let cost = rows.map(|(row, &y)| row.iter().enumerate().map(|(c, &p)| square(p, c == y)).sum());
    Estimate::of(&cost.collect::<Vec<f64>>())
}

/// Confusion matrix `[K, K]` of `p [N, K]` for labels `[N]`: entry `[y, c]` is the number of
/// examples with label `y` and predicted class `c`.
///
/// # Panics
/// If there is no example, the numbers of rows and labels differ, or a label is not below `K`.
pub fn confusion(p: ArrayView2<'_, f32>, labels: &[usize]) -> Array2<usize> {
    let mut counts = Array2::zeros([p.ncols(), p.ncols()]);
    confusions(p, labels).into_iter().for_each(|(at, count)| counts[at] = count);
    counts
}

/// The entries of [`confusion`] that are not 0, by label and predicted class `[y, c]`: at most `N`,
/// however many classes there are.
///
/// # Panics
/// As [`confusion`].
pub fn confusions(p: ArrayView2<'_, f32>, labels: &[usize]) -> BTreeMap<[usize; 2], usize> {
    check("confusion", p, labels);
    let mut counts = BTreeMap::new();
    for ((class, _), &label) in top(p).zip(labels) {
        *counts.entry([label, class]).or_default() += 1;
    }
    counts
}

/// The predicted class of each row and its probability, the confidence.
pub(super) fn top<'a>(p: ArrayView2<'a, f32>) -> impl Iterator<Item = (usize, f64)> + 'a {
    (0..p.nrows()).map(move |n| {
        let class =
            (1..p.ncols()).fold(0, |best, c| if p[[n, c]] > p[[n, best]] { c } else { best });
        (class, f64::from(p[[n, class]]))
    })
}

pub(super) fn check(name: &str, p: ArrayView2<'_, f32>, labels: &[usize]) {
    let (shape, n) = (p.shape(), labels.len());
    assert!(p.nrows() == n, "{name}: p {shape:?}, labels [{n}]: expected one label for each row");
    assert!(n > 0, "{name}: p {shape:?}: no example");
    if let Some(y) = labels.iter().find(|&&y| y >= p.ncols()) {
        panic!("{name}: p {shape:?}: label {y} is not below the number of classes");
    }
}
