//! Reports of runs and of experiments: HTML pages without external files, scripts or fonts.
//!
//! [`render`] makes the page of a run from its argument alone: equal runs give equal bytes.
//! [`experiment`] makes the files and the page of an experiment.
pub mod chart;
mod classification;
pub mod experiment;
mod figures;
mod page;
mod regression;
mod run;
pub mod sheet;
mod style;
mod table;
mod text;
pub mod verdict;

pub use classification::Classification;
pub use regression::Regression;
pub use run::{Run, Test, render};
pub use text::number;
