//! The confusion matrix as a heat map.
use std::sync::Arc;

use kuva::prelude::*;
use kuva::render::annotations::TextAnnotation;
use kuva::render::layout::ComputedLayout;
use kuva::render::render::render_multiple;
use ndarray::Array2;

use super::style::{Paint, styled, svg, text};

/// Largest number of classes for which counts are printed in the cells and all classes are named.
const READABLE_CLASSES: usize = 20;

/// An SVG of `counts [K truth, K predicted]` with the first class at the top. The colour of a cell
/// is its share of the row.
pub(super) fn heat_map(id: &str, counts: &Array2<usize>, classes: &[String]) -> String {
    let k = classes.len();
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
        // kuva writes 6 px above the point; the centre of a digit is a third of its size above its
        // baseline.
        let drop = (6.0 + size / 3.0) / cell;
        for ((truth, class), &n) in counts.indexed_iter().filter(|(_, n)| **n > 0) {
            let (x, y) = (class as f64 + 1.0, (k - truth) as f64 - drop);
            let text = TextAnnotation::new(n.to_string(), x, y).with_font_size(size as u32);
            layout = layout.with_annotation(text);
        }
    }
    svg(id, &render_multiple(plots, styled(layout, Paint::Page)))
}
