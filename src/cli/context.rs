//! The global flags, and output: results on standard output, messages on standard error.
use crate::run::{Target, atomic};
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;

/// The maximum number of characters in a message: a name may have any length.
const CHARACTERS: usize = 20_000;

/// The global flags.
pub struct Context {
    pub quiet: bool,
    pub json: bool,
    pub data_dir: Option<PathBuf>,
}

impl Context {
    /// Print a result: `value` with `--json`, otherwise `text`.
    pub fn print(&self, value: &impl Serialize, text: &str) -> Result<()> {
        let json = || serde_json::to_string_pretty(value);
        let text = if self.json { json()? } else { visible(text) };
        output(format!("{text}\n").as_bytes())
    }

    /// Print a message, unless `--quiet`.
    pub fn say(&self, message: impl AsRef<str>) {
        if !self.quiet {
            note(message);
        }
    }

    /// Print a note that a flag has no effect, unless `--quiet`.
    pub fn note_no_effect(&self, flag: &str, why: impl Display) {
        self.say(format!("note: {flag} has no effect: {why}"));
    }

    /// A progress bar on standard error, hidden with `--quiet`.
    pub fn bar(&self, length: u64, template: &str) -> ProgressBar {
        let target = match self.quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let style = ProgressStyle::with_template(template).expect("a valid template");
        ProgressBar::with_draw_target(Some(length), target).with_style(style)
    }
}

/// Write a result to standard output.
pub fn output(bytes: &[u8]) -> Result<()> {
    Ok(atomic::write_to(&Target::Stdout, bytes)?)
}

/// Print a line on standard error, unless that is closed.
pub fn note(line: impl AsRef<str>) {
    let line = line.as_ref();
    let end = line.char_indices().nth(CHARACTERS).map_or(line.len(), |(end, _)| end);
    let rest = if end < line.len() { " …" } else { "" };
    writeln!(io::stderr(), "{}{rest}", visible(&line[..end])).ok();
}

/// `text` with escapes such as `\u{1b}` in place of characters that a terminal obeys: names of
/// files, columns and classes may contain them. Line breaks and tabs are kept.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        // Marks that change the direction of text reorder what is shown.
        let turns = matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || ('\u{2066}'..='\u{2069}').contains(&c);
        if (c.is_control() && !"\n\t".contains(c)) || turns {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_as_escapes() {
        let text = "a\u{1b}[2Jb\r\u{9b}1m\u{7f}\u{202e}c\n\tπ “d”";
        let expected = "a\\u{1b}[2Jb\\u{d}\\u{9b}1m\\u{7f}\\u{202e}c\n\tπ “d”";
        assert_eq!(visible(text), expected);
    }
}
