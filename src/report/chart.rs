//! Charts as plain data, drawn as SVG in the ink of a page or as PNG on white.
use kuva::backend::png::PngBackend;
use kuva::prelude::*;
use kuva::render::render::{Scene, render_multiple};

use super::figures::{self, COLORS, GRAY, Paint};
use crate::error::{Error, Result};

/// Panels in rows of so many, with one legend.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Panels in a row.
    pub columns: usize,
    /// Width and height of a panel in pixels.
    pub size: (f64, f64),
    /// What is drawn.
    pub panels: Vec<Panel>,
}

/// Layers over one pair of axes.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Above it; empty for none.
    pub title: String,
    /// What runs to the right.
    pub x: Axis,
    /// What runs up.
    pub y: Axis,
    /// What is drawn, from the back to the front.
    pub layers: Vec<Layer>,
}

/// One axis of a panel.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    /// Its words.
    pub label: String,
    /// Where it begins and ends, if not where the layers do. What lies beyond is left out.
    pub range: Option<(f64, f64)>,
    /// Whether it is logarithmic.
    pub log: bool,
}

impl Axis {
    /// A linear axis that holds all layers.
    pub fn new(label: impl Into<String>) -> Self {
        Self { label: label.into(), range: None, log: false }
    }

    /// The same from `low` to `high`.
    pub fn range(self, low: f64, high: f64) -> Self {
        Self { range: Some((low, high)), ..self }
    }

    /// The same, logarithmic.
    pub fn log(self) -> Self {
        Self { log: true, ..self }
    }

    fn bounds(&self) -> (f64, f64) {
        self.range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY))
    }

    fn holds(&self, v: f64) -> bool {
        let (low, high) = self.bounds();
        v.is_finite() && low <= v && v <= high
    }
}

/// One thing drawn, in one color.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its words in the legend; empty for none. The same words in several panels stand there once.
    pub name: String,
    /// Its color.
    pub ink: Ink,
    /// What it is.
    pub mark: Mark,
}

/// A color that reads on white and on black.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// For what is only there to compare with.
    Gray,
    /// One for each thing compared, from 0 on.
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

/// The shape of what is drawn. Where a coordinate is not finite, nothing is.
#[derive(Clone, Debug)]
pub enum Mark {
    /// `(x, y)`, joined.
    Line(Vec<(f64, f64)>),
    /// The same, dashed.
    Dashed(Vec<(f64, f64)>),
    /// `(x, y, error)`: joined points with bars of one error to either side.
    Curve(Vec<(f64, f64, f64)>),
    /// `(x, y)` and the dots' radius and opacity.
    Dots(Vec<(f64, f64)>, f64, f64),
    /// `(x, low, high)`, the area between, and its opacity.
    Band(Vec<(f64, f64, f64)>, f64),
    /// A histogram: the edges of its bins, one more than counts, and the counts.
    Bins(Vec<f64>, Vec<f64>),
    /// `(category, value, error)`: bars; those of several layers stand beside each other.
    Bars(Vec<(String, f64, f64)>),
    /// Lines of equal `z[row][column]` over `x` by columns and `y` by rows, at the levels given.
    Levels {
        /// By columns.
        x: Vec<f64>,
        /// By rows.
        y: Vec<f64>,
        /// Values.
        z: Vec<Vec<f64>>,
        /// Where lines are drawn.
        levels: Vec<f64>,
    },
}

impl Chart {
    /// One panel of the usual size.
    pub fn one(panel: Panel) -> Self {
        Self { columns: 1, size: (620., 400.), panels: vec![panel] }
    }

    /// As SVG in the page's ink. `id` is unique on the page.
    pub fn svg(&self, id: &str) -> String {
        figures::svg(id, &self.scene(Paint::Page))
    }

    /// As a PNG, black on white, at twice the size.
    ///
    /// # Errors
    /// If it is too large to encode.
    pub fn png(&self) -> Result<Vec<u8>> {
        let bytes = PngBackend::new().with_scale(2.).render_scene(&self.scene(Paint::White));
        bytes.map_err(|e| Error::invalid("figure", e, "one that fits a PNG", "Make it smaller."))
    }

    fn scene(&self, paint: Paint) -> Scene {
        let drawn = self.panels.iter().map(|panel| {
            let plots = panel.plots();
            let layout = figures::styled(panel.layout(&plots), paint);
            (plots, layout)
        });
        let (mut plots, mut layouts): (Vec<_>, Vec<_>) = drawn.unzip();
        let ((width, height), legend) = (self.size, self.legend());
        if self.panels.len() == 1 {
            let (plots, mut layout) = (plots.remove(0), layouts.remove(0));
            layout.show_legend = false;
            if !legend.is_empty() {
                let below = LegendPosition::OutsideBottomColumns;
                layout = layout.with_legend_entries(legend).with_legend_position(below);
            }
            return render_multiple(plots, layout.with_width(width).with_height(height));
        }
        Figure::new(self.panels.len().div_ceil(self.columns), self.columns)
            .with_cell_size(width, height)
            .with_plots(plots)
            .with_layouts(layouts)
            .with_shared_legend_bottom()
            .with_shared_legend_entries(legend)
            .render()
    }

    /// One entry a name, in the order in which they come; kuva's own leaves some marks out.
    fn legend(&self) -> Vec<LegendEntry> {
        let mut entries: Vec<LegendEntry> = vec![];
        for layer in self.panels.iter().flat_map(|panel| &panel.layers) {
            let label = text(&layer.name);
            if label.is_empty() || entries.iter().any(|entry| entry.label == label) {
                continue;
            }
            let (shape, dasharray) = match layer.mark {
                Mark::Line(_) | Mark::Curve(_) | Mark::Levels { .. } => (LegendShape::Line, None),
                Mark::Dashed(_) => (LegendShape::Line, LineStyle::Dashed.dasharray()),
                Mark::Dots(..) => (LegendShape::Circle, None),
                Mark::Band(..) | Mark::Bins(..) | Mark::Bars(_) => (LegendShape::Rect, None),
            };
            entries.push(LegendEntry { label, color: layer.ink.color().into(), shape, dasharray });
        }
        entries
    }
}

impl Panel {
    fn layout(&self, plots: &[Plot]) -> Layout {
        let tick = || TickFormat::Custom(std::sync::Arc::new(figures::short));
        let mut layout = Layout::auto_from_plots(plots)
            .with_x_label(text(&self.x.label))
            .with_y_label(text(&self.y.label))
            .with_title_size(13)
            .with_legend_box(false);
        if !self.title.is_empty() {
            layout = layout.with_title(text(&self.title));
        }
        if self.layers.iter().all(|layer| !matches!(layer.mark, Mark::Bars(_))) {
            layout = layout.with_x_tick_format(tick());
        }
        layout = layout.with_y_tick_format(tick());
        if let Some((low, high)) = self.x.range {
            layout = layout.with_x_axis_min(low).with_x_axis_max(high);
        }
        if let Some((low, high)) = self.y.range {
            layout = layout.with_y_axis_min(low).with_y_axis_max(high);
        }
        if self.x.log {
            layout = layout.with_log_x();
        }
        if self.y.log {
            layout = layout.with_log_y();
        }
        layout
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
            Mark::Curve(points) => {
                let points: Vec<_> = points.iter().filter(|p| holds(p.0, p.1)).collect();
                let places: Vec<_> = points.iter().map(|p| (p.0, p.1)).collect();
                let errors = points.iter().map(|p| if p.2.is_finite() { p.2 } else { 0. });
                let dots = ScatterPlot::new().with_color(color).with_size(3.);
                let dots = dots.with_data(places.clone()).with_y_err(errors);
                let mut plots = lines(&places, LineStyle::Solid);
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
            Mark::Levels { x, y, z, levels } => {
                let contour = ContourPlot::new()
                    .with_grid(z.clone(), x.clone(), y.clone())
                    .with_levels(levels)
                    .with_line_color(color)
                    .with_line_width(1.2);
                vec![contour.into()]
            }
            Mark::Bars(_) => vec![],
        }
    }

    /// The bars of all layers as one plot, grouped by category.
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
                (if value.is_finite() { value } else { 0. }, layer.ink.color())
            };
            plot = plot.with_group(text(category), layers.iter().map(bar));
            errors.extend(layers.iter().map(|(_, bars)| bars.get(i).map_or(0., |bar| bar.2)));
        }
        let errors = errors.into_iter().map(|e| if e.is_finite() { e } else { 0. });
        Some(plot.with_error(errors).with_error_color(GRAY).into())
    }
}

/// The pieces of a joined line that lie within bounds on `x` and `y`, cut where it crosses them
/// (Liang & Barsky 1984).
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
        // The ends themselves, where they are inside: pieces are told by them.
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

/// kuva sets what stands between dollars as mathematics.
fn text(plain: &str) -> String {
    plain.replace('$', "\\$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_where_they_leave() {
        let (all, unit) = ((f64::NEG_INFINITY, f64::INFINITY), (0., 1.));
        // Up through the top, back down, along the bottom, out to the right.
        let points = [(0., 0.), (1., 2.), (2., 0.), (3., 0.), (5., 0.)];
        let found = clip(&points, [(0., 4.), unit]);
        let expected = [vec![(0., 0.), (0.5, 1.)], vec![(1.5, 1.), (2., 0.), (3., 0.), (4., 0.)]];
        assert_eq!(found, expected);
        assert_eq!(clip(&points, [all, all]), [points.to_vec()]);
        assert!(clip(&points, [all, (3., 4.)]).is_empty());
        // What cannot be drawn parts a line.
        let broken = [(0., 0.), (1., 0.), (2., f64::NAN), (3., 0.), (4., 0.5)];
        assert_eq!(clip(&broken, [all, unit]), [broken[..2].to_vec(), broken[3..].to_vec()]);
    }
}
