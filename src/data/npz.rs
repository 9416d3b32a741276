//! NPZ: a zip archive of the arrays `x` and `y` or, as in Keras' files, `x_train` and `y_train`,
//! and optionally arrays for validation and test.
use super::dataset::{Dataset, Missing, Options};
use super::examples::{Examples, Parts, divide, left_out};
use super::preprocess::{Preprocess, Raw};
use super::target::Targets;
use super::training_range::TrainingRange;
use super::{files, npy};
use crate::error::{Error, Result};
use ndarray::{Array2, Axis};
use std::io::{Cursor, Read, Seek};
use std::path::Path;
use zip::ZipArchive;

/// Names of the inputs and targets for training.
const TRAIN: [[&str; 2]; 2] = [["x", "y"], ["x_train", "y_train"]];

/// Names of the inputs and targets for validation.
const VALIDATION: [[&str; 2]; 4] = [
    ["x_val", "y_val"],
    ["x_valid", "y_valid"],
    ["x_validation", "y_validation"],
    ["x_dev", "y_dev"],
];

/// Names of the inputs and targets for the test.
const TEST: [[&str; 2]; 1] = [["x_test", "y_test"]];

/// Reads an archive, guesses the task if it is not given, and splits the rows. The features of a
/// table and the targets of a regression are standardised; images are not.
pub(super) fn load(path: &Path, file: impl Read + Seek, options: &Options) -> Result<Dataset> {
    let mut archive = Archive::open(path.display().to_string(), file)?;
    let has = |archive: &Archive<_>, pair: &[&str; 2]| pair.iter().any(|&key| archive.has(key));
    let [x, y] = TRAIN.into_iter().find(|pair| has(&archive, pair)).unwrap_or(TRAIN[0]);
    let mut part = archive.part(x, y, options)?;
    let mut parts = Parts::of(part.y.labels.len());
    for (pairs, rows) in [(&VALIDATION[..], &mut parts.validation), (&TEST, &mut parts.test)] {
        let Some([x, y]) = pairs.iter().find(|pair| has(&archive, pair)) else { continue };
        let (other, first) = (archive.part(x, y, options)?, part.y.labels.len());
        part = part.concat(other, &archive.key(x))?;
        rows.extend(first..part.y.labels.len());
    }
    let Part { example, x, y, dropped } = part;
    let what = archive.path.as_str();
    let chosen = y.choose(options.task)?;
    let (parts, small) = divide(what, parts, options)?;
    let image = image(&example);
    if let [h, w, c @ (1 | 3 | 4)] = *example
        && ![1, 3, 4].contains(&h)
    {
        let found = format!("images of shape [{h}, {w}, {c}]");
        let expected = "[C, H, W], the channels first";
        let advice = "Save x.transpose(0, 3, 1, 2).";
        return Err(Error::invalid(archive.key("x"), found, expected, advice));
    }
    let (x, preprocess) = match (image, x) {
        (None, x) => Preprocess::fit_transform(what, &x.double(), &parts[0])?,
        // Images of 0 and 1 alone are masks without shades of grey, and are not divided by 255.
        (Some(_), Raw::Bytes(x)) if x.iter().any(|&byte| byte > 1) => {
            let seen = Some(TrainingRange::bytes());
            let x = x.mapv(|byte| f32::from(byte) / 255.0);
            (x, Preprocess { seen, ..Preprocess::default() })
        }
        (Some(_), x) => {
            let x = x.single();
            let seen = Some(TrainingRange::of_pixels(&x, &parts[0]));
            (x, Preprocess { seen, ..Preprocess::default() })
        }
    };
    let name = files::name(path, false);
    let notes = left_out(dropped, options.missing).into_iter().chain(small).collect();
    Examples { what, name, image, x, chosen, notes, preprocess }.split(&parts)
}

/// `[C, H, W]` if examples of this shape are images.
fn image(example: &[usize]) -> Option<[usize; 3]> {
    match *example {
        [h, w] => Some([1, h, w]),
        [c, h, w] => Some([c, h, w]),
        _ => None,
    }
}

/// Corresponding arrays of inputs and targets.
struct Part {
    /// The shape of one example.
    example: Vec<usize>,
    x: Raw,
    y: Targets,
    /// Number of rows left out for missing values.
    dropped: usize,
}

impl Part {
    /// The rows of `self` followed by those of `other`. Their examples must have the same shape
    /// and, if they are images, elements of the same kind (`uint8` or floats). `what` names the
    /// inputs of `other` in messages.
    fn concat(self, other: Self, what: &str) -> Result<Self> {
        let unlike = |found: String, expected: String| {
            Error::invalid(what, found, expected, "Save both with the same shape and type.")
        };
        let Self { example, x, mut y, dropped } = self;
        if other.example != example {
            let found = format!("examples of shape {:?}", other.example);
            return Err(unlike(found, format!("{example:?}, as in x")));
        }
        let x = match (x, other.x) {
            (a, b) if image(&example).is_none() => Raw::Numbers(concat(a.double(), &b.double())),
            (Raw::Bytes(a), Raw::Bytes(b)) => Raw::Bytes(concat(a, &b)),
            (a, b) if a.kind() == b.kind() => Raw::Single(concat(a.single(), &b.single())),
            (a, b) => return Err(unlike(b.kind().into(), format!("{}, as in x", a.kind()))),
        };
        y.extend(other.y);
        Ok(Self { example, x, y, dropped: dropped + other.dropped })
    }
}

fn concat<T: Clone>(mut a: Array2<T>, b: &Array2<T>) -> Array2<T> {
    a.append(Axis(0), b.view()).expect("the same shape");
    a
}

/// An open archive.
pub(super) struct Archive<R> {
    path: String,
    zip: ZipArchive<R>,
    /// Names of the arrays in the archive.
    keys: Vec<String>,
}

impl<R: Read + Seek> Archive<R> {
    /// Opens an archive and reads the names of its arrays. `path` names the archive in messages.
    pub fn open(path: String, reader: R) -> Result<Self> {
        let zip = ZipArchive::new(reader).map_err(|error| {
            let advice = "Save it again with numpy.savez.";
            Error::invalid(&path, error, "an NPZ archive", advice)
        })?;
        let key = |name: &str| name.strip_suffix(".npy").unwrap_or(name).to_owned();
        let mut keys: Vec<String> = zip.file_names().map(key).collect();
        keys.sort();
        Ok(Self { path, zip, keys })
    }

    /// Whether there is an array of this name.
    fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|own| own == key)
    }

    /// The name of an array in messages.
    fn key(&self, key: &str) -> String {
        format!("{}, {key:?}", self.path)
    }

    /// Reads the inputs and the targets from the arrays with the names `x` and `y`, which must have
    /// equally many rows. Rows whose target is NaN are left out, unless `options` refuse them; rows
    /// with NaN in their inputs are refused, unless `options` drop them.
    fn part(&mut self, x: &str, y: &str, options: &Options) -> Result<Part> {
        let (example, mut inputs) = self.array(x)?;
        let (_, mut targets) = self.array(y)?;
        let rows = inputs.len();
        if targets.len() != rows {
            return Err(Error::invalid(
                self.key(y),
                format!("{} targets", targets.len()),
                format!("{rows}, one for each row of {x:?}"),
                "Save corresponding arrays.",
            ));
        }
        let mut dropped = 0;
        if options.missing != Missing::Refuse {
            let mut missing = targets.missing();
            if options.missing == Missing::Drop {
                missing.append(&mut inputs.missing());
            }
            let kept: Vec<_> = (0..rows).filter(|row| !missing.contains(row)).collect();
            dropped = missing.len();
            inputs.select(&kept);
            targets.select(&kept);
        }
        if dropped == rows {
            let advice = "Correct the arrays.";
            return Err(Error::invalid(self.key(x), "NaN in every row", "numbers", advice));
        }
        let x = inputs.inputs(&self.key(x), image(&example).is_some(), 0)?;
        Ok(Part { example, x, y: targets.targets(&self.key(y))?, dropped })
    }

    /// Reads an array, and returns the shape of one row and all rows.
    pub fn array(&mut self, key: &str) -> Result<(Vec<usize>, npy::Npy)> {
        let what = self.key(key);
        let entry = self.zip.by_name(&format!("{key}.npy")).map_err(|error| {
            let found = format!("the arrays {:?} ({error})", &self.keys[..self.keys.len().min(20)]);
            Error::invalid(&what, found, format!("an array {key:?}"), "Save it under that name.")
        })?;
        let size = entry.size().min(files::LIMIT);
        npy::Array::whole(&what, Cursor::new(files::bounded(&what, entry, size)?))
    }
}
