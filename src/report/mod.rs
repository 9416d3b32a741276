//! Reports of runs and of experiments: self-contained HTML pages, which use no scripts and load no
//! files or fonts.
//!
//! [`render`] makes the page of a run. The page depends on the argument alone, so that equal runs
//! give equal bytes. [`experiment`] makes the files and the page of an experiment.
pub mod chart;
mod classification;
pub mod experiment;
mod figures;
mod legend;
mod mean;
mod page;
mod regression;
mod run;
pub mod sheet;
mod style;
mod table;
mod text;
pub mod verdict;
mod widths;

pub use classification::Classification;
pub use regression::Regression;
pub use run::{Run, Test, render};
pub(crate) use style::COLORS;
pub use text::number;
pub use widths::{widths_facts, widths_table};
