//! `bhn explain TERM`: a paragraph of the book's glossary, and the number of the last run.
use super::Context;
use crate::error::Error;
use crate::run::Summary;
use anyhow::Result;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

const GLOSSARY: &str = include_str!("../../docs/glossary.md");

#[derive(clap::Args)]
pub struct Args {
    /// Term, such as elbo, k-hat or coupling; without it, list all terms
    term: Option<String>,
    /// Run folder whose number is printed [default: the last run in runs]
    #[arg(long, value_name = "DIR", requires = "term")]
    run: Option<PathBuf>,
}

/// An entry of the glossary.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    /// The term, and its other names.
    names: Vec<String>,
    text: String,
    /// The chapter of the book that explains it.
    chapter: String,
}

/// A number of a run.
#[derive(Serialize)]
struct Number {
    run: PathBuf,
    name: &'static str,
    value: f64,
    unit: &'static str,
}

/// The output of `--json`.
#[derive(Serialize)]
struct Printed {
    #[serde(flatten)]
    entry: Entry,
    last_run: Option<Number>,
}

pub fn run(args: Args, context: &Context) -> Result<()> {
    let entries = entries(GLOSSARY);
    let Some(term) = args.term else {
        let names: Vec<_> = entries.iter().map(|entry| entry.names.join(", ")).collect();
        return context.print(&names, &names.join("\n"));
    };
    let entry = find(&entries, &term)?.clone();
    let last_run = match &args.run {
        Some(dir) => number(&entry, dir)?,
        None => last(Path::new("runs")).and_then(|dir| number(&entry, &dir).ok().flatten()),
    };
    let mut text = format!("{}\n\n{}", entry.names.join(", "), entry.text);
    if let Some(Number { run, name, value, unit }) = &last_run {
        text += &format!("\n\n{}: {name} {value:.4}{unit}", run.display());
    }
    text += &format!("\n\nMore: the chapter \"{}\" of the book.", entry.chapter);
    context.print(&Printed { entry, last_run }, &text)
}

/// The entries of a glossary: a heading for each, then a paragraph that ends with a link to its
/// chapter.
fn entries(glossary: &str) -> Vec<Entry> {
    let entry = |section: &str| {
        let (names, text) = section.split_once('\n').expect("a heading and a paragraph");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (text, link) = text.rsplit_once('[').expect("a link to a chapter");
        let (chapter, _) = link.split_once(']').expect("a link");
        Entry {
            names: names.split(", ").map(|name| name.trim().into()).collect(),
            text: wrapped(text),
            chapter: chapter.into(),
        }
    };
    glossary.split("\n### ").skip(1).map(entry).collect()
}

/// `text` in lines of at most 80 characters, if its words are not longer.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= 80 {
            *line = format!("{line} {word}");
        } else {
            lines.push(word.into());
        }
    }
    lines.join("\n")
}

/// A name without case, spaces and signs: `k̂` and `K-hat` are `khat`.
fn plain(name: &str) -> String {
    let name = name.to_lowercase().replace('\u{302}', "hat");
    name.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The entry with the name `term`, or the only one whose name contains it.
fn find<'e>(entries: &'e [Entry], term: &str) -> Result<&'e Entry> {
    let wanted = plain(term);
    let is_named = |entry: &&Entry| entry.names.iter().any(|name| plain(name) == wanted);
    if let Some(entry) = entries.iter().find(is_named) {
        return Ok(entry);
    }
    let names = |entries: &[&Entry]| {
        entries.iter().map(|entry| entry.names[0].clone()).collect::<Vec<_>>().join(", ")
    };
    let contains = |entry: &&Entry| {
        !wanted.is_empty() && entry.names.iter().any(|name| plain(name).contains(&wanted))
    };
    let near: Vec<_> = entries.iter().filter(contains).collect();
    match near[..] {
        [entry] => Ok(entry),
        [] => {
            let all: Vec<_> = entries.iter().collect();
            let advice = "Look the term up in the book, or try a shorter word.";
            Err(Error::invalid("term", format!("{term:?}"), names(&all), advice).into())
        }
        _ => {
            let expected = format!("one of {}", names(&near));
            Err(Error::invalid("term", format!("{term:?}"), expected, "Choose one.").into())
        }
    }
}

/// A line that leads from `message`, an error, to the first term of the glossary that it uses;
/// empty if it uses none.
pub(super) fn hint(message: &str) -> String {
    let words: Vec<_> = message.split_whitespace().map(plain).collect();
    let is_used = |name: &&String| {
        let (term, length) = (plain(name), name.split(' ').count());
        let mut phrases = words.windows(length).map(<[String]>::concat);
        !EVERYDAY.contains(&&*term)
            && phrases.any(|phrase| phrase == term || phrase.strip_suffix('s') == Some(&*term))
    };
    let entries = entries(GLOSSARY);
    let term = entries.iter().flat_map(|entry| &entry.names).find(is_used);
    term.map_or_else(String::new, |term| format!("\n`bhn explain \"{term}\"` explains the term."))
}

/// Terms that a message may use as words of everyday.
const EVERYDAY: [&str; 5] = ["bound", "evidence", "flow", "scale", "tape"];

/// The folder of runs whose summary is the newest.
fn last(runs: &Path) -> Option<PathBuf> {
    let folders = fs::read_dir(runs).ok()?.flatten().map(|entry| entry.path());
    let finished = folders.filter_map(|dir| {
        let written = dir.join("summary.json").metadata().ok()?.modified().ok()?;
        Some((written, dir))
    });
    finished.max().map(|(_, dir)| dir)
}

/// The number of the run in `dir` that the entry is about, if there is one.
fn number(entry: &Entry, dir: &Path) -> Result<Option<Number>> {
    let is = |name: &str| entry.names.iter().any(|other| plain(other) == name);
    let summary = Summary::read(dir)?;
    let (name, value, unit) = match () {
        () if is("elbo") => ("ELBO", summary.elbo.terms.total, " nats"),
        () if is("kldivergence") => ("KL", summary.elbo.terms.kl, " nats"),
        () if is("nll") => ("test NLL", summary.test.nll, " nats per example"),
        () if is("calibration") => match summary.test.ece {
            Some(ece) => ("test ECE", ece, ""),
            None => return Ok(None),
        },
        () => return Ok(None),
    };
    Ok(Some(Number { run: dir.into(), name, value, unit }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every term is found by each of its names, and no markup is left in its paragraph.
    #[test]
    fn terms_are_found_by_their_names() {
        let entries = entries(GLOSSARY);
        for entry in &entries {
            for name in &entry.names {
                assert_eq!(find(&entries, name).unwrap().names, entry.names);
            }
            assert!(!entry.text.contains(['$', '\\', '#']), "{entry:?}");
            assert!(!entry.text.contains("]("), "{entry:?}");
            assert!(entry.text.len() > 20, "{entry:?}");
        }
        let found = ["elbo", "k-hat", "K̂", "iaf", "hypernet"]
            .map(|term| find(&entries, term).unwrap().names[0].clone());
        let expected = ["Bound", "k̂", "k̂", "Inverse autoregressive flow", "Hypernetwork"];
        assert_eq!(found, expected);
        let refused = ["gradient", "", "blancmange"].map(|term| find(&entries, term).is_err());
        assert_eq!(refused, [true; 3]);
    }

    /// Terms are found in capitals, in the plural and as a flag, and everyday words are not terms.
    #[test]
    fn errors_lead_to_the_term_that_they_use() {
        let explained = |term: &str| format!("\n`bhn explain \"{term}\"` explains the term.");
        assert_eq!(hint("loss NaN, log-likelihood 1, KL 3 nats"), explained("KL"));
        assert_eq!(hint("--couplings: found 99, expected at most 64."), explained("Coupling"));
        assert_eq!(hint("too few importance weights"), explained("Importance weight"));
        assert_eq!(hint("/runs/coupling/config.toml: on this scale, bound to fail"), "");
    }
}
