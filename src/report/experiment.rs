//! The report of an experiment: claims beside numbers, tables and figures, as files and as a page.
use std::fmt::Write;
use std::path::Path;

use maud::{Markup, html};

use super::chart::Chart;
use super::sheet::Sheet;
use super::verdict::Verdict;
use super::{document, figure, table};
use crate::error::{Error, Result, SKIPPED};
use crate::run::atomic;

/// What an experiment found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was done and where it is in the paper.
    pub title: String,
    /// What the paper did and claims, in a paragraph.
    pub paper: String,
    /// What was done here, a paragraph each; above all where it differs.
    pub ours: Vec<String>,
    /// How the claims stand.
    pub verdicts: Vec<Verdict>,
    /// Tables for readers.
    pub tables: Vec<Table>,
    /// Figures.
    pub figures: Vec<Figure>,
    /// Images.
    pub sheets: Vec<Sheet>,
    /// Tables for programs: written as CSV only.
    pub data: Vec<Table>,
}

/// A table, `NAME.csv` in the experiment's folder.
#[derive(Clone, Debug)]
pub struct Table {
    /// The name of its file, without the ending.
    pub name: String,
    /// What it shows; the first sentence is its title.
    pub caption: String,
    /// One word or two a column.
    pub header: Vec<String>,
    /// As many entries each.
    pub rows: Vec<Vec<String>>,
}

/// A figure, `NAME.svg` and `NAME.png` in the experiment's folder.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The name of its files, without the ending.
    pub name: String,
    /// What it shows; the first sentence is its title.
    pub caption: String,
    /// What is drawn.
    pub chart: Chart,
}

impl Table {
    /// An empty one.
    pub fn new(name: &str, caption: impl Into<String>, header: &[&str]) -> Self {
        let header = header.iter().map(|&word| word.to_string()).collect();
        Self { name: name.into(), caption: caption.into(), header, rows: vec![] }
    }

    /// Add a row.
    ///
    /// # Panics
    /// If it has not one entry a column.
    pub fn row(&mut self, row: Vec<String>) {
        let (found, columns) = (row.len(), self.header.len());
        assert!(found == columns, "table {}: {found} entries in {columns} columns", self.name);
        self.rows.push(row);
    }

    /// Add the row of a data set that is not at hand, with the command that fetches it.
    pub fn skip(&mut self, row: &str, data: &str) {
        let mut entries = vec![row.to_string(), format!("{SKIPPED}{data}")];
        entries.resize(self.header.len().max(2), String::new());
        self.row(entries);
    }

    fn markdown(&self) -> String {
        let line = |row: &[String]| {
            let cells = row.iter().map(|entry| entry.replace('|', "\\|"));
            format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule = format!("|{}\n", "---|".repeat(self.header.len()));
        line(&self.header) + &rule + &self.rows.iter().map(|row| line(row)).collect::<String>()
    }

    fn csv(&self) -> Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(vec![]);
        let mut lines = std::iter::once(&self.header).chain(&self.rows);
        let written = lines.try_for_each(|line| writer.write_record(line));
        let bytes = written.map_err(|e| e.to_string());
        let bytes = bytes.and_then(|()| writer.into_inner().map_err(|e| e.to_string()));
        bytes.map_err(|e| Error::invalid(&self.name, e, "a table", "Please report it."))
    }

    fn html(&self) -> Markup {
        // A number and its error stay on one line.
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

impl Report {
    /// Write `table.md`, `report.html`, a CSV a table, an SVG and a PNG a figure, a PNG a sheet into `dir`,
    /// with the facts about the computation: name and value.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn write(&self, dir: &Path, facts: &[(String, String)]) -> Result<()> {
        for table in self.tables.iter().chain(&self.data) {
            atomic::write(&dir.join(format!("{}.csv", table.name)), &table.csv()?)?;
        }
        for Figure { name, chart, .. } in &self.figures {
            atomic::write(&dir.join(format!("{name}.svg")), chart.svg(name).as_bytes())?;
            atomic::write(&dir.join(format!("{name}.png")), &chart.png()?)?;
        }
        for sheet in &self.sheets {
            atomic::write(&dir.join(format!("{}.png", sheet.name)), &sheet.png()?)?;
        }
        atomic::write(&dir.join("table.md"), self.markdown(facts).as_bytes())?;
        atomic::write(&dir.join("report.html"), self.page(facts)?.as_bytes())
    }

    /// The verdicts as a table.
    pub fn verdicts(&self) -> Table {
        let caption = "How the claims stand. Means over n seeds with one standard error; a claim holds if all of \
            their 95 % interval (Student's t; of a share of seeds Clopper and Pearson's) is where it says, and does \
            not if none of it is. A number without an error is one that n chains, fits or draws give together.";
        let header = ["claim", "measured", "number", "n", "outcome"];
        let mut table = Table::new("verdicts", caption, &header);
        for verdict in &self.verdicts {
            let Verdict { claim, quantity, mean, .. } = verdict;
            let seeds = mean.seeds.to_string();
            let row = [claim.clone(), quantity.clone(), mean.to_string(), seeds, verdict.words()];
            table.row(row.into());
        }
        table
    }

    /// What was left out for want of data, each with the command that fetches it.
    pub fn skipped(&self) -> Vec<String> {
        let rows = self.tables.iter().flat_map(|table| &table.rows);
        let is_skipped = |row: &&Vec<String>| row.get(1).is_some_and(|e| e.starts_with(SKIPPED));
        rows.filter(is_skipped).map(|row| format!("{} {}", row[0], row[1])).collect()
    }

    fn markdown(&self, facts: &[(String, String)]) -> String {
        let mut text = format!("# {}\n\n{}\n", self.title, self.paper);
        let verdicts = self.verdicts();
        let tables = (!self.verdicts.is_empty()).then_some(&verdicts).into_iter();
        for table in tables.chain(&self.tables) {
            let _ = write!(text, "\n{}\n{}\n", table.markdown(), table.caption);
        }
        let figures = self.figures.iter().map(|f| (format!("{}.svg", f.name), &f.caption));
        let sheets = self.sheets.iter().map(|s| (format!("{}.png", s.name), &s.caption));
        for (file, caption) in figures.chain(sheets) {
            let (title, _) = caption.split_once(". ").unwrap_or((caption, ""));
            let _ = write!(text, "\n![{title}]({file})\n\n{caption}\n");
        }
        text += "\n## What was done\n";
        self.ours.iter().for_each(|paragraph| text += &format!("\n* {paragraph}"));
        text += "\n\n## The computation\n\n";
        facts.iter().for_each(|(name, value)| text += &format!("* {name}: {value}\n"));
        text
    }

    fn page(&self, facts: &[(String, String)]) -> Result<String> {
        let sheets = self.sheets.iter().map(Sheet::html).collect::<Result<Vec<_>>>()?;
        Ok(document(
            &self.title,
            html! {
                h1 { (self.title) }
                p.summary { (self.paper) }
                @if !self.verdicts.is_empty() { h2 { "How it stands" } (self.verdicts().html()) }
                @for Figure { name, caption, chart } in &self.figures {
                    (figure(chart.svg(name), caption))
                }
                @for sheet in sheets { (sheet) }
                @if !self.tables.is_empty() { h2 { "Tables" } }
                @for table in &self.tables { (table.html()) }
                h2 { "What was done" }
                @for paragraph in &self.ours { p { (paragraph) } }
                h2 { "The computation" }
                (table(facts))
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_keep_their_entries() {
        let mut table = Table::new("scores", "Scores.", &["set", "a|b", "note"]);
        table.row(vec!["mnist".into(), "0.5, or so".into(), "\"x\"".into()]);
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
