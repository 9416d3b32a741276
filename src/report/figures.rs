//! The charts of a run's page.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use kuva::prelude::{ColorMap, Heatmap, Layout};
use kuva::render::annotations::TextAnnotation;
use kuva::render::layout::ComputedLayout;
use kuva::render::render::render_multiple;
use ndarray::Array2;

use super::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use super::style::{Paint, styled, svg, text};
use crate::metrics::Bin;
use crate::predict::{ACTIVE, Widths};

/// Largest number of points whose error bars are legible.
const SCATTER_POINTS: usize = 150;

/// Largest number of points of a curve over the entries of `θ`.
const CURVE_POINTS: usize = 200;

/// Largest number of classes for which counts are printed in the cells and all classes are named.
const READABLE_CLASSES: usize = 20;

const CONFIDENCE: &str = "confidence: probability of the predicted class";

/// Curves `(name, [(epoch, value)])`; values that are not finite are left out.
pub(super) fn curves(y_label: &str, curves: &[(&str, Vec<(f64, f64)>)]) -> Chart {
    let layers = curves.iter().enumerate().flat_map(|(i, (name, points))| {
        let points: Vec<_> = points.iter().copied().filter(|point| point.1.is_finite()).collect();
        let name = if curves.len() > 1 { name } else { "" };
        let radius = if points.len() > 50 { 0. } else { 2.5 };
        [(name, Mark::Line(points.clone())), ("", Mark::Dots(points, radius, 1.))]
            .map(|(name, mark)| Layer::new(name, Ink::Series(i), mark))
    });
    let layers = layers.collect();
    let (x, y) = (Axis::new("epoch").integer(), Axis::new(y_label));
    Chart { size: (500., 320.), ..Chart::one(Panel { x, y, layers, ..Panel::default() }) }
}

/// Accuracy against confidence: a point with its standard error for each bin that has examples, and
/// the diagonal of perfect calibration.
pub(super) fn reliability(bins: &[Bin]) -> Chart {
    let point = |b: &Bin| {
        let error = (b.accuracy * (1. - b.accuracy) / b.count as f64).sqrt();
        (b.confidence, b.accuracy, error)
    };
    let points = bins.iter().filter(|b| b.count > 0).map(point).collect();
    let x = Axis::new(CONFIDENCE).range(0., 1.02);
    let y = Axis::new("accuracy").range(-0.03, 1.03);
    let layers = vec![diagonal(0., 1.), series(Mark::Intervals(points))];
    Chart { size: (500., 420.), ..Chart::one(Panel { x, y, layers, ..Panel::default() }) }
}

/// Number of examples in each bin of the reliability diagram.
pub(super) fn bin_counts(bins: &[Bin]) -> Chart {
    let edges = bins.iter().map(|b| b.lower).chain(bins.last().map(|b| b.upper)).collect();
    let counts: Vec<f64> = bins.iter().map(|b| b.count as f64).collect();
    let top = 1.1 * counts.iter().copied().fold(1., f64::max);
    let label = |b: &Bin| ((b.lower + b.upper) / 2., b.count as f64, b.count.to_string());
    let labels = Mark::Text(bins.iter().map(label).collect());
    let x = Axis::new(CONFIDENCE).range(0., 1.);
    let y = Axis::new("test examples").range(0., top);
    let layers = vec![series(Mark::Bins(edges, counts)), series(labels)];
    Chart { size: (500., 420.), ..Chart::one(Panel { x, y, layers, ..Panel::default() }) }
}

/// Predicted against true values, with bars of ±1.96 σ around the predictions. At most 150 examples
/// are shown, evenly spaced in the test set.
pub(super) fn predicted_against_true(mean: &[f64], std: &[f64], y: &[f64]) -> Chart {
    let chosen = (0..y.len()).step_by(y.len().div_ceil(SCATTER_POINTS).max(1));
    let finite = |&n: &usize| mean[n].is_finite() && std[n].is_finite() && y[n].is_finite();
    let chosen: Vec<usize> = chosen.filter(finite).collect();
    let (low, high) = chosen.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &n| {
        (low.min(y[n]), high.max(y[n]))
    });
    let unit = Unit::of(low, high);
    let point = |&n: &usize| (unit.at(y[n]), unit.at(mean[n]), 1.96 * std[n] / unit.unit);
    let points = series(Mark::Intervals(chosen.iter().map(point).collect()));
    let layers = vec![points, diagonal(unit.at(low), unit.at(high))];
    let (x, y) = (Axis::new(unit.label("true")), Axis::new(unit.label("predicted")));
    Chart { size: (620., 480.), ..Chart::one(Panel { x, y, layers, ..Panel::default() }) }
}

/// The confusion matrix `[K truth, K predicted]` with the given entries as SVG, the first class at
/// the top. The colour of a cell deepens with the square root of its fraction of the row.
pub(super) fn confusion(
    id: &str,
    entries: &BTreeMap<[usize; 2], usize>,
    classes: &[Cow<'_, str>],
) -> String {
    let k = classes.len();
    let mut counts = Array2::<usize>::zeros([k, k]);
    entries.iter().for_each(|(&at, &count)| counts[at] = count);
    let side = (100.0 * k as f64).min(500.0);
    let row = |truth: usize| {
        let total = counts.row(truth).sum().max(1) as f64;
        counts.row(truth).iter().map(move |&n| n as f64 / total).collect::<Vec<_>>()
    };
    // kuva stacks rows upwards.
    let shares: Vec<_> = (0..k).rev().map(row).collect();
    let step = k.div_ceil(READABLE_CLASSES);
    let name = |c: usize| if c.is_multiple_of(step) { text(&classes[c]) } else { String::new() };
    let tint = |t: f64| format!("rgba(42,127,208,{:.2})", 0.7 * t.clamp(0.0, 1.0).sqrt());
    let heatmap = Heatmap::new().with_data(shares).with_color_map(ColorMap::Custom(Arc::new(tint)));
    let plots = vec![heatmap.into()];
    let mut layout = Layout::auto_from_plots(&plots)
        .with_x_categories((0..k).map(name).collect())
        .with_y_categories((0..k).rev().map(name).collect())
        .with_x_label("predicted class")
        .with_y_label("true class")
        .with_width(180.0 + side)
        .with_height(100.0 + side);
    layout.show_colorbar = false;
    if classes.iter().any(|c| c.chars().count() > 3) {
        layout = layout.with_x_tick_rotate(-45.0);
    }
    if k <= READABLE_CLASSES {
        let cell = ComputedLayout::from_layout(&layout).plot_height() / k as f64;
        let size = (cell / 3.0).min(12.0);
        // kuva puts the baseline of a text 6 px above its point; the centre of a digit is a third
        // of the font size above the baseline.
        let drop = (6.0 + size / 3.0) / cell;
        for ((truth, class), &n) in counts.indexed_iter().filter(|(_, n)| **n > 0) {
            let (x, y) = (class as f64 + 1.0, (k - truth) as f64 - drop);
            let text = TextAnnotation::new(n.to_string(), x, y).with_font_size(size as u32);
            layout = layout.with_annotation(text);
        }
    }
    svg(id, &render_multiple(plots, styled(layout, Paint::Page)))
}

/// For each part of `θ`, its `KLⱼ` in descending order against the share of entries that are at
/// least as large, and the threshold of active entries.
pub(super) fn sorted_kl(widths: &Widths) -> Chart {
    let error = 1. / widths.samples as f64;
    let curve = |range: &Range<usize>| {
        let mut kl = widths.kl[range.clone()].to_vec();
        kl.sort_by(|a, b| b.total_cmp(a));
        let n = kl.len();
        let ranks = (0..n).step_by(n.div_ceil(CURVE_POINTS)).chain([n - 1]);
        ranks.map(|i| ((i + 1) as f64 / n as f64, kl[i].max(error))).collect::<Vec<_>>()
    };
    let layers = widths.parts.iter().enumerate().flat_map(|(i, (name, range))| {
        let points = curve(range);
        let radius = if points.len() > 50 { 0. } else { 2.5 };
        [(&**name, Mark::Line(points.clone())), ("", Mark::Dots(points, radius, 1.))]
            .map(|(name, mark)| Layer::new(name, Ink::Series(i), mark))
    });
    let threshold = Mark::Dashed(vec![(0., ACTIVE), (1., ACTIVE)]);
    let name = format!("active above {ACTIVE}");
    let layers = layers.chain([Layer::new(name, Ink::Gray, threshold)]).collect();
    let x = Axis::new("share of the entries").range(0., 1.);
    let y = Axis::new("KL from the prior, nats").log();
    Chart { size: (620., 380.), ..Chart::one(Panel { x, y, layers, ..Panel::default() }) }
}

fn series(mark: Mark) -> Layer {
    Layer::new("", Ink::Series(0), mark)
}

fn diagonal(low: f64, high: f64) -> Layer {
    Layer::new("", Ink::Gray, Mark::Dashed(vec![(low, low), (high, high)]))
}

/// An affine map `(v − offset) / unit` to values that tick labels of a few digits can distinguish.
struct Unit {
    offset: f64,
    unit: f64,
}

impl Unit {
    /// The map for values between `low` and `high`.
    fn of(low: f64, high: f64) -> Self {
        let (span, middle) = (high - low, low / 2.0 + high / 2.0);
        if !(span > 0.0 && span.is_finite()) {
            return Self { offset: 0.0, unit: 1.0 };
        }
        let power = 10_f64.powi(span.log10().floor() as i32);
        let offset = if middle.abs() > 1e3 * span { (middle / power).round() * power } else { 0.0 };
        Self { offset, unit: if (1e-3..1e6).contains(&power) { 1.0 } else { power } }
    }

    fn at(&self, v: f64) -> f64 {
        (v - self.offset) / self.unit
    }

    fn label(&self, name: &str) -> String {
        let sign = if self.offset < 0.0 { "+" } else { "−" };
        match (self.offset, self.unit) {
            (0.0, 1.0) => name.into(),
            (0.0, unit) => format!("{name} / {unit:e}"),
            (offset, 1.0) => format!("{name} {sign} {}", offset.abs()),
            (offset, unit) => format!("({name} {sign} {:e}) / {unit:e}", offset.abs()),
        }
    }
}
