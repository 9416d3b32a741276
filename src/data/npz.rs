//! NPZ: `x` and `y`, and perhaps `x_test` and `y_test`, in a zip archive.
use super::preprocess::Raw;
use super::split::{Rows, divide};
use super::target::{self, Targets};
use super::{Dataset, Options, Preprocess, Seen, Standardise, files, npy};
use crate::error::{Error, Result};
use ndarray::{Array2, Axis};
use std::io::{Cursor, Read, Seek};
use std::path::Path;
use zip::ZipArchive;

/// Reads, guesses the task if it is not given, divides; tables and real targets are standardised,
/// images are not.
pub(super) fn load(path: &Path, file: impl Read + Seek, options: &Options) -> Result<Dataset> {
    let mut archive = Archive::open(path.display().to_string(), file)?;
    let mut part = archive.part("x", "y", options)?;
    let own = part.x.len();
    if archive.keys.iter().any(|key| key == "x_test" || key == "y_test") {
        let test = archive.part("x_test", "y_test", options)?;
        part = part.and(test, |found, expected| {
            let advice = "Save both with the same shape and type.";
            Error::invalid(archive.key("x_test"), found, expected, advice)
        })?;
    }
    let Part { example, x, y, dropped } = part;
    let (what, total) = (archive.path.as_str(), x.len());
    let target::Chosen { task, y, guess } = y.choose(options.task)?;
    let (train, validation, test) = if total > own {
        let (train, [validation]) = divide(what, own, options)?;
        (train, validation, (own..total).collect())
    } else {
        let (train, [validation, test]) = divide(what, own, options)?;
        (train, validation, test)
    };
    let image = match *example {
        [h, w] => Some([1, h, w]),
        [c, h, w] => Some([c, h, w]),
        _ => None,
    };
    let (x, scale, seen) = match (image, x) {
        (None, x) => {
            let x = x.numbers();
            let (scale, seen) = (Standardise::fit(&x, &train), Seen::of(&x, &train));
            (scale.apply(what, x.view(), 0)?, Some(scale), seen)
        }
        // Bytes of 0 and 1 alone are no shades of grey, but numbers like others.
        (Some(_), Raw::Bytes(x)) if x.iter().any(|&byte| byte > 1) => {
            (x.mapv(|byte| f32::from(byte) / 255.0), None, Seen::pixels())
        }
        (Some(_), x) => {
            let x = x.single();
            let seen = Seen::floats(&x, &train);
            (x, None, seen)
        }
    };
    let y_scale = target::scale(&task, &y, &train);
    let inputs = x.ncols();
    let rows = Rows { x, y };
    let dropped = (dropped > 0).then(|| format!("{dropped} rows with missing values left out"));
    let ignored = scale.as_ref().and_then(|scale| scale.ignored(None));
    let preprocess =
        Preprocess { inputs, x: scale, y: y_scale, seen: Some(seen), ..Preprocess::default() };
    Ok(Dataset {
        name: files::name(path, false),
        task,
        image,
        preprocess,
        notes: dropped.into_iter().chain(guess).chain(ignored).collect(),
        train: rows.split(what, &train, y_scale)?,
        validation: rows.split(what, &validation, y_scale)?,
        test: rows.split(what, &test, y_scale)?,
    })
}

/// Rows and their targets.
struct Part {
    /// The shape of one example.
    example: Vec<usize>,
    x: Raw,
    y: Targets,
    /// How many rows were left out.
    dropped: usize,
}

impl Part {
    /// The rows of this and then of the other, of the same shape and, if they are images, type.
    fn and(self, other: Self, unlike: impl Fn(String, String) -> Error) -> Result<Self> {
        let Self { example, x, mut y, dropped } = self;
        if other.example != example {
            let found = format!("examples of shape {:?}", other.example);
            return Err(unlike(found, format!("{example:?}, as in x")));
        }
        let x = if [2, 3].contains(&example.len()) {
            match (x, other.x) {
                (Raw::Bytes(a), Raw::Bytes(b)) => Raw::Bytes(joined(a, &b)),
                (a, b) if a.kind() != b.kind() => {
                    return Err(unlike(b.kind().into(), format!("{}, as in x", a.kind())));
                }
                (a, b) => Raw::Single(joined(a.single(), &b.single())),
            }
        } else {
            Raw::Numbers(joined(x.numbers(), &other.x.numbers()))
        };
        y.labels.extend(other.y.labels);
        y.values = y.values.and_then(|mut own| {
            own.extend(other.y.values?);
            Ok(own)
        });
        Ok(Self { example, x, y, dropped: dropped + other.dropped })
    }
}

fn joined<T: Clone>(mut a: Array2<T>, b: &Array2<T>) -> Array2<T> {
    a.append(Axis(0), b.view()).expect("the same shape");
    a
}

/// An open archive and the names of its arrays.
pub(super) struct Archive<R> {
    path: String,
    zip: ZipArchive<R>,
    keys: Vec<String>,
}

impl<R: Read + Seek> Archive<R> {
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

    /// What to call an array in a message.
    fn key(&self, key: &str) -> String {
        format!("{}, {key:?}", self.path)
    }

    /// The arrays `x` and `y`, in rows that belong together.
    fn part(&mut self, x: &str, y: &str, options: &Options) -> Result<Part> {
        let (example, mut inputs) = self.array(x)?;
        let (_, mut targets) = self.array(y)?;
        let rows = inputs.len();
        if targets.len() != rows {
            return Err(Error::invalid(
                self.key(y),
                format!("{} targets", targets.len()),
                format!("{rows}, one for each row of {x:?}"),
                "Save arrays that belong together.",
            ));
        }
        let mut dropped = 0;
        if options.drop_missing {
            let missing = &inputs.missing() | &targets.missing();
            let kept: Vec<_> = (0..rows).filter(|row| !missing.contains(row)).collect();
            dropped = missing.len();
            (inputs, targets) = (inputs.select(&kept), targets.select(&kept));
        }
        if dropped == rows {
            let advice = "Mend the arrays.";
            return Err(Error::invalid(self.key(x), "NaN in every row", "numbers", advice));
        }
        let is_image = [2, 3].contains(&example.len());
        let x = inputs.inputs(&self.key(x), is_image, 0)?;
        Ok(Part { example, x, y: targets.targets(&self.key(y))?, dropped })
    }

    /// The shape of one example, and all of them.
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
