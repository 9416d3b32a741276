//! Mathematics: LaTeX between dollars becomes MathML, which browsers display without scripts or
//! fonts from elsewhere.
use crate::include::edited;
use anyhow::{Result, bail};
use mdbook_preprocessor::book::Book;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use pulldown_latex::config::{DisplayMode, RenderConfig};
use pulldown_latex::mathml::push_mathml;
use pulldown_latex::{Parser, Storage};

/// The preprocessor.
pub struct Math;

impl Preprocessor for Math {
    fn name(&self) -> &str {
        "math"
    }

    fn run(&self, _: &PreprocessorContext, book: Book) -> Result<Book> {
        edited(book, typeset)
    }
}

/// Markdown with its formulas typeset; code is left alone.
///
/// # Errors
/// If a formula or a code block does not end, or the LaTeX is not understood.
pub fn typeset(markdown: &str) -> Result<String> {
    let (mut typeset, mut rest) = (String::new(), markdown);
    let mut at_line_start = true;
    while let Some(c) = rest.chars().next() {
        let verbatim = match c {
            '`' if at_line_start && rest.starts_with("```") => Some("\n```"),
            '`' => Some("`"),
            _ => None,
        };
        if let Some(end) = verbatim {
            let from = if end == "`" { 1 } else { 3 };
            let Some(length) = rest[from..].find(end) else { bail!("code that does not end") };
            let length = from + length + end.len();
            typeset += &rest[..length];
            rest = &rest[length..];
        } else if c == '$' {
            let fence = if rest.starts_with("$$") { "$$" } else { "$" };
            let Some(length) = rest[fence.len()..].find(fence) else {
                bail!("a formula that does not end: {}", &rest[..rest.len().min(40)])
            };
            let latex = &rest[fence.len()..][..length];
            typeset += &formula(latex, fence == "$$")?;
            rest = &rest[2 * fence.len() + length..];
        } else {
            typeset.push(c);
            rest = &rest[c.len_utf8()..];
        }
        at_line_start = typeset.ends_with('\n');
    }
    Ok(typeset)
}

/// MathML that Markdown leaves alone: on one line, with characters escaped that mark emphasis.
fn formula(latex: &str, is_block: bool) -> Result<String> {
    let storage = Storage::new();
    let display_mode = if is_block { DisplayMode::Block } else { DisplayMode::Inline };
    let config = RenderConfig { display_mode, ..RenderConfig::default() };
    let mut mathml = String::new();
    push_mathml(&mut mathml, Parser::new(latex, &storage), config)?;
    if mathml.contains("<merror") {
        bail!("LaTeX that is not understood: {latex}");
    }
    let escaped = |c: char| match c {
        '\n' => " ".to_string(),
        '*' | '_' | '[' | ']' | '`' | '\\' | '|' | '~' => format!("&#{};", u32::from(c)),
        _ => c.to_string(),
    };
    let escaped: String = mathml.chars().map(escaped).collect();
    // A formula that is wider than the page scrolls within a frame of its own.
    Ok(if is_block { format!("<span class=\"formula\">{escaped}</span>") } else { escaped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_typeset_and_code_is_left_alone() {
        let found = typeset("a $x_1$ `$y$`\n```text\n$z$\n```\n$$ \\frac12 $$\n").unwrap();
        assert!(found.contains("<msub>") && found.contains("<mfrac>"), "{found}");
        assert!(found.contains("`$y$`") && found.contains("\n$z$\n"), "{found}");
        assert!(typeset("$x").is_err() && typeset("`x").is_err());
    }
}
