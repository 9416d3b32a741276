//! The legend below a figure: its entries fill rows from left to right.
use kuva::prelude::*;
use kuva::render::render::{Primitive, Scene, TextAnchor};

/// Distance of rows, width of a symbol and its distance from text, distance of entries, and an
/// estimate of the width of a character, in pixels.
const ROW: f64 = 20.;
const SYMBOL: f64 = 22.;
const SPACE: f64 = 7.;
const GAP: f64 = 22.;
const CHARACTER: f64 = 6.6;
const MARGIN: f64 = 12.;

/// Adds a legend with `entries` below `scene`, which becomes taller.
pub(super) fn append(scene: &mut Scene, entries: &[LegendEntry]) {
    for row in rows(entries, scene.width - 2. * MARGIN) {
        let width: f64 = row.iter().map(|entry| width(entry)).sum::<f64>() - GAP;
        let (mut x, y) = ((scene.width - width) / 2., scene.height + ROW / 2.);
        for entry in row {
            scene.elements.extend(symbol(entry, x, y));
            scene.elements.push(Primitive::Text {
                x: x + SYMBOL + SPACE,
                y: y + 4.,
                content: entry.label.clone(),
                size: 12,
                anchor: TextAnchor::Start,
                rotate: None,
                bold: false,
                color: None,
            });
            x += self::width(entry);
        }
        scene.height += ROW;
    }
    scene.height += if entries.is_empty() { 0. } else { MARGIN };
}

/// Width of an entry with the gap after it.
fn width(entry: &LegendEntry) -> f64 {
    SYMBOL + SPACE + CHARACTER * entry.label.chars().count() as f64 + GAP
}

/// The entries in rows that are at most `most` wide, unless an entry alone is wider.
fn rows(entries: &[LegendEntry], most: f64) -> Vec<Vec<&LegendEntry>> {
    let (mut rows, mut used) = (vec![], f64::INFINITY);
    for entry in entries {
        used += width(entry);
        if used - GAP > most {
            rows.push(vec![]);
            used = width(entry);
        }
        rows.last_mut().expect("a row").push(entry);
    }
    rows
}

fn symbol(entry: &LegendEntry, x: f64, y: f64) -> Option<Primitive> {
    let color = || entry.color.as_str().into();
    Some(match entry.shape {
        LegendShape::Line => Primitive::Line {
            x1: x,
            y1: y,
            x2: x + SYMBOL,
            y2: y,
            stroke: color(),
            stroke_width: 2.,
            stroke_dasharray: entry.dasharray.clone(),
        },
        LegendShape::Circle => Primitive::Circle {
            cx: x + SYMBOL / 2.,
            cy: y,
            r: 5.,
            fill: color(),
            fill_opacity: None,
            stroke: None,
            stroke_width: None,
        },
        LegendShape::Rect => Primitive::Rect {
            x: x + SYMBOL / 4.,
            y: y - 6.,
            width: SYMBOL / 2.,
            height: 12.,
            fill: color(),
            stroke: None,
            stroke_width: None,
            opacity: None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(label: &str) -> LegendEntry {
        let (color, shape) = ("#2a7fd0".into(), LegendShape::Line);
        LegendEntry { label: label.into(), color, shape, dasharray: None }
    }

    #[test]
    fn entries_fill_rows() {
        let entries = ["one", "two", "three", "a name that is wider than a row of the legend"];
        let entries = entries.map(entry);
        let lengths = |most| rows(&entries, most).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(1e6), [4]);
        assert_eq!(lengths(2. * width(&entries[0])), [2, 1, 1]);
        assert_eq!(lengths(1.), [1, 1, 1, 1]);
    }

    #[test]
    fn scene_grows_by_its_rows() {
        let mut scene = Scene::new(400., 100.);
        append(&mut scene, &[]);
        assert_eq!((scene.height, scene.elements.len()), (100., 0));
        append(&mut scene, &[entry("one"), entry("two")]);
        assert_eq!((scene.height, scene.elements.len()), (100. + ROW + MARGIN, 4));
    }
}
