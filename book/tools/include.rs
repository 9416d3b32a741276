//! Source code in the chapters: `{{#include file:anchor}}` is replaced by the lines between
//! `ANCHOR: anchor` and `ANCHOR_END: anchor` of the file, without their common indentation, and
//! the code block is followed by a link to the file. What is missing is an error.
use crate::build::ROOT;
use anyhow::{Context, Result, bail, ensure};
use mdbook_preprocessor::book::{Book, BookItem};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use std::fs;
use std::path::Path;

/// The preprocessor.
pub struct Include;

impl Preprocessor for Include {
    fn name(&self) -> &str {
        "include"
    }

    fn run(&self, _: &PreprocessorContext, book: Book) -> Result<Book> {
        edited(book, expand)
    }
}

/// `book` with the text of every chapter replaced by `edit` of it; an error names the chapter.
pub(crate) fn edited(mut book: Book, edit: impl Fn(&str) -> Result<String>) -> Result<Book> {
    let mut failed = None;
    book.for_each_mut(|item| {
        if let BookItem::Chapter(chapter) = item {
            match edit(&chapter.content) {
                Ok(content) => chapter.content = content,
                Err(error) => failed = Some(error.context(chapter.name.clone())),
            }
        }
    });
    failed.map_or(Ok(book), Err)
}

/// Markdown with its includes replaced.
///
/// # Errors
/// If a file cannot be read, or does not have the anchor exactly once.
pub fn expand(markdown: &str) -> Result<String> {
    let (mut text, mut source) = (String::new(), None);
    for line in markdown.lines() {
        if let Some(address) = include(line) {
            let (path, anchor) = address.split_once(':').unwrap_or((address, ""));
            let file = Path::new(ROOT).join("src").join(path);
            let found = fs::read_to_string(&file).with_context(|| format!("include {path}"))?;
            if anchor.is_empty() {
                text += &relocated(&found);
            } else {
                text += &anchored(&found, anchor).with_context(|| address.to_string())?;
                source = Some(path);
            }
            continue;
        }
        ensure!(!line.contains("{{#"), "not understood: {line}");
        text += line;
        text.push('\n');
        if line == "```"
            && let Some(path) = source.take()
        {
            let name = path.trim_start_matches("../");
            text += &format!("\n<p class=\"source\"><a href=\"{path}\">{name}</a></p>\n");
        }
    }
    Ok(text)
}

/// The address in a line that is an include.
fn include(line: &str) -> Option<&str> {
    Some(line.strip_prefix("{{#include ")?.strip_suffix("}}")?.trim())
}

/// The lines of `source` between the two marks of `anchor`, without their common indentation.
fn anchored(source: &str, anchor: &str) -> Result<String> {
    let mark = |line: &str| line.trim().strip_prefix("// ANCHOR").map(str::to_string);
    let at = |text: String| {
        let mut lines =
            source.lines().enumerate().filter(|(_, line)| mark(line) == Some(text.clone()));
        match (lines.next(), lines.next()) {
            (Some((i, _)), None) => Ok(i),
            (first, _) => bail!("{} `// ANCHOR{text}`", first.map_or("no", |_| "more than one")),
        }
    };
    let (start, end) = (at(format!(": {anchor}"))?, at(format!("_END: {anchor}"))?);
    ensure!(start < end, "the anchor ends before it begins");
    let lines: Vec<_> = source.lines().take(end).skip(start + 1).collect();
    let lines: Vec<_> = lines.into_iter().filter(|line| mark(line).is_none()).collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let filled = lines.iter().filter(|line| !line.trim().is_empty());
    let common = filled.map(indent).min().context("an anchor without lines")?;
    Ok(lines.iter().map(|line| format!("{}\n", line.get(common..).unwrap_or(""))).collect())
}

/// A page of `docs/` with its links as seen from the chapters. mdBook changes links to Markdown
/// files into links to chapters, unless a letter of `.md` is encoded.
fn relocated(page: &str) -> String {
    let parts = page.split("](").enumerate().map(|(i, part)| {
        if i == 0 || part.starts_with("http") || part.starts_with('#') {
            return part.to_string();
        }
        let (link, rest) = part.split_once(')').unwrap_or((part, ""));
        if let Some(chapter) = link.strip_prefix("../book/src/") {
            return format!("{chapter}){rest}");
        }
        let link = match link.strip_prefix("../") {
            Some(link) => format!("../../{link}"),
            None => format!("../../docs/{link}"),
        };
        format!("{})", link.replace(".md", ".m%64")) + rest
    });
    parts.collect::<Vec<_>>().join("](")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_between_anchors_are_included_without_indentation() {
        let source = "a\n  // ANCHOR: x\n  b {\n\n  // ANCHOR: y\n    c\n  // ANCHOR_END: x\n";
        assert_eq!(anchored(source, "x").unwrap(), "b {\n\n  c\n");
        assert!(anchored(source, "y").is_err() && anchored(source, "z").is_err());
        assert!(expand("{{#include nowhere.rs:a}}").is_err());
        assert!(expand("{{#include ../../src/lib.rs:no_such_anchor}}").is_err());
        assert!(expand("{{#playground a}}").is_err());
    }

    #[test]
    fn links_of_pages_are_relocated() {
        let page = "[a](../src/a.rs) [b](verify.md#x) [c](https://c)";
        let expected = "[a](../../src/a.rs) [b](../../docs/verify.m%64#x) [c](https://c)";
        assert_eq!(relocated(page), expected);
    }
}
