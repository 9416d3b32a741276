//! Data sets: MNIST (compiled into the program), other published sets (downloaded by
//! `bhn data fetch`) and the user's files.
//!
//! [`load()`] reads a source into a [`Dataset`] of three [`Split`]s. [`inputs()`] reads new files
//! for prediction in blocks and transforms them by the [`Preprocess`] that was saved with the
//! model. [`grey28`] converts other images to MNIST's format, [`Shift`] changes test images, and
//! [`uci()`] loads regression sets in their standard splits.
//!
//! Files are not trusted. A size that a header declares is compared with the size of the file
//! before memory is allocated; if the file is compressed, memory is allocated only as data arrive.
//! Each fault is an [`Error`](crate::error::Error) that names the file and a remedy.
mod appearance;
mod augment;
mod blocks;
mod cifar;
mod columns;
mod dataset;
mod delimited;
mod examples;
pub(crate) mod files;
mod folder;
mod grey;
mod idx;
mod images;
mod inputs;
mod kinds;
mod load;
mod npy;
mod npz;
mod omniglot;
mod parquet;
mod pictures;
mod preprocess;
mod records;
mod scaler;
mod shift;
pub(crate) mod sources;
mod table;
mod table_set;
mod target;
pub(crate) mod temporary;
mod training_range;
mod uci;

pub use crate::bayes::Targets;
pub use appearance::Appearance;
pub use augment::Augment;
pub use columns::{Column, Encoding, Replaced};
pub use dataset::{Dataset, Missing, Options, Split, Task, TaskKind};
pub use folder::pictures_in;
pub use grey::{GREY, grey28};
pub use inputs::{Inputs, Reading, inputs, inputs_from, inputs_with};
pub use load::{is_named, load, load_from};
pub use preprocess::Preprocess;
pub use scaler::StandardScaler;
pub use shift::Shift;
pub use sources::{Checked, Set, check, sets};
pub use training_range::{OutOfRange, TrainingRange};
pub use uci::{uci, uci_splits};

/// Parsers of published files, for the fuzz targets.
#[doc(hidden)]
pub mod published {
    pub use super::cifar::{check, unpack};
    pub use super::omniglot::{Drawings, add};
}
