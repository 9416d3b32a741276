//! Figures as SVG strings: with [`chart`](super::chart) what knows kuva. Ink is `currentColor`, so that
//! a figure takes the colour of the page's text, and is black in a file of its own.
use std::sync::Arc;

use kuva::prelude::*;
use kuva::render::annotations::TextAnnotation;
use kuva::render::layout::ComputedLayout;
use kuva::render::render::{Scene, render_multiple};
use ndarray::Array2;

use crate::metrics::Bin;

/// Read on white and on black alike.
pub(super) const COLORS: [&str; 6] =
    ["#2a7fd0", "#d9660a", "#179a6b", "#a659b8", "#b08a00", "#c9506a"];
pub(super) const GRAY: &str = "#888888";

/// What a figure is drawn on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// A page of any color, in the color of its text.
    Page,
    /// White, in black: a PNG knows no `currentColor`.
    White,
}
/// Above this many classes the cells of a confusion matrix are too small for digits, and some names
/// are left out.
const READABLE_CLASSES: usize = 20;
/// More points than this hide each other.
const SCATTER_POINTS: usize = 150;

/// Lines `(name, [(epoch, value)])` over the epochs; values that are not finite are left out.
pub fn curves(id: &str, y_label: &str, lines: &[(&str, Vec<(f64, f64)>)]) -> String {
    let mut plots = Vec::new();
    for ((name, points), color) in lines.iter().zip(COLORS.iter().cycle()) {
        let points: Vec<_> = points.iter().copied().filter(|p| p.1.is_finite()).collect();
        let line = LinePlot::new().with_color(*color).with_stroke_width(2.0);
        let line = if lines.len() > 1 { line.with_legend(*name) } else { line };
        let radius = if points.len() > 50 { 0.0 } else { 2.5 };
        let dots = ScatterPlot::new().with_color(*color).with_size(radius);
        plots.extend([line.with_data(points.clone()).into(), dots.with_data(points).into()]);
    }
    let layout = Layout::auto_from_plots(&plots)
        .with_x_tick_format(TickFormat::Custom(Arc::new(whole)))
        .with_y_tick_format(TickFormat::Custom(Arc::new(short)))
        .with_legend_position(LegendPosition::OutsideBottomColumns)
        .with_x_label("epoch")
        .with_y_label(y_label);
    draw(id, plots, layout.with_width(500.0).with_height(320.0))
}

/// Accuracy against confidence, one point a bin, with the diagonal of a calibrated prediction.
pub fn reliability(id: &str, bins: &[Bin]) -> String {
    let full: Vec<&Bin> = bins.iter().filter(|b| b.count > 0).collect();
    let points: Vec<_> = full.iter().map(|b| (b.confidence, b.accuracy)).collect();
    let errors = full.iter().map(|b| (b.accuracy * (1.0 - b.accuracy) / b.count as f64).sqrt());
    let plots: Vec<Plot> = vec![
        diagonal(0.0, 1.0),
        ScatterPlot::new()
            .with_data(points)
            .with_y_err(errors)
            .with_color(COLORS[0])
            .with_size(4.0)
            .into(),
    ];
    let layout = Layout::new((0.0, 1.0), (0.0, 1.0))
        .with_y_axis_min(-0.03)
        .with_y_axis_max(1.03)
        .with_x_axis_max(1.02)
        .with_x_label("confidence: probability of the predicted class")
        .with_y_label("accuracy");
    draw(id, plots, layout.with_width(500.0).with_height(420.0))
}

/// How many examples each bin of the reliability diagram holds.
pub fn bin_counts(id: &str, bins: &[Bin]) -> String {
    let edges = bins.iter().map(|b| b.lower).chain(bins.last().map(|b| b.upper)).collect();
    let counts: Vec<f64> = bins.iter().map(|b| b.count as f64).collect();
    let most = counts.iter().copied().fold(1.0, f64::max);
    let label = |b: &Bin| {
        TextAnnotation::new(b.count.to_string(), (b.lower + b.upper) / 2.0, b.count as f64)
            .with_font_size(9)
    };
    let layout = Layout::new((0.0, 1.0), (0.0, 1.1 * most))
        .with_x_label("confidence: probability of the predicted class")
        .with_y_label("test examples");
    let layout = bins.iter().map(label).fold(layout, Layout::with_annotation);
    let plots = vec![Histogram::from_bins(edges, counts).with_color(COLORS[0]).into()];
    draw(id, plots, layout.with_width(500.0).with_height(420.0))
}

/// `counts [K truth, K predicted]`, the first class on top; colour is the share of the row.
pub fn confusion(id: &str, counts: &Array2<usize>, classes: &[String]) -> String {
    let k = classes.len();
    let side = (100.0 * k as f64).min(500.0);
    let row = |truth: usize| {
        let total = counts.row(truth).sum().max(1) as f64;
        counts.row(truth).iter().map(move |&n| n as f64 / total).collect::<Vec<_>>()
    };
    // kuva stacks rows upwards.
    let shares: Vec<_> = (0..k).rev().map(row).collect();
    let every = k.div_ceil(READABLE_CLASSES);
    // kuva sets what stands between dollars as mathematics.
    let text = |c: usize| classes[c].replace('$', "\\$");
    let name = |c: usize| if c.is_multiple_of(every) { text(c) } else { String::new() };
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
        // kuva writes 6 px above the point; the middle of a digit is a third above its foot.
        let drop = (6.0 + size / 3.0) / cell;
        for ((truth, class), &n) in counts.indexed_iter().filter(|(_, n)| **n > 0) {
            let (x, y) = (class as f64 + 1.0, (k - truth) as f64 - drop);
            let text = TextAnnotation::new(n.to_string(), x, y).with_font_size(size as u32);
            layout = layout.with_annotation(text);
        }
    }
    draw(id, plots, layout)
}

/// Predicted against true values with bars of ±1.96 σ, at most 150 examples evenly chosen.
pub fn predicted_against_true(id: &str, mean: &[f64], std: &[f64], y: &[f64]) -> String {
    let chosen = (0..y.len()).step_by(y.len().div_ceil(SCATTER_POINTS).max(1));
    let finite = |&n: &usize| mean[n].is_finite() && std[n].is_finite() && y[n].is_finite();
    let chosen: Vec<usize> = chosen.filter(finite).collect();
    let (low, high) = chosen.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &n| {
        (low.min(y[n]), high.max(y[n]))
    });
    let axis = Axis::of(low, high);
    let points = chosen.iter().map(|&n| (axis.at(y[n]), axis.at(mean[n])));
    let dots = ScatterPlot::new()
        .with_data(points)
        .with_y_err(chosen.iter().map(|&n| 1.96 * std[n] / axis.unit))
        .with_color(COLORS[0])
        .with_marker_opacity(0.7);
    let plots = vec![dots.into(), diagonal(axis.at(low), axis.at(high))];
    let layout = Layout::auto_from_plots(&plots)
        .with_x_label(axis.label("true"))
        .with_y_label(axis.label("predicted"));
    draw(id, plots, layout.with_width(620.0).with_height(480.0))
}

/// `(v − offset) / unit`: what ticks of a few digits can tell apart.
struct Axis {
    offset: f64,
    unit: f64,
}

impl Axis {
    /// For values between two.
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

/// One panel of [`log_log`].
pub struct Panel<'a> {
    /// What runs along `x`.
    pub x_label: &'a str,
    /// What runs along `y`.
    pub y_label: &'a str,
    /// The range of `y`: the same where panels are to be compared.
    pub y_range: (f64, f64),
    /// What is drawn.
    pub series: Vec<Series>,
}

/// Dots, and a line that need not go through them.
pub struct Series {
    /// Its words in the panel's legend; empty for none.
    pub name: String,
    /// Which color.
    pub color: usize,
    /// Whether the dots stand back.
    pub pale: bool,
    /// `(x, y)` above 0.
    pub dots: Vec<(f64, f64)>,
    /// The same.
    pub line: Vec<(f64, f64)>,
}

/// Panels in rows of so many, both axes logarithmic.
pub fn log_log(id: &str, columns: usize, panels: Vec<Panel<'_>>) -> String {
    let (mut plots, mut layouts) = (Vec::new(), Vec::new());
    for Panel { x_label, y_label, y_range, series } in panels {
        let x = || series.iter().flat_map(|s| &s.dots).map(|dot| dot.0);
        let (low, high) = (x().fold(f64::INFINITY, f64::min), x().fold(0.0, f64::max));
        let draw = |s: Series| {
            let color = COLORS[s.color % COLORS.len()];
            let line = LinePlot::new().with_color(color).with_stroke_width(1.5);
            let line = if s.name.is_empty() { line } else { line.with_legend(s.name) };
            let dots = ScatterPlot::new().with_color(color).with_size(3.0);
            let dots = dots.with_marker_opacity(if s.pale { 0.4 } else { 1.0 });
            [line.with_data(s.line).into(), dots.with_data(s.dots).into()]
        };
        let panel: Vec<Plot> = series.into_iter().flat_map(draw).collect();
        let layout = Layout::auto_from_plots(&panel)
            .with_log_scale()
            .with_x_axis_min(low / 1.3)
            .with_x_axis_max(high * 1.3)
            .with_y_axis_min(y_range.0)
            .with_y_axis_max(y_range.1)
            .with_tick_format(TickFormat::Custom(Arc::new(short)))
            .with_legend_position(LegendPosition::InsideTopLeft)
            .with_legend_box(false)
            .with_x_label(x_label)
            .with_y_label(y_label);
        plots.push(panel);
        layouts.push(styled(layout, Paint::Page));
    }
    let figure = Figure::new(plots.len().div_ceil(columns), columns)
        .with_cell_size(320.0, 260.0)
        .with_plots(plots)
        .with_layouts(layouts);
    svg(id, &figure.render())
}

fn diagonal(low: f64, high: f64) -> Plot {
    LinePlot::new().with_data([(low, low), (high, high)]).with_color(GRAY).with_dashed().into()
}

/// One figure of these plots.
fn draw(id: &str, plots: Vec<Plot>, layout: Layout) -> String {
    svg(id, &render_multiple(plots, styled(layout, Paint::Page)))
}

pub(super) fn styled(layout: Layout, paint: Paint) -> Layout {
    let (background, ink, grid) = match paint {
        Paint::Page => ("none", "currentColor", "#88888844"),
        Paint::White => ("white", "black", "#dddddd"),
    };
    let theme = Theme {
        background: background.into(),
        axis_color: ink.into(),
        grid_color: grid.into(),
        tick_color: ink.into(),
        text_color: ink.into(),
        legend_bg: "none".into(),
        legend_border: "none".into(),
        colorbar_border: GRAY.into(),
        font_family: Some("system-ui, DejaVu Sans, sans-serif".into()),
        ..Theme::light()
    };
    layout.with_theme(theme).with_tick_size(11).with_label_size(13)
}

/// The scene as SVG that scales with its page. `id` is unique on the page.
pub(super) fn svg(id: &str, scene: &Scene) -> String {
    let frame = format!("<svg viewBox=\"0 0 {} {}\"", scene.width, scene.height);
    let mut svg = SvgBackend.render_scene(scene).replacen("<svg", &frame, 1);
    // kuva numbers its clip paths by a counter of the process: not the same bytes twice.
    for n in 0.. {
        let Some(start) = svg.find("\"kuva-clip-") else { break };
        let end = start + 1 + svg[start + 1..].find('"').expect("an attribute ends");
        let (old, new) = (svg[start + 1..end].to_string(), format!("clip-{id}-{n}"));
        svg = svg.replace(&format!("\"{old}\""), &format!("\"{new}\""));
        svg = svg.replace(&format!("#{old})"), &format!("#{new})"));
    }
    svg
}

/// Whole numbers only: there is no epoch 1.5.
fn whole(v: f64) -> String {
    if v.fract().abs() < 1e-9 { format!("{v:.0}") } else { String::new() }
}

/// `-1250000` as `-1.25M`, `0.00001` as `1e-5`: four digits are enough for a tick.
pub(super) fn short(v: f64) -> String {
    let (scale, unit) = match v.abs() {
        a if a >= 1e6 => (1e6, "M"),
        a if a >= 1e4 => (1e3, "k"),
        // Smaller is a zero that was added up.
        a if (1e-12..1e-3).contains(&a) => return format!("{v:.0e}"),
        _ => (1.0, ""),
    };
    let digits = format!("{:.4}", v / scale);
    format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}
