//! What all figures share: colours, theme, tick labels and SVG output.
use kuva::prelude::*;
use kuva::render::render::Scene;

/// Colours of series, legible on white and on black.
pub(crate) const COLORS: [&str; 7] =
    ["#2a7fd0", "#d9660a", "#179a6b", "#a659b8", "#b08a00", "#c9506a", "#2b3f8c"];
/// The colour of references and baselines.
pub(super) const GRAY: &str = "#888888";

/// The background that a figure is drawn on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// An HTML page of any colour: axes and text are in `currentColor`, the colour of its text.
    Page,
    /// White, with black axes and text: a PNG has no `currentColor`.
    White,
}

/// Applies the theme for `paint`, and the sizes of labels.
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

/// The scene as SVG that scales with its page. `id` must be unique on the page.
pub(super) fn svg(id: &str, scene: &Scene) -> String {
    let frame = format!("<svg viewBox=\"0 0 {} {}\"", scene.width, scene.height);
    let mut svg = SvgBackend.render_scene(scene).replacen("<svg", &frame, 1);
    // kuva numbers its clip paths by a global counter, so that equal scenes differ in their bytes.
    // The paths are renumbered here.
    for n in 0.. {
        let Some(start) = svg.find("\"kuva-clip-") else { break };
        let end = start + 1 + svg[start + 1..].find('"').expect("a closing quote");
        let (old, new) = (svg[start + 1..end].to_string(), format!("clip-{id}-{n}"));
        svg = svg.replace(&format!("\"{old}\""), &format!("\"{new}\""));
        svg = svg.replace(&format!("#{old})"), &format!("#{new})"));
    }
    svg
}

/// Escapes text for kuva, which typesets text between dollars as mathematics.
pub(super) fn text(plain: &str) -> String {
    plain.replace('$', "\\$")
}

/// Tick label of an integer axis: empty unless `v` is a whole number.
pub(super) fn whole(v: f64) -> String {
    if v.fract().abs() < 1e-9 { format!("{v:.0}") } else { String::new() }
}

/// Tick label of a logarithmic axis, a power of ten with its factor: `10⁻³`, `5·10²`, `1`.
pub(super) fn power(v: f64) -> String {
    let scientific = format!("{v:.2e}");
    let (factor, exponent) = scientific.split_once('e').expect("an exponent");
    let factor = factor.trim_end_matches('0').trim_end_matches('.');
    let superscript = |c: char| match c.to_digit(10) {
        Some(digit) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][digit as usize],
        None => '⁻',
    };
    let power = format!("10{}", exponent.chars().map(superscript).collect::<String>());
    match (factor, exponent) {
        (_, "0") => factor.into(),
        ("1", _) => power,
        _ => format!("{factor}·{power}"),
    }
}

/// Tick label of up to four decimals: `-1250000` as `-1.25M`, `0.00001` as `1e-5`.
pub(super) fn short(v: f64) -> String {
    let (scale, unit) = match v.abs() {
        a if a >= 1e6 => (1e6, "M"),
        a if a >= 1e4 => (1e3, "k"),
        // Smaller values are zeros with a rounding error.
        a if (1e-12..1e-3).contains(&a) => return format!("{v:.0e}"),
        _ => (1.0, ""),
    };
    let digits = format!("{:.4}", v / scale);
    format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_a_logarithmic_axis_are_powers() {
        let values = [1e-4, 0.02, 0.1, 1., 5., 10., 2e3, 0.1 + 0.2];
        let labels = ["10⁻⁴", "2·10⁻²", "10⁻¹", "1", "5", "10¹", "2·10³", "3·10⁻¹"];
        assert_eq!(values.map(power), labels);
    }
}
