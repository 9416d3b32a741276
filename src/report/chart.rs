//! Charts as plain data, rendered as SVG in the colours of a page or as PNG on white.
use std::sync::Arc;

use kuva::backend::png::PngBackend;
use kuva::prelude::*;
use kuva::render::annotations::TextAnnotation;
use kuva::render::render::{Scene, render_multiple};

use super::legend;
use super::style::{self, COLORS, GRAY, Paint, text};
use crate::error::{Error, Result};

/// A grid of panels with a common legend.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Number of panels in a row.
    pub columns: usize,
    /// Width and height of a panel in pixels.
    pub size: (f64, f64),
    /// The panels, row by row.
    pub panels: Vec<Panel>,
}

/// Layers on a pair of axes.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Title; empty for none.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The layers, from back to front.
    pub layers: Vec<Layer>,
}

/// An axis of a panel.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    /// Label.
    pub label: String,
    /// Limits; `None` to include all layers. Marks outside the limits are clipped or left out.
    pub range: Option<(f64, f64)>,
    /// How values map to positions and tick labels.
    pub scale: Scale,
    /// Names of categories at 1, 2, …, instead of tick labels; only of a horizontal axis.
    pub names: Vec<String>,
}

/// The scale of an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Linear.
    #[default]
    Linear,
    /// Linear with tick labels at whole numbers only.
    Integer,
    /// Logarithmic.
    Log,
}

impl Axis {
    /// A linear axis that includes all layers.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), ..Self::default() }
    }

    /// A horizontal axis of categories, which have the positions 1, 2, ….
    pub fn of_names(label: impl Into<String>, names: Vec<String>) -> Self {
        let range = Some((0.5, names.len() as f64 + 0.5));
        Self { label: label.into(), range, scale: Scale::Linear, names }
    }

    /// This axis with limits `low` and `high`.
    pub fn range(self, low: f64, high: f64) -> Self {
        Self { range: Some((low, high)), ..self }
    }

    /// This axis with a logarithmic scale.
    pub fn log(self) -> Self {
        Self { scale: Scale::Log, ..self }
    }

    /// This axis with tick labels at whole numbers only.
    pub fn integer(self) -> Self {
        Self { scale: Scale::Integer, ..self }
    }

    fn ticks(&self) -> TickFormat {
        let label = match self.scale {
            Scale::Linear => style::short,
            Scale::Integer => style::whole,
            Scale::Log => style::power,
        };
        TickFormat::Custom(Arc::new(label))
    }

    fn bounds(&self) -> (f64, f64) {
        self.range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY))
    }

    fn holds(&self, v: f64) -> bool {
        let (low, high) = self.bounds();
        v.is_finite() && low <= v && v <= high
    }
}

/// A mark in one colour.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Name in the legend; empty for none. A name that several layers share appears once.
    pub name: String,
    /// Colour.
    pub ink: Ink,
    /// Kind and data.
    pub mark: Mark,
}

impl Layer {
    /// `mark` in the colour `ink`; an empty name is left out of the legend.
    pub fn new(name: impl Into<String>, ink: Ink, mark: Mark) -> Self {
        Self { name: name.into(), ink, mark }
    }
}

/// A colour that is legible on white and on black.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Grey, the colour of references and baselines.
    Gray,
    /// The colour of a series, from 0; colours repeat after seven.
    Series(usize),
}

impl Ink {
    fn color(self) -> &'static str {
        match self {
            Self::Gray => GRAY,
            Self::Series(i) => COLORS[i % COLORS.len()],
        }
    }
}

/// Kind and data of a layer. Points with a coordinate that is not finite are left out.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A line through points `(x, y)`.
    Line(Vec<(f64, f64)>),
    /// A dashed line through points `(x, y)`.
    Dashed(Vec<(f64, f64)>),
    /// Points `(x, y, error)` joined by a line, with error bars `y ± error`.
    Curve(Vec<(f64, f64, f64)>),
    /// Points `(x, y, error)` with error bars `y ± error`.
    Intervals(Vec<(f64, f64, f64)>),
    /// Points `(x, y)`, and the radius and opacity of their dots.
    Dots(Vec<(f64, f64)>, f64, f64),
    /// Texts `(x, y, text)` above their positions. They have no entry in the legend.
    Text(Vec<(f64, f64, String)>),
    /// The area between two curves, given as points `(x, low, high)`, and its opacity.
    Band(Vec<(f64, f64, f64)>, f64),
    /// A histogram: `n + 1` edges of bins and `n` counts.
    Bins(Vec<f64>, Vec<f64>),
    /// Bars `(category, value, error)`. Bars of several layers are grouped by category; all layers
    /// must list the same categories in the same order.
    Bars(Vec<(String, f64, f64)>),
}

impl Chart {
    /// A single panel of the default size.
    pub fn one(panel: Panel) -> Self {
        Self { columns: 1, size: (620., 400.), panels: vec![panel] }
    }

    /// SVG in the colours of the page. `id` must be unique on the page.
    pub fn svg(&self, id: &str) -> String {
        style::svg(id, &self.scene(Paint::Page))
    }

    /// PNG at twice the size, with black text on a white background.
    ///
    /// # Errors
    /// If the picture is too large to encode.
    pub fn png(&self) -> Result<Vec<u8>> {
        let bytes = PngBackend::new().with_scale(2.).render_scene(&self.scene(Paint::White));
        bytes.map_err(|e| Error::invalid("figure", e, "one that fits a PNG", "Make it smaller."))
    }

    fn scene(&self, paint: Paint) -> Scene {
        let drawn = self.panels.iter().map(|panel| {
            let plots = panel.plots();
            let layout = style::styled(panel.layout(&plots), paint);
            (plots, layout)
        });
        let (mut plots, mut layouts): (Vec<_>, Vec<_>) = drawn.unzip();
        layouts.iter_mut().for_each(|layout| layout.show_legend = false);
        let (width, height) = self.size;
        let mut scene = if self.panels.len() == 1 {
            let (plots, layout) = (plots.remove(0), layouts.remove(0));
            render_multiple(plots, layout.with_width(width).with_height(height))
        } else {
            Figure::new(self.panels.len().div_ceil(self.columns), self.columns)
                .with_cell_size(width, height)
                .with_plots(plots)
                .with_layouts(layouts)
                .render()
        };
        legend::append(&mut scene, &self.legend());
        scene
    }

    /// One entry for each name, in the order of the layers; kuva's own legend omits some marks.
    fn legend(&self) -> Vec<LegendEntry> {
        let mut entries: Vec<LegendEntry> = vec![];
        for layer in self.panels.iter().flat_map(|panel| &panel.layers) {
            let label = text(&layer.name);
            if label.is_empty() || entries.iter().any(|entry| entry.label == label) {
                continue;
            }
            let (shape, dasharray) = match layer.mark {
                Mark::Line(_) | Mark::Curve(_) => (LegendShape::Line, None),
                Mark::Dashed(_) => (LegendShape::Line, LineStyle::Dashed.dasharray()),
                Mark::Dots(..) | Mark::Intervals(_) => (LegendShape::Circle, None),
                Mark::Band(..) | Mark::Bins(..) | Mark::Bars(_) => (LegendShape::Rect, None),
                Mark::Text(_) => continue,
            };
            entries.push(LegendEntry { label, color: layer.ink.color().into(), shape, dasharray });
        }
        entries
    }
}

impl Panel {
    fn layout(&self, plots: &[Plot]) -> Layout {
        let mut layout = Layout::auto_from_plots(plots)
            .with_x_label(text(&self.x.label))
            .with_y_label(text(&self.y.label))
            .with_y_tick_format(self.y.ticks())
            .with_title_size(13)
            .with_legend_box(false);
        layout.title = (!self.title.is_empty()).then(|| text(&self.title));
        // With categories, the x axis shows no numbers.
        if !self.x.names.is_empty() {
            layout = layout.with_x_categories(self.x.names.iter().map(|name| text(name)).collect());
        } else if self.layers.iter().all(|layer| !matches!(layer.mark, Mark::Bars(_))) {
            layout = layout.with_x_tick_format(self.x.ticks());
        }
        (layout.x_axis_min, layout.x_axis_max) = self.x.range.unzip();
        (layout.y_axis_min, layout.y_axis_max) = self.y.range.unzip();
        (layout.log_x, layout.log_y) = (self.x.scale == Scale::Log, self.y.scale == Scale::Log);
        let texts = self.layers.iter().filter_map(|layer| match &layer.mark {
            Mark::Text(texts) => Some(texts),
            _ => None,
        });
        texts.flatten().fold(layout, |layout, (x, y, text)| {
            layout.with_annotation(TextAnnotation::new(text, *x, *y).with_font_size(9))
        })
    }

    fn plots(&self) -> Vec<Plot> {
        let others = self.layers.iter().flat_map(|layer| self.layer(layer));
        self.bars().into_iter().chain(others).collect()
    }

    fn layer(&self, Layer { ink, mark, .. }: &Layer) -> Vec<Plot> {
        let color = ink.color();
        let holds = |x: f64, y: f64| self.x.holds(x) && self.y.holds(y);
        let inside = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
            points.iter().copied().filter(|&(x, y)| holds(x, y)).collect()
        };
        let lines = |points: &[(f64, f64)], style: LineStyle| -> Vec<Plot> {
            let line = LinePlot::new().with_color(color).with_stroke_width(2.);
            let line = line.with_line_style(style);
            let pieces = clip(points, [self.x.bounds(), self.y.bounds()]);
            pieces.into_iter().map(|piece| line.clone().with_data(piece).into()).collect()
        };
        match mark {
            Mark::Line(points) => lines(points, LineStyle::Solid),
            Mark::Dashed(points) => lines(points, LineStyle::Dashed),
            Mark::Curve(points) | Mark::Intervals(points) => {
                let points: Vec<_> = points.iter().filter(|p| holds(p.0, p.1)).collect();
                let places: Vec<_> = points.iter().map(|p| (p.0, p.1)).collect();
                let errors = points.iter().map(|p| finite_or_zero(p.2));
                let dots = ScatterPlot::new().with_color(color).with_size(3.);
                let dots = dots.with_data(places.clone()).with_y_err(errors);
                let joined = matches!(mark, Mark::Curve(_));
                let mut plots = if joined { lines(&places, LineStyle::Solid) } else { vec![] };
                plots.push(dots.into());
                plots
            }
            Mark::Dots(points, radius, opacity) => {
                let dots = ScatterPlot::new().with_color(color).with_size(*radius);
                vec![dots.with_data(inside(points)).with_marker_opacity(*opacity).into()]
            }
            Mark::Band(points, opacity) => {
                let points: Vec<_> = points
                    .iter()
                    .filter(|p| self.x.holds(p.0) && p.1.is_finite() && p.2.is_finite())
                    .collect();
                let (low, high) = self.y.bounds();
                let band = BandPlot::new(
                    points.iter().map(|p| p.0),
                    points.iter().map(|p| p.1.clamp(low, high)),
                    points.iter().map(|p| p.2.clamp(low, high)),
                );
                let band = band.with_color(color).with_opacity(*opacity);
                vec![band.into()]
            }
            Mark::Bins(edges, counts) => {
                let bins = Histogram::from_bins(edges.clone(), counts.clone()).with_color(color);
                vec![bins.into()]
            }
            Mark::Bars(_) | Mark::Text(_) => vec![],
        }
    }

    /// The bars of all layers as a single plot, grouped by category.
    fn bars(&self) -> Option<Plot> {
        let layers: Vec<_> = self
            .layers
            .iter()
            .filter_map(|layer| match &layer.mark {
                Mark::Bars(bars) => Some((layer, bars)),
                _ => None,
            })
            .collect();
        let (_, first) = layers.first()?;
        let mut plot = BarPlot::new();
        let mut errors = vec![];
        for (i, (category, ..)) in first.iter().enumerate() {
            let bar = |(layer, bars): &(&Layer, &Vec<(String, f64, f64)>)| {
                let value = bars.get(i).map_or(0., |bar| bar.1);
                (finite_or_zero(value), layer.ink.color())
            };
            plot = plot.with_group(text(category), layers.iter().map(bar));
            errors.extend(layers.iter().map(|(_, bars)| bars.get(i).map_or(0., |bar| bar.2)));
        }
        let errors = errors.into_iter().map(finite_or_zero);
        Some(plot.with_error(errors).with_error_color(GRAY).into())
    }
}

fn finite_or_zero(v: f64) -> f64 {
    if v.is_finite() { v } else { 0. }
}

/// The pieces of a polyline that lie within `bounds` on `x` and `y` (Liang and Barsky, "A new
/// concept and method for line clipping", 1984).
fn clip(points: &[(f64, f64)], bounds: [(f64, f64); 2]) -> Vec<Vec<(f64, f64)>> {
    let mut pieces: Vec<Vec<(f64, f64)>> = vec![];
    for pair in points.windows(2) {
        let (p, q) = ([pair[0].0, pair[0].1], [pair[1].0, pair[1].1]);
        let (mut from, mut to) = (0_f64, 1_f64);
        for (i, (low, high)) in bounds.into_iter().enumerate() {
            let step = q[i] - p[i];
            if step == 0. {
                to = if low <= p[i] && p[i] <= high { to } else { -1. };
            } else {
                let (a, b) = ((low - p[i]) / step, (high - p[i]) / step);
                (from, to) = (from.max(a.min(b)), to.min(a.max(b)));
            }
        }
        if from > to || p.iter().chain(&q).any(|v| !v.is_finite()) {
            continue;
        }
        // Pieces are joined where their ends are equal, so an end that is not clipped must not be
        // rounded.
        let at = |t: f64| match t {
            0. => pair[0],
            1. => pair[1],
            t => (p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])),
        };
        match pieces.last_mut() {
            Some(piece) if piece.last() == Some(&at(from)) => piece.push(at(to)),
            _ => pieces.push(vec![at(from), at(to)]),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_clipped_to_the_bounds() {
        let (all, unit) = ((f64::NEG_INFINITY, f64::INFINITY), (0., 1.));
        // Up across the top, back down, along the bottom, out to the right.
        let points = [(0., 0.), (1., 2.), (2., 0.), (3., 0.), (5., 0.)];
        let found = clip(&points, [(0., 4.), unit]);
        let expected = [vec![(0., 0.), (0.5, 1.)], vec![(1.5, 1.), (2., 0.), (3., 0.), (4., 0.)]];
        assert_eq!(found, expected);
        assert_eq!(clip(&points, [all, all]), [points.to_vec()]);
        assert!(clip(&points, [all, (3., 4.)]).is_empty());
        // A point that is not finite interrupts the line.
        let broken = [(0., 0.), (1., 0.), (2., f64::NAN), (3., 0.), (4., 0.5)];
        assert_eq!(clip(&broken, [all, unit]), [broken[..2].to_vec(), broken[3..].to_vec()]);
    }
}
