//! Tables as Markdown, CSV and HTML.
use maud::{Markup, html};

use crate::error::{Error, Result, SKIPPED};
use std::fmt::Display;

/// A table; an experiment writes its tables to its folder as `NAME.csv`.
#[derive(Clone, Debug)]
pub struct Table {
    /// File name without its extension.
    pub name: String,
    /// Caption; the first sentence is the title.
    pub caption: String,
    /// Column titles of one or two words.
    pub header: Vec<String>,
    /// Rows with one entry for each column.
    pub rows: Vec<Vec<String>>,
}

/// The heading of a column, and the function that gives its entry in a row.
pub type Column<'a, R> = (&'a str, &'a dyn Fn(&R) -> String);

/// The rows of a table whose columns are yet to be given.
pub struct Rows<I> {
    name: String,
    caption: String,
    rows: I,
}

impl<R, I: IntoIterator<Item = R>> Rows<I> {
    /// The table with the given columns.
    pub fn columns(self, columns: &[Column<'_, R>]) -> Table {
        let header = columns.iter().map(|(heading, _)| *heading);
        let mut table = Table::new(&self.name, self.caption, header);
        for row in self.rows {
            table.wide_row(&[], columns.iter().map(|(_, entry)| entry(&row)));
        }
        table
    }
}

impl Table {
    /// A table without rows.
    pub fn new(
        name: &str,
        caption: impl Into<String>,
        header: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let header = header.into_iter().map(Into::into).collect();
        Self { name: name.into(), caption: caption.into(), header, rows: vec![] }
    }

    /// The rows of a table; [`columns`](Rows::columns) completes it.
    pub fn of<R, I: IntoIterator<Item = R>>(
        name: &str,
        caption: impl Into<String>,
        rows: I,
    ) -> Rows<I> {
        Rows { name: name.into(), caption: caption.into(), rows }
    }

    /// Appends a row.
    ///
    /// # Panics
    /// If the number of entries is not the number of columns.
    pub fn row(&mut self, entries: &[&dyn Display]) {
        self.wide_row(entries, []);
    }

    /// Appends a row of `names` followed by `entries`, for tables with many columns of one kind.
    ///
    /// # Panics
    /// If the number of names and entries is not the number of columns.
    pub fn wide_row(&mut self, names: &[&dyn Display], entries: impl IntoIterator<Item = String>) {
        let row: Vec<_> = names.iter().map(|name| name.to_string()).chain(entries).collect();
        let (found, columns) = (row.len(), self.header.len());
        assert!(found == columns, "table {}: {found} entries in {columns} columns", self.name);
        self.rows.push(row);
    }

    /// Appends a row for a data set that is missing, with the command that fetches it.
    pub fn skip(&mut self, row: &str, data: &str) {
        let empty = vec![String::new(); self.header.len() - 2];
        self.wide_row(&[&row, &format_args!("{SKIPPED}{data}")], empty);
    }

    /// The table in Markdown, without its caption.
    pub(super) fn markdown(&self) -> String {
        let line = |row: &[String]| {
            let cells = row.iter().map(|entry| entry.replace('|', "\\|"));
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule = format!("|{}\n", "---|".repeat(self.header.len()));
        line(&self.header) + &rule + &self.rows.iter().map(|row| line(row)).collect::<String>()
    }

    /// The table as CSV, without its caption.
    ///
    /// # Errors
    /// If a row cannot be encoded.
    pub(super) fn csv(&self) -> Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(vec![]);
        let mut lines = std::iter::once(&self.header).chain(&self.rows);
        let written = lines.try_for_each(|line| writer.write_record(line));
        let bytes = written.map_err(|e| e.to_string());
        let bytes = bytes.and_then(|()| writer.into_inner().map_err(|e| e.to_string()));
        bytes.map_err(|e| Error::invalid(&self.name, e, "a table", "Please report it."))
    }

    /// The table in HTML with its caption.
    pub(super) fn html(&self) -> Markup {
        // A value and its error stay on one line.
        let text = |entry: &str| entry.replace(" ± ", "\u{a0}±\u{a0}");
        html! {
            figure {
                table {
                    thead { tr { @for word in &self.header { th { (word) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr { @for entry in row { td { (text(entry)) } } }
                        }
                    }
                }
                figcaption { (self.caption) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_escaped() {
        let mut table = Table::new("scores", "Scores.", ["set", "a|b", "note"]);
        table.row(&[&"mnist", &"0.5, or so", &"\"x\""]);
        table.skip("omniglot", "omniglot");
        let text = table.markdown();
        assert_eq!(text.lines().nth(2), Some("| mnist | 0.5, or so | \"x\" |"));
        assert!(text.starts_with("| set | a\\|b | note |\n|---|---|---|\n"), "{text}");
        let bytes = table.csv().unwrap();
        let rows: Vec<_> =
            csv::Reader::from_reader(&*bytes).into_records().map(|row| row.unwrap()).collect();
        assert_eq!(rows[0], vec!["mnist", "0.5, or so", "\"x\""]);
        assert_eq!(rows[1], vec!["omniglot", "skipped: bhn data fetch omniglot", ""]);
    }
}
