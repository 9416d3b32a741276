//! Data: MNIST, which is inside the program, published sets that `bhn data fetch` gets, the user's
//! CSV and NPZ files, and what `predict` reads.
//!
//! [`load`] turns a source into a [`Dataset`] of three [`Split`]s, and [`inputs`] turns the user's
//! new files into the same kind of rows, block by block, by the [`Preprocess`] that is saved with the
//! model. [`grey28`] makes other images look like MNIST's, and [`uci`] divides regression sets in the
//! standard ways.
//! Files come from outside: every size in a header is compared with the real one before anything
//! is allocated, and whatever is wrong is an [`Error`] that names the file and the way out.
mod augment;
mod check;
mod cifar;
pub(crate) mod files;
mod fingerprint;
mod grey;
mod idx;
mod inputs;
mod mnist;
mod npy;
mod npz;
mod omniglot;
mod preprocess;
mod seen;
pub(crate) mod sources;
mod split;
mod table;
mod target;
mod uci;

pub use crate::bayes::Targets;
pub use augment::Augment;
pub use check::{Checked, Listing, check, list};
pub use grey::{GREY, grey28};
pub use inputs::{Inputs, inputs, inputs_from};
pub use preprocess::{Preprocess, Standardise};
pub use seen::{Outside, Seen};
pub use split::Split;
pub use uci::{uci, uci_splits};

/// Readers of what is published, for the fuzz targets.
#[doc(hidden)]
pub mod published {
    pub use super::cifar::{records, unpack};
    pub use super::omniglot::{Drawings, add};
}

use crate::error::{Error, Result};
use crate::primary::Shape;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Seek};
use std::path::Path;

/// What a model of the data has to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Name one of `K` classes.
    Classification {
        /// The names of classes `0..K`.
        classes: Vec<String>,
    },
    /// Predict one real number.
    Regression,
}

impl Task {
    /// How many outputs a network for it has: `K` classes, or one value.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classification { classes } => classes.len(),
            Self::Regression => 1,
        }
    }
}

/// [`Task`] as the user asks for it, before the classes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// Targets are names of classes.
    Classification,
    /// Targets are real numbers.
    Regression,
}

/// How [`load`] reads a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The column of a CSV file to predict; the last if `None`.
    pub target: Option<String>,
    /// What to do with the target; guessed if `None`.
    pub task: Option<TaskKind>,
    /// Leave out rows of a file with a missing value; an error otherwise.
    pub drop_missing: bool,
    /// Keep only the first so many training rows.
    pub train_subset: Option<usize>,
    /// Seeds the shuffle of a CSV or NPZ file's rows.
    pub seed: u64,
}

impl Options {
    /// That the task of `source`, if it is forced, is classification.
    fn only_classes(&self, source: &str) -> Result<()> {
        match self.task {
            Some(TaskKind::Regression) => Err(Error::invalid(
                "task",
                "regression",
                format!("classification, the task of {source}"),
                "Leave the task out.",
            )),
            _ => Ok(()),
        }
    }

    /// How many of `available` training rows to keep.
    fn keep(&self, available: usize) -> Result<usize> {
        match self.train_subset {
            None => Ok(available),
            Some(n) if (1..=available).contains(&n) => Ok(n),
            Some(n) => Err(Error::invalid(
                "training subset",
                n,
                format!("1 to {available} rows"),
                "Ask for fewer rows, or leave the subset out to use all of them.",
            )),
        }
    }
}

/// A task and its examples, ready for a network.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// That of the set, such as `mnist` or `uci-yacht`, or the file's name without its extension.
    pub name: String,
    /// Classification or regression; the reader's guess, unless [`Options::task`] forced it.
    pub task: Task,
    /// `[C, H, W]` if each row of `x` is an image.
    pub image: Option<[usize; 3]>,
    /// What was done to the raw values.
    pub preprocess: Preprocess,
    /// What its user should know: how the task was guessed, what was left out.
    pub notes: Vec<String>,
    /// The rows to learn from.
    pub train: Split,
    /// The rows to choose with.
    pub validation: Split,
    /// The rows to report on.
    pub test: Split,
}

impl Dataset {
    /// What goes into a network.
    pub fn shape(&self) -> Shape {
        Shape::of(self.preprocess.inputs, self.image)
    }
}

/// Whether [`load`] takes `source` for the name of a set rather than of a file.
pub fn is_named(source: &str) -> bool {
    let file = ["csv", "npz"].contains(&files::extension(Path::new(source)).as_str());
    let named = ["mnist", "fashion-mnist", "cifar-10", "cifar-5"].contains(&source);
    named || source.starts_with("uci/") && !file
}

/// Reads `source`: `mnist`, `fashion-mnist`, `cifar-10`, `cifar-5`, `uci/NAME`, `FILE.csv` or `FILE.npz`.
///
/// * `mnist` comes from the folder `data_dir/mnist` if there is one, and otherwise from inside the
///   program; the bytes are the same, since their SHA-256 is checked. Pixels are `byte / 255`;
///   train, validation and test are 50 000, 10 000 and 10 000 images in the published order.
/// * `fashion-mnist` and `cifar-10` are in `data_dir` after `bhn data fetch`, and are checked and
///   read in the same way; CIFAR-10 is divided into 45 000, 5 000 and 10 000, and each of its channels
///   standardised by the training images. `cifar-5` is the images of its first five classes.
/// * `uci/NAME` and `uci/NAME/SPLIT` are [`uci`]'s, the former the first split.
/// * A CSV file has a header. Features are numbers; the target is a column of any text.
/// * An NPZ file has `x [N, …]` and `y [N]`, and may have `x_test`, `y_test`. `[N, H, W]` and
///   `[N, C, H, W]` are images: bytes are divided by 255 (unless all are 0 or 1), floats are left as
///   they are. Others are the rows of a table.
///
/// The rows of a table are standardised feature by feature, in double precision, whatever their
/// type; a feature that is constant in training becomes 0, whatever its value is later.
///
/// The target is a class if it has fewer distinct values than half the rows, and at most 20 of them
/// if all are numbers; otherwise it is a real value, which is standardised.
/// [`Dataset::notes`] says so. A class is its text: `1`, `1.0` and `01` are three. Classes are
/// sorted, numbers by size. A row with a missing value (an empty cell, `NA`, `NaN`, `?`, …) is an
/// error, or left out if [`Options::drop_missing`] asks for that.
///
/// Rows of a file are shuffled by the seed and divided 80/10/10; if the file has a test set, only
/// 90/10 into train and validation.
///
/// # Errors
/// If the source is unknown, or a file is missing, damaged, larger than 2 GiB, not finite, smaller
/// than 10 rows, or does not fit the options.
pub fn load(source: &str, options: &Options, data_dir: Option<&Path>) -> Result<Dataset> {
    let path = Path::new(source);
    let kind = files::extension(path);
    if options.target.is_some() && kind != "csv" {
        return Err(Error::invalid(
            "target column",
            format!("one for {source:?}"),
            "one only for a CSV file",
            "Leave it out.",
        ));
    }
    match kind.as_str() {
        "csv" | "npz" => load_from(path, files::open(path)?, options),
        _ if source == "mnist" => mnist::load(source, mnist::DIGITS, options, data_dir),
        _ if source == "fashion-mnist" => mnist::load(source, mnist::ARTICLES, options, data_dir),
        _ if source == "cifar-10" => cifar::load(10, options, data_dir),
        _ if source == "cifar-5" => cifar::load(5, options, data_dir),
        _ if source.starts_with("uci/") => uci::load(source, options, data_dir),
        _ => Err(Error::invalid(
            "data set",
            format!("{source:?}"),
            "mnist, fashion-mnist, cifar-10, cifar-5, uci/NAME, FILE.csv or FILE.npz",
            match sources::sets().iter().any(|set| set.name == source) {
                true => "It is for `bhn reproduce anomaly`, to be told from what was learned.",
                false => "Name one of these.",
            },
        )),
    }
}

/// Reads what is in `file`, called `path`, as [`load`] does: NPZ if its name ends so, otherwise CSV.
///
/// # Errors
/// As [`load`].
pub fn load_from(path: &Path, mut file: impl BufRead + Seek, options: &Options) -> Result<Dataset> {
    let what = path.display().to_string();
    files::within(&what, files::left(&mut file).unwrap_or(0), files::LIMIT)?;
    match &*files::extension(path) {
        "npz" => npz::load(path, file, options),
        _ => table::load(path, file, options),
    }
}
