//! The figures of the book, computed by the library or drawn from committed results.
mod bayes;
mod diagram;
mod engine;
mod flows;
mod results;

use crate::build::ROOT;
use crate::include::edited;
use anyhow::{Context, Result};
use bhn::report::chart::Chart;
use mdbook_preprocessor::book::Book;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use std::fs;
use std::path::{Path, PathBuf};

/// Draws a figure as SVG.
pub type Draw = fn() -> Result<String>;

/// Every figure by its name, the stem of its file.
pub const FIGURES: [(&str, Draw); 18] = [
    ("broadcast", || Ok(diagram::broadcast())),
    ("tape", || Ok(diagram::tape())),
    ("differences", || Ok(svg("differences", &engine::differences()))),
    ("adam", || Ok(svg("adam", &engine::adam()))),
    ("bend", || Ok(svg("bend", &flows::bend()))),
    ("gap", || Ok(svg("gap", &bayes::gap()))),
    ("variance", || Ok(svg("variance", &bayes::variance()))),
    ("scales", || Ok(svg("scales", &results::scales()?))),
    ("uncertain", || Ok(svg("uncertain", &bayes::uncertain()?))),
    ("calibration", || Ok(svg("calibration", &results::calibration()?))),
    ("active", || Ok(svg("active", &results::active()?))),
    ("faults", || Ok(diagram::faults())),
    ("gaps", || Ok(svg("gaps", &results::gaps()?))),
    ("pruned", || Ok(svg("pruned", &bayes::pruned()?))),
    ("pareto", || Ok(svg("pareto", &bayes::pareto()))),
    ("claims", || Ok(svg("claims", &results::claims()?))),
    ("speed", || Ok(svg("speed", &results::speed()?))),
    ("roof", || Ok(svg("roof", &engine::roof()))),
];

/// The colour of axes and text in a file of its own: a grey that is legible on white and on black.
const GREY: &str = " style=\"color:#768390\"";

fn svg(name: &str, chart: &Chart) -> String {
    chart.svg(name).replacen("<svg", &format!("<svg{GREY}"), 1)
}

/// The file of the figure `name`.
pub fn file(name: &str) -> PathBuf {
    Path::new(ROOT).join("src/figures").join(format!("{name}.svg"))
}

/// Draws all figures into `src/figures`.
///
/// # Errors
/// If a result cannot be read or a file not written.
pub fn write() -> Result<()> {
    fs::create_dir_all(Path::new(ROOT).join("src/figures"))?;
    for (name, draw) in FIGURES {
        let svg = draw().with_context(|| format!("figure {name}"))?;
        fs::write(file(name), svg + "\n")?;
        println!("{}", file(name).display());
    }
    Ok(())
}

/// The preprocessor that puts figures into the pages, in the colour of their text.
pub struct Figures;

impl Preprocessor for Figures {
    fn name(&self) -> &str {
        "figures"
    }

    fn run(&self, _: &PreprocessorContext, book: Book) -> Result<Book> {
        edited(book, inlined)
    }
}

/// Markdown with each line `![text](figures/name.svg)` replaced by the figure, and the paragraph in
/// italics that follows it by the caption.
fn inlined(markdown: &str) -> Result<String> {
    let mut found = vec![];
    let mut blocks = markdown.split("\n\n").peekable();
    while let Some(block) = blocks.next() {
        let Some((alt, name)) = block.strip_prefix("![").and_then(|rest| {
            rest.strip_suffix(".svg)").and_then(|rest| rest.split_once("](figures/"))
        }) else {
            found.push(block.to_string());
            continue;
        };
        let svg = fs::read_to_string(file(name)).with_context(|| format!("figure {name}"))?;
        let svg = svg.trim_end().replace('\n', " ").replacen(GREY, "", 1);
        let alt = alt.replace('\n', " ").replace('&', "&amp;").replace('"', "&quot;");
        let label = format!("<svg role=\"img\" aria-label=\"{alt}\"");
        let caption = blocks.next_if(|next| next.starts_with('*') && next.trim().ends_with('*'));
        found.push(format!("<figure id=\"figure-{name}\">\n{}", svg.replacen("<svg", &label, 1)));
        if let Some(caption) = caption {
            found.push(format!(
                "<figcaption>\n\n{}\n\n</figcaption>",
                caption.trim().trim_matches('*')
            ));
        }
        found.push("</figure>".to_string());
    }
    Ok(found.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_figures_are_those_that_the_program_draws() {
        for (name, draw) in FIGURES {
            let committed = fs::read_to_string(file(name)).unwrap();
            let drawn = draw().unwrap() + "\n";
            assert!(drawn == committed, "{name}.svg differs: run `bhn-book figures`");
        }
        let count = fs::read_dir(Path::new(ROOT).join("src/figures")).unwrap().count();
        assert_eq!(count, FIGURES.len(), "a file in src/figures that nothing draws");
    }

    #[test]
    fn figures_are_inlined_with_their_captions() {
        let page = inlined("a\n\n![A \"tape\"](figures/tape.svg)\n\n*The tape.*\n\nb").unwrap();
        assert!(page.starts_with("a\n\n<figure id=\"figure-tape\">"), "{page}");
        assert!(page.contains("aria-label=\"A &quot;tape&quot;\""), "{page}");
        assert!(page.ends_with("<figcaption>\n\nThe tape.\n\n</figcaption>\n\n</figure>\n\nb"));
        assert!(inlined("![x](figures/none.svg)").is_err());
    }
}
