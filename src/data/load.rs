//! Loading of a named data set or of a user's file.
use super::dataset::{Dataset, Options};
use super::{cifar, files, folder, images, npz, sources, table_set, uci};
use crate::error::{Error, Result};
use std::io::{BufRead, Seek};
use std::path::Path;

/// Loads `mnist`, `fashion-mnist`, `cifar-10`, `cifar-5`, `uci/NAME`, a table or `FILE.npz`.
///
/// # Published sets
///
/// * `mnist` is read from the folder `data_dir/mnist` if it exists, and otherwise from the copy
///   inside the program. The bytes are the same, since the SHA-256 of either is verified. Pixels
///   are `byte / 255`; the training, validation and test sets are 50 000, 10 000 and 10 000 images
///   in the published order.
/// * `fashion-mnist` and `cifar-10` are read from `data_dir`, where `bhn data fetch` puts them, and
///   verified. Fashion-MNIST is split and scaled as MNIST is. CIFAR-10 is split into 45 000, 5 000
///   and 10 000 images, and each channel is standardised by the training images. `cifar-5` has the
///   images of CIFAR-10's first five classes.
/// * `uci/NAME/SPLIT` is a split of [`uci`](super::uci()), and `uci/NAME` the first split.
///
/// # Files
///
/// * A table is a text file `csv`, `tsv` or `txt`, perhaps compressed as `csv.gz`, or a `parquet`
///   file if the crate has that feature. It has a header. Commas, semicolons, tabs or vertical bars
///   separate its columns, and if no commas do, numbers may have a decimal comma. Columns are
///   numbers or categories ([`Encoding`](super::Encoding)); the target is a column of any text.
/// * An NPZ file has arrays `x [N, …]` and `y [N]`, or `x_train` and `y_train`, and optionally
///   `x_val` and `y_val`, `x_test` and `y_test`. Arrays
///   `x` of shape `[N, H, W]` and `[N, C, H, W]` are images: bytes are divided by 255 (unless all
///   are 0 or 1), floats are not changed. Arrays of any other shape are rows of a table.
/// * A folder has pictures, PNG or JPEG, in a subfolder for each class, or in such subfolders of
///   `train`, `validation` and `test`. Pixels are from 0 (black) to 1 (white).
///
/// The features of a table are standardised in double precision, whatever their type; a feature
/// that is constant in training becomes 0, whatever its later values.
///
/// If the options do not give the task, it is classification if the target has fewer distinct
/// values than half the number of rows and, if all of them are numbers, at most 20 distinct values.
/// Otherwise it is regression. If the target is numeric, [`Dataset::notes`] reports the guess. The
/// targets of a regression are standardised.
///
/// A class is identified by its text: in a table, `1`, `1.0` and `01` are three classes. Classes
/// are sorted: numbers by value, then words. [`Options::missing`] tells what happens to missing
/// values (an empty cell, `NA`, `NaN`, `?`, …).
///
/// The rows of a file are shuffled by the seed and divided 80/10/10 into training, validation and
/// test, with more for validation if there are few ([`Options::validation_rows`]). Parts that the
/// file or the options give are taken as they are, and the others from the remaining rows.
///
/// # Errors
/// If the source is unknown, or a file is missing, damaged, larger than 2 GiB or inconsistent with
/// the options, has fewer than 10 rows, or has a value that is not finite.
pub fn load(source: &str, options: &Options, data_dir: Option<&Path>) -> Result<Dataset> {
    let path = Path::new(source);
    let kind = files::extension(path);
    let has_other_format = ["xlsx", "xls", "ods", "json", "gz", "zip", "npy", "feather"];
    if has_other_format.contains(&&*kind) {
        let (expected, advice) = ("a name of a set, FILE.csv or FILE.npz", "Convert the file.");
        return Err(Error::invalid("data set", format!("{source:?}"), expected, advice));
    }
    if kind == "npz" || is_named(source) {
        options.no_table(source)?;
    }
    match kind.as_str() {
        "npz" => load_from(path, files::open(path)?, options),
        _ if files::is_table(path) => load_from(path, files::open(path)?, options),
        _ if matches!(source, "mnist" | "fashion-mnist") => {
            images::mnist(source, options, data_dir)
        }
        _ if source == "cifar-10" => cifar::load(10, options, data_dir),
        _ if source == "cifar-5" => cifar::load(5, options, data_dir),
        _ if source.starts_with("uci/") => uci::load(source, options, data_dir),
        _ if path.is_dir() => {
            options.no_table(source)?;
            folder::load(path, options)
        }
        _ => Err(Error::invalid(
            "data set",
            format!("{source:?}"),
            "mnist, fashion-mnist, cifar-10, cifar-5, uci/NAME, FILE.csv or FILE.npz, or another \
             table (.tsv, .txt, .csv.gz, .parquet) or a folder of pictures, FOLDER/CLASS/*.png",
            match sources::sets().iter().any(|set| set.name == source) {
                true => "It is an out-of-distribution set of `bhn reproduce anomaly`.",
                false => "Choose one of these names.",
            },
        )),
    }
}

/// Loads a table or an NPZ file from a reader, as [`load`] does from a path: NPZ if the extension
/// of `path` is `npz`, otherwise a table.
///
/// # Errors
/// If the data are damaged, larger than 2 GiB or inconsistent with the options, have fewer than 10
/// rows, or have a value that is not finite.
pub fn load_from(path: &Path, mut file: impl BufRead + Seek, options: &Options) -> Result<Dataset> {
    let what = path.display().to_string();
    files::within(&what, files::left(&mut file).unwrap_or(0), files::LIMIT)?;
    match &*files::extension(path) {
        "npz" => npz::load(path, file, options),
        _ => {
            options.one_split()?;
            table_set::load(path, file, options)
        }
    }
}

/// Whether [`load`] takes `source` for the name of a published set and not for that of a file.
pub fn is_named(source: &str) -> bool {
    let path = Path::new(source);
    let is_file = files::is_table(path) || files::extension(path) == "npz";
    let is_set = ["mnist", "fashion-mnist", "cifar-10", "cifar-5"].contains(&source);
    is_set || source.starts_with("uci/") && !is_file
}
