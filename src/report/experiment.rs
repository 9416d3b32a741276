//! The report of an experiment: claims and measurements, tables and figures, as files and as a
//! page.
use std::fmt::Write;
use std::path::Path;

use maud::html;

use super::chart::Chart;
use super::page::{self, document};
use super::sheet::Sheet;
use super::verdict::{Corrected, Origin, Verdict, corrected};
use crate::error::{Result, SKIPPED};
use crate::run::atomic;

pub use super::table::{Rows, Table};

/// The results of an experiment.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The experiment and its section in the paper.
    pub title: String,
    /// What the paper did and claims, in a paragraph.
    pub paper: String,
    /// What was done here, with the differences from the paper; one paragraph per line.
    pub ours: String,
    /// The outcome of each claim.
    pub verdicts: Vec<Verdict>,
    /// Tables on the page and as CSV.
    pub tables: Vec<Table>,
    /// Figures.
    pub figures: Vec<Figure>,
    /// Sheets of images.
    pub sheets: Vec<Sheet>,
    /// Tables for programs, as CSV only.
    pub data: Vec<Table>,
}

/// A figure, written to the experiment's folder as `NAME.svg` and `NAME.png`.
#[derive(Clone, Debug)]
pub struct Figure {
    /// File name without its extension.
    pub name: String,
    /// Caption; the first sentence is the title.
    pub caption: String,
    /// The chart.
    pub chart: Chart,
}

impl Figure {
    /// The figure `name` of a chart.
    pub fn new(name: &str, caption: &str, chart: Chart) -> Self {
        Self { name: name.into(), caption: caption.into(), chart }
    }
}

impl Report {
    /// Writes `table.md` and `report.html`, and each table as CSV, each figure as SVG and PNG and
    /// each sheet as PNG, into `dir`. `facts` are names and values that describe the computation.
    ///
    /// # Errors
    /// If a file cannot be written, or a table, figure or sheet cannot be encoded.
    pub fn write(&self, dir: &Path, facts: &[(String, String)]) -> Result<()> {
        let write = |name: String, bytes: &[u8]| atomic::write(&dir.join(name), bytes);
        for table in self.tables.iter().chain(&self.data) {
            write(format!("{}.csv", table.name), &table.csv()?)?;
        }
        for Figure { name, chart, .. } in &self.figures {
            write(format!("{name}.svg"), chart.svg(name).as_bytes())?;
            write(format!("{name}.png"), &chart.png()?)?;
        }
        for sheet in &self.sheets {
            write(format!("{}.png", sheet.name), &sheet.png()?)?;
        }
        write("table.md".into(), self.markdown(facts).as_bytes())?;
        write("report.html".into(), self.html(facts)?.as_bytes())
    }

    /// The claims and their outcomes as a table.
    pub fn verdicts(&self) -> Table {
        let rows = self.verdicts.iter().zip(corrected(&self.verdicts));
        let correction = |(verdict, corrected): &(&Verdict, Option<Corrected>)| match corrected {
            Some(corrected) => corrected.words(),
            None if verdict.origin == Origin::Own => "our check".into(),
            None => "no test".into(),
        };
        Table::of("verdicts", VERDICTS, rows).columns(&[
            ("claim", &|(verdict, _)| verdict.claim.clone()),
            ("measured", &|(verdict, _)| verdict.quantity.clone()),
            ("number", &|(verdict, _)| verdict.mean.to_string()),
            ("n", &|(verdict, _)| verdict.mean.seeds.to_string()),
            ("outcome", &|(verdict, _)| verdict.words()),
            ("corrected", &correction),
        ])
    }

    /// The rows that were skipped for missing data, each with the command that fetches the data.
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
        self.ours.lines().for_each(|paragraph| text += &format!("\n* {paragraph}"));
        text += "\n\n## The computation\n\n";
        facts.iter().for_each(|(name, value)| text += &format!("* {name}: {value}\n"));
        text
    }

    fn html(&self, facts: &[(String, String)]) -> Result<String> {
        let sheets = self.sheets.iter().map(Sheet::html).collect::<Result<Vec<_>>>()?;
        let body = html! {
            h1 { (self.title) }
            p.summary { (self.paper) }
            @if !self.verdicts.is_empty() {
                h2 { "Outcome of the claims" }
                (self.verdicts().html())
            }
            @for Figure { name, caption, chart } in &self.figures {
                (page::figure(name, chart, caption))
            }
            @for sheet in sheets { (sheet) }
            @if !self.tables.is_empty() { h2 { "Tables" } }
            @for table in &self.tables { (table.html()) }
            h2 { "What was done" }
            @for paragraph in self.ours.lines() { p { (paragraph) } }
            h2 { "The computation" }
            (page::facts(facts))
        };
        Ok(document(&self.title, body))
    }
}

const VERDICTS: &str = "Outcome of each claim. Means over n seeds with one standard error. A \
    claim holds if the whole 95 % interval of its quantity (Student's t; for a share of seeds \
    Clopper and Pearson's) satisfies it, and does not hold if no part of the interval does. \
    Corrected: the outcome and p-value after Holm's correction over the paper's claims of this \
    table; our own checks are not counted, and a number without an error, estimated from n \
    chains, fits or draws together, has no test.";
