//! HTML that all pages share: the document, figures and tables.
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::Chart;

/// A complete HTML document.
pub(super) fn document(title: &str, body: Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                (body)
                p { "A term is new? " code { "bhn explain elbo" } " explains it." }
            }
        }
    };
    page.into_string()
}

/// A chart with its caption, whose first sentence is its title. `id` must be unique on the page.
pub(super) fn figure(id: &str, chart: &Chart, caption: &str) -> Markup {
    svg_figure(chart.svg(id), caption)
}

/// An SVG with its caption, whose first sentence is its title.
pub(super) fn svg_figure(svg: String, caption: &str) -> Markup {
    let (title, rest) = caption.split_once(". ").unwrap_or((caption, ""));
    html! {
        figure role="group" aria-label=(title) {
            (PreEscaped(svg))
            figcaption { b { (title) "." } " " (formulas(rest)) }
        }
    }
}

/// Text in which `_` makes the next character a subscript: `p_s`.
pub(super) fn formulas(text: &str) -> Markup {
    let mut parts = text.split('_');
    let first = parts.next().unwrap_or_default();
    html! {
        (first)
        @for part in parts {
            @let (low, rest) = part.split_at(part.chars().next().map_or(0, char::len_utf8));
            sub { (low) } (rest)
        }
    }
}

/// A table of names and values.
pub(super) fn facts(rows: &[(String, String)]) -> Markup {
    html! {
        table {
            tbody {
                @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } }
            }
        }
    }
}
